//! The whole operator, as the leader runs it.

use std::{sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Secret;
use serde_json::json;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::scene::{example, options, put};
use crate::{metrics::Metrics, testing::FakeApi};

fn operate(api: &FakeApi, shutdown: &CancellationToken) -> tokio::task::JoinHandle<anyhow::Result<()>> {
    let run = crate::reconcile::run(
        api.client(),
        Arc::new(options()),
        Arc::new(Metrics::new()),
        crate::health::Heartbeat::default(),
        shutdown.clone(),
    );
    tokio::spawn(run)
}

async fn until_published(api: &FakeApi) -> Secret {
    let published = async {
        loop {
            if let Some(manifest) = api.get::<Secret>(Some("enrollment"), "chancery-manifest-enroll") {
                return manifest;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(120), published).await.expect("nothing is published")
}

#[tokio::test(start_paused = true)]
async fn the_loop_survives_an_api_server_that_restarts_and_takes_up_what_changed_meanwhile() {
    let (api, shutdown) = (FakeApi::new(), CancellationToken::new());
    for document in example() {
        put(&api, &document);
    }
    let running = operate(&api, &shutdown);
    let before = until_published(&api).await;
    api.stop();
    tokio::time::sleep(Duration::from_secs(30)).await;
    let mut profile = example().into_iter().find(|found| found["metadata"]["name"] == "device").unwrap();
    profile["spec"]["validity"]["default"] = json!("30d");
    put(&api, &profile);
    api.expire_watches();
    api.start();
    let changed = async {
        while api.get::<Secret>(Some("enrollment"), "chancery-manifest-enroll").unwrap().data == before.data {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(Duration::from_secs(180), changed).await.expect("the change was not taken up");
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_any_more_once_the_lead_is_lost() {
    let (api, shutdown) = (FakeApi::new(), CancellationToken::new());
    for document in example() {
        put(&api, &document);
    }
    let running = operate(&api, &shutdown);
    until_published(&api).await;
    // As the process does when it cannot renew the lease.
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    api.forget_calls();
    api.delete::<Secret>(Some("enrollment"), "chancery-manifest-enroll");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(api.calls(), []);
}

/// A client of it that panics where a path holds this.
fn client_that_panics(api: &FakeApi, path: &'static str) -> kube::Client {
    let inner = api.client();
    let service = tower::service_fn(move |request: http::Request<kube::client::Body>| {
        let inner = inner.clone();
        async move {
            assert!(!request.uri().path().contains(path), "on purpose");
            inner.send(request).await
        }
    });
    kube::Client::new(service, "default")
}

#[tokio::test(start_paused = true)]
async fn a_part_of_the_operator_that_dies_ends_it_with_an_error() {
    for (path, why) in [("/certificaterequests", "a task of the operator has died"), ("/pods", "a watch")] {
        let api = FakeApi::new();
        for document in example() {
            put(&api, &document);
        }
        let run = crate::reconcile::run(
            client_that_panics(&api, path),
            Arc::new(options()),
            Arc::new(Metrics::new()),
            crate::health::Heartbeat::default(),
            CancellationToken::new(),
        );
        let outcome = timeout(Duration::from_secs(600), run).await.expect("nobody noticed");
        let error = format!("{:#}", outcome.unwrap_err());
        assert!(error.contains(why), "{path}: {error}");
    }
}

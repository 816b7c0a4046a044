use std::sync::Arc;

use crate::{
    Error, Outcome, Result,
    engine::{Repeat, request_key},
    policy::Approval,
    rest::{OrderCompletion, OrderRow, OrderStatus},
    store::{Commit, Expect, Write, suite::samples::rest_order},
    testing::{NOW, Scene, issued, pending, policy, policy_with, request},
};

/// Ordered just now and not in the store yet.
fn new_order(scene: &Scene) -> OrderRow {
    OrderRow {
        version: 0,
        method: scene.method.name.clone(),
        expires_at: NOW.plus_seconds(60),
        ..rest_order(1)
    }
}

async fn ask(scene: &Scene, order: &OrderRow) -> Result<Outcome> {
    let asked = request().asked();
    let csr = asked.encoded.clone();
    let completion = OrderCompletion { order, csr: &csr, now: NOW };
    let key = request_key(&[order.id.as_str().as_bytes()]);
    scene.engine.issue_with(scene.login().await, asked, key, Repeat::Another, &completion).await
}

async fn stored(scene: &Scene, order: &OrderRow) -> Option<OrderRow> {
    scene.store.rest_order(&order.id).await.unwrap()
}

#[tokio::test]
async fn an_order_is_there_as_soon_as_its_certificate_is() {
    let scene = Scene::new(&policy()).await;
    let order = new_order(&scene);
    let certificate = issued(ask(&scene, &order).await);
    let row = stored(&scene, &order).await.unwrap();
    assert_eq!((row.version, row.status(NOW)), (1, OrderStatus::Issued));
    assert_eq!(row.certificate(), Some((scene.authority.key_id(), certificate.serial)));
}

#[tokio::test]
async fn an_order_that_waits_for_a_person_says_for_which_request() {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let order = new_order(&scene);
    let waiting = pending(ask(&scene, &order).await);
    let row = stored(&scene, &order).await.unwrap();
    assert_eq!((row.version, row.status(NOW)), (1, OrderStatus::Pending));
    assert_eq!(row.state, crate::rest::OrderState::Pending { request: waiting.request });
}

#[tokio::test]
async fn a_refused_request_leaves_no_order() {
    let scene = Scene::new(&policy_with(|policy| policy.keys.allowed.clear())).await;
    let order = new_order(&scene);
    assert!(matches!(ask(&scene, &order).await, Err(Error::Refused(_))));
    assert_eq!(stored(&scene, &order).await, None);
}

#[tokio::test]
async fn an_order_that_was_cancelled_meanwhile_has_no_certificate() {
    let scene = Scene::new(&policy()).await;
    let read = OrderRow { version: 1, ..new_order(&scene) };
    let mut cancelled = read.clone();
    cancelled.cancel(NOW).unwrap();
    let put = Commit { writes: vec![Write::PutRestOrder(Box::new(cancelled.clone()))], ..Commit::default() };
    scene.store.commit(put).await.unwrap().unwrap();
    assert!(matches!(ask(&scene, &read).await, Err(Error::Stale)));
    // Nor has one that is read as it is.
    assert!(matches!(ask(&scene, &cancelled).await, Err(Error::Stale)));
    assert!(scene.certificates().await.is_empty());
    assert_eq!(stored(&scene, &read).await, Some(cancelled));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_orders_with_one_idempotency_key_have_one_certificate() {
    let scene = Arc::new(Scene::new(&policy()).await);
    let tasks: Vec<_> = (1..=10)
        .map(|number| {
            let scene = scene.clone();
            let mut order = new_order(&scene);
            order.id = rest_order(number).id;
            tokio::spawn(async move { ask(&scene, &order).await })
        })
        .collect();
    let mut certificates = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => certificates += 1,
            Err(error) => assert!(matches!(error, Error::Conflict(_)), "{error}"),
        }
    }
    assert_eq!((certificates, scene.certificates().await.len()), (1, 1));
    let expected = Expect::RestOrderVersion { id: rest_order(99).id, version: 0 };
    let nothing = Commit { expect: vec![expected], ..Commit::default() };
    scene.store.commit(nothing).await.unwrap().unwrap();
}

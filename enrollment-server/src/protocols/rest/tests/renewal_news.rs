//! What the operator of a cluster is told of renewals.

use std::sync::Arc;

use client::internal::{RenewalNews, RenewalOutcome, Renewals};
use issuance::{
    credential::{CredentialRow, CredentialState},
    identity::JobId,
    ports::Clock as _,
    store::{Commit, Job, JobKind, Write},
};
use serde_json::Value;

use super::{
    renewal::{HOUR, next, ordered, runner, wait_and_work},
    scene::Scene,
};
use crate::{jobs::renewal_news, serving::Serving};

/// After this every minute is over in which something happened.
const OVER: i64 = 66;

/// Of a cluster; otherwise there is no operator.
fn in_a_cluster(scene: &Scene) {
    let before = scene.app.serving();
    scene.app.serve(Serving::default());
    scene.app.serve(Serving { has_operator: true, ..Arc::into_inner(before).unwrap() });
}

async fn take(scene: &Scene) -> Vec<RenewalNews> {
    renewal_news::take(&scene.app).await.unwrap().news
}

async fn told(scene: &Scene, news: &[RenewalNews]) {
    let ids: Vec<JobId> = news.iter().map(|news| news.id.parse().unwrap()).collect();
    renewal_news::forget(&scene.app, &ids).await.unwrap();
}

/// Whether anything is kept for the operator.
async fn is_kept(scene: &Scene) -> bool {
    scene.app.engine.store().next_job(&[JobKind::RenewalNews]).await.unwrap().is_some()
}

fn serial(order: &Value) -> &str {
    order["certificateId"].as_str().unwrap().split_once('.').unwrap().1
}

/// A server of a cluster that has renewed a certificate a moment ago, with the new order.
async fn renewed() -> (Scene, Value, Value) {
    let scene = Scene::new().await;
    in_a_cluster(&scene);
    let order = ordered(&scene).await;
    wait_and_work(&scene, 19 * HOUR).await;
    let new = next(&scene, &order).await.unwrap();
    (scene, order, new)
}

#[tokio::test]
async fn a_server_without_an_operator_keeps_nothing_for_one() {
    let scene = Scene::new().await;
    let order = ordered(&scene).await;
    wait_and_work(&scene, 19 * HOUR).await;
    assert!(next(&scene, &order).await.is_some());
    assert!(!is_kept(&scene).await);
}

#[tokio::test]
async fn a_renewal_is_told_when_its_minute_is_over_until_the_operator_has_told_of_it() {
    let (scene, order, new) = renewed().await;
    let at = scene.clock.now().unix();
    assert_eq!(take(&scene).await, []);
    scene.clock.forward(OVER);
    let news = take(&scene).await;
    let [one] = news.as_slice() else { panic!("{news:?}") };
    let renewal = &one.renewal;
    assert_eq!((renewal.method.as_str(), renewal.at), ("lab/api", at));
    assert_eq!(
        (renewal.order.as_str(), renewal.serial.as_str()),
        (new["id"].as_str().unwrap(), serial(&new))
    );
    assert_eq!(renewal.outcome, RenewalOutcome::Renewed { replaces: serial(&order).into() });
    assert!(renewal.not_after > at + 23 * HOUR, "{renewal:?}");

    // It is with an operator, which dies.
    assert_eq!(take(&scene).await, []);
    scene.clock.forward(61);
    assert_eq!(take(&scene).await, news);
    told(&scene, &news).await;
    assert!(!is_kept(&scene).await);
    // Saying it twice does no harm.
    told(&scene, &news).await;
    wait_and_work(&scene, OVER).await;
    assert_eq!(take(&scene).await, []);
}

#[tokio::test]
async fn the_first_failure_is_told_and_no_other_until_the_renewal() {
    let scene = Scene::new().await;
    in_a_cluster(&scene);
    let order = ordered(&scene).await;
    let good = scene.credential_row().await;
    let revoked = CredentialRow { state: CredentialState::Revoked, ..good.clone() };
    let revoked = scene.put_credential(revoked).await;
    wait_and_work(&scene, 19 * HOUR).await;
    wait_and_work(&scene, 60).await;
    wait_and_work(&scene, 60).await;
    scene.clock.forward(OVER);
    let failed = take(&scene).await;
    let [one] = failed.as_slice() else { panic!("{failed:?}") };
    assert_eq!(
        (one.renewal.order.as_str(), one.renewal.serial.as_str()),
        (order["id"].as_str().unwrap(), serial(&order))
    );
    let RenewalOutcome::Failed { reason } = &one.renewal.outcome else { panic!("{one:?}") };
    assert!(reason.contains("could order nothing now"), "{reason}");
    told(&scene, &failed).await;

    scene.put_credential(CredentialRow { version: revoked.version, ..good }).await;
    wait_and_work(&scene, HOUR).await;
    scene.clock.forward(OVER);
    let news = take(&scene).await;
    assert_eq!(news.len(), 1, "{news:?}");
    assert!(matches!(news[0].renewal.outcome, RenewalOutcome::Renewed { .. }));
}

#[tokio::test]
async fn an_end_without_a_renewal_is_told() {
    let scene = Scene::new().await;
    in_a_cluster(&scene);
    let order = ordered(&scene).await;
    // Nobody worked until it was too late.
    wait_and_work(&scene, 25 * HOUR).await;
    scene.clock.forward(OVER);
    let news = take(&scene).await;
    let [one] = news.as_slice() else { panic!("{news:?}") };
    assert_eq!(one.renewal.serial, serial(&order));
    assert!(matches!(&one.renewal.outcome, RenewalOutcome::Failed { reason } if reason.contains("ended")));
}

#[tokio::test]
async fn what_no_operator_takes_within_an_hour_is_forgotten() {
    let (scene, ..) = renewed().await;
    let runner = runner(&scene);
    runner.ensure_standing_jobs().await.unwrap();
    scene.clock.forward(HOUR - 60);
    runner.run_due().await;
    assert!(is_kept(&scene).await);
    scene.clock.forward(60 + OVER);
    runner.run_due().await;
    assert!(!is_kept(&scene).await);
    assert_eq!(take(&scene).await, []);
}

#[tokio::test]
async fn what_an_operator_takes_and_cannot_tell_for_an_hour_is_forgotten() {
    let (scene, ..) = renewed().await;
    scene.clock.forward(OVER);
    for _ in 0..59 {
        assert_eq!(take(&scene).await.len(), 1);
        scene.clock.forward(61);
    }
    assert!(is_kept(&scene).await);
    assert_eq!(take(&scene).await, []);
    assert!(!is_kept(&scene).await);
}

#[tokio::test]
async fn news_that_cannot_be_read_are_forgotten_and_hide_no_others() {
    let (scene, ..) = renewed().await;
    let store = scene.app.engine.store();
    let run_at = scene.clock.now().plus_seconds(HOUR);
    let unreadable = |number: u16| {
        let [high, low] = number.to_be_bytes();
        let id = [high, low, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        Write::PutJob(Box::new(Job {
            id: JobId::from_octets(id),
            kind: JobKind::RenewalNews,
            key: number.to_string(),
            payload: b"of a later release".to_vec(),
            run_at,
            attempts: 0,
            last_error: None,
        }))
    };
    let count = u16::try_from(Renewals::MAX).unwrap();
    let writes = (0..count).map(unreadable).collect();
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    scene.clock.forward(OVER);
    let news = take(&scene).await;
    assert_eq!(news.len(), 1);
    told(&scene, &news).await;
    assert!(!is_kept(&scene).await);
}

#[tokio::test]
async fn nothing_but_what_was_given_can_be_forgotten() {
    let (scene, ..) = renewed().await;
    scene.clock.forward(OVER);
    let news = take(&scene).await;
    // A job of another kind, and one that is not there.
    let store = scene.app.engine.store();
    let renewals = store.next_job(&[JobKind::RestRenewal]).await.unwrap();
    assert!(renewals.is_some());
    let order = scene.order_row(&next_order(&news)).await;
    let job = issuance::rest::renewal_job(&order.id, scene.clock.now());
    renewal_news::forget(&scene.app, &[job.id, JobId::from_octets([7; 16])]).await.unwrap();
    assert_eq!(store.next_job(&[JobKind::RestRenewal]).await.unwrap(), renewals);
    assert!(is_kept(&scene).await);
    // Beside those it does what was asked for.
    let ids = [JobId::from_octets([7; 16]), news[0].id.parse().unwrap()];
    renewal_news::forget(&scene.app, &ids).await.unwrap();
    assert!(!is_kept(&scene).await);
}

fn next_order(news: &[RenewalNews]) -> Value {
    serde_json::json!({ "id": news[0].renewal.order })
}

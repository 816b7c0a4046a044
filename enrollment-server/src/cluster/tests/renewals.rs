//! What the operator is told of renewals, and says that it has told.

use bytes::Bytes;
use client::internal::{Renewal, RenewalOutcome, Renewals, RenewalsRequest};
use http::{Method, StatusCode};
use issuance::store::{Commit, JobKind};

use super::{
    revoking::operator_asks,
    scene::Scene,
    strangers::{ask, get},
};
use crate::jobs::renewal_news;

async fn renewals(scene: &Scene, told: Vec<String>) -> Renewals {
    let body = Bytes::from(serde_json::to_vec(&RenewalsRequest { told }).unwrap());
    let (status, body) = operator_asks(scene, ask(Method::POST, "renewals", body)).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// So many seconds ago.
fn renewal(scene: &Scene, number: usize, ago: i64) -> Renewal {
    let now = scene.replica.app.engine.clock().now().unix();
    Renewal {
        method: "enrollment/api".into(),
        at: now - ago,
        order: format!("{number:032x}"),
        serial: "0b".into(),
        subject: "CN=shop".into(),
        not_after: now,
        outcome: RenewalOutcome::Renewed { replaces: "0a".into() },
    }
}

async fn keep(scene: &Scene, renewals: &[Renewal]) {
    let writes = renewals.iter().map(|renewal| renewal_news::put(renewal).unwrap()).collect();
    scene.volume.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
}

#[tokio::test]
async fn an_operator_is_there_once_there_is_a_configuration() {
    let scene = Scene::new().await;
    assert!(scene.replica.app.serving().has_operator);
    assert!(!super::scene::Volume::new().start(&scene.operator).app.serving().has_operator);
}

#[tokio::test]
async fn renewals_are_told_in_order_and_in_parts_until_they_are_said_to_be_told() {
    let scene = Scene::new().await;
    let count = Renewals::MAX + 10;
    let all: Vec<Renewal> =
        (0..count).map(|number| renewal(&scene, number, 1800 - i64::from(number >= 100))).collect();
    keep(&scene, &all).await;
    // The next minute is not over.
    keep(&scene, &[renewal(&scene, count, -60)]).await;
    let first = renewals(&scene, Vec::new()).await;
    let told =
        |renewals: &Renewals| renewals.news.iter().map(|news| news.renewal.clone()).collect::<Vec<_>>();
    assert_eq!(told(&first), all[..Renewals::MAX]);
    let second = renewals(&scene, first.news.into_iter().map(|news| news.id).collect()).await;
    assert_eq!(told(&second), all[Renewals::MAX..]);
    assert_eq!(renewals(&scene, Vec::new()).await, Renewals::default());
    let ids = second.news.into_iter().map(|news| news.id).collect();
    assert_eq!(renewals(&scene, ids).await, Renewals::default());
    let left = scene.volume.store.next_job(&[JobKind::RenewalNews]).await.unwrap().unwrap();
    assert!(left.unix() > scene.replica.app.engine.clock().now().unix() + 3600, "that of the next minute");
}

#[tokio::test]
async fn what_is_no_question_is_refused() {
    let scene = Scene::new().await;
    for body in [&b""[..], b"\"told\"", b"{\"told\": [\"x\"]}", b"{\"told\": 1}"] {
        let (status, _) = operator_asks(&scene, ask(Method::POST, "renewals", Bytes::from(body))).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{}", String::from_utf8_lossy(body));
    }
    let (status, _) = operator_asks(&scene, get("renewals")).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

/// What an operator of a later release asks, and what a server of this one answers it.
#[test]
fn members_that_are_not_known_are_passed_over() {
    let request: RenewalsRequest = serde_json::from_str(r#"{"more": 1}"#).unwrap();
    assert_eq!(request, RenewalsRequest::default());
    assert_eq!(
        serde_json::from_str::<Renewals>(r#"{"news": [], "more": true}"#).unwrap(),
        Renewals::default()
    );
}

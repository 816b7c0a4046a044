//! `Prefer: wait`.

use axum::body::Body;
use http::Method as HttpMethod;
use issuance::{credential::CredentialState, policy::Approval, ports::Clock as _, rest::RestAction};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant};

use super::{
    orders::{approve, path},
    scene::{Answer, Scene, Setup, csr, request},
};
use crate::listeners::Limits;

async fn wait(scene: &Scene, order: &Value, seconds: &str) -> Answer {
    let request =
        request(HttpMethod::GET, &path(order), &scene.key).header("prefer", format!("wait={seconds}"));
    scene.send(request.body(Body::empty()).unwrap()).await
}

async fn pending() -> (Scene, Value) {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let (_, csr) = csr(&["a.acme.example"]);
    let order = scene.post("/orders", &json!({ "csr": csr })).await.ok(201).json();
    (scene, order)
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_has_the_certificate_once_somebody_approves() {
    let (scene, order) = pending().await;
    let waiting = tokio::spawn({
        let (scene, order) = (scene.clone(), order.clone());
        async move { wait(&scene, &order, "30").await }
    });
    tokio::task::yield_now().await;
    approve(&scene, &order, true).await;
    let answer = waiting.await.unwrap().ok(200);
    assert_eq!(answer.json()["status"], "issued");
    assert_eq!(answer.headers["preference-applied"], "wait=30");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_for_a_request_has_word_once_it_is_there() {
    let scene = Scene::new().await;
    let order = scene.post("/orders", &json!({ "domains": ["a.acme.example"] })).await.ok(201).json();
    let waiting = tokio::spawn({
        let (scene, order) = (scene.clone(), order.clone());
        async move { wait(&scene, &order, "30").await }
    });
    tokio::task::yield_now().await;
    let (_, csr) = csr(&["a.acme.example"]);
    scene.put(&format!("{}/csr", path(&order)), &json!({ "csr": csr })).await.ok(200);
    assert_eq!(waiting.await.unwrap().ok(200).json()["status"], "issued");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends_with_its_time_and_never_lasts_longer_than_half_a_minute() {
    let (scene, order) = pending().await;
    for (asked, applied) in [("3", "wait=3"), ("86400", "wait=30")] {
        let answer = wait(&scene, &order, asked).await.ok(200);
        assert_eq!(answer.json()["status"], "pending");
        assert_eq!(answer.headers["preference-applied"], applied);
    }
}

#[tokio::test(start_paused = true)]
async fn a_credential_that_ends_meanwhile_sees_nothing_more() {
    let (scene, order) = pending().await;
    let waiting = tokio::spawn({
        let (scene, order) = (scene.clone(), order.clone());
        async move { wait(&scene, &order, "30").await }
    });
    tokio::task::yield_now().await;
    let mut row = scene.credential_row().await;
    row.state = CredentialState::Revoked;
    scene.put_credential(row).await;
    approve(&scene, &order, true).await;
    waiting.await.unwrap().refused(401, "unauthenticated", "");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn where_all_places_are_taken_and_where_nothing_is_open_the_answer_comes_at_once() {
    let (scene, order) = pending().await;
    let scene_without_places = Scene::of(Setup {
        limits: Limits { requests_in_flight: 3, ..Limits::default() },
        ..Setup::default()
    })
    .await;
    let awaiting = scene_without_places.post("/orders", &json!({})).await.ok(201).json();
    let answer = wait(&scene_without_places, &awaiting, "30").await.ok(200);
    assert!(!answer.headers.contains_key("preference-applied"));
    scene.delete(&path(&order)).await.ok(200);
    let answer = wait(&scene, &order, "30").await.ok(200);
    assert!(!answer.headers.contains_key("preference-applied"));
}

#[tokio::test(start_paused = true)]
async fn a_credential_whose_time_is_over_meanwhile_sees_nothing_more() {
    let (scene, order) = pending().await;
    let mut row = scene.credential_row().await;
    row.expires_at = Some(scene.clock.now().plus_seconds(10));
    scene.put_credential(row).await;
    let waiting = tokio::spawn({
        let (scene, order) = (scene.clone(), order.clone());
        async move { wait(&scene, &order, "30").await }
    });
    tokio::task::yield_now().await;
    scene.clock.forward(10);
    approve(&scene, &order, true).await;
    waiting.await.unwrap().refused(401, "unauthenticated", "");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_of_what_is_no_news() {
    let scene = Scene::new().await;
    let order = scene.post("/orders", &json!({ "domains": ["a.acme.example"] })).await.ok(201).json();
    let begun = Instant::now();
    let waiting = tokio::spawn({
        let (scene, order) = (scene.clone(), order.clone());
        async move { wait(&scene, &order, "30").await }
    });
    tokio::task::yield_now().await;
    scene.clock.forward(7 * 86_400);
    assert_eq!(waiting.await.unwrap().ok(200).json()["status"], "expired");
    // Of a clock that stands still but for what is waited for.
    assert!(begun.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn whoever_may_only_read_by_now_is_issued_nothing() {
    let (scene, order) = pending().await;
    approve(&scene, &order, true).await;
    let mut row = scene.credential_row().await;
    let before = row.actions;
    row.actions = [RestAction::Read].into_iter().collect();
    let mut row = scene.put_credential(row).await;
    assert_eq!(scene.get(&path(&order)).await.ok(200).json()["status"], "pending");
    assert_eq!(scene.issued().await, 0);
    row.actions = before;
    scene.put_credential(row).await;
    assert_eq!(scene.get(&path(&order)).await.ok(200).json()["status"], "issued");
}

//! Certificates that the server renews by itself.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use issuance::{
    Error,
    credential::{CredentialRow, CredentialState},
    policy::{Approval, ProofOfControl},
    ports::Clock as _,
    rest::{RestAction, RestActions, renewal_job},
    secret::Secret,
    store::{Commit, JobKind, JobLease, Store, Write, memory::MemoryStore},
};
use resolve::CompiledNotice;
use serde_json::{Value, json};

use super::scene::{Answer, Scene, Setup, csr};
use crate::{
    jobs::{Renewal, Runner},
    serving::Serving,
};

const PASSPHRASE: &str = "correct horse battery";
pub(super) const HOUR: i64 = 3600;

#[derive(Debug)]
struct NothingToRenew;

#[async_trait]
impl Renewal for NothingToRenew {
    async fn renew(&self) -> Result<i64, Error> {
        Ok(HOUR)
    }
}

/// A process of its own.
pub(super) fn runner(scene: &Scene) -> Runner {
    Runner::new(scene.app.clone(), Arc::new(NothingToRenew)).unwrap()
}

async fn work(scene: &Scene) {
    runner(scene).renew_certificates().await;
}

pub(super) async fn wait_and_work(scene: &Scene, seconds: i64) {
    scene.clock.forward(seconds);
    work(scene).await;
}

async fn ask(scene: &Scene, renew_before: &str) -> Answer {
    let body = json!({
        "domains": ["a.acme.example"], "serverKey": true, "renewal": { "renewBefore": renew_before },
    });
    scene.post("/orders", &body).await
}

/// An order for a day, to be renewed six hours before its end, and what is due of that.
pub(super) async fn ordered(scene: &Scene) -> Value {
    let order = ask(scene, "6h").await.ok(201).json();
    assert_eq!((&order["status"], &order["renewal"]), (&json!("issued"), &json!({ "renewBefore": "6h" })));
    work(scene).await;
    order
}

async fn read(scene: &Scene, id: &Value) -> Value {
    scene.get(&format!("/orders/{}", id.as_str().unwrap())).await.ok(200).json()
}

/// The order that renewed this one's certificate.
pub(super) async fn next(scene: &Scene, order: &Value) -> Option<Value> {
    match &read(scene, &order["id"]).await["replacedBy"] {
        Value::Null => None,
        next => Some(read(scene, next).await),
    }
}

async fn next_job(scene: &Scene) -> Option<i64> {
    let next = scene.app.engine.store().next_job(&[JobKind::RestRenewal]).await.unwrap();
    next.map(|at| at.unix() - scene.clock.now().unix())
}

async fn change_status(scene: &Scene, order: &Value, verb: &str) {
    let path = format!("/certificates/{}/{verb}", order["certificateId"].as_str().unwrap());
    scene.post(&path, &json!({})).await.ok(200);
}

async fn actions(scene: &Scene, action: &str) -> Vec<Value> {
    scene.audit().await.into_iter().filter(|record| record["action"] == action).collect()
}

/// Has the method tell one webhook.
fn with_webhook(scene: &Scene) {
    let before = scene.app.serving();
    scene.app.serve(Serving::default());
    let notice = CompiledNotice {
        url: "http://127.0.0.1:1/".into(),
        secret: Secret::new("a key that both sides have"),
        before: vec![Duration::from_secs(60)],
    };
    let notices = [(scene.method.name.clone(), vec![notice])].into();
    scene.app.serve(Serving { notices, ..Arc::into_inner(before).unwrap() });
}

/// What webhooks are to be told.
async fn messages(scene: &Scene) -> Vec<Value> {
    let lease = JobLease { owner: "somebody".into(), until: scene.clock.now().plus_seconds(300) };
    let store = scene.app.engine.store();
    let jobs = store.lease_jobs(&[JobKind::Webhook], &lease, scene.clock.now(), 10).await.unwrap();
    jobs.iter().map(|job| serde_json::from_slice(&job.payload).unwrap()).collect()
}

#[tokio::test]
async fn what_the_server_could_not_renew_is_refused_with_the_order() {
    let scene = Scene::new().await;
    for bad in ["", "6", "h", "6h6d", "-6h", "0s", "16h", "24h", "30d", "99999999d"] {
        ask(&scene, bad).await.invalid("/renewal/renewBefore", "");
    }
    let (_, csr) = csr(&["a.acme.example"]);
    let wish = json!({ "renewBefore": "6h" });
    let by_csr = json!({ "csr": csr, "renewal": wish });
    scene.post("/orders", &by_csr).await.invalid("/renewal", "keys it makes");
    scene.post("/certificates", &by_csr).await.invalid("/renewal", "keys it makes");
    let waiting = json!({ "domains": ["a.acme.example"], "renewal": wish });
    scene.post("/orders", &waiting).await.invalid("/renewal", "keys it makes");
    for malformed in [json!(null), json!(["6h"]), json!("6h"), json!({}), json!({ "renewBefore": 6 })] {
        let body = json!({ "domains": ["a.acme.example"], "serverKey": true, "renewal": malformed });
        let answer = scene.post("/orders", &body).await;
        assert_eq!(answer.status, 422, "{malformed}: {}", answer.text());
    }
    let short = json!({
        "domains": ["a.acme.example"], "serverKey": true, "product": "short",
        "renewal": { "renewBefore": "1h" },
    });
    scene.post("/orders", &short).await.invalid("/renewal/renewBefore", "at most 2");
    assert_eq!((scene.issued().await, next_job(&scene).await), (0, None));
}

#[tokio::test]
async fn names_that_are_proved_with_each_order_are_not_renewed() {
    let scene = Scene::with(|policy| policy.proof_of_control = ProofOfControl::Required).await;
    ask(&scene, "6h").await.invalid("/renewal", "proved");
}

#[tokio::test]
async fn a_certificate_is_renewed_when_it_is_time_and_so_is_the_next_one() {
    let scene = Scene::new().await;
    let mut order = ordered(&scene).await;
    for round in 1..=3 {
        wait_and_work(&scene, 17 * HOUR).await;
        assert_eq!(next(&scene, &order).await, None, "{round}");
        wait_and_work(&scene, HOUR + 60).await;
        let renewed = next(&scene, &order).await.unwrap();
        assert_eq!((&renewed["status"], &renewed["key"]), (&json!("issued"), &json!("held")));
        assert_eq!(renewed["replaces"], order["certificateId"]);
        assert_eq!(renewed["domains"], order["domains"]);
        assert_eq!(renewed["requester"], order["requester"]);
        assert_eq!(renewed["renewal"], json!({ "renewBefore": "6h" }));
        assert_eq!(scene.issued().await, 1 + round);
        order = renewed;
    }
    let record = actions(&scene, "certificateIssued").await.pop().unwrap();
    assert_eq!(record["actor"]["name"], order["requester"]);
    assert_eq!(record["actor"]["address"], Value::Null, "{record}");
}

#[tokio::test]
async fn the_key_of_a_renewal_is_fetched_once_by_whoever_ordered() {
    let scene = Scene::new().await;
    let order = ordered(&scene).await;
    wait_and_work(&scene, 18 * HOUR + 60).await;
    let renewed = next(&scene, &order).await.unwrap();
    let path = format!("/orders/{}/key", renewed["id"].as_str().unwrap());
    let body = json!({ "format": "pkcs8", "passphrase": PASSPHRASE });
    let (other, _) = scene.another_key(&RestAction::ALL).await;
    assert_eq!(scene.post_with(&other, &path, &body).await.status, 403);
    scene.post(&path, &body).await.ok(200);
    assert_eq!(scene.post(&path, &body).await.status, 410);
}

#[tokio::test]
async fn a_revoked_certificate_is_not_renewed_and_a_held_one_once_it_is_released() {
    let scene = Scene::new().await;
    let (revoked, held) = (ordered(&scene).await, ordered(&scene).await);
    change_status(&scene, &revoked, "revoke").await;
    change_status(&scene, &held, "hold").await;
    wait_and_work(&scene, 19 * HOUR).await;
    assert_eq!(scene.issued().await, 2);
    change_status(&scene, &held, "release").await;
    wait_and_work(&scene, 600).await;
    assert!(next(&scene, &held).await.is_some());
    assert_eq!(next(&scene, &revoked).await, None);
    assert_eq!(scene.issued().await, 3);
}

#[tokio::test]
async fn whoever_could_order_nothing_now_gets_nothing_until_they_can() {
    type Change = fn(&mut CredentialRow);
    let changes: [Change; 3] = [
        |row| row.state = CredentialState::Revoked,
        |row| row.expires_at = Some(row.created_at),
        |row| row.actions = RestActions::default(),
    ];
    for change in changes {
        let scene = Scene::new().await;
        let order = ordered(&scene).await;
        let good = scene.credential_row().await;
        let mut bad = good.clone();
        change(&mut bad);
        let bad = scene.put_credential(bad).await;
        wait_and_work(&scene, 19 * HOUR).await;
        assert_eq!(scene.issued().await, 1);
        let row = scene.order_row(&order).await;
        let problem = row.renewal.unwrap().problem.unwrap();
        assert!(problem.contains("could order nothing now"), "{problem}");
        scene.put_credential(CredentialRow { version: bad.version, ..good }).await;
        wait_and_work(&scene, 60).await;
        assert!(next(&scene, &order).await.is_some());
        assert_eq!(scene.issued().await, 2);
    }
}

#[tokio::test]
async fn what_could_not_be_renewed_until_its_end_is_given_up_on_the_record() {
    let scene = Scene::new().await;
    let order = ordered(&scene).await;
    let row = scene.credential_row().await;
    scene.put_credential(CredentialRow { state: CredentialState::Revoked, ..row.clone() }).await;
    wait_and_work(&scene, 19 * HOUR).await;
    assert_eq!(actions(&scene, "renewalFailed").await, Vec::<Value>::new());
    wait_and_work(&scene, 6 * HOUR).await;
    assert_eq!((scene.issued().await, next_job(&scene).await), (1, None));
    let records = actions(&scene, "renewalFailed").await;
    let reason = records[0]["reason"].as_str().unwrap();
    assert!(reason.contains("revoked"), "{reason}");
    assert_eq!((records.len(), &records[0]["actor"]["kind"]), (1, &json!("server")));
    assert_eq!(scene.order_row(&order).await.renewal.unwrap().problem.as_deref(), Some(reason));
}

#[tokio::test]
async fn the_profile_judges_each_renewal_by_what_it_says_then() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let before = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let order = ordered(&before).await;
    let setup = Setup { store, ..Setup::default() };
    let now = Scene::of(setup.policy(|policy| policy.keys.allowed.clear())).await;
    wait_and_work(&now, 19 * HOUR).await;
    assert_eq!(now.issued().await, 1);
    let problem = before.order_row(&order).await.renewal.unwrap().problem.unwrap();
    assert!(problem.contains("keys"), "{problem}");
    // As it was, it is allowed.
    wait_and_work(&before, 19 * HOUR + 60).await;
    assert_eq!(before.issued().await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_replicas_one_renews() {
    let scene = Scene::new().await;
    let orders = [ordered(&scene).await, ordered(&scene).await, ordered(&scene).await];
    scene.clock.forward(19 * HOUR);
    futures::future::join_all((0..4).map(|_| work(&scene))).await;
    for order in &orders {
        assert!(next(&scene, order).await.is_some());
    }
    assert_eq!(scene.issued().await, 6);
}

#[tokio::test]
async fn a_job_of_a_replica_that_died_is_done_by_another() {
    let scene = Scene::new().await;
    let order = ordered(&scene).await;
    scene.clock.forward(19 * HOUR);
    let lease = JobLease { owner: "dead".into(), until: scene.clock.now().plus_seconds(300) };
    let store = scene.app.engine.store();
    let taken = store.lease_jobs(&[JobKind::RestRenewal], &lease, scene.clock.now(), 9).await.unwrap();
    assert_eq!(taken.len(), 1);
    work(&scene).await;
    assert_eq!(scene.issued().await, 1);
    wait_and_work(&scene, 301).await;
    assert!(next(&scene, &order).await.is_some());
    assert_eq!(scene.issued().await, 2);
}

#[tokio::test]
async fn a_replica_that_dies_after_the_commit_leaves_nothing_but_the_message() {
    let scene = Scene::new().await;
    let order = ordered(&scene).await;
    wait_and_work(&scene, 19 * HOUR).await;
    let renewed = next(&scene, &order).await.unwrap();
    // As if its job had not ended.
    with_webhook(&scene);
    let id = scene.order_row(&order).await.id;
    let writes = vec![Write::PutJob(Box::new(renewal_job(&id, scene.clock.now())))];
    scene.app.engine.store().commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    work(&scene).await;
    work(&scene).await;
    assert_eq!(scene.issued().await, 2);
    let told = messages(&scene).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["topic"]["renewed"]["order"], renewed["id"]);
}

#[tokio::test]
async fn what_a_person_renewed_is_not_renewed_again_and_goes_on_by_itself() {
    let scene = Scene::new().await;
    with_webhook(&scene);
    let order = ordered(&scene).await;
    scene.clock.forward(HOUR);
    let path = format!("/certificates/{}/renew", order["certificateId"].as_str().unwrap());
    let by_hand = scene.post(&path, &json!({})).await.ok(201).json()["order"].clone();
    assert_eq!(by_hand["renewal"], json!({ "renewBefore": "6h" }));
    work(&scene).await;
    wait_and_work(&scene, 17 * HOUR + 120).await;
    assert_eq!((scene.issued().await, messages(&scene).await.len()), (2, 0));
    wait_and_work(&scene, HOUR).await;
    assert!(next(&scene, &by_hand).await.is_some());
    assert_eq!((scene.issued().await, messages(&scene).await.len()), (3, 1));
}

/// With the order that waits for a person, and its request.
async fn waiting_for_a_person() -> (Scene, Value, Value) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let before = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let order = ordered(&before).await;
    let setup = Setup { store, ..Setup::default() };
    let scene = Scene::of(setup.policy(|policy| policy.approval = Approval::Manual)).await;
    wait_and_work(&scene, 19 * HOUR).await;
    wait_and_work(&scene, 600).await;
    let shown = read(&scene, &order["id"]).await;
    let pending = read(&scene, &shown["renewal"]["order"]).await;
    assert_eq!((&pending["status"], scene.issued().await), (&json!("pending"), 1));
    (scene, order, pending)
}

#[tokio::test]
async fn a_renewal_that_a_person_approves_is_made_then() {
    let (scene, order, pending) = waiting_for_a_person().await;
    let path = format!("/requests/{}/approve", pending["requestId"].as_str().unwrap());
    let (person, _) = scene.another_key(&[RestAction::Approve]).await;
    scene.post_with(&person, &path, &json!({})).await.ok(200);
    wait_and_work(&scene, 600).await;
    let renewed = next(&scene, &order).await.unwrap();
    assert_eq!((&renewed["id"], &renewed["status"]), (&pending["id"], &json!("issued")));
    assert_eq!(scene.issued().await, 2);
}

#[tokio::test]
async fn a_renewal_that_a_person_denies_is_not_asked_for_again() {
    let (scene, order, pending) = waiting_for_a_person().await;
    let path = format!("/requests/{}/deny", pending["requestId"].as_str().unwrap());
    let (person, _) = scene.another_key(&[RestAction::Approve]).await;
    scene.post_with(&person, &path, &json!({ "reason": "not any more" })).await.ok(200);
    wait_and_work(&scene, 600).await;
    assert_eq!((scene.issued().await, next_job(&scene).await), (1, None));
    let shown = read(&scene, &order["id"]).await;
    assert!(shown["renewal"]["reason"].as_str().unwrap().contains("not any more"), "{shown}");
    assert_eq!(actions(&scene, "renewalFailed").await.len(), 1);
    wait_and_work(&scene, HOUR).await;
    assert_eq!(actions(&scene, "certificateRequested").await.len(), 1);
}

#[tokio::test]
async fn webhooks_are_told_of_a_renewal_and_once_of_a_failure() {
    let scene = Scene::new().await;
    with_webhook(&scene);
    let order = ordered(&scene).await;
    let good = scene.credential_row().await;
    let revoked = CredentialRow { state: CredentialState::Revoked, ..good.clone() };
    let revoked = scene.put_credential(revoked).await;
    wait_and_work(&scene, 19 * HOUR).await;
    wait_and_work(&scene, HOUR).await;
    let failed = messages(&scene).await;
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert_eq!(failed[0]["topic"]["renewalFailed"]["order"], order["id"]);
    scene.put_credential(CredentialRow { version: revoked.version, ..good }).await;
    wait_and_work(&scene, HOUR).await;
    let renewed = next(&scene, &order).await.unwrap();
    let told = messages(&scene).await;
    let told = told.iter().find(|message| message["topic"]["renewed"].is_object()).unwrap();
    assert_eq!(told["topic"]["renewed"]["order"], renewed["id"]);
    let serials = (told["serial"].as_str().unwrap(), told["topic"]["renewed"]["replaces"].as_str().unwrap());
    assert!(renewed["certificateId"].as_str().unwrap().ends_with(serials.0));
    assert!(order["certificateId"].as_str().unwrap().ends_with(serials.1));
}

//! Where a person decides: the order is processing until then, and recovers whatever happens meanwhile.

use http::StatusCode;
use issuance::{
    approval::Verdict,
    identity::RequestId,
    policy::Approval,
    store::{Page, RequestFilter},
};
use serde_json::Value;

use super::scene::{Client, Scene, Setup, csr};

const NAMES: [&str; 1] = ["shop.acme.example"];

struct Waiting {
    scene: Scene,
    client: Client,
    /// Of the order.
    url: String,
    order: Value,
    csr: Vec<u8>,
}

impl Waiting {
    async fn new() -> Self {
        let setup = Setup::default().policy(|policy| policy.approval = Approval::Manual);
        let scene = Scene::of(setup).await;
        let client = scene.client().await;
        let answer = scene.new_order(&client, &NAMES).await.ok(StatusCode::CREATED);
        let (url, order) = (answer.location(), answer.json());
        let (_, csr) = csr(&NAMES);
        let finalized = scene.finalize(&client, &order, &csr).await.ok(StatusCode::OK);
        assert_eq!(finalized.json()["status"], "processing");
        assert_eq!(finalized.headers["retry-after"], "7");
        Self { scene, client, url, order, csr }
    }

    async fn request(&self) -> RequestId {
        let store = self.scene.app.engine.store();
        let rows = store.requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
        assert_eq!(rows.len(), 1, "one order is one request");
        rows[0].1.id.clone()
    }

    async fn decide(&self, verdict: Verdict, reason: Option<&str>) {
        let reason = reason.map(str::to_owned);
        self.scene.app.engine.decide(&self.request().await, verdict, "ann", reason).await.unwrap();
    }

    async fn status(&self, scene: &Scene) -> Value {
        scene.read(&self.client, &self.url).await.ok(StatusCode::OK).json()
    }
}

#[tokio::test]
async fn an_order_is_processing_until_somebody_approves_and_then_has_one_certificate() {
    let waiting = Waiting::new().await;
    let Waiting { scene, client, order, csr, .. } = &waiting;
    assert_eq!(waiting.status(scene).await["status"], "processing");
    let again = scene.finalize(client, order, csr).await.ok(StatusCode::OK);
    assert_eq!(again.json()["status"], "processing");
    waiting.decide(Verdict::Approve, None).await;
    let order = waiting.status(scene).await;
    assert_eq!(order["status"], "valid");
    scene.read(client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK);
    assert_eq!(waiting.status(scene).await, order);
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test]
async fn an_order_that_is_denied_is_invalid_and_says_why() {
    let waiting = Waiting::new().await;
    waiting.decide(Verdict::Deny, Some("not in the inventory")).await;
    for _ in 0..2 {
        let order = waiting.status(&waiting.scene).await;
        assert_eq!(order["status"], "invalid");
        assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:unauthorized");
        assert!(order["error"]["detail"].as_str().unwrap().contains("not in the inventory"));
    }
    let Waiting { scene, client, order, csr, .. } = &waiting;
    scene.finalize(client, order, csr).await.refused(403, "orderNotReady", "invalid");
}

#[tokio::test]
async fn a_restart_while_an_order_waits_loses_nothing() {
    let waiting = Waiting::new().await;
    let restarted = waiting.scene.replica();
    assert_eq!(waiting.status(&restarted).await["status"], "processing");
    waiting.decide(Verdict::Approve, None).await;
    let restarted = waiting.scene.replica();
    assert_eq!(waiting.status(&restarted).await["status"], "valid");
    assert_eq!(restarted.issued().await, 1);
}

#[tokio::test]
async fn another_request_for_an_order_that_waits_is_refused_and_changes_nothing() {
    let waiting = Waiting::new().await;
    let (_, other) = csr(&NAMES);
    let Waiting { scene, client, order, .. } = &waiting;
    for request in [&other[..], b"no request"] {
        scene.finalize(client, order, request).await.refused(403, "orderNotReady", "processing");
    }
    waiting.decide(Verdict::Approve, None).await;
    let order = waiting.status(scene).await;
    let chain = scene.read(client, order["certificate"].as_str().unwrap()).await.ok(StatusCode::OK).chain();
    let asked = pki::csr::UnverifiedCsr::from_der(&waiting.csr).unwrap().verify().unwrap();
    assert_eq!(chain[0].public_key(), asked.public_key());
}

#[tokio::test]
async fn what_is_approved_after_its_authorization_was_given_up_is_not_issued() {
    let waiting = Waiting::new().await;
    let Waiting { scene, client, order, .. } = &waiting;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let given_up = serde_json::json!({ "status": "deactivated" });
    scene.ask(client, authorization, &given_up).await.ok(StatusCode::OK);
    waiting.decide(Verdict::Approve, None).await;
    assert_eq!(waiting.status(scene).await["status"], "invalid");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn what_is_approved_after_its_authorization_ended_is_not_issued() {
    let waiting = Waiting::new().await;
    waiting.decide(Verdict::Approve, None).await;
    waiting.scene.clock.forward(31 * 86_400);
    let order = waiting.status(&waiting.scene).await;
    assert_eq!((&order["status"], waiting.scene.issued().await), (&"invalid".into(), 0));
    assert!(order["error"]["detail"].as_str().unwrap().contains("expired"), "{order}");
}

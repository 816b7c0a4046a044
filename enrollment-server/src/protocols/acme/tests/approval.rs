//! Where a person decides: the order is processing until then, and recovers whatever happens meanwhile.

use std::time::{Duration, Instant};

use hickory_resolver::proto::{op::ResponseCode, rr::RecordType};
use http::StatusCode;
use issuance::{
    approval::Verdict,
    identity::RequestId,
    policy::Approval,
    store::{Page, RequestFilter},
};
use serde_json::Value;

use super::{
    super::validation::tests::dns::Dns,
    csr::csr,
    scene::{Client, Scene, Setup},
};

const NAMES: [&str; 1] = ["shop.acme.example"];

struct Waiting {
    scene: Scene,
    client: Client,
    /// Of the order.
    url: String,
    order: Value,
    csr: Vec<u8>,
}

fn reading_caa(setup: Setup, dns: &Dns) -> Setup {
    let address = dns.address;
    setup.settings(move |settings| {
        settings.pre_authorized_names = crds::PreAuthorizedNames::Enabled;
        settings.caa = Some(vec!["ca.example".into()]);
        settings.validation.resolvers = vec![address];
        settings.validation.timeout = Duration::from_secs(2);
    })
}

impl Waiting {
    async fn new() -> Self {
        Self::of(Setup::default()).await
    }

    /// Where CAA records are asked for too.
    async fn with_caa() -> (Self, Dns) {
        let dns = Dns::new().await;
        (Self::of(reading_caa(Setup::default(), &dns)).await, dns)
    }

    async fn of(setup: Setup) -> Self {
        let scene = Scene::of(setup.policy(|policy| policy.approval = Approval::Manual)).await;
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

#[tokio::test]
async fn dns_is_not_asked_before_somebody_has_decided_nor_where_they_said_no() {
    let (waiting, dns) = Waiting::with_caa().await;
    let asked = dns.asked_for(RecordType::CAA).len();
    assert!(asked > 0, "it is asked when the order is finalized");
    dns.fails(NAMES[0], ResponseCode::ServFail);
    assert_eq!(waiting.status(&waiting.scene).await["status"], "processing");
    waiting.decide(Verdict::Deny, Some("not in the inventory")).await;
    let order = waiting.status(&waiting.scene).await;
    assert!(order["error"]["detail"].as_str().unwrap().contains("not in the inventory"), "{order}");
    assert_eq!(dns.asked_for(RecordType::CAA).len(), asked);
}

#[tokio::test]
async fn an_approved_order_waits_for_dns_that_does_not_answer_and_ends_where_it_says_no() {
    let (waiting, dns) = Waiting::with_caa().await;
    waiting.decide(Verdict::Approve, None).await;
    dns.fails(NAMES[0], ResponseCode::ServFail);
    for _ in 0..2 {
        let answer = waiting.scene.read(&waiting.client, &waiting.url).await.ok(StatusCode::OK);
        assert_eq!(
            (&answer.json()["status"], &answer.headers["retry-after"]),
            (&"processing".into(), &"7".parse().unwrap())
        );
    }
    let again = waiting.scene.finalize(&waiting.client, &waiting.order, &waiting.csr).await;
    assert_eq!(again.ok(StatusCode::OK).json()["status"], "processing");
    dns.fails(NAMES[0], ResponseCode::NoError);
    dns.caa("acme.example", false, "issue", "other.example");
    let order = waiting.status(&waiting.scene).await;
    assert_eq!((&order["status"], waiting.scene.issued().await), (&"invalid".into(), 0));
    assert_eq!(order["error"]["type"], "urn:ietf:params:acme:error:caa");
}

#[tokio::test]
async fn an_approved_order_is_issued_once_dns_answers_again() {
    let (waiting, dns) = Waiting::with_caa().await;
    waiting.decide(Verdict::Approve, None).await;
    dns.fails(NAMES[0], ResponseCode::ServFail);
    assert_eq!(waiting.status(&waiting.scene).await["status"], "processing");
    dns.fails(NAMES[0], ResponseCode::NoError);
    assert_eq!(waiting.status(&waiting.scene).await["status"], "valid");
}

#[tokio::test]
async fn many_names_that_dns_is_silent_about_take_no_longer_than_one() {
    let dns = Dns::new().await;
    let scene = Scene::of(reading_caa(Setup::default(), &dns)).await;
    let client = scene.client().await;
    let names: Vec<String> = (0..40).map(|number| format!("n{number}.shop.acme.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.iter().for_each(|name| dns.is_silent_about(name));
    let order = scene.new_order(&client, &names).await.ok(StatusCode::CREATED);
    let (url, order) = (order.location(), order.json());
    let begun = Instant::now();
    scene.finalize(&client, &order, &csr(&names).1).await.refused(400, "dns", "in time");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    assert_eq!(scene.read(&client, &url).await.json()["status"], "ready");
}

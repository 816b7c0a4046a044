//! Proof of control: names are proved as over ACME, and without that nothing is issued.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use issuance::{
    Error,
    acme::ChallengeType,
    credential::CredentialState,
    policy::{Approval, ProofOfControl},
    ports::Clock as _,
    rest::{OrderStatus, RestAction},
    store::{Commit, Expect, JobKind, Write},
};
use resolve::{CompiledDomainValidation, CompiledValidation};
use serde_json::{Value, json};

use super::{
    super::super::acme::validation::{
        Claimant, Planning,
        tests::{
            CLOSED, OPEN,
            dns::Dns,
            web::{Say, Web},
        },
    },
    scene::{Answer, Scene, Setup, csr, csr_with},
};
use crate::jobs::{Renewal, Runner};

pub(super) const A: &str = "a.acme.example";
pub(super) const B: &str = "b.acme.example";

/// How long a proof counts.
const LIFETIME: i64 = 86_400;

/// A server whose products ask for proof, and where names lead.
pub(super) struct Proving {
    pub(super) scene: Scene,
    dns: Dns,
    web: Web,
    /// What is said to whoever asks for these paths; anything else is not found.
    files: Arc<Mutex<HashMap<String, Say>>>,
}

#[derive(Debug)]
struct NothingToRenew;

#[async_trait]
impl Renewal for NothingToRenew {
    async fn renew(&self) -> Result<i64, Error> {
        Ok(3600)
    }
}

impl Proving {
    pub(super) async fn new() -> Self {
        Self::with(None, Approval::Automatic).await
    }

    /// `caa`: the name of the authority.
    async fn with(caa: Option<&str>, approval: Approval) -> Self {
        let dns = Dns::new().await;
        for name in [A, B] {
            dns.a(name, OPEN);
        }
        let files: Arc<Mutex<HashMap<String, Say>>> = Arc::default();
        let said = files.clone();
        let web = Web::on(OPEN, 0, move |path| {
            said.lock().unwrap().get(path).cloned().unwrap_or_else(|| Say::status("404 Not Found"))
        });
        let web = web.await;
        let settings = CompiledDomainValidation {
            challenges: vec![ChallengeType::Http01, ChallengeType::Dns01],
            validation: CompiledValidation {
                http_port: web.port,
                resolvers: vec![dns.address],
                allowed_networks: vec!["127.0.0.2/32".parse().unwrap()],
                ..CompiledValidation::default()
            },
            caa: caa.map(|name| vec![name.to_owned()]),
            authorization_lifetime: Duration::from_secs(LIFETIME.unsigned_abs()),
        };
        let setup = requiring(approval);
        let setup = setup.settings(move |compiled, _| compiled.domain_validation = Some(settings.clone()));
        Self { scene: Scene::of(setup).await, dns, web, files }
    }

    pub(super) async fn order(&self, body: &Value) -> Value {
        self.scene.post("/orders", body).await.ok(201).json()
    }

    pub(super) async fn read(&self, order: &Value) -> Value {
        self.scene.get(&path(order)).await.ok(200).json()
    }

    /// Puts the files of an order where they belong.
    pub(super) fn put_files(&self, order: &Value) {
        let mut files = self.files.lock().unwrap();
        for authorization in order["authorizations"].as_array().unwrap() {
            for challenge in authorization["challenges"].as_array().unwrap() {
                if let Some(url) = challenge["url"].as_str() {
                    let path = url.strip_prefix("http://").unwrap().split_once('/').unwrap().1;
                    let content = challenge["keyAuthorization"].as_str().unwrap();
                    files.insert(format!("/{path}"), Say::ok(content));
                }
            }
        }
    }

    /// Says that a challenge can be looked at, and waits until that was done.
    pub(super) async fn answer(&self, order: &Value, place: usize, kind: &str) -> Answer {
        let answer = self.scene.post(&challenge_path(order, place, kind), &json!({})).await;
        self.scene.app.acme.validations.idle().await;
        answer
    }

    pub(super) async fn prove(&self, order: &Value, place: usize) {
        self.put_files(order);
        let proved = self.answer(order, place, "http-01").await.ok(200).json();
        let current = self.read(order).await;
        assert_eq!(current["authorizations"][place]["status"], "valid", "{proved} {current}");
    }

    /// Does what is due.
    pub(super) async fn work(&self) {
        Runner::new(self.scene.app.clone(), Arc::new(NothingToRenew)).unwrap().validate_due().await;
    }

    async fn next_job(&self) -> Option<i64> {
        let next = self.scene.app.engine.store().next_job(&[JobKind::AcmeValidation]).await.unwrap();
        next.map(|at| at.unix() - self.scene.clock.now().unix())
    }
}

fn requiring(approval: Approval) -> Setup {
    Setup::default().policy(move |policy| {
        policy.proof_of_control = ProofOfControl::Required;
        policy.approval = approval;
    })
}

pub(super) fn path(order: &Value) -> String {
    format!("/orders/{}", order["id"].as_str().unwrap())
}

fn challenge_path(order: &Value, place: usize, kind: &str) -> String {
    format!("{}/authorizations/{place}/challenges/{kind}", path(order))
}

#[tokio::test]
async fn an_order_with_its_request_is_issued_once_all_names_are_proved_and_not_before() {
    let proving = Proving::new().await;
    let (_, csr) = csr(&[A, B]);
    let order = proving.order(&json!({ "csr": csr })).await;
    assert_eq!(order["status"], "awaitingProof", "{order}");
    let challenge = &order["authorizations"][0]["challenges"][0];
    assert_eq!((&challenge["type"], &challenge["status"]), (&json!("http-01"), &json!("pending")));
    let token = challenge["token"].as_str().unwrap();
    let port = proving.web.port;
    assert_eq!(challenge["url"], format!("http://{A}:{port}/.well-known/acme-challenge/{token}"));
    assert_eq!(challenge["answer"], format!("/api/v1{}", challenge_path(&order, 0, "http-01")));
    assert!(challenge["keyAuthorization"].as_str().unwrap().starts_with(&format!("{token}.")));
    proving.prove(&order, 0).await;
    assert_eq!(proving.read(&order).await["status"], "awaitingProof");
    assert_eq!(proving.scene.issued().await, 0);
    let listed = proving.scene.get("/orders?status=awaitingProof").await.ok(200).json();
    let listed = &listed["items"][0];
    assert_eq!((&listed["id"], &listed["domains"]), (&order["id"], &order["domains"]));
    assert_eq!((listed.get("authorizations"), listed.get("accountUri")), (None, None));
    proving.prove(&order, 1).await;
    let issued = proving.read(&order).await;
    assert_eq!((issued["status"].as_str(), proving.scene.issued().await), (Some("issued"), 1), "{issued}");
    assert_eq!(issued["authorizations"][1]["challenges"].as_array().unwrap().len(), 1);
    let row = proving.scene.order_row(&order).await;
    let (issuer, serial) = row.certificate().unwrap();
    let row = proving.scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    assert_eq!(row.subject_alt_names, [format!("dns:{A}"), format!("dns:{B}")]);
    let audit = proving.scene.audit().await;
    let valid: Vec<_> = audit.iter().filter(|event| event["action"] == "authorizationValid").collect();
    assert_eq!(valid.len(), 2, "{audit:?}");
    assert_eq!(valid[0]["credential"], proving.scene.credential.id.as_str());
    assert_eq!((proving.next_job().await, proving.web.heads().len()), (None, 2));
}

#[tokio::test]
async fn names_may_be_proved_before_there_is_a_request_or_when_it_comes() {
    let proving = Proving::new().await;
    let order = proving.order(&json!({ "domains": [A] })).await;
    assert_eq!(order["status"], "awaitingCsr");
    proving.prove(&order, 0).await;
    let (_, request) = csr(&[A]);
    let put = format!("{}/csr", path(&order));
    let issued = proving.scene.put(&put, &json!({ "csr": request })).await.ok(200).json();
    assert_eq!(issued["status"], "issued", "{issued}");

    let order = proving.order(&json!({})).await;
    assert!(order.get("authorizations").is_none(), "{order}");
    let (_, request) = csr(&[B]);
    let put = format!("{}/csr", path(&order));
    let order = proving.scene.put(&put, &json!({ "csr": request })).await.ok(200).json();
    assert_eq!((&order["status"], &order["authorizations"][0]["name"]), (&json!("awaitingProof"), &json!(B)));
    // The same again is no other one, and another one is refused.
    assert_eq!(proving.scene.put(&put, &json!({ "csr": request })).await.ok(200).json(), order);
    let (_, other) = csr(&[B]);
    proving.scene.put(&put, &json!({ "csr": other })).await.refused(409, "conflict", "awaitingProof");
    proving.prove(&order, 0).await;
    assert_eq!(proving.read(&order).await["status"], "issued");
}

#[tokio::test]
async fn a_key_made_here_waits_with_its_order() {
    let proving = Proving::new().await;
    let body = json!({ "domains": [A], "serverKey": true });
    let answer = proving.scene.post("/certificates", &json!({ "domains": [B] })).await.ok(202).json();
    assert_eq!(answer["order"]["status"], "awaitingProof", "{answer}");
    let order = proving.order(&body).await;
    assert_eq!((&order["status"], &order["key"]), (&json!("awaitingProof"), &json!("held")));
    let key = format!("{}/key", path(&order));
    let fetch = json!({ "format": "pkcs8", "passphrase": "correct-horse" });
    assert_eq!(proving.scene.post(&key, &fetch).await.status.as_u16(), 409);
    proving.prove(&order, 0).await;
    assert_eq!(proving.read(&order).await["status"], "issued");
    proving.scene.post(&key, &fetch).await.ok(200);
}

#[tokio::test]
async fn a_renewal_proves_its_names_anew_and_there_is_one() {
    let proving = Proving::new().await;
    let order = proving.order(&json!({ "domains": [A], "serverKey": true })).await;
    proving.prove(&order, 0).await;
    let issued = proving.read(&order).await;
    let renew = format!("/certificates/{}/renew", issued["certificateId"].as_str().unwrap());
    let answer = proving.scene.post(&renew, &json!({})).await.ok(202).json();
    let renewal = &answer["order"];
    assert_eq!(
        (&renewal["status"], &renewal["replaces"]),
        (&json!("awaitingProof"), &issued["certificateId"])
    );
    assert_eq!(proving.scene.post(&renew, &json!({})).await.status.as_u16(), 409);
    proving.prove(renewal, 0).await;
    assert_eq!(proving.read(renewal).await["status"], "issued");
    assert_eq!(proving.read(&order).await["replacedBy"], renewal["id"]);
    assert_eq!(proving.scene.issued().await, 2);
}

#[tokio::test]
async fn a_wildcard_is_proved_by_dns_alone() {
    let proving = Proving::new().await;
    let name = format!("*.{A}");
    let (_, csr) = csr(&[&name]);
    let order = proving.order(&json!({ "csr": csr })).await;
    let authorization = &order["authorizations"][0];
    let challenges = authorization["challenges"].as_array().unwrap();
    assert_eq!((&authorization["name"], challenges.len()), (&json!(name), 1));
    assert_eq!(challenges[0]["recordName"], format!("_acme-challenge.{A}"));
    let missing = challenge_path(&order, 0, "http-01");
    proving.scene.post(&missing, &json!({})).await.refused(404, "not-found", "challenge");
    proving.dns.txt(&format!("_acme-challenge.{A}"), &[challenges[0]["recordValue"].as_str().unwrap()]);
    proving.answer(&order, 0, "dns-01").await.ok(200);
    assert_eq!(proving.read(&order).await["status"], "issued");
}

#[tokio::test]
async fn a_validation_is_tried_again_and_fails_for_good_with_its_order() {
    let proving = Proving::new().await;
    let (_, request) = csr(&[A]);
    let order = proving.order(&json!({ "csr": request })).await;
    let answer = proving.answer(&order, 0, "http-01").await.ok(200);
    let current = proving.read(&order).await;
    let challenge = &current["authorizations"][0]["challenges"][0];
    assert_eq!(challenge["status"], "processing", "{}", answer.text());
    assert!(challenge["error"].as_str().unwrap().contains("404"), "{challenge}");
    // Said again, it changes nothing, and another way has to wait.
    proving.answer(&order, 0, "http-01").await.ok(200);
    proving.answer(&order, 0, "dns-01").await.refused(409, "conflict", "is being validated");
    assert_eq!(proving.web.heads().len(), 1);
    proving.put_files(&order);
    proving.scene.clock.forward(3);
    proving.work().await;
    assert_eq!(proving.read(&order).await["status"], "issued");

    proving.files.lock().unwrap().clear();
    let (_, request) = csr(&[B]);
    let order = proving.order(&json!({ "csr": request })).await;
    proving.answer(&order, 0, "http-01").await.ok(200);
    for _ in 0..2 {
        proving.scene.clock.forward(30);
        proving.work().await;
    }
    let failed = proving.read(&order).await;
    assert_eq!(failed["status"], "failed", "{failed}");
    assert!(failed["reason"].as_str().unwrap().starts_with(&format!("control of {B} was not proved: ")));
    assert_eq!((proving.next_job().await, proving.scene.issued().await), (None, 1));
}

#[tokio::test]
async fn a_validation_whose_process_died_is_done_by_another() {
    let proving = Proving::new().await;
    let (_, request) = csr(&[A]);
    let order = proving.order(&json!({ "csr": request })).await;
    proving.put_files(&order);
    let mut row = proving.scene.order_row(&order).await;
    let (version, now) = (row.version, proving.scene.clock.now());
    row.start_challenge(0, ChallengeType::Http01, now).unwrap();
    let serving = proving.scene.app.serving();
    let control = serving.rest.get(&proving.scene.method.name).unwrap().control.as_ref().unwrap();
    let claimant = Claimant::Requester("thumbprint".into());
    let planning = Planning { order: (&row.id).into(), place: 0, claimant, account_uri: "x/thumbprint" };
    let planned = proving.scene.app.acme.validations.plan(planning, &control.validator, now);
    let expect = vec![Expect::RestOrderVersion { id: row.id.clone(), version }];
    let writes = vec![Write::PutRestOrder(Box::new(row)), planned.write()];
    let commit = Commit { expect, writes, audit: Vec::new() };
    proving.scene.app.engine.store().commit(commit).await.unwrap().unwrap();
    drop(planned);
    proving.work().await;
    assert_eq!(proving.web.heads().len(), 0);
    proving.scene.clock.forward(30);
    proving.work().await;
    assert_eq!(proving.read(&order).await["status"], "issued");
}

#[tokio::test]
async fn what_is_inside_is_not_contacted_and_proves_nothing() {
    let proving = Proving::new().await;
    let inside = Web::on(CLOSED, proving.web.port, |_| Say::status("200 OK")).await;
    proving.dns.clear(A);
    proving.dns.a(A, CLOSED);
    for name in [A, "192.0.2.1"] {
        let (_, request) = csr(&[name]);
        let order = proving.order(&json!({ "csr": request })).await;
        proving.put_files(&order);
        proving.answer(&order, 0, "http-01").await.ok(200);
        let failed = proving.read(&order).await;
        assert_eq!(failed["status"], "failed", "{failed}");
    }
    assert_eq!((inside.heads().len(), proving.scene.issued().await), (0, 0));
}

#[tokio::test]
async fn only_whoever_ordered_proves_and_only_what_the_order_has() {
    let proving = Proving::new().await;
    let (scene, (_, request)) = (&proving.scene, csr(&[A]));
    let order = proving.order(&json!({ "csr": request })).await;
    proving.put_files(&order);
    let path = challenge_path(&order, 0, "http-01");
    let (other, _) = scene.another_key(&RestAction::ALL).await;
    assert_eq!(scene.post_with(&other, &path, &json!({})).await.status.as_u16(), 403);
    scene.post_with(&scene.other_key, &path, &json!({})).await.refused(404, "not-found", "order");
    let (reader, _) = scene.another_key(&[RestAction::Read]).await;
    scene.post_with(&reader, &path, &json!({})).await.refused(403, "action-not-allowed", "request");
    scene.post(&path, &json!({ "x": 1 })).await.invalid("/x", "");
    for wrong in [
        challenge_path(&order, 1, "http-01"),
        challenge_path(&order, 0, "tls-alpn-01"),
        challenge_path(&order, 0, "http-1"),
        path.replace("/0/", "/-1/"),
    ] {
        assert_eq!(scene.post(&wrong, &json!({})).await.status.as_u16(), 404, "{wrong}");
    }
    assert_eq!((proving.web.heads().len(), proving.next_job().await), (0, None));
    // What others look at is not issued to them.
    proving.prove(&order, 0).await;
    assert_eq!(scene.get_with(&other, &self::path(&order)).await.ok(200).json()["status"], "issued");
}

#[tokio::test]
async fn a_request_for_other_names_than_those_that_were_proved_is_refused() {
    let proving = Proving::new().await;
    let order = proving.order(&json!({ "domains": [A] })).await;
    proving.prove(&order, 0).await;
    let put = format!("{}/csr", path(&order));
    let (key, other) = csr(&[B]);
    proving.scene.put(&put, &json!({ "csr": other })).await.invalid("/domains", B);
    let wider = csr_with(&key, &[A, B], None);
    proving.scene.put(&put, &json!({ "csr": wider })).await.invalid("/domains", B);
    let hidden = csr_with(&key, &[A], Some(B));
    let refused = proving.scene.put(&put, &json!({ "csr": hidden })).await;
    refused.refused(403, "refused", "proofOfControl");
    assert_eq!(refused.json()["rule"], "subjectAltNames");
    assert_eq!(proving.scene.issued().await, 0);
}

#[tokio::test]
async fn a_proof_counts_for_as_long_as_the_method_says() {
    let proving = Proving::new().await;
    let early = proving.order(&json!({ "domains": [A] })).await;
    proving.prove(&early, 0).await;
    let (_, request) = csr(&[A, B]);
    let half = proving.order(&json!({ "csr": request })).await;
    proving.prove(&half, 0).await;
    proving.scene.clock.forward(LIFETIME);
    let (_, request) = csr(&[A]);
    let put = format!("{}/csr", path(&early));
    let refused = proving.scene.put(&put, &json!({ "csr": request })).await;
    refused.refused(409, "conflict", &format!("the authorization for {A} is expired"));
    let half = proving.read(&half).await;
    assert_eq!(
        (half["status"].as_str(), half["authorizations"][0]["status"].as_str()),
        (Some("failed"), Some("expired"))
    );
    assert_eq!(proving.scene.issued().await, 0);
}

#[tokio::test]
async fn a_person_decides_on_what_is_proved_and_not_before() {
    let proving = Proving::with(None, Approval::Manual).await;
    let (_, request) = csr(&[A]);
    let order = proving.order(&json!({ "csr": request })).await;
    assert_eq!(order["status"], "awaitingProof");
    proving.prove(&order, 0).await;
    let order = proving.read(&order).await;
    assert_eq!(order["status"], "pending", "{order}");
    let id = order["requestId"].as_str().unwrap();
    let (person, _) = proving.scene.another_key(&[RestAction::Approve]).await;
    // By then the proof is none any more.
    proving.scene.clock.forward(LIFETIME);
    proving.scene.post_with(&person, &format!("/requests/{id}/approve"), &json!({})).await.ok(200);
    let order = proving.read(&order).await;
    assert_eq!((order["status"].as_str(), proving.scene.issued().await), (Some("failed"), 0), "{order}");
    assert!(order["reason"].as_str().unwrap().starts_with("proofOfControl: "), "{order}");
}

#[tokio::test]
async fn a_method_that_validates_nothing_issues_nothing_that_is_to_be_proved() {
    let scene = Scene::of(requiring(Approval::Automatic)).await;
    let (_, request) = csr(&[A]);
    for (path, body) in [
        ("/orders", json!({ "csr": request })),
        ("/orders", json!({ "domains": [A] })),
        ("/orders", json!({ "domains": [A], "serverKey": true })),
        ("/certificates", json!({ "csr": request })),
        ("/certificates", json!({ "domains": [A] })),
    ] {
        scene.post(path, &body).await.refused(403, "refused", "rest.domainValidation");
    }
    let order = scene.post("/orders", &json!({})).await.ok(201).json();
    let put = format!("{}/csr", path(&order));
    scene.put(&put, &json!({ "csr": request })).await.refused(403, "refused", "rest.domainValidation");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn a_credential_that_was_revoked_proves_nothing() {
    let proving = Proving::new().await;
    let (_, request) = csr(&[A]);
    let order = proving.order(&json!({ "csr": request })).await;
    proving.answer(&order, 0, "http-01").await.ok(200);
    let mut row = proving.scene.credential_row().await;
    row.state = CredentialState::Revoked;
    proving.scene.put_credential(row).await;
    proving.put_files(&order);
    proving.scene.clock.forward(3);
    proving.work().await;
    let row = proving.scene.order_row(&order).await;
    assert_eq!(row.status(proving.scene.clock.now()), OrderStatus::Failed);
    assert_eq!(proving.web.heads().len(), 1);
}

#[tokio::test]
async fn the_owner_of_a_domain_has_the_last_word() {
    let proving = Proving::with(Some("ca.example"), Approval::Automatic).await;
    let early = proving.order(&json!({ "domains": [B] })).await;
    let uri = early["accountUri"].as_str().unwrap().to_owned();
    proving.dns.caa(B, false, "issue", &format!("ca.example; accounturi={uri}; validationmethods=http-01"));
    proving.prove(&early, 0).await;
    proving.dns.caa(A, false, "issue", "ca.example; accounturi=https://other.example/1");
    let (_, request) = csr(&[A]);
    let order = proving.order(&json!({ "csr": request })).await;
    proving.put_files(&order);
    proving.answer(&order, 0, "http-01").await.ok(200);
    let failed = proving.read(&order).await;
    assert!(failed["reason"].as_str().unwrap().contains("accounturi"), "{failed}");
    // RFC 8659 §4.1: after eight hours they are read again.
    proving.dns.clear(B);
    proving.dns.caa(B, false, "issue", "other.example");
    proving.scene.clock.forward(8 * 3600);
    let (_, request) = csr(&[B]);
    let put = format!("{}/csr", path(&early));
    let refused = proving.scene.put(&put, &json!({ "csr": request })).await;
    refused.refused(403, "refused", "rest.domainValidation.caa");
    proving.dns.clear(B);
    proving.dns.caa(B, false, "issue", "ca.example");
    let issued = proving.scene.put(&put, &json!({ "csr": request })).await.ok(200).json();
    assert_eq!(issued["status"], "issued", "{issued}");
}

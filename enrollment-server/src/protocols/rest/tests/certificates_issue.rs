//! Certificates in one call, with the keys that are made for them, and their renewals.

use std::sync::Arc;

use http::{
    Method as HttpMethod,
    header::{CACHE_CONTROL, LOCATION, RETRY_AFTER},
};
use issuance::{
    approval::Verdict,
    credential::{CredentialRow, CredentialState},
    identity::CertificateId,
    policy::Approval,
    rest::{OrderKey, OrderState, RestAction},
    store::{Commit, Store, Write, memory::MemoryStore},
};
use pki::pem;
use serde_json::{Value, json};

use super::{
    openssl::Files,
    scene::{Answer, Scene, Setup, certificate_of, csr, request, with_json},
};

const PASSPHRASE: &str = "correct horse battery";

async fn issue(scene: &Scene, body: &Value) -> Answer {
    scene.post("/certificates", body).await
}

async fn issue_named(scene: &Scene, key: &str, name: &str, body: &Value) -> Answer {
    let request = request(HttpMethod::POST, "/certificates", key).header("Idempotency-Key", name);
    scene.send(with_json(request, body)).await
}

/// A certificate whose key was made here, as it is answered.
async fn keyed(scene: &Scene, names: &[&str]) -> Value {
    issue(scene, &json!({ "domains": names })).await.ok(201).json()
}

fn id(issued: &Value) -> String {
    issued["certificate"]["id"].as_str().unwrap().to_owned()
}

async fn renew(scene: &Scene, id: &str, body: &Value) -> Answer {
    scene.post(&format!("/certificates/{id}/renew"), body).await
}

async fn shown(scene: &Scene, id: &str) -> Value {
    scene.get(&format!("/certificates/{id}")).await.ok(200).json()
}

#[tokio::test]
async fn a_request_gets_its_certificate_in_one_call() {
    let scene = Scene::new().await;
    let (key, csr) = csr(&["a.acme.example"]);
    let answer = issue(&scene, &json!({ "csr": csr, "validityDays": 1 })).await.ok(201);
    let issued = answer.json();
    assert_eq!(answer.headers[LOCATION], format!("/api/v1/certificates/{}", id(&issued)));
    let certificate = certificate_of(issued["certificate"]["certificate"].as_str().unwrap());
    assert_eq!(certificate.public_key().spki_der(), rcgen::PublicKeyData::subject_public_key_info(&key));
    assert_eq!(
        (&issued["order"]["status"], &issued["order"]["key"]),
        (&json!("issued"), &json!("requester"))
    );
    assert_eq!(issued["order"]["certificateId"], issued["certificate"]["id"]);
    assert_eq!(issued.get("key"), None);
    // It is an order like any other.
    let order =
        scene.get(&format!("/orders/{}", issued["order"]["id"].as_str().unwrap())).await.ok(200).json();
    assert_eq!(order, issued["order"]);
}

#[tokio::test]
async fn openssl_opens_the_key_that_was_made_for_a_certificate() {
    let scene = Scene::new().await;
    let files = Files::new();
    files.write("root.pem", pem::encode("CERTIFICATE", scene.authority.certificate.der()).as_bytes());
    let body = json!({ "domains": ["a.acme.example"], "passphrase": PASSPHRASE });
    let answer = issue(&scene, &body).await.ok(201);
    assert_eq!(answer.headers[CACHE_CONTROL], "no-store");
    let issued = answer.json();
    assert_eq!(issued["order"]["key"], "handedOut");
    assert_eq!(issued["key"]["format"], "pkcs8");
    let leaf = issued["certificate"]["certificate"].as_str().unwrap();
    files.write("leaf.pem", leaf.as_bytes());
    files.write("key.pem", issued["key"]["privateKey"].as_str().unwrap().as_bytes());
    let pass = format!("pass:{PASSPHRASE}");
    let public = files.openssl(&["pkey", "-in", "key.pem", "-passin", &pass, "-pubout"]);
    assert_eq!(public, files.openssl(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]));
    files.openssl(&["verify", "-CAfile", "root.pem", "leaf.pem"]);
    assert!(!files.does(&["pkey", "-in", "key.pem", "-passin", "pass:another"]));

    for (chain, certificates) in [(json!(null), 1), (json!(false), 1), (json!(true), 2)] {
        let mut body = json!({ "domains": ["a.acme.example"], "passphrase": PASSPHRASE, "format": "pkcs12" });
        if !chain.is_null() {
            body["chain"] = chain;
        }
        let issued = issue(&scene, &body).await.ok(201).json();
        let file = issued["key"]["pkcs12"].as_str().unwrap();
        files.write("file.b64", format!("{file}\n").as_bytes());
        files.openssl(&["base64", "-d", "-A", "-in", "file.b64", "-out", "file.p12"]);
        let opened = files.openssl(&["pkcs12", "-in", "file.p12", "-passin", &pass, "-nodes"]);
        let opened = String::from_utf8(opened).unwrap();
        assert_eq!(opened.matches("-----BEGIN CERTIFICATE-----").count(), certificates);
        assert!(opened.contains(issued["certificate"]["certificate"].as_str().unwrap()), "{opened}");
        files.write("opened.pem", opened.as_bytes());
        files.write("leaf.pem", issued["certificate"]["certificate"].as_str().unwrap().as_bytes());
        let public = files.openssl(&["pkey", "-in", "opened.pem", "-pubout"]);
        assert_eq!(public, files.openssl(&["x509", "-in", "leaf.pem", "-noout", "-pubkey"]));
    }
}

#[tokio::test]
async fn a_key_without_a_passphrase_is_fetched_from_the_order_and_only_once() {
    let scene = Scene::new().await;
    let issued = keyed(&scene, &["a.acme.example"]).await;
    assert_eq!((issued.get("key"), &issued["order"]["key"]), (None, &json!("held")));
    assert_eq!(issued["certificate"]["serverKey"], true);
    assert_eq!(issued["certificate"]["order"], issued["order"]["id"]);
    let path = format!("/orders/{}/key", issued["order"]["id"].as_str().unwrap());
    let body = json!({ "format": "pkcs8", "passphrase": PASSPHRASE });
    scene.post(&path, &body).await.ok(200);
    scene.post(&path, &body).await.refused(410, "key-gone", "handed out");
}

#[tokio::test]
async fn the_same_call_again_gets_the_same_certificate_and_no_second_key() {
    let scene = Scene::new().await;
    let body = json!({ "domains": ["a.acme.example"], "passphrase": PASSPHRASE });
    let first = issue_named(&scene, &scene.key, "one", &body).await.ok(201).json();
    assert!(first["key"]["privateKey"].is_string());
    let again = issue_named(&scene, &scene.key, "one", &body).await.ok(201).json();
    assert_eq!((id(&again), again.get("key")), (id(&first), None));
    assert_eq!(again["order"]["id"], first["order"]["id"]);
    assert_eq!(scene.issued().await, 1);
    // Another request by that name is refused; another credential's name is another.
    let other = json!({ "domains": ["b.acme.example"] });
    issue_named(&scene, &scene.key, "one", &other).await.refused(409, "idempotency-conflict", "");
    let (key, _) = scene.another_key(&RestAction::ALL).await;
    let theirs = issue_named(&scene, &key, "one", &other).await.ok(201).json();
    assert_ne!(id(&theirs), id(&first));
    // Whoever lost the answer before the key was encrypted gets it the second time.
    let plain = json!({ "domains": ["c.acme.example"] });
    let first = issue_named(&scene, &scene.key, "two", &plain).await.ok(201).json();
    let with = json!({ "domains": ["c.acme.example"], "passphrase": PASSPHRASE });
    let again = issue_named(&scene, &scene.key, "two", &with).await.ok(201).json();
    assert_eq!(id(&again), id(&first));
    assert!(again["key"]["privateKey"].is_string());
}

#[tokio::test]
async fn passphrases_and_forms_that_do_not_do_are_refused_before_anything_is_issued() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let names = json!(["a.acme.example"]);
    for (body, pointer, detail) in [
        (json!({ "domains": names, "passphrase": "" }), "/passphrase", "is empty"),
        (json!({ "domains": names, "passphrase": "a\nb" }), "/passphrase", "control characters"),
        (json!({ "domains": names, "passphrase": "x".repeat(257) }), "/passphrase", "longer"),
        (json!({ "domains": names, "passphrase": "\u{1f511}" }), "/passphrase", "beyond U+FFFF"),
        (json!({ "domains": names, "passphrase": "p\u{e4}ss", "format": "pkcs12" }), "/passphrase", "ASCII"),
        (json!({ "domains": names, "passphrase": "secret", "chain": true }), "/chain", "only pkcs12"),
        (json!({ "domains": names, "passphrase": "secret", "format": "jks" }), "/format", "is expected"),
        (json!({ "domains": names, "passphrase": null }), "/passphrase", ""),
        (json!({ "domains": names, "format": "pkcs12" }), "/passphrase", "under a passphrase only"),
        (json!({ "domains": names, "chain": false }), "/passphrase", "under a passphrase only"),
        (json!({ "csr": csr, "passphrase": "secret" }), "/passphrase", "no key"),
        (json!({ "csr": csr, "serverKey": true }), "/serverKey", "does not belong here"),
        (json!({ "domains": names, "key": {} }), "/key", "does not belong here"),
    ] {
        let answer = issue(&scene, &body).await;
        answer.invalid(pointer, detail);
        assert!(
            !answer.text().contains("p\u{e4}ss") && !answer.text().contains("secret"),
            "{}",
            answer.text()
        );
    }
    let other = json!({ "domains": ["a.example"] });
    issue(&scene, &other).await.refused(403, "refused", "subjectAltNames");
    assert_eq!(scene.issued().await, 0);
    // PKCS #8 takes more than ASCII.
    issue(&scene, &json!({ "domains": names, "passphrase": "p\u{e4}ss" })).await.ok(201);
}

#[tokio::test]
async fn a_method_that_makes_no_keys_says_so() {
    let scene = Scene::of(Setup::default().settings(|settings, _| settings.server_key = None)).await;
    let answer = issue(&scene, &json!({ "domains": ["a.acme.example"] })).await;
    answer.refused(403, "refused", "makes no keys");
    assert_eq!(scene.issued().await, 0);
}

#[tokio::test]
async fn what_waits_for_a_person_is_accepted_and_its_key_is_fetched_later() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = json!({ "domains": ["a.acme.example"], "passphrase": PASSPHRASE });
    let answer = issue(&scene, &body).await.ok(202);
    let waiting = answer.json();
    let order = waiting["order"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.headers[LOCATION], format!("/api/v1/orders/{order}"));
    assert_eq!(answer.headers[RETRY_AFTER], "7");
    assert_eq!((waiting.get("certificate"), waiting.get("key")), (None, None));
    let request = waiting["order"]["requestId"].as_str().unwrap().parse().unwrap();
    scene.app.engine.decide(&request, issuance::approval::Verdict::Approve, "olga", None).await.unwrap();
    let issued = scene.get(&format!("/orders/{order}")).await.ok(200).json();
    assert_eq!((&issued["status"], &issued["key"]), (&json!("issued"), &json!("held")));
    let key = json!({ "format": "pkcs12", "passphrase": PASSPHRASE });
    scene.post(&format!("/orders/{order}/key"), &key).await.ok(200);
}

#[tokio::test]
async fn a_certificate_is_renewed_with_another_key_and_both_orders_say_so() {
    let scene = Scene::new().await;
    let first = issue(
        &scene,
        &json!({ "product": "short", "domains": ["a.acme.example", "192.0.2.1"], "subject": "CN=a.acme.example" }),
    )
    .await
    .ok(201)
    .json();
    scene.clock.forward(600);
    let answer = renew(&scene, &id(&first), &json!({ "passphrase": PASSPHRASE })).await.ok(201);
    let second = answer.json();
    assert_eq!(answer.headers[LOCATION], format!("/api/v1/certificates/{}", id(&second)));
    assert!(second["key"]["privateKey"].is_string());
    for same in ["names", "subject", "profile"] {
        assert_eq!(second["certificate"][same], first["certificate"][same]);
    }
    for other in ["id", "publicKeySha256", "notAfter"] {
        assert_ne!(second["certificate"][other], first["certificate"][other]);
    }
    assert_eq!(second["order"]["replaces"], first["certificate"]["id"]);
    assert_eq!(second["certificate"]["replaces"], first["certificate"]["id"]);
    let old = scene.get(&format!("/orders/{}", first["order"]["id"].as_str().unwrap())).await.ok(200).json();
    assert_eq!(old["replacedBy"], second["order"]["id"]);
    let renewed = shown(&scene, &id(&first)).await;
    assert_eq!((&renewed["replacedBy"], &renewed["status"]), (&second["order"]["id"], &json!("valid")));
    // Once each; the new one may be renewed again.
    let order = second["order"]["id"].as_str().unwrap();
    renew(&scene, &id(&first), &json!({})).await.refused(
        409,
        "not-renewable",
        &format!("order {order} renewed"),
    );
    renew(&scene, &id(&second), &json!({})).await.ok(201);
}

#[tokio::test]
async fn what_is_not_good_any_more_is_not_renewed() {
    let scene = Scene::new().await;
    let [held, revoked, expired] = [
        keyed(&scene, &["a.acme.example"]).await,
        keyed(&scene, &["b.acme.example"]).await,
        keyed(&scene, &["c.acme.example"]).await,
    ];
    scene.post(&format!("/certificates/{}/hold", id(&held)), &json!({})).await.ok(200);
    scene.post(&format!("/certificates/{}/revoke", id(&revoked)), &json!({})).await.ok(200);
    renew(&scene, &id(&held), &json!({})).await.refused(409, "not-renewable", "is held");
    renew(&scene, &id(&revoked), &json!({})).await.refused(409, "not-renewable", "is revoked");
    scene.clock.forward(90_000);
    renew(&scene, &id(&expired), &json!({})).await.refused(409, "not-renewable", "has expired");
    // What would be asked for is read before that.
    let wrong = json!({ "passphrase": "" });
    renew(&scene, &id(&expired), &wrong).await.invalid("/passphrase", "is empty");
    renew(&scene, &id(&expired), &json!({ "domains": ["a"] }))
        .await
        .invalid("/domains", "does not belong here");
    assert_eq!(scene.issued().await, 3);
}

#[tokio::test]
async fn a_renewal_is_judged_by_what_the_profile_says_now() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let scene = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    // The same rows, served by a profile that takes no names any more.
    let strict = Setup { store, ..Setup::default() }.policy(|policy| {
        if let Some(dns) = &mut policy.subject_alt_names.dns {
            dns.name.patterns = vec![issuance::pattern::Pattern::parse("only.acme.example").unwrap()];
        }
    });
    let scene = Scene::of(strict).await;
    renew(&scene, &id(&first), &json!({})).await.refused(403, "refused", "subjectAltNames");
    assert_eq!(scene.issued().await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_renewals_at_once_one_is_made() {
    let scene = Scene::new().await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    let tasks: Vec<_> = (0..10)
        .map(|_| {
            let (scene, id) = (scene.clone(), id(&first));
            tokio::spawn(async move { renew(&scene, &id, &json!({})).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        if answer.status == 201 {
            made += 1;
        } else {
            answer.refused(409, "not-renewable", "already");
        }
    }
    assert_eq!((made, scene.issued().await), (1, 2));
}

#[tokio::test]
async fn the_same_renewal_again_gets_the_same_certificate() {
    let scene = Scene::new().await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    let path = format!("/certificates/{}/renew", id(&first));
    let ask = async |name: &str| {
        let request = request(HttpMethod::POST, &path, &scene.key).header("Idempotency-Key", name);
        scene.send(with_json(request, &json!({ "passphrase": PASSPHRASE }))).await
    };
    let second = ask("one").await.ok(201).json();
    assert!(second["key"]["privateKey"].is_string());
    let again = ask("one").await.ok(201).json();
    assert_eq!((id(&again), again.get("key")), (id(&second), None));
    ask("two").await.refused(409, "not-renewable", "already");
    assert_eq!(scene.issued().await, 2);
}

#[tokio::test]
async fn a_renewal_that_waits_is_the_only_one_until_it_comes_to_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let scene = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    let manual = Setup { store, ..Setup::default() }.policy(|policy| policy.approval = Approval::Manual);
    let scene = Scene::of(manual).await;
    let waiting = renew(&scene, &id(&first), &json!({})).await.ok(202).json();
    let order = waiting["order"]["id"].as_str().unwrap();
    assert_eq!(shown(&scene, &id(&first)).await["replacedBy"], order);
    renew(&scene, &id(&first), &json!({})).await.refused(409, "not-renewable", "is to renew");
    scene.delete(&format!("/orders/{order}")).await.ok(200);
    assert_eq!(shown(&scene, &id(&first)).await.get("replacedBy"), None);
    let second = renew(&scene, &id(&first), &json!({})).await.ok(202).json();
    let request = second["order"]["requestId"].as_str().unwrap().parse().unwrap();
    scene.app.engine.decide(&request, issuance::approval::Verdict::Approve, "olga", None).await.unwrap();
    let issued =
        scene.get(&format!("/orders/{}", second["order"]["id"].as_str().unwrap())).await.ok(200).json();
    assert_eq!(issued["status"], "issued");
    // Issued when it was looked at, it says so in the order before.
    let old = scene.order_row(&first["order"]).await;
    assert_eq!(
        old.replaced_by.map(|order| order.to_string()),
        second["order"]["id"].as_str().map(str::to_owned)
    );
}

#[tokio::test]
async fn a_certificate_outlives_its_order_and_is_renewed_all_the_same() {
    let scene = Scene::new().await;
    let first = issue(
        &scene,
        &json!({ "product": "short", "domains": ["a.acme.example", "192.0.2.1"], "subject": "CN=a.acme.example" }),
    )
    .await
    .ok(201)
    .json();
    let row = scene.order_row(&first["order"]).await;
    let store = scene.app.engine.store();
    let ended =
        issuance::rest::OrderRow { keep_until: row.created_at, version: row.version + 1, ..row.clone() };
    for writes in [
        vec![Write::PutRestOrder(Box::new(ended))],
        vec![Write::SweepRestOrders { now: row.created_at, limit: 10 }],
    ] {
        store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    }
    assert_eq!(store.rest_order(&row.id).await.unwrap(), None);
    assert_eq!(shown(&scene, &id(&first)).await.get("order"), None);
    let second = renew(&scene, &id(&first), &json!({})).await.ok(201).json();
    for same in ["names", "subject", "profile"] {
        assert_eq!(second["certificate"][same], first["certificate"][same]);
    }
    // It is kept for as long as the other could be renewed.
    let row = scene.order_row(&second["order"]).await;
    let replaced: CertificateId = id(&first).parse().unwrap();
    let before = store.certificate(replaced.issuer, &replaced.serial).await.unwrap().unwrap();
    assert!(row.keep_until > before.not_after);
    assert!(matches!(row.key, OrderKey::Held { .. }));
    renew(&scene, &id(&first), &json!({})).await.refused(409, "not-renewable", "already");
}

#[tokio::test]
async fn a_renewal_that_came_to_nothing_is_in_nobodys_way_although_nobody_looked() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let scene = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    let manual = Setup { store, ..Setup::default() }.policy(|policy| policy.approval = Approval::Manual);
    let scene = Scene::of(manual).await;
    let waiting = renew(&scene, &id(&first), &json!({})).await.ok(202).json();
    let request = waiting["order"]["requestId"].as_str().unwrap().parse().unwrap();
    scene.app.engine.decide(&request, Verdict::Deny, "olga", None).await.unwrap();
    let second = renew(&scene, &id(&first), &json!({})).await.ok(202).json();
    assert_eq!(second["order"]["status"], "pending");
    assert_eq!(scene.order_row(&waiting["order"]).await.state, OrderState::Denied { reason: None });
}

#[tokio::test]
async fn a_renewal_that_nobody_can_finish_any_more_is_in_nobodys_way() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let scene = Scene::of(Setup { store: store.clone(), ..Setup::default() }).await;
    let first = keyed(&scene, &["a.acme.example"]).await;
    let manual = Setup { store, ..Setup::default() }.policy(|policy| policy.approval = Approval::Manual);
    let scene = Scene::of(manual).await;
    let (other, row) = scene.another_key(&RestAction::ALL).await;
    let path = format!("/certificates/{}/renew", id(&first));
    let waiting = scene.post_with(&other, &path, &json!({})).await.ok(202).json();
    renew(&scene, &id(&first), &json!({})).await.refused(409, "not-renewable", "is to renew");
    scene.put_credential(CredentialRow { state: CredentialState::Revoked, ..row }).await;
    let second = renew(&scene, &id(&first), &json!({})).await.ok(202).json();
    assert_eq!(second["order"]["status"], "pending");
    let ended = scene.order_row(&waiting["order"]).await;
    assert!(matches!(ended.state, OrderState::Failed { .. }), "{ended:?}");
    assert_eq!(ended.key, OrderKey::Discarded);
    // Nobody decides on it in vain.
    let request = waiting["order"]["requestId"].as_str().unwrap().parse().unwrap();
    scene.app.engine.decide(&request, Verdict::Approve, "olga", None).await.unwrap_err();
}

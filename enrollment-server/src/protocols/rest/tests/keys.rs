//! Private keys that the server made: once, under a passphrase, to whoever ordered.

use std::{
    process::{Command, Stdio},
    sync::mpsc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::{
    credential::CredentialState,
    policy::Approval,
    rest::{OrderKey, RestAction},
};
use serde_json::{Value, json};

use super::{
    desk::act,
    orders::path,
    scene::{Scene, csr},
};

const PASSPHRASE: &str = "correct horse";

async fn order(scene: &Scene) -> Value {
    let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
    let order = scene.post("/orders", &body).await.ok(201).json();
    assert_eq!((&order["status"], &order["key"]), (&json!("issued"), &json!("held")));
    order
}

fn pkcs8() -> Value {
    json!({ "format": "pkcs8", "passphrase": PASSPHRASE })
}

fn openssl(arguments: &[&str], input: &[u8]) -> String {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn spki_of(scene: &Scene, order: &Value) -> String {
    let (issuer, serial) = scene.order_row(order).await.certificate().unwrap();
    let row = scene.app.engine.store().certificate(issuer, &serial).await.unwrap().unwrap();
    let pem = pki::pem::encode("CERTIFICATE", &row.der);
    openssl(&["x509", "-noout", "-pubkey"], pem.as_bytes())
}

#[tokio::test]
async fn a_key_is_handed_out_once_and_openssl_opens_it() {
    let scene = Scene::new().await;
    let order = order(&scene).await;
    let fetch = format!("{}/key", path(&order));
    let key = scene.post(&fetch, &pkcs8()).await.ok(200).json();
    let pass = format!("pass:{PASSPHRASE}");
    let text = key["privateKey"].as_str().unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"));
    let public = openssl(&["pkey", "-passin", &pass, "-pubout"], text.as_bytes());
    assert_eq!(public, spki_of(&scene, &order).await);
    scene.post(&fetch, &pkcs8()).await.refused(410, "key-gone", "was handed out at");
    assert_eq!(scene.get(&path(&order)).await.ok(200).json()["key"], "handedOut");
    let audit = scene.audit().await;
    let last = audit.last().unwrap();
    assert_eq!((&last["action"], &last["outcome"]), (&json!("keyHandedOut"), &json!("done")));
    assert_eq!(audit.iter().filter(|record| record["action"] == "keyHandedOut").count(), 1);
    assert!(!audit.iter().any(|record| record.to_string().contains(PASSPHRASE)));
}

#[tokio::test]
async fn a_pkcs12_file_has_the_chain_where_that_is_asked_for() {
    let scene = Scene::new().await;
    for (chain, certificates) in [(json!(false), 1), (json!(true), 2)] {
        let order = order(&scene).await;
        let body = json!({ "format": "pkcs12", "passphrase": PASSPHRASE, "chain": chain });
        let key = scene.post(&format!("{}/key", path(&order)), &body).await.ok(200).json();
        let file = STANDARD.decode(key["pkcs12"].as_str().unwrap()).unwrap();
        let pass = format!("pass:{PASSPHRASE}");
        let text = openssl(&["pkcs12", "-passin", &pass, "-nodes"], &file);
        assert_eq!(text.matches("BEGIN CERTIFICATE").count(), certificates);
        assert_eq!(text.matches("BEGIN PRIVATE KEY").count(), 1);
    }
}

#[tokio::test]
async fn a_passphrase_that_not_every_program_takes_is_refused_and_never_repeated() {
    let scene = Scene::new().await;
    let order = order(&scene).await;
    let fetch = format!("{}/key", path(&order));
    for (body, pointer) in [
        (json!({ "format": "pkcs8", "passphrase": "" }), "/passphrase"),
        (json!({ "format": "pkcs8", "passphrase": "s3cret\n" }), "/passphrase"),
        (json!({ "format": "pkcs8", "passphrase": "s3cret".repeat(50) }), "/passphrase"),
        (json!({ "format": "pkcs12", "passphrase": "s3crät" }), "/passphrase"),
        (json!({ "format": "pkcs8", "passphrase": ["s3cret"] }), "/passphrase"),
        (json!({ "format": "pkcs8", "passphrase": "s3cret", "chain": true }), "/chain"),
        (json!({ "format": "jks", "passphrase": "s3cret" }), "/format"),
        (json!({ "format": "pkcs8" }), ""),
        (json!({ "format": "pkcs8", "passphrase": "s3cret", "pasphrase": "s3cret" }), "/pasphrase"),
        (json!({ "format": "s3cret", "passphrase": "s3cret" }), "/format"),
    ] {
        let answer = scene.post(&fetch, &body).await;
        assert_eq!(answer.status.as_u16(), 422, "{body}: {}", answer.text());
        answer.invalid(pointer, "");
        assert!(!answer.text().contains("s3cr"), "{}", answer.text());
    }
    assert_eq!(scene.get(&path(&order)).await.ok(200).json()["key"], "held");
}

#[tokio::test]
async fn a_key_is_for_whoever_ordered_and_for_nobody_else() {
    let scene = Scene::new().await;
    let order = order(&scene).await;
    let fetch = format!("{}/key", path(&order));
    let (other, _) = scene.another_key(&RestAction::ALL).await;
    scene.post_with(&other, &fetch, &pkcs8()).await.refused(
        403,
        "refused",
        "only the credential that ordered",
    );
    scene.post_with(&scene.other_key, &fetch, &pkcs8()).await.refused(404, "not-found", "order");
    let (reader, _) = scene.another_key(&[RestAction::Read]).await;
    scene.post_with(&reader, &fetch, &pkcs8()).await.refused(403, "action-not-allowed", "\"request\"");
    scene.post(&fetch, &pkcs8()).await.ok(200);
}

#[tokio::test]
async fn a_key_that_is_not_here_cannot_be_fetched() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let order = scene.post("/orders", &json!({ "csr": csr })).await.ok(201).json();
    let fetch = format!("{}/key", path(&order));
    scene.post(&fetch, &pkcs8()).await.refused(409, "key-not-available", "the requester made the key");
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
    let order = scene.post("/orders", &body).await.ok(201).json();
    let fetch = format!("{}/key", path(&order));
    scene.post(&fetch, &pkcs8()).await.refused(409, "conflict", "the order is pending");
    scene.delete(&path(&order)).await.ok(200);
    scene.post(&fetch, &pkcs8()).await.refused(409, "conflict", "the order is cancelled");
}

#[tokio::test]
async fn whoever_approved_and_is_shown_the_secret_afterwards_gets_no_certificate_and_no_key() {
    for comes_before in [false, true] {
        let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
        let (asking, asker) = scene.another_key(&[RestAction::Request, RestAction::Read]).await;
        let body = json!({ "serverKey": true, "domains": ["a.acme.example"] });
        let order = scene.post_with(&asking, "/orders", &body).await.ok(201).json();
        let fetch = format!("{}/key", path(&order));
        let request = scene.get("/requests").await.ok(200).json()["items"][0]["id"].clone();
        let approve = format!("/requests/{}/approve", request.as_str().unwrap());
        act(&scene, &scene.key, &approve).await.ok(200);
        if comes_before {
            let issued = scene.get_with(&asking, &path(&order)).await.ok(200).json();
            assert_eq!(issued["status"], "issued");
        }
        let regenerate = format!("/credentials/{}/regenerate", asker.id);
        let seen = act(&scene, &scene.key, &regenerate).await.ok(200).json();
        let seen = seen["accessKey"].as_str().unwrap();
        let order = scene.get_with(seen, &path(&order)).await.ok(200).json();
        if comes_before {
            scene.post_with(seen, &fetch, &pkcs8()).await.refused(403, "refused", "whoever approved");
            let last = scene.audit().await.pop().unwrap();
            assert_eq!(last["outcome"], "refused");
            assert!(matches!(scene.order_row(&order).await.key, OrderKey::Held { .. }));
        } else {
            assert_eq!(order["status"], "failed", "{order}");
            assert_eq!(scene.issued().await, 0);
        }
    }
}

#[tokio::test]
async fn of_two_who_fetch_a_key_at_once_one_has_it() {
    let scene = Scene::new().await;
    let order = order(&scene).await;
    let (fetch, body) = (format!("{}/key", path(&order)), pkcs8());
    let (one, other) = tokio::join!(scene.post(&fetch, &body), scene.post(&fetch, &body));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 410]);
    let handed = scene.audit().await.iter().filter(|record| record["action"] == "keyHandedOut").count();
    assert_eq!(handed, 1);
}

#[tokio::test]
async fn a_credential_that_ends_while_a_key_is_encrypted_gets_none() {
    let scene = Scene::new().await;
    let order = order(&scene).await;
    let mut held = Vec::new();
    while scene.app.rest.may_encrypt() {
        let (end, ends) = mpsc::channel::<()>();
        let app = scene.app.clone();
        let encrypting = app.rest.encrypting();
        held.push((end, tokio::spawn(async move { app.rest.encrypt(move || ends.recv()).await })));
        until(|| scene.app.rest.encrypting() > encrypting).await;
    }
    let encrypting = scene.app.rest.encrypting();
    let fetching = tokio::spawn({
        let (scene, fetch) = (scene.clone(), format!("{}/key", path(&order)));
        async move { scene.post(&fetch, &pkcs8()).await }
    });
    until(|| scene.app.rest.encrypting() > encrypting).await;
    let mut row = scene.credential_row().await;
    row.state = CredentialState::Revoked;
    scene.put_credential(row).await;
    for (end, task) in held {
        end.send(()).unwrap();
        task.await.unwrap().unwrap().unwrap();
    }
    fetching.await.unwrap().refused(401, "unauthenticated", "");
    assert!(matches!(scene.order_row(&order).await.key, OrderKey::Held { .. }));
}

async fn until(holds: impl Fn() -> bool) {
    while !holds() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_key_is_sealed_for_its_order_while_it_is_here() {
    let scene = Scene::new().await;
    let (one, other) = (order(&scene).await, order(&scene).await);
    let (one, other) = (scene.order_row(&one).await, scene.order_row(&other).await);
    assert!(one.key.unseal(&scene.app.sealing, &other.id).is_err());
    let pkcs8 = one.key.unseal(&scene.app.sealing, &one.id).unwrap().unwrap();
    let row = serde_json::to_vec(&one).unwrap();
    assert!(!String::from_utf8(row).unwrap().contains(&STANDARD.encode(&pkcs8.expose()[20..50])));
}

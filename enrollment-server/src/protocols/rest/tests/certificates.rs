//! Certificates: who sees them, in which forms, and how they end.

use http::Method as HttpMethod;
use http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE};
use issuance::{ports::Clock as _, rest::RestAction, store::CertificateStatus};
use pki::extension::ReasonCode;
use serde_json::{Value, json};

use super::{
    openssl::Files,
    scene::{Scene, Setup, certificate_of, csr, request},
};

/// One certificate of `lab/api`, by its identifier.
async fn one(scene: &Scene, name: &str) -> String {
    let (_, row) = scene.certificate(&[name]).await;
    issuance::identity::CertificateId { issuer: row.issuer, serial: row.serial }.to_string()
}

async fn change(scene: &Scene, id: &str, what: &str) -> super::scene::Answer {
    let path = format!("/certificates/{id}/{what}");
    scene.send(request(HttpMethod::POST, &path, &scene.key).body(axum::body::Body::empty()).unwrap()).await
}

async fn revoke(scene: &Scene, id: &str, reason: &str) -> super::scene::Answer {
    scene.post(&format!("/certificates/{id}/revoke"), &json!({ "reason": reason })).await
}

async fn ids(scene: &Scene, query: &str) -> Vec<String> {
    let list = scene.get(&format!("/certificates?{query}")).await.ok(200).json();
    list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_certificate_is_not_found_by_another_method_nor_by_a_name_that_is_none() {
    let scene = Scene::new().await;
    let id = one(&scene, "a.acme.example").await;
    let (issuer, serial) = id.split_once('.').unwrap();
    let unknown = format!("{issuer}.{}", "41".repeat(16));
    let elsewhere = format!("{}.{serial}", "ab".repeat(20));
    let operations = ["", "/download", "/renew", "/revoke", "/hold", "/release"];
    for operation in operations {
        let ask = async |key: &str, id: &str| {
            let path = format!("/certificates/{id}{operation}");
            match operation {
                "" | "/download" => scene.get_with(key, &path).await,
                _ => scene.post_with(key, &path, &json!({})).await,
            }
        };
        ask(&scene.other_key, &id).await.refused(404, "not-found", "certificate not found");
        for id in [unknown.as_str(), &elsewhere, serial, "x", "..", "%00", &format!("{issuer}.0")] {
            ask(&scene.key, id).await.refused(404, "not-found", "certificate not found");
        }
    }
    // Nothing came of it.
    let shown = scene.get(&format!("/certificates/{id}")).await.ok(200).json();
    assert_eq!(shown["status"], "valid");
    assert!(
        scene.get_with(&scene.other_key, "/certificates").await.ok(200).json()["items"]
            .as_array()
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn each_operation_wants_its_own_action_before_it_looks_at_anything() {
    let scene = Scene::new().await;
    for (action, asked) in [
        (
            RestAction::Request,
            vec![(HttpMethod::POST, "/certificates"), (HttpMethod::POST, "/certificates/x/renew")],
        ),
        (
            RestAction::Read,
            vec![
                (HttpMethod::GET, "/certificates?limit=never"),
                (HttpMethod::GET, "/certificates/x"),
                (HttpMethod::GET, "/certificates/x/download?format=never"),
            ],
        ),
        (
            RestAction::Revoke,
            vec![
                (HttpMethod::POST, "/certificates/x/revoke"),
                (HttpMethod::POST, "/certificates/x/hold"),
                (HttpMethod::POST, "/certificates/x/release"),
            ],
        ),
    ] {
        let others: Vec<RestAction> = RestAction::ALL.into_iter().filter(|other| *other != action).collect();
        let (key, _) = scene.another_key(&others).await;
        for (method, path) in asked {
            let answer = scene.send(request(method, path, &key).body("no JSON".into()).unwrap()).await;
            answer.refused(403, "action-not-allowed", action.as_str());
            assert_eq!(answer.json()["action"], action.as_str());
        }
    }
}

#[tokio::test]
async fn a_certificate_shows_what_is_known_of_it() {
    let scene = Scene::new().await;
    let (_, row) = scene.certificate(&["a.acme.example", "192.0.2.1"]).await;
    let id = format!("{}.{}", row.issuer, row.serial);
    let shown = scene.get(&format!("/certificates/{id}")).await.ok(200).json();
    let certificate = certificate_of(shown["certificate"].as_str().unwrap());
    assert_eq!(certificate.der(), row.der);
    let expected = json!({
        "id": id,
        "issuer": row.issuer.to_string(),
        "serial": row.serial.to_string(),
        "authority": "lab/root",
        "profile": "lab/default",
        "method": "lab/api",
        "requester": row.requester,
        "credential": scene.credential.id.to_string(),
        "owner": "group:workshop",
        "subject": row.subject,
        "names": ["dns:a.acme.example", "ip:192.0.2.1"],
        "notBefore": row.not_before.to_string(),
        "notAfter": row.not_after.to_string(),
        "issuedAt": row.issued_at.to_string(),
        "status": "valid",
        "keyType": "ECDSA-P256",
        "sha256": shown["sha256"],
        "publicKeySha256": row.public_key_sha256,
        "serverKey": false,
        "certificate": shown["certificate"],
    });
    assert_eq!(shown, expected);
    // As openssl counts.
    let files = Files::new();
    files.write("leaf.pem", shown["certificate"].as_str().unwrap().as_bytes());
    let fingerprint = files.openssl(&["x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256"]);
    let fingerprint = String::from_utf8(fingerprint).unwrap().replace(':', "").to_lowercase();
    assert!(fingerprint.trim_end().ends_with(shown["sha256"].as_str().unwrap()), "{fingerprint}");
    // A list has the same but for the certificate itself.
    let listed = scene.get("/certificates").await.ok(200).json()["items"][0].clone();
    let mut without = expected;
    without.as_object_mut().unwrap().remove("certificate");
    assert_eq!(listed, without);
}

#[tokio::test]
async fn a_list_has_what_is_asked_for_and_comes_in_pages() {
    let scene = Scene::new().await;
    let mut made = Vec::new();
    for name in ["a", "b", "c", "d", "e"] {
        made.push(one(&scene, &format!("{name}.acme.example")).await);
    }
    assert_eq!(ids(&scene, "").await, made);
    assert_eq!(ids(&scene, "name=C.ACME").await, [made[2].clone()]);
    assert_eq!(ids(&scene, "name=acme.example&profile=lab/default&authority=lab/root").await, made);
    assert_eq!(ids(&scene, "profile=lab/short").await, Vec::<String>::new());
    let serial = made[3].split_once('.').unwrap().1;
    assert_eq!(ids(&scene, &format!("serial={serial}")).await, [made[3].clone()]);
    assert_eq!(ids(&scene, &format!("credential={}&owner=group:workshop", scene.credential.id)).await, made);
    change(&scene, &made[0], "hold").await.ok(200);
    revoke(&scene, &made[1], "superseded").await.ok(200);
    assert_eq!(ids(&scene, "status=held").await, made[..1]);
    assert_eq!(ids(&scene, "status=revoked").await, made[1..2]);
    assert_eq!(ids(&scene, "status=valid").await, made[2..]);
    assert_eq!(ids(&scene, "status=expired").await, Vec::<String>::new());
    let now = scene.app.engine.clock().now();
    let day = now.plus_seconds(90_000);
    assert_eq!(
        ids(&scene, &format!("expiresAfter={now}&expiresBefore={day}&issuedBefore={day}")).await,
        made
    );
    assert_eq!(ids(&scene, &format!("issuedAfter={day}")).await, Vec::<String>::new());
    scene.clock.forward(90_000);
    assert_eq!(ids(&scene, "status=expired").await, made[2..]);
    assert_eq!(ids(&scene, "status=held").await, made[..1]);
    // Page by page, while others are issued.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = scene.get(&format!("/certificates?status=expired&limit=2{cursor}")).await.ok(200).json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        one(&scene, "later.acme.example").await;
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, made[2..]);
    for query in
        ["status=good", "serial=z", "name=", "limit=0", "cursor=7", "profile=lab", "sort=name", "method=lab"]
    {
        scene.get(&format!("/certificates?{query}")).await.refused(400, "malformed", "the parameter");
    }
}

#[tokio::test]
async fn every_form_of_download_is_read_by_openssl() {
    let scene = Scene::new().await;
    let (_, row) = scene.certificate(&["a.acme.example"]).await;
    let path = format!("/certificates/{}.{}/download", row.issuer, row.serial);
    let files = Files::new();
    files.write("root.der", scene.authority.certificate.der());
    let pem = |der: &[u8]| pki::pem::encode("CERTIFICATE", der);
    let (leaf, root) = (pem(&row.der), pem(scene.authority.certificate.der()));
    for (format, media_type, extension, read) in [
        ("pem", "application/pem-certificate-chain", "pem", vec!["x509"]),
        ("fullchain", "application/pem-certificate-chain", "pem", vec!["x509"]),
        ("der", "application/pkix-cert", "cer", vec!["x509", "-inform", "DER"]),
        (
            "pkcs7",
            "application/pkcs7-mime; smime-type=certs-only",
            "p7b",
            vec!["pkcs7", "-inform", "DER", "-print_certs"],
        ),
        ("pkcs7-pem", "application/x-pem-file", "p7b", vec!["pkcs7", "-print_certs"]),
    ] {
        let answer = scene.get(&format!("{path}?format={format}")).await.ok(200);
        assert_eq!(answer.headers[CONTENT_TYPE], media_type);
        let name = format!("attachment; filename=\"{}.{}.{extension}\"", row.issuer, row.serial);
        assert_eq!(answer.headers[CONTENT_DISPOSITION], name.as_str());
        files.write("download", &answer.body);
        let text = String::from_utf8(files.openssl(&[&read[..], &["-in", "download"]].concat())).unwrap();
        let found: Vec<&str> = text.split_inclusive("-----END CERTIFICATE-----\n").collect();
        let bundle = format.starts_with("pkcs7");
        assert!(found[0].ends_with(&leaf), "{format}: {text}");
        assert_eq!(bundle, found.get(1).is_some_and(|second| second.ends_with(&root)), "{format}: {text}");
        if format == "fullchain" {
            assert_eq!(answer.text(), format!("{leaf}{root}"));
        }
    }
}

#[tokio::test]
async fn a_download_is_given_as_the_client_takes_it() {
    let scene = Scene::new().await;
    let id = one(&scene, "a.acme.example").await;
    let path = format!("/certificates/{id}/download");
    let ask = async |query: &str, accept: &str| {
        let request = request(HttpMethod::GET, &format!("{path}{query}"), &scene.key).header(ACCEPT, accept);
        scene.send(request.body(axum::body::Body::empty()).unwrap()).await
    };
    for (accept, expected) in [
        ("*/*", "application/pem-certificate-chain"),
        ("application/pkix-cert, */*;q=0.1", "application/pkix-cert"),
        ("application/pkcs7-mime", "application/pkcs7-mime; smime-type=certs-only"),
        ("application/pem-certificate-chain", "application/pem-certificate-chain"),
    ] {
        assert_eq!(ask("", accept).await.ok(200).headers[CONTENT_TYPE], expected, "{accept}");
    }
    assert_eq!(scene.get(&path).await.ok(200).headers[CONTENT_TYPE], "application/pem-certificate-chain");
    for accept in ["text/html", "application/x-pkcs12", "*/*;q=0"] {
        ask("", accept).await.refused(406, "not-acceptable", "application/pkix-cert");
    }
    for format in ["pkcs12", "PEM", ""] {
        ask(&format!("?format={format}"), "*/*").await.refused(400, "malformed", "\"format\"");
    }
    ask("?format=der&chain=true", "*/*").await.refused(400, "malformed", "\"chain\"");
}

#[tokio::test]
async fn a_certificate_is_revoked_once_and_for_the_reason_that_is_said() {
    let scene = Scene::new().await;
    for reason in [
        "unspecified",
        "keyCompromise",
        "cACompromise",
        "affiliationChanged",
        "superseded",
        "cessationOfOperation",
        "privilegeWithdrawn",
        "aACompromise",
    ] {
        let id = one(&scene, "a.acme.example").await;
        let shown = revoke(&scene, &id, reason).await.ok(200).json();
        assert_eq!((&shown["status"], &shown["revocation"]["reason"]), (&json!("revoked"), &json!(reason)));
        // A retry is answered as the first was, and changes nothing.
        let records = scene.audit().await.len();
        assert_eq!(revoke(&scene, &id, reason).await.ok(200).json(), shown);
        assert_eq!(scene.audit().await.len(), records);
        let other = if reason == "superseded" { "keyCompromise" } else { "superseded" };
        revoke(&scene, &id, other).await.refused(409, "conflict", reason);
        change(&scene, &id, "hold").await.refused(409, "conflict", "revoked for good");
        change(&scene, &id, "release").await.refused(409, "conflict", "revoked for good");
        assert_eq!(scene.get(&format!("/certificates/{id}")).await.ok(200).json(), shown);
    }
}

#[tokio::test]
async fn what_is_no_reason_is_refused_where_it_stands() {
    let scene = Scene::new().await;
    let id = one(&scene, "a.acme.example").await;
    let path = format!("/certificates/{id}/revoke");
    for reason in ["certificateHold", "removeFromCRL", "KeyCompromise", "1", ""] {
        revoke(&scene, &id, reason).await.invalid("/reason", "is expected");
    }
    scene.post(&path, &json!({ "reason": 1 })).await.invalid("/reason", "");
    scene.post(&path, &json!({ "why": "superseded" })).await.invalid("/why", "does not belong here");
    let later = scene.app.engine.clock().now().plus_seconds(60).to_string();
    scene.post(&path, &json!({ "invalidityDate": later })).await.invalid("/invalidityDate", "future");
    assert_eq!(scene.get(&format!("/certificates/{id}")).await.ok(200).json()["status"], "valid");
    // Without a reason it is none in particular; since when is recorded.
    let since = scene.app.engine.clock().now().plus_seconds(-60).to_string();
    let shown = scene.post(&path, &json!({ "invalidityDate": since })).await.ok(200).json();
    assert_eq!(shown["revocation"]["reason"], "unspecified");
    assert_eq!(shown["revocation"]["invalidityDate"], since);
}

#[tokio::test]
async fn what_is_held_is_on_the_list_until_it_is_released() {
    let scene = Scene::new().await;
    let (_, row) = scene.certificate(&["a.acme.example"]).await;
    let id = format!("{}.{}", row.issuer, row.serial);
    let listed = async || {
        let crl = scene.app.engine.publish_crl(&scene.authority, None).await.unwrap();
        let read = pki::crl::CertificateList::from_der(&crl.der).unwrap();
        read.entries().map(Result::unwrap).find(|entry| entry.serial == row.serial).map(|entry| entry.reason)
    };
    change(&scene, &id, "release").await.refused(409, "conflict", "is not held");
    let path = format!("/certificates/{id}/hold");
    scene.post(&path, &json!({ "until": "tomorrow" })).await.invalid("/until", "does not belong here");
    scene.post(&path, &json!([])).await.invalid("", "object is expected");
    let shown = change(&scene, &id, "hold").await.ok(200).json();
    assert_eq!(
        (&shown["status"], &shown["revocation"]["reason"]),
        (&json!("held"), &json!("certificateHold"))
    );
    assert_eq!(listed().await, Some(Some(ReasonCode::CertificateHold)));
    // A retry is answered as the first was.
    assert_eq!(change(&scene, &id, "hold").await.ok(200).json(), shown);
    let shown = change(&scene, &id, "release").await.ok(200).json();
    assert_eq!((&shown["status"], shown.get("revocation")), (&json!("valid"), None));
    assert_eq!(listed().await, None);
    // From hold it may also be for good.
    change(&scene, &id, "hold").await.ok(200);
    revoke(&scene, &id, "keyCompromise").await.ok(200);
    assert_eq!(listed().await, Some(Some(ReasonCode::KeyCompromise)));
    let actions: Vec<Value> = scene
        .audit()
        .await
        .into_iter()
        .filter(|event| {
            event["serial"] == json!(row.serial.to_string()) && event["action"] != "certificateIssued"
        })
        .map(|event| event["action"].clone())
        .collect();
    assert_eq!(actions, ["certificateHeld", "certificateReleased", "certificateHeld", "certificateRevoked"]);
}

#[tokio::test]
async fn what_has_expired_is_not_held_but_may_be_revoked() {
    let scene = Scene::new().await;
    let id = one(&scene, "a.acme.example").await;
    scene.clock.forward(90_000);
    assert_eq!(scene.get(&format!("/certificates/{id}")).await.ok(200).json()["status"], "expired");
    change(&scene, &id, "hold").await.refused(409, "conflict", "has expired");
    assert_eq!(revoke(&scene, &id, "keyCompromise").await.ok(200).json()["status"], "revoked");
}

#[tokio::test]
async fn a_credential_that_was_revoked_a_moment_ago_revokes_nothing() {
    let scene = Scene::new().await;
    let (_, row) = scene.certificate(&["a.acme.example"]).await;
    let id = format!("{}.{}", row.issuer, row.serial);
    let credential = scene.credential_row().await;
    let revoked = issuance::credential::CredentialState::Revoked;
    scene.put_credential(issuance::credential::CredentialRow { state: revoked, ..credential }).await;
    revoke(&scene, &id, "superseded").await.refused(401, "unauthenticated", "");
    let row = scene.app.engine.store().certificate(row.issuer, &row.serial).await.unwrap().unwrap();
    assert_eq!(row.status, CertificateStatus::Valid);
}

#[tokio::test]
async fn of_two_revocations_at_once_one_reason_stands_and_the_other_is_told() {
    let scene = Scene::of(Setup::default()).await;
    for _ in 0..10 {
        let id = one(&scene, "a.acme.example").await;
        let (one, other) =
            tokio::join!(revoke(&scene, &id, "superseded"), revoke(&scene, &id, "keyCompromise"));
        let statuses = [one.status.as_u16(), other.status.as_u16()];
        assert!(statuses == [200, 409] || statuses == [409, 200], "{statuses:?}");
    }
}

#[tokio::test]
async fn the_page_of_a_csr_is_not_the_servers_to_renew() {
    let scene = Scene::new().await;
    let (_, csr) = csr(&["a.acme.example"]);
    let issued = scene.post("/certificates", &json!({ "csr": csr })).await.ok(201).json();
    let id = issued["certificate"]["id"].as_str().unwrap();
    let answer = change(&scene, id, "renew").await;
    answer.refused(409, "not-renewable", "was issued for a certificate request");
}

#[tokio::test]
async fn a_certificate_is_valid_in_its_last_second_and_lists_and_reports_agree() {
    let scene = Scene::new().await;
    let (_, row) = scene.certificate(&["a.acme.example"]).await;
    scene.clock.forward(row.not_after.unix() - scene.clock.now().unix());
    for (status, other) in [("valid", "expired"), ("expired", "valid")] {
        let listed = scene.get(&format!("/certificates?status={status}")).await.ok(200).json();
        assert_eq!(listed["items"][0]["status"], status, "{listed}");
        let none = scene.get(&format!("/certificates?status={other}")).await.ok(200).json();
        assert_eq!(none["items"], json!([]));
        let reported = scene.get("/reports/issued").await.ok(200).json();
        assert_eq!(reported[0]["status"], status, "{reported}");
        scene.clock.forward(1);
    }
    let (_, row) = scene.certificate(&["b.acme.example"]).await;
    let id = issuance::identity::CertificateId { issuer: row.issuer, serial: row.serial }.to_string();
    change(&scene, &id, "hold").await.ok(200);
    scene.clock.forward(90_000);
    let listed = scene.get("/certificates?status=held").await.ok(200).json();
    let summary = scene.get("/reports/summary").await.ok(200).json();
    assert_eq!(
        (listed["items"].as_array().unwrap().len(), &summary["counts"][0]["held"]),
        (1, &json!(1)),
        "{summary}"
    );
}

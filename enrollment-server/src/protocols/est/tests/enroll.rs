//! `simpleenroll` with a password (RFC 7030 §4.2.1), and what is common to all operations that take a body.

use std::time::Duration;

use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{
    Request, StatusCode,
    header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use issuance::{
    approval::Verdict,
    credential::{CredentialRow, CredentialState, PreviousValue, Verifier, generate},
    policy::Approval,
    ports::Clock as _,
    secret::Secret,
    store::{Page, RequestFilter},
};
use pki::{algorithm::KeyAlgorithm, pem};

use super::{
    super::wire,
    scene::{Scene, Setup, basic, credential, get, post},
    strangers::csr,
};
use crate::listeners::{FailedAuthentications, Limits};

#[tokio::test]
async fn simpleenroll_gives_the_certificate_alone_and_records_who_asked() {
    let scene = Scene::new().await;
    let answer = scene.enroll(STANDARD.encode(csr("device-1"))).await;
    assert_eq!(answer.headers[CONTENT_TYPE], wire::PKCS7_CERTS_ONLY);
    let certificates = answer.certificates();
    assert_eq!(certificates.len(), 1);
    let leaf = &certificates[0];
    leaf.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
    assert_eq!(leaf.subject().to_string(), "CN=device-1");
    let row =
        scene.app.engine.store().certificate(scene.authority.key_id(), leaf.serial()).await.unwrap().unwrap();
    assert_eq!((row.der.as_slice(), row.requester.as_str()), (leaf.der(), "anyone"));
    assert_eq!(row.credential.as_ref(), Some(&scene.credential.id));
}

#[tokio::test]
async fn every_form_of_body_that_clients_send_is_read() {
    let scene = Scene::new().await;
    let der = csr("device-1");
    let one_line = STANDARD.encode(&der);
    let columns: Vec<&str> =
        one_line.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let forms: [Vec<u8>; 6] = [
        one_line.clone().into(),
        columns.join("\r\n").into(),
        format!("\n{}\n", columns.join("\n")).into(),
        one_line.trim_end_matches('=').into(),
        der.clone(),
        pem::encode("CERTIFICATE REQUEST", &der).into(),
    ];
    for form in forms {
        assert_eq!(scene.enroll(form).await.certificates().len(), 1);
    }
}

#[tokio::test]
async fn a_body_that_is_no_request_is_refused_with_the_reason() {
    let scene = Scene::new().await;
    let mut trailing = csr("device-1");
    trailing.push(0);
    let mut forged = csr("device-1");
    *forged.last_mut().unwrap() ^= 1;
    let bodies: [(Vec<u8>, &str); 7] = [
        (b"".into(), "empty"),
        (b"  \n".into(), "empty"),
        (b"!!!!".into(), "base64"),
        (STANDARD.encode("hello").into(), "PKCS #10"),
        (STANDARD.encode(&trailing).into(), "PKCS #10"),
        (STANDARD.encode(&forged).into(), "PKCS #10"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".into(), "PEM"),
    ];
    for (body, reason) in bodies {
        let answer = scene.enroll(body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text());
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_stranger_is_asked_and_a_wrong_password_is_not_told_from_a_wrong_name() {
    let scene = Scene::new().await;
    let path = "/.well-known/est/devices/simpleenroll";
    let body = STANDARD.encode(csr("device-1"));
    let bare = Request::post(path)
        .header(CONTENT_TYPE, "application/pkcs10")
        .body(Body::from(body.clone()))
        .unwrap();
    let mut answers = vec![scene.send(bare).await];
    for authorization in [basic("anyone", b"wrong"), basic("", b""), "Bearer x".into(), "Basic !".into()] {
        answers.push(scene.send(post(path, &authorization, body.clone())).await);
    }
    for answer in &answers {
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        assert!(answer.headers[WWW_AUTHENTICATE].to_str().unwrap().starts_with("Basic realm="));
        assert_eq!(answer.text(), answers[0].text());
    }
}

#[tokio::test]
async fn a_user_enrols_with_the_own_password_and_with_no_other_users() {
    let scene = Scene::new().await;
    let method = scene.app.serving().est.by_label["devices"].method.clone();
    let (password, _) = credential(&scene.app.engine, &method, Some("ann")).await;
    let path = "/.well-known/est/devices/simpleenroll";
    let body = STANDARD.encode(csr("device-1"));
    let as_user = |user: &str| post(path, &basic(user, password.expose()), body.clone());
    assert_eq!(scene.send(as_user("ann")).await.certificates().len(), 1);
    assert_eq!(scene.send(as_user("bob")).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_revoked_or_regenerated_credential_is_refused_by_the_very_next_request() {
    let scene = Scene::new().await;
    let body = STANDARD.encode(csr("device-1"));
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::OK);
    let renewed = generate().unwrap();
    let row = CredentialRow { verifier: Verifier::of_generated(&renewed), ..scene.credential.clone() };
    scene.put(row.clone()).await;
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::UNAUTHORIZED);
    let path = "/.well-known/est/devices/simpleenroll";
    let with_new = || post(path, &basic("anyone", renewed.expose()), body.clone());
    assert_eq!(scene.send(with_new()).await.status, StatusCode::OK);
    scene.put(CredentialRow { version: 2, state: CredentialState::Revoked, ..row }).await;
    assert_eq!(scene.send(with_new()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_password_before_is_accepted_in_its_overlap_unless_the_credential_is_regenerated() {
    let scene = Scene::new().await;
    let (body, path) = (STANDARD.encode(csr("device-1")), "/.well-known/est/devices/simpleenroll");
    let status = async |password: &Secret| {
        scene.send(post(path, &basic("anyone", password.expose()), body.clone())).await.status
    };
    let old = scene.passphrase.clone();
    let [second, third, fourth] = [(); 3].map(|()| generate().unwrap());
    let rotated = |row: &CredentialRow, next: &Secret| {
        let until = scene.clock.now().plus_seconds(600);
        let previous = Some(PreviousValue { verifier: row.verifier.clone(), until });
        CredentialRow { verifier: Verifier::of_generated(next), previous, ..row.clone() }
    };
    let row = scene.credential.clone();
    scene.put(rotated(&row, &second)).await;
    assert_eq!([status(&old).await, status(&second).await], [StatusCode::OK; 2]);
    let row = CredentialRow { verifier: Verifier::of_generated(&third), version: row.version + 1, ..row };
    scene.put(row.clone()).await;
    assert_eq!([status(&old).await, status(&second).await], [StatusCode::UNAUTHORIZED; 2]);
    scene.put(rotated(&CredentialRow { version: row.version + 1, ..row }, &fourth)).await;
    assert_eq!([status(&third).await, status(&fourth).await], [StatusCode::OK; 2]);
    scene.clock.forward(600);
    assert_eq!(status(&third).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&fourth).await, StatusCode::OK);
}

#[tokio::test]
async fn wrong_paths_methods_and_content_types_have_their_own_answers() {
    let scene = Scene::new().await;
    let body = STANDARD.encode(csr("device-1"));
    let basic = scene.basic("x");
    let typed = |content_type: &str| {
        Request::post("/.well-known/est/devices/simpleenroll")
            .header(CONTENT_TYPE, content_type)
            .header(AUTHORIZATION, &basic)
            .body(Body::from(body.clone()))
            .unwrap()
    };
    let table = [
        (post("/.well-known/est/nobody/simpleenroll", &basic, body.clone()), StatusCode::NOT_FOUND),
        (get("/.well-known/est/nobody/cacerts"), StatusCode::NOT_FOUND),
        (get("/.well-known/est/devices/simpleenroll"), StatusCode::METHOD_NOT_ALLOWED),
        (typed("application/x-www-form-urlencoded"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (typed("application/pkcs7-mime"), StatusCode::UNSUPPORTED_MEDIA_TYPE),
        (typed("application/PKCS10; charset=us-ascii"), StatusCode::OK),
    ];
    for (request, status) in table {
        let shown = format!("{} {}", request.method(), request.uri());
        assert_eq!(scene.send(request).await.status, status, "{shown}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_413() {
    let scene =
        Scene::of(Setup { limits: Limits { body_bytes: 1000, ..Limits::default() }, ..Setup::default() })
            .await;
    assert_eq!(scene.enroll(vec![b'A'; 1001]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_policy_that_says_no_is_a_403_with_one_sentence_and_an_audit_record() {
    let scene = Scene::with(|policy| policy.keys.allowed = vec![KeyAlgorithm::Rsa4096]).await;
    let answer = scene.enroll(STANDARD.encode(csr("device-1"))).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert_eq!(answer.text(), "keys.allowed: acme/device-tls allows RSA-4096; ECDSA-P256 was asked for\n");
    let store = scene.app.engine.store();
    let stream = &store.audit_streams().await.unwrap()[0];
    let last = store.audit_head(stream).await.unwrap().unwrap();
    assert!(last.body.contains("keys.allowed") && last.body.contains("refused"), "{}", last.body);
}

#[tokio::test]
async fn an_address_that_guesses_is_told_to_wait() {
    let failed_authentications =
        FailedAuthentications { per_address: 3, window: Duration::from_secs(60), enforced: true };
    let scene = Scene::of(Setup {
        limits: Limits { failed_authentications, ..Limits::default() },
        ..Setup::default()
    })
    .await;
    let guess = || post("/.well-known/est/devices/simpleenroll", &basic("x", b"guess"), "");
    for _ in 0..3 {
        assert_eq!(scene.send(guess()).await.status, StatusCode::UNAUTHORIZED);
    }
    let answer = scene.send(guess()).await;
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(answer.headers[RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn a_request_that_waits_for_approval_is_answered_202_until_somebody_approves() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = STANDARD.encode(csr("device-1"));
    for _ in 0..2 {
        let answer = scene.enroll(body.clone()).await;
        assert_eq!(
            (answer.status, answer.headers[RETRY_AFTER].to_str().unwrap()),
            (StatusCode::ACCEPTED, "7")
        );
    }
    let rows = scene.app.engine.store().requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    assert_eq!(rows.len(), 1, "the same request is one request");
    scene.app.engine.decide(&rows[0].1.id, Verdict::Approve, "ann", None).await.unwrap();
    let first = scene.enroll(body.clone()).await.certificates();
    let again = scene.enroll(body).await.certificates();
    assert_eq!(first[0].der(), again[0].der(), "an approval is good for one certificate");
}

#[tokio::test]
async fn a_revoked_credential_learns_nothing_more_of_a_request_that_waits_or_was_decided() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = STANDARD.encode(csr("device-1"));
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::ACCEPTED);
    scene.put(CredentialRow { state: CredentialState::Revoked, ..scene.credential.clone() }).await;
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::UNAUTHORIZED);
    let rows = scene.app.engine.store().requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    scene.app.engine.decide(&rows[0].1.id, Verdict::Approve, "ann", None).await.unwrap();
    assert_eq!(scene.enroll(body).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_denied_request_is_told_why() {
    let scene = Scene::with(|policy| policy.approval = Approval::Manual).await;
    let body = STANDARD.encode(csr("device-1"));
    assert_eq!(scene.enroll(body.clone()).await.status, StatusCode::ACCEPTED);
    let rows = scene.app.engine.store().requests(&RequestFilter::default(), &Page::first(10)).await.unwrap();
    let reason = Some("not in the inventory".to_owned());
    scene.app.engine.decide(&rows[0].1.id, Verdict::Deny, "ann", reason).await.unwrap();
    let answer = scene.enroll(body).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.text().contains("denied: not in the inventory"), "{}", answer.text());
}

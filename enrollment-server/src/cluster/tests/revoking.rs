//! Revocations that resources ask for, counts of what was used, and lists that were made.

use std::collections::BTreeMap;

use bytes::Bytes;
use client::internal::{IssueRequest, ListUsage, OPERATOR_DNS_NAME, RevokeOutcome, RevokeRequest, Usage};
use http::{Method, StatusCode};
use issuance::{
    authority::key_identifier,
    identity::ResourceName,
    store::{CertificateStatus, JobKind},
};
use pki::{certificate::Certificate, extension::ReasonCode};
use rcgen::ExtendedKeyUsagePurpose;

use super::{
    issuing::{asked, issue, issued},
    scene::Scene,
    strangers::{Listening, ask, get},
};

pub(super) async fn operator_asks(
    scene: &Scene,
    request: http::Request<http_body_util::Full<Bytes>>,
) -> (StatusCode, Bytes) {
    let listening = Listening::start(&scene.replica).await;
    let own = &scene.operator.internal;
    let shown = own.issue(OPERATOR_DNS_NAME, ExtendedKeyUsagePurpose::ClientAuth, |_| {});
    listening.ask(own, Some(shown), request).await.unwrap()
}

fn revocation(certificate: &Certificate, issuer: &Certificate) -> RevokeRequest {
    RevokeRequest {
        issuer: key_identifier(issuer).to_string(),
        serial: certificate.serial().to_string(),
        reason: "keyCompromise".into(),
        requester: "CertificateRevocation shop/lost".into(),
        namespace: Some("shop".into()),
    }
}

async fn revoke(scene: &Scene, request: &RevokeRequest) -> RevokeOutcome {
    let body = Bytes::from(serde_json::to_vec(request).unwrap());
    let (status, body) = operator_asks(scene, ask(Method::POST, "revoke", body)).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

async fn used(scene: &Scene) -> Usage {
    let (status, body) = operator_asks(scene, get("usage")).await;
    assert_eq!(status, StatusCode::OK);
    serde_json::from_slice(&body).unwrap()
}

async fn refuses(scene: &Scene, request: &RevokeRequest, words: &str) {
    match revoke(scene, request).await {
        RevokeOutcome::Refused { message } => assert!(message.contains(words), "{message}"),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_namespace_revokes_what_it_got_and_nothing_else() {
    let scene = Scene::new().await;
    let (leaf, chain, _) = issued(&scene, &asked()).await;
    let issuing = Certificate::from_der(&chain[1]).unwrap();
    let wanted = revocation(&leaf, &issuing);
    let foreign = RevokeRequest { namespace: Some("elsewhere".into()), ..wanted.clone() };
    refuses(&scene, &foreign, "not one of the namespace elsewhere").await;
    let hold = RevokeRequest { reason: "certificateHold".into(), ..wanted.clone() };
    refuses(&scene, &hold, "certificateHold").await;

    let first = revoke(&scene, &wanted).await;
    let RevokeOutcome::Revoked { revoked_at, .. } = &first else { panic!("{first:?}") };
    assert!(*revoked_at > 0);
    let again = RevokeRequest { reason: "superseded".into(), ..wanted.clone() };
    assert_eq!(revoke(&scene, &again).await, first, "revoking twice is no error");

    let row = scene.volume.store.certificate(key_identifier(&issuing), leaf.serial()).await.unwrap().unwrap();
    assert!(matches!(row.status, CertificateStatus::Revoked { reason: ReasonCode::KeyCompromise, .. }));
    let due = scene.volume.store.next_job(&[JobKind::Crl]).await.unwrap().unwrap();
    assert!(due.unix() <= *revoked_at, "the next list is made at once");
    let streams = scene.volume.store.audit_streams().await.unwrap();
    let head = scene.volume.store.audit_head(&streams[0]).await.unwrap().unwrap();
    assert!(head.body.contains("CertificateRevocation shop/lost"), "{}", head.body);
}

#[tokio::test]
async fn whoever_names_no_namespace_may_revoke_any() {
    let scene = Scene::new().await;
    let (leaf, chain, _) = issued(&scene, &asked()).await;
    let wanted = revocation(&leaf, &Certificate::from_der(&chain[1]).unwrap());
    let any = RevokeRequest { namespace: None, ..wanted };
    assert!(matches!(revoke(&scene, &any).await, RevokeOutcome::Revoked { .. }));
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_cannot_be_read_is_refused() {
    let scene = Scene::new().await;
    let (leaf, chain, root) = issued(&scene, &asked()).await;
    let issuing = Certificate::from_der(&chain[1]).unwrap();
    let wanted = revocation(&leaf, &issuing);
    let unknown = RevokeRequest { serial: "01".into(), ..wanted.clone() };
    assert_eq!(revoke(&scene, &unknown).await, RevokeOutcome::NotFound);
    for bad in [
        RevokeRequest { issuer: "x".into(), ..wanted.clone() },
        RevokeRequest { serial: "xyz".into(), ..wanted.clone() },
        RevokeRequest { reason: "because".into(), ..wanted.clone() },
        RevokeRequest { requester: String::new(), ..wanted.clone() },
    ] {
        let body = Bytes::from(serde_json::to_vec(&bad).unwrap());
        let (status, _) = operator_asks(&scene, ask(Method::POST, "revoke", body)).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{bad:?}");
    }
    // What the root signed is on the root's list, which the operator makes.
    let root = Certificate::from_der(&root).unwrap();
    let of_root = RevokeRequest { namespace: None, ..revocation(&issuing, &root) };
    refuses(&scene, &of_root, "the operator makes its lists").await;
}

#[tokio::test]
async fn counts_say_what_was_used_and_refused() {
    let scene = Scene::new().await;
    issued(&scene, &asked()).await;
    let long = IssueRequest { duration_seconds: Some(u64::MAX), uid: "long".into(), ..asked() };
    assert_eq!(issue(&scene, &long).await.0, StatusCode::OK);
    let usage = used(&scene).await;
    let method = &usage.methods["-/issuer:services"];
    assert_eq!((method.issued, method.refused), (1, 1));
    let (at, sentence) = method.last_failure.as_ref().unwrap();
    assert!(*at > 0 && sentence.contains("validity.maximum"), "{sentence}");
    let factory = ResourceName::new("enrollment", "factory").to_string();
    assert_eq!((usage.credentials.len(), usage.credentials[&factory].uses), (1, 0));
}

#[tokio::test]
async fn the_newest_list_of_each_authority_that_is_issued_with_is_told() {
    let scene = Scene::new().await;
    let app = &scene.replica.app;
    assert_eq!(used(&scene).await.crls, BTreeMap::new(), "none was made yet");
    let serving = app.serving();
    let issuing: Vec<_> = serving.office.authorities.values().collect();
    assert_eq!(issuing.len(), 1, "the root is the operator's");
    app.engine.publish_crl(issuing[0], None).await.unwrap();
    let row = app.engine.publish_crl(issuing[0], None).await.unwrap();
    let list = ListUsage {
        number: row.number,
        this_update: row.this_update.unix(),
        next_update: row.next_update.unix(),
    };
    assert_eq!(used(&scene).await.crls, [(issuing[0].key_id().to_string(), list)].into());
}

/// What a server of the release before answers can be read.
#[test]
fn counts_without_lists_are_read() {
    let usage: Usage = serde_json::from_str(r#"{"credentials":{},"methods":{}}"#).unwrap();
    assert_eq!(usage, Usage::default());
}

//! One request, one certificate.

use std::sync::{Arc, atomic::Ordering};

use pki::certificate::Certificate;

use super::{refused, watched};
use crate::{
    Error,
    audit::{Action, Actor, AuditOutcome},
    error::Rule,
    identity::Protocol,
    policy::{Approval, Permission},
    revocation::Revocation,
    store::{CertificateStatus, StoreError, memory::MemoryStore},
    testing::{Before, HookedStore, NOW, Scene, policy, policy_with, request},
};

#[tokio::test]
async fn a_certificate_is_recorded_as_it_was_issued() {
    let scene = Scene::new(&policy()).await;
    let issued = scene.issue(&request().common_name("device-7")).await;
    let certificate = Certificate::from_der(&issued.certificate).unwrap();
    certificate.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
    assert_eq!(certificate.serial(), &issued.serial);
    assert_eq!(certificate.issuer(), scene.authority.certificate.subject());

    let row = scene.row(&issued).await;
    assert_eq!(
        (row.der, row.subject.as_str(), row.requester.as_str()),
        (issued.certificate, "CN=device-7", "ann")
    );
    assert_eq!((row.not_before, row.not_after), (certificate.not_before(), certificate.not_after()));
    assert_eq!((row.status, row.issued_at, row.protocol), (CertificateStatus::Valid, NOW, Protocol::Est));
    assert_eq!(row.public_key_sha256, hex::encode(certificate.public_key().spki_sha256()));

    let events = scene.events().await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.action, event.outcome), (Action::CertificateIssued, AuditOutcome::Done));
    assert_eq!((event.serial, event.issuer), (Some(issued.serial), Some(scene.authority.key_id())));
    assert_eq!(event.subject.as_deref(), Some("CN=device-7"));
    assert!(matches!(&event.actor, Actor::Requester { name, .. } if name == "ann"));
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 1);
}

#[tokio::test]
async fn a_row_says_whether_the_server_made_the_key() {
    let scene = Scene::new(&policy()).await;
    let cases = [(request(), false), (request().by_the_server(), true)];
    for (request, expected) in cases {
        let issued = scene.issue(&request).await;
        assert_eq!(scene.row(&issued).await.server_key, expected);
    }
}

#[tokio::test]
async fn serial_numbers_are_random_and_positive_and_never_the_same() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    let mut serials = std::collections::HashSet::new();
    for _ in 0..100 {
        let serial = scene.issue(&request).await.serial;
        assert_eq!(serial.as_bytes().len(), 16);
        assert!(serials.insert(serial));
    }
}

#[tokio::test]
async fn a_serial_number_that_is_taken_discards_the_signature_and_tries_again() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let (authority, key) = watched(store.log());
    let scene = Scene::with(store.clone(), &policy(), authority).await;
    let first = scene.issue(&request()).await;
    let before = key.signatures();
    store.script([Before::SetSerial(first.serial), Before::SetSerial(first.serial)]);
    let second = scene.issue(&request()).await;
    assert_eq!(key.signatures() - before, 3);
    assert_ne!(second.serial, first.serial);
    assert_eq!(scene.row(&second).await.der, second.certificate);
    assert_eq!(scene.certificates().await.len(), 2);
    // What was discarded left no trace: two certificates, two uses, two events.
    assert_eq!(scene.events().await.len(), 2);
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 2);
}

#[tokio::test]
async fn serial_numbers_that_keep_being_taken_are_given_up() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    let first = scene.issue(&request()).await;
    store.script(vec![Before::SetSerial(first.serial); 10]);
    match scene.ask(&request()).await {
        Err(Error::Internal(reason)) => assert_eq!(reason, "random serial numbers repeat"),
        other => panic!("{other:?}"),
    }
    assert_eq!(scene.certificates().await.len(), 1);
}

#[tokio::test]
async fn without_the_store_no_certificate_leaves_and_nothing_is_recorded() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    store.script([Before::Fail]);
    match scene.ask(&request()).await {
        Err(error @ Error::Unavailable(_)) => assert!(!error.public().contains("disk")),
        other => panic!("{other:?}"),
    }
    assert!(scene.certificates().await.is_empty() && scene.events().await.is_empty());
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 0);
    scene.issue(&request()).await;
}

#[tokio::test]
async fn without_the_key_nothing_is_recorded() {
    let (authority, key) = watched(Arc::default());
    let scene = Scene::with(Arc::new(MemoryStore::default()), &policy(), authority).await;
    key.gone.store(true, Ordering::SeqCst);
    assert!(matches!(scene.ask(&request()).await, Err(Error::Unavailable(_))));
    assert!(scene.certificates().await.is_empty() && scene.events().await.is_empty());
    key.gone.store(false, Ordering::SeqCst);
    scene.issue(&request()).await;
}

#[tokio::test]
async fn a_refusal_is_recorded_with_its_sentence() {
    let scene = Scene::new(&policy()).await;
    let refusal = refused(scene.ask(&request().dns("evil.org")).await, Rule::SubjectAltNames);
    let events = scene.events().await;
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.action, event.outcome), (Action::CertificateRequested, AuditOutcome::Refused));
    assert_eq!(event.reason.as_deref(), Some(refusal.sentence()));
    assert_eq!(event.subject.as_deref(), Some("CN=device-1"));
    assert_eq!(
        (event.method.as_ref(), event.credential.as_ref()),
        (Some(&scene.method.name), Some(&scene.ann.id))
    );
    assert!(scene.certificates().await.is_empty());
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 0);
}

#[tokio::test]
async fn a_refusal_that_cannot_be_recorded_is_not_given() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    store.script([Before::Fail]);
    assert!(matches!(scene.ask(&request().dns("evil.org")).await, Err(Error::Unavailable(_))));
}

#[tokio::test]
async fn a_huge_subject_is_cut_before_it_is_recorded() {
    let scene = Scene::new(&policy()).await;
    refused(scene.ask(&request().common_name(&"x".repeat(50_000))).await, Rule::Subject);
    let event = scene.events().await.remove(0);
    assert!(event.subject.unwrap().len() <= 2000 && event.reason.unwrap().len() <= 500);
}

#[tokio::test]
async fn a_role_of_the_server_gets_a_certificate_without_a_credential() {
    let scene = Scene::new(&policy_with(|policy| policy.protocols.clear())).await;
    let issued = scene.engine.issue_role(scene.method.clone(), "tls", request().asked()).await.unwrap();
    let row = scene.row(&issued).await;
    assert_eq!((row.protocol, row.requester.as_str(), row.credential), (Protocol::Internal, "tls", None));
    let event = scene.events().await.remove(0);
    assert_eq!(
        (event.actor, event.method),
        (Actor::Server, None),
        "it would be in the trail of a method of that name"
    );
}

#[tokio::test]
async fn a_role_whose_profile_asks_for_approval_is_a_mistake() {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    match scene.engine.issue_role(scene.method.clone(), "tls", request().asked()).await {
        Err(Error::Internal(reason)) => assert!(reason.contains("role tls asks for approval")),
        other => panic!("{other:?}"),
    }
    assert!(scene.certificates().await.is_empty());
}

#[tokio::test]
async fn a_role_obeys_its_profile() {
    let scene = Scene::new(&policy()).await;
    let outcome =
        scene.engine.issue_role(scene.method.clone(), "tls", request().dns("evil.org").asked()).await;
    refused(outcome, Rule::SubjectAltNames);
    let event = scene.events().await.remove(0);
    assert_eq!((event.actor, event.outcome, event.method), (Actor::Server, AuditOutcome::Refused, None));
}

#[tokio::test]
async fn a_key_that_has_a_certificate_gets_no_other_where_the_profile_wants_new_keys() {
    let scene = Scene::new(&policy_with(|policy| policy.keys.reuse = Permission::Refused)).await;
    let request = request();
    let first = scene.issue(&request).await;
    let refusal = refused(scene.ask(&request.clone().common_name("another")).await, Rule::KeyReuse);
    assert!(refusal.sentence().starts_with("keys.reuse: this key already has a certificate"));
    assert_eq!(scene.certificates().await.len(), 1);
    scene
        .engine
        .revoke(scene.authority.key_id(), &first.serial, Revocation::Hold, Actor::Server)
        .await
        .unwrap();
    refused(scene.ask(&request).await, Rule::KeyReuse);
    scene.issue(&crate::testing::request()).await;
}

#[tokio::test]
async fn a_key_may_be_used_again_where_the_profile_allows_it() {
    let scene = Scene::new(&policy()).await;
    let request = request();
    assert_ne!(scene.issue(&request).await.serial, scene.issue(&request).await.serial);
}

#[test]
fn a_corrupt_store_is_a_defect_and_an_absent_one_is_not() {
    assert!(matches!(Error::from(StoreError::Corrupt("x".into())), Error::Internal(_)));
    assert!(matches!(Error::from(StoreError::Unavailable("x".into())), Error::Unavailable(_)));
}

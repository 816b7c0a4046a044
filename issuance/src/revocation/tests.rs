//! Every change of status that RFC 5280 knows, and none that it does not.

use std::sync::Arc;

use pki::{extension::ReasonCode, serial::SerialNumber};

use super::Revocation;
use crate::{
    Error, Result,
    audit::{Action, Actor, AuditOutcome},
    error::Rule,
    identity::{KeyId, Protocol, ResourceName},
    policy::IssuerChoice,
    request::{Asked, AskedKey},
    store::{
        CertificateRow, CertificateStatus, Commit, JobKind, JobLease, MethodScope, Write, memory::MemoryStore,
    },
    testing::{Before, HookedStore, NOW, Scene, policy, policy_with, request},
};

use ReasonCode::{
    AaCompromise, AffiliationChanged, CaCompromise, CertificateHold, CessationOfOperation, KeyCompromise,
    PrivilegeWithdrawn, RemoveFromCrl, Superseded, Unspecified,
};

/// All reasons to revoke for good.
const REASONS: [ReasonCode; 8] = [
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
    AaCompromise,
];

fn because(reason: ReasonCode) -> Revocation {
    Revocation::Revoke { reason, invalidity_date: None }
}

fn operator() -> Actor {
    Actor::Operator { name: "olga".into() }
}

/// A scene with one certificate of this status.
async fn scene_with(status: &CertificateStatus) -> (Scene, SerialNumber) {
    let scene = Scene::new(&policy()).await;
    let serial = scene.issue(&request()).await.serial;
    let issuer = scene.authority.key_id();
    let writes = vec![Write::SetCertificateStatus { issuer, serial, status: status.clone() }];
    scene.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    scene.clock.advance(60);
    (scene, serial)
}

async fn revoke(scene: &Scene, serial: &SerialNumber, revocation: Revocation) -> Result<CertificateRow> {
    scene.engine.revoke(scene.authority.key_id(), serial, revocation, operator()).await
}

#[tokio::test]
async fn every_change_of_status_that_is_known_and_no_other() {
    let (at, later) = (NOW, NOW.plus_seconds(60));
    let revoked = |at, reason| CertificateStatus::Revoked { at, reason, invalidity_date: None };
    let (valid, held) = (CertificateStatus::Valid, CertificateStatus::Held { at });
    let table = [
        (&valid, because(KeyCompromise), Some(revoked(later, KeyCompromise))),
        (&valid, Revocation::Hold, Some(CertificateStatus::Held { at: later })),
        (&valid, Revocation::Release, Some(valid.clone())),
        (&held, because(Superseded), Some(revoked(later, Superseded))),
        (&held, Revocation::Hold, Some(held.clone())),
        (&held, Revocation::Release, Some(valid.clone())),
        (&revoked(at, Superseded), because(KeyCompromise), Some(revoked(at, Superseded))),
        (&revoked(at, Superseded), Revocation::Hold, None),
        (&revoked(at, Superseded), Revocation::Release, None),
        (&valid, because(CertificateHold), None),
        (&valid, because(RemoveFromCrl), None),
        (&held, because(CertificateHold), None),
        (&held, because(RemoveFromCrl), None),
        (&revoked(at, Superseded), because(RemoveFromCrl), None),
    ];
    for (from, revocation, expected) in table {
        let (scene, serial) = scene_with(from).await;
        let outcome = revoke(&scene, &serial, revocation).await;
        let recorded = scene.certificates().await.remove(0).status;
        match (outcome, expected) {
            (Ok(row), Some(expected)) => {
                assert_eq!((&row.status, &recorded), (&expected, &expected), "{revocation:?}")
            }
            (Err(Error::Refused(refusal)), None) => {
                assert_eq!(refusal.rule(), Rule::Revocation);
                assert!(refusal.sentence().starts_with("revocation: "));
                assert_eq!(&recorded, from);
            }
            (outcome, _) => panic!("{from:?} {revocation:?}: {outcome:?}"),
        }
        // One record of a change, none where nothing changed.
        let records = scene.events().await.len() - 1;
        assert_eq!(records, usize::from(recorded != *from), "{from:?} {revocation:?}");
    }
}

#[tokio::test]
async fn every_reason_to_revoke_for_good_is_taken_and_recorded() {
    for reason in REASONS {
        let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
        let invalidity_date = Some(NOW.plus_seconds(-3600));
        revoke(&scene, &serial, Revocation::Revoke { reason, invalidity_date }).await.unwrap();
        let event = scene.events().await.pop().unwrap();
        assert_eq!(
            (event.action, event.reason.as_deref()),
            (Action::CertificateRevoked, Some(reason.as_str()))
        );
        assert_eq!((event.actor, event.serial), (operator(), Some(serial)));
        let status = scene.certificates().await.remove(0).status;
        assert_eq!(status, CertificateStatus::Revoked { at: NOW.plus_seconds(60), reason, invalidity_date });
    }
}

#[tokio::test]
async fn a_change_has_the_next_list_made_at_once() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let now = NOW.plus_seconds(60);
    assert_eq!(scene.store.next_job(&[JobKind::Crl]).await.unwrap(), None);
    revoke(&scene, &serial, because(KeyCompromise)).await.unwrap();
    let lease = JobLease { owner: "test".into(), until: now.plus_seconds(60) };
    let jobs = scene.store.lease_jobs(&[JobKind::Crl], &lease, now, 10).await.unwrap();
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((job.key.clone(), job.run_at), (scene.authority.key_id().to_string(), now));
}

#[tokio::test]
async fn what_was_never_issued_is_not_found() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let unknown = SerialNumber::from_random([1; 16]);
    assert!(matches!(
        revoke(&scene, &unknown, because(Superseded)).await,
        Err(Error::NotFound("certificate"))
    ));
    let foreign = scene.engine.revoke(KeyId([9; 20]), &serial, because(Superseded), operator()).await;
    assert!(matches!(foreign, Err(Error::NotFound("certificate"))));
}

#[tokio::test]
async fn somebody_of_the_method_changes_what_the_method_issued_and_is_named() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let issuer = scene.authority.key_id();
    for (revocation, action) in [
        (Revocation::Hold, Action::CertificateHeld),
        (Revocation::Release, Action::CertificateReleased),
        (because(Superseded), Action::CertificateRevoked),
    ] {
        let by = scene.login().await;
        let row = scene.engine.revoke_as(&by, &scene.own(), issuer, &serial, revocation).await.unwrap();
        assert_eq!(scene.certificates().await.remove(0).status, row.status);
        let event = scene.events().await.pop().unwrap();
        assert_eq!((event.action, event.outcome, event.serial), (action, AuditOutcome::Done, Some(serial)));
        assert_eq!((event.actor, event.credential), (Actor::of(by.requester()), Some(scene.ann.id.clone())));
    }
    // A refusal is recorded too.
    let by = scene.login().await;
    let outcome = scene.engine.revoke_as(&by, &scene.own(), issuer, &serial, Revocation::Hold).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
    let event = scene.events().await.pop().unwrap();
    assert_eq!((event.action, event.outcome), (Action::CertificateHeld, AuditOutcome::Refused));
    assert_eq!(event.reason.as_deref(), Some("revocation: the certificate is revoked for good"));
    assert_eq!(event.credential, Some(scene.ann.id.clone()));
}

#[tokio::test]
async fn nobody_changes_what_another_method_issued() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let other = Scene::new(&policy()).await;
    let row = scene.certificates().await.remove(0);
    let foreign = CertificateRow { method: ResourceName::new("elsewhere", "api"), ..row };
    let writes = vec![Write::InsertCertificate(Box::new(foreign))];
    other.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    let by = other.login().await;
    let outcome = other
        .engine
        .revoke_as(&by, &other.own(), scene.authority.key_id(), &serial, because(Superseded))
        .await;
    assert!(matches!(outcome, Err(Error::NotFound("certificate"))), "{outcome:?}");
    assert_eq!(other.certificates().await.remove(0).status, CertificateStatus::Valid);
    // Whoever administers that method does, and it is said which one it was.
    let scope = MethodScope::Namespace("elsewhere".into());
    let row =
        other.engine.revoke_as(&by, &scope, scene.authority.key_id(), &serial, because(Superseded)).await;
    assert_ne!(row.unwrap().status, CertificateStatus::Valid);
    let event = other.events().await.pop().unwrap();
    assert_eq!(
        (event.method, event.actor),
        (Some(ResourceName::new("elsewhere", "api")), Actor::of(by.requester()))
    );
}

#[tokio::test]
async fn no_method_has_what_the_server_issued_to_itself() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let other = Scene::new(&policy()).await;
    let row = CertificateRow { protocol: Protocol::Internal, ..scene.certificates().await.remove(0) };
    let method = row.method.clone();
    let writes = vec![Write::InsertCertificate(Box::new(row))];
    other.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    let by = other.login().await;
    for scope in [MethodScope::Namespace(method.namespace().to_owned()), MethodScope::from(method)] {
        let issuer = scene.authority.key_id();
        let outcome = other.engine.revoke_as(&by, &scope, issuer, &serial, because(Superseded)).await;
        assert!(matches!(outcome, Err(Error::NotFound("certificate"))), "{outcome:?}");
    }
    assert_eq!(other.certificates().await.remove(0).status, CertificateStatus::Valid);
    // Nor is what an operator does with it in the trail of one.
    other.engine.revoke(scene.authority.key_id(), &serial, because(Superseded), operator()).await.unwrap();
    let event = other.events().await.pop().unwrap();
    assert_eq!((event.action, event.method), (Action::CertificateRevoked, None));
}

#[tokio::test]
async fn a_credential_that_was_changed_meanwhile_revokes_nothing() {
    let (scene, serial) = scene_with(&CertificateStatus::Valid).await;
    let by = scene.login().await;
    scene.change_ann(|_| {}).await;
    let outcome = scene
        .engine
        .revoke_as(&by, &scene.own(), scene.authority.key_id(), &serial, because(Superseded))
        .await;
    assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");
    assert_eq!(scene.certificates().await.remove(0).status, CertificateStatus::Valid);
}

#[tokio::test]
async fn a_self_signed_certificate_cannot_be_revoked() {
    let scene = Scene::new(&policy_with(|policy| policy.issuer = IssuerChoice::SelfSigned)).await;
    let request = request();
    let asked = Asked { key: AskedKey::Server(request.key.clone()), ..request.asked() };
    let issued = scene.engine.issue_role(scene.method.clone(), "tls", asked).await.unwrap();
    let issuer = scene.certificates().await.remove(0).issuer;
    match scene.engine.revoke(issuer, &issued.serial, because(Superseded), operator()).await {
        Err(Error::Refused(refusal)) => assert!(refusal.sentence().contains("self-signed")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn of_two_changes_at_once_one_is_told() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    let serial = scene.issue(&request()).await.serial;
    let status = CertificateStatus::Revoked { at: NOW, reason: KeyCompromise, invalidity_date: None };
    let other =
        Write::SetCertificateStatus { issuer: scene.authority.key_id(), serial, status: status.clone() };
    store.script([Before::Other(Box::new(Commit { writes: vec![other], ..Commit::default() }))]);
    assert!(matches!(revoke(&scene, &serial, Revocation::Hold).await, Err(Error::Conflict(_))));
    assert_eq!(scene.certificates().await.remove(0).status, status);
}

//! Revocation lists: what they hold, when they follow, and what `openssl` makes of them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use pki::{
    crl::{CertificateList, RevokedEntry},
    extension::ReasonCode,
    serial::SerialNumber,
};

use super::crl_job;
use crate::{
    Error, Issued,
    audit::{Action, Actor},
    revocation::Revocation,
    store::{CertificateStatus, Commit, Job, JobKind, JobLease, Write, memory::MemoryStore},
    testing::{
        AuthoritySpec, DAY, NOW, Scene, authority,
        openssl::{Folder, openssl},
        policy, request,
    },
};

async fn scene() -> Scene {
    Scene::new(&policy()).await
}

async fn revoke(scene: &Scene, issued: &Issued, revocation: Revocation) {
    scene.engine.revoke(scene.authority.key_id(), &issued.serial, revocation, Actor::Server).await.unwrap();
}

fn because(reason: ReasonCode) -> Revocation {
    Revocation::Revoke { reason, invalidity_date: None }
}

async fn publish(scene: &Scene) -> CertificateList {
    let row = scene.engine.publish_crl(&scene.authority, None).await.unwrap();
    let list = CertificateList::from_der(&row.der).unwrap();
    list.verify_signed_by(scene.authority.certificate.public_key()).unwrap();
    assert_eq!(list.number().unwrap().unwrap().0, row.number);
    assert_eq!((list.this_update(), list.next_update()), (row.this_update, Some(row.next_update)));
    assert_eq!(scene.store.latest_crl(row.issuer).await.unwrap(), Some(row));
    list
}

fn entries(list: &CertificateList) -> BTreeMap<String, RevokedEntry> {
    list.entries().map(|entry| entry.unwrap()).map(|entry| (entry.serial.to_string(), entry)).collect()
}

fn number(list: &CertificateList) -> u64 {
    list.number().unwrap().unwrap().0
}

#[tokio::test]
async fn a_list_holds_what_is_revoked_and_held_and_nothing_else() {
    let scene = scene().await;
    let mut issued = Vec::new();
    for _ in 0..4 {
        issued.push(scene.issue(&request()).await);
    }
    scene.clock.advance(10);
    let invalidity_date = Some(NOW.plus_seconds(-DAY));
    let compromise = Revocation::Revoke { reason: ReasonCode::KeyCompromise, invalidity_date };
    revoke(&scene, &issued[0], compromise).await;
    revoke(&scene, &issued[1], because(ReasonCode::Unspecified)).await;
    revoke(&scene, &issued[2], Revocation::Hold).await;
    scene.clock.advance(10);
    let entries = entries(&publish(&scene).await);
    let entry = |index: usize| entries.get(&issued[index].serial.to_string());
    let revoked_at = NOW.plus_seconds(10);
    let expected = |index: usize, reason, invalidity_date| RevokedEntry {
        serial: issued[index].serial,
        revoked_at,
        reason,
        invalidity_date,
    };
    assert_eq!(entries.len(), 3);
    assert_eq!(entry(0), Some(&expected(0, Some(ReasonCode::KeyCompromise), invalidity_date)));
    assert_eq!(entry(1), Some(&expected(1, None, None)));
    assert_eq!(entry(2), Some(&expected(2, Some(ReasonCode::CertificateHold), None)));
}

#[tokio::test]
async fn what_is_released_leaves_the_list_and_what_is_revoked_from_hold_stays() {
    let scene = scene().await;
    let (released, revoked) = (scene.issue(&request()).await, scene.issue(&request()).await);
    revoke(&scene, &released, Revocation::Hold).await;
    revoke(&scene, &revoked, Revocation::Hold).await;
    assert_eq!(entries(&publish(&scene).await).len(), 2);
    revoke(&scene, &released, Revocation::Release).await;
    revoke(&scene, &revoked, because(ReasonCode::Superseded)).await;
    let entries = entries(&publish(&scene).await);
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[&revoked.serial.to_string()].reason, Some(ReasonCode::Superseded));
}

#[tokio::test]
async fn an_authority_lists_only_its_own_certificates() {
    let scene = scene().await;
    let other = Scene::with(scene.store.clone(), &policy(), authority(AuthoritySpec::default())).await;
    let issued = other.issue(&request()).await;
    revoke(&other, &issued, because(ReasonCode::KeyCompromise)).await;
    assert!(entries(&publish(&scene).await).is_empty());
    assert_eq!(entries(&publish(&other).await).len(), 1);
}

#[tokio::test]
async fn the_number_follows_the_clock_and_never_goes_back() {
    let scene = scene().await;
    let first = number(&publish(&scene).await);
    assert_eq!(first, NOW.unix() as u64);
    assert_eq!(number(&publish(&scene).await), first + 1);
    scene.clock.set(NOW.plus_seconds(-365 * DAY));
    assert_eq!(number(&publish(&scene).await), first + 2);
    scene.clock.set(NOW.plus_seconds(DAY));
    assert_eq!(number(&publish(&scene).await), first + DAY as u64);
}

#[tokio::test]
async fn an_entry_stays_until_it_was_on_one_list_after_its_certificates_end() {
    let scene = scene().await;
    let issued = scene.issue(&request()).await;
    revoke(&scene, &issued, because(ReasonCode::KeyCompromise)).await;
    let end = scene.row(&issued).await.not_after;
    assert_eq!(entries(&publish(&scene).await).len(), 1);
    scene.clock.set(end.plus_seconds(1));
    assert_eq!(entries(&publish(&scene).await).len(), 1);
    scene.clock.advance(1);
    assert_eq!(entries(&publish(&scene).await).len(), 0);
}

#[tokio::test]
async fn the_first_list_of_all_holds_even_what_has_expired() {
    let scene = scene().await;
    let issued = scene.issue(&request()).await;
    revoke(&scene, &issued, because(ReasonCode::KeyCompromise)).await;
    scene.clock.advance(60 * DAY);
    assert_eq!(entries(&publish(&scene).await).len(), 1);
}

#[tokio::test]
async fn thousands_of_entries_are_all_there_in_order_and_once() {
    let scene = scene().await;
    let issued = scene.issue(&request()).await;
    let row = scene.row(&issued).await;
    let status =
        CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Superseded, invalidity_date: None };
    let writes = (0..2_500u32)
        .map(|count| {
            let mut random = [0; 16];
            random[..4].copy_from_slice(&count.wrapping_mul(2_654_435_761).to_be_bytes());
            random[4..8].copy_from_slice(&count.to_be_bytes());
            let serial = SerialNumber::from_random(random);
            Write::InsertCertificate(Box::new(crate::store::CertificateRow {
                serial,
                status: status.clone(),
                ..row.clone()
            }))
        })
        .collect();
    scene.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
    let list = publish(&scene).await;
    let serials: Vec<SerialNumber> = list.entries().map(|entry| entry.unwrap().serial).collect();
    assert_eq!(serials.len(), 2_500);
    assert!(serials.is_sorted());
    assert_eq!(entries(&list).len(), 2_500);
}

/// When the next list of the authority is due.
async fn due(scene: &Scene) -> i64 {
    scene.store.next_job(&[JobKind::Crl]).await.unwrap().unwrap().unix() - NOW.unix()
}

#[tokio::test]
async fn the_next_list_is_due_before_the_last_one_ends() {
    let scene = scene().await;
    let list = publish(&scene).await;
    assert_eq!(list.next_update(), Some(NOW.plus_seconds(7 * DAY)));
    assert_eq!(due(&scene).await, 6 * DAY);
    let event = scene.events().await.pop().unwrap();
    assert_eq!(event.action, Action::CrlPublished);
    assert_eq!(event.reason, Some(format!("number {}", number(&list))));
}

#[tokio::test]
async fn an_authority_at_its_end_promises_nothing_beyond_it_and_does_not_make_lists_all_the_time() {
    for (until, next_update) in [(DAY, DAY), (-DAY, 7 * DAY)] {
        let spec = AuthoritySpec {
            from: NOW.plus_seconds(-9 * DAY),
            until: NOW.plus_seconds(until),
            ..AuthoritySpec::default()
        };
        let scene = Scene::with(Arc::new(MemoryStore::default()), &policy(), authority(spec)).await;
        let list = publish(&scene).await;
        assert_eq!(list.next_update(), Some(NOW.plus_seconds(next_update)));
        assert_eq!(due(&scene).await, 6 * DAY);
    }
}

async fn leased(scene: &Scene, owner: &str) -> Job {
    let now = crate::ports::Clock::now(&*scene.clock);
    let lease = JobLease { owner: owner.into(), until: now.plus_seconds(30) };
    scene.store.lease_jobs(&[JobKind::Crl], &lease, now, 1).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_publishes_nothing() {
    let scene = scene().await;
    let job = crl_job(scene.authority.key_id(), NOW).unwrap();
    let commit = Commit { writes: vec![Write::PutJob(Box::new(job))], ..Commit::default() };
    scene.store.commit(commit).await.unwrap().unwrap();
    let job = leased(&scene, "slow").await;
    scene.clock.advance(31);
    leased(&scene, "quick").await;
    let outcome = scene.engine.publish_crl(&scene.authority, Some((&job, "slow"))).await;
    assert!(matches!(outcome, Err(Error::Conflict(_))), "{outcome:?}");
    assert_eq!(scene.store.latest_crl(scene.authority.key_id()).await.unwrap(), None);
    scene.engine.publish_crl(&scene.authority, Some((&job, "quick"))).await.unwrap();
    assert_eq!(due(&scene).await, 31 + 6 * DAY);
}

#[tokio::test]
async fn only_the_newest_lists_are_kept_and_the_newest_is_one_of_them() {
    let scene = scene().await;
    for _ in 0..5 {
        publish(&scene).await;
    }
    let last = number(&publish(&scene).await);
    assert_eq!(scene.store.latest_crl(scene.authority.key_id()).await.unwrap().unwrap().number, last);
}

#[tokio::test]
async fn settings_that_leave_no_time_between_lists_do_not_stop_the_clock() {
    let plain = authority(AuthoritySpec::default());
    let day = Duration::from_secs(24 * 3600);
    let crl = crate::authority::CrlSettings { validity: day, renew_before: 2 * day };
    let authority = crate::authority::Authority::new(
        plain.name.clone(),
        plain.certificate.clone(),
        plain.chain.clone(),
        plain.signer.clone(),
        crl,
        &crate::authority::PublicationUrls::default(),
    );
    let scene = Scene::with(Arc::new(MemoryStore::default()), &policy(), Arc::new(authority.unwrap())).await;
    publish(&scene).await;
    assert_eq!(due(&scene).await, 1);
}

#[tokio::test]
async fn a_list_goes_on_where_somebody_else_left_off() {
    let entry = |serial: u8| pki::crl::RevokedEntry {
        serial: pki::serial::SerialNumber::from_random([serial; 16]),
        revoked_at: NOW,
        reason: Some(ReasonCode::KeyCompromise),
        invalidity_date: None,
    };
    let ahead = u64::try_from(NOW.unix()).unwrap() + 1000;
    let inherited = crate::authority::InheritedCrl { number: ahead, entries: vec![entry(1), entry(2)] };
    let plain = Arc::into_inner(authority(AuthoritySpec::default())).unwrap();
    let authority = Arc::new(plain.continuing(inherited));
    let scene = Scene::with(Arc::new(MemoryStore::default()), &policy(), authority).await;
    let own = scene.issue(&request()).await;
    revoke(&scene, &own, because(ReasonCode::Superseded)).await;
    for _ in 0..2 {
        let list = publish(&scene).await;
        assert!(number(&list) > ahead);
        let mut listed: Vec<_> = list.entries().map(|entry| entry.unwrap().serial.to_string()).collect();
        listed.sort();
        let mut expected = [entry(1).serial, entry(2).serial, own.serial].map(|serial| serial.to_string());
        expected.sort();
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn openssl_takes_the_list_and_refuses_what_is_on_it() {
    for key in [pki::algorithm::KeyAlgorithm::EcdsaP256, pki::algorithm::KeyAlgorithm::Rsa2048] {
        let authority = authority(AuthoritySpec { key, ..AuthoritySpec::default() });
        let scene = Scene::with(Arc::new(MemoryStore::default()), &policy(), authority).await;
        let (good, bad) = (scene.issue(&request()).await, scene.issue(&request()).await);
        revoke(&scene, &bad, because(ReasonCode::KeyCompromise)).await;
        let list = publish(&scene).await;

        let folder = Folder::new();
        let pem = |label, der: &[u8], name| folder.write(name, pki::pem::encode(label, der).as_bytes());
        let root = pem("CERTIFICATE", scene.authority.certificate.der(), "root.pem");
        let crl = pem("X509 CRL", list.der(), "list.pem");
        let checked = openssl(&["crl", "-in", &crl, "-CAfile", &root, "-noout", "-text"]).unwrap();
        assert!(checked.contains("Version 2") && checked.contains("Key Compromise"), "{checked}");
        assert!(checked.contains(&bad.serial.to_string()) && !checked.contains(&good.serial.to_string()));

        let at = (NOW.unix() + 60).to_string();
        let verify = |leaf: &str| {
            openssl(&[
                "verify",
                "-x509_strict",
                "-attime",
                &at,
                "-crl_check",
                "-CRLfile",
                &crl,
                "-CAfile",
                &root,
                leaf,
            ])
        };
        verify(&pem("CERTIFICATE", &good.certificate, "good.pem")).unwrap();
        let refused = verify(&pem("CERTIFICATE", &bad.certificate, "bad.pem")).unwrap_err();
        assert!(refused.contains("certificate revoked"), "{refused}");
    }
}

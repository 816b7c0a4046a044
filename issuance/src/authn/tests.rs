//! Who is let in, who is not, and what evidence is good for.

mod overlap;

use std::{
    future::Future as _,
    sync::Arc,
    task::{Context, Waker},
};

use super::{Authenticated, Freshness};
use crate::{
    Error, Outcome,
    authn::password::MAX_USERNAME_LENGTH,
    authority::Method,
    credential::{CredentialRow, CredentialState, MAX_SECRET_LENGTH, UsageNote, Verifier, generate},
    engine::{Repeat, request_key},
    error::{AuthenticationFailure, Rule},
    identity::{CredentialId, Owner, Protocol, ResourceName},
    policy::{ProtocolRule, Strength},
    secret::Secret,
    testing::{DAY, NOW, Scene, credential, issued, policy, policy_with, request},
};

use AuthenticationFailure::{Expired, Mismatch, Revoked, Unreadable, UsedUp};

async fn scene() -> Scene {
    Scene::new(&policy()).await
}

async fn accepts(scene: &Scene, user: &str, password: &str) -> Strength {
    scene.verify(user, password, Freshness::Cached).await.unwrap().strength
}

async fn refuses(scene: &Scene, user: &str, password: &str, failure: AuthenticationFailure) {
    for freshness in [Freshness::Cached, Freshness::Fresh] {
        match scene.verify(user, password, freshness).await {
            Err(Error::Unauthenticated(found)) => assert_eq!(found, failure, "{user} {password}"),
            other => panic!("{user} {password}: {other:?}"),
        }
    }
}

/// Bob's credential, changed.
async fn with_bob(scene: &Scene, change: impl FnOnce(&mut CredentialRow)) {
    let mut bob = credential(&scene.method.name, Some("bob"), "bobs-password");
    change(&mut bob);
    scene.put(&bob).await;
}

#[tokio::test]
async fn a_users_own_password_is_accepted() {
    let scene = scene().await;
    let evidence = scene.evidence().await;
    assert_eq!((evidence.name(), evidence.strength), ("ann", Strength::PersonalSecret));
    assert_eq!(evidence.credential(), Some(&scene.ann.id));
}

#[tokio::test]
async fn a_methods_passphrase_is_accepted_with_any_user_name_as_a_shared_secret() {
    let scene = scene().await;
    scene.put(&credential(&scene.method.name, None, "passphrase")).await;
    for user in ["device-1", "ann", "", "x'; DROP TABLE credentials; --"] {
        assert_eq!(accepts(&scene, user, "passphrase").await, Strength::SharedSecret);
    }
    assert_eq!(accepts(&scene, "ann", Scene::PASSWORD).await, Strength::PersonalSecret);
    refuses(&scene, "bob", Scene::PASSWORD, Mismatch).await;
}

#[tokio::test]
async fn a_wrong_password_and_anothers_password_are_refused_alike() {
    let scene = scene().await;
    with_bob(&scene, |_| {}).await;
    assert_eq!(accepts(&scene, "bob", "bobs-password").await, Strength::PersonalSecret);
    for (user, password) in [
        ("ann", "wrong"),
        ("ann", "bobs-password"),
        ("bob", Scene::PASSWORD),
        ("nobody", Scene::PASSWORD),
        ("Ann", Scene::PASSWORD),
        ("ann ", Scene::PASSWORD),
        ("ann\0", Scene::PASSWORD),
        ("ann", "correct-horse-battery "),
        ("ann", "Correct-horse-battery"),
    ] {
        refuses(&scene, user, password, Mismatch).await;
    }
}

#[tokio::test]
async fn the_password_of_another_method_is_refused() {
    let scene = scene().await;
    let elsewhere = ResourceName::new("acme", "other");
    scene.put(&credential(&elsewhere, Some("ann"), "elsewhere")).await;
    scene.put(&credential(&elsewhere, None, "elsewhere-shared")).await;
    refuses(&scene, "ann", "elsewhere", Mismatch).await;
    refuses(&scene, "ann", "elsewhere-shared", Mismatch).await;
}

#[tokio::test]
async fn what_cannot_be_a_password_is_not_looked_at() {
    let scene = scene().await;
    let (longest_user, longest_secret) = ("u".repeat(MAX_USERNAME_LENGTH), "p".repeat(MAX_SECRET_LENGTH));
    refuses(&scene, "ann", "", Unreadable).await;
    refuses(&scene, "ann", &format!("{longest_secret}p"), Unreadable).await;
    refuses(&scene, &format!("{longest_user}u"), Scene::PASSWORD, Unreadable).await;
    scene.put(&credential(&scene.method.name, Some(&longest_user), &longest_secret)).await;
    accepts(&scene, &longest_user, &longest_secret).await;
}

#[tokio::test]
async fn an_unusable_credential_says_why_only_to_the_log_and_only_with_the_right_secret() {
    type Change = fn(&mut CredentialRow);
    let cases: [(Change, AuthenticationFailure); 4] = [
        (|row| row.state = CredentialState::Revoked, Revoked),
        (|row| row.expires_at = Some(NOW), Expired),
        (|row| row.maximum_uses = Some(0), UsedUp),
        (|row| (row.maximum_uses, row.uses) = (Some(3), 3), UsedUp),
    ];
    for (change, failure) in cases {
        let scene = scene().await;
        with_bob(&scene, change).await;
        refuses(&scene, "bob", "bobs-password", failure).await;
        refuses(&scene, "bob", "wrong", Mismatch).await;
        let public = Error::Unauthenticated(failure).public();
        assert_eq!(public, Error::Unauthenticated(Mismatch).public());
    }
}

#[tokio::test]
async fn a_credential_is_good_until_the_second_it_expires() {
    let scene = scene().await;
    with_bob(&scene, |row| row.expires_at = Some(NOW.plus_seconds(10))).await;
    accepts(&scene, "bob", "bobs-password").await;
    scene.clock.advance(9);
    accepts(&scene, "bob", "bobs-password").await;
    scene.clock.advance(1);
    refuses(&scene, "bob", "bobs-password", Expired).await;
}

#[tokio::test]
async fn a_usable_credential_counts_where_another_with_the_same_secret_does_not() {
    let scene = scene().await;
    with_bob(&scene, |row| row.state = CredentialState::Revoked).await;
    with_bob(&scene, |_| {}).await;
    accepts(&scene, "bob", "bobs-password").await;
}

#[tokio::test]
async fn a_chosen_password_is_checked_slowly_once_and_only_the_right_one_is_remembered() {
    let scene = scene().await;
    with_bob(&scene, |row| row.verifier = Verifier::of_chosen(&Secret::new("chosen")).unwrap()).await;
    refuses(&scene, "bob", "wrong", Mismatch).await;
    for _ in 0..3 {
        accepts(&scene, "bob", "chosen").await;
        refuses(&scene, "bob", "chosen ", Mismatch).await;
        refuses(&scene, "bob", "chose", Mismatch).await;
    }
}

#[test]
fn a_slow_check_keeps_its_place_although_whoever_asked_has_gone() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let scene = scene().await;
        let chosen = Verifier::of_chosen(&Secret::new("chosen")).unwrap();
        scene.change_ann(|row| row.verifier = chosen).await;
        // The only thread for slow work has other work until it is told.
        let (go, told) = std::sync::mpsc::channel();
        let other = tokio::task::spawn_blocking(move || told.recv());
        for left in [1, 0] {
            let mut asked = Box::pin(scene.verify("ann", "wrong", Freshness::Fresh));
            assert!(asked.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            drop(asked);
            assert_eq!(scene.verifier.places(), left);
        }
        go.send(()).unwrap();
        other.await.unwrap().unwrap();
        // They come back with the work.
        refuses(&scene, "ann", "wrong", Mismatch).await;
    });
}

#[tokio::test]
async fn a_remembered_password_is_forgotten_with_the_version_it_belonged_to() {
    let scene = scene().await;
    let chosen = |text: &str| Verifier::of_chosen(&Secret::new(text)).unwrap();
    scene.change_ann(|row| row.verifier = chosen("first")).await;
    accepts(&scene, "ann", "first").await;
    scene.change_ann(|row| row.verifier = chosen("second")).await;
    scene.verify("ann", "second", Freshness::Fresh).await.unwrap();
    refuses(&scene, "ann", "first", Mismatch).await;
    accepts(&scene, "ann", "second").await;
}

#[tokio::test]
async fn a_new_credential_is_accepted_although_the_cache_does_not_know_it() {
    let scene = scene().await;
    accepts(&scene, "ann", Scene::PASSWORD).await;
    scene.put(&credential(&scene.method.name, Some("ann"), "anns-second")).await;
    accepts(&scene, "ann", "anns-second").await;
    with_bob(&scene, |_| {}).await;
    accepts(&scene, "bob", "bobs-password").await;
}

/// Verifies by a cached row, changes the row, and sees that nothing is issued on what was proved before.
async fn a_change_stops_the_old_secret(
    change: impl FnOnce(&mut CredentialRow),
    failure: AuthenticationFailure,
) {
    let scene = scene().await;
    scene.evidence().await;
    scene.change_ann(change).await;
    match scene.ask(&request()).await {
        Err(Error::Stale) => {}
        other => panic!("{other:?}"),
    }
    assert!(scene.certificates().await.is_empty());
    match scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await {
        Err(Error::Unauthenticated(found)) => assert_eq!(found, failure),
        other => panic!("{other:?}"),
    }
    refuses(&scene, "ann", Scene::PASSWORD, failure).await;
}

#[tokio::test]
async fn a_regenerated_credential_stops_the_old_secret_at_once() {
    let new = Verifier::of_generated(&generate().unwrap());
    a_change_stops_the_old_secret(|row| row.verifier = new, Mismatch).await;
}

#[tokio::test]
async fn a_revoked_credential_stops_at_once() {
    a_change_stops_the_old_secret(|row| row.state = CredentialState::Revoked, Revoked).await;
}

#[tokio::test]
async fn news_of_a_change_makes_the_next_look_a_fresh_one() {
    let scene = scene().await;
    scene.verify("ann", Scene::PASSWORD, Freshness::Cached).await.unwrap();
    scene.change_ann(|row| row.state = CredentialState::Revoked).await;
    scene
        .verify("ann", Scene::PASSWORD, Freshness::Cached)
        .await
        .expect("the copy is still believed; the commit is not fooled");
    let other = ResourceName::new("other", "method");
    scene.verifier.forget(Some(&other));
    scene.verify("ann", Scene::PASSWORD, Freshness::Cached).await.expect("news of another method");
    scene.verifier.forget(Some(&scene.method.name));
    assert!(scene.verify("ann", Scene::PASSWORD, Freshness::Cached).await.is_err());
}

#[tokio::test]
async fn an_expiry_brought_forward_stops_the_credential_at_once() {
    a_change_stops_the_old_secret(|row| row.expires_at = Some(NOW.plus_seconds(-DAY)), Expired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_credential_for_five_uses_gives_exactly_five_certificates_to_twenty_at_once() {
    let scene = Arc::new(scene().await);
    scene.change_ann(|row| row.maximum_uses = Some(5)).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let scene = scene.clone();
            tokio::spawn(async move {
                let Ok(evidence) = scene.verify("ann", Scene::PASSWORD, Freshness::Cached).await else {
                    return false;
                };
                let authenticated = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
                let request = request();
                let key = request_key(&[&request.to_der()]);
                match scene.engine.issue(authenticated, request.asked(), key, Repeat::Another).await {
                    Ok(Outcome::Issued(_)) => true,
                    Err(Error::Stale) => false,
                    other => panic!("{other:?}"),
                }
            })
        })
        .collect();
    let mut certificates = 0;
    for task in tasks {
        certificates += u32::from(task.await.unwrap());
    }
    assert_eq!((certificates, scene.certificates().await.len()), (5, 5));
    assert_eq!(scene.store.credential(&scene.ann.id).await.unwrap().unwrap().uses, 5);
    match scene.verify("ann", Scene::PASSWORD, Freshness::Fresh).await {
        Err(Error::Unauthenticated(found)) => assert_eq!(found, UsedUp),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn evidence_for_one_method_is_worth_nothing_at_another() {
    let scene = scene().await;
    let other = Arc::new(Method { name: ResourceName::new("acme", "other"), ..method_parts(&scene.method) });
    match Authenticated::new(other, scene.evidence().await, None) {
        Err(Error::Internal(reason)) => assert!(reason.contains("acme/est") && reason.contains("acme/other")),
        other => panic!("{other:?}"),
    }
}

fn method_parts(method: &Method) -> Method {
    Method {
        name: method.name.clone(),
        protocol: method.protocol,
        minimum: method.minimum,
        profile: method.profile.clone(),
        retry_after: method.retry_after,
    }
}

#[tokio::test]
async fn evidence_that_is_too_weak_is_refused() {
    let shared = |minimum| {
        policy_with(|policy| {
            policy.protocols =
                vec![ProtocolRule { protocol: Protocol::Est, minimum_authentication: minimum }];
        })
    };
    let cases = [
        (Strength::SharedSecret, Strength::SharedSecret, None),
        (Strength::PersonalSecret, Strength::SharedSecret, Some("PersonalSecret")),
        (Strength::SharedSecret, Strength::PersonalSecret, Some("PersonalSecret")),
        (Strength::Certificate, Strength::Anonymous, Some("Certificate")),
        (Strength::Anonymous, Strength::CertificateAndSecret, Some("CertificateAndSecret")),
    ];
    for (of_profile, of_method, refused) in cases {
        let scene = Scene::new(&shared(of_profile)).await;
        scene.put(&credential(&scene.method.name, None, "passphrase")).await;
        let method = Arc::new(Method { minimum: of_method, ..method_parts(&scene.method) });
        let evidence = scene.verify("device", "passphrase", Freshness::Cached).await.unwrap();
        match (Authenticated::new(method, evidence, None), refused) {
            (Ok(authenticated), None) => assert_eq!(authenticated.requester().name, "device"),
            (Err(Error::Refused(refusal)), Some(minimum)) => {
                assert_eq!(refusal.rule(), Rule::Protocols);
                let words =
                    format!("acme/web asks for at least {minimum} over est; SharedSecret was presented");
                assert_eq!(refusal.sentence(), format!("protocols: {words}"));
            }
            (other, _) => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_protocol_that_the_profile_does_not_list_is_refused() {
    let scene = Scene::new(&policy_with(|policy| policy.protocols.clear())).await;
    match Authenticated::new(scene.method.clone(), scene.evidence().await, None) {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.sentence(), "protocols: acme/web may not be asked for over est");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_owner_of_the_credential_owns_the_certificate() {
    let scene = scene().await;
    scene.change_ann(|row| row.owner = Some(Owner::Group("devices".into()))).await;
    let owned = issued(scene.ask(&request()).await);
    let row = scene.row(&owned).await;
    assert_eq!((row.owner, row.requester), (Some(Owner::Group("devices".into())), "ann".to_owned()));
    assert_eq!(row.credential, Some(scene.ann.id.clone()));
}

#[tokio::test]
async fn nothing_that_holds_evidence_prints_the_secret() {
    let scene = scene().await;
    let evidence = scene.evidence().await;
    let printed = format!("{evidence:?} {:?} {:?} {:?}", scene.verifier, scene.ann, scene.store);
    assert!(!printed.contains(Scene::PASSWORD));
    let hash = match &scene.ann.verifier {
        Verifier::Sha256 { hash, .. } => hex::encode(hash),
        Verifier::Argon2id { .. } | Verifier::HmacKey { .. } => panic!("not a generated secret"),
    };
    assert!(!printed.contains(&hash) && !serde_json::to_string(&scene.ann).unwrap().contains(&hash));
    // Otherwise this test would not notice an empty print.
    assert!(printed.contains(scene.ann.id.as_str()) && printed.contains("redacted"));
}

/// Whom failures were counted against, why and how often; taken.
fn failures(scene: &Scene) -> Vec<(CredentialId, String, u64)> {
    let reason = |note: &UsageNote| {
        let last = note.last_failure.as_ref().unwrap();
        assert_eq!((last.at, last.address), (NOW, Some(Scene::ADDRESS)));
        last.reason.clone()
    };
    let notes = scene.verifier.usage().take().into_iter();
    notes.map(|note| (note.credential.clone(), reason(&note), note.failures)).collect()
}

#[tokio::test]
async fn a_failure_counts_against_the_credential_that_was_meant_and_no_other() {
    let scene = scene().await;
    let passphrase = credential(&scene.method.name, None, "passphrase");
    scene.put(&passphrase).await;
    with_bob(&scene, |row| row.state = CredentialState::Revoked).await;
    let rows = scene.store.credentials_for(&scene.method.name, "bob").await.unwrap();
    let bob = rows.into_iter().find(|row| row.username.is_some()).unwrap().id;
    // Nobody's: no row is known for it.
    refuses(&scene, "nobody", "wrong", Mismatch).await;
    refuses(&scene, "ann", "", Unreadable).await;
    assert_eq!(failures(&scene), []);
    // Each is asked twice, from a copy and from the row.
    refuses(&scene, "ann", "wrong", Mismatch).await;
    assert_eq!(failures(&scene), [(scene.ann.id.clone(), "mismatch".into(), 2)]);
    refuses(&scene, "bob", "bobs-password", Revoked).await;
    assert_eq!(failures(&scene), [(bob, "revoked".into(), 2)]);
    scene.put(&CredentialRow { version: 2, expires_at: Some(NOW), ..passphrase.clone() }).await;
    scene.verifier.forget(None);
    refuses(&scene, "ann", "passphrase", Expired).await;
    assert_eq!(failures(&scene), [(passphrase.id, "expired".into(), 2)]);
    accepts(&scene, "ann", Scene::PASSWORD).await;
    assert_eq!(failures(&scene), []);
}

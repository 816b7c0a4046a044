use super::*;
use crate::{
    authn::Authenticated,
    credential::{CredentialRow, CredentialState, Verifier},
    error::Rule,
    identity::{Protocol, ResourceName},
    policy::Strength,
    rest::RestAction,
    store::{Conflict, Expect, Write},
    testing::{NOW, Scene, credential, policy},
};

use AuthenticationFailure::{Expired, Mismatch, Revoked, Unreadable};

async fn scene() -> Scene {
    Scene::new(&policy()).await
}

fn row_of(key: &AccessKey) -> CredentialRow {
    CredentialRow {
        protocol: Protocol::Rest,
        name: ResourceName::new("acme", "pipeline"),
        verifier: Verifier::of_generated(key.secret()),
        actions: [RestAction::Request, RestAction::Report].into_iter().collect(),
        ..credential(&ResourceName::new("acme", "api"), Some(key.name()), "replaced")
    }
}

/// A key, and its row as the change leaves it.
async fn with_key(scene: &Scene, change: impl FnOnce(&mut CredentialRow)) -> (AccessKey, CredentialRow) {
    let key = AccessKey::generate().unwrap();
    let mut row = row_of(&key);
    change(&mut row);
    scene.put(&row).await;
    (key, row)
}

async fn refuses(scene: &Scene, presented: &Secret, failure: AuthenticationFailure) {
    for freshness in [Freshness::Cached, Freshness::Fresh] {
        match scene.verifier.verify_access_key(presented, NOW, freshness, None).await {
            Err(Error::Unauthenticated(found)) => assert_eq!(found, failure, "{freshness:?}"),
            other => panic!("{other:?}"),
        }
    }
}

async fn accepts(scene: &Scene, key: &AccessKey, freshness: Freshness) -> KeyHolder {
    scene.verifier.verify_access_key(key.secret(), NOW, freshness, None).await.unwrap()
}

#[tokio::test]
async fn what_is_no_access_key_is_not_looked_for() {
    let scene = scene().await;
    let (key, _) = with_key(&scene, |_| {}).await;
    let text = std::str::from_utf8(key.secret().expose()).unwrap();
    for bad in ["", "ann", Scene::PASSWORD, key.name(), &text[1..], &text[..52], &format!("{text} ")] {
        refuses(&scene, &Secret::new(bad), Unreadable).await;
    }
    accepts(&scene, &key, Freshness::Cached).await;
}

#[tokio::test]
async fn an_unknown_name_and_a_wrong_secret_are_refused_alike() {
    let scene = scene().await;
    let (key, _) = with_key(&scene, |_| {}).await;
    let (other, _) = with_key(&scene, |_| {}).await;
    refuses(&scene, AccessKey::generate().unwrap().secret(), Mismatch).await;
    // The name of one, the secret of another.
    let mixed = [&key.secret().expose()[..26], &other.secret().expose()[26..]].concat();
    refuses(&scene, &Secret::new(mixed), Mismatch).await;
    accepts(&scene, &key, Freshness::Cached).await;
}

#[tokio::test]
async fn a_key_that_may_not_be_used_says_why_only_to_the_log_and_only_with_its_secret() {
    type Change = fn(&mut CredentialRow);
    let cases: [(Change, AuthenticationFailure); 2] =
        [(|row| row.state = CredentialState::Revoked, Revoked), (|row| row.expires_at = Some(NOW), Expired)];
    for (change, failure) in cases {
        let scene = scene().await;
        let (key, _) = with_key(&scene, change).await;
        refuses(&scene, key.secret(), failure).await;
        let wrong = [&key.secret().expose()[..26], &[b'A'; 27]].concat();
        refuses(&scene, &Secret::new(wrong), Mismatch).await;
    }
}

#[tokio::test]
async fn a_key_that_is_used_up_says_whose_it_is_and_orders_nothing_until_it_may_be_used_again() {
    for (most, uses) in [(0, 0), (2, 2)] {
        let scene = scene().await;
        let name = scene.method.name.clone();
        let used = |row: &mut CredentialRow| (row.maximum_uses, row.uses) = (Some(most), uses);
        let (key, row) = with_key(&scene, |row| (used(row), row.method = name).0).await;
        for freshness in [Freshness::Cached, Freshness::Fresh] {
            let evidence = accepts(&scene, &key, freshness).await.evidence;
            assert_eq!(evidence.credential(), Some(&row.id));
            match Authenticated::new(scene.method.clone(), evidence, None) {
                Err(Error::Refused(refusal)) => assert_eq!(refusal.rule(), Rule::Uses),
                other => panic!("{other:?}"),
            }
        }
        // The copy is no reason to refuse.
        scene.put(&CredentialRow { version: 2, maximum_uses: Some(3), ..row }).await;
        let evidence = accepts(&scene, &key, Freshness::Cached).await.evidence;
        Authenticated::new(scene.method.clone(), evidence, None).unwrap();
    }
}

#[tokio::test]
async fn the_credential_of_another_protocol_is_no_access_key() {
    let scene = scene().await;
    for protocol in Protocol::ALL.into_iter().filter(|protocol| *protocol != Protocol::Rest) {
        let (key, _) = with_key(&scene, |row| row.protocol = protocol).await;
        refuses(&scene, key.secret(), Mismatch).await;
    }
    // Nor is a secret without a name.
    let (key, _) = with_key(&scene, |row| row.username = None).await;
    refuses(&scene, key.secret(), Mismatch).await;
}

#[tokio::test]
async fn a_regenerated_key_is_refused_from_the_next_fresh_look_and_commits_nothing() {
    let scene = scene().await;
    let (old, row) = with_key(&scene, |_| {}).await;
    let before = accepts(&scene, &old, Freshness::Cached).await;
    let new = AccessKey::generate().unwrap();
    let regenerated = CredentialRow { version: 2, id: row.id.clone(), ..row_of(&new) };
    scene.put(&regenerated).await;
    // Another replica has not heard of it: the copy is believed, and what it commits expects the old version.
    accepts(&scene, &old, Freshness::Cached).await;
    let expected = Expect::CredentialUsable { id: row.id.clone(), version: 1, now: NOW };
    assert_eq!(before.evidence.expect, [expected]);
    let fresh = scene.verifier.verify_access_key(old.secret(), NOW, Freshness::Fresh, None).await;
    assert!(matches!(fresh, Err(Error::Unauthenticated(Mismatch))), "{fresh:?}");
    refuses(&scene, old.secret(), Mismatch).await;
    accepts(&scene, &new, Freshness::Cached).await;
}

#[tokio::test]
async fn news_of_its_method_makes_the_next_look_at_a_key_a_fresh_one() {
    let scene = scene().await;
    let (key, row) = with_key(&scene, |_| {}).await;
    accepts(&scene, &key, Freshness::Cached).await;
    scene.put(&CredentialRow { version: 2, state: CredentialState::Revoked, ..row.clone() }).await;
    scene.verifier.forget(Some(&scene.method.name));
    accepts(&scene, &key, Freshness::Cached).await;
    scene.verifier.forget(Some(&row.method));
    refuses(&scene, key.secret(), Revoked).await;
}

#[tokio::test]
async fn a_key_says_who_holds_it_for_which_method_and_what_it_may_do() {
    let scene = scene().await;
    let (key, row) = with_key(&scene, |_| {}).await;
    let KeyHolder { evidence, actions } = accepts(&scene, &key, Freshness::Cached).await;
    assert_eq!((evidence.name(), evidence.strength), ("acme/pipeline", Strength::PersonalSecret));
    assert_eq!((evidence.method(), evidence.credential()), (&row.method, Some(&row.id)));
    assert_eq!(actions.iter().collect::<Vec<_>>(), [RestAction::Request, RestAction::Report]);
    // Of one method, and of no other.
    let elsewhere = Authenticated::new(scene.method.clone(), evidence, None);
    assert!(matches!(elsewhere, Err(Error::Internal(_))), "{elsewhere:?}");
}

#[tokio::test]
async fn a_name_is_given_to_one_key() {
    let scene = scene().await;
    let (key, row) = with_key(&scene, |_| {}).await;
    let other = ResourceName::new("elsewhere", "api");
    let twin = CredentialRow { method: other.clone(), ..row_of(&key) };
    let commit = |row: CredentialRow| {
        let writes = vec![Write::PutCredential(Box::new(row))];
        crate::store::Commit { writes, ..Default::default() }
    };
    let outcome = scene.store.commit(commit(twin.clone())).await.unwrap();
    assert_eq!(outcome, Err(Conflict::AccessKeyExists));
    // The same credential changes, and one of another protocol may be called anything.
    scene.store.commit(commit(CredentialRow { version: 2, ..row })).await.unwrap().unwrap();
    scene.store.commit(commit(CredentialRow { protocol: Protocol::Est, ..twin })).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_failure_counts_against_the_key_that_is_named() {
    let scene = scene().await;
    let (key, row) = with_key(&scene, |_| {}).await;
    refuses(&scene, AccessKey::generate().unwrap().secret(), Mismatch).await;
    assert_eq!(scene.verifier.usage().take(), []);
    let wrong = [&key.secret().expose()[..26], &[b'A'; 27]].concat();
    refuses(&scene, &Secret::new(wrong), Mismatch).await;
    let notes = scene.verifier.usage().take();
    assert_eq!((&notes[0].credential, notes[0].failures, notes.len()), (&row.id, 2, 1));
}

//! The value before: who is let in by it, and until when.

use super::*;
use crate::{
    authn::KeyHolder,
    credential::PreviousValue,
    ports::Clock as _,
    rest::{AccessKey, RestAction},
};

const OVERLAP: i64 = 600;

/// What ann's value becomes with a rotation.
const NEW: &str = "anns-new-password";

fn value(text: &str) -> Verifier {
    Verifier::of_generated(&Secret::new(text))
}

/// As a rotation leaves the row: the value that it had is accepted for a while.
fn rotated(row: &mut CredentialRow, new: Verifier) {
    let verifier = std::mem::replace(&mut row.verifier, new);
    row.previous = Some(PreviousValue { verifier, until: NOW.plus_seconds(OVERLAP) });
}

async fn rotated_ann() -> Scene {
    let scene = scene().await;
    scene.change_ann(|row| rotated(row, value(NEW))).await;
    scene
}

#[tokio::test]
async fn what_is_regenerated_in_an_overlap_is_refused_in_both_its_values_at_once() {
    let scene = rotated_ann().await;
    for password in [NEW, Scene::PASSWORD] {
        scene.verify("ann", password, Freshness::Cached).await.unwrap();
    }
    let evidence = scene.evidence().await;
    scene.change_ann(|row| (row.verifier, row.previous) = (value("third"), None)).await;
    // Another replica may believe its copy; nothing commits with it.
    let login = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
    let asked = request().asked();
    let outcome = scene.engine.issue(login, asked, request_key(&[b"ann"]), Repeat::Another).await;
    assert!(matches!(outcome, Err(Error::Stale)), "{outcome:?}");
    for password in [NEW, Scene::PASSWORD] {
        let fresh = scene.verify("ann", password, Freshness::Fresh).await;
        assert!(matches!(fresh, Err(Error::Unauthenticated(Mismatch))), "{fresh:?}");
        refuses(&scene, "ann", password, Mismatch).await;
    }
    accepts(&scene, "ann", "third").await;
}

#[tokio::test]
async fn the_value_before_is_accepted_until_its_time_and_remembered_no_longer() {
    let scene = rotated_ann().await;
    scene.clock.advance(OVERLAP - 1);
    for _ in 0..2 {
        accepts(&scene, "ann", Scene::PASSWORD).await;
        accepts(&scene, "ann", NEW).await;
    }
    scene.clock.advance(1);
    // By the copy of the row too, which is no older than a moment.
    refuses(&scene, "ann", Scene::PASSWORD, Mismatch).await;
    accepts(&scene, "ann", NEW).await;
}

#[tokio::test]
async fn without_an_overlap_a_rotation_ends_the_value_before() {
    let scene = scene().await;
    accepts(&scene, "ann", Scene::PASSWORD).await;
    scene.change_ann(|row| row.verifier = value(NEW)).await;
    scene.verify("ann", NEW, Freshness::Fresh).await.unwrap();
    refuses(&scene, "ann", Scene::PASSWORD, Mismatch).await;
}

#[tokio::test]
async fn what_ends_a_credential_ends_the_value_before() {
    type End = fn(&mut CredentialRow);
    let ends: [(End, AuthenticationFailure); 3] = [
        (|row| row.state = CredentialState::Revoked, Revoked),
        (|row| row.expires_at = Some(NOW), Expired),
        (|row| row.maximum_uses = Some(0), UsedUp),
    ];
    for (end, failure) in ends {
        let scene = rotated_ann().await;
        accepts(&scene, "ann", Scene::PASSWORD).await;
        scene.change_ann(end).await;
        scene.verifier.forget(None);
        refuses(&scene, "ann", Scene::PASSWORD, failure).await;
        refuses(&scene, "ann", NEW, failure).await;
    }
}

#[tokio::test]
async fn a_slow_value_before_is_not_remembered_as_the_one_that_took_its_place() {
    let scene = scene().await;
    let chosen = |text: &str| Verifier::of_chosen(&Secret::new(text)).unwrap();
    scene.change_ann(|row| row.verifier = chosen("first")).await;
    scene.change_ann(|row| rotated(row, chosen("second"))).await;
    for _ in 0..2 {
        accepts(&scene, "ann", "first").await;
        accepts(&scene, "ann", "second").await;
    }
    scene.clock.advance(OVERLAP);
    refuses(&scene, "ann", "first", Mismatch).await;
    accepts(&scene, "ann", "second").await;
}

#[tokio::test]
async fn an_access_key_before_is_found_by_the_name_that_both_have() {
    let scene = scene().await;
    let old = AccessKey::generate().unwrap();
    let new = AccessKey::regenerate(old.name()).unwrap();
    let mut row = CredentialRow {
        protocol: Protocol::Rest,
        verifier: Verifier::of_generated(old.secret()),
        actions: [RestAction::Request].into_iter().collect(),
        ..credential(&scene.method.name, Some(old.name()), "replaced")
    };
    rotated(&mut row, Verifier::of_generated(new.secret()));
    scene.put(&row).await;
    let verify = async |key: &AccessKey, freshness| {
        scene.verifier.verify_access_key(key.secret(), scene.clock.now(), freshness, None).await
    };
    for freshness in [Freshness::Fresh, Freshness::Cached] {
        for key in [&old, &new] {
            let KeyHolder { evidence, .. } = verify(key, freshness).await.unwrap();
            assert_eq!(evidence.credential(), Some(&row.id));
        }
    }
    let mut regenerated = CredentialRow { version: 2, previous: None, ..row.clone() };
    regenerated.verifier = Verifier::of_generated(AccessKey::regenerate(old.name()).unwrap().secret());
    scene.put(&regenerated).await;
    for key in [&old, &new] {
        let fresh = verify(key, Freshness::Fresh).await;
        assert!(matches!(fresh, Err(Error::Unauthenticated(Mismatch))), "{fresh:?}");
    }
    scene.put(&CredentialRow { version: 3, ..row }).await;
    verify(&old, Freshness::Fresh).await.unwrap();
    scene.clock.advance(OVERLAP);
    for freshness in [Freshness::Cached, Freshness::Fresh] {
        let ended = verify(&old, freshness).await;
        assert!(matches!(ended, Err(Error::Unauthenticated(Mismatch))), "{ended:?}");
        verify(&new, freshness).await.unwrap();
    }
}

//! What must not be put in force, and that nothing happens then.

use std::collections::BTreeMap;

use issuance::identity::ResourceName;
use resolve::parts::Manifest;

use super::{
    operator::{FakeOperator, Publication, server},
    scene::{Scene, Volume},
};
use crate::serving::Behind;

const REJECTED: &str = r#"chancery_configuration_reloads_total{outcome="rejected"}"#;

/// Shows these Secrets to a server that works, which must go on as before and say why.
async fn refuses(scene: &mut Scene, forged: &Publication, why: &str) {
    let (before, counted) = (scene.replica.loaded(), scene.replica.metric(REJECTED));
    let serving = scene.replica.app.serving();
    for _ in 0..2 {
        scene.replica.consider(&forged.found()).await;
        let after = scene.replica.loaded();
        assert_eq!((after.generation, &after.parts), (before.generation, &before.parts));
        assert!(after.rejected.as_ref().is_some_and(|found| found.contains(why)), "{:?}", after.rejected);
    }
    assert!(std::sync::Arc::ptr_eq(&serving, &scene.replica.app.serving()));
    assert_eq!(scene.replica.metric(REJECTED), counted + 1, "said and counted once");
    assert_eq!(scene.replica.metric("chancery_configuration_rejected"), 1);
    assert!(scene.replica.is_ready(), "what works is not taken away");
    assert_eq!(scene.replica.app.behind(), Some(Behind::Rejected));
    // The right one again: there is nothing to complain about any more.
    scene.replica.consider(&scene.published.found()).await;
    assert_eq!(scene.replica.loaded(), before);
    assert_eq!(scene.replica.metric("chancery_configuration_rejected"), 0);
    assert_eq!(scene.replica.app.behind(), None);
}

#[tokio::test]
async fn a_manifest_that_somebody_else_signed_is_ignored() {
    let mut scene = Scene::new().await;
    let mut stranger = FakeOperator::new();
    stranger.generation = 100;
    let forged = stranger.publish().await;
    refuses(&mut scene, &forged, "not signed by the operator").await;
}

#[tokio::test]
async fn a_manifest_that_was_changed_is_ignored() {
    let mut scene = Scene::new().await;
    let mut forged = scene.operator.publish().await;
    let json = String::from_utf8(forged.signed.json.to_vec()).unwrap();
    forged.signed.json = json.replace("\"generation\":2", "\"generation\":3").into();
    refuses(&mut scene, &forged, "not signed by the operator").await;
    forged.signed.signature = b"".as_slice().into();
    refuses(&mut scene, &forged, "not signed by the operator").await;
}

#[tokio::test]
async fn an_older_manifest_is_not_put_back() {
    let mut scene = Scene::new().await;
    let old = scene.published.clone();
    let value = scene.operator.values[&ResourceName::new("enrollment", "factory")].clone();
    scene.operator.delete(crds::Kind::EnrollmentCredential, "factory");
    scene.publish().await;
    assert!(scene.replica.login("factory", &value).await.is_err());
    refuses(&mut scene, &old, "generation 1, which is older than 2").await;
    assert!(scene.replica.login("factory", &value).await.is_err(), "the credential does not come back");
}

#[tokio::test]
async fn another_manifest_of_the_same_generation_is_ignored() {
    let mut scene = Scene::new().await;
    let parts = scene.operator.parts().await;
    let (mut manifest, secrets) = Manifest::of(server(), 1, &parts).unwrap();
    manifest.parts.pop_last();
    let forged = scene.operator.sign(manifest, secrets);
    refuses(&mut scene, &forged, "another one of generation 1").await;
}

#[tokio::test]
async fn a_manifest_for_another_server_is_ignored() {
    let mut scene = Scene::new().await;
    let parts = scene.operator.parts().await;
    let other = ResourceName::new("enrollment", "other");
    let (manifest, secrets) = Manifest::of(other, 2, &parts).unwrap();
    let forged = scene.operator.sign(manifest, secrets);
    refuses(&mut scene, &forged, "enrollment/other").await;
}

#[tokio::test]
async fn a_part_that_no_manifest_lists_is_nothing() {
    let mut scene = Scene::new().await;
    let (name, json) = scene.published.secrets.first_key_value().unwrap();
    let mut found = scene.published.found();
    found.parts.insert(format!("{name}-more"), json.clone().into());
    let before = scene.replica.loaded();
    scene.replica.consider(&found).await;
    assert_eq!(scene.replica.loaded(), before);
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_changed_holds_up_the_manifest_that_lists_it() {
    let mut scene = Scene::new().await;
    scene.operator.apply(
        "{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentCredential, metadata: {name: more, namespace: enrollment}, spec: {methodRef: {name: devices}, est: {username: more}, owner: {user: ann}}}",
    );
    let mut forged = scene.operator.publish().await;
    for json in forged.secrets.values_mut() {
        let text = String::from_utf8(json.clone()).unwrap();
        *json = text.replace("\"username\":\"more\"", "\"username\":\"root\"").into_bytes();
    }
    let before = scene.replica.loaded();
    scene.replica.consider(&forged.found()).await;
    assert_eq!(scene.replica.loaded(), before, "it may be on its way");
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    refuses(&mut scene, &forged, "is not the one that the manifest lists").await;
    assert!(!scene.replica.declared().await.iter().any(|row| row.name.name() == "more"));
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_changed_or_is_missing_holds_up_its_manifest() {
    for (changed, why) in [(true, "is not the list that the manifest means"), (false, "is not there")] {
        let mut scene = Scene::new().await;
        let parts = scene.operator.parts().await;
        let mut forged = scene.operator.publish_declaring(&parts, 1_000);
        let list = forged.secrets.keys().find(|secret| secret.starts_with("chancery-part-list-")).cloned();
        let json = forged.secrets.remove(&list.clone().unwrap()).unwrap();
        if changed {
            forged.secrets.insert(list.unwrap(), [json, b" ".to_vec()].concat());
        }
        let before = scene.replica.loaded();
        scene.replica.consider(&forged.found()).await;
        assert_eq!(scene.replica.loaded(), before, "it may be on its way");
        tokio::time::advance(std::time::Duration::from_secs(6)).await;
        refuses(&mut scene, &forged, why).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_that_is_missing_holds_up_the_manifest_until_it_comes() {
    let mut scene = Scene::new().await;
    let whole = scene.operator.publish().await;
    let mut partial = whole.clone();
    let (gone, _) = partial.secrets.pop_last().unwrap();
    scene.replica.consider(&partial.found()).await;
    assert_eq!(scene.replica.loaded().rejected, None, "it may be on its way");
    tokio::time::advance(std::time::Duration::from_secs(6)).await;
    scene.replica.consider(&partial.found()).await;
    assert!(scene.replica.rejected().contains(&gone), "{}", scene.replica.rejected());
    scene.replica.consider(&whole.found()).await;
    assert_eq!((scene.replica.loaded().generation, scene.replica.loaded().rejected), (2, None));
}

#[tokio::test]
async fn a_server_without_any_configuration_is_not_ready_and_takes_no_forged_one() {
    let operator = FakeOperator::new();
    let mut stranger = FakeOperator::new();
    let mut replica = Volume::new().start(&operator);
    assert!(!replica.is_ready());
    replica.consider(&stranger.publish().await.found()).await;
    assert!(!replica.is_ready());
    assert_eq!(replica.loaded().parts, BTreeMap::new());
    assert!(replica.rejected().contains("not signed"), "{}", replica.rejected());
}

#[test]
fn a_manifest_key_is_one_of_p_256() {
    use super::super::candidate::ManifestKey;
    for text in ["", "!", "AAAA", "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE="] {
        assert!(text.parse::<ManifestKey>().is_err(), "{text}");
    }
    FakeOperator::new().key();
}

#[test]
fn what_is_logged_of_secrets_names_them_and_shows_nothing() {
    let found = super::super::watch::Found {
        parts: BTreeMap::from([("part".to_owned(), b"hunter2".as_slice().into())]),
        ..Default::default()
    };
    let text = format!("{found:?}");
    assert!(text.contains("part") && !text.contains("hunter2"), "{text}");
}

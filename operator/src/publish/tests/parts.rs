//! Parts: which there are, which go, and those that cannot be read any more.

use std::collections::{BTreeMap, BTreeSet};

use crds::{CertificateAuthority, EnrollmentCredential, Kind, labels};
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use resolve::parts::{Part, PartKind};
use serde_json::json;

use super::super::Publisher;
use crate::world::World;

use super::scene::{Scene, authority, credential, secret_of};

#[tokio::test(start_paused = true)]
async fn parts_that_are_no_longer_listed_are_removed_and_nothing_else() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let other = json!({
        "metadata": {
            "name": "of-another", "namespace": "pki",
            "labels": { labels::MANAGED_BY: labels::MANAGER, labels::SERVER: "other", labels::PART: "authority" },
        },
    });
    let unlabelled = json!({ "metadata": { "name": "theirs", "namespace": "pki", "labels": { labels::SERVER: "devices" } } });
    for document in [other, unlabelled] {
        scene.api.put(&serde_json::from_value::<Secret>(document).unwrap());
    }
    let published = scene.publish_and_see(&[authority("a", 1)]).await;
    let world = scene.watches.snapshot();
    let removed = scene.publisher.sweep(&scene.api.client(), &world, &published).await.unwrap();
    assert_eq!(removed, 1);
    let left: BTreeSet<String> =
        scene.api.all::<Secret>().into_iter().filter_map(|secret| secret.metadata.name).collect();
    let kept = [secret_of("a"), "chancery-manifest-devices".into(), "of-another".into(), "theirs".into()];
    assert_eq!(left, BTreeSet::from(kept));
}

#[tokio::test(start_paused = true)]
async fn a_manifest_of_many_parts_has_lists_that_come_and_go_with_it() {
    let mut scene = Scene::new().await;
    let mut parts: Vec<Part> = (0..1_001).map(|number| authority(&format!("a{number}"), 1)).collect();
    let first = scene.publish_and_see(&parts).await;
    assert_eq!(first.lists.len(), 16);
    assert_eq!(scene.manifest().unwrap(), (first.manifest.clone(), true));

    // Another leader reads it as it is.
    scene.publisher = Publisher::default();
    scene.api.forget_calls();
    let again = scene.publish(&parts).await.unwrap();
    assert_eq!((scene.written(), again.generation()), (Vec::<String>::new(), first.generation()));

    parts[7] = authority("a7", 2);
    let second = scene.publish_and_see(&parts).await;
    let fresh: Vec<&String> = second.lists.difference(&first.lists).collect();
    assert_eq!(fresh.len(), 1);
    let expected = [secret_of("a7"), fresh[0].clone(), "chancery-manifest-devices".to_owned()];
    assert_eq!(scene.written(), expected);
    let world = scene.watches.snapshot();
    assert_eq!(scene.publisher.sweep(&scene.api.client(), &world, &second).await.unwrap(), 1);
    assert_eq!(
        scene.manifest().unwrap(),
        (second.manifest.clone(), true),
        "a list that is needed was removed"
    );
}

#[tokio::test(start_paused = true)]
async fn only_credentials_that_the_server_may_know_are_declared() {
    let mut scene = Scene::new().await;
    for name in ["served", "strange"] {
        scene.credential(name).await;
    }
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    assert_eq!(first.manifest.declared, BTreeSet::new(), "a new server has no rows");
    scene.publish_and_see(&[authority("a", 1), credential("served")]).await;
    for _ in 0..2 {
        let without = scene.publish_and_see(&[authority("a", 1)]).await;
        assert_eq!(without.manifest.declared, [ResourceName::new("pki", "served")].into());
        // Another leader knows as much.
        scene.publisher = Publisher::default();
    }

    // Where nobody can say any more what the server knew, nothing is taken for deleted.
    scene.api.delete::<Secret>(Some("pki"), "chancery-manifest-devices");
    scene.publisher = Publisher::default();
    let lost = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!(lost.manifest.declared.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_removed_before_all_secrets_were_listed() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let published = scene.publish_and_see(&[authority("a", 1)]).await;
    let client = scene.api.client();
    let incomplete = World::default();
    assert_eq!(scene.publisher.sweep(&client, &incomplete, &published).await.unwrap(), 0);
    assert!(scene.api.get::<Secret>(Some("pki"), &secret_of("b")).is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_served_of_a_resource_that_cannot_be_read_any_more_stays_and_the_rest_is_published() {
    let mut scene = Scene::new().await;
    scene.resource("CertificateAuthority", "b", json!({ "odd": true })).await;
    let first = scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "b"))]);
    for leader in 0..2 {
        let published = scene.publish_and_see(&[authority("a", 2)]).await;
        assert!(published.generation() > first.generation(), "leader {leader}");
        assert_ne!(published.parts()[&secret_of("a")], first.parts()[&secret_of("a")]);
        assert_eq!(published.parts()[&secret_of("b")], first.parts()[&secret_of("b")]);
        assert_eq!(published.left_out, BTreeMap::new());
        let world = scene.watches.snapshot();
        assert_eq!(scene.publisher.sweep(&scene.api.client(), &world, &published).await.unwrap(), 0);
        // Another leader finds as much out, with nothing but what is there.
        scene.publisher = Publisher::default();
    }
    // Nothing is written, nor read again, while it stays so.
    scene.publish_and_see(&[authority("a", 2)]).await;
    scene.api.forget_calls();
    scene.publish(&[authority("a", 2)]).await.unwrap();
    assert_eq!(scene.api.calls(), []);
    // One that is deleted is not kept.
    scene.api.delete::<CertificateAuthority>(Some("pki"), "b");
    let b = ResourceName::new("pki", "b");
    scene.until(|world| world.get(Kind::CertificateAuthority, &b).is_none()).await;
    scene.unreadable.clear();
    let without = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert!(!without.parts().contains_key(&secret_of("b")));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_and_whose_part_was_forged_is_left_out_and_told_of() {
    let mut scene = Scene::new().await;
    scene.resource("CertificateAuthority", "b", json!({ "odd": true })).await;
    scene.publish_and_see(&[authority("a", 1), authority("b", 1)]).await;
    let mut forged: Secret = scene.api.get(Some("pki"), &secret_of("b")).unwrap();
    let other = ByteString(authority("b", 7).to_json().unwrap());
    forged.data.as_mut().unwrap().insert(labels::PART_KEY.to_owned(), other);
    scene.api.put(&forged);
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "b"))]);
    let published = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert!(!published.parts().contains_key(&secret_of("b")));
    assert!(published.left_out[&secret_of("b")].contains("cannot be read any more"));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_served_and_cannot_be_read_holds_nothing_up() {
    let mut scene = Scene::new().await;
    scene.publish_and_see(&[authority("a", 1)]).await;
    scene.unreadable = BTreeSet::from([(PartKind::Authority, ResourceName::new("pki", "c"))]);
    let published = scene.publish(&[authority("a", 2)]).await.unwrap();
    assert_eq!(published.parts().keys().collect::<Vec<_>>(), [&secret_of("a")]);
}

#[tokio::test(start_paused = true)]
async fn credentials_of_others_that_go_away_change_nothing() {
    let mut scene = Scene::new().await;
    scene.credential("strange").await;
    let first = scene.publish_and_see(&[authority("a", 1)]).await;
    scene.api.delete::<EnrollmentCredential>(Some("pki"), "strange");
    scene.until(|world| world.of_kind(Kind::EnrollmentCredential).next().is_none()).await;
    scene.api.forget_calls();
    let again = scene.publish(&[authority("a", 1)]).await.unwrap();
    assert_eq!((scene.written(), again.generation()), (Vec::<String>::new(), first.generation()));
}

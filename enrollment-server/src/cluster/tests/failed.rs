//! Parts that cannot be served, and what they take with them.

use issuance::{identity::ResourceName, secret::Secret};
use resolve::{
    CredentialValue,
    parts::{Part, PartContent, PartKind, part_secret_name},
};

use super::{
    operator::{authority_mut, part_mut},
    scene::Scene,
};
use crate::serving::Behind;

fn secret(kind: PartKind, name: &str) -> String {
    part_secret_name(kind, &ResourceName::new("enrollment", name))
}

/// Publishes the parts after a change that no resolving would make.
async fn with(scene: &mut Scene, change: impl FnOnce(&mut Vec<Part>)) {
    let mut parts = scene.operator.parts().await;
    change(&mut parts);
    let published = scene.operator.publish_parts(&parts);
    scene.replica.consider(&published.found()).await;
}

#[tokio::test]
async fn a_credential_that_cannot_be_hashed_takes_only_itself_out() {
    let mut scene = Scene::new().await;
    with(&mut scene, |parts| {
        if let PartContent::Credential(credential) = &mut part_mut(parts, "factory").content {
            credential.value = CredentialValue::Given(Secret::new("x".repeat(2000)));
        }
    })
    .await;
    let loaded = scene.replica.loaded();
    let bad = secret(PartKind::Credential, "factory");
    assert_eq!(loaded.generation, 2);
    assert_eq!(loaded.failed.keys().collect::<Vec<_>>(), [&bad]);
    assert!(!loaded.parts.contains_key(&bad) && loaded.parts.len() > 5);
    assert!(scene.replica.is_ready());
}

#[tokio::test]
async fn a_profile_whose_authority_has_no_key_takes_its_methods_with_it() {
    let mut scene = Scene::new().await;
    // The server's own certificate is not to depend on that authority.
    with(&mut scene, |parts| {
        part_mut(parts, "issuing").key = None;
        for part in parts {
            if let PartContent::Server(server) = &mut part.content {
                server.tls = None;
            }
        }
    })
    .await;
    let loaded = scene.replica.loaded();
    assert_eq!((loaded.generation, loaded.rejected), (2, None));
    assert_eq!(scene.replica.app.behind(), Some(Behind::Incomplete));
    for (kind, name) in [
        (PartKind::Profile, "device"),
        (PartKind::Method, "devices"),
        (PartKind::Credential, "factory"),
        (PartKind::Profile, "service"),
    ] {
        assert!(loaded.failed.contains_key(&secret(kind, name)), "{kind} {name}: {:?}", loaded.failed);
    }
    assert!(scene.replica.app.serving().est.get(Some("devices")).is_none());
}

#[tokio::test]
async fn what_the_servers_own_certificate_needs_is_needed() {
    let mut scene = Scene::new().await;
    for change in [
        (|part: &mut Part| part.key = Some(Secret::new("no key"))) as fn(&mut Part),
        |part| part.key = None,
        |part| authority_mut(part).chain.clear(),
    ] {
        with(&mut scene, |parts| change(part_mut(parts, "issuing"))).await;
        assert_eq!(scene.replica.loaded().generation, 1, "what was in force stays");
        assert!(scene.replica.rejected().contains("TLS certificate"), "{}", scene.replica.rejected());
    }
    scene.publish().await;
}

#[tokio::test]
async fn a_revocation_list_of_somebody_else_is_not_published() {
    let mut scene = Scene::new().await;
    let root = ResourceName::new("enrollment", "root");
    let strangers = super::operator::FakeOperator::new();
    let list = {
        let mut strangers = strangers;
        strangers.publish().await;
        strangers.list(&root, Vec::new()).await
    };
    with(&mut scene, |parts| part_mut(parts, "root").crl = Some(list)).await;
    let failed = scene.replica.loaded().failed;
    assert_eq!(failed.keys().collect::<Vec<_>>(), [&secret(PartKind::Authority, "root")]);
}

#[tokio::test]
async fn a_server_part_with_a_bad_internal_listener_is_refused() {
    let mut scene = Scene::new().await;
    with(&mut scene, |parts| {
        for part in parts {
            if let PartContent::Server(server) = &mut part.content {
                server.internal.as_mut().unwrap().key = Secret::new("no key");
            }
        }
    })
    .await;
    assert_eq!(scene.replica.loaded().generation, 1);
    assert!(scene.replica.rejected().contains("internal listener"), "{}", scene.replica.rejected());
}

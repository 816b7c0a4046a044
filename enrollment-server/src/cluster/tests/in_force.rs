//! What is put in force, and what that changes.

use crds::Kind;
use http::StatusCode;
use issuance::{
    Error,
    authority::key_identifier,
    credential::CredentialState,
    error::AuthenticationFailure,
    identity::ResourceName,
    secret::Secret,
    store::{CertificateFilter, Page},
};
use pki::{certificate::Certificate, crl::CertificateList};
use serde_json::json;

use super::scene::Scene;

fn name(name: &str) -> ResourceName {
    ResourceName::new("enrollment", name)
}

#[tokio::test]
async fn what_the_manifest_lists_is_served_and_said() {
    let scene = Scene::new().await;
    let loaded = scene.replica.loaded();
    let listed = scene.published.manifest.parts.iter();
    let expected = listed.map(|(secret, entry)| (secret.clone(), entry.sha256.clone())).collect();
    assert_eq!((loaded.generation, loaded.parts), (1, expected));
    assert_eq!((loaded.failed.len(), loaded.rejected), (0, None));
    assert!(scene.replica.is_ready());
    let serving = scene.replica.app.serving();
    assert!(serving.est.get(Some("devices")).is_some());
    assert_eq!(serving.issuers.len(), 2);
    assert_eq!(scene.replica.metric("chancery_configuration_generation"), 1);
}

#[tokio::test]
async fn an_authority_whose_key_is_elsewhere_is_published_and_signs_nothing() {
    let scene = Scene::new().await;
    let root = Certificate::from_der(scene.operator.authority(&name("root")).certificate.der()).unwrap();
    assert!(!scene.replica.app.serving().office.authorities.contains_key(&name("root")));
    let key_id = key_identifier(&root);
    let (status, der) = scene.replica.get(&format!("/pki/{key_id}/certificate")).await;
    assert_eq!((status, der), (StatusCode::OK, root.der().to_vec()));
    let (status, der) = scene.replica.get(&format!("/pki/{key_id}/crl")).await;
    assert_eq!(status, StatusCode::OK);
    CertificateList::from_der(&der).unwrap().verify_signed_by(root.public_key()).unwrap();
    let (status, _) = scene.replica.get(&format!("/pki/{}/crl", "00".repeat(20))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn certificates_of_authorities_are_rows() {
    let scene = Scene::new().await;
    let filter = CertificateFilter { profile: Some(name("issuing")), ..CertificateFilter::default() };
    let rows = scene.volume.store.certificates(&filter, &Page::first(10)).await.unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].1.authority, Some(name("root")));
}

#[tokio::test]
async fn a_declared_credential_works_until_it_is_revoked_or_gone() {
    let mut scene = Scene::new().await;
    let value = scene.operator.values[&name("factory")].clone();
    scene.replica.login("factory", &value).await.unwrap();
    scene.operator.change(Kind::EnrollmentCredential, "factory", "revoked", json!(true));
    scene.publish().await;
    let refused = scene.replica.login("factory", &value).await;
    assert!(matches!(refused, Err(Error::Unauthenticated(AuthenticationFailure::Revoked))), "{refused:?}");
    scene.operator.change(Kind::EnrollmentCredential, "factory", "revoked", json!(false));
    scene.publish().await;
    scene.replica.login("factory", &value).await.unwrap();
    scene.operator.delete(Kind::EnrollmentCredential, "factory");
    scene.publish().await;
    assert!(scene.replica.login("factory", &value).await.is_err());
    assert!(scene.replica.declared().await.is_empty());
}

#[tokio::test]
async fn a_regenerated_value_replaces_the_old_one_at_once() {
    let mut scene = Scene::new().await;
    let old = scene.operator.values[&name("factory")].clone();
    let new = Secret::new("another value that the operator made");
    scene.operator.values.insert(name("factory"), new.clone());
    scene.operator.change(Kind::EnrollmentCredential, "factory", "regeneration", json!(1));
    scene.publish().await;
    scene.replica.login("factory", &new).await.unwrap();
    assert!(scene.replica.login("factory", &old).await.is_err());
    let rows = scene.replica.declared().await;
    assert_eq!((rows.len(), rows[0].regeneration), (1, 1));
}

#[tokio::test]
async fn a_credential_of_the_same_name_for_another_user_is_another_credential() {
    let mut scene = Scene::new().await;
    let first = scene.replica.declared().await.remove(0);
    let value = scene.operator.values[&name("factory")].clone();
    scene.operator.change(Kind::EnrollmentCredential, "factory", "est", json!({"username": "line-2"}));
    scene.publish().await;
    scene.replica.login("line-2", &value).await.unwrap();
    assert!(scene.replica.login("factory", &value).await.is_err());
    let second = scene.replica.declared().await.remove(0);
    assert_ne!(first.id, second.id);
    let row = scene.volume.store.credential(&first.id).await.unwrap().unwrap();
    assert_eq!((row.state, row.declared), (CredentialState::Revoked, false));
}

#[tokio::test]
async fn a_credential_that_does_not_resolve_for_a_while_is_the_same_afterwards() {
    let mut scene = Scene::new().await;
    let before = scene.replica.declared().await.remove(0);
    scene.operator.change(Kind::EnrollmentCredential, "factory", "methodRef", json!({"name": "gone"}));
    scene.publish().await;
    assert!(!scene.published.manifest.parts.values().any(|entry| entry.name == before.name));
    assert_eq!(scene.replica.declared().await, std::slice::from_ref(&before));
    scene.operator.change(Kind::EnrollmentCredential, "factory", "methodRef", json!({"name": "devices"}));
    scene.publish().await;
    assert_eq!(scene.replica.declared().await, [before]);
}

#[tokio::test]
async fn a_credential_ends_also_where_its_value_is_gone() {
    for (member, value) in [("revoked", json!(true)), ("expiresAt", json!("2026-01-01T00:00:00Z"))] {
        let mut scene = Scene::new().await;
        let before = scene.replica.declared().await.remove(0);
        let secret = scene.operator.values[&name("factory")].clone();
        scene.replica.login("factory", &secret).await.unwrap();
        // Whoever saw it leak removes the Secret, and only then says that it is over.
        let gone = json!({"secretKeyRef": {"name": "gone"}});
        scene.operator.change(Kind::EnrollmentCredential, "factory", "valueFrom", gone);
        scene.operator.change(Kind::EnrollmentCredential, "factory", member, value);
        scene.publish().await;
        assert!(scene.replica.login("factory", &secret).await.is_err(), "{member}");
        let after = scene.replica.declared().await.remove(0);
        assert_eq!(after.state == CredentialState::Revoked, member == "revoked");
        // It is the same credential, and what it was used for stays counted.
        assert_eq!((&after.id, &after.verifier, after.uses), (&before.id, &before.verifier, before.uses));
    }
}

#[tokio::test]
async fn a_method_that_is_gone_is_not_served_any_more() {
    let mut scene = Scene::new().await;
    scene.operator.delete(Kind::EnrollmentMethod, "devices");
    scene.publish().await;
    assert!(scene.replica.app.serving().est.get(Some("devices")).is_none());
    assert!(scene.replica.loaded().failed.is_empty());
}

#[tokio::test]
async fn a_server_without_a_tls_certificate_serves_the_rest() {
    let mut scene = Scene::new().await;
    let mut parts = scene.operator.parts().await;
    for part in &mut parts {
        if let resolve::parts::PartContent::Server(server) = &mut part.content {
            server.tls = None;
        }
    }
    let published = scene.operator.publish_parts(&parts);
    scene.replica.consider(&published.found()).await;
    assert_eq!((scene.replica.loaded().generation, scene.replica.loaded().rejected), (2, None));
    assert!(scene.replica.is_ready());
}

#[tokio::test]
async fn who_stops_says_so_before_it_closes() {
    let scene = Scene::new().await;
    assert!(scene.replica.is_ready());
    scene.replica.server.status.stopping();
    assert!(!scene.replica.is_ready());
}

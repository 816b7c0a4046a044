//! Authorities that are made, as the store and the `openssl` program see them.

use std::{sync::Arc, time::Duration};

use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    extension::{GeneralSubtree, NameConstraints, ReasonCode},
    name::{Attribute, AttributeType, Name},
};

use super::AuthorityTemplate;
use crate::{
    Error,
    audit::{Action, Actor},
    authority::{Authority, PublicationUrls},
    identity::ResourceName,
    policy::{DnsRule, NameRule, Permission, Presence},
    ports::Signer,
    revocation::Revocation,
    store::{CertificateStatus, memory::MemoryStore},
    testing::{
        Before, DAY, HookedStore, NOW, Scene, TestKey,
        openssl::{Folder, openssl},
        policy, policy_with, request,
    },
};

fn template(name: &str, days: u64) -> AuthorityTemplate {
    let common_name = Attribute { kind: AttributeType::CommonName, value: format!("Acme {name}") };
    AuthorityTemplate {
        name: ResourceName::new("acme", name),
        subject: Name::from_attributes(&[common_name]).unwrap(),
        validity: Duration::from_secs(days * 24 * 3600),
        path_length: None,
        name_constraints: None,
    }
}

fn new_key() -> Arc<dyn Signer> {
    TestKey::new(KeyAlgorithm::EcdsaP384)
}

fn authority(
    template: &AuthorityTemplate,
    der: &[u8],
    signer: Arc<dyn Signer>,
    scene: &Scene,
) -> Arc<Authority> {
    let certificate = Certificate::from_der(der).unwrap();
    let (name, urls) = (template.name.clone(), PublicationUrls::default());
    Arc::new(
        Authority::new(name, certificate, vec![der.to_vec()], signer, scene.authority.crl, &urls).unwrap(),
    )
}

/// A root and an intermediate that may sign leaves within `acme.com` only.
async fn two_levels(scene: &Scene) -> (Vec<u8>, Arc<Authority>) {
    let (root_key, key) = (new_key(), new_key());
    let of_root = AuthorityTemplate { path_length: Some(1), ..template("root", 3650) };
    let root = scene.engine.create_root(&of_root, &root_key).await.unwrap();
    let parent = authority(&of_root, &root, root_key, scene);
    let constraints =
        NameConstraints { permitted: vec![GeneralSubtree::Dns("acme.com".into())], excluded: Vec::new() };
    let of_issuing = AuthorityTemplate {
        path_length: Some(0),
        name_constraints: Some(constraints),
        ..template("issuing", 365)
    };
    let der = scene.engine.create_intermediate(&of_issuing, key.public_key(), &parent).await.unwrap();
    (root, authority(&of_issuing, &der, key, scene))
}

#[tokio::test]
async fn openssl_trusts_a_leaf_through_an_intermediate_within_its_name_constraints_only() {
    let scene = Scene::new(&policy()).await;
    let (root, issuing) = two_levels(&scene).await;
    let name = NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: Vec::new() };
    let any_dns = policy_with(|policy| {
        policy.subject_alt_names.dns = Some(DnsRule { name, wildcards: Permission::Refused });
    });
    let intermediate = issuing.certificate.der().to_vec();
    let leaves = Scene::with(Arc::new(MemoryStore::default()), &any_dns, issuing).await;

    let folder = Folder::new();
    let pem = |name: &str, der: &[u8]| folder.write(name, pki::pem::encode("CERTIFICATE", der).as_bytes());
    let (root, intermediate) = (pem("root.pem", &root), pem("issuing.pem", &intermediate));
    let at = (NOW.unix() + 60).to_string();
    let verify = |leaf: &str| {
        openssl(&[
            "verify",
            "-x509_strict",
            "-attime",
            &at,
            "-CAfile",
            &root,
            "-untrusted",
            &intermediate,
            leaf,
        ])
    };
    let inside = leaves.issue(&request().dns("www.acme.com")).await;
    verify(&pem("inside.pem", &inside.certificate)).unwrap();
    // openssl would refuse it with "permitted subtree violation": it is not issued, and the requester is told.
    let outside = leaves.ask(&request().dns("www.evil.org")).await;
    let Err(Error::Refused(refusal)) = outside else { panic!("{outside:?}") };
    let sentence = "authority.nameConstraints: acme/issuing does not permit \"dns:www.evil.org\"";
    assert_eq!(refusal.sentence(), sentence);
}

#[tokio::test]
async fn an_intermediate_never_outlives_its_parent() {
    let scene = Scene::new(&policy()).await;
    let (root_key, key) = (new_key(), new_key());
    let root = scene.engine.create_root(&template("root", 10), &root_key).await.unwrap();
    let parent = authority(&template("root", 10), &root, root_key, &scene);
    let der = scene
        .engine
        .create_intermediate(&template("issuing", 3650), key.public_key(), &parent)
        .await
        .unwrap();
    let intermediate = Certificate::from_der(&der).unwrap();
    assert_eq!(intermediate.not_after(), parent.certificate.not_after());
    assert_eq!(parent.certificate.not_after(), NOW.plus_seconds(10 * DAY - 300));
}

#[tokio::test]
async fn an_authority_that_is_made_is_recorded() {
    let scene = Scene::new(&policy()).await;
    let (root, issuing) = two_levels(&scene).await;
    let rows = scene.certificates().await;
    assert_eq!(
        rows.iter().map(|row| row.der.clone()).collect::<Vec<_>>(),
        [root, issuing.certificate.der().to_vec()]
    );
    assert_eq!(rows[1].authority, Some(ResourceName::new("acme", "root")));
    let events = scene.events().await;
    assert_eq!(events.len(), 2);
    assert!(
        events.iter().all(|event| event.action == Action::AuthorityCreated && event.actor == Actor::Server)
    );
}

#[tokio::test]
async fn an_authority_that_cannot_be_recorded_is_not_made() {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    store.script([Before::Fail]);
    let outcome = scene.engine.create_root(&template("root", 10), &new_key()).await;
    assert!(matches!(outcome, Err(Error::Unavailable(_))), "{outcome:?}");
    assert!(scene.certificates().await.is_empty());
}

#[tokio::test]
async fn an_authority_made_elsewhere_is_recorded_once_and_can_be_revoked() {
    let scene = Scene::new(&policy()).await;
    let (root_key, key) = (new_key(), new_key());
    let root = super::sign_root(&template("root", 3650), &root_key, NOW).await.unwrap();
    let parent = authority(&template("root", 3650), &root, root_key, &scene);
    let der =
        super::sign_intermediate(&template("issuing", 365), key.public_key(), &parent, NOW).await.unwrap();
    assert!(scene.certificates().await.is_empty(), "signing alone records nothing");

    let (certificate, name) = (Certificate::from_der(&der).unwrap(), ResourceName::new("acme", "issuing"));
    let issuer = parent.key_id();
    let adopt = || scene.engine.adopt_authority(&name, &certificate, issuer, Some(&parent.name));
    assert!(adopt().await.unwrap());
    assert!(!adopt().await.unwrap());
    let rows = scene.certificates().await;
    assert_eq!(rows.iter().map(|row| row.der.clone()).collect::<Vec<_>>(), [der]);
    assert_eq!(rows[0].authority, Some(parent.name.clone()));

    let revoke = Revocation::Revoke { reason: ReasonCode::CessationOfOperation, invalidity_date: None };
    scene.engine.revoke(issuer, certificate.serial(), revoke, Actor::Server).await.unwrap();
    assert!(!adopt().await.unwrap());
    assert!(matches!(scene.certificates().await[0].status, CertificateStatus::Revoked { .. }));
}

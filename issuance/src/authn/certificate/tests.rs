//! Whom a certificate names.

use std::sync::Arc;

use pki::{
    algorithm::KeyAlgorithm,
    certificate::{TbsCertificate, assemble},
    extension::{BasicConstraints, Extension},
    general_name::GeneralName,
    name::{Attribute, AttributeType, Name},
    serial::SerialNumber,
};

use super::*;
use crate::{
    identity::{Identity, Protocol},
    ports::{Signer as _, random},
    testing::{DAY, NOW, Scene, TestKey, policy},
};

fn common_name(text: &str) -> Name {
    Name::from_attributes(&[Attribute { kind: AttributeType::CommonName, value: text.into() }]).unwrap()
}

fn signed(by: &TestKey, issuer: &Name, subject: &Name, key: &TestKey, extensions: &[Extension]) -> Vec<u8> {
    let tbs = TbsCertificate {
        serial: &SerialNumber::from_random(random().unwrap()),
        signature_algorithm: by.signature_algorithm(),
        issuer,
        not_before: NOW.plus_seconds(-DAY),
        not_after: NOW.plus_seconds(DAY),
        subject,
        public_key: key.public_key(),
        extensions,
    }
    .to_der();
    assemble(&tbs, by.signature_algorithm(), &by.sign_now(&tbs))
}

/// Trusted, by itself.
struct Root {
    key: Arc<TestKey>,
    name: Name,
    der: Vec<u8>,
}

impl Root {
    fn new() -> Self {
        let (key, name) = (TestKey::new(KeyAlgorithm::EcdsaP256), common_name("Root"));
        let extensions = [BasicConstraints { ca: true, path_length: None }.to_extension()];
        let der = signed(&key, &name, &name, &key, &extensions);
        Self { key, name, der }
    }

    /// With another key each time.
    fn certifies(&self, subject: &Name, dns: Option<&str>) -> Vec<u8> {
        let names = dns.map(|name| SubjectAltName(vec![GeneralName::Dns(name.into())]));
        // RFC 5280 §4.2.1.6
        let names = names.map(|names| names.to_extension().with_critical(subject.is_empty()));
        let key = TestKey::new(KeyAlgorithm::EcdsaP256);
        signed(&self.key, &self.name, subject, &key, names.as_slice())
    }
}

async fn verified(scene: &Scene, roots: &[&Root], leaf: Vec<u8>) -> Evidence {
    let anchors: Vec<Vec<u8>> = roots.iter().map(|root| root.der.clone()).collect();
    let material = TrustMaterial {
        anchors: &anchors,
        intermediates: &[],
        crls: &[],
        revocation: RevocationCheck::IfGiven,
        authorities: &[],
    };
    let trust = ClientTrust::new(&material).unwrap();
    trust.verify(&*scene.store, &scene.method, &[CertificateDer::from(leaf)], NOW).await.unwrap()
}

#[tokio::test]
async fn certificates_are_of_one_holder_only_where_one_authority_names_them_the_same() {
    let scene = Scene::new(&policy()).await;
    let (root, other) = (Root::new(), Root::new());
    let (nobody, ann) = (Name::empty(), common_name("ann"));
    let distinct = [
        root.certifies(&nobody, Some("a.acme.example")),
        root.certifies(&nobody, Some("b.acme.example")),
        root.certifies(&nobody, None),
        root.certifies(&nobody, None),
        root.certifies(&ann, Some("a.acme.example")),
        other.certifies(&ann, Some("a.acme.example")),
        other.certifies(&nobody, Some("a.acme.example")),
    ];
    let mut found = Vec::new();
    for leaf in distinct {
        let requester = verified(&scene, &[&root, &other], leaf).await.requester(Protocol::Rest, None);
        assert!(matches!(requester.identity(), Identity::Certificate(_)));
        found.push(requester);
    }
    for (place, one) in found.iter().enumerate() {
        assert!(!found[..place].iter().any(|other| other.identity() == one.identity()), "{place}");
    }
    // The next one of the same holder, whatever its key.
    for (place, leaf) in [
        (0, root.certifies(&nobody, Some("a.acme.example"))),
        (4, root.certifies(&ann, Some("a.acme.example"))),
        (4, root.certifies(&ann, Some("b.acme.example"))),
    ] {
        let next = verified(&scene, &[&other, &root], leaf).await;
        assert_eq!(next.identity(), found[place].identity(), "{place}");
    }
}

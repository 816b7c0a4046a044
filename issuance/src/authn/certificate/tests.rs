//! Whom a certificate names.

use std::sync::Arc;

use pki::{
    algorithm::KeyAlgorithm,
    certificate::{TbsCertificate, assemble},
    extension::{AuthorityKeyIdentifier, BasicConstraints, Extension},
    general_name::GeneralName,
    name::{Attribute, AttributeType, Name},
    serial::SerialNumber,
};

use super::*;
use crate::{
    approval::Verdict,
    authn::Authenticated,
    credential::CredentialRow,
    identity::{Identity, Owner, Protocol},
    policy::Approval,
    ports::{Signer as _, random},
    store::{Commit, Write, suite::samples},
    testing::{DAY, NOW, Scene, TestKey, credential, pending, policy, policy_with, request},
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

    /// As this server would have: with a row that says what it was asked for with.
    async fn issues(&self, scene: &Scene, subject: &str, with: &CredentialRow) -> Vec<u8> {
        let issuer = KeyId(self.key.public_key().key_identifier());
        let identifier = [AuthorityKeyIdentifier(Some(issuer.0.to_vec())).to_extension()];
        let key = TestKey::new(KeyAlgorithm::EcdsaP256);
        let der = signed(&self.key, &self.name, &common_name(subject), &key, &identifier);
        let serial = *Certificate::from_der(&der).unwrap().serial();
        let row = CertificateRow {
            issuer,
            serial,
            credential: Some(with.id.clone()),
            owner: with.owner.clone(),
            der: der.clone(),
            ..samples::certificate(1)
        };
        let writes = vec![Write::InsertCertificate(Box::new(row))];
        scene.store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
        der
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

#[tokio::test]
async fn a_certificate_that_this_server_issued_does_not_approve_what_was_asked_for_by_whoever_it_was_issued_to()
 {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    scene.change_ann(|row| row.owner = Some(Owner::User("ann".into()))).await;
    let ann = scene.store.credential(&scene.ann.id).await.unwrap().unwrap();
    let waiting = pending(scene.ask(&request()).await).request;
    let root = Root::new();
    let of = |name: &str| credential(&scene.method.name, Some(name), "another-horse");
    let marked = |name: &str, mark: String| {
        let row = of(name);
        CredentialRow { verifier: row.verifier.clone().shown_to([mark]), ..row }
    };
    let second = CredentialRow { owner: ann.owner.clone(), ..of("second") };
    let made = marked("made", format!("credential:{}", ann.id));
    let bob = CredentialRow { owner: Some(Owner::User("bob".into())), ..of("bob") };
    for (row, allowed) in [(&ann, false), (&second, false), (&made, false), (&bob, true)] {
        if row.id != ann.id {
            scene.put(row).await;
        }
        let leaf = root.issues(&scene, row.name.name(), row).await;
        let evidence = verified(&scene, &[&root], leaf).await;
        // It is nobody's credential for that.
        assert_eq!((evidence.credential(), &evidence.owner), (None, &None));
        assert!(matches!(evidence.identity(), Identity::Certificate(_)));
        let by = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
        let outcome = scene.engine.decide_as(&by, &scene.own(), &waiting, Verdict::Approve, None).await;
        match outcome {
            Ok(_) => assert!(allowed, "{}", row.name),
            Err(Error::Refused(_)) => assert!(!allowed, "{}", row.name),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn nobody_approves_what_was_asked_for_with_a_certificate_that_was_issued_to_them() {
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    let root = Root::new();
    let bob = credential(&scene.method.name, Some("bob"), "another-horse");
    scene.put(&bob).await;
    let leaf = root.issues(&scene, "device", &scene.ann).await;
    let asking = verified(&scene, &[&root], leaf).await;
    let asking = Authenticated::new(scene.method.clone(), asking, None).unwrap();
    let (request, key) = (request(), crate::engine::request_key(&[b"device"]));
    let repeat = crate::engine::Repeat::Same;
    let waiting = pending(scene.engine.issue(asking, request.asked(), key, repeat).await).request;
    let outcome =
        scene.engine.decide_as(&scene.login().await, &scene.own(), &waiting, Verdict::Approve, None).await;
    assert!(matches!(outcome, Err(Error::Refused(_))), "{outcome:?}");
    let evidence = scene.verify("bob", "another-horse", crate::authn::Freshness::Fresh).await.unwrap();
    let by = Authenticated::new(scene.method.clone(), evidence, None).unwrap();
    scene.engine.decide_as(&by, &scene.own(), &waiting, Verdict::Approve, None).await.unwrap();
}

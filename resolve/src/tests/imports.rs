use crds::conditions::{ConditionType, Reason};
use issuance::secret::Secret;
use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    extension::{
        BasicConstraints, Extension, GeneralSubtree, KeyUsage, KeyUsageBit, NameConstraints,
        SubjectKeyIdentifier, TypedExtension as _,
    },
    key::PublicKey,
    name::Name,
    pem,
};
use serde_json::json;

use super::{
    A, P, S, accepts_world, name,
    provisioner::{Key, NOW, Provisioner, Template, common_name},
    rejects_world,
    world::World,
};
use crate::{CompiledTls, ObservedAuthority, Want};

const IMPORTED: &str = "{kind: CertificateAuthority, metadata: {name: x, namespace: pki}, spec: {imported: {secretRef: {name: x}}}}";

/// A root and an authority below it that somebody else made.
struct Elsewhere {
    root: Vec<u8>,
    own: Vec<u8>,
    key: Key,
}

impl Elsewhere {
    fn new() -> Self {
        Self::with(&common_name("Old Root"), Some(1), |_| {})
    }

    fn with(root_name: &Name, root_length: Option<u8>, change: impl FnOnce(&mut Template)) -> Self {
        let (root_key, key) =
            (Key::generate(KeyAlgorithm::EcdsaP384), Key::generate(KeyAlgorithm::EcdsaP256));
        let root =
            Template::authority(root_name, root_length).sign(&root_key.public_key(), root_name, &root_key);
        let mut template = Template::authority(&common_name("Old Issuing"), None);
        change(&mut template);
        let own = template.sign(&key.public_key(), root_name, &root_key);
        Self { root, own, key }
    }

    fn secret(&self) -> World {
        with_secret(&(certificate(&self.own) + &certificate(&self.root)), &self.key.to_pem(), None)
    }
}

fn certificate(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der)
}

/// The base world with the imported authority and its Secret.
fn with_secret(chain: &str, key: &str, root: Option<&str>) -> World {
    let mut data = json!({"tls.crt": chain, "tls.key": key});
    if let Some(root) = root {
        data["ca.crt"] = root.into();
    }
    let secret = json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "pki"}, "stringData": data});
    World::base().with(IMPORTED).with(&secret.to_string())
}

fn rejects(world: &World, message: &str) {
    rejects_world(world, A, "pki/x", Reason::SecretInvalid, message);
}

#[test]
fn an_imported_authority_is_wanted_with_all_that_its_secret_holds() {
    let elsewhere = Elsewhere::new();
    let world = elsewhere.secret();
    accepts_world(&world);
    let wants = world.resolve(&crate::Observed::nothing(NOW)).wants;
    let Some(Want::ImportAuthority(want)) = wants.iter().find(|want| *want.name() == name("pki/x")) else {
        panic!("{wants:?}")
    };
    assert_eq!(want.certificate.der(), elsewhere.own);
    assert_eq!(want.chain, [elsewhere.own.clone(), elsewhere.root.clone()]);
    assert_eq!(
        want.key,
        Secret::new(pem::decode_all(elsewhere.key.to_pem().as_bytes()).unwrap().remove(0).der)
    );
    let compiled = world.settle().resolution.compiled.unwrap();
    let authority = compiled.authorities.iter().find(|authority| authority.name == name("pki/x")).unwrap();
    assert_eq!(authority.chain.len(), 2);

    // The root may stand apart, or in both places.
    accepts_world(&with_secret(
        &certificate(&elsewhere.own),
        &elsewhere.key.to_pem(),
        Some(&certificate(&elsewhere.root)),
    ));
    let both = certificate(&elsewhere.own) + &certificate(&elsewhere.root);
    accepts_world(&with_secret(&both, &elsewhere.key.to_pem(), Some(&certificate(&elsewhere.root))));
}

#[test]
fn a_secret_that_holds_no_authority_is_rejected() {
    let elsewhere = Elsewhere::new();
    let (own, root, key) =
        (certificate(&elsewhere.own), certificate(&elsewhere.root), elsewhere.key.to_pem());
    rejects(&World::base().with(IMPORTED), "spec.imported.secretRef: the Secret pki/x does not exist");
    rejects(
        &World::base()
            .with(IMPORTED)
            .with("{kind: Secret, apiVersion: v1, metadata: {name: x, namespace: pki}}"),
        "the Secret pki/x: tls.crt is missing",
    );
    rejects(&World::base().with(IMPORTED).with(&json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "x", "namespace": "pki"}, "stringData": {"tls.crt": own.clone() + &root}}).to_string()), "tls.key is missing");
    rejects(&with_secret("", &key, None), "tls.crt holds no certificate");
    rejects(&with_secret("-----BEGIN CERTIFICATE-----", &key, None), "tls.crt is not PEM");
    rejects(
        &with_secret(&pem::encode("CERTIFICATE", &[0x30, 0]), &key, None),
        "tls.crt holds the certificate is malformed",
    );
    rejects(
        &with_secret(&(own.clone() + &key), &key, None),
        "tls.crt holds a PRIVATE KEY; only CERTIFICATE belongs there",
    );
    rejects(&with_secret(&own, &key, None), "the chain ends with \"CN=Old Issuing\", which is no root");
    rejects(&with_secret(&(root.clone() + &own), &key, None), "which the certificate after it did not sign");
    let stranger = certificate(&Elsewhere::new().root);
    rejects(&with_secret(&own, &key, Some(&stranger)), "\"CN=Old Issuing\" is not signed by \"CN=Old Root\"");
    rejects(&with_secret(&(own.clone() + &root), "", None), "tls.key holds no PEM block");
    rejects(
        &with_secret(&(own.clone() + &root), &pem::encode("EC PRIVATE KEY", &[1]), None),
        "tls.key holds a EC PRIVATE KEY; a PRIVATE KEY (PKCS#8",
    );
    rejects(
        &with_secret(&(own.clone() + &root), &pem::encode("ENCRYPTED PRIVATE KEY", &[1]), None),
        "not encrypted",
    );
    rejects(&with_secret(&(own + &root), &(key.clone() + &key), None), "tls.key holds more than one block");
    rejects(&with_secret(&root.repeat(17), &key, None), "holds 17 certificates; 16 are the most");
}

#[test]
fn a_certificate_that_may_not_sign_is_rejected() {
    let extensions = |list: Vec<Extension>| {
        Elsewhere::with(&common_name("Old Root"), None, |template| template.extensions = list).secret()
    };
    rejects(&extensions(Vec::new()), "\"CN=Old Issuing\" is no authority (basicConstraints)");
    let leaf = BasicConstraints { ca: false, path_length: None };
    rejects(&extensions(vec![leaf.to_extension()]), "is no authority (basicConstraints)");
    let authority = BasicConstraints { ca: true, path_length: None }.to_extension();
    let usage: KeyUsage = [KeyUsageBit::DigitalSignature].into_iter().collect();
    rejects(&extensions(vec![authority, usage.to_extension()]), "may not sign certificates (keyUsage)");
    let too_deep = Elsewhere::with(&common_name("Old Root"), Some(0), |_| {}).secret();
    rejects(&too_deep, "\"CN=Old Root\" lets fewer authorities follow than there are");
}

#[test]
fn what_the_certificate_has_cannot_be_said_again() {
    let secret = Elsewhere::new().secret();
    for member in [
        "subject: {commonName: X}",
        "key: {}",
        "validity: 1y",
        "pathLength: 1",
        "nameConstraints: {permitted: {dns: [a]}}",
    ] {
        let imported = format!(
            "{{kind: CertificateAuthority, metadata: {{name: x, namespace: pki}}, spec: {{imported: {{secretRef: {{name: x}}}}, {member}}}}}"
        );
        let path = member.split(':').next().unwrap();
        rejects_world(
            &secret.clone().with(&imported),
            A,
            "pki/x",
            Reason::Invalid,
            &format!("spec.{path}: is refused with imported"),
        );
    }
}

#[test]
fn what_an_imported_chain_does_not_allow_binds_what_hangs_on_it() {
    let acme = common_name("Acme");
    let constraints = NameConstraints {
        permitted: vec![GeneralSubtree::DirectoryName(acme.clone()), GeneralSubtree::Dns("acme.com".into())],
        excluded: Vec::new(),
    };
    let elsewhere = Elsewhere::with(&common_name("Old Root"), Some(2), |template| {
        template.extensions.push(constraints.to_extension());
        template.not_after = NOW.plus_seconds(2 * 365 * 86_400);
    });
    let below = |subject: &str, more: &str| {
        elsewhere.secret().with(&format!("{{kind: CertificateAuthority, metadata: {{name: y, namespace: pki}}, spec: {{intermediate: {{parentRef: {{name: x}}}}, subject: {subject}{more}}}}}"))
    };
    let refused = |world: &World, message: &str| {
        rejects_world(world, A, "pki/y", Reason::NotPermittedByParent, message)
    };
    // Not said how long: shortened to the parent's two years.
    accepts_world(&below("{commonName: Acme}", ""));
    accepts_world(&below("{commonName: ' acme '}", ", pathLength: 0"));
    refused(
        &below("{commonName: Other}", ""),
        "spec.subject: dirName:CN=Other lies outside the permitted names of pki/x",
    );
    refused(&below("{organization: [Acme], commonName: Acme}", ""), "lies outside the permitted names");
    refused(
        &below("{commonName: Acme}", ", validity: 3y"),
        "spec.validity: 3y is longer than its parent pki/x is valid",
    );
    refused(&below("{commonName: Acme}", ", pathLength: 1"), "spec.pathLength: 1 is too long: pki/x lets 1");
    refused(
        &below("{commonName: Acme}", ", nameConstraints: {permitted: {dns: [acme.org]}}"),
        "dns:acme.org lies outside",
    );
    let profile = "{kind: CertificateProfile, metadata: {name: p, namespace: pki}, spec: {authorityRef: {name: x}, preset: Device, validity: {default: 3y}}}";
    rejects_world(
        &elsewhere.secret().with(profile),
        P,
        "pki/p",
        Reason::NotPermittedByParent,
        "spec.validity: 3y is longer than pki/x is valid",
    );
}

#[test]
fn a_newer_certificate_of_the_same_key_is_imported_and_another_key_is_not() {
    let elsewhere = Elsewhere::new();
    let mut provisioner = Provisioner::default();
    let settled = provisioner.settle(&elsewhere.secret().resources(), None);
    assert!(elsewhere.secret().resolve(&settled.observed).wants.is_empty());

    // The root signs the same key anew.
    let (root_key, root_name) = (Key::generate(KeyAlgorithm::EcdsaP256), common_name("New Root"));
    let root = Template::authority(&root_name, None).sign(&root_key.public_key(), &root_name, &root_key);
    let public_key: PublicKey = elsewhere.key.public_key();
    let own = Template::authority(&common_name("Old Issuing"), None).sign(&public_key, &root_name, &root_key);
    let renewed = with_secret(&(certificate(&own) + &certificate(&root)), &elsewhere.key.to_pem(), None);
    let again = provisioner.continue_from(settled.observed.clone(), &renewed.resources(), None);
    assert_eq!(again.made, [name("pki/x")]);
    assert_eq!(again.observed.authorities[&name("pki/x")].certificate, own);

    let resolution = Elsewhere::new().secret().resolve(&settled.observed);
    let status = resolution.status(A, &name("pki/x")).unwrap();
    let accepted = status.condition(ConditionType::Accepted).unwrap();
    assert_eq!(accepted.reason, Reason::ImmutableMember, "{}", accepted.message);
    assert!(resolution.wants.is_empty());
}

/// An authority from elsewhere whose certificate states this as the identifier of its key.
fn with_identifier(identifier: [u8; 20]) -> Elsewhere {
    Elsewhere::with(&common_name("Old Root"), None, |template| {
        template.extensions.push(SubjectKeyIdentifier(identifier.to_vec()).to_extension());
    })
}

#[test]
fn an_authority_cannot_have_the_identifier_of_another_ones_key() {
    let mut provisioner = Provisioner::default();
    let settled = provisioner.settle(&World::base().resources(), None);
    let issuing = &settled.observed.authorities[&name("pki/issuing")].certificate;
    let issuing = Certificate::from_der(issuing).unwrap();
    let forged = with_identifier(issuing.public_key().key_identifier()).secret();
    let resolution = forged.resolve(&settled.observed);
    let message = "which is that of another key, of pki/issuing";
    super::check_rejected(&resolution, A, "pki/x", Reason::SecretInvalid, message);
    assert!(resolution.status(A, &name("pki/issuing")).unwrap().is_accepted());
    assert!(resolution.wants.is_empty(), "its key would be taken");

    // Nor does one go on that was taken before anybody looked at this.
    let mut observed = settled.observed.clone();
    let elsewhere = with_identifier(issuing.public_key().key_identifier());
    let found = ObservedAuthority { certificate: elsewhere.own.clone(), chain: vec![elsewhere.root.clone()] };
    observed.authorities.insert(name("pki/x"), found);
    let resolution = elsewhere.secret().resolve(&observed);
    super::check_rejected(&resolution, A, "pki/x", Reason::SecretInvalid, message);
    let compiled = resolution.compiled.unwrap();
    assert!(compiled.authorities.iter().all(|authority| authority.name != name("pki/x")));
}

#[test]
fn the_older_of_two_authorities_keeps_an_identifier_that_both_chose() {
    let (one, other) = (with_identifier([7; 20]), with_identifier([7; 20]));
    let secret = |name: &str, of: &Elsewhere| {
        json!({
            "kind": "Secret", "apiVersion": "v1", "metadata": {"name": name, "namespace": "pki"},
            "stringData": {"tls.crt": certificate(&of.own) + &certificate(&of.root), "tls.key": of.key.to_pem()},
        })
        .to_string()
    };
    let imported = |name: &str, created: &str| {
        format!(
            "{{kind: CertificateAuthority, metadata: {{name: {name}, namespace: pki, creationTimestamp: '{created}'}}, spec: {{imported: {{secretRef: {{name: {name}}}}}}}}}"
        )
    };
    let world = World::base()
        .with(&secret("a", &one))
        .with(&secret("z", &other))
        .with(&imported("a", "2026-02-01T00:00:00Z"))
        .with(&imported("z", "2026-01-01T00:00:00Z"));
    rejects_world(&world, A, "pki/a", Reason::SecretInvalid, "which is that of another key, of pki/z");
    // The same key twice is one key.
    accepts_world(&world.with(&secret("a", &other)));
}

#[test]
fn a_server_takes_its_tls_certificate_from_a_secret() {
    let elsewhere = Elsewhere::new();
    let server = "{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {secretRef: {name: x}}}}";
    let world = elsewhere.secret().with(server);
    accepts_world(&world);
    let tls = world.settle().resolution.compiled.unwrap().server.tls.unwrap();
    let CompiledTls::Secret { secret, certificates, .. } = tls else { panic!("{tls:?}") };
    assert_eq!((secret, certificates.len()), (name("pki/x"), 2));
    assert_eq!(Certificate::from_der(&certificates[0]).unwrap().der(), elsewhere.own);

    let broken =
        with_secret(&certificate(&elsewhere.own), "", Some(&certificate(&elsewhere.root))).with(server);
    let resolution = broken.settle().resolution;
    let status = resolution.status(S, &name("pki/server")).unwrap();
    assert_eq!(status.conditions[0].reason, Reason::SecretInvalid);
    assert!(
        status.conditions[0].message.starts_with("spec.tls.secretRef: the Secret pki/x: tls.key"),
        "{}",
        status.conditions[0].message
    );
    assert_eq!(resolution.compiled.unwrap().server.tls, None);
}

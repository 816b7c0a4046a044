//! Issued certificates as the `openssl` program sees them.

use pki::{
    algorithm::KeyAlgorithm,
    extension::{KeyUsageBit, TypedExtension as _},
    name::AttributeType,
};

use crate::{
    policy::{
        Approval, BasicConstraintsPolicy, DnsRule, IpRule, IssuerChoice, NameRule, Permission, Presence,
        Profile, UsageMode,
    },
    request::{Asked, AskedKey},
    store::memory::MemoryStore,
    testing::{
        AuthoritySpec, NOW, Request, Scene, authority,
        openssl::{certificate_text, verify},
        policy, policy_with, request,
    },
};

/// A moment at which everything issued now is good.
const SOON: i64 = NOW.unix() + 60;

fn with_dns(change: impl FnOnce(&mut Profile)) -> Profile {
    policy_with(|policy| {
        let name = NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: Vec::new() };
        policy.subject_alt_names.dns = Some(DnsRule { name, wildcards: Permission::Allowed });
        policy.subject_alt_names.ip =
            Some(IpRule { presence: Presence::Allowed, values: Vec::new(), networks: Vec::new() });
        change(policy);
    })
}

async fn issue_under(key: KeyAlgorithm, policy: &Profile, request: &Request) -> (Vec<u8>, Vec<u8>) {
    let authority = authority(AuthoritySpec { key, ..AuthoritySpec::default() });
    let root = authority.certificate.der().to_vec();
    let scene = Scene::with(std::sync::Arc::new(MemoryStore::default()), policy, authority).await;
    (root, scene.issue(request).await.certificate)
}

#[tokio::test]
async fn openssl_trusts_a_server_by_its_names_under_every_kind_of_authority() {
    let request = request().dns("www.acme.com").ip("192.0.2.7");
    for key in
        [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384, KeyAlgorithm::Rsa2048, KeyAlgorithm::Ed25519]
    {
        let (root, leaf) = issue_under(key, &with_dns(|_| {}), &request).await;
        for name in [["-verify_hostname", "www.acme.com"], ["-verify_ip", "192.0.2.7"]] {
            let further = ["-purpose", "sslserver", name[0], name[1]];
            verify(&root, &leaf, SOON, &further).unwrap();
        }
        assert!(verify(&root, &leaf, SOON, &["-verify_hostname", "evil.org"]).is_err());
        assert!(verify(&root, &leaf, SOON, &["-purpose", "sslclient"]).is_err());
        let end = NOW.unix() + 31 * 24 * 3600;
        assert!(verify(&root, &leaf, end, &[]).unwrap_err().contains("expired"));
    }
}

#[tokio::test]
async fn openssl_trusts_what_an_authority_with_a_short_key_identifier_signs() {
    let authority = authority(AuthoritySpec { key_identifier: Some(&[0x47; 8]), ..AuthoritySpec::default() });
    let root = authority.certificate.der().to_vec();
    let scene = Scene::with(std::sync::Arc::new(MemoryStore::default()), &policy(), authority).await;
    verify(&root, &scene.issue(&request()).await.certificate, SOON, &[]).unwrap();
}

#[tokio::test]
async fn openssl_reads_what_the_profile_says() {
    let policy = with_dns(|policy| {
        policy.key_usage.mode = UsageMode::FromRequest;
        policy.key_usage.usages =
            [KeyUsageBit::DigitalSignature, KeyUsageBit::KeyAgreement].into_iter().collect();
    });
    let (_, leaf) = issue_under(KeyAlgorithm::EcdsaP256, &policy, &request().dns("*.acme.com")).await;
    let text = certificate_text(&leaf);
    for line in [
        "Version: 3 (0x2)",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Issuer: CN=Acme Issuing,O=Acme",
        "Not Before: Dec 31 23:55:00 2025 GMT",
        "Subject: CN=device-1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Agreement\n",
        "X509v3 Extended Key Usage: \n                TLS Web Server Authentication",
        "X509v3 Subject Alternative Name: \n                DNS:*.acme.com\n",
        "Full Name:\n                  URI:http://pki.acme.com/issuing.crl",
        "CA Issuers - URI:http://pki.acme.com/issuing.cer",
    ] {
        assert!(text.contains(line), "no {line} in\n{text}");
    }
}

#[tokio::test]
async fn openssl_trusts_a_certificate_without_a_subject() {
    let policy = with_dns(|policy| policy.subject.empty = Permission::Allowed);
    let request = request().subject(&[]).dns("a.acme.com");
    let (root, leaf) = issue_under(KeyAlgorithm::EcdsaP256, &policy, &request).await;
    verify(&root, &leaf, SOON, &["-verify_hostname", "a.acme.com"]).unwrap();
    let text = certificate_text(&leaf);
    assert!(text.contains("X509v3 Subject Alternative Name: critical"), "{text}");
}

#[tokio::test]
async fn openssl_reads_a_subject_that_was_written_anew() {
    let bmp = pki::der_io::tag::BMP_STRING;
    let request = request().rdns(&[vec![(AttributeType::CommonName, bmp, b"\0g\0\xe4\0-\x007")]]);
    let (root, leaf) = issue_under(KeyAlgorithm::EcdsaP256, &policy(), &request).await;
    verify(&root, &leaf, SOON, &[]).unwrap();
    assert!(certificate_text(&leaf).contains("Subject: CN=gä-7"));
}

#[tokio::test]
async fn openssl_takes_an_issued_authority_for_one() {
    let policy = policy_with(|policy| {
        policy.basic_constraints = BasicConstraintsPolicy::Authority { path_length: Some(0) };
        policy.key_usage.usages = [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign].into_iter().collect();
        policy.extended_key_usage.usages = Vec::new();
    });
    let (root, leaf) = issue_under(KeyAlgorithm::Rsa2048, &policy, &request()).await;
    verify(&root, &leaf, SOON, &["-purpose", "crlsign"]).unwrap();
    let text = certificate_text(&leaf);
    assert!(text.contains("CA:TRUE, pathlen:0") && text.contains("Certificate Sign, CRL Sign"), "{text}");
}

#[tokio::test]
async fn openssl_trusts_a_self_signed_certificate_by_itself() {
    let policy = with_dns(|policy| {
        policy.issuer = IssuerChoice::SelfSigned;
        policy.approval = Approval::Automatic;
    });
    let scene = Scene::new(&policy).await;
    let request = request().dns("www.acme.com");
    let asked = Asked { key: AskedKey::Server(request.key.clone()), ..request.asked() };
    let issued = scene.engine.issue_role(scene.method.clone(), "tls", asked).await.unwrap();
    assert!(issued.authority.is_none());
    verify(&issued.certificate, &issued.certificate, SOON, &["-verify_hostname", "www.acme.com"]).unwrap();
    let certificate = pki::certificate::Certificate::from_der(&issued.certificate).unwrap();
    assert!(certificate.is_self_signed());
    assert!(certificate.extension(pki::extension::AuthorityKeyIdentifier::OID).is_none());
}

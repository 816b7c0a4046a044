//! One refusal per rule of a CertificateProfile: the sentence that comes back names the rule and what was asked.

use anyhow::{Result, ensure};
use chancery_tests::curl::Request;
use chancery_tests::openssl::{CsrOptions, Key};
use chancery_tests::{Endpoint, Scene};

/// What the profiles start from: a common name within `*.acme.com` and DNS names within the same.
const PROFILE: &str = "authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature]}, \
     extendedKeyUsage: {usages: [clientAuth]}, keys: {allowed: [ECDSA-P256, ECDSA-P384, RSA-2048]}, \
     subject: {attributes: [{type: commonName, presence: Required, patterns: ['*.acme.com']}, \
     {type: organization, presence: Fixed, values: [Acme]}]}, \
     subjectAltNames: {maximum: 2, dns: {patterns: ['*.acme.com']}, ip: {cidrs: [10.0.0.0/8]}, \
     uri: {patterns: ['spiffe://acme.com/*']}, email: {patterns: ['*@acme.com']}}, \
     requestExtensions: {others: Refuse}";

/// A request that is refused, the field of the profile that says no, and what the sentence repeats of the request.
struct Case {
    what: &'static str,
    subject: &'static str,
    key: Key,
    extensions: &'static [&'static str],
    rule: &'static str,
    asked: &'static str,
}

const fn case(what: &'static str, rule: &'static str, asked: &'static str) -> Case {
    Case { what, subject: "/CN=a.acme.com", key: Key::P256, extensions: &[], rule, asked }
}

const CASES: &[Case] = &[
    Case { subject: "/CN=a.evil.com", ..case("a common name outside the patterns", "subject", "a.evil.com") },
    Case {
        subject: "/CN=a.b.acme.com",
        ..case("a common name one label too deep", "subject", "a.b.acme.com")
    },
    Case { subject: "/CN=a.acme.com/CN=b.acme.com", ..case("two common names", "subject", "commonName") },
    Case { subject: "/O=Other", ..case("no common name", "subject", "commonName") },
    Case {
        subject: "/CN=a.acme.com/OU=Sales",
        ..case("an attribute nobody speaks of", "subject", "organizationalUnit")
    },
    Case {
        extensions: &["subjectAltName=DNS:a.evil.com"],
        ..case("a DNS name outside the patterns", "subjectAltNames", "a.evil.com")
    },
    Case {
        extensions: &["subjectAltName=DNS:*.acme.com"],
        ..case("a wildcard", "subjectAltNames", "*.acme.com")
    },
    Case {
        extensions: &["subjectAltName=IP:192.0.2.1"],
        ..case("an address outside the ranges", "subjectAltNames", "192.0.2.1")
    },
    Case {
        extensions: &["subjectAltName=URI:spiffe://evil.com/a"],
        ..case("a URI outside the patterns", "subjectAltNames", "spiffe://evil.com/a")
    },
    Case {
        extensions: &["subjectAltName=email:a@evil.com"],
        ..case("a mailbox outside the patterns", "subjectAltNames", "a@evil.com")
    },
    Case {
        extensions: &["subjectAltName=otherName:1.2.3.4;UTF8:x"],
        ..case("a form of name nobody speaks of", "subjectAltNames", "1.2.3.4")
    },
    Case {
        extensions: &["subjectAltName=DNS:a.acme.com,DNS:b.acme.com,DNS:c.acme.com"],
        ..case("too many names", "subjectAltNames", "3")
    },
    Case { key: Key::Rsa1024, ..case("a weak key", "keys.allowed", "RSA-1024") },
    Case { key: Key::Ed25519, ..case("a key that is not allowed", "keys.allowed", "Ed25519") },
    Case { extensions: &["basicConstraints=CA:TRUE"], ..case("to be an authority", "basicConstraints", "") },
    Case {
        extensions: &["tlsfeature=status_request"],
        ..case("an extension nobody speaks of", "requestExtensions", "1.3.6.1.5.5.7.1.24")
    },
];

fn enroll(endpoint: &Endpoint, csr: &[u8]) -> Result<(u16, String)> {
    let request = Request::post(&endpoint.url("simpleenroll")?, csr)
        .ca(&endpoint.ca)
        .user("anybody", &endpoint.passphrase()?);
    let answer = request.send()?;
    Ok((answer.status, answer.text()))
}

/// RFC 7030 §4.2.3 leaves the status of a refused request to the server: 403, for what was understood and is not allowed.
fn check(what: &str, (status, sentence): (u16, String), rule: &str, asked: &str) -> Result<()> {
    ensure!(status == 403, "{what}: expected 403, got {status}: {sentence}");
    ensure!(
        sentence.starts_with(rule),
        "{what}: the sentence does not begin with the rule {rule}: {sentence}"
    );
    ensure!(sentence.contains(asked), "{what}: the sentence does not say {asked}: {sentence}");
    ensure!(sentence.trim_end().lines().count() == 1, "{what}: more than one line: {sentence}");
    Ok(())
}

#[test]
fn every_rule_refuses_with_a_sentence_that_names_it() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("strict", &format!("{{{PROFILE}}}")))?;
    let endpoint = scene.est("test/strict")?;
    let good = CsrOptions::new("/CN=a.acme.com").make(&scene.workspace, "good")?;
    let (status, text) = enroll(&endpoint, &good.der)?;
    ensure!(status == 200, "the request without a fault was refused: {text}");
    for (number, case) in CASES.iter().enumerate() {
        let options = CsrOptions::new(case.subject).key(case.key).extensions(case.extensions);
        let csr = options.make(&scene.workspace, &number.to_string())?;
        check(case.what, enroll(&endpoint, &csr.der)?, case.rule, case.asked)?;
    }
    Ok(())
}

#[test]
fn usages_from_the_request_stay_within_the_profile() -> Result<()> {
    let scene = Scene::with(|resources| {
        let profile = PROFILE.replace("{usages:", "{mode: FromRequest, usages:");
        resources.est_method("asking", &format!("{{{profile}}}"))
    })?;
    let endpoint = scene.est("test/asking")?;
    let cases = [
        ("a key usage", "keyUsage=keyEncipherment", "keyUsage", "keyEncipherment"),
        ("an extended key usage", "extendedKeyUsage=codeSigning", "extendedKeyUsage", "codeSigning"),
    ];
    for (what, extension, rule, asked) in cases {
        let csr = CsrOptions::new("/CN=a.acme.com").extensions(&[extension]).make(&scene.workspace, rule)?;
        check(what, enroll(&endpoint, &csr.der)?, rule, asked)?;
    }
    Ok(())
}

#[test]
fn a_key_is_certified_once_where_the_profile_says_so() -> Result<()> {
    let scene = Scene::with(|resources| {
        let profile = PROFILE.replace("keys: {", "keys: {reuse: Refused, ");
        resources.est_method("once", &format!("{{{profile}}}"))
    })?;
    let endpoint = scene.est("test/once")?;
    let first = CsrOptions::new("/CN=a.acme.com").make(&scene.workspace, "first")?;
    let (status, text) = enroll(&endpoint, &first.der)?;
    ensure!(status == 200, "the first request was refused: {text}");
    // The same key in another request: the same request again is a retry, and is answered with what it got.
    let key = first.key.to_string_lossy();
    let again = ["req", "-new", "-key", &key, "-subj", "/CN=b.acme.com", "-outform", "DER"];
    let again = chancery_tests::openssl::openssl(&again, None)?;
    check("the same key again", enroll(&endpoint, &again)?, "keys.reuse", "")
}

#[test]
fn a_self_signed_profile_refuses_a_request_that_brings_its_key() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("own", "{selfSigned: {}, preset: Device}"))?;
    let csr = CsrOptions::new("/CN=a.acme.com").make(&scene.workspace, "csr")?;
    check("a CSR", enroll(&scene.est("test/own")?, &csr.der)?, "selfSigned", "")
}

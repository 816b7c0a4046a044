//! What CertificateSigningRequests ask for. Unlike with Certificates, whoever asks makes the request.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use pki::key::{Curve, KeyType};
use serde_json::{Value, json};

use super::{
    cases::Issuing,
    expected::{Expected, seconds, split_usages},
};
use crate::{
    Workspace,
    openssl::{CsrOptions, Key},
};

/// The annotation of cert-manager for a duration.
const DURATION: &str = "experimental.cert-manager.io/request-duration";

/// The annotation of cert-manager that asks for an authority.
const IS_CA: &str = "experimental.cert-manager.io/request-is-ca";

/// One CertificateSigningRequest.
#[derive(Clone, Debug)]
pub struct SigningCase {
    pub name: &'static str,
    pub issuing: Issuing,
    key: Key,
    common_name: Option<String>,
    /// As openssl takes them: `DNS:a.example`.
    names: Vec<String>,
    usages: &'static [&'static str],
    duration: Option<&'static str>,
    expiration_seconds: Option<i64>,
    is_ca: bool,
}

/// The table; see [`cases`](super::cases()).
pub fn signing_cases(suffix: &str) -> Vec<SigningCase> {
    let dns = |name: &str| format!("DNS:{name}.{suffix}");
    let ip = || "IP:127.0.0.1".to_owned();
    let uri = || "URI:spiffe://cluster.local/ns/sandbox/sa/foo".to_owned();
    let case = SigningCase::new;
    vec![
        case("rsa-dns").names([dns("csr-rsa")]),
        case("ecdsa-dns").key(Key::P256).names([dns("csr-ecdsa")]),
        case("ed25519-dns").key(Key::Ed25519).names([dns("csr-ed25519")]),
        case("rsa-cn").common_name("test-common-name-rsa"),
        case("ecdsa-cn").key(Key::P256).common_name("test-common-name-ecdsa"),
        case("ed25519-cn").key(Key::Ed25519).common_name("test-common-name-ed25519"),
        case("cn-ip").common_name("test-common-name-ip").names([ip()]),
        case("ip").names([ip()]),
        case("dns-ip").names([ip(), dns("csr-dns-ip")]),
        case("email").names(["email:alice@example.com".to_owned(), "email:bob@example.com".to_owned()]),
        case("cn-uri").common_name("test-common-name-uri").names([uri()]),
        case("dns-copied-to-cn")
            .common_name(&format!("csr-copied.{suffix}"))
            .names([dns("csr-copied"), dns("csr-beside-copied")]),
        case("distinct-cn").common_name(&format!("csr-distinct-cn.{suffix}")).names([dns("csr-distinct")]),
        case("cn-duration")
            .common_name(&format!("csr-duration.{suffix}"))
            .names([dns("csr-duration")])
            .duration("896h"),
        case("cn-expiration-seconds")
            .common_name(&format!("csr-expiration.{suffix}"))
            .names([dns("csr-expiration")])
            .expiration_seconds(3333),
        case("dns-duration").names([dns("csr-dns-duration")]).duration("896h"),
        case("duration-before-expiration-seconds")
            .names([dns("csr-both")])
            .duration("896h")
            .expiration_seconds(3333),
        case("wildcard").names([dns("*.csr-wild")]),
        case("wildcard-apex").names([dns("*.csr-apex"), dns("csr-apex")]),
        case("uri").names([uri()]),
        case("usages").common_name(&format!("csr-usages.{suffix}")).usages(&[
            "server auth",
            "client auth",
            "digital signature",
            "data encipherment",
        ]),
        case("long-label").names([dns(&"l".repeat(63))]),
        case("ca").names([dns("csr-ca")]).authority(),
        case("ca-large-duration")
            .common_name("cert-manager-ca")
            .duration("10000h")
            .usages(&["digital signature", "key encipherment", "cert sign"])
            .authority(),
    ]
}

impl SigningCase {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            issuing: Issuing::Leaf,
            key: Key::Rsa2048,
            common_name: None,
            names: Vec::new(),
            usages: &["digital signature", "key encipherment"],
            duration: None,
            expiration_seconds: None,
            is_ca: false,
        }
    }

    fn key(self, key: Key) -> Self {
        Self { key, ..self }
    }

    fn common_name(self, name: &str) -> Self {
        Self { common_name: Some(name.to_owned()), ..self }
    }

    fn names<const N: usize>(self, names: [String; N]) -> Self {
        Self { names: names.into(), ..self }
    }

    fn usages(self, usages: &'static [&'static str]) -> Self {
        Self { usages, ..self }
    }

    fn duration(self, duration: &'static str) -> Self {
        Self { duration: Some(duration), ..self }
    }

    fn expiration_seconds(self, seconds: i64) -> Self {
        Self { expiration_seconds: Some(seconds), ..self }
    }

    fn authority(self) -> Self {
        Self { is_ca: true, issuing: Issuing::Authority, ..self }
    }

    /// The object, with a fresh key.
    pub fn document(&self, workspace: &Workspace, name: &str, signer: &str) -> Result<Value> {
        let subject = self.common_name.as_ref().map_or("/".to_owned(), |name| format!("/CN={name}"));
        let names = format!("subjectAltName={}", self.names.join(","));
        let extensions = if self.names.is_empty() { vec![] } else { vec![names.as_str()] };
        let made =
            CsrOptions::new(&subject).key(self.key).extensions(&extensions).make(workspace, self.name)?;
        let pem = std::fs::read(&made.pem).context("openssl wrote no request")?;
        let mut annotations = serde_json::Map::new();
        if let Some(duration) = self.duration {
            annotations.insert(DURATION.to_owned(), json!(duration));
        }
        if self.is_ca {
            annotations.insert(IS_CA.to_owned(), json!("true"));
        }
        let mut spec = json!({
            "request": STANDARD.encode(pem),
            "signerName": format!("chanceryclusterissuers.chancery.dev/{signer}"),
            "usages": self.usages,
        });
        if let (Some(seconds), Some(spec)) = (self.expiration_seconds, spec.as_object_mut()) {
            spec.insert("expirationSeconds".to_owned(), json!(seconds));
        }
        Ok(json!({
            "apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
            "metadata": {"name": name, "annotations": annotations},
            "spec": spec,
        }))
    }

    /// What must come of it. The annotation counts before `expirationSeconds`, as with cert-manager's own signers.
    pub fn expected(&self) -> Result<Expected> {
        let key = match self.key {
            Key::P256 => KeyType::Ecdsa(Curve::P256),
            Key::P384 => KeyType::Ecdsa(Curve::P384),
            Key::Rsa1024 => KeyType::Rsa { bits: 1024 },
            Key::Rsa2048 => KeyType::Rsa { bits: 2048 },
            Key::Rsa3072 => KeyType::Rsa { bits: 3072 },
            Key::Ed25519 => KeyType::Ed25519,
        };
        let usages: Vec<String> = self.usages.iter().map(|usage| (*usage).to_owned()).collect();
        let (key_usage, purposes) = split_usages(&usages, self.is_ca, key)?;
        let seconds = match (self.duration, self.expiration_seconds) {
            (None, Some(seconds)) => seconds,
            (duration, _) => seconds(duration)?,
        };
        Ok(Expected {
            key,
            subject: self.common_name.as_ref().map_or(String::new(), |name| format!("CN={name}")),
            subject_in_order: true,
            names: self.expected_names(),
            key_usage,
            purposes,
            seconds,
            is_ca: self.is_ca,
        })
    }

    fn expected_names(&self) -> BTreeSet<String> {
        let spelled = |name: &String| {
            let (form, value) = name.split_once(':').unwrap_or((name, ""));
            format!("{}:{value}", form.to_ascii_lowercase())
        };
        self.names.iter().map(spelled).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_can_be_judged() -> Result<()> {
        let all = signing_cases("example.com");
        let names: BTreeSet<&str> = all.iter().map(|case| case.name).collect();
        assert_eq!(names.len(), all.len());
        for case in &all {
            case.expected()?;
        }
        Ok(())
    }

    #[test]
    fn the_annotation_counts_before_the_member() -> Result<()> {
        let of = |name: &str| -> Result<i64> {
            let all = signing_cases("example.com");
            Ok(all.iter().find(|case| case.name == name).context("no such case")?.expected()?.seconds)
        };
        assert_eq!(of("duration-before-expiration-seconds")?, 896 * 3600);
        assert_eq!(of("cn-expiration-seconds")?, 3333);
        Ok(())
    }

    #[test]
    fn a_request_holds_what_the_case_says() -> Result<()> {
        let workspace = Workspace::new()?;
        let all = signing_cases("example.com");
        let case = all.iter().find(|case| case.name == "cn-ip").context("no such case")?;
        let document = case.document(&workspace, "x", "leaves")?;
        let pem = STANDARD.decode(document["spec"]["request"].as_str().unwrap_or_default())?;
        let block = pki::pem::decode_all(&pem)?.pop().context("no PEM")?;
        let csr = pki::csr::UnverifiedCsr::from_der(&block.der)?.verify()?;
        assert_eq!(csr.subject().to_string(), "CN=test-common-name-ip");
        assert_eq!(document["spec"]["signerName"], "chanceryclusterissuers.chancery.dev/leaves");
        Ok(())
    }
}

//! Authorities, certificates and resources that revoke them.

use crds::{CertificateRevocation, CertificateRevocationStatus};
use issuance::{authority::key_identifier, identity::ResourceName};
use k8s_openapi::{ByteString, api::core::v1::Secret, jiff::Timestamp};
use pki::certificate::Certificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
    SerialNumber,
};
use serde_json::{Value, json};

use crate::revocation::signatories::{Keeper, Signatories, Signatory};

pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// A root of `pki` whose key the operator keeps, with an intermediate of `team-a` whose server has its key.
pub(super) struct Office {
    pub(super) root: CertifiedIssuer<'static, KeyPair>,
    pub(super) issuing: CertifiedIssuer<'static, KeyPair>,
}

impl Office {
    pub(super) fn new() -> Self {
        let root = CertifiedIssuer::self_signed(authority("Root"), KeyPair::generate().unwrap()).unwrap();
        let issuing =
            CertifiedIssuer::signed_by(authority("Issuing"), KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, issuing }
    }

    pub(super) fn signatories(&self) -> Signatories {
        Signatories(vec![
            signatory("pki", "root", self.root.der(), Keeper::Operator),
            signatory("team-a", "issuing", self.issuing.der(), Keeper::Server),
        ])
    }

    /// An authority under this root with the serial number that the issuing authority of another office has.
    pub(super) fn imitation(&self, namespace: &str, other: &Self) -> Signatory {
        let victim = Certificate::from_der(other.issuing.der()).unwrap();
        let mut params = authority("Imitation");
        params.serial_number = Some(SerialNumber::from_slice(victim.serial().as_bytes()));
        let imitation = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.root).unwrap();
        signatory(namespace, "imitation", imitation.der(), Keeper::Server)
    }

    /// A certificate of the issuing authority with this serial number.
    pub(super) fn leaf(&self, serial: u64) -> rcgen::Certificate {
        leaf(&self.issuing, serial)
    }
}

pub(super) fn leaf(issuer: &CertifiedIssuer<'_, KeyPair>, serial: u64) -> rcgen::Certificate {
    let mut params = CertificateParams::new(vec!["shop.example".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from(serial));
    params.distinguished_name = named("shop");
    params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn signatory(namespace: &str, name: &str, der: &[u8], keeper: Keeper) -> Signatory {
    let certificate = Certificate::from_der(der).unwrap();
    Signatory {
        name: ResourceName::new(namespace, name),
        key_id: key_identifier(&certificate),
        certificate,
        server: ResourceName::new("pki", "main"),
        keeper,
    }
}

/// A revocation in `namespace` with these members of its spec.
pub(super) fn revocation(namespace: &str, spec: Value) -> CertificateRevocation {
    serde_json::from_value(json!({
        "apiVersion": "chancery.dev/v1alpha1",
        "kind": "CertificateRevocation",
        "metadata": {"name": "lost", "namespace": namespace, "uid": "uid-1", "generation": 1},
        "spec": spec,
    }))
    .unwrap()
}

pub(super) fn with_status(
    revocation: &CertificateRevocation,
    status: &CertificateRevocationStatus,
) -> CertificateRevocation {
    CertificateRevocation { status: Some(status.clone()), ..revocation.clone() }
}

/// `team-a/shop-tls` with this certificate.
pub(super) fn secret(certificate: &rcgen::Certificate) -> Secret {
    let mut secret = Secret::default();
    secret.metadata.name = Some("shop-tls".into());
    secret.metadata.namespace = Some("team-a".into());
    secret.data = Some([("tls.crt".to_owned(), ByteString(certificate.pem().into_bytes()))].into());
    secret
}

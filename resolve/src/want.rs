//! Wants: what must be made before the rest of the resources can be served.

use std::time::Duration;

use crds::DeletionPolicy;
use issuance::{identity::ResourceName, secret::Secret};
use pki::{
    algorithm::KeyAlgorithm,
    certificate::Certificate,
    extension::NameConstraints,
    name::{Attribute, Name},
};

/// Something that is declared and does not exist. Whoever provisions fulfils wants in the order given, which puts a parent before
/// its intermediates, passes over what hangs on one that failed, and resolves again until there are none.
#[derive(Clone, Debug, PartialEq)]
pub enum Want {
    Authority(AuthorityWant),
    ImportAuthority(ImportAuthorityWant),
}

impl Want {
    /// The authority that is wanted.
    pub fn name(&self) -> &ResourceName {
        match self {
            Self::Authority(want) => &want.name,
            Self::ImportAuthority(want) => &want.name,
        }
    }
}

/// A key and a certificate for it.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorityWant {
    pub name: ResourceName,
    /// Of the key to make, unless there is one by this name from an attempt that ended early.
    pub key: KeyAlgorithm,
    pub certificate: AuthorityCertificate,
    pub deletion_policy: DeletionPolicy,
}

/// What the certificate of an authority says, but for key, serial number and signature.
#[derive(Clone, Debug, PartialEq)]
pub struct AuthorityCertificate {
    pub issuer: AuthorityIssuer,
    /// In the order of encoding, within the bounds of RFC 5280.
    pub subject: Vec<Attribute>,
    /// The same, encoded.
    pub subject_name: Name,
    /// From the moment of issue; the certificate ends with the issuer's at the latest.
    pub validity: Duration,
    pub path_length: Option<u8>,
    pub name_constraints: Option<NameConstraints>,
}

/// Who signs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthorityIssuer {
    SelfSigned,
    Authority(ResourceName),
}

/// A key and certificates that exist already. That the key belongs to the certificate is for whoever imports to check.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportAuthorityWant {
    pub name: ResourceName,
    /// Where they were found.
    pub secret: ResourceName,
    pub certificate: Certificate,
    /// DER, from `certificate` upwards to the root; each is signed by the next.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Secret,
    pub deletion_policy: DeletionPolicy,
}

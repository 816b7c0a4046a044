//! The parts of a CertificateProfile's policy: names, keys, usages, validity, extensions.
//!
//! [`names`] holds what subjects and alternative names may be, [`preset`] what each preset fills in.

mod names;
mod preset;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::KeyAlgorithm,
    duration::{Duration, Unit, longer_than_zero},
    oid::{ExtendedKeyUsagePurpose, Oid},
    string_enum::string_enum,
};

pub use self::{names::*, preset::*};

string_enum! {
    /// Whether a request may, must or cannot say something.
    pub enum Presence {
        /// A request may say it, within the patterns.
        Allowed = "Allowed",
        /// A request must say it, within the patterns.
        Required = "Required",
        /// The certificate always says what the profile does; what the request says is not looked at.
        Fixed = "Fixed",
    }
}

string_enum! {
    /// What happens to parts of a request that the profile does not speak of.
    pub enum Unlisted {
        /// The request is refused.
        Refuse = "Refuse",
        /// The part is left out of the certificate.
        Drop = "Drop",
    }
}

string_enum! {
    /// Whether something is taken at all.
    pub enum Permission {
        /// It is taken.
        Allowed = "Allowed",
        /// It is refused.
        Refused = "Refused",
    }
}

/// Which keys a request may bring.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyPolicy {
    /// Kinds and sizes of key. Absent: all.
    #[serde(default = "every_key_algorithm")]
    #[schemars(length(min = 1, max = 7))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed: Vec<KeyAlgorithm>,
    /// Whether a key that has a certificate of this profile may get another, as most devices ask for when they renew.
    #[serde(default = "permit")]
    pub reuse: Permission,
}

impl Default for KeyPolicy {
    fn default() -> Self {
        Self { allowed: every_key_algorithm(), reuse: permit() }
    }
}

string_enum! {
    /// Who decides over the usages.
    pub enum UsageMode {
        /// The certificate has all `usages`, whatever the request says.
        Fixed = "Fixed",
        /// The certificate has the usages that the request asks for, each of which must be in `usages`; when it asks for none,
        /// all of `usages`.
        FromRequest = "FromRequest",
    }
}

/// The key usage extension (RFC 5280 §4.2.1.3), always critical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyUsagePolicy {
    /// Who decides.
    #[serde(default = "fixed")]
    pub mode: UsageMode,
    /// The usages. `keyEncipherment` and `dataEncipherment` are left out for keys that cannot encrypt, `keyAgreement` for
    /// those that cannot agree.
    #[schemars(length(min = 1, max = 9))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub usages: Vec<KeyUsage>,
}

string_enum! {
    /// A bit of the key usage extension (RFC 5280 §4.2.1.3).
    pub enum KeyUsage {
        /// Signing anything but certificates and revocation lists.
        DigitalSignature = "digitalSignature",
        /// Signing what the signer is not to deny later (contentCommitment).
        NonRepudiation = "nonRepudiation",
        /// Encrypting keys, as RSA key transport does.
        KeyEncipherment = "keyEncipherment",
        /// Encrypting data directly.
        DataEncipherment = "dataEncipherment",
        /// Agreeing on keys.
        KeyAgreement = "keyAgreement",
        /// Signing certificates.
        KeyCertSign = "keyCertSign",
        /// Signing revocation lists.
        CrlSign = "cRLSign",
        /// With keyAgreement: only to encrypt.
        EncipherOnly = "encipherOnly",
        /// With keyAgreement: only to decrypt.
        DecipherOnly = "decipherOnly",
    }
}

/// The extended key usage extension (RFC 5280 §4.2.1.12).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExtendedKeyUsagePolicy {
    /// Who decides.
    #[serde(default = "fixed")]
    pub mode: UsageMode,
    /// The purposes. An empty list leaves the extension out, which peers take as every purpose.
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub usages: Vec<ExtendedKeyUsagePurpose>,
}

/// Makes a certificate one of an authority (RFC 5280 §4.2.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BasicConstraintsPolicy {
    /// How many intermediates may follow below it, at most.
    #[serde(default)]
    #[schemars(range(min = 0, max = 10))]
    pub path_length: u8,
}

/// How long certificates are valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ValidityPolicy {
    /// When the request does not say, or is not asked.
    #[serde(default = "ninety_days")]
    #[x_kube(validation = longer_than_zero())]
    pub default: Duration,
    /// The longest that a request may ask for; must not be shorter than `default`. Absent: as long as `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = longer_than_zero())]
    pub maximum: Option<Duration>,
    /// Validity begins this long before issue, for devices whose clocks are slow; `0s` is allowed.
    #[serde(default = "five_minutes")]
    pub backdate: Duration,
    /// What is done with a validity that a request asks for, in protocols that can.
    #[serde(default = "honour")]
    pub request: RequestedValidity,
}

impl ValidityPolicy {
    /// The longest validity, with the default filled in.
    pub fn effective_maximum(&self) -> &Duration {
        self.maximum.as_ref().unwrap_or(&self.default)
    }
}

impl Default for ValidityPolicy {
    fn default() -> Self {
        Self { default: ninety_days(), maximum: None, backdate: five_minutes(), request: honour() }
    }
}

string_enum! {
    /// What is done with a validity that a request asks for.
    pub enum RequestedValidity {
        /// It is granted up to `maximum`; a longer one is refused.
        Honour = "Honour",
        /// The default is used.
        Ignore = "Ignore",
    }
}

/// Extensions that a request asks for and that no other member of the policy speaks of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RequestExtensionPolicy {
    /// Extensions that are copied into the certificate as they are, by identifier.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(oid, !oid.startsWith('2.5.29.') && !oid.startsWith('1.3.6.1.5.5.7.1.'))")
            .message("extensions of RFC 5280 cannot be copied: other members of the profile decide over them"),
    )]
    pub copy: Vec<Oid>,
    /// What happens to the others.
    #[serde(default = "drop_it")]
    pub others: Unlisted,
}

impl Default for RequestExtensionPolicy {
    fn default() -> Self {
        Self { copy: Vec::new(), others: drop_it() }
    }
}

fn drop_it() -> Unlisted {
    Unlisted::Drop
}

fn permit() -> Permission {
    Permission::Allowed
}

fn honour() -> RequestedValidity {
    RequestedValidity::Honour
}

fn fixed() -> UsageMode {
    UsageMode::Fixed
}

fn every_key_algorithm() -> Vec<KeyAlgorithm> {
    KeyAlgorithm::ALL.to_vec()
}

fn ninety_days() -> Duration {
    Duration::of(90, Unit::Days)
}

fn five_minutes() -> Duration {
    Duration::of(5, Unit::Minutes)
}

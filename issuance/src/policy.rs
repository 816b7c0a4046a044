//! What a profile allows, compiled: every preset filled in, every default said. Part of the compiled
//! configuration, so the shape changes additively only.

use std::time::Duration;

use const_oid::ObjectIdentifier;
use ipnet::IpNet;
use pki::{algorithm::KeyAlgorithm, extension::KeyUsage, name::AttributeType};
use serde::{Deserialize, Serialize};

use crate::{
    identity::{ParseError, Protocol, ResourceName},
    pattern::Pattern,
};

/// An object identifier, dotted as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Oid(pub ObjectIdentifier);

impl TryFrom<String> for Oid {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        // Not const-oid's own parser, which takes arcs that overflow.
        let parsed = pki::oid::parse(&text);
        parsed.map(Self).map_err(|_| ParseError { text, expected: "a dotted object identifier" })
    }
}

impl From<Oid> for String {
    fn from(oid: Oid) -> String {
        oid.0.to_string()
    }
}

/// A compiled CertificateProfile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    pub name: ResourceName,
    pub issuer: IssuerChoice,
    pub subject: SubjectPolicy,
    pub subject_alt_names: SubjectAltNamesPolicy,
    pub keys: KeysPolicy,
    pub key_usage: KeyUsagePolicy,
    pub extended_key_usage: ExtendedKeyUsagePolicy,
    /// Leaf, or what kind of authority.
    pub basic_constraints: BasicConstraintsPolicy,
    pub validity: ValidityPolicy,
    /// Extensions in a request that no other rule speaks of.
    pub request_extensions: RequestExtensionsPolicy,
    pub approval: Approval,
    /// What is absent is read as every profile was before this could be said.
    #[serde(default, skip_serializing_if = "ProofOfControl::is_not_required")]
    pub proof_of_control: ProofOfControl,
    /// Who may ask over what, and how well they must prove who they are. A protocol that is not listed may not
    /// be used.
    pub protocols: Vec<ProtocolRule>,
    /// RFC 5280 §4.2.1.4.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_policies: Vec<Oid>,
    pub publish: PublishPolicy,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IssuerChoice {
    Authority(ResourceName),
    /// The certificate is signed with its own key, so the server must have made that key.
    SelfSigned,
}

/// Whether a part of the request may be there, must be, or is decided by the profile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    Allowed,
    Required,
    /// Whatever the request says, the certificate holds the profile's values.
    Fixed,
}

/// What becomes of parts of a request that no rule lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Unlisted {
    Refuse,
    /// Left out of the certificate without a word.
    Drop,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectPolicy {
    pub attributes: Vec<AttributeRule>,
    pub others: Unlisted,
    /// Whether the subject may be empty; the subjectAltName is then critical (RFC 5280 §4.2.1.6).
    pub empty: Permission,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Permission {
    Allowed,
    Refused,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttributeRule {
    #[serde(rename = "type")]
    pub kind: AttributeType,
    pub presence: Presence,
    /// The values of a `Fixed` attribute, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// At least one must match; none listed: any value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,
}

/// A kind of name without a rule is refused or dropped as `others` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SubjectAltNamesPolicy {
    /// Most names of all kinds together.
    pub maximum: u16,
    pub others: Unlisted,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<NameRule>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<NameRule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_names: Vec<OtherNameRule>,
    /// Whether a common name that is a DNS name is added to the DNS names, as clients that send no
    /// subjectAltName expect. It is then judged by the same rules.
    pub common_name: CommonNameUse,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommonNameUse {
    CopyToDns,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NameRule {
    pub presence: Presence,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<Pattern>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsRule {
    #[serde(flatten)]
    pub name: NameRule,
    pub wildcards: Permission,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IpRule {
    pub presence: Presence,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<std::net::IpAddr>,
    /// At least one must hold the address; none listed: any address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<IpNet>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OtherNameRule {
    /// For example 1.3.6.1.4.1.311.20.2.3 (user principal name).
    pub type_id: Oid,
    #[serde(flatten)]
    pub name: NameRule,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeysPolicy {
    pub allowed: Vec<KeyAlgorithm>,
    /// Whether a key that already has a certificate of this profile may get another.
    pub reuse: Permission,
}

/// Where usages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum UsageMode {
    /// The profile's list, whatever the request says.
    Fixed,
    /// What the request asks for, which must lie within the profile's list; the list where it asks for nothing.
    FromRequest,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyUsagePolicy {
    pub mode: UsageMode,
    pub usages: KeyUsage,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExtendedKeyUsagePolicy {
    pub mode: UsageMode,
    pub usages: Vec<Oid>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BasicConstraintsPolicy {
    Leaf,
    Authority { path_length: Option<u8> },
}

/// Seconds throughout.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValidityPolicy {
    #[serde(with = "seconds")]
    pub default: Duration,
    #[serde(with = "seconds")]
    pub maximum: Duration,
    /// How far notBefore lies before the moment of issue, for peers whose clocks lag.
    #[serde(with = "seconds")]
    pub backdate: Duration,
    pub request: Request,
}

/// Whether the request's own wish counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    Honour,
    Ignore,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestExtensionsPolicy {
    /// Extensions copied as they are. Never one that another rule governs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<Oid>,
    pub others: Unlisted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approval {
    Automatic,
    Manual,
}

/// Whether control of each DNS name and each address of the certificate must have been proved by whoever asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProofOfControl {
    Required,
    #[default]
    NotRequired,
}

impl ProofOfControl {
    fn is_not_required(&self) -> bool {
        match self {
            Self::NotRequired => true,
            Self::Required => false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProtocolRule {
    pub protocol: Protocol,
    pub minimum_authentication: Strength,
}

/// How well a requester has proved who it is, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Strength {
    /// Nobody in particular; only where a profile says so.
    Anonymous,
    /// A secret that several share, such as a method's passphrase.
    SharedSecret,
    /// A secret of one owner.
    PersonalSecret,
    /// A certificate whose key the requester holds.
    Certificate,
    CertificateAndSecret,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PublishPolicy {
    pub crl_distribution_point: Inclusion,
    pub authority_info_access: Inclusion,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inclusion {
    Include,
    Omit,
}

/// Durations as whole seconds.
mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        Ok(Duration::from_secs(u64::deserialize(deserializer)?))
    }
}

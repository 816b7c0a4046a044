//! The parts of a CertificateProfile's policy: names, keys, usages, validity, extensions.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::KeyAlgorithm,
    duration::{Duration, Unit, longer_than_zero},
    oid::{AttributeType, ExtendedKeyUsagePurpose, Oid},
    string_enum::string_enum,
};

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

/// What a subject may hold. Attributes keep the order of the request; fixed ones that the request does not have come after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectPolicy {
    /// Attributes that the profile speaks of, by type.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub attributes: Vec<SubjectAttribute>,
    /// What happens to attributes of other types.
    #[serde(default = "refuse")]
    pub others: Unlisted,
    /// Whether a certificate may have no subject at all (it must have an alternative name then, RFC 5280 §4.1.2.6).
    #[serde(default = "refused")]
    pub empty: Permission,
}

impl Default for SubjectPolicy {
    fn default() -> Self {
        Self { attributes: Vec::new(), others: refuse(), empty: refused() }
    }
}

/// One attribute type of a subject. With `Allowed` and `Required` every value of the type must fit the patterns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.presence == 'Fixed') == has(self.value)")
        .message("value is needed with presence Fixed, and refused otherwise").field_path(".value"),
    validation = Rule::new("self.presence != 'Fixed' || !has(self.patterns) || size(self.patterns) == 0")
        .message("patterns are refused with presence Fixed").field_path(".patterns"),
)]
pub struct SubjectAttribute {
    /// Type of the attribute.
    #[serde(rename = "type")]
    pub type_: AttributeType,
    /// Whether the request may, must or cannot say it.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// The value that every certificate gets. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub value: Option<String>,
    /// Patterns for the values, for example `[*.acme.com]`. Absent: every value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub patterns: Vec<String>,
    /// How many values of this type a subject may have.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 32))]
    pub maximum: u8,
}

/// What subject alternative names may hold. A form that is absent here is treated as `others` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectAltNamePolicy {
    /// How many names a certificate may have, all forms together.
    #[serde(default = "one_hundred")]
    #[schemars(range(min = 1, max = 1000))]
    pub maximum: u32,
    /// DNS names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<DnsNamePolicy>,
    /// IP addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip: Option<IpAddressPolicy>,
    /// URIs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<NamePolicy>,
    /// E-mail addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<NamePolicy>,
    /// Other names (RFC 5280 §4.2.1.6) whose value is a UTF8String, by type; for example the user principal name,
    /// `1.3.6.1.4.1.311.20.2.3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["typeId".into()]))]
    pub other_name: Vec<OtherNamePolicy>,
    /// What happens to names of a form that is not given here.
    #[serde(default = "refuse")]
    pub others: Unlisted,
    /// Whether a common name that is a DNS name becomes an alternative name too, where the request has not said it; the
    /// rules of `dns` apply to it.
    #[serde(default = "ignore")]
    pub common_name_to_dns: CommonNameToDns,
}

impl Default for SubjectAltNamePolicy {
    fn default() -> Self {
        Self {
            maximum: one_hundred(),
            dns: None,
            ip: None,
            uri: None,
            email: None,
            other_name: Vec::new(),
            others: refuse(),
            common_name_to_dns: ignore(),
        }
    }
}

string_enum! {
    /// What is done with a common name that is a DNS name.
    pub enum CommonNameToDns {
        /// It becomes an alternative name too.
        Copy = "Copy",
        /// Nothing.
        Ignore = "Ignore",
    }
}

/// DNS names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.presence == 'Fixed') == (has(self.values) && size(self.values) > 0)")
        .message("values are needed with presence Fixed, and refused otherwise").field_path(".values"),
    validation = Rule::new("self.presence != 'Fixed' || !has(self.patterns) || size(self.patterns) == 0")
        .message("patterns are refused with presence Fixed").field_path(".patterns"),
)]
pub struct DnsNamePolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the names, for example `[*.devices.acme.com]`. Absent: every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub patterns: Vec<String>,
    /// The names that every certificate gets. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub values: Vec<String>,
    /// Whether a request may ask for a wildcard name such as `*.acme.com`. It must fit a pattern as well: its `*` is taken as
    /// a label of its own, so `*.acme.com` as a pattern takes it.
    #[serde(default = "refused")]
    pub wildcards: Permission,
}

impl Default for DnsNamePolicy {
    fn default() -> Self {
        Self { presence: allowed(), patterns: Vec::new(), values: Vec::new(), wildcards: refused() }
    }
}

/// IP addresses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.presence == 'Fixed') == (has(self.values) && size(self.values) > 0)")
        .message("values are needed with presence Fixed, and refused otherwise").field_path(".values"),
    validation = Rule::new("self.presence != 'Fixed' || !has(self.cidrs) || size(self.cidrs) == 0")
        .message("cidrs are refused with presence Fixed").field_path(".cidrs"),
)]
pub struct IpAddressPolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Ranges that each address must be in, in CIDR notation: `[10.0.0.0/8, 2001:db8::/32]`. Absent: every address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 43), regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    pub cidrs: Vec<String>,
    /// The addresses that every certificate gets. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 45), regex(pattern = "^[0-9A-Fa-f:.]+$")))]
    pub values: Vec<String>,
}

impl Default for IpAddressPolicy {
    fn default() -> Self {
        Self { presence: allowed(), cidrs: Vec::new(), values: Vec::new() }
    }
}

/// Names of one form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("(self.presence == 'Fixed') == (has(self.values) && size(self.values) > 0)")
        .message("values are needed with presence Fixed, and refused otherwise").field_path(".values"),
    validation = Rule::new("self.presence != 'Fixed' || !has(self.patterns) || size(self.patterns) == 0")
        .message("patterns are refused with presence Fixed").field_path(".patterns"),
)]
pub struct NamePolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the names, for example `[spiffe://acme.com/*]` or `[*@acme.com]`. Absent: every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub patterns: Vec<String>,
    /// The names that every certificate gets. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 512)))]
    pub values: Vec<String>,
}

impl Default for NamePolicy {
    fn default() -> Self {
        Self { presence: allowed(), patterns: Vec::new(), values: Vec::new() }
    }
}

/// Other names of one type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.presence != 'Fixed'")
        .message("an other name cannot be fixed: give Allowed or Required").field_path(".presence"),
)]
pub struct OtherNamePolicy {
    /// The type of the name.
    pub type_id: Oid,
    /// Whether the request may or must say it; `Fixed` is refused here.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the value. Absent: every value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub patterns: Vec<String>,
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
    /// Whether a key may be certified again that a valid certificate of this profile already has, as most devices do when
    /// they renew.
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
    /// How many intermediates may follow below it.
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

fn refuse() -> Unlisted {
    Unlisted::Refuse
}

fn drop_it() -> Unlisted {
    Unlisted::Drop
}

fn refused() -> Permission {
    Permission::Refused
}

fn permit() -> Permission {
    Permission::Allowed
}

fn allowed() -> Presence {
    Presence::Allowed
}

fn ignore() -> CommonNameToDns {
    CommonNameToDns::Ignore
}

fn honour() -> RequestedValidity {
    RequestedValidity::Honour
}

fn fixed() -> UsageMode {
    UsageMode::Fixed
}

fn one() -> u8 {
    1
}

fn one_hundred() -> u32 {
    100
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

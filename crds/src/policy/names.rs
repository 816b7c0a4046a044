//! What the subject and the alternative names of a certificate may be.

use kube::{KubeSchema, core::Rule};
use serde::{Deserialize, Serialize};

use super::{Permission, Presence, Unlisted};
use crate::{
    oid::{AttributeType, Oid},
    string_enum::string_enum,
};

/// What a subject may hold. Attributes keep the order of the request; fixed ones come after.
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
    /// Whether a certificate may have no subject at all; it must have an alternative name then (RFC 5280 §4.1.2.6).
    #[serde(default = "refused")]
    pub empty: Permission,
}

impl Default for SubjectPolicy {
    fn default() -> Self {
        Self { attributes: Vec::new(), others: refuse(), empty: refused() }
    }
}

/// One attribute type of a subject. With `Allowed` and `Required` every value of the type must fit the patterns. A subject
/// has a type at most once, except `organization`, `organizationalUnit`, `domainComponent` and `street`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = values_with_fixed_only(), validation = no_patterns_with_fixed())]
pub struct SubjectAttribute {
    /// Type of the attribute.
    #[serde(rename = "type")]
    pub type_: AttributeType,
    /// Whether the request may, must or cannot say it.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the values, for example `["*.acme.com"]`. Absent: every value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN_SYNTAX)))]
    pub patterns: Vec<String>,
    /// The values that every certificate gets, in this order. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub values: Vec<String>,
}

impl SubjectAttribute {
    /// An attribute whose value the request chooses freely.
    pub const fn free(type_: AttributeType, presence: Presence) -> Self {
        Self { type_, presence, patterns: Vec::new(), values: Vec::new() }
    }
}

/// What subject alternative names may hold. A form that is absent here is treated as `others` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SubjectAltNamePolicy {
    /// How many names a certificate may have, all forms together.
    #[serde(default = "one_hundred")]
    #[schemars(range(min = 1, max = 1000))]
    pub maximum: u16,
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
    /// Other names (RFC 5280 §4.2.1.6) by type, for example the user principal name, `1.3.6.1.4.1.311.20.2.3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["typeId".into()]))]
    pub other_name: Vec<OtherNamePolicy>,
    /// What happens to names of a form, or of a type of other name, that is not given here.
    #[serde(default = "refuse")]
    pub others: Unlisted,
    /// Whether a common name that is a DNS name becomes an alternative name too, as clients that send none expect. The
    /// rules of `dns` apply to it, and without `dns` nothing is copied.
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
#[x_kube(validation = values_with_fixed_only(), validation = no_patterns_with_fixed())]
pub struct DnsNamePolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the names, for example `["*.devices.acme.com"]`. Absent: every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN_SYNTAX)))]
    pub patterns: Vec<String>,
    /// The names that every certificate gets. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253)))]
    pub values: Vec<String>,
    /// Whether a request may ask for a wildcard name such as `*.acme.com`. It must fit a pattern as well; the pattern
    /// `*.acme.com` takes it.
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
    validation = values_with_fixed_only(),
    validation = Rule::new("self.presence != 'Fixed' || !has(self.cidrs) || size(self.cidrs) == 0")
        .message("cidrs are refused with presence Fixed").field_path(".cidrs"),
)]
pub struct IpAddressPolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Ranges, one of which each address must be in, in CIDR notation: `[10.0.0.0/8, "2001:db8::/32"]`. Absent: every
    /// address.
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
#[x_kube(validation = values_with_fixed_only(), validation = no_patterns_with_fixed())]
pub struct NamePolicy {
    /// Whether the request may, must or cannot say them.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the names, for example `["spiffe://acme.com/**"]` or `["*@acme.com"]`. Absent: every name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN_SYNTAX)))]
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
#[x_kube(validation = values_with_fixed_only(), validation = no_patterns_with_fixed())]
pub struct OtherNamePolicy {
    /// The type of the name.
    pub type_id: Oid,
    /// Whether the request may, must or cannot say it.
    #[serde(default = "allowed")]
    pub presence: Presence,
    /// Patterns for the value, which must be a UTF8String then. Absent: every value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = PATTERN_SYNTAX)))]
    pub patterns: Vec<String>,
    /// The values that every certificate gets, as UTF8String. Only with `Fixed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 256)))]
    pub values: Vec<String>,
}

/// At most two `*` side by side: the pattern language knows `*` and `**`.
const PATTERN_SYNTAX: &str = r"^\*{0,2}([^*]+\*{0,2})*$";

fn values_with_fixed_only() -> Rule {
    Rule::new("(self.presence == 'Fixed') == (has(self.values) && size(self.values) > 0)")
        .message("values are needed with presence Fixed, and refused otherwise")
        .field_path(".values")
}

fn no_patterns_with_fixed() -> Rule {
    Rule::new("self.presence != 'Fixed' || !has(self.patterns) || size(self.patterns) == 0")
        .message("patterns are refused with presence Fixed")
        .field_path(".patterns")
}

fn refuse() -> Unlisted {
    Unlisted::Refuse
}

fn refused() -> Permission {
    Permission::Refused
}

fn allowed() -> Presence {
    Presence::Allowed
}

fn ignore() -> CommonNameToDns {
    CommonNameToDns::Ignore
}

fn one_hundred() -> u16 {
    100
}

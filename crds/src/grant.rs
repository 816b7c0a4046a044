//! Grants: who outside its own namespace may use an object. Whoever grants carries the grant.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;

/// Namespaces that may use an object, beside its own, which always may. A namespace is granted when it is listed **or** when
/// the selector picks it. Removing an entry stops use at once; certificates already issued stay valid.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NamespaceGrant {
    /// Names of namespaces, for example `[team-a, team-b]`; `"*"` is every namespace. There are no other wildcards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"), length(min = 1, max = 63))
    )]
    pub namespaces: Vec<String>,
    /// Grants every namespace whose labels fit. In standalone mode a namespace has one label, `kubernetes.io/metadata.name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

impl NamespaceGrant {
    /// Whether an object in `own` may be used from `from`, a namespace with these labels.
    pub fn permits(&self, own: &str, from: &str, from_labels: &BTreeMap<String, String>) -> bool {
        own == from
            || self.namespaces.iter().any(|name| name == "*" || name == from)
            || self.selector.as_ref().is_some_and(|selector| selector.matches(from_labels))
    }
}

/// Picks objects by their labels; every requirement must hold. At least one is needed, because an empty selector
/// would pick everything (write `"*"` where that is meant).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)"
).message("a selector needs at least one requirement; write \"*\" under namespaces to grant every namespace"))]
pub struct LabelSelector {
    /// Labels that must be there with exactly these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16))]
    pub match_labels: BTreeMap<String, String>,
    /// Requirements that a single value cannot say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub match_expressions: Vec<LabelRequirement>,
}

impl LabelSelector {
    /// Whether every requirement holds. A selector without requirements matches nothing: the API server refuses one, so
    /// whatever let it through must not be able to grant everything.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let any = !self.match_labels.is_empty() || !self.match_expressions.is_empty();
        any && self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|requirement| requirement.holds(labels))
    }
}

/// One requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "self.operator in ['In', 'NotIn'] ? has(self.values) && size(self.values) > 0 : !has(self.values) || size(self.values) == 0"
).message("values are needed with In and NotIn, and refused with Exists and DoesNotExist").field_path(".values"))]
pub struct LabelRequirement {
    /// Key of the label.
    #[schemars(length(min = 1, max = 317))]
    pub key: String,
    /// How the label is compared.
    pub operator: LabelOperator,
    /// Values to compare with; only with `In` and `NotIn`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 63)))]
    pub values: Vec<String>,
}

impl LabelRequirement {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        let listed = value.is_some_and(|value| self.values.contains(value));
        match self.operator {
            LabelOperator::In => listed,
            LabelOperator::NotIn => !listed,
            LabelOperator::Exists => value.is_some(),
            LabelOperator::DoesNotExist => value.is_none(),
        }
    }
}

string_enum! {
    /// How a label is compared, as in every Kubernetes label selector.
    pub enum LabelOperator {
        /// The label is there with one of the values.
        In = "In",
        /// The label is absent, or has none of the values.
        NotIn = "NotIn",
        /// The label is there.
        Exists = "Exists",
        /// The label is absent.
        DoesNotExist = "DoesNotExist",
    }
}

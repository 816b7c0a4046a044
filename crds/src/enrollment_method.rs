//! EnrollmentMethod: one way to ask for the certificates of one profile. The settings of each protocol have a file of their own.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    acme_method::AcmeMethod,
    common::{Counters, ObjectRef, Protocol},
    conditions::conditions_schema,
    est_method::EstMethod,
    rest_method::RestMethod,
};

/// One way to ask for the certificates of one profile.
///
/// Its label in URLs is `<namespace>.<name>`; an EnrollmentServer can give it a short label too. Its status shows the URLs
/// to hand out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "EnrollmentMethod",
    namespaced,
    category = "chancery",
    shortname = "emethod",
    status = "EnrollmentMethodStatus",
    derive = "PartialEq",
    doc = "One way to ask for the certificates of one profile.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profileRef.name"),
    printcolumn(name = "Label", type_ = "string", json_path = ".status.label"),
    printcolumn(name = "Issued", type_ = "integer", json_path = ".status.counters.issued"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.urls[0].url", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("[has(self.est), has(self.acme), has(self.rest)].exists_one(given, given)")
        .message("give exactly one protocol: est, acme or rest (scep, cmp and waep are not served by this release)"),
)]
pub struct EnrollmentMethodSpec {
    /// The CertificateProfile to issue by. In another namespace it must list this one under `grants.attach`.
    pub profile_ref: ObjectRef,

    /// The EnrollmentServer that answers. Absent: the server of the profile's authority. It must be that server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_ref: Option<ObjectRef>,

    /// Enrollment over Secure Transport, RFC 7030.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub est: Option<EstMethod>,

    /// Automatic Certificate Management Environment, RFC 8555.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acme: Option<AcmeMethod>,

    /// The JSON interface of Chancery for programs and operators, below `/api/v1` of the server. It has no label in its URL: what a
    /// client shows says which method is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rest: Option<RestMethod>,
}

/// The protocol of a method with its settings, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MethodProtocol<'a> {
    Est(&'a EstMethod),
    Acme(&'a AcmeMethod),
    Rest(&'a RestMethod),
}

impl MethodProtocol<'_> {
    /// Which protocol it is.
    pub const fn protocol(self) -> Protocol {
        match self {
            Self::Est(_) => Protocol::Est,
            Self::Acme(_) => Protocol::Acme,
            Self::Rest(_) => Protocol::Rest,
        }
    }
}

impl EnrollmentMethodSpec {
    /// The protocol; `None` unless exactly one is given.
    pub fn protocol(&self) -> Option<MethodProtocol<'_>> {
        match (&self.est, &self.acme, &self.rest) {
            (Some(est), None, None) => Some(MethodProtocol::Est(est)),
            (None, Some(acme), None) => Some(MethodProtocol::Acme(acme)),
            (None, None, Some(rest)) => Some(MethodProtocol::Rest(rest)),
            _ => None,
        }
    }
}

/// What is known about a method.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentMethodStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// URLs to hand out, the shortest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub urls: Vec<MethodUrl>,
    /// Its short label, where the server gives it one; otherwise `<namespace>.<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 317))]
    pub label: Option<String>,
    /// SHA-256 over the certificate of the issuing authority in DER, in hexadecimal: what a person compares by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ca_fingerprint: Option<String>,
    /// How requests ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// The last request of somebody authenticated that was refused or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<MethodFailure>,
}

/// One URL of a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodUrl {
    /// What the URL is for, where a method has several kinds of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub purpose: Option<String>,
    /// The URL.
    #[schemars(length(max = 2048))]
    pub url: String,
}

/// A request that was refused or failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MethodFailure {
    /// When.
    pub time: Time,
    /// Why, in one sentence.
    #[schemars(length(max = 1024))]
    pub reason: String,
}

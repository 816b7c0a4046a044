//! ChanceryIssuer and ChanceryClusterIssuer: the face of a profile for cert-manager.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::{Counters, NamespacedRef, ObjectRef},
    conditions::conditions_schema,
};

/// Lets the Certificates and CertificateRequests of its own namespace be issued by a profile, through cert-manager.
///
/// They name it as `issuerRef: {group: chancery.dev, kind: ChanceryIssuer, name: …}`. It needs a cluster; standalone leaves it alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "ChanceryIssuer",
    namespaced,
    category = "chancery",
    shortname = "cissuer",
    status = "IssuerStatus",
    derive = "PartialEq",
    doc = "Lets the requests of its own namespace be issued by a profile, through cert-manager.",
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
    printcolumn(name = "Issued", type_ = "integer", json_path = ".status.counters.issued"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChanceryIssuerSpec {
    /// The CertificateProfile to issue by. In another namespace it must list this one under `grants.issue`.
    pub profile_ref: ObjectRef,
}

/// Lets the Certificates, CertificateRequests and CertificateSigningRequests of the whole cluster be issued by a profile, as far
/// as the profile lists their namespaces under `grants.issue`.
///
/// They name it as `issuerRef: {group: chancery.dev, kind: ChanceryClusterIssuer, name: …}`, a CertificateSigningRequest as
/// `signerName: chanceryclusterissuers.chancery.dev/<name>`; such a request belongs to no namespace, and is issued only where the profile
/// grants every namespace (`"*"`). It needs a cluster; standalone leaves it alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "ChanceryClusterIssuer",
    category = "chancery",
    shortname = "ccissuer",
    status = "IssuerStatus",
    derive = "PartialEq",
    doc = "Lets the requests of every namespace that the profile grants be issued by it, through cert-manager.",
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
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.profileRef.namespace"),
    printcolumn(name = "Profile", type_ = "string", json_path = ".spec.profileRef.name"),
    printcolumn(name = "Issued", type_ = "integer", json_path = ".status.counters.issued"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChanceryClusterIssuerSpec {
    /// The CertificateProfile to issue by, with its namespace. Which namespaces may ask says its `grants.issue`.
    pub profile_ref: NamespacedRef,
}

/// What is known about an issuer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`. cert-manager's requests wait until it is ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// SHA-256 over the certificate of the issuing authority in DER, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub ca_fingerprint: Option<String>,
    /// How requests ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
}

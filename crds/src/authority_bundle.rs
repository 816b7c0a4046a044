//! What a CertificateAuthority hands out within the cluster: its trust anchor.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{common::Marker, grant::LabelSelector};

/// Where the trust anchor of an authority is handed out: at least one of `configMap` and `clusterTrustBundle`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.configMap) || has(self.clusterTrustBundle)")
    .message("give configMap, clusterTrustBundle or both"))]
pub struct AuthorityBundle {
    /// A ConfigMap in each of these namespaces, with the PEM certificates under `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<BundleConfigMap>,
    /// A ClusterTrustBundle without a signer, named `chancery.<namespace>.<name>` after the authority. It needs an API server
    /// with `certificates.k8s.io/v1beta1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_trust_bundle: Option<Marker>,
}

/// A ConfigMap with a trust anchor. A ConfigMap that something else made is never overwritten.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BundleConfigMap {
    /// Its name. Names that Kubernetes uses itself, `kube-…`, are refused.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    #[x_kube(validation = Rule::new("!self.startsWith('kube-')").message("names that begin with kube- belong to Kubernetes"))]
    pub name: String,
    /// Namespaces that get it besides the authority's own, which always does, for example `[team-a, team-b]`; `"*"` is every
    /// namespace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 256),
        inner(regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$"), length(min = 1, max = 63))
    )]
    pub namespaces: Vec<String>,
    /// Every namespace whose labels fit gets it too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<LabelSelector>,
}

impl BundleConfigMap {
    /// The key of the certificates.
    pub const KEY: &'static str = "ca.crt";

    /// Whether a namespace with these labels gets the ConfigMap of an authority in `own`.
    pub fn reaches(&self, own: &str, namespace: &str, labels: &BTreeMap<String, String>) -> bool {
        own == namespace
            || self.namespaces.iter().any(|name| name == "*" || name == namespace)
            || self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }
}

/// Where the trust anchor of an authority was handed out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BundleStatus {
    /// How many namespaces have the ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<u32>,
    /// The ClusterTrustBundle, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub cluster_trust_bundle: Option<String>,
    /// What stands in the way, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub problem: Option<String>,
}

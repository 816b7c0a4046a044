//! How an EnrollmentServer runs in a cluster: its Service, its pods, who may reach it. Standalone leaves all of this alone, but for
//! `proxyProtocol`.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        core::v1::{Affinity, Toleration, TopologySpreadConstraint},
        networking::v1::NetworkPolicyPeer,
    },
    apimachinery::pkg::api::resource::Quantity,
};
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use crate::string_enum::string_enum;

/// The Service that devices and relying parties reach a server by. It has the name of the server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.externalTrafficPolicy)")
        .message("externalTrafficPolicy needs the type LoadBalancer").field_path(".externalTrafficPolicy"),
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.loadBalancerClass)")
        .message("loadBalancerClass needs the type LoadBalancer").field_path(".loadBalancerClass"),
    validation = Rule::new("self.type == 'LoadBalancer' || !has(self.loadBalancerSourceRanges)")
        .message("loadBalancerSourceRanges needs the type LoadBalancer").field_path(".loadBalancerSourceRanges"),
    validation = Rule::new("self.ports.device != self.ports.public")
        .message("device and public need two different ports").field_path(".ports"),
)]
pub struct ServerService {
    /// How the Service is reached.
    #[serde(rename = "type", default = "cluster_ip")]
    pub type_: ServiceType,
    /// Whether the addresses of clients arrive. Absent: `Local`. Only with `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,
    /// The implementation of load balancers to use. Absent: the cluster's default. Only with `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,
    /// Addresses that may connect, in CIDR notation, where the load balancer supports it. Only with `LoadBalancer`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 43), regex(pattern = CIDR_PATTERN)))]
    pub load_balancer_source_ranges: Vec<String>,
    /// Annotations of the Service, which many load balancers are configured by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub annotations: BTreeMap<String, String>,
    /// The ports of the Service.
    #[serde(default)]
    pub ports: ServicePorts,
}

impl Default for ServerService {
    fn default() -> Self {
        Self {
            type_: cluster_ip(),
            external_traffic_policy: None,
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            annotations: BTreeMap::new(),
            ports: ServicePorts::default(),
        }
    }
}

impl ServerService {
    /// The policy with the default filled in; none: the type has none.
    pub fn effective_external_traffic_policy(&self) -> Option<ExternalTrafficPolicy> {
        match self.type_ {
            ServiceType::ClusterIp => None,
            ServiceType::LoadBalancer => {
                Some(self.external_traffic_policy.unwrap_or(ExternalTrafficPolicy::Local))
            }
        }
    }
}

string_enum! {
    /// How a Service is reached.
    pub enum ServiceType {
        /// From within the cluster; an ingress controller that passes TLS through, or a Gateway's TLSRoute, can lead to it.
        ClusterIp = "ClusterIP",
        /// From outside too, by an address that the cluster gives.
        LoadBalancer = "LoadBalancer",
    }
}

string_enum! {
    /// Whether the addresses of clients arrive through a load balancer.
    pub enum ExternalTrafficPolicy {
        /// Only nodes with a ready replica take connections, and the addresses of clients arrive: limits count by them.
        Local = "Local",
        /// Every node takes connections and passes them on; many clients then seem to come from one address.
        Cluster = "Cluster",
    }
}

/// The ports of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServicePorts {
    /// Where devices enrol, TLS.
    #[serde(default = "https")]
    #[schemars(range(min = 1, max = 65535))]
    pub device: u16,
    /// Revocation lists and authorities' certificates, plain.
    #[serde(default = "http")]
    #[schemars(range(min = 1, max = 65535))]
    pub public: u16,
}

impl Default for ServicePorts {
    fn default() -> Self {
        Self { device: https(), public: http() }
    }
}

/// What the pods of a server get besides what they need.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodTemplate {
    /// Labels of the pods. Those that the operator sets itself stay as they are.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the pods.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub annotations: BTreeMap<String, String>,
    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "texts_schema")]
    pub node_selector: BTreeMap<String, String>,
    /// Taints of nodes that the pods bear.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,
    /// Where the pods are put, as Kubernetes says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// How replicas are spread. Absent: over nodes and zones, as far as possible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub topology_spread_constraints: Option<Vec<TopologySpreadConstraint>>,
    /// The PriorityClass of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub priority_class_name: Option<String>,
}

/// What each pod of a server takes of its node. Absent members are what the operator thinks sensible for a small server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodResources {
    /// What is set aside, for example `{cpu: 100m, memory: 128Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities_schema")]
    pub requests: BTreeMap<String, Quantity>,
    /// The most it may take, for example `{memory: 512Mi}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "quantities_schema")]
    pub limits: BTreeMap<String, Quantity>,
}

/// The NetworkPolicy of a server: who may connect to what. Ready replicas always take the operator's connections.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerNetworkPolicy {
    /// Whether there is one.
    #[serde(default = "enabled")]
    pub state: FeatureState,
    /// Who may enrol and fetch revocation lists. Absent: everyone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub clients: Option<Vec<NetworkPolicyPeer>>,
    /// Who may read metrics. Absent: nobody but the node itself, which asks for the health.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub metrics: Option<Vec<NetworkPolicyPeer>>,
}

impl Default for ServerNetworkPolicy {
    fn default() -> Self {
        Self { state: enabled(), clients: None, metrics: None }
    }
}

/// How many replicas may be taken away at one time on purpose, as when a node is drained. It is for several replicas; a single
/// one is never held in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerDisruptionBudget {
    /// Whether there is a PodDisruptionBudget.
    #[serde(default = "enabled")]
    pub state: FeatureState,
    /// Replicas that may be missing.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 50))]
    pub max_unavailable: u32,
}

impl Default for ServerDisruptionBudget {
    fn default() -> Self {
        Self { state: enabled(), max_unavailable: one() }
    }
}

string_enum! {
    /// Whether something is there.
    pub enum FeatureState {
        /// It is there.
        Enabled = "Enabled",
        /// It is not.
        Disabled = "Disabled",
    }
}

/// The PROXY protocol on the listeners for devices and for the public, by which a load balancer tells the address of a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.mode != 'Required' || (has(self.trusted) && size(self.trusted) > 0)")
        .message("trusted is needed with the mode Required: anybody could claim any address").field_path(".trusted"),
    validation = Rule::new("self.mode != 'Disabled' || !has(self.trusted)")
        .message("trusted is refused with the mode Disabled").field_path(".trusted"),
)]
pub struct ProxyProtocol {
    /// Whether it is spoken.
    #[serde(default = "disabled")]
    pub mode: ProxyProtocolMode,
    /// Addresses of the load balancers, in CIDR notation. Connections from elsewhere are closed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 43), regex(pattern = CIDR_PATTERN)))]
    pub trusted: Vec<String>,
}

impl Default for ProxyProtocol {
    fn default() -> Self {
        Self { mode: disabled(), trusted: Vec::new() }
    }
}

string_enum! {
    /// Whether the PROXY protocol is spoken.
    pub enum ProxyProtocolMode {
        /// Connections begin with TLS or HTTP; the address of the connection is the client's.
        Disabled = "Disabled",
        /// Every connection begins with a header of version 1 or 2, and is closed where there is none.
        Required = "Required",
    }
}

const CIDR_PATTERN: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";

/// Labels, annotations and the like.
fn texts_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": { "type": "string", "maxLength": 8192 },
        "maxProperties": 64,
    })
}

/// Amounts of resources by their names.
fn quantities_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {
            "type": "string",
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$",
            "maxLength": 32,
        },
        "maxProperties": 16,
    })
}

fn cluster_ip() -> ServiceType {
    ServiceType::ClusterIp
}

fn https() -> u16 {
    443
}

fn http() -> u16 {
    80
}

fn enabled() -> FeatureState {
    FeatureState::Enabled
}

fn one() -> u32 {
    1
}

fn disabled() -> ProxyProtocolMode {
    ProxyProtocolMode::Disabled
}

//! EnrollmentServer: one running server.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::{LocalRef, ObjectRef},
    conditions::conditions_schema,
    duration::{Duration, Unit, longer_than_zero},
    server_workload::{
        PodResources, PodTemplate, ProxyProtocol, ServerDisruptionBudget, ServerNetworkPolicy, ServerService,
    },
    storage::{Storage, StorageKind},
    string_enum::string_enum,
};

/// One running enrollment server: its names, its TLS certificate, its labels and its limits.
///
/// It is the only thing of its namespace besides what belongs to it. In standalone mode there is one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "EnrollmentServer",
    namespaced,
    category = "chancery",
    shortname = "eserver",
    status = "EnrollmentServerStatus",
    derive = "PartialEq",
    doc = "One running enrollment server: its names, its TLS certificate, its labels and its limits.",
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
    printcolumn(name = "Replicas", type_ = "integer", json_path = ".status.readyReplicas"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.urls.enrollment"),
    printcolumn(name = "Public-URL", type_ = "string", json_path = ".status.urls.public", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("!has(self.replicas) || self.replicas <= 1 || has(self.storage.postgres)")
        .message("more than one replica needs the storage postgres: one server alone can write a SQLite database")
        .field_path(".replicas"),
)]
pub struct EnrollmentServerSpec {
    /// The `http` URL under which the whole world reaches the public listener, without a slash at the end: for example
    /// `http://pki.acme.com`. It is baked into every certificate, for the revocation list and the authority's certificate
    /// (plain, because fetching them must not need a certificate: RFC 5280 §8). Absent: certificates carry no such URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 8, max = 512),
        regex(pattern = r"^http://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~%-]+)*$")
    )]
    pub public_base_url: Option<String>,

    /// The `https` URL under which devices reach the enrollment listener, without a slash at the end: for example
    /// `https://enroll.acme.com`. It is what the status of each EnrollmentMethod hands out. Absent: standalone uses its
    /// own listen address, a cluster the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 9, max = 512),
        regex(pattern = r"^https://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._~%-]+)*$")
    )]
    pub enrollment_base_url: Option<String>,

    /// The TLS certificate of the enrollment listener.
    pub tls: ServerTls,

    /// The EnrollmentMethod that answers where a URL has no label, such as `/.well-known/est/cacerts`. Absent: none does. One
    /// that speaks ACME is refused: its URLs always have a label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_method_ref: Option<ObjectRef>,

    /// Short labels for methods. They belong to the server, so that nobody can inherit another's URL by taking its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["label".into()]))]
    pub labels: Vec<MethodLabel>,

    /// What a single peer, and all of them together, may take.
    #[serde(default)]
    pub limits: ServerLimits,

    /// How far methods may send the server to validate challenges of ACME.
    #[serde(default)]
    pub validation: ServerValidation,

    /// The audit trail.
    #[serde(default)]
    pub audit: AuditSettings,

    /// Where rows are kept.
    #[serde(default)]
    pub storage: Storage,

    /// How many pods serve. Absent: 1 with SQLite, 2 with PostgreSQL. None of this and the following has a meaning in
    /// standalone mode, but for `proxyProtocol`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub replicas: Option<u32>,

    /// The Service that devices and relying parties reach it by.
    #[serde(default)]
    pub service: ServerService,

    /// What each pod takes of its node.
    #[serde(default)]
    pub resources: PodResources,

    /// What the pods get besides what they need.
    #[serde(default)]
    pub pod_template: PodTemplate,

    /// Who may connect to what.
    #[serde(default)]
    pub network_policy: ServerNetworkPolicy,

    /// How many replicas may be taken away at one time on purpose.
    #[serde(default)]
    pub pod_disruption_budget: ServerDisruptionBudget,

    /// The PROXY protocol, by which a load balancer tells the addresses of clients.
    #[serde(default)]
    pub proxy_protocol: ProxyProtocol,
}

impl EnrollmentServerSpec {
    /// The number of pods, with the default of the storage filled in.
    pub fn effective_replicas(&self) -> u32 {
        self.replicas.unwrap_or_else(|| match self.storage.kind() {
            Some(StorageKind::Postgres(_)) => 2,
            Some(StorageKind::Sqlite(_)) | None => 1,
        })
    }
}

/// The TLS certificate of a server: issued by an authority here, or taken from a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("has(self.authorityRef) != has(self.secretRef)")
        .message("give exactly one of authorityRef and secretRef"),
    validation = Rule::new("!has(self.secretRef) || !has(self.dnsNames)")
        .message("dnsNames is refused with secretRef: the certificate in the Secret has its names").field_path(".dnsNames"),
    validation = Rule::new("!has(self.secretRef) || !has(self.ipAddresses)")
        .message("ipAddresses is refused with secretRef: the certificate in the Secret has its names").field_path(".ipAddresses"),
    validation = Rule::new("!has(self.secretRef) || !has(self.validity)")
        .message("validity is refused with secretRef: the certificate in the Secret has it").field_path(".validity"),
)]
pub struct ServerTls {
    /// The CertificateAuthority that issues the server's certificate; the server makes the key and renews in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_ref: Option<ObjectRef>,
    /// A Secret of type `kubernetes.io/tls` in the same namespace: `tls.crt` holds the certificate and those above it,
    /// `tls.key` the key as PKCS#8 PEM. A new content is taken over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,
    /// DNS names in the certificate, for example `[enroll.acme.com]`. In a cluster those of the Service are added by themselves;
    /// in standalone mode a name or an address is needed, because clients compare the name they called.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 253), regex(pattern = HOST_PATTERN)))]
    pub dns_names: Vec<String>,
    /// IP addresses in the certificate, for example `[127.0.0.1, "::1"]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 45), regex(pattern = "^[0-9A-Fa-f:.]+$")))]
    pub ip_addresses: Vec<String>,
    /// How long the certificate is valid; it is renewed when a third of that is left. Absent: 90d.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = longer_than_zero())]
    pub validity: Option<Duration>,
}

/// Where a server's TLS certificate comes from, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerTlsSource<'a> {
    Authority(&'a ObjectRef),
    Secret(&'a LocalRef),
}

impl ServerTls {
    /// The source; `None` unless exactly one is given.
    pub fn source(&self) -> Option<ServerTlsSource<'_>> {
        match (&self.authority_ref, &self.secret_ref) {
            (Some(authority), None) => Some(ServerTlsSource::Authority(authority)),
            (None, Some(secret)) => Some(ServerTlsSource::Secret(secret)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }

    /// The validity of the certificate to issue, with the default filled in.
    pub fn effective_validity(&self) -> Duration {
        self.validity.clone().unwrap_or_else(|| Duration::of(90, Unit::Days))
    }
}

const HOST_PATTERN: &str =
    r"^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$";

/// A short label for a method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MethodLabel {
    /// The label in URLs: small letters, digits and hyphens. It has no dot, so it never equals the `<namespace>.<name>` of a
    /// method.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub label: String,
    /// The EnrollmentMethod that answers there.
    pub method_ref: ObjectRef,
}

/// What a single peer, and all of them together, may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerLimits {
    /// Bytes of all header fields of a request together.
    #[serde(default = "header_bytes")]
    #[schemars(range(min = 1024, max = 1_048_576))]
    pub header_bytes: u32,
    /// Bytes of a request body.
    #[serde(default = "body_bytes")]
    #[schemars(range(min = 4096, max = 16_777_216))]
    pub body_bytes: u32,
    /// Time for the header fields of a request to arrive.
    #[serde(default = "ten_seconds")]
    #[x_kube(validation = longer_than_zero())]
    pub header_timeout: Duration,
    /// Time for the body of a request to arrive.
    #[serde(default = "thirty_seconds")]
    #[x_kube(validation = longer_than_zero())]
    pub read_timeout: Duration,
    /// Time for the TLS handshake.
    #[serde(default = "ten_seconds")]
    #[x_kube(validation = longer_than_zero())]
    pub handshake_timeout: Duration,
    /// Connections at one time; more wait to be accepted.
    #[serde(default = "connections")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub connections: u32,
    /// Requests that are worked on at one time; more are answered 503.
    #[serde(default = "requests_in_flight")]
    #[schemars(range(min = 1, max = 100_000))]
    pub requests_in_flight: u32,
    /// Failed authentications.
    #[serde(default)]
    pub failed_authentications: FailedAuthenticationLimit,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            header_bytes: header_bytes(),
            body_bytes: body_bytes(),
            header_timeout: ten_seconds(),
            read_timeout: thirty_seconds(),
            handshake_timeout: ten_seconds(),
            connections: connections(),
            requests_in_flight: requests_in_flight(),
            failed_authentications: FailedAuthenticationLimit::default(),
        }
    }
}

/// How many failed authentications one address may have before it is answered 429.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FailedAuthenticationLimit {
    /// Whether it is enforced. Switch it off where address translation or a load balancer shows many devices as one address.
    #[serde(default = "enforced")]
    pub state: LimitState,
    /// Failures of one address (IPv6: one /64) within the window.
    #[serde(default = "thirty")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_address: u32,
    /// The window.
    #[serde(default = "one_minute")]
    #[x_kube(validation = longer_than_zero())]
    pub window: Duration,
}

impl Default for FailedAuthenticationLimit {
    fn default() -> Self {
        Self { state: enforced(), per_address: thirty(), window: one_minute() }
    }
}

string_enum! {
    /// Whether a limit is enforced.
    pub enum LimitState {
        /// It is enforced.
        Enforced = "Enforced",
        /// It is not.
        Disabled = "Disabled",
    }
}

/// How far methods may send the server to validate challenges of ACME. An address is contacted where it is not in
/// `deniedNetworks`, and is public or within `acme.validation.allowedNetworks` of the method. The DNS servers that the machine
/// or the pod asks by itself are not judged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerValidation {
    /// Networks that methods in other namespaces than the server's may list, in CIDR notation, and that the DNS servers which
    /// they name may be in: `[10.244.0.0/16, 10.96.0.0/12]`. Methods in the server's own namespace need no entry. Absent: methods
    /// of others reach public addresses only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 43), regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_networks: Vec<String>,
    /// Networks that no method may have contacted, public ones too, and whatever allows them: for example that of pods whose
    /// addresses are public. An IPv4 address counts in every form, also within one of IPv6.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 43), regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub denied_networks: Vec<String>,
}

/// The audit trail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuditSettings {
    /// Time between signed checkpoints of the trail.
    #[serde(default = "one_hour")]
    #[x_kube(validation = longer_than_zero())]
    pub checkpoint_interval: Duration,
}

impl Default for AuditSettings {
    fn default() -> Self {
        Self { checkpoint_interval: one_hour() }
    }
}

/// What is known about a server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EnrollmentServerStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// Pods that there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<u32>,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<u32>,
    /// Generation of the configuration that every ready replica works with; it counts what the operator wrote, and is none of
    /// an object's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration_generation: Option<u64>,
    /// Where it is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<ServerUrls>,
    /// Addresses and host names that the load balancer gave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 253)))]
    pub addresses: Vec<String>,
}

/// Where a server is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServerUrls {
    /// The beginning of every URL for devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub enrollment: Option<String>,
    /// The beginning of the URLs of revocation lists and authorities' certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub public: Option<String>,
}

fn header_bytes() -> u32 {
    16_384
}

fn body_bytes() -> u32 {
    65_536
}

fn connections() -> u32 {
    4_096
}

fn requests_in_flight() -> u32 {
    1_024
}

fn thirty() -> u32 {
    30
}

fn enforced() -> LimitState {
    LimitState::Enforced
}

fn ten_seconds() -> Duration {
    Duration::of(10, Unit::Seconds)
}

fn thirty_seconds() -> Duration {
    Duration::of(30, Unit::Seconds)
}

fn one_minute() -> Duration {
    Duration::of(1, Unit::Minutes)
}

fn one_hour() -> Duration {
    Duration::of(1, Unit::Hours)
}

//! Settings of REST, the member `rest` of an EnrollmentMethod: who may ask, and what for.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    acme_method::{AcmeCaa, AcmeValidation, ChallengeType},
    common::{KeyAlgorithm, ObjectRef, SecretKeyRef},
    duration::{Duration, Unit, longer_than_zero},
    est_method::{ExpiryNotice, RevocationCheck, RevocationListSource, TrustedAuthority},
    string_enum::string_enum,
};

/// Settings of REST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "self.accessKeys == 'Enabled' || has(self.clientCertificates) || has(self.serviceAccountTokens)"
).message("with accessKeys Disabled give clientCertificates or serviceAccountTokens: nobody could show anything")
    .field_path(".accessKeys"))]
pub struct RestMethod {
    /// Whether access keys open this method, each declared by an EnrollmentCredential or made over the interface itself. A key
    /// is sent as `Authorization: Bearer`.
    #[serde(default = "enabled")]
    pub access_keys: AccessKeys,
    /// Certificates that open this method when they are shown in the TLS handshake. Absent: none is looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<RestClientCertificates>,
    /// Tokens of Kubernetes service accounts that open this method, sent as `Authorization: Bearer`. Absent: none is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_tokens: Option<ServiceAccountTokens>,
    /// Other CertificateProfiles that an order may name as its `product`. An order that names none gets `profileRef`, whose name
    /// is `default`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub products: Vec<RestProduct>,
    /// Keys that the server makes for orders that bring no request. Absent: it makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_keys: Option<RestServerKeys>,
    /// How control of names is proved, for products whose profile has `proofOfControl: Required`; for others nobody is asked. Absent:
    /// no such product is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_validation: Option<RestDomainValidation>,
    /// The methods that are looked after from this one, beside itself: what whoever opens this one may do but order, they may do
    /// there too. Absent: no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administers: Option<RestAdministration>,
    /// How long an order may wait for its request, and for proofs of control, from `1m` to `90d`.
    #[serde(default = "seven_days")]
    #[x_kube(validation = longer_than_zero())]
    pub order_lifetime: Duration,
    /// How many domains one order may name.
    #[serde(default = "one_hundred")]
    #[schemars(range(min = 1, max = 250))]
    pub maximum_domains: u16,
    /// What `Retry-After` tells a client whose order waits for approval.
    #[serde(default = "one_minute")]
    #[x_kube(validation = longer_than_zero())]
    pub pending_retry_after: Duration,
    /// Who is told before certificates issued by this method expire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub notices: Vec<ExpiryNotice>,
}

impl RestMethod {
    /// What the method's own profile is called.
    pub const DEFAULT_PRODUCT: &'static str = "default";
}

string_enum! {
    /// Whether access keys open a method.
    pub enum AccessKeys {
        /// Whoever holds a key of the method may do what the key is for.
        Enabled = "Enabled",
        /// Keys are refused, those that exist included.
        Disabled = "Disabled",
    }
}

string_enum! {
    /// What somebody may do, each time with what belongs to their own method, and but for `request` to those that it administers.
    pub enum RestAction {
        /// Order certificates, renew them, and cancel orders.
        Request = "request",
        /// Read orders and certificates.
        Read = "read",
        /// Revoke certificates, put them on hold and release them.
        Revoke = "revoke",
        /// Read, approve and deny requests that wait for a person.
        Approve = "approve",
        /// Reports, and the audit trail.
        Report = "report",
        /// Make, regenerate and revoke access keys that may do no more than the one who makes them.
        Credentials = "credentials",
    }
}

/// Which certificates open a method, and for what. They are checked for path, validity, usage and revocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestClientCertificates {
    /// The authorities that signed them. A client may send its own certificate alone, if those between it and the root are
    /// here.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub authorities: Vec<TrustedAuthority>,
    /// Revocation lists of these authorities. Each must be complete, and signed by one of the certificates in `authorities`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub crls: Vec<RevocationListSource>,
    /// What is asked of revocation.
    #[serde(default = "if_given")]
    pub revocation: RevocationCheck,
    /// What whoever shows one may do.
    #[serde(default = "request_and_read")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub actions: Vec<RestAction>,
}

/// Which tokens of service accounts open a method.
///
/// A token is good for whoever has it, so it is taken for as much as an access key: `PersonalSecret`. Which keys sign is read from
/// the cluster's API server, or, for another cluster and for standalone, from `issuer` and `jwksFrom`. A token is judged by its
/// signature, issuer, audience and times: one whose pod or account was deleted opens the method until it expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.issuer) == has(self.jwksFrom)")
    .message("give issuer and jwksFrom together, or neither of them: the keys are those of the issuer"))]
pub struct ServiceAccountTokens {
    /// What a token must be for, as a projected volume asks for it (`serviceAccountToken.audience`). It must be a name of this
    /// server's own: a token for the API server would open the API server too, if it were sent here.
    #[schemars(length(min = 1, max = 256), regex(pattern = PRINTABLE))]
    pub audience: String,
    /// What tokens say of who made them (`iss`), octet for octet. Absent: the issuer of the cluster; standalone has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048), regex(pattern = PRINTABLE))]
    pub issuer: Option<String>,
    /// The public keys of `issuer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_from: Option<JwksSource>,
    /// Whose tokens are taken.
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["namespace".into(), "name".into()]))]
    pub accounts: Vec<RestServiceAccount>,
}

/// Where public keys come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JwksSource {
    /// A Secret in the same namespace with a JWK Set (RFC 7517 §5) of public keys, as `/openid/v1/jwks` of an API server
    /// answers it; `key` is `jwks` if absent. A new content is taken over at once.
    pub secret_key_ref: SecretKeyRef,
}

impl JwksSource {
    /// The key of a Secret that holds the keys, where none is named.
    pub const DEFAULT_KEY: &'static str = "jwks";
}

/// A service account whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestServiceAccount {
    /// Namespace of the account.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$"))]
    pub namespace: String,
    /// Name of the account.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"))]
    pub name: String,
    /// What it may do.
    #[serde(default = "request_and_read")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub actions: Vec<RestAction>,
}

/// A CertificateProfile that an order may name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.name != 'default'")
    .message("default is what profileRef of the method is called").field_path(".name"))]
pub struct RestProduct {
    /// What orders call it.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// What it is for, for people. Absent: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,
    /// The CertificateProfile, whose authority must belong to the same server. In another namespace it must list this one under
    /// `grants.attach`. One that signs itself needs `serverKeys`.
    pub profile_ref: ObjectRef,
}

/// Keys that the server makes. Each is kept encrypted until whoever ordered has fetched it, once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestServerKeys {
    /// Kind and size of the keys. `profileRef` or one of `products` must allow it; a product that does not is ordered with a
    /// request only.
    #[serde(default = "ecdsa_p256")]
    pub algorithm: KeyAlgorithm,
}

/// How whoever orders proves to control the names of the order: by the challenges of ACME, which are shown with the order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestDomainValidation {
    /// By what control may be proved. Wildcard names need `dns-01`, IP addresses one of the others.
    #[serde(default = "http_and_dns")]
    #[schemars(length(min = 1, max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub challenges: Vec<ChallengeType>,
    /// How challenges are validated, and which addresses may be contacted for that.
    #[serde(default)]
    pub validation: AcmeValidation,
    /// Has CAA records (RFC 8659, RFC 8657) looked up when a challenge is validated, and again before anything is issued that was
    /// proved more than eight hours before. Absent: they are not looked at, as is usual for names that only exist inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<AcmeCaa>,
    /// How long after it was given a proof of control counts, from `1m` to `90d`. It counts for its own order only.
    #[serde(default = "thirty_days")]
    #[x_kube(validation = longer_than_zero())]
    pub authorization_lifetime: Duration,
}

/// Methods that are looked after from another one: their certificates, requests, credentials, reports and audit trail. Nothing is
/// ordered there from here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestAdministration {
    /// Names of EnrollmentMethods in the namespace of this one, of whatever protocol. They need not be there: what a method issued
    /// before it was deleted is looked after by its name. `*`, alone, is every method of the namespace, with those that were
    /// deleted, and its ChanceryIssuers.
    #[schemars(
        length(min = 1, max = 64),
        inner(length(min = 1, max = 253), regex(pattern = r"^(\*|[a-z0-9]([-a-z0-9.]*[a-z0-9])?)$"))
    )]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.size() == 1 || self.all(name, name != '*')").message("* is every method: give it alone")
    )]
    pub methods: Vec<String>,
}

impl RestAdministration {
    /// Every method of the namespace.
    pub const ALL: &'static str = "*";
}

/// What an EnrollmentCredential says about an access key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestCredential {
    /// What whoever holds the key may do.
    #[serde(default = "request_and_read")]
    #[schemars(length(min = 1, max = 6))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub actions: Vec<RestAction>,
}

impl Default for RestCredential {
    fn default() -> Self {
        Self { actions: request_and_read() }
    }
}

/// No spaces, which tokens and headers do not carry.
const PRINTABLE: &str = "^[!-~]+$";

fn enabled() -> AccessKeys {
    AccessKeys::Enabled
}

fn request_and_read() -> Vec<RestAction> {
    vec![RestAction::Request, RestAction::Read]
}

fn if_given() -> RevocationCheck {
    RevocationCheck::IfGiven
}

fn ecdsa_p256() -> KeyAlgorithm {
    KeyAlgorithm::EcdsaP256
}

fn http_and_dns() -> Vec<ChallengeType> {
    vec![ChallengeType::Http01, ChallengeType::Dns01]
}

fn thirty_days() -> Duration {
    Duration::of(30, Unit::Days)
}

fn seven_days() -> Duration {
    Duration::of(7, Unit::Days)
}

fn one_hundred() -> u16 {
    100
}

fn one_minute() -> Duration {
    Duration::of(1, Unit::Minutes)
}

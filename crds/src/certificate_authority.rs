//! CertificateAuthority: a key that signs, and what it publishes.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    authority_bundle::{AuthorityBundle, BundleStatus},
    common::{Counters, DistinguishedName, KeyAlgorithm, LocalRef, Marker, ObjectRef},
    conditions::conditions_schema,
    duration::{Duration, Unit, longer_than_zero},
    grant::NamespaceGrant,
    string_enum::string_enum,
};

/// A key that signs certificates, and what it publishes: its certificate, its chain and its revocation list.
///
/// It is a root that signs itself, an intermediate of another authority, or one imported from a Secret: exactly one of
/// `selfSigned`, `intermediate` and `imported`. What identifies it (server, source, key algorithm, subject) cannot change: make a
/// new authority instead.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "CertificateAuthority",
    plural = "certificateauthorities",
    namespaced,
    category = "chancery",
    shortname = "cauth",
    status = "CertificateAuthorityStatus",
    derive = "PartialEq",
    doc = "A key that signs certificates, and what it publishes.",
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
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.subject"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".status.notAfter"),
    printcolumn(name = "Key", type_ = "string", json_path = ".status.keyId", priority = 1),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("[has(self.selfSigned), has(self.intermediate), has(self.imported)].exists_one(given, given)")
        .message("give exactly one of selfSigned, intermediate and imported"),
    validation = Rule::new(
        "has(self.selfSigned) == has(oldSelf.selfSigned) && has(self.intermediate) == has(oldSelf.intermediate) \
         && has(self.imported) == has(oldSelf.imported)"
    ).message("the source of an authority cannot change: make a new authority"),
    validation = Rule::new("!has(oldSelf.serverRef) || has(self.serverRef)")
        .message("serverRef cannot be removed: an authority belongs to one server for ever").field_path(".serverRef"),
    validation = Rule::new("has(self.imported) || has(self.subject)")
        .message("subject is needed, except with imported").field_path(".subject"),
    validation = Rule::new("!has(self.imported) || !has(self.subject)")
        .message("subject is refused with imported: the certificate in the Secret has it").field_path(".subject"),
    validation = Rule::new("!has(self.imported) || !has(self.key)")
        .message("key is refused with imported: the Secret has it").field_path(".key"),
    validation = Rule::new("!has(self.imported) || !has(self.validity)")
        .message("validity is refused with imported: the certificate in the Secret has it").field_path(".validity"),
    validation = Rule::new("!has(self.imported) || !has(self.pathLength)")
        .message("pathLength is refused with imported: the certificate in the Secret has it").field_path(".pathLength"),
    validation = Rule::new("!has(self.imported) || !has(self.nameConstraints)")
        .message("nameConstraints is refused with imported: the certificate in the Secret has them")
        .field_path(".nameConstraints"),
    validation = Rule::new(
        "(has(self.key) ? self.key.algorithm : 'ECDSA-P256') == (has(oldSelf.key) ? oldSelf.key.algorithm : 'ECDSA-P256')"
    ).message("the key algorithm cannot change: make a new authority").field_path(".key"),
    validation = Rule::new("has(self.subject) == has(oldSelf.subject)")
        .message("the subject of an authority cannot change: make a new authority").field_path(".subject"),
)]
pub struct CertificateAuthoritySpec {
    /// The EnrollmentServer this authority belongs to, for ever. Absent: the only server of its namespace, or else the only one
    /// there is. Can be added later, and neither changed nor removed after that: two servers for one authority would mean two revocation lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("serverRef cannot change: an authority belongs to one server for ever"))]
    pub server_ref: Option<ObjectRef>,

    /// A root: the authority signs its own certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub self_signed: Option<Marker>,

    /// An intermediate: another authority signs its certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the source of an authority cannot change: make a new authority"))]
    pub intermediate: Option<IntermediateSource>,

    /// An authority that exists already: its key and certificate come from a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the source of an authority cannot change: make a new authority"))]
    pub imported: Option<ImportedSource>,

    /// The key to make. Absent: ECDSA on P-256. Refused with `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<AuthorityKey>,

    /// The name of the authority, for example `{organization: [Acme], commonName: Acme Device Root 2026}`. Needed, except
    /// with `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self == oldSelf").message("the subject of an authority cannot change: make a new authority"))]
    pub subject: Option<DistinguishedName>,

    /// How long its certificate is valid. Absent: 10y for a root, 5y for an intermediate. An intermediate never outlives
    /// its parent. A change takes effect when the certificate is next made. Refused with `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = longer_than_zero())]
    pub validity: Option<Duration>,

    /// How many intermediates may follow below it in a chain (RFC 5280 §4.2.1.9): with 0 it signs end entities only.
    /// Absent: no limit of its own. A change takes effect when the certificate is next made. Refused with `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10))]
    pub path_length: Option<u8>,

    /// Names that certificates below it may carry (RFC 5280 §4.2.1.10), written into its certificate, where every peer checks
    /// them. A change takes effect when the certificate is next made. Refused with `imported`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_constraints: Option<NameConstraints>,

    /// Its revocation list: signed by the authority itself and replaced before it ends.
    #[serde(default)]
    pub crl: CrlSettings,

    /// The authority that will take over. EST hands its chain out beside this one's (`cacerts`), so that peers trust it before
    /// it signs. It belongs to the same server; in another namespace it must list this one under `allowedNamespaces`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor_ref: Option<ObjectRef>,

    /// Hands its trust anchor out within the cluster: the root above it, and during a change-over that of `successorRef` too.
    /// Standalone leaves this alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<AuthorityBundle>,

    /// What happens to its key when this object is deleted.
    #[serde(default = "retain")]
    pub deletion_policy: DeletionPolicy,

    /// Namespaces, listed or picked by a selector, whose CertificateProfiles, CertificateAuthorities and EnrollmentMethods may
    /// name this authority. Absent: its own namespace only. Removing one stops its use at once; certificates already issued
    /// stay valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_namespaces: Option<NamespaceGrant>,
}

/// Where an authority's certificate comes from, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthoritySource<'a> {
    SelfSigned,
    Intermediate(&'a IntermediateSource),
    Imported(&'a ImportedSource),
}

impl CertificateAuthoritySpec {
    /// The source; `None` unless exactly one is given.
    pub fn source(&self) -> Option<AuthoritySource<'_>> {
        match (&self.self_signed, &self.intermediate, &self.imported) {
            (Some(Marker {}), None, None) => Some(AuthoritySource::SelfSigned),
            (None, Some(source), None) => Some(AuthoritySource::Intermediate(source)),
            (None, None, Some(source)) => Some(AuthoritySource::Imported(source)),
            _ => None,
        }
    }

    /// The algorithm of the key to make, with the default filled in.
    pub fn key_algorithm(&self) -> AuthorityKeyAlgorithm {
        self.key.as_ref().map_or(AuthorityKeyAlgorithm::EcdsaP256, |key| key.algorithm)
    }

    /// The validity of the certificate to make, with the default of the source filled in.
    pub fn effective_validity(&self) -> Duration {
        let years = if self.self_signed.is_some() { 10 } else { 5 };
        self.validity.clone().unwrap_or_else(|| Duration::of(years, Unit::Years))
    }
}

/// An authority signed by another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IntermediateSource {
    /// The CertificateAuthority that signs. In another namespace it must list this one under `allowedNamespaces`.
    pub parent_ref: ObjectRef,
}

/// An authority that exists already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ImportedSource {
    /// A Secret of type `kubernetes.io/tls` in the same namespace: `tls.crt` holds the authority's certificate and, after it,
    /// those above it; `tls.key` its key as PKCS#8 PEM; `ca.crt`, optional, the root. In standalone mode a Secret is a file
    /// beside the other resources.
    pub secret_ref: LocalRef,
}

/// The key of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AuthorityKey {
    /// Kind and size of the key. It cannot change.
    #[serde(default = "ecdsa_p256")]
    pub algorithm: AuthorityKeyAlgorithm,
}

string_enum! {
    /// A kind of key that an authority can have.
    pub enum AuthorityKeyAlgorithm {
        /// ECDSA on NIST P-256, signatures with SHA-256.
        EcdsaP256 = "ECDSA-P256",
        /// ECDSA on NIST P-384, signatures with SHA-384.
        EcdsaP384 = "ECDSA-P384",
        /// RSA with 2048 bits, signatures by PKCS#1 v1.5 with SHA-256.
        Rsa2048 = "RSA-2048",
        /// RSA with 3072 bits, signatures by PKCS#1 v1.5 with SHA-256.
        Rsa3072 = "RSA-3072",
        /// RSA with 4096 bits, signatures by PKCS#1 v1.5 with SHA-256.
        Rsa4096 = "RSA-4096",
        /// Ed25519 (RFC 8410). Many devices cannot check it yet.
        Ed25519 = "Ed25519",
    }
}

impl From<AuthorityKeyAlgorithm> for KeyAlgorithm {
    fn from(algorithm: AuthorityKeyAlgorithm) -> Self {
        match algorithm {
            AuthorityKeyAlgorithm::EcdsaP256 => Self::EcdsaP256,
            AuthorityKeyAlgorithm::EcdsaP384 => Self::EcdsaP384,
            AuthorityKeyAlgorithm::Rsa2048 => Self::Rsa2048,
            AuthorityKeyAlgorithm::Rsa3072 => Self::Rsa3072,
            AuthorityKeyAlgorithm::Rsa4096 => Self::Rsa4096,
            AuthorityKeyAlgorithm::Ed25519 => Self::Ed25519,
        }
    }
}

string_enum! {
    /// What happens to the key of an authority when its object is deleted.
    pub enum DeletionPolicy {
        /// The key stays, so that an authority deleted by mistake can be made again with the same key.
        Retain = "Retain",
        /// The key is destroyed. What it signed stays valid until it expires, and can no longer be revoked.
        Delete = "Delete",
    }
}

/// Names that certificates below an authority may carry (RFC 5280 §4.2.1.10). The extension is critical.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.permitted) || has(self.excluded)").message("give permitted, excluded or both"))]
pub struct NameConstraints {
    /// A name of a form listed here must lie within one of the entries of that form; forms without an entry are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permitted: Option<NameSubtrees>,
    /// A name that lies within one of the entries is refused, also where `permitted` allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<NameSubtrees>,
}

/// Subtrees of names, by form. At least one entry is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "(has(self.dns) && size(self.dns) > 0) || (has(self.ip) && size(self.ip) > 0) \
     || (has(self.email) && size(self.email) > 0) || (has(self.uri) && size(self.uri) > 0)"
).message("give at least one entry of dns, ip, email or uri"))]
pub struct NameSubtrees {
    /// DNS domains: `example.com` is that name and every name below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = DOMAIN_PATTERN)))]
    pub dns: Vec<String>,
    /// Address ranges in CIDR notation: `10.0.0.0/8`, `2001:db8::/32`; one address is `192.0.2.7/32`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 43), regex(pattern = CIDR_PATTERN)))]
    pub ip: Vec<String>,
    /// Mailboxes: `a@example.com` is one mailbox, `example.com` every mailbox at that host, `.example.com` every mailbox at
    /// hosts below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 254), regex(pattern = r"^([^@\s]+@)?\.?[A-Za-z0-9][A-Za-z0-9.-]*$"))
    )]
    pub email: Vec<String>,
    /// Hosts of URIs: `example.com` is that host, `.example.com` every host below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 254), regex(pattern = r"^\.?[A-Za-z0-9][A-Za-z0-9.-]*$"))
    )]
    pub uri: Vec<String>,
}

const DOMAIN_PATTERN: &str =
    r"^[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$";
const CIDR_PATTERN: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";

/// The revocation list of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrlSettings {
    /// Time from `thisUpdate` to `nextUpdate`: how long a peer may work with a list it has.
    #[serde(default = "seven_days")]
    #[x_kube(validation = longer_than_zero())]
    pub validity: Duration,
    /// A new list is made this long before the current one ends, and whenever a certificate is revoked. It must be
    /// shorter than `validity`; the condition `Accepted` says when it is not.
    #[serde(default = "two_days")]
    #[x_kube(validation = longer_than_zero())]
    pub renew_before: Duration,
}

impl Default for CrlSettings {
    fn default() -> Self {
        Self { validity: seven_days(), renew_before: two_days() }
    }
}

/// What is known about an authority.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateAuthorityStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted`, `ResolvedRefs`, `Issued`, `Programmed` and `Ready`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// The authority's subject key identifier in hexadecimal; part of its URLs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub key_id: Option<String>,
    /// SHA-256 over its certificate in DER, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub fingerprint: Option<String>,
    /// Its name as text, RFC 4514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub subject: Option<String>,
    /// The serial number of its certificate in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub serial_number: Option<String>,
    /// Begin of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Time>,
    /// End of validity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after: Option<Time>,
    /// Its certificate, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub certificate: Option<String>,
    /// Its certificate and those above it, without the root unless it is the root, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 262144))]
    pub chain: Option<String>,
    /// Its current revocation list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<CrlStatus>,
    /// Where it publishes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<AuthorityUrls>,
    /// How requests for its certificates ended, of all profiles together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// Where its trust anchor was handed out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<BundleStatus>,
}

/// The current revocation list of an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CrlStatus {
    /// CRL number (RFC 5280 §5.2.3).
    pub number: i64,
    /// When it was made.
    pub this_update: Time,
    /// When the next one is due at the latest.
    pub next_update: Time,
}

/// Where an authority publishes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityUrls {
    /// Its revocation list, DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub crl: Option<String>,
    /// Its certificate, DER: the `caIssuers` of what it signs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub ca_issuers: Option<String>,
}

fn retain() -> DeletionPolicy {
    DeletionPolicy::Retain
}

fn ecdsa_p256() -> AuthorityKeyAlgorithm {
    AuthorityKeyAlgorithm::EcdsaP256
}

fn seven_days() -> Duration {
    Duration::of(7, Unit::Days)
}

fn two_days() -> Duration {
    Duration::of(2, Unit::Days)
}

//! Settings of ACME (RFC 8555), the member `acme` of an EnrollmentMethod.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::ObjectRef,
    duration::{Duration, Unit, longer_than_zero},
    string_enum::string_enum,
};

/// Settings of ACME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("size(self.challenges) > 0 || self.preAuthorizedNames == 'Enabled'")
        .message("give at least one challenge, or set preAuthorizedNames to Enabled: nobody could show anything")
        .field_path(".challenges"),
    validation = Rule::new("self.preAuthorizedNames == 'Disabled' || self.externalAccountBinding != 'Disabled'")
        .message("preAuthorizedNames needs an external account binding: the names are those of its key")
        .field_path(".preAuthorizedNames"),
)]
pub struct AcmeMethod {
    /// Whether a new account must be bound to a key that an EnrollmentCredential declares (RFC 8555 §7.3.4). An account
    /// without one is nobody in particular: the profile must have `minimumAuthentication: Anonymous` for `acme` then.
    #[serde(default = "required")]
    pub external_account_binding: ExternalAccountBinding,
    /// What becomes of accounts when the key that they are bound to is revoked, regenerated or deleted. Its expiry and the end
    /// of its uses only keep it from binding more of them.
    #[serde(default = "stop")]
    pub on_credential_revoked: OnCredentialRevoked,
    /// By what a client may show that it controls a name. Wildcard names need `dns-01`, IP addresses one of the others. May
    /// be empty with `preAuthorizedNames: Enabled`: then every name must be within the restriction of a key.
    #[serde(default = "every_challenge")]
    #[schemars(length(max = 3))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub challenges: Vec<ChallengeType>,
    /// Whether names that the account's key is restricted to (`acme.identifiers` of its EnrollmentCredential) need no
    /// challenge: whoever declared the key has vouched for them. A key without such a restriction vouches for none, nor does
    /// one that was made over REST.
    #[serde(default = "no_names")]
    pub pre_authorized_names: PreAuthorizedNames,
    /// How challenges are validated, and which addresses may be contacted for that.
    #[serde(default)]
    pub validation: AcmeValidation,
    /// Other CertificateProfiles that an order may choose by name (the ACME profiles extension). An order that chooses none
    /// gets `profileRef`, which is shown as `default`, unless it is listed here under a name of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub profiles: Vec<AcmeProfile>,
    /// Has CAA records (RFC 8659, RFC 8657) looked up before anything is issued for a DNS name. Absent: they are not looked at,
    /// as is usual for names that only exist inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caa: Option<AcmeCaa>,
    /// How long an order may take until it is finalized, from `1m` to `90d`.
    #[serde(default = "seven_days")]
    #[x_kube(validation = longer_than_zero())]
    pub order_lifetime: Duration,
    /// How long after it was given a proof of control counts, from `1m` to `90d`. It counts for its own order only, so that more
    /// than `orderLifetime` makes no difference but where orders wait for approval.
    #[serde(default = "thirty_days")]
    #[x_kube(validation = longer_than_zero())]
    pub authorization_lifetime: Duration,
    /// How many names one order may have.
    #[serde(default = "one_hundred")]
    #[schemars(range(min = 1, max = 250))]
    pub maximum_identifiers: u16,
    /// What `Retry-After` tells a client whose order waits for approval.
    #[serde(default = "one_minute")]
    #[x_kube(validation = longer_than_zero())]
    pub pending_retry_after: Duration,
    /// When clients are told to renew (ARI, RFC 9773).
    #[serde(default)]
    pub renewal: AcmeRenewal,
    /// What the directory says about this method (RFC 8555 §9.7.6).
    #[serde(default)]
    pub meta: AcmeMeta,
}

impl AcmeMethod {
    /// What the method's own profile is called where others are listed beside it.
    pub const DEFAULT_PROFILE: &'static str = "default";
}

string_enum! {
    /// Whether a new account must be bound to a key that an EnrollmentCredential declares.
    pub enum ExternalAccountBinding {
        /// An account without a binding is refused.
        Required = "Required",
        /// An account may be bound. Where no profile of the method takes `Anonymous`, this is the same as `Required`.
        Optional = "Optional",
        /// A binding is refused. Every profile of the method must take `Anonymous`.
        Disabled = "Disabled",
    }
}

string_enum! {
    /// What becomes of accounts when the key that they are bound to is revoked, regenerated or deleted.
    pub enum OnCredentialRevoked {
        /// They get nothing any more.
        Stop = "Stop",
        /// They go on; nobody can be bound to the old key any more.
        Keep = "Keep",
    }
}

string_enum! {
    /// By what a client shows that it controls a name.
    pub enum ChallengeType {
        /// A file that an HTTP server on the name or address hands out (RFC 8555 §8.3). No wildcard names.
        Http01 = "http-01",
        /// A TXT record below the name (RFC 8555 §8.4). No IP addresses.
        Dns01 = "dns-01",
        /// A certificate that a TLS server on the name or address shows for the protocol `acme-tls/1` (RFC 8737). No wildcard
        /// names.
        TlsAlpn01 = "tls-alpn-01",
    }
}

string_enum! {
    /// Whether names that the account's key is restricted to need no challenge.
    pub enum PreAuthorizedNames {
        /// The restriction of the account's key is proof enough of the names within it.
        Enabled = "Enabled",
        /// Every name needs a challenge.
        Disabled = "Disabled",
    }
}

/// How challenges are validated. Only public addresses are contacted, unless `allowedNetworks` names others: whoever may order
/// could make the server send requests into networks that they do not reach themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcmeValidation {
    /// The port for `http-01`. Anything but 80 is for tests and closed networks: RFC 8555 §8.3 names the port.
    #[serde(default = "http_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: u16,
    /// The port for `tls-alpn-01`. Anything but 443 is for tests and closed networks: RFC 8737 §3 names the port.
    #[serde(default = "tls_alpn_port")]
    #[schemars(range(min = 1, max = 65535))]
    pub tls_alpn_port: u16,
    /// DNS servers to ask, each an address with or without a port: `[10.0.0.53, "10.0.0.54:5353", "[2001:db8::53]:53"]`.
    /// Absent: those that the machine or the pod asks. They may have any address that `validation.deniedNetworks` of the
    /// EnrollmentServer does not hold; where that is in another namespace, a public one or one within its
    /// `validation.allowedNetworks`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8), inner(length(min = 2, max = 53), regex(pattern = r"^[0-9A-Fa-f:.\[\]]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub resolvers: Vec<String>,
    /// Networks beside the public ones whose addresses may be contacted, in CIDR notation, for example the pod and service
    /// networks of a cluster: `[10.244.0.0/16, 10.96.0.0/12]`. Where the EnrollmentServer is in another namespace, each must be
    /// within its `validation.allowedNetworks`; and none within its `validation.deniedNetworks`, which is never contacted. With `127.0.0.0/8`, `::1/128` or link-local networks here whoever
    /// may order can reach the server's own machine.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 43), regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub allowed_networks: Vec<String>,
    /// How often a challenge is tried before it has failed.
    #[serde(default = "three")]
    #[schemars(range(min = 1, max = 10))]
    pub attempts: u8,
    /// How long one attempt may take, from `1s` to `1m`.
    #[serde(default = "ten_seconds")]
    #[x_kube(validation = longer_than_zero())]
    pub timeout: Duration,
}

impl Default for AcmeValidation {
    fn default() -> Self {
        Self {
            http_port: http_port(),
            tls_alpn_port: tls_alpn_port(),
            resolvers: Vec::new(),
            allowed_networks: Vec::new(),
            attempts: three(),
            timeout: ten_seconds(),
        }
    }
}

/// A CertificateProfile that an order may choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.name != 'default'")
    .message("default is what profileRef of the method is called").field_path(".name"))]
pub struct AcmeProfile {
    /// What orders call it.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$"))]
    pub name: String,
    /// What the directory says about it: a sentence, or a URL with more. Absent: its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub description: Option<String>,
    /// The CertificateProfile, whose authority must belong to the same server. In another namespace it must list this one under
    /// `grants.attach`.
    pub profile_ref: ObjectRef,
}

/// CAA records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcmeCaa {
    /// The names by which CAA records permit this method, for example `[ca.acme.com]`. A name without CAA records is permitted.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253), regex(pattern = HOST_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub issuer_domain_names: Vec<String>,
}

/// When clients are told to renew, in hundredths of the lifetime of a certificate, so that it fits every lifetime. One that is
/// revoked, or whose authority hands over to its successor, is to be renewed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("self.windowStart < self.windowEnd")
    .message("windowEnd must be greater than windowStart").field_path(".windowEnd"))]
pub struct AcmeRenewal {
    /// How much of the lifetime has passed when the window opens.
    #[serde(default = "window_start")]
    #[schemars(range(min = 1, max = 98))]
    pub window_start: u8,
    /// How much of the lifetime has passed when the window closes. Each client picks a moment in it.
    #[serde(default = "window_end")]
    #[schemars(range(min = 2, max = 99))]
    pub window_end: u8,
    /// How long clients wait before they ask again, from `1m` to `7d`.
    #[serde(default = "six_hours")]
    #[x_kube(validation = longer_than_zero())]
    pub poll_interval: Duration,
}

impl Default for AcmeRenewal {
    fn default() -> Self {
        Self { window_start: window_start(), window_end: window_end(), poll_interval: six_hours() }
    }
}

/// What the directory says about a method.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AcmeMeta {
    /// The URL of the terms of service. With it, a new account must say that it agrees to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = URL_PATTERN))]
    pub terms_of_service: Option<String>,
    /// The URL of a page for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 2048), regex(pattern = URL_PATTERN))]
    pub website: Option<String>,
    /// The names that CAA records may permit this method by. Absent: `caa.issuerDomainNames`, where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(min = 1, max = 253), regex(pattern = HOST_PATTERN)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub caa_identities: Vec<String>,
}

/// What an EnrollmentCredential says about an account key of ACME.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "has(self.kid) == has(oldSelf.kid) && (!has(self.kid) || self.kid == oldSelf.kid)"
).message("kid cannot change: make a new credential").field_path(".kid"))]
pub struct AcmeCredential {
    /// The key identifier that clients give with the key (RFC 8555 §7.3.4); one credential of a method has it. Absent:
    /// `<namespace>.<name>` of this object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 317), regex(pattern = KID_PATTERN))]
    pub kid: Option<String>,
    /// The names that accounts bound to this key may order. Absent: every name that the profile allows. Where the method has
    /// `preAuthorizedNames: Enabled`, these need no challenge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<AcmeIdentifiers>,
}

/// Names that an account may order. A kind of name that is not given is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("(has(self.dns) && size(self.dns) > 0) || (has(self.ip) && size(self.ip) > 0)")
    .message("give at least one of dns and ip"))]
pub struct AcmeIdentifiers {
    /// Patterns for DNS names, as in a CertificateProfile: `[shop.acme.com, "*.devices.acme.com"]`. The pattern
    /// `*.devices.acme.com` takes the wildcard name `*.devices.acme.com` too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 253), regex(pattern = DNS_PATTERN_SYNTAX)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub dns: Vec<String>,
    /// Ranges that IP addresses must be in, in CIDR notation: `[10.1.0.0/16]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 43), regex(pattern = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub ip: Vec<String>,
}

/// Printable, and nothing that a shell, a configuration file or JSON would need to quote.
const KID_PATTERN: &str = "^[A-Za-z0-9][A-Za-z0-9._~@+=:/-]*$";

/// At most two `*` side by side, and what DNS names are made of.
const DNS_PATTERN_SYNTAX: &str = r"^\*{0,2}([A-Za-z0-9._-]+\*{0,2})*$";

const HOST_PATTERN: &str = "^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$";

const URL_PATTERN: &str = "^https?://[!#-;=?-Z_a-z~]+$";

fn required() -> ExternalAccountBinding {
    ExternalAccountBinding::Required
}

fn stop() -> OnCredentialRevoked {
    OnCredentialRevoked::Stop
}

fn every_challenge() -> Vec<ChallengeType> {
    ChallengeType::ALL.to_vec()
}

fn no_names() -> PreAuthorizedNames {
    PreAuthorizedNames::Disabled
}

fn seven_days() -> Duration {
    Duration::of(7, Unit::Days)
}

fn thirty_days() -> Duration {
    Duration::of(30, Unit::Days)
}

fn one_hundred() -> u16 {
    100
}

fn one_minute() -> Duration {
    Duration::of(1, Unit::Minutes)
}

fn http_port() -> u16 {
    80
}

fn tls_alpn_port() -> u16 {
    443
}

fn three() -> u8 {
    3
}

fn ten_seconds() -> Duration {
    Duration::of(10, Unit::Seconds)
}

fn window_start() -> u8 {
    67
}

fn window_end() -> u8 {
    83
}

fn six_hours() -> Duration {
    Duration::of(6, Unit::Hours)
}

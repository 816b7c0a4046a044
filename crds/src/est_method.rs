//! Settings of EST (RFC 7030), the member `est` of an EnrollmentMethod.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    certificate_profile::AuthenticationLevel,
    common::{KeyAlgorithm, ObjectRef, SecretKeyRef},
    duration::{Duration, Unit, longer_than_zero},
    string_enum::string_enum,
};

/// Settings of EST.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("self.authentication == 'Basic' || has(self.clientCertificates)")
        .message("clientCertificates is needed with authentication Certificate, Either and Both").field_path(".clientCertificates"),
    validation = Rule::new("self.authentication != 'Basic' || !has(self.clientCertificates)")
        .message("clientCertificates is refused with authentication Basic, which does not look at certificates")
        .field_path(".clientCertificates"),
)]
pub struct EstMethod {
    /// How a device that has no certificate of the profile yet shows who it is. No value takes a client certificate without
    /// checking it, since such a certificate proves nothing: to leave certificates out of it, say `Basic`.
    #[serde(default = "basic")]
    pub authentication: EstAuthentication,
    /// The certificates of somebody else that devices may show, such as those their manufacturer put into them. Needed with
    /// `Certificate`, `Either` and `Both`, refused with `Basic`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
    /// What `Retry-After` tells a device whose request waits for approval (RFC 7030 §4.2.3).
    #[serde(default = "one_minute")]
    #[x_kube(validation = longer_than_zero())]
    pub pending_retry_after: Duration,
    /// Renewal by the certificate that is to be renewed (`simplereenroll`, RFC 7030 §4.2.2).
    #[serde(default)]
    pub reenroll: Reenroll,
    /// Keys that the server makes for devices that cannot make good ones (`serverkeygen`, RFC 7030 §4.4). Absent: it makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_key_generation: Option<ServerKeyGeneration>,
    /// Who is told before certificates issued by this method expire.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 5))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub notices: Vec<ExpiryNotice>,
}

string_enum! {
    /// How a device that speaks EST shows who it is.
    pub enum EstAuthentication {
        /// HTTP Basic (RFC 7030 §3.2.3) with the passphrase of the method or the password of one user, each declared by an
        /// EnrollmentCredential. A certificate the device shows is not looked at.
        Basic = "Basic",
        /// A certificate in the TLS handshake (RFC 7030 §3.3.2) that `clientCertificates` lets pass. Passwords are not taken.
        Certificate = "Certificate",
        /// One or the other, as the device likes. A profile takes it for as weak as `Basic`.
        Either = "Either",
        /// Both, in one request.
        Both = "Both",
    }
}

impl EstAuthentication {
    /// The least that a caller has shown once this has succeeded. Anyone who knows the passphrase is let in by `Basic`, and so
    /// by `Either`.
    pub const fn level(self) -> AuthenticationLevel {
        match self {
            Self::Basic | Self::Either => AuthenticationLevel::SharedSecret,
            Self::Certificate => AuthenticationLevel::Certificate,
            Self::Both => AuthenticationLevel::CertificateAndSecret,
        }
    }

    /// Whether a device may, or must, send a password.
    pub const fn takes_passwords(self) -> bool {
        match self {
            Self::Basic | Self::Either | Self::Both => true,
            Self::Certificate => false,
        }
    }

    /// Whether a device may, or must, show a certificate of `clientCertificates`.
    pub const fn takes_certificates(self) -> bool {
        match self {
            Self::Certificate | Self::Either | Self::Both => true,
            Self::Basic => false,
        }
    }
}

/// Which certificates of somebody else let a device ask. They are checked for path, validity, usage and revocation; what a
/// device that shows one may get is the profile's to say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientCertificates {
    /// The authorities that signed them. A device may send its own certificate alone, if those between it and the root are
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
}

/// One authority, or several in a bundle, whose certificates let a device ask: exactly one of `certificateAuthorityRef`,
/// `secretRef` and `bundle`.
///
/// In a bundle (from a Secret or inline) the self-signed certificates are trusted, and the others help to find the way to
/// them; each must be signed by another one here. Where a bundle has no self-signed certificate, all in it are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new(
    "[has(self.certificateAuthorityRef), has(self.secretRef), has(self.bundle)].exists_one(given, given)"
).message("give exactly one of certificateAuthorityRef, secretRef and bundle"))]
pub struct TrustedAuthority {
    /// A CertificateAuthority: what it signed is trusted, what its parent signed is not. In another namespace it must list
    /// this one under `allowedNamespaces`. What it has revoked is refused without a revocation list, if it belongs to the same
    /// server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_authority_ref: Option<ObjectRef>,
    /// A Secret in the same namespace that holds certificates as PEM; `key` is `ca.crt` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Certificates as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub bundle: Option<String>,
}

/// Where trusted certificates come from, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustedAuthoritySource<'a> {
    Authority(&'a ObjectRef),
    Secret(&'a SecretKeyRef),
    Bundle(&'a str),
}

impl TrustedAuthority {
    /// The key of a Secret that holds a bundle, where none is named.
    pub const DEFAULT_KEY: &'static str = "ca.crt";

    /// The source; `None` unless exactly one is given.
    pub fn source(&self) -> Option<TrustedAuthoritySource<'_>> {
        match (&self.certificate_authority_ref, &self.secret_ref, &self.bundle) {
            (Some(authority), None, None) => Some(TrustedAuthoritySource::Authority(authority)),
            (None, Some(secret), None) => Some(TrustedAuthoritySource::Secret(secret)),
            (None, None, Some(bundle)) => Some(TrustedAuthoritySource::Bundle(bundle)),
            _ => None,
        }
    }
}

/// Revocation lists: exactly one of `secretRef` and `bundle`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.bundle)").message("give exactly one of secretRef and bundle"))]
pub struct RevocationListSource {
    /// A Secret in the same namespace that holds revocation lists as PEM; `key` is `ca.crl` if absent. A new content is taken
    /// over at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretKeyRef>,
    /// Revocation lists as PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub bundle: Option<String>,
}

/// Where revocation lists come from, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationListBytes<'a> {
    Secret(&'a SecretKeyRef),
    Bundle(&'a str),
}

impl RevocationListSource {
    /// The key of a Secret that holds revocation lists, where none is named.
    pub const DEFAULT_KEY: &'static str = "ca.crl";

    /// The source; `None` unless exactly one is given.
    pub fn source(&self) -> Option<RevocationListBytes<'_>> {
        match (&self.secret_ref, &self.bundle) {
            (Some(secret), None) => Some(RevocationListBytes::Secret(secret)),
            (None, Some(bundle)) => Some(RevocationListBytes::Bundle(bundle)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

string_enum! {
    /// What is asked of the revocation of client certificates.
    pub enum RevocationCheck {
        /// A certificate on a list that is here is refused; where there is no list, nothing is asked.
        IfGiven = "IfGiven",
        /// Each certificate of the path, but for the trusted one, needs a list that is current and does not name it. A CertificateAuthority
        /// of the same server needs no list.
        Required = "Required",
    }
}

/// Renewal by the certificate that is to be renewed; with authentication `Both`, the password too. Subject and alternative names stay as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reenroll {
    /// Whether it is possible at all.
    #[serde(default = "enabled")]
    pub state: ReenrollState,
    /// How long after its end a certificate may still be renewed, for devices that were switched off. Revoked ones never are.
    #[serde(default = "no_time")]
    pub grace_after_expiry: Duration,
    /// Which keys a renewal may bring.
    #[serde(default = "any_key")]
    pub keys: ReenrollKeys,
}

impl Default for Reenroll {
    fn default() -> Self {
        Self { state: enabled(), grace_after_expiry: no_time(), keys: any_key() }
    }
}

string_enum! {
    /// Whether certificates can be renewed by themselves.
    pub enum ReenrollState {
        /// A current certificate of this profile, not revoked, renews itself.
        Enabled = "Enabled",
        /// Devices ask for each certificate anew.
        Disabled = "Disabled",
    }
}

string_enum! {
    /// Which keys a renewal may bring.
    pub enum ReenrollKeys {
        /// A key other than that of the certificate that is renewed.
        New = "New",
        /// The same key or a new one; the profile's `keys.reuse` can still refuse the same.
        Any = "Any",
    }
}

/// Keys that the server makes (RFC 7030 §4.4). The server does not keep them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ServerKeyGeneration {
    /// How a key travels to its device.
    pub delivery: KeyDelivery,
    /// Kind and size of the keys. The profile must allow it.
    #[serde(default = "ecdsa_p256")]
    pub key: KeyAlgorithm,
    /// Keys that devices share with this server, to which a request may ask its own to be encrypted by naming one in a
    /// DecryptKeyIdentifier (RFC 7030 §4.4.1.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["identifier".into()]))]
    pub decrypt_keys: Vec<DecryptKey>,
}

/// A key that a device and this server share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecryptKey {
    /// What requests name it by: the octets of this text.
    #[schemars(length(min = 1, max = 64))]
    pub identifier: String,
    /// A Secret in the same namespace with the key for AES, 16 or 32 octets; `key` is `key` if absent.
    pub secret_ref: SecretKeyRef,
}

impl DecryptKey {
    /// The key of a Secret that holds the key, where none is named.
    pub const DEFAULT_KEY: &'static str = "key";
}

string_enum! {
    /// How a key that the server made travels to its device.
    pub enum KeyDelivery {
        /// Encrypted inside TLS, to a key that the request names (RFC 7030 §4.4.1.1, §4.4.1.2) or the client certificate has.
        /// A request that gives none is refused.
        Encrypted = "Encrypted",
        /// As `Encrypted` where the request asks for that, or else as PKCS#8 that nothing but TLS protects.
        Plain = "Plain",
    }
}

/// Tells a webhook before certificates expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpiryNotice {
    /// How long before its end a certificate is reported, for example `[30d, 7d]`: once for each. Renewed certificates are not
    /// reported.
    #[schemars(length(min = 1, max = 10))]
    #[x_kube(
        merge_strategy = ListMerge::Set,
        validation = Rule::new("self.all(before, before.matches('[1-9]'))").message("each must be longer than zero"),
    )]
    pub before: Vec<Duration>,
    /// Whom to tell.
    pub webhook: NoticeWebhook,
}

/// Where notices are sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NoticeWebhook {
    /// `https`, or `http` to this machine (`localhost`, `127.0.0.1`, `[::1]`): notices say which devices there are.
    #[schemars(length(min = 8, max = 2048), regex(pattern = WEBHOOK_PATTERN))]
    pub url: String,
    /// A Secret in the same namespace with the key of the signature (HMAC) by which the receiver knows who sent the notice;
    /// `key` is `secret` if absent. 16 to 1024 octets.
    pub secret_ref: SecretKeyRef,
}

impl NoticeWebhook {
    /// The key of a Secret that holds the key of signatures, where none is named.
    pub const DEFAULT_KEY: &'static str = "secret";
}

/// No user and password before the host, no fragment after the path.
const WEBHOOK_PATTERN: &str = r#"^(https://([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])|http://(localhost|127\.0\.0\.1|\[::1\]))(:[0-9]{1,5})?([/?][!$-;=?-Z_a-z~]*)?$"#;

fn basic() -> EstAuthentication {
    EstAuthentication::Basic
}

fn one_minute() -> Duration {
    Duration::of(60, Unit::Seconds)
}

fn if_given() -> RevocationCheck {
    RevocationCheck::IfGiven
}

fn enabled() -> ReenrollState {
    ReenrollState::Enabled
}

fn no_time() -> Duration {
    Duration::of(0, Unit::Seconds)
}

fn any_key() -> ReenrollKeys {
    ReenrollKeys::Any
}

fn ecdsa_p256() -> KeyAlgorithm {
    KeyAlgorithm::EcdsaP256
}

//! CertificateRequest of cert-manager.io/v1: the members that an issuer reads, and those of its status that it writes.
//!
//! Not the whole type: what is not here is neither read nor written, so that any cert-manager with this version will do. Nothing
//! is required that its schema does not require, so that one odd object does not stop the watch.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time};
use kube::CustomResource;
use serde::{Deserialize, Deserializer, Serialize};

/// <https://cert-manager.io/docs/reference/api-docs/#cert-manager.io/v1.CertificateRequestSpec>
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, CustomResource)]
#[kube(
    group = "cert-manager.io",
    version = "v1",
    kind = "CertificateRequest",
    namespaced,
    status = "CertificateRequestStatus",
    derive = "PartialEq",
    schema = "disabled"
)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequestSpec {
    pub issuer_ref: IssuerRef,
    /// PKCS #10 in PEM. What is no base64 stays as it stands there: it is no PEM either, and is refused as such.
    #[serde(default, deserialize_with = "lenient_base64")]
    pub request: ByteString,
    /// As Go writes durations: `2160h0m0s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    #[serde(default, rename = "isCA", skip_serializing_if = "is_false")]
    pub is_ca: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<String>,
}

/// Names an issuer of any group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuerRef {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
}

/// What is read of a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRequestStatus {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(default, skip_serializing_if = "Presence::is_absent")]
    pub certificate: Presence,
}

impl CertificateRequestStatus {
    /// The condition of this type, whoever set it.
    pub fn condition(&self, type_: &str) -> Option<&Condition> {
        self.conditions.iter().find(|condition| condition.type_ == type_)
    }

    pub fn is_true(&self, type_: &str) -> bool {
        self.condition(type_).is_some_and(|condition| condition.status == "True")
    }
}

/// One condition, laxer than those of Kubernetes: cert-manager requires type and status only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    #[serde(rename = "type")]
    pub type_: String,
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// Whether something is there. What it says does not matter here, and is not kept: there may be many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "&'static str")]
pub struct Presence(pub bool);

impl Presence {
    fn is_absent(&self) -> bool {
        !self.0
    }
}

impl From<String> for Presence {
    fn from(text: String) -> Self {
        Self(!text.is_empty())
    }
}

impl From<Presence> for &'static str {
    fn from(presence: Presence) -> Self {
        if presence.0 { "present" } else { "" }
    }
}

/// What an issuer writes, by server-side apply: conditions of other managers (approval) stay as they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusPatch {
    pub conditions: Vec<Condition>,
    /// PEM: the certificate first, then those above it, without a root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<ByteString>,
    /// PEM: the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<ByteString>,
    /// With every end that is not a certificate: without it cert-manager neither waits nor cleans up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_time: Option<Time>,
}

/// Types of conditions.
pub mod condition {
    pub const READY: &str = "Ready";
    pub const APPROVED: &str = "Approved";
    pub const DENIED: &str = "Denied";
    pub const INVALID_REQUEST: &str = "InvalidRequest";
}

/// Reasons of the condition `Ready`.
pub mod reason {
    pub const PENDING: &str = "Pending";
    pub const ISSUED: &str = "Issued";
    pub const FAILED: &str = "Failed";
    pub const DENIED: &str = "Denied";
}

/// As Go reads it, and so cert-manager and the API server: line breaks and bits left over do not matter. A watch of all requests
/// must not end where one user wrote something odd.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

fn lenient_base64<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ByteString, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
    let dense: String = text.chars().filter(|found| !matches!(found, '\r' | '\n')).collect();
    Ok(ByteString(BASE64.decode(dense).unwrap_or_else(|_| text.into_bytes())))
}

fn is_false(value: &bool) -> bool {
    !value
}

//! CertificateRevocation: revokes one certificate.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    common::{LocalRef, ObjectRef},
    conditions::conditions_schema,
    string_enum::string_enum,
};

/// Revokes one certificate, for ever: deleting this object takes nothing back.
///
/// A namespace can revoke what its own methods and requests got; whoever is in the namespace of an authority can revoke whatever
/// that authority signed. It needs a cluster: standalone refuses it, and has `chancery-server certificates revoke`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, CustomResource, KubeSchema)]
#[kube(
    group = "chancery.dev",
    version = "v1alpha1",
    kind = "CertificateRevocation",
    namespaced,
    category = "chancery",
    shortname = "crevocation",
    status = "CertificateRevocationStatus",
    derive = "PartialEq",
    doc = "Revokes one certificate.",
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
    printcolumn(name = "Serial", type_ = "string", json_path = ".status.serialNumber"),
    printcolumn(name = "Subject", type_ = "string", json_path = ".status.subject", priority = 1),
    printcolumn(name = "Revoked", type_ = "date", json_path = ".status.revokedAt"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[x_kube(
    validation = Rule::new("[has(self.serial), has(self.certificate), has(self.secretRef)].exists_one(given, given)")
        .message("give exactly one of serial, certificate and secretRef"),
    validation = Rule::new("has(self.serial) == has(self.authorityRef)")
        .message("authorityRef is needed with serial, and refused without: the certificate says who signed it")
        .field_path(".authorityRef"),
    validation = Rule::new("self == oldSelf").message("a revocation cannot change: make another one"),
)]
pub struct CertificateRevocationSpec {
    /// The serial number in hexadecimal, for example `5c02a9...`; colons between octets and leading zeros do not matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 62), regex(pattern = "^[0-9A-Fa-f]+(:[0-9A-Fa-f]+)*$"))]
    pub serial: Option<String>,

    /// The CertificateAuthority that signed it; with `serial` only. Another namespace's may be named: what is revoked must have
    /// been got by this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority_ref: Option<ObjectRef>,

    /// The certificate, PEM. Of several the first counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 65536))]
    pub certificate: Option<String>,

    /// A Secret in the same namespace with the certificate under `tls.crt`, such as one of cert-manager's. It is read once: what
    /// is renewed there later is not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalRef>,

    /// Why.
    #[serde(default = "unspecified")]
    pub reason: RevocationReason,
}

/// What is to be revoked, as one value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationTarget<'a> {
    Serial { serial: &'a str, authority: &'a ObjectRef },
    Certificate(&'a str),
    Secret(&'a LocalRef),
}

impl CertificateRevocationSpec {
    /// What is to be revoked; `None` unless it is said exactly once.
    pub fn target(&self) -> Option<RevocationTarget<'_>> {
        match (&self.serial, &self.authority_ref, &self.certificate, &self.secret_ref) {
            (Some(serial), Some(authority), None, None) => {
                Some(RevocationTarget::Serial { serial, authority })
            }
            (None, None, Some(certificate), None) => Some(RevocationTarget::Certificate(certificate)),
            (None, None, None, Some(secret)) => Some(RevocationTarget::Secret(secret)),
            _ => None,
        }
    }
}

string_enum! {
    /// Why a certificate is revoked (RFC 5280 §5.3.1).
    pub enum RevocationReason {
        /// Nothing is said; the entry of the list carries no reason.
        Unspecified = "unspecified",
        /// The key is known, or believed, to be known to others.
        KeyCompromise = "keyCompromise",
        /// The same, for the key of an authority.
        CaCompromise = "cACompromise",
        /// The subject's name or something else in the certificate has changed.
        AffiliationChanged = "affiliationChanged",
        /// Another certificate has taken its place.
        Superseded = "superseded",
        /// It is not needed any more.
        CessationOfOperation = "cessationOfOperation",
        /// A privilege in the certificate was withdrawn.
        PrivilegeWithdrawn = "privilegeWithdrawn",
        /// The key of an attribute authority is known, or believed, to be known to others.
        AaCompromise = "aACompromise",
    }
}

/// What became of a revocation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRevocationStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Conditions `Accepted` and `Ready`: the certificate is revoked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions_schema")]
    pub conditions: Vec<Condition>,
    /// When it was revoked, by this object or before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
    /// The serial number of the certificate in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub serial_number: Option<String>,
    /// Its subject as text, RFC 4514.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub subject: Option<String>,
    /// The key identifier of the authority that signed it, in hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub issuer_key_id: Option<String>,
}

fn unspecified() -> RevocationReason {
    RevocationReason::Unspecified
}

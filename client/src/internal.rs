//! The internal interface of a server, for the operator alone: mutual TLS, JSON, `/internal/v1`.
//!
//! | request | answers |
//! | --- | --- |
//! | `GET /internal/v1/loaded` | [`Loaded`]: what this replica serves |
//! | `POST /internal/v1/issue` ([`IssueRequest`]) | [`IssueOutcome`]; the same `uid` and `spec_sha256` give the same answer |
//! | `POST /internal/v1/revoke` ([`RevokeRequest`]) | [`RevokeOutcome`]; revoking twice is no error |
//! | `GET /internal/v1/usage` | [`Usage`]: credentials that resources declare, counts of each method, the newest revocation lists |
//! | `POST /internal/v1/renewals` ([`RenewalsRequest`]) | [`Renewals`]: what the server renewed by itself, until it is said to be told |
//!
//! Statuses: 200; 400 a body that cannot be read ([`Problem`]); 403 not the operator; 404 no such path; 503 try again
//! ([`Problem`], with `Retry-After`). Unknown members are ignored, so that neighbouring releases work together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::encoding::{base64_bytes, base64_list};

/// What every path begins with.
pub const ROOT: &str = "/internal/v1";

/// The DNS name in the certificate of every server's internal listener, whatever address it is called by.
pub fn server_dns_name(namespace: &str, name: &str) -> String {
    format!("{name}.{namespace}.servers.internal.chancery.dev")
}

/// The DNS name in the operator's client certificate.
pub const OPERATOR_DNS_NAME: &str = "operator.internal.chancery.dev";

/// What one replica serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Loaded {
    /// Version of the program.
    pub version: String,
    /// The oldest and the newest format of compiled configuration that it reads.
    pub formats: (u32, u32),
    /// Generation of the manifest in force; 0 before the first.
    pub generation: u64,
    /// SHA-256 (lower-case hexadecimal) of each part in force, by the name of its Secret.
    pub parts: BTreeMap<String, String>,
    /// Parts that could not be put in force, by the name of their Secret, and why. They are not among `parts`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub failed: BTreeMap<String, String>,
    /// Why the newest manifest is not in force, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// Asks for one certificate on behalf of a cluster's request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IssueRequest {
    /// The compiled method of the issuer, `namespace/name`.
    pub method: String,
    /// Namespace of the request; none: a cluster-scoped CertificateSigningRequest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// What rows and the audit trail name as requester, for example `CertificateRequest team-a/shop-1`.
    pub requester: String,
    /// `metadata.uid` of the request.
    pub uid: String,
    /// SHA-256 of its spec, lower-case hexadecimal.
    pub spec_sha256: String,
    /// PKCS #10, DER.
    #[serde(with = "base64_bytes")]
    pub csr: Vec<u8>,
    /// How long the certificate is to be valid, seconds; none: the profile's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<u64>,
    /// Whether an authority's certificate is asked for.
    #[serde(default)]
    pub is_ca: bool,
    /// Usages as Kubernetes spells them (`digital signature`, `server auth`); empty: as the CSR says, or the profile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum IssueOutcome {
    Issued {
        /// DER: the certificate, then those above it, up to but not including a root.
        #[serde(with = "base64_list")]
        chain: Vec<Vec<u8>>,
        /// DER: the root; empty where it is not known.
        #[serde(with = "base64_bytes")]
        root: Vec<u8>,
    },
    /// Waits for a person.
    Pending {
        /// Identifier of the request's row.
        request: String,
        retry_after_seconds: u64,
    },
    /// Never with the same request.
    Refused {
        cause: RefusalCause,
        /// A sentence that the requester may read.
        message: String,
    },
}

/// Whose fault a refusal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefusalCause {
    /// The CSR cannot be read, or does not agree with the rest of the request.
    InvalidRequest,
    /// The profile says no.
    Policy,
    /// The namespace has no grant, or the grant was taken away.
    NotGranted,
    /// A person said no.
    Denied,
}

/// Revokes one certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeRequest {
    /// Key identifier of who signed it, lower-case hexadecimal.
    pub issuer: String,
    /// Serial number, lower-case hexadecimal.
    pub serial: String,
    /// RFC 5280 §5.3.1, as its text spells it: `keyCompromise`.
    pub reason: String,
    /// Who asks, for the audit trail: `CertificateRevocation team-a/lost-laptop`.
    pub requester: String,
    /// The namespace that asks; it may revoke only certificates that its own methods or requests got. None: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RevokeOutcome {
    /// It is revoked, now or before.
    Revoked {
        /// Seconds since 1970.
        revoked_at: i64,
        subject: String,
    },
    NotFound,
    Refused {
        message: String,
    },
}

/// How much was used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Usage {
    /// Credentials that resources declare, by `namespace/name`.
    pub credentials: BTreeMap<String, CredentialUsage>,
    /// Methods, by `namespace/name`: what this replica has counted since it started.
    pub methods: BTreeMap<String, MethodUsage>,
    /// The newest revocation lists of the authorities that this server issues with, by key identifier (lower-case hexadecimal).
    #[serde(default)]
    pub crls: BTreeMap<String, ListUsage>,
}

/// One credential's row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialUsage {
    /// Identifier of the row.
    pub id: String,
    pub uses: u64,
    /// Seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<i64>,
}

/// What one method has answered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodUsage {
    pub issued: u64,
    pub refused: u64,
    /// Seconds since 1970, and the public sentence of the last refusal of somebody who was authenticated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failure: Option<(i64, String)>,
}

/// One revocation list that the server has signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ListUsage {
    /// RFC 5280 §5.2.3.
    pub number: u64,
    /// Seconds since 1970.
    pub this_update: i64,
    /// Seconds since 1970.
    pub next_update: i64,
}

/// Asks what the server renewed by itself, or tried to, since this was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalsRequest {
    /// [`RenewalNews::id`] of what was told and is to be forgotten; what is forgotten already does no harm.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<String>,
}

/// What is to be told of renewals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewals {
    /// The oldest first, whole minutes where they fit: at most [`Renewals::MAX`]. For a minute nobody else is given them; then they
    /// are given again, unless they were said to be told or are an hour old.
    pub news: Vec<RenewalNews>,
}

impl Renewals {
    /// Most of one answer.
    pub const MAX: usize = 2000;
}

/// One renewal, to be told once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RenewalNews {
    pub id: String,
    pub renewal: Renewal,
}

/// What became of a certificate that the server was to renew by itself. Texts are as peers chose them, up to some hundred characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// `namespace/name`.
    pub method: String,
    /// Seconds since 1970.
    pub at: i64,
    /// Of a renewal the new order, where its key is fetched; of a failure that of the certificate. Each is told of once.
    pub order: String,
    /// Lower-case hexadecimal: of the new certificate, or the one that was not renewed.
    pub serial: String,
    /// RFC 4514; may be empty.
    pub subject: String,
    /// When that certificate ends, seconds since 1970.
    pub not_after: i64,
    pub outcome: RenewalOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum RenewalOutcome {
    Renewed {
        /// Serial number of the old certificate, lower-case hexadecimal.
        replaces: String,
    },
    /// For the first time.
    Failed {
        /// A sentence.
        reason: String,
    },
}

/// Why a request was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub detail: String,
}

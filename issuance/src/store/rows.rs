//! Rows as the core sees them. How a database lays them out is its own affair.

use std::collections::BTreeSet;

use pki::{extension::ReasonCode, serial::SerialNumber, time::Time};
use serde::{Deserialize, Serialize};

use crate::{
    authn::Requester,
    identity::{CredentialId, KeyId, Owner, Protocol, RequestId, ResourceName},
};

/// One issued certificate. Unique by (issuer, serial).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateRow {
    /// Key identifier of the authority that signed; of the certificate's own key where self-signed.
    pub issuer: KeyId,
    pub serial: SerialNumber,
    /// Name of the authority; none where self-signed.
    pub authority: Option<ResourceName>,
    pub profile: ResourceName,
    pub method: ResourceName,
    pub protocol: Protocol,
    pub credential: Option<CredentialId>,
    pub owner: Option<Owner>,
    /// Who asked, as the protocol names it: a user name, a subject, a role.
    pub requester: String,
    /// RFC 4514.
    pub subject: String,
    /// `dns:a.example`, `ip:192.0.2.1`, ...
    pub subject_alt_names: Vec<String>,
    pub not_before: Time,
    pub not_after: Time,
    pub issued_at: Time,
    pub status: CertificateStatus,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    pub public_key_sha256: String,
    /// Whether the server made the key, so that it can make another.
    pub server_key: bool,
    /// The request it answers, where there was a row for it.
    pub request: Option<RequestId>,
    #[serde(skip)]
    pub der: Vec<u8>,
}

/// RFC 5280 §5.3.1. `Held` is certificateHold: the one state with a way back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "state")]
pub enum CertificateStatus {
    Valid,
    Held {
        at: Time,
    },
    Revoked {
        at: Time,
        reason: ReasonCode,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invalidity_date: Option<Time>,
    },
}

/// What makes two requests the same: chosen by the protocol (transaction identifier, idempotency key, or a digest of
/// requester and content), always hashed to 32 octets. Unique with the method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RequestKey(#[serde(with = "hex::serde")] pub [u8; 32]);

/// A request that outlives its answer: pending approval, or idempotent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRow {
    pub id: RequestId,
    pub method: ResourceName,
    #[serde(skip)]
    pub key: Option<RequestKey>,
    /// SHA-256 of what was asked: the same key with another content is refused.
    #[serde(skip)]
    pub content: [u8; 32],
    pub profile: ResourceName,
    pub requester: Requester,
    pub state: RequestState,
    /// What a person reads before approving.
    pub summary: String,
    /// The request, DER.
    #[serde(skip)]
    pub encoded: Vec<u8>,
    pub created_at: Time,
    /// A pending request that nobody decides on is dropped after this.
    pub expires_at: Time,
    pub decision: Option<Decision>,
    /// Set once issued.
    pub certificate: Option<(KeyId, SerialNumber)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RequestState {
    Pending,
    /// Decided, not yet signed: signed when the requester asks again.
    Approved,
    Denied,
    Issued,
    Expired,
}

impl RequestState {
    pub const ALL: [RequestState; 5] =
        [Self::Pending, Self::Approved, Self::Denied, Self::Issued, Self::Expired];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Issued => "issued",
            Self::Expired => "expired",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    pub by: String,
    pub at: Time,
    pub reason: Option<String>,
    /// None: an operator at the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decider: Option<Decider>,
}

/// Who decided, where that was somebody who was authenticated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decider {
    /// Their own: the name above may be another one's later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Whoever could have decided so, as [`crate::approval::marks`] tells people apart.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hands: BTreeSet<String>,
}

/// One CRL of one authority; numbers only grow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    pub issuer: KeyId,
    pub number: u64,
    pub this_update: Time,
    pub next_update: Time,
    pub der: Vec<u8>,
}

/// A secret of the server itself (role keys, the audit key), sealed. The version grows with each change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRow {
    pub name: String,
    pub version: u64,
    /// See [`crate::sealing`]; bound to the name.
    pub sealed: Vec<u8>,
    /// What belongs to it and is no secret, such as a certificate chain. Format is the owner's.
    pub public: Vec<u8>,
}

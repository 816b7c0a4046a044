//! A certificate as a row of a report.

use issuance::{
    identity::CertificateId,
    store::{CertificateRow, CertificateStatus},
};
use pki::time::Time;
use serde::Serialize;
use utoipa::ToSchema;

use super::super::{export::Tabular, objects::Timestamp};

/// A certificate of a report.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReportRow {
    id: String,
    /// Hexadecimal.
    serial: String,
    pub(super) status: Status,
    /// RFC 4514.
    subject: String,
    /// As in `dns:a.example`.
    subject_alt_names: Vec<String>,
    profile: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authority: Option<String>,
    method: String,
    protocol: &'static str,
    requester: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    issued_at: Timestamp,
    /// When it was revoked or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revoked_at: Option<Timestamp>,
    /// RFC 5280 §5.3.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revocation_reason: Option<&'static str>,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    public_key_sha256: String,
    /// Whether the server made the key.
    server_key: bool,
}

/// What a certificate is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportStatus)]
pub(super) enum Status {
    Valid,
    Held,
    Revoked,
    Expired,
}

impl Status {
    /// As lists have it: one that was revoked or held stays so, although it has ended.
    pub(super) fn of(row: &CertificateRow, now: Time) -> Self {
        match row.status {
            CertificateStatus::Revoked { .. } => Self::Revoked,
            CertificateStatus::Held { .. } => Self::Held,
            // RFC 5280 §4.1.2.5: notAfter is its last second.
            CertificateStatus::Valid if row.not_after < now => Self::Expired,
            CertificateStatus::Valid => Self::Valid,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Held => "held",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl ReportRow {
    pub(super) fn of(row: CertificateRow, now: Time) -> Self {
        let (revoked_at, revocation_reason) = match &row.status {
            CertificateStatus::Valid => (None, None),
            CertificateStatus::Held { at } => (Some(*at), Some("certificateHold")),
            CertificateStatus::Revoked { at, reason, .. } => (Some(*at), Some(reason.as_str())),
        };
        Self {
            id: CertificateId { issuer: row.issuer, serial: row.serial }.to_string(),
            serial: row.serial.to_string(),
            status: Status::of(&row, now),
            profile: row.profile.to_string(),
            authority: row.authority.as_ref().map(ToString::to_string),
            method: row.method.to_string(),
            protocol: row.protocol.as_str(),
            credential: row.credential.as_ref().map(ToString::to_string),
            owner: row.owner.as_ref().map(ToString::to_string),
            not_before: row.not_before.into(),
            not_after: row.not_after.into(),
            issued_at: row.issued_at.into(),
            revoked_at: revoked_at.map(Timestamp::from),
            revocation_reason,
            server_key: row.server_key,
            requester: row.requester,
            subject: row.subject,
            subject_alt_names: row.subject_alt_names,
            public_key_sha256: row.public_key_sha256,
        }
    }
}

impl Tabular for ReportRow {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "serial",
        "status",
        "subject",
        "subjectAltNames",
        "profile",
        "authority",
        "method",
        "protocol",
        "requester",
        "credential",
        "owner",
        "notBefore",
        "notAfter",
        "issuedAt",
        "revokedAt",
        "revocationReason",
        "publicKeySha256",
        "serverKey",
    ];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.clone(),
            self.serial.clone(),
            self.status.as_str().into(),
            self.subject.clone(),
            self.subject_alt_names.join(" "),
            self.profile.clone(),
            self.authority.clone().unwrap_or_default(),
            self.method.clone(),
            self.protocol.into(),
            self.requester.clone(),
            self.credential.clone().unwrap_or_default(),
            self.owner.clone().unwrap_or_default(),
            self.not_before.0.to_string(),
            self.not_after.0.to_string(),
            self.issued_at.0.to_string(),
            self.revoked_at.map(|at| at.0.to_string()).unwrap_or_default(),
            self.revocation_reason.unwrap_or_default().into(),
            self.public_key_sha256.clone(),
            self.server_key.to_string(),
        ]
    }
}

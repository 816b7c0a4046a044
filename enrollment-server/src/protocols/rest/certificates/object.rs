//! A certificate as it is shown.

use aws_lc_rs::digest;
use issuance::{
    identity::CertificateId,
    rest::OrderRow,
    store::{CertificateRow, CertificateStatus},
};
use pki::{certificate::Certificate, extension::ReasonCode, pem, time::Time};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::protocols::rest::objects::Timestamp;

/// One certificate.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Certificate)]
pub(in crate::protocols::rest) struct CertificateObject {
    /// `{issuer}.{serial}`.
    id: String,
    /// Key identifier of whoever signed, hexadecimal; of the certificate's own key where it is self-signed.
    issuer: String,
    /// Hexadecimal.
    serial: String,
    /// `namespace/name` of the CertificateAuthority; absent where the certificate is self-signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authority: Option<String>,
    /// `namespace/name` of the CertificateProfile.
    profile: String,
    /// `namespace/name` of the EnrollmentMethod.
    method: String,
    /// Who asked.
    requester: String,
    /// The credential that was shown, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
    /// `user:NAME` or `group:NAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    owner: Option<String>,
    /// RFC 4514.
    subject: String,
    /// The subjectAltNames, as in `dns:a.example`.
    names: Vec<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    issued_at: Timestamp,
    status: Status,
    /// Of a certificate that is revoked or held.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    revocation: Option<Revoked>,
    /// Such as `ECDSA-P256`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key_type: Option<String>,
    /// SHA-256 of the certificate, hexadecimal.
    sha256: String,
    /// SHA-256 of the SubjectPublicKeyInfo, hexadecimal.
    public_key_sha256: String,
    /// Whether the server made the key: then it can renew the certificate.
    server_key: bool,
    /// The order, where the server made the key and the order is still kept. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    order: Option<String>,
    /// The certificate that this one renewed, where that order says so. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaces: Option<String>,
    /// The order that is to renew this certificate, or did. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaced_by: Option<String>,
    /// The certificate itself, PEM. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    certificate: Option<String>,
}

/// What a certificate is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CertificateStatus)]
pub(super) enum Status {
    Valid,
    /// It was neither revoked nor held when it ended.
    Expired,
    /// On the revocation list, with a way back.
    Held,
    Revoked,
}

/// When and why a certificate stopped being good.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Revocation)]
struct Revoked {
    at: Timestamp,
    /// A name of RFC 5280 §5.3.1; `certificateHold` while it is held.
    reason: &'static str,
    /// Since when the key is thought to be bad.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    invalidity_date: Option<Timestamp>,
}

impl Status {
    pub(super) const ALL: [Self; 4] = [Self::Valid, Self::Expired, Self::Held, Self::Revoked];

    pub(super) fn of(row: &CertificateRow, now: Time) -> Self {
        match row.status {
            // RFC 5280 §4.1.2.5: notAfter is its last second.
            CertificateStatus::Valid if row.not_after < now => Self::Expired,
            CertificateStatus::Valid => Self::Valid,
            CertificateStatus::Held { .. } => Self::Held,
            CertificateStatus::Revoked { .. } => Self::Revoked,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Revoked => "revoked",
        }
    }
}

impl CertificateObject {
    /// As lists show it.
    pub(super) fn listed(row: &CertificateRow, now: Time) -> Self {
        let key = Certificate::from_der(&row.der).map(|read| read.public_key().key_type().to_string());
        Self {
            id: id_of(row).to_string(),
            issuer: row.issuer.to_string(),
            serial: row.serial.to_string(),
            authority: row.authority.as_ref().map(ToString::to_string),
            profile: row.profile.to_string(),
            method: row.method.to_string(),
            requester: row.requester.clone(),
            credential: row.credential.as_ref().map(ToString::to_string),
            owner: row.owner.as_ref().map(ToString::to_string),
            subject: row.subject.clone(),
            names: row.subject_alt_names.clone(),
            not_before: row.not_before.into(),
            not_after: row.not_after.into(),
            issued_at: row.issued_at.into(),
            status: Status::of(row, now),
            revocation: revoked(&row.status),
            key_type: key.ok(),
            sha256: hex::encode(digest::digest(&digest::SHA256, &row.der)),
            public_key_sha256: row.public_key_sha256.clone(),
            server_key: row.server_key,
            order: None,
            replaces: None,
            replaced_by: None,
            certificate: None,
        }
    }

    /// With all that is known: `order` is its own, `replacing` the one that renews it.
    pub(in crate::protocols::rest) fn whole(
        row: &CertificateRow,
        order: Option<&OrderRow>,
        replacing: Option<&OrderRow>,
        now: Time,
    ) -> Self {
        let replaces = order.and_then(|order| order.replaces);
        let replaces = replaces.map(|(issuer, serial)| CertificateId { issuer, serial }.to_string());
        Self {
            order: order.map(|order| order.id.to_string()),
            replaces,
            replaced_by: replacing.map(|order| order.id.to_string()),
            certificate: Some(pem::encode("CERTIFICATE", &row.der)),
            ..Self::listed(row, now)
        }
    }
}

pub(super) fn id_of(row: &CertificateRow) -> CertificateId {
    CertificateId { issuer: row.issuer, serial: row.serial }
}

fn revoked(status: &CertificateStatus) -> Option<Revoked> {
    match status {
        CertificateStatus::Valid => None,
        CertificateStatus::Held { at } => Some(Revoked {
            at: (*at).into(),
            reason: ReasonCode::CertificateHold.as_str(),
            invalidity_date: None,
        }),
        CertificateStatus::Revoked { at, reason, invalidity_date } => Some(Revoked {
            at: (*at).into(),
            reason: reason.as_str(),
            invalidity_date: invalidity_date.map(Timestamp::from),
        }),
    }
}

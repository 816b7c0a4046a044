//! Revoking for good, holding, and releasing from hold.

use axum::{body::Body, extract::Path, response::Response};
use http::StatusCode;
use issuance::{
    Error,
    authn::Freshness,
    identity::CertificateId,
    rest::RestAction,
    revocation::Revocation,
    store::{CertificateRow, CertificateStatus},
};
use pki::{extension::ReasonCode, time::Time};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{find, object::CertificateObject, shown};
use crate::protocols::rest::{
    ask::Ask,
    auth::Caller,
    body,
    error::RestError,
    objects::{Timestamp, json},
    openapi::{BodyProblems, ConflictProblem, MissingProblem, Problems},
};

/// How often it is tried again where somebody else changes the same row, or the credential.
const ATTEMPTS: usize = 3;

/// Nothing more is to be said.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Why a certificate is revoked.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RevokeCertificate {
    /// `unspecified` where it is left out.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
    /// Since when the key is thought to be bad; not in the future.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    invalidity_date: Option<Timestamp>,
}

/// RFC 5280 §5.3.1.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = RevocationReason)]
pub(super) enum Reason {
    Unspecified,
    KeyCompromise,
    #[serde(rename = "cACompromise")]
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
    #[serde(rename = "aACompromise")]
    AaCompromise,
}

impl From<Reason> for ReasonCode {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::CaCompromise => Self::CaCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
            Reason::PrivilegeWithdrawn => Self::PrivilegeWithdrawn,
            Reason::AaCompromise => Self::AaCompromise,
        }
    }
}

/// Revoke a certificate for good.
///
/// The next revocation list is made at once. Again with the same reason changes nothing.
#[utoipa::path(post, path = "/certificates/{id}/revoke", operation_id = "revokeCertificate", tag = "certificates",
    params(("id" = String, Path, description = "`{issuer}.{serial}`")),
    request_body = RevokeCertificate,
    responses((status = 200, description = "It is revoked.", body = CertificateObject),
        Problems, BodyProblems, MissingProblem, ConflictProblem))]
pub(super) async fn revoke_certificate(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Revoke, Freshness::Fresh).await?;
    let asked: RevokeCertificate = body::read(&caller.ask, body).await?;
    let invalidity_date = asked.invalidity_date.map(|timestamp| timestamp.0);
    if invalidity_date.is_some_and(|date| date > caller.ask.now) {
        return Err(RestError::invalid("/invalidityDate", "must not be in the future"));
    }
    let reason = asked.reason.unwrap_or(Reason::Unspecified).into();
    change(caller, &id, Revocation::Revoke { reason, invalidity_date }).await
}

/// Hold a certificate.
///
/// It is on the revocation list (`certificateHold`) until it is released or revoked for good.
#[utoipa::path(post, path = "/certificates/{id}/hold", operation_id = "holdCertificate", tag = "certificates",
    params(("id" = String, Path, description = "`{issuer}.{serial}`")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "It is held.", body = CertificateObject),
        Problems, BodyProblems, MissingProblem, ConflictProblem))]
pub(super) async fn hold_certificate(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Revoke, Freshness::Fresh).await?;
    let Nothing {} = body::read_optional(&caller.ask, body).await?;
    change(caller, &id, Revocation::Hold).await
}

/// Release a certificate from hold.
///
/// The next revocation list, which is made at once, does not have it any more.
#[utoipa::path(post, path = "/certificates/{id}/release", operation_id = "releaseCertificate", tag = "certificates",
    params(("id" = String, Path, description = "`{issuer}.{serial}`")),
    request_body = Option<Nothing>,
    responses((status = 200, description = "It is valid again.", body = CertificateObject),
        Problems, BodyProblems, MissingProblem, ConflictProblem))]
pub(super) async fn release_certificate(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Revoke, Freshness::Fresh).await?;
    let Nothing {} = body::read_optional(&caller.ask, body).await?;
    change(caller, &id, Revocation::Release).await
}

async fn change(mut caller: Caller, id: &str, revocation: Revocation) -> Result<Response, RestError> {
    for _ in 0..ATTEMPTS {
        let row = find(&caller, id).await?;
        tracing::Span::current().record("serial", tracing::field::display(&row.serial));
        check(&row, revocation, caller.ask.now)?;
        let by = caller.authenticated(&caller.service.method)?;
        let CertificateId { issuer, serial } = super::object::id_of(&row);
        match caller.app().engine.revoke_as(&by, caller.scope(), issuer, &serial, revocation).await {
            Ok(row) => return json(StatusCode::OK, &shown(&caller, &row).await?),
            // What it is by now says what to answer.
            Err(Error::Conflict(_)) => {}
            Err(Error::Stale) => caller = caller.again().await?,
            Err(other) => return Err(other.into()),
        }
    }
    Err(Error::Conflict("the certificate changes all the time".into()).into())
}

/// What is so already is not done again: only a retry of what was done is answered as that was.
fn check(row: &CertificateRow, revocation: Revocation, now: Time) -> Result<(), RestError> {
    let conflict = |sentence: &str| Err(RestError::Conflict(format!("the certificate {sentence}")));
    match (revocation, &row.status) {
        (Revocation::Revoke { reason, .. }, CertificateStatus::Revoked { reason: before, .. })
            if reason != *before =>
        {
            conflict(&format!("is revoked already, for the reason {before}"))
        }
        (Revocation::Hold | Revocation::Release, CertificateStatus::Revoked { .. }) => {
            conflict("is revoked for good")
        }
        (Revocation::Release, CertificateStatus::Valid) => conflict("is not held"),
        (Revocation::Hold, CertificateStatus::Valid) if row.not_after < now => conflict("has expired"),
        (
            Revocation::Revoke { .. } | Revocation::Hold | Revocation::Release,
            CertificateStatus::Valid | CertificateStatus::Held { .. } | CertificateStatus::Revoked { .. },
        ) => Ok(()),
    }
}

//! `POST revoke`: a revocation that a resource asks for.

use axum::{Json, body::Body, extract::State};
use client::internal::{RevokeOutcome, RevokeRequest};
use issuance::{
    Error,
    audit::Actor,
    authn::namespace_owner,
    identity::{KeyId, Protocol},
    revocation::Revocation,
    store::{CertificateRow, CertificateStatus},
};
use pki::{extension::ReasonCode, serial::SerialNumber};

use super::{Admitted, Internal, InternalError, read};

/// Most octets of a requester's name that are written down.
const MAX_REQUESTER: usize = 400;

pub(super) async fn revoke(
    State(internal): State<Internal>,
    Admitted(_operator): Admitted,
    body: Body,
) -> Result<Json<RevokeOutcome>, InternalError> {
    let request: RevokeRequest = read(body).await?;
    let unreadable = |what: &str| InternalError::Unreadable(what.to_owned());
    let issuer: KeyId = request.issuer.parse().map_err(|_| unreadable("issuer: 40 hexadecimal digits"))?;
    let serial: SerialNumber =
        request.serial.parse().map_err(|_| unreadable("serial: hexadecimal digits"))?;
    let reason: ReasonCode =
        request.reason.parse().map_err(|_| unreadable("reason: a word of RFC 5280 §5.3.1"))?;
    if request.requester.is_empty() || request.requester.len() > MAX_REQUESTER {
        return Err(unreadable("requester: 1 to 400 octets of text"));
    }
    if internal.app.serving().published.contains_key(&issuer) {
        let message =
            "revocation: the key of this authority is not here; the operator makes its lists".to_owned();
        return Ok(Json(RevokeOutcome::Refused { message }));
    }
    let engine = &internal.app.engine;
    let row = engine.store().certificate(issuer, &serial).await.map_err(Error::from)?;
    let Some(row) = row else { return Ok(Json(RevokeOutcome::NotFound)) };
    if let Some(namespace) = &request.namespace
        && !belongs_to(&row, namespace)
    {
        let message = format!("revocation: the certificate is not one of the namespace {namespace}");
        return Ok(Json(RevokeOutcome::Refused { message }));
    }
    let actor = Actor::Operator { name: format!("{} (operator)", request.requester) };
    let revocation = Revocation::Revoke { reason, invalidity_date: None };
    match engine.revoke(issuer, &serial, revocation, actor).await {
        Ok(CertificateRow { status: CertificateStatus::Revoked { at, .. }, subject, .. }) => {
            Ok(Json(RevokeOutcome::Revoked { revoked_at: at.unix(), subject }))
        }
        Ok(_) => Err(Error::Internal("a revoked certificate is not revoked".into()).into()),
        Err(Error::NotFound(_)) => Ok(Json(RevokeOutcome::NotFound)),
        Err(Error::Refused(refusal)) => {
            Ok(Json(RevokeOutcome::Refused { message: refusal.sentence().to_owned() }))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether the namespace got it: by a method of its own, or by a request of its own through an issuer.
fn belongs_to(row: &CertificateRow, namespace: &str) -> bool {
    let by_request = row.protocol == Protocol::Issuer && row.owner == Some(namespace_owner(namespace));
    by_request || row.method.namespace() == namespace
}

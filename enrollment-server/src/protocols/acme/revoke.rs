//! Revocation (RFC 8555 §7.6): by the account that a certificate was issued to, by one that holds valid authorizations for
//! all its names, or by whoever holds its key.

use std::collections::HashSet;

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use issuance::{
    Error,
    audit::Actor,
    authority::Office,
    identity::KeyId,
    revocation::Revocation,
    store::{CertificateRow, CertificateStatus, Page},
};
use pki::{certificate::Certificate, extension::ReasonCode, general_name::GeneralName};

use super::{
    auth::{ByAccount, ByEither},
    error::AcmeError,
    exchange::Exchange,
    wire::objects::RevokeCert,
};

/// Orders of an account that are looked through for authorizations, the newest first.
const MAX_ORDERS: usize = 1000;
const PAGE: usize = 100;

/// RFC 8555 §7.6.
pub(super) async fn revoke_cert(request: &mut ByEither) -> Result<Response, AcmeError> {
    if let ByEither::Account(signed) = request {
        // What is committed here says nothing of the account: it must be what it is now.
        signed.refresh_cached().await?;
    }
    let request = &*request;
    let (exchange, payload) = match request {
        ByEither::Account(signed) => (&signed.exchange, &signed.payload),
        ByEither::Key(signed) => (&signed.exchange, &signed.payload),
    };
    let asked = RevokeCert::parse(&payload.object()?)?;
    let reason = reason(asked.reason)?;
    let certificate = Certificate::from_der(&asked.certificate)
        .map_err(|error| AcmeError::Malformed(format!("the certificate cannot be read: {error}")))?;
    let row = find(exchange, &certificate).await?;
    let (name, credential) = match request {
        ByEither::Account(signed) => {
            check_may_revoke(signed, &row, &certificate).await?;
            let binding = signed.account.binding.as_ref();
            (signed.account.requester(), binding.map(|binding| binding.credential.clone()))
        }
        ByEither::Key(signed) => {
            if !signed.key.is(certificate.public_key()) {
                return Err(AcmeError::Unauthorized("the request is not signed with the certificate's key"));
            }
            ("certificate key".into(), None)
        }
    };
    if let CertificateStatus::Revoked { .. } = row.status {
        return Err(AcmeError::AlreadyRevoked);
    }
    let actor = Actor::Requester {
        protocol: exchange.service.method.protocol,
        name,
        address: Some(exchange.address.to_string()),
        credential,
    };
    let revocation = Revocation::Revoke { reason, invalidity_date: None };
    let revoked = exchange.app.engine.revoke(row.issuer, &row.serial, revocation, actor).await;
    match revoked {
        Ok(_) => {}
        // Somebody else was first, with another reason perhaps: what counts is that it is done.
        Err(Error::Conflict(reason)) => {
            let row = exchange.app.engine.store().certificate(row.issuer, &row.serial).await?;
            match row.map(|row| row.status) {
                Some(CertificateStatus::Revoked { .. }) => return Err(AcmeError::AlreadyRevoked),
                Some(CertificateStatus::Valid | CertificateStatus::Held { .. }) | None => {
                    return Err(Error::Conflict(reason).into());
                }
            }
        }
        Err(error) => return Err(error.into()),
    }
    tracing::Span::current().record("serial", tracing::field::display(&row.serial));
    Ok(StatusCode::OK.into_response())
}

/// RFC 5280 §5.3.1, those that may be said of an end entity and for good.
fn reason(code: Option<u64>) -> Result<ReasonCode, AcmeError> {
    let Some(code) = code else { return Ok(ReasonCode::Unspecified) };
    let reason = ReasonCode::from_code(code).ok_or(AcmeError::RevocationReason(code))?;
    match reason {
        ReasonCode::Unspecified
        | ReasonCode::KeyCompromise
        | ReasonCode::AffiliationChanged
        | ReasonCode::Superseded
        | ReasonCode::CessationOfOperation
        | ReasonCode::PrivilegeWithdrawn => Ok(reason),
        ReasonCode::CaCompromise
        | ReasonCode::CertificateHold
        | ReasonCode::RemoveFromCrl
        | ReasonCode::AaCompromise => Err(AcmeError::RevocationReason(code)),
    }
}

/// The row of exactly this certificate, of this method.
async fn find(exchange: &Exchange, certificate: &Certificate) -> Result<CertificateRow, AcmeError> {
    for issuer in issuers(certificate, &exchange.serving.office) {
        let row = exchange.app.engine.store().certificate(issuer, certificate.serial()).await?;
        let same =
            |row: &CertificateRow| row.method == exchange.service.method.name && row.der == certificate.der();
        if let Some(row) = row.filter(same) {
            return Ok(row);
        }
    }
    Err(AcmeError::NotFound("certificate"))
}

/// The keys that may have signed it: the one it names, and those of authorities of its issuer's name.
fn issuers(certificate: &Certificate, office: &Office) -> Vec<KeyId> {
    let named = certificate.authority_key_identifier().ok().flatten().and_then(|identifier| identifier.0);
    let named = named.and_then(|octets| <[u8; 20]>::try_from(octets.as_slice()).ok()).map(KeyId);
    let of_name = office
        .authorities
        .values()
        .filter(|authority| authority.certificate.subject() == certificate.issuer())
        .map(|authority| authority.key_id());
    let mut issuers: Vec<KeyId> = named.into_iter().chain(of_name).collect();
    issuers.dedup();
    issuers
}

async fn check_may_revoke(
    request: &ByAccount,
    row: &CertificateRow,
    certificate: &Certificate,
) -> Result<(), AcmeError> {
    if row.requester == request.account.requester() {
        return Ok(());
    }
    let names = certificate.subject_alt_names().unwrap_or_default();
    if !names.is_empty() && controls(request, names).await? {
        return Ok(());
    }
    Err(AcmeError::Unauthorized(
        "the certificate was issued to another account, and this one has no valid authorization for all its names",
    ))
}

/// Whether the account has shown that it controls all these names, and that still counts.
async fn controls(request: &ByAccount, names: Vec<GeneralName>) -> Result<bool, AcmeError> {
    let mut missing: HashSet<String> = HashSet::with_capacity(names.len());
    for name in names {
        match name {
            GeneralName::Dns(name) => drop(missing.insert(name.to_ascii_lowercase())),
            GeneralName::Ip(address) => drop(missing.insert(address.to_string())),
            // No authorization is about such a name.
            GeneralName::Uri(_)
            | GeneralName::Email(_)
            | GeneralName::OtherName { .. }
            | GeneralName::DirectoryName(_)
            | GeneralName::RegisteredId(_) => return Ok(false),
        }
    }
    let (exchange, acting) = (&request.exchange, request.acting());
    let (store, mut page, mut seen) = (exchange.app.engine.store(), Page::first(PAGE), 0);
    while seen < MAX_ORDERS {
        let orders = store.acme_orders_of(&request.account.id, &page).await?;
        let Some((last, _)) = orders.last() else { break };
        page.after = Some(*last);
        seen += orders.len();
        let authorizations = orders.iter().flat_map(|(_, order)| &order.authorizations);
        for valid in authorizations.filter(|one| acting.controls(one)) {
            missing.remove(&valid.name());
        }
        if missing.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

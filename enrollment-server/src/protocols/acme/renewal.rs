//! Renewal information (RFC 9773): when a client should renew a certificate. Nobody signs these requests.

use std::time::Duration;

use axum::response::Response;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use issuance::{
    authority::{Authority, Office},
    identity::KeyId,
    store::{CertificateRow, CertificateStatus},
};
use pki::{serial::SerialNumber, time::Time};
use resolve::CompiledRenewal;

use super::{
    error::AcmeError,
    exchange::{Exchange, json},
    wire::{
        ari::CertId,
        objects::{RenewalInfo, SuggestedWindow},
    },
};

/// RFC 9773 §4.
pub(super) async fn renewal_info(exchange: &Exchange) -> Result<Response, AcmeError> {
    let named: CertId = exchange.part(1, "certificate")?;
    let row = find(exchange, &named).await?.ok_or(AcmeError::NotFound("certificate"))?;
    let settings = &exchange.service.settings.renewal;
    let suggested_window = if must_go(exchange, &row) {
        at_once(exchange.now, row.not_before)
    } else {
        regular(settings, row.not_before, row.not_after)
    };
    let mut response = json(StatusCode::OK, &RenewalInfo { suggested_window, explanation_url: None })?;
    let poll = settings.poll_interval.max(Duration::from_secs(1));
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(poll.as_secs()));
    Ok(response)
}

/// The certificate of this method that an identifier names.
pub(super) async fn find(exchange: &Exchange, named: &CertId) -> Result<Option<CertificateRow>, AcmeError> {
    let Some(issuer) = issuer(named, &exchange.serving.office) else { return Ok(None) };
    let row = exchange.app.engine.store().certificate(issuer, &named.serial()).await?;
    Ok(row.filter(|row| row.method == exchange.service.method.name))
}

/// How a certificate is named (RFC 9773 §4.1).
pub(super) fn name(office: &Office, issuer: KeyId, serial: SerialNumber) -> CertId {
    let stated = office.authority_by_key(issuer).and_then(|authority| stated(authority));
    CertId::new(stated.unwrap_or_else(|| issuer.0.to_vec()), serial)
}

/// An imported authority may state an identifier of another length than ours, which is the one in what it signs.
fn issuer(named: &CertId, office: &Office) -> Option<KeyId> {
    match <[u8; 20]>::try_from(named.key_identifier()) {
        Ok(octets) => Some(KeyId(octets)),
        Err(_) => {
            let mut authorities = office.authorities.values();
            let found = authorities.find(|one| stated(one).as_deref() == Some(named.key_identifier()));
            found.map(|authority| authority.key_id())
        }
    }
}

fn stated(authority: &Authority) -> Option<Vec<u8>> {
    authority.certificate.subject_key_identifier().ok().flatten().map(|identifier| identifier.0)
}

/// Revoked, or of an authority that the method does not issue with any more.
fn must_go(exchange: &Exchange, row: &CertificateRow) -> bool {
    match row.status {
        CertificateStatus::Revoked { .. } => true,
        CertificateStatus::Valid | CertificateStatus::Held { .. } => {
            !exchange.service.issues_with(row.issuer)
        }
    }
}

/// In the past, so that whoever asks renews now (RFC 9773 §4.2), and within the certificate's own time: cert-manager takes a window
/// that begins before for one of a former certificate, and goes by its own reckoning.
fn at_once(now: Time, from: Time) -> SuggestedWindow {
    const HOUR: i64 = 3600;
    let start = now.plus_seconds(-2 * HOUR).max(from.plus_seconds(1));
    SuggestedWindow { start, end: now.plus_seconds(-HOUR).max(start.plus_seconds(1)) }
}

/// The part of the lifetime that the method says; never empty (RFC 9773 §4.2).
fn regular(settings: &CompiledRenewal, from: Time, until: Time) -> SuggestedWindow {
    let lifetime = until.unix().saturating_sub(from.unix()).max(0);
    let after = |hundredths: u8| from.plus_seconds(lifetime.saturating_mul(i64::from(hundredths)) / 100);
    let start = after(settings.window_start);
    SuggestedWindow { start, end: after(settings.window_end).max(start.plus_seconds(1)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_go_is_to_be_renewed_in_the_past_and_not_before_it_began() {
        let now = Time::from_unix(1_800_000_000);
        let old = at_once(now, now.plus_seconds(-86_400));
        assert_eq!((old.start, old.end), (now.plus_seconds(-7200), now.plus_seconds(-3600)));
        let from = now.plus_seconds(-300);
        let young = at_once(now, from);
        assert_eq!((young.start, young.end), (from.plus_seconds(1), from.plus_seconds(2)));
    }

    #[test]
    fn the_window_is_a_part_of_the_lifetime_whatever_its_length() {
        let settings = CompiledRenewal { window_start: 50, window_end: 75, ..CompiledRenewal::default() };
        let from = Time::from_unix(1_800_000_000);
        let window = regular(&settings, from, from.plus_seconds(400));
        assert_eq!((window.start, window.end), (from.plus_seconds(200), from.plus_seconds(300)));
        let shortest = regular(&settings, from, from);
        assert_eq!((shortest.start, shortest.end), (from, from.plus_seconds(1)));
    }
}

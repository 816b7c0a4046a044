//! The certificate and its chain (RFC 8555 §7.4.2).

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, LINK},
};
use issuance::{acme::AccountRow, identity::CertificateId};
use pki::pem;

use super::{
    auth::ByAccount,
    error::AcmeError,
    exchange::{Exchange, link},
    issued::IssuedCertificate,
};

/// RFC 8555 §9.1.
const PEM_CHAIN: &str = "application/pem-certificate-chain";

/// RFC 8555 §7.4.2: the one chain, or an alternate.
pub(super) async fn certificate(request: &ByAccount) -> Result<Response, AcmeError> {
    request.payload.post_as_get()?;
    let exchange = &request.exchange;
    let id: CertificateId = exchange.part(1, "certificate")?;
    let found = find(exchange, id, &request.account).await?;
    check_accept(&request.headers)?;
    let chosen: usize = match exchange.target.part(2) {
        Some(_) => exchange.part(2, "chain")?,
        None => 0,
    };
    let chains = exchange.service.chains(id.issuer);
    let above = match chains {
        Some(chains) => chains.get(chosen).cloned().ok_or(AcmeError::NotFound("chain"))?,
        // Its authority is not of this server any more: what is left is the certificate itself.
        None if chosen == 0 => Bytes::new(),
        None => return Err(AcmeError::NotFound("chain")),
    };
    tracing::Span::current().record("serial", tracing::field::display(&id.serial));
    let mut body = pem::encode("CERTIFICATE", &found.der).into_bytes();
    body.extend_from_slice(&above);
    let mut response = ([(CONTENT_TYPE, HeaderValue::from_static(PEM_CHAIN))], body).into_response();
    let url = exchange.urls().certificate(id.issuer, &id.serial);
    for other in (0..chains.map_or(0, super::Chains::len)).filter(|other| *other != chosen) {
        let url = if other == 0 { url.clone() } else { format!("{url}/{other}") };
        response.headers_mut().append(LINK, link(&url, "alternate")?);
    }
    Ok(response)
}

/// A certificate of the method, which was issued to this account.
async fn find(
    exchange: &Exchange,
    id: CertificateId,
    account: &AccountRow,
) -> Result<IssuedCertificate, AcmeError> {
    let (method, requester) = (&exchange.service.method.name, account.requester());
    let is_ours = |found: &IssuedCertificate| found.method == *method && found.requester == requester;
    if let Some(found) = exchange.app.acme.issued.take(&id, is_ours) {
        return Ok(found);
    }
    let row = exchange.app.engine.store().certificate(id.issuer, &id.serial).await?;
    let row = row.filter(|row| row.method == *method).ok_or(AcmeError::NotFound("certificate"))?;
    if row.requester != requester {
        return Err(AcmeError::Unauthorized("the certificate was issued to another account"));
    }
    Ok(row.into())
}

/// RFC 9110 §12.5.1: no header is any type.
fn check_accept(headers: &HeaderMap) -> Result<(), AcmeError> {
    let mut accepted = headers.get_all(ACCEPT).iter().peekable();
    if accepted.peek().is_none() {
        return Ok(());
    }
    let ranges = accepted.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let mut kinds = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    let takes = |kind: &str| kind == "*/*" || kind == "application/*" || kind.eq_ignore_ascii_case(PEM_CHAIN);
    if kinds.any(takes) { Ok(()) } else { Err(AcmeError::NotAcceptable) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_type_there_is_must_be_among_those_that_are_taken() {
        let headers = |values: &[&'static str]| {
            let values = values.iter().map(|value| (ACCEPT, HeaderValue::from_static(value)));
            values.collect::<HeaderMap>()
        };
        for taken in [
            &[][..],
            &["*/*"],
            &["application/*;q=0.5"],
            &["application/pkix-cert, application/pem-certificate-chain;q=0.9"],
            &["text/html", "Application/PEM-certificate-chain"],
        ] {
            assert!(check_accept(&headers(taken)).is_ok(), "{taken:?}");
        }
        for refused in [&["application/pkix-cert"][..], &["text/*, application/pkcs7-mime"], &[""]] {
            assert!(check_accept(&headers(refused)).is_err(), "{refused:?}");
        }
    }
}

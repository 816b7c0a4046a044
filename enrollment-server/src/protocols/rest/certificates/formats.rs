//! The forms in which certificates are downloaded.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue,
    header::{CONTENT_DISPOSITION, CONTENT_TYPE},
};
use issuance::{Error, authority::Authority, store::CertificateRow};
use pki::certificate_format::CertificateFormat;
use utoipa::ToSchema;

use super::object::id_of;
use crate::protocols::rest::{accept::Offer, error::RestError};

/// The first where nothing else is asked for; the leaf alone, whose type is the same, is asked for by name.
pub(super) const OFFERS: [Offer<CertificateFormat>; 5] = [
    offer("fullchain", CertificateFormat::FullChain, "application/pem-certificate-chain"),
    offer("pem", CertificateFormat::Pem, "application/pem-certificate-chain"),
    offer("der", CertificateFormat::Der, "application/pkix-cert"),
    offer("pkcs7", CertificateFormat::Pkcs7, "application/pkcs7-mime"),
    offer("pkcs7-pem", CertificateFormat::Pkcs7Pem, "application/x-pem-file"),
];

/// The names of [`OFFERS`].
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only described: `choose` reads them")]
pub(super) enum Name {
    Fullchain,
    Pem,
    Der,
    Pkcs7,
    Pkcs7Pem,
}

const fn offer(
    name: &'static str,
    form: CertificateFormat,
    media_type: &'static str,
) -> Offer<CertificateFormat> {
    Offer { name, media_type, form }
}

/// The download. `authority` is none where it is not one of this server any more, or the certificate is self-signed: then there
/// is nothing but the certificate itself.
///
/// # Errors
/// [`Error::Internal`], which no format of ours causes.
pub(super) fn download(
    row: &CertificateRow,
    authority: Option<&Authority>,
    format: CertificateFormat,
) -> Result<Response, RestError> {
    let chain: Vec<&[u8]> =
        authority.map(Authority::presented_chain).unwrap_or_default().iter().map(Vec::as_slice).collect();
    let name = format!("attachment; filename=\"{}.{}\"", id_of(row), format.extension());
    let name = HeaderValue::from_str(&name).map_err(|error| Error::Internal(error.to_string()))?;
    let headers =
        [(CONTENT_TYPE, HeaderValue::from_static(format.media_type())), (CONTENT_DISPOSITION, name)];
    Ok((headers, format.encode(&row.der, &chain)).into_response())
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema as _;

    use super::*;

    #[test]
    fn the_names_that_are_described_are_those_of_the_offers() {
        let described = serde_json::to_value(Name::schema()).unwrap();
        assert_eq!(described["enum"], serde_json::json!(OFFERS.map(|offer| offer.name)));
    }

    #[test]
    fn every_format_is_offered_once_and_as_what_it_is() {
        for format in CertificateFormat::ALL {
            let mut offers = OFFERS.iter().filter(|offer| offer.form == format);
            let offer = offers.next().unwrap();
            assert!(offers.next().is_none());
            assert_eq!(format.media_type().split(';').next(), Some(offer.media_type));
        }
    }
}

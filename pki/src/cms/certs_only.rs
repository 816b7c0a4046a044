//! Bundles of certificates: the degenerate `SignedData` without signers (RFC 5652 §5.1, RFC 7030 §4.1.3).
//!
//! The set of certificates is written in the order given, because some clients take the first one for their own; the
//! `cms` crate would sort it.

use der::{Decode, Encode};

use super::{DATA, SIGNED_DATA};
use crate::der_io::{DerError, Reader, Writer, parse_all, tag};

/// Why bytes are not a bundle of certificates.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    #[error("the CMS message is malformed")]
    Malformed(#[from] DerError),
    #[error("the CMS message is malformed")]
    ContentInfo,
    #[error("the CMS message is not SignedData")]
    NotSignedData,
    #[error("the CMS message has content or signers, where only certificates are expected")]
    NotDegenerate,
    #[error("the CMS message holds something else than X.509 certificates")]
    NotCertificate,
}

/// A `ContentInfo` with the DER of these certificates in this order: the leaf first, then its issuers.
pub fn certs_only(certificates: &[&[u8]]) -> Vec<u8> {
    let octets: usize = certificates.iter().map(|certificate| certificate.len()).sum();
    let mut writer = Writer::with_capacity(octets + 64);
    writer.sequence(|content_info| {
        content_info.oid(&SIGNED_DATA);
        content_info.nested(tag::context_constructed(0), |explicit| {
            explicit.sequence(|signed_data| {
                // RFC 5652 §5.1: version 1 where all certificates are X.509 and the content is id-data.
                signed_data.small_unsigned(1);
                signed_data.nested(tag::SET, |_digest_algorithms| ());
                signed_data.sequence(|content| content.oid(&DATA));
                signed_data.nested(tag::context_constructed(0), |set| {
                    certificates.iter().for_each(|certificate| set.raw(certificate));
                });
                signed_data.nested(tag::SET, |_signer_infos| ());
            });
        });
    });
    writer.into_vec()
}

/// The DER of the certificates in such a bundle, in the order of the encoding. CRLs in it are read over.
pub fn certs_only_certificates(der: &[u8]) -> Result<Vec<Vec<u8>>, CmsError> {
    let content_info = cms::content_info::ContentInfo::from_der(der).map_err(|_| CmsError::ContentInfo)?;
    if content_info.content_type != SIGNED_DATA {
        return Err(CmsError::NotSignedData);
    }
    let content = content_info.content.to_der().map_err(|_| CmsError::ContentInfo)?;
    parse_all(&content, |reader| reader.sequence(read_signed_data))
}

fn read_signed_data(signed_data: &mut Reader<'_>) -> Result<Vec<Vec<u8>>, CmsError> {
    signed_data.small_unsigned()?;
    signed_data.value(tag::SET)?;
    signed_data.sequence(|content| {
        if content.oid()? == DATA && content.is_empty() { Ok(()) } else { Err(CmsError::NotDegenerate) }
    })?;
    let certificates = signed_data.optional_nested(tag::context_constructed(0), |set| {
        let mut certificates = Vec::new();
        while !set.is_empty() {
            let certificate = set.any()?;
            // RFC 5652 §10.2.2: every alternative but a plain certificate has a context-specific tag.
            if certificate.tag != tag::SEQUENCE {
                return Err(CmsError::NotCertificate);
            }
            certificates.push(certificate.raw.to_vec());
        }
        Ok(certificates)
    })?;
    signed_data.optional(tag::context_constructed(1))?;
    if !signed_data.value(tag::SET)?.is_empty() {
        return Err(CmsError::NotDegenerate);
    }
    Ok(certificates.unwrap_or_default())
}

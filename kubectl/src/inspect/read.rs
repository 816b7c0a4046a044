//! Which kinds of things are in a file.

use anyhow::{Context as _, bail};
use pki::{
    certificate::Certificate,
    cms::certs_only_certificates,
    crl::CertificateList,
    csr::UnverifiedCsr,
    key::PublicKey,
    pem::{self, Block},
};

use super::{certificate, crl, csr, description::Description, key};

/// Everything in a file, in its order: PEM blocks with their labels, or one thing in DER.
pub(super) fn all(contents: &[u8], entries: bool) -> anyhow::Result<Vec<Description>> {
    if contents.is_empty() {
        bail!("it is empty");
    }
    let blocks = pem::decode_all(contents)?;
    if blocks.is_empty() {
        return der(contents, entries);
    }
    let mut found = Vec::new();
    for (place, block) in blocks.iter().enumerate() {
        let number = place + 1;
        found.extend(labelled(block, entries).with_context(|| format!("block {number}, {}", block.label))?);
    }
    Ok(found)
}

/// RFC 7468 §4 and the labels that OpenSSL has besides.
fn labelled(block: &Block, entries: bool) -> anyhow::Result<Vec<Description>> {
    let der = block.der.as_slice();
    Ok(match block.label.as_str() {
        "CERTIFICATE" | "X509 CERTIFICATE" => vec![certificate::describe(&Certificate::from_der(der)?)],
        "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
            vec![csr::describe(UnverifiedCsr::from_der(der)?)]
        }
        "X509 CRL" => vec![crl::describe(&CertificateList::from_der(der)?, entries)?],
        "PKCS7" | "CMS" => bundle(der)?,
        "PUBLIC KEY" => vec![key::public(&PublicKey::from_spki_der(der)?)],
        "PRIVATE KEY" => vec![key::private(der).context("it is no private key in PKCS #8")?],
        "ENCRYPTED PRIVATE KEY" => {
            vec![key::encrypted(der).context("it is no encrypted private key in PKCS #8")?]
        }
        "EC PRIVATE KEY" => vec![key::of_type("ECDSA", "SEC 1")],
        "RSA PRIVATE KEY" => vec![key::of_type("RSA", "PKCS #1")],
        "EC PARAMETERS" => Vec::new(),
        other => bail!("{other} is not read here"),
    })
}

/// The first kind that the octets are.
fn der(contents: &[u8], entries: bool) -> anyhow::Result<Vec<Description>> {
    let not_certificate = match Certificate::from_der(contents) {
        Ok(found) => return Ok(vec![certificate::describe(&found)]),
        Err(error) => error,
    };
    let not_list = match CertificateList::from_der(contents) {
        Ok(found) => return Ok(vec![crl::describe(&found, entries)?]),
        Err(error) => error,
    };
    let not_request = match UnverifiedCsr::from_der(contents) {
        Ok(found) => return Ok(vec![csr::describe(found)]),
        Err(error) => error,
    };
    if let Ok(found) = bundle(contents) {
        return Ok(found);
    }
    if let Ok(found) = PublicKey::from_spki_der(contents) {
        return Ok(vec![key::public(&found)]);
    }
    let one = key::private(contents).or_else(|_| key::encrypted(contents)).or_else(|_| key::pkcs12(contents));
    match one {
        Ok(found) => Ok(vec![found]),
        Err(_) => bail!(
            "it holds no PEM, and in DER it is no key, no PKCS #7, no certificate ({not_certificate}), \
             no request ({not_request}) and no revocation list ({not_list})"
        ),
    }
}

/// PKCS #7: certificates alone.
fn bundle(der: &[u8]) -> anyhow::Result<Vec<Description>> {
    let certificates = certs_only_certificates(der)?;
    certificates.iter().map(|der| Ok(certificate::describe(&Certificate::from_der(der)?))).collect()
}

//! PEM that a resource or a Secret holds: certificates and revocation lists. Errors are the end of a sentence that begins with
//! where the text is.

use pki::{certificate::Certificate, crl::CertificateList, extension::KeyUsageBit, pem};

use crate::authority::causes;

/// Most bytes of one text of certificates, or of one key, that are looked at.
pub(crate) const MOST_BYTES: usize = 256 * 1024;

/// Most bytes of one text of revocation lists: what a Secret can hold.
const MOST_LIST_BYTES: usize = 1024 * 1024;

/// Most revocation lists of one text.
const MOST_LISTS: usize = 16;

/// The certificates of a text, at most so many. No certificate is an error of the caller's to find.
pub(crate) fn certificates(text: &[u8], most: usize) -> Result<Vec<Certificate>, String> {
    let blocks = blocks(text, "CERTIFICATE", MOST_BYTES)?;
    if blocks.len() > most {
        return Err(format!("holds {} certificates; {most} are the most", blocks.len()));
    }
    let parse =
        |der: &Vec<u8>| Certificate::from_der(der).map_err(|error| format!("holds {}", causes(&error)));
    blocks.iter().map(parse).collect()
}

/// The revocation lists of a text, at least one, each complete.
pub(crate) fn revocation_lists(text: &[u8]) -> Result<Vec<CertificateList>, String> {
    let blocks = blocks(text, "X509 CRL", MOST_LIST_BYTES)?;
    if blocks.is_empty() {
        return Err("holds no revocation list".to_owned());
    }
    if blocks.len() > MOST_LISTS {
        return Err(format!("holds {} revocation lists; {MOST_LISTS} are the most", blocks.len()));
    }
    blocks.iter().map(|der| revocation_list(der)).collect()
}

/// Whether a certificate is an authority's, with `below` authorities between it and an end entity (RFC 5280 §4.2.1.9).
pub(crate) fn check_authority(certificate: &Certificate, below: usize) -> Result<(), String> {
    let subject = certificate.subject();
    let constraints = certificate.basic_constraints().map_err(|error| causes(&error))?;
    let Some(constraints) = constraints.filter(|constraints| constraints.ca) else {
        return Err(format!("\"{subject}\" is no authority (basicConstraints)"));
    };
    let usage = certificate.key_usage().map_err(|error| causes(&error))?;
    if !usage.is_none_or(|usage| usage.contains(KeyUsageBit::KeyCertSign)) {
        return Err(format!("\"{subject}\" may not sign certificates (keyUsage)"));
    }
    if constraints.path_length.is_some_and(|length| usize::from(length) < below) {
        return Err(format!(
            "\"{subject}\" lets fewer authorities follow than there are (pathLenConstraint)"
        ));
    }
    Ok(())
}

fn revocation_list(der: &[u8]) -> Result<CertificateList, String> {
    let list = CertificateList::from_der(der).map_err(|error| format!("holds {}", causes(&error)))?;
    if !list.is_complete() {
        return Err(format!(
            "holds a delta or a part of the revocation list of \"{}\"; the complete one is needed",
            list.issuer()
        ));
    }
    if let Some(error) = list.entries().find_map(Result::err) {
        return Err(format!("holds a revocation list of \"{}\": {}", list.issuer(), causes(&error)));
    }
    Ok(list)
}

/// What the PEM blocks hold, all with this label.
fn blocks(text: &[u8], label: &str, most_bytes: usize) -> Result<Vec<Vec<u8>>, String> {
    if text.len() > most_bytes {
        return Err("is too large".to_owned());
    }
    let blocks = pem::decode_all(text).map_err(|error| format!("is not PEM: {error}"))?;
    if let Some(other) = blocks.iter().find(|block| block.label != label) {
        return Err(format!("holds a {}; only {label} belongs there", other.label));
    }
    Ok(blocks.into_iter().map(|block| block.der).collect())
}

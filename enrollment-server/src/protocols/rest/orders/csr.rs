//! Certificate requests (RFC 2986) in bodies, and whether an order and its request ask for the same.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::request::Asked;
use pki::{
    csr::{Csr, UnverifiedCsr},
    general_name::GeneralName,
    name::Name,
    pem,
};

use super::super::error::RestError;

const POINTER: &str = "/csr";

/// The request of a member `csr`: PEM (RFC 7468 §7), or DER in base64. That whoever made it holds the key is proved.
///
/// # Errors
/// [`RestError::Invalid`].
pub(super) fn read(text: &str) -> Result<Csr, RestError> {
    let der = if text.contains("-----BEGIN") { from_pem(text)? } else { from_base64(text)? };
    let csr = UnverifiedCsr::from_der(&der).and_then(UnverifiedCsr::verify);
    csr.map_err(|error| RestError::invalid(POINTER, error.to_string()))
}

fn from_pem(text: &str) -> Result<Vec<u8>, RestError> {
    let blocks = pem::decode_all(text.as_bytes());
    let mut blocks = blocks.map_err(|error| RestError::invalid(POINTER, error.to_string()))?;
    // RFC 7468 §7: programs write both.
    blocks.retain(|block| matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST"));
    match <[pem::Block; 1]>::try_from(blocks) {
        Ok([block]) => Ok(block.der),
        Err(_) => Err(RestError::invalid(POINTER, "one PEM block CERTIFICATE REQUEST is expected")),
    }
}

fn from_base64(text: &str) -> Result<Vec<u8>, RestError> {
    let folded: String = text.split_ascii_whitespace().collect();
    let der = STANDARD.decode(folded);
    der.map_err(|_| RestError::invalid(POINTER, "PEM, or DER in base64, is expected"))
}

/// Whether what the order says is what its request says; what the order does not speak of is the request's.
///
/// # Errors
/// [`RestError::Invalid`], at what the order says.
pub(super) fn check_agrees(
    csr: &Csr,
    names: &[GeneralName],
    subject: Option<&Name>,
) -> Result<(), RestError> {
    if !names.is_empty() {
        let asked = Asked::from_csr(csr).map_err(|error| RestError::invalid(POINTER, error.public()))?;
        let (of_csr, of_order) = (spelled(&asked.subject_alt_names), spelled(names));
        if of_csr != of_order {
            let sentence = format!(
                "the order is for [{}] and its certificate request for [{}]",
                of_order.join(", "),
                of_csr.join(", ")
            );
            return Err(RestError::invalid("/domains", sentence));
        }
    }
    match subject {
        Some(subject) if !subject.attributes().eq(csr.subject().attributes()) => {
            let sentence = format!(
                "the order is for \"{subject}\" and its certificate request for \"{}\"",
                csr.subject()
            );
            Err(RestError::invalid("/subject", sentence))
        }
        Some(_) | None => Ok(()),
    }
}

/// Sorted, each once, DNS names in small letters (RFC 4343).
fn spelled(names: &[GeneralName]) -> Vec<String> {
    let mut spelled: Vec<String> = names
        .iter()
        .map(|name| match name {
            GeneralName::Dns(name) => GeneralName::Dns(name.to_ascii_lowercase()).to_string(),
            other => other.to_string(),
        })
        .collect();
    spelled.sort();
    spelled.dedup();
    spelled
}

//! The certificates of a bundle.

use std::collections::BTreeMap;

use issuance::identity::ResourceName;
use resolve::CompiledAuthority;

/// Authorities that have their certificate, by name.
pub(super) type Authorities<'a> = BTreeMap<&'a ResourceName, &'a CompiledAuthority>;

/// The certificates above an authority and its successor that a peer is to trust, DER, each once. They are the topmost that are
/// known: roots, unless an authority was imported without its own.
///
/// None: the authority has no certificate yet. A successor without one is not waited for.
pub(super) fn anchors<'a>(authorities: &Authorities<'a>, name: &ResourceName) -> Option<Vec<&'a [u8]>> {
    let authority = authorities.get(name)?;
    let mut found = vec![top(authority)];
    let successor = authority.successor.as_ref().and_then(|name| authorities.get(name));
    if let Some(anchor) = successor.map(|successor| top(successor)).filter(|anchor| !found.contains(anchor)) {
        found.push(anchor);
    }
    Some(found)
}

/// As a file of certificates.
pub(super) fn pem(anchors: &[&[u8]]) -> String {
    anchors.iter().map(|der| pki::pem::encode("CERTIFICATE", der)).collect()
}

fn top(authority: &CompiledAuthority) -> &[u8] {
    authority.chain.last().unwrap_or(&authority.certificate)
}

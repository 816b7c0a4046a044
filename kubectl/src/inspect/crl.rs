//! What a revocation list says.

use pki::crl::CertificateList;

use super::description::Description;

pub(super) fn describe(list: &CertificateList, entries: bool) -> anyhow::Result<Description> {
    let mut said = Description::of("CertificateRevocationList");
    said.text("issuer", list.issuer()).text("thisUpdate", list.this_update());
    match list.next_update() {
        Some(next) => said.text("nextUpdate", next),
        None => said.text("nextUpdate", "none"),
    };
    match list.signature_algorithm() {
        Ok(algorithm) => said.text("signatureAlgorithm", algorithm),
        Err(error) => said.text("signatureAlgorithm", error),
    };
    if let Some(number) = list.number()? {
        said.number("number", number.0);
    }
    if let Some(id) = list.authority_key_identifier()?.and_then(|identifier| identifier.0) {
        said.text("authorityKeyIdentifier", hex::encode(id));
    }
    said.flag("complete", list.is_complete());
    let (mut count, mut shown) = (0, Vec::new());
    for entry in list.entries() {
        let entry = entry?;
        count += 1;
        if entries {
            let reason = entry.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            shown.push(format!("{} {}{reason}", entry.serial, entry.revoked_at));
        }
    }
    said.number("revoked", count).list("entries", shown);
    Ok(said)
}

//! `dns-01` (RFC 8555 §8.4): a TXT record below the name.

use issuance::acme::Identifier;

use super::{
    failure::{Deadline, ValidationFailure, quoted},
    resolver::Resolver,
};

/// Texts that are shown where none is the right one.
const SHOWN: usize = 3;

/// `digest`: base64url of the SHA-256 of the key authorization.
pub(super) async fn validate(
    resolver: &Resolver,
    identifier: &Identifier,
    digest: &str,
    deadline: Deadline,
) -> Result<(), ValidationFailure> {
    let Identifier::Dns(domain) = identifier else {
        // RFC 8738 §7.
        return Err(ValidationFailure::unauthorized("an address cannot be proved by DNS"));
    };
    let name = format!("_acme-challenge.{domain}");
    let found = resolver.txt(&name, deadline).await?;
    let texts = found.records;
    if texts.iter().any(|text| text == digest.as_bytes()) {
        return Ok(());
    }
    let what = match texts.len() {
        0 => "no TXT record".to_owned(),
        count => {
            let shown: Vec<_> = texts.iter().take(SHOWN).map(|text| quoted(text)).collect();
            let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
            format!("the TXT records {}{more}, none of which is the digest", shown.join(", "))
        }
    };
    let failure = ValidationFailure::incorrect(format!("{name} has {what}, {digest} is expected"));
    Err(if found.by_alias { failure.elsewhere() } else { failure })
}

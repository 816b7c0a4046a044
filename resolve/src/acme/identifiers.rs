//! The names that a key is restricted to.

use crds::AcmeIdentifiers;
use issuance::{acme::Restriction, pattern::Pattern};

use crate::{authority::network, status::Problems};

const IDENTIFIERS: &str = "spec.acme.identifiers";

/// The restriction of a key; what is wrong with it is noted, and left out.
pub(crate) fn restriction(given: &AcmeIdentifiers, problems: &mut Problems) -> Restriction {
    if given.dns.is_empty() && given.ip.is_empty() {
        problems.invalid(IDENTIFIERS, "give at least one of dns and ip");
    }
    let mut restriction = Restriction::default();
    for (index, text) in given.dns.iter().enumerate() {
        match Pattern::parse(text) {
            Ok(pattern) => restriction.dns.push(pattern),
            Err(error) => problems.invalid(format!("{IDENTIFIERS}.dns[{index}]"), error),
        }
    }
    for (index, cidr) in given.ip.iter().enumerate() {
        match network(cidr) {
            Ok(network) => restriction.ip.push(network),
            Err(what) => problems.invalid(format!("{IDENTIFIERS}.ip[{index}]"), what),
        }
    }
    restriction
}

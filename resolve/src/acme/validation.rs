//! How challenges are validated: whom to ask, and what may be contacted.

use std::net::{IpAddr, SocketAddr};

use crds::AcmeValidation;

use super::bounds::{Bounds, networks};
use crate::{
    compiled_acme::CompiledValidation,
    length::{MINUTE, SECOND, check_length},
    method::Context,
    status::Problems,
};

/// Of DNS (RFC 1035 §4.2).
const DNS_PORT: u16 = 53;

/// Most attempts for one challenge.
const MOST_ATTEMPTS: u8 = 10;

/// How challenges are validated; what is wrong is noted. `path` is the member that says so.
pub(crate) fn compile(
    context: &Context<'_, '_>,
    path: &str,
    given: &AcmeValidation,
    problems: &mut Problems,
) -> CompiledValidation {
    for (member, port) in [("httpPort", given.http_port), ("tlsAlpnPort", given.tls_alpn_port)] {
        if port == 0 {
            problems.invalid(format!("{path}.{member}"), "must be at least 1");
        }
    }
    if given.attempts == 0 || given.attempts > MOST_ATTEMPTS {
        problems.invalid(format!("{path}.attempts"), format!("must be 1 to {MOST_ATTEMPTS}"));
    }
    check_length(&format!("{path}.timeout"), &given.timeout, SECOND..=MINUTE, problems);
    let bounds = Bounds::of(context, path, problems);
    let mut resolvers = Vec::with_capacity(given.resolvers.len());
    for (index, text) in given.resolvers.iter().enumerate() {
        let path = format!("{path}.resolvers[{index}]");
        match resolver(text) {
            Some(address) => {
                problems.extend(bounds.refuse_resolver(&path, address.ip()));
                resolvers.push(address);
            }
            None => problems.invalid(
                path,
                format!(
                    "{text:?} is not the address of a DNS server, such as 10.0.0.53 or [2001:db8::53]:5353"
                ),
            ),
        }
    }
    let path = format!("{path}.allowedNetworks");
    let allowed_networks = networks(&path, &given.allowed_networks, problems);
    for (index, network) in &allowed_networks {
        problems.extend(bounds.refuse_network(&format!("{path}[{index}]"), network));
    }
    CompiledValidation {
        http_port: given.http_port,
        tls_alpn_port: given.tls_alpn_port,
        resolvers,
        allowed_networks: allowed_networks.into_iter().map(|(_, network)| network).collect(),
        denied_networks: bounds.denied(),
        attempts: u32::from(given.attempts),
        timeout: given.timeout.as_std(),
    }
}

/// An address that one server alone can have, with a port or without.
fn resolver(text: &str) -> Option<SocketAddr> {
    let bare = || text.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, DNS_PORT));
    let address = text.parse::<SocketAddr>().ok().or_else(bare)?;
    let ip = address.ip();
    (address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast()).then_some(address)
}

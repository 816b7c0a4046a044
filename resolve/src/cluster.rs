//! What only a server in a cluster has, and what stands between a server and its clients.

use crds::{EnrollmentServerSpec, ProxyProtocol, ProxyProtocolMode, StorageKind};
use issuance::identity::ResourceName;

use crate::{authority, compiled::CompiledProxyProtocol, status::Problems};

/// Longest name of a server: Kubernetes appends a hash of ten characters and a hyphen to it in a label of 63 characters, and the
/// operator a word of its own.
const LONGEST_NAME: usize = 45;

/// What is wrong with a server that is to run in a cluster.
pub(crate) fn check(name: &ResourceName, spec: &EnrollmentServerSpec, problems: &mut Problems) {
    let text = name.name();
    let begins_with_a_letter = text.starts_with(|first: char| first.is_ascii_lowercase());
    // RFC 1035: a Service has its name.
    if text.len() > LONGEST_NAME || text.contains('.') || !begins_with_a_letter {
        problems.invalid(
            "metadata.name",
            format!(
                "is not the name of a Service: small letters, digits and hyphens, a letter first, at most {LONGEST_NAME}"
            ),
        );
    }
    let one_writer = matches!(spec.storage.kind(), Some(StorageKind::Sqlite(_)));
    if one_writer && spec.effective_replicas() > 1 {
        problems.invalid(
            "spec.replicas",
            "more than one replica needs the storage postgres: one server alone can write a SQLite database",
        );
    }
    for (index, range) in spec.service.load_balancer_source_ranges.iter().enumerate() {
        if let Err(what) = authority::network(range) {
            problems.invalid(format!("spec.service.loadBalancerSourceRanges[{index}]"), what);
        }
    }
}

/// Whose headers are believed; what is wrong with that is noted.
pub(crate) fn proxy_protocol(
    given: &ProxyProtocol,
    problems: &mut Problems,
) -> Option<CompiledProxyProtocol> {
    match given.mode {
        ProxyProtocolMode::Disabled => return None,
        ProxyProtocolMode::Required => {}
    }
    let mut trusted = Vec::with_capacity(given.trusted.len());
    for (index, range) in given.trusted.iter().enumerate() {
        match authority::network(range) {
            Ok(network) => trusted.push(network),
            Err(what) => problems.invalid(format!("spec.proxyProtocol.trusted[{index}]"), what),
        }
    }
    if given.trusted.is_empty() {
        problems.invalid("spec.proxyProtocol.trusted", "is needed: anybody could claim any address");
    }
    // With nobody trusted every connection is closed, which is what was asked for, as far as it can be read.
    Some(CompiledProxyProtocol { trusted })
}

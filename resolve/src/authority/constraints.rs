//! Name constraints (RFC 5280 §4.2.1.10): compiled from a resource, and what they refuse of names that are known already.

use std::net::IpAddr;

use ipnet::IpNet;
use pki::{
    extension::{GeneralSubtree, NameConstraints},
    general_name::GeneralName,
    name::Name,
};

use crate::status::Problems;

/// The constraints of a resource; what is wrong with them is noted.
pub(super) fn compile(given: &crds::NameConstraints, problems: &mut Problems) -> Option<NameConstraints> {
    let compiled = NameConstraints {
        permitted: subtrees("permitted", given.permitted.as_ref(), problems),
        excluded: subtrees("excluded", given.excluded.as_ref(), problems),
    };
    if compiled.permitted.is_empty() && compiled.excluded.is_empty() {
        problems.invalid("spec.nameConstraints", "give at least one entry under permitted or excluded");
        return None;
    }
    Some(compiled)
}

/// Why a name that certificates will carry is refused, where it is.
pub(crate) fn refuse_name(constraints: &[NameConstraints], name: &GeneralName) -> Option<String> {
    refuse(constraints, &format!("{name}"), |subtree| covers(subtree, name))
}

/// Why the subject of an authority is refused, where it is.
pub(super) fn refuse_subject(constraints: &[NameConstraints], subject: &Name) -> Option<String> {
    refuse_name(constraints, &GeneralName::DirectoryName(subject.clone()))
}

/// Why names under this subtree are all refused, where they are.
pub(super) fn refuse_subtree(constraints: &[NameConstraints], subtree: &GeneralSubtree) -> Option<String> {
    let text = describe(subtree);
    for constraint in constraints {
        let same_form = |other: &&GeneralSubtree| is_within(subtree, other).is_some();
        let mut permitted = constraint.permitted.iter().filter(same_form).peekable();
        let meets = |other: &GeneralSubtree| {
            is_within(subtree, other) == Some(true) || is_within(other, subtree) == Some(true)
        };
        if permitted.peek().is_some() && !permitted.any(meets) {
            return Some(format!("{text} lies outside the permitted names"));
        }
        if constraint.excluded.iter().any(|other| is_within(subtree, other) == Some(true)) {
            return Some(format!("{text} lies within the excluded names"));
        }
    }
    None
}

/// `covers`: whether a name lies within a subtree; none where the forms differ.
fn refuse(
    constraints: &[NameConstraints],
    text: &str,
    covers: impl Fn(&GeneralSubtree) -> Option<bool>,
) -> Option<String> {
    for constraint in constraints {
        let mut of_this_form = constraint.permitted.iter().filter_map(&covers).peekable();
        if of_this_form.peek().is_some() && !of_this_form.any(|covered| covered) {
            return Some(format!("{text} lies outside the permitted names"));
        }
        if constraint.excluded.iter().filter_map(&covers).any(|covered| covered) {
            return Some(format!("{text} lies within the excluded names"));
        }
    }
    None
}

fn covers(subtree: &GeneralSubtree, name: &GeneralName) -> Option<bool> {
    match (subtree, name) {
        // A wildcard is judged by the names it stands for.
        (GeneralSubtree::Dns(base), GeneralName::Dns(name)) => {
            Some(dns_within(name.strip_prefix("*.").unwrap_or(name), base))
        }
        (GeneralSubtree::Email(base), GeneralName::Email(mailbox)) => Some(email_within(mailbox, base)),
        (GeneralSubtree::Uri(base), GeneralName::Uri(uri)) => host(uri).map(|host| host_within(host, base)),
        (GeneralSubtree::Ip { address, prefix_length }, GeneralName::Ip(name)) => {
            Some(ip_within(*name, full_length(*name), *address, *prefix_length))
        }
        (GeneralSubtree::DirectoryName(base), GeneralName::DirectoryName(name)) => {
            Some(begins_with(name, base))
        }
        _ => None,
    }
}

/// Whether all names of `inner` are names of `outer`; none where the forms differ.
fn is_within(inner: &GeneralSubtree, outer: &GeneralSubtree) -> Option<bool> {
    match (inner, outer) {
        (GeneralSubtree::Dns(inner), GeneralSubtree::Dns(outer)) => Some(dns_within(inner, outer)),
        (GeneralSubtree::Email(inner), GeneralSubtree::Email(outer)) => Some(email_within(inner, outer)),
        (GeneralSubtree::Uri(inner), GeneralSubtree::Uri(outer)) => Some(host_within(inner, outer)),
        (
            GeneralSubtree::Ip { address: inner, prefix_length: inner_length },
            GeneralSubtree::Ip { address: outer, prefix_length: outer_length },
        ) => Some(ip_within(*inner, *inner_length, *outer, *outer_length)),
        (GeneralSubtree::DirectoryName(inner), GeneralSubtree::DirectoryName(outer)) => {
            Some(begins_with(inner, outer))
        }
        _ => None,
    }
}

/// `example.com` is that name and every name below it; empty is every name.
fn dns_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    let base = base.strip_prefix('.').unwrap_or(&base);
    base.is_empty() || name == base || name.strip_suffix(base).is_some_and(|rest| rest.ends_with('.'))
}

/// A mailbox, a host, or with a leading dot the hosts below a domain. Only hosts have no case (RFC 5280 §7.5).
fn email_within(name: &str, base: &str) -> bool {
    match (name.rsplit_once('@'), base.rsplit_once('@')) {
        (Some((local, host)), Some((base_local, base_host))) => {
            local == base_local && host.eq_ignore_ascii_case(base_host)
        }
        (Some((_, host)), None) => host_within(host, base),
        (None, Some(_)) => false,
        (None, None) => host_within(name, base),
    }
}

/// A host, or with a leading dot every host below it.
fn host_within(name: &str, base: &str) -> bool {
    let (name, base) = (name.to_ascii_lowercase(), base.to_ascii_lowercase());
    if base.starts_with('.') { name.ends_with(&base) } else { name == base }
}

/// The host of a URI that has one; numbers are not judged, since constraints speak of names.
fn host(uri: &str) -> Option<&str> {
    let authority = uri.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty() && !host.starts_with('[') && host.parse::<IpAddr>().is_err()).then_some(host)
}

fn ip_within(inner: IpAddr, inner_length: u8, outer: IpAddr, outer_length: u8) -> bool {
    match (IpNet::new(inner, inner_length), IpNet::new(outer, outer_length)) {
        (Ok(inner), Ok(outer)) => outer.contains(&inner),
        (Ok(_) | Err(_), _) => false,
    }
}

fn full_length(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// RFC 5280 §7.1, near enough for names that people write: types equal, values without regard to case and outer spaces.
fn begins_with(name: &Name, base: &Name) -> bool {
    let mut rdns = name.rdns();
    base.rdns().all(|base| {
        rdns.next().is_some_and(|rdn| {
            rdn.len() == base.len()
                && base.iter().all(|wanted| {
                    rdn.iter().any(|found| {
                        found.kind == wanted.kind
                            && found.value.trim().to_lowercase() == wanted.value.trim().to_lowercase()
                    })
                })
        })
    })
}

fn describe(subtree: &GeneralSubtree) -> String {
    match subtree {
        GeneralSubtree::Dns(text) => format!("dns:{text}"),
        GeneralSubtree::Email(text) => format!("email:{text}"),
        GeneralSubtree::Uri(text) => format!("uri:{text}"),
        GeneralSubtree::Ip { address, prefix_length } => format!("ip:{address}/{prefix_length}"),
        GeneralSubtree::DirectoryName(name) => format!("dirName:{name}"),
    }
}

fn subtrees(part: &str, given: Option<&crds::NameSubtrees>, problems: &mut Problems) -> Vec<GeneralSubtree> {
    let mut found = Vec::new();
    let Some(given) = given else { return found };
    let path = |form: &str, index: usize| format!("spec.nameConstraints.{part}.{form}[{index}]");
    let mut texts = |form: &str, values: &[String], make: fn(String) -> GeneralSubtree| {
        for (index, value) in values.iter().enumerate() {
            if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
                problems.invalid(path(form, index), "is not printable ASCII");
            } else {
                found.push(make(value.clone()));
            }
        }
    };
    texts("dns", &given.dns, GeneralSubtree::Dns);
    texts("email", &given.email, GeneralSubtree::Email);
    texts("uri", &given.uri, GeneralSubtree::Uri);
    for (index, value) in given.ip.iter().enumerate() {
        match network(value) {
            Ok(network) => found
                .push(GeneralSubtree::Ip { address: network.network(), prefix_length: network.prefix_len() }),
            Err(what) => problems.invalid(path("ip", index), what),
        }
    }
    found
}

/// A range of addresses in CIDR notation.
pub(crate) fn network(text: &str) -> Result<IpNet, String> {
    let parsed: IpNet = text
        .parse()
        .map_err(|_| format!("{text:?} is not a range of addresses in CIDR notation, such as 10.0.0.0/8"))?;
    if parsed.addr() != parsed.network() {
        return Err(format!("{text:?} has bits set after its prefix; {} is the range", parsed.trunc()));
    }
    Ok(parsed)
}

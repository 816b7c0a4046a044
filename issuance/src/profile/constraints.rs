//! The name constraints of the authority and of those above it (RFC 5280 §4.2.1.10): a certificate outside them would be
//! refused by everybody who checks, so it is refused here, with the reason.

use std::net::IpAddr;

use pki::{
    extension::{GeneralSubtree, NameConstraints},
    general_name::GeneralName,
    name::{AttributeType, Name},
};

use crate::{
    authority::Authority,
    error::{Refusal, Rule},
};

/// Judges every name of a certificate by every constraint of the chain.
pub(super) fn judge(authority: &Authority, subject: &Name, names: &[GeneralName]) -> Result<(), Refusal> {
    for constraints in authority.name_constraints() {
        let subject_name = (!subject.is_empty()).then(|| GeneralName::DirectoryName(subject.clone()));
        // RFC 5280 §4.2.1.10: addresses in the subject count where there is no subjectAltName.
        let mailboxes =
            subject.attributes().filter(|attribute| attribute.kind == AttributeType::EmailAddress);
        let mailboxes = mailboxes.map(|attribute| GeneralName::Email(attribute.value.clone()));
        let judged: Vec<GeneralName> = subject_name.into_iter().chain(mailboxes).collect();
        for name in names.iter().chain(&judged) {
            check(authority, constraints, name)?;
        }
    }
    Ok(())
}

fn check(authority: &Authority, constraints: &NameConstraints, name: &GeneralName) -> Result<(), Refusal> {
    if constraints.excluded.iter().any(|subtree| covers(subtree, name) == Some(true)) {
        return Err(refusal(authority, "excludes", name));
    }
    let mut of_kind = constraints.permitted.iter().filter_map(|subtree| covers(subtree, name)).peekable();
    if of_kind.peek().is_some() && !of_kind.any(|covered| covered) {
        return Err(refusal(authority, "does not permit", name));
    }
    Ok(())
}

/// Whether the subtree holds the name; none where it speaks of another kind of name.
fn covers(subtree: &GeneralSubtree, name: &GeneralName) -> Option<bool> {
    match (subtree, name) {
        (GeneralSubtree::Dns(base), GeneralName::Dns(host)) => Some(is_below(host, base)),
        (GeneralSubtree::Email(base), GeneralName::Email(mailbox)) => Some(covers_mailbox(base, mailbox)),
        (GeneralSubtree::Uri(base), GeneralName::Uri(uri)) => {
            Some(host_of(uri).is_some_and(|host| covers_host(base, host)))
        }
        (GeneralSubtree::Ip { address, prefix_length }, GeneralName::Ip(ip)) => {
            Some(shares_prefix(*address, *ip, *prefix_length))
        }
        (GeneralSubtree::DirectoryName(base), GeneralName::DirectoryName(name)) => {
            Some(begins_with(name, base))
        }
        (
            GeneralSubtree::Dns(_)
            | GeneralSubtree::Email(_)
            | GeneralSubtree::Uri(_)
            | GeneralSubtree::Ip { .. }
            | GeneralSubtree::DirectoryName(_),
            _,
        ) => None,
    }
}

/// The host itself or a name below it; a wildcard stands for names below.
fn is_below(host: &str, base: &str) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    let base = base.strip_prefix('.').unwrap_or(&base);
    base.is_empty() || host == base || host.strip_suffix(base).is_some_and(|rest| rest.ends_with('.'))
}

/// A host; with a leading dot, all hosts below a domain and not the domain itself.
fn covers_host(base: &str, host: &str) -> bool {
    match base.strip_prefix('.') {
        Some(domain) => is_below(host, domain) && !host.eq_ignore_ascii_case(domain),
        None => host.eq_ignore_ascii_case(base),
    }
}

fn covers_mailbox(base: &str, mailbox: &str) -> bool {
    let Some((local, host)) = mailbox.rsplit_once('@') else { return false };
    match base.rsplit_once('@') {
        Some((base_local, base_host)) => local == base_local && host.eq_ignore_ascii_case(base_host),
        None => covers_host(base, host),
    }
}

fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    Some(host.split_once(':').map_or(host, |(host, _)| host))
}

fn shares_prefix(base: IpAddr, address: IpAddr, bits: u8) -> bool {
    ipnet::IpNet::new(base, bits).is_ok_and(|network| network.contains(&address))
}

/// RFC 5280 §7.1: relative distinguished names are compared without regard to case.
fn begins_with(name: &Name, base: &Name) -> bool {
    let mut of_name = name.rdns();
    base.rdns().all(|expected| {
        of_name.next().is_some_and(|found| {
            found.len() == expected.len()
                && found.iter().zip(expected).all(|(one, other)| {
                    one.kind == other.kind && one.value.to_lowercase() == other.value.to_lowercase()
                })
        })
    })
}

fn refusal(authority: &Authority, verb: &str, name: &GeneralName) -> Refusal {
    Refusal::new(
        Rule::NameConstraints,
        format!("authority.nameConstraints: {} {verb} {}", authority.name, super::quoted(&name.to_string())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(base: GeneralSubtree, name: GeneralName) {
        assert_eq!(covers(&base, &name), Some(true), "{base:?} should hold {name}");
    }

    fn rejects(base: GeneralSubtree, name: GeneralName) {
        assert_eq!(covers(&base, &name), Some(false), "{base:?} should not hold {name}");
    }

    fn dns(text: &str) -> GeneralName {
        GeneralName::Dns(text.into())
    }

    fn below(text: &str) -> GeneralSubtree {
        GeneralSubtree::Dns(text.into())
    }

    #[test]
    fn a_dns_constraint_holds_the_host_and_what_is_below() {
        accepts(below("acme.example"), dns("acme.example"));
        accepts(below("acme.example"), dns("WWW.acme.example"));
        accepts(below("acme.example"), dns("*.acme.example"));
        accepts(below(""), dns("anything.example"));
        rejects(below("acme.example"), dns("evilacme.example"));
        rejects(below("acme.example"), dns("acme.example.evil.example"));
        rejects(below("www.acme.example"), dns("*.acme.example"));
    }

    #[test]
    fn mailboxes_hosts_and_domains_are_told_apart() {
        let email = |text: &str| GeneralName::Email(text.into());
        let base = |text: &str| GeneralSubtree::Email(text.into());
        accepts(base("ann@acme.example"), email("ann@ACME.example"));
        rejects(base("ann@acme.example"), email("bob@acme.example"));
        accepts(base("acme.example"), email("bob@acme.example"));
        rejects(base("acme.example"), email("bob@mail.acme.example"));
        accepts(base(".acme.example"), email("bob@mail.acme.example"));
        rejects(base(".acme.example"), email("bob@acme.example"));
    }

    #[test]
    fn addresses_uris_and_directory_names_are_compared_as_they_should_be() {
        let network = GeneralSubtree::Ip { address: "192.0.2.0".parse().unwrap(), prefix_length: 24 };
        accepts(network.clone(), GeneralName::Ip("192.0.2.77".parse().unwrap()));
        rejects(network.clone(), GeneralName::Ip("192.0.3.1".parse().unwrap()));
        rejects(network, GeneralName::Ip("2001:db8::1".parse().unwrap()));
        let uri = |text: &str| GeneralName::Uri(text.into());
        let hosts = || GeneralSubtree::Uri(".acme.example".into());
        accepts(hosts(), uri("https://user@www.acme.example:8443/x?y"));
        rejects(hosts(), uri("https://acme.example/"));
        rejects(hosts(), uri("urn:uuid:1"));
        let name = |values: &[(AttributeType, &str)]| {
            let attributes: Vec<_> = values
                .iter()
                .map(|(kind, value)| pki::name::Attribute { kind: *kind, value: (*value).into() })
                .collect();
            Name::from_attributes(&attributes).unwrap()
        };
        let base = || GeneralSubtree::DirectoryName(name(&[(AttributeType::Organization, "Acme")]));
        let full = name(&[(AttributeType::Organization, "ACME"), (AttributeType::CommonName, "x")]);
        accepts(base(), GeneralName::DirectoryName(full));
        let other = name(&[(AttributeType::CommonName, "x"), (AttributeType::Organization, "Acme")]);
        rejects(base(), GeneralName::DirectoryName(other));
        assert_eq!(covers(&below("acme.example"), &uri("https://acme.example")), None);
    }
}

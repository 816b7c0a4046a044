//! The subject and the alternative names of a policy.

use std::net::IpAddr;

use crds::{
    CommonNameToDns, DnsNamePolicy, IpAddressPolicy, NamePolicy, OtherNamePolicy, Permission, Presence,
    SubjectAltNamePolicy, SubjectAttribute, SubjectPolicy, Unlisted,
};
use issuance::{
    pattern::Pattern,
    policy::{self, AttributeRule, DnsRule, IpRule, NameRule, OtherNameRule, SubjectAltNamesPolicy},
};
use pki::{
    ObjectIdentifier,
    general_name::{GeneralName, is_valid_dns_name, is_valid_email, is_valid_uri},
    name::{Attribute, AttributeType, Name},
};

use super::usages::oid;
use crate::{authority::network, status::Problems};

const NAMES: &str = "spec.subjectAltNames";

pub(super) fn subject(given: &SubjectPolicy, problems: &mut Problems) -> policy::SubjectPolicy {
    let mut attributes: Vec<AttributeRule> = Vec::with_capacity(given.attributes.len());
    for (index, attribute) in given.attributes.iter().enumerate() {
        let path = format!("spec.subject.attributes[{index}]");
        let Some(rule) = attribute_rule(attribute, &path, problems) else { continue };
        if attributes.iter().any(|earlier| earlier.kind == rule.kind) {
            problems.invalid(&path, format!("{} is there twice", rule.kind));
        }
        attributes.push(rule);
    }
    policy::SubjectPolicy { attributes, others: unlisted(given.others), empty: permission(given.empty) }
}

fn attribute_rule(given: &SubjectAttribute, path: &str, problems: &mut Problems) -> Option<AttributeRule> {
    let kind = AttributeType::from_oid(oid(&format!("{path}.type"), given.type_.oid(), problems)?);
    check_values(path, given.presence, &given.patterns, "patterns", &given.values, problems);
    if given.values.len() > 1 && !repeats(kind) {
        problems.invalid(format!("{path}.values"), format!("a subject has {kind} at most once"));
    }
    for (index, value) in given.values.iter().enumerate() {
        // The upper bounds and characters of RFC 5280 appendix A.1.
        if let Err(error) = Name::from_attributes(&[Attribute { kind, value: value.clone() }]) {
            problems.invalid(format!("{path}.values[{index}]"), error);
        }
    }
    Some(AttributeRule {
        kind,
        presence: presence(given.presence),
        values: given.values.clone(),
        patterns: patterns(path, &given.patterns, problems),
    })
}

/// Types that a subject may have more than once; the engine refuses others.
fn repeats(kind: AttributeType) -> bool {
    matches!(
        kind,
        AttributeType::OrganizationalUnit
            | AttributeType::DomainComponent
            | AttributeType::Organization
            | AttributeType::Street
    )
}

pub(super) fn subject_alt_names(
    given: &SubjectAltNamePolicy,
    problems: &mut Problems,
) -> SubjectAltNamesPolicy {
    let mut other_names: Vec<OtherNameRule> = Vec::with_capacity(given.other_name.len());
    for (index, other) in given.other_name.iter().enumerate() {
        let path = format!("{NAMES}.otherName[{index}]");
        let Some(rule) = other_name(other, &path, problems) else { continue };
        if other_names.iter().any(|earlier| earlier.type_id == rule.type_id) {
            problems.invalid(&path, format!("{} is there twice", rule.type_id.0));
        }
        other_names.push(rule);
    }
    let compiled = SubjectAltNamesPolicy {
        maximum: given.maximum,
        others: unlisted(given.others),
        dns: given.dns.as_ref().map(|dns| dns_rule(dns, problems)),
        ip: given.ip.as_ref().map(|ip| ip_rule(ip, problems)),
        uri: given.uri.as_ref().map(|uri| text_rule("uri", uri, is_valid_uri, problems)),
        email: given.email.as_ref().map(|email| text_rule("email", email, is_valid_email, problems)),
        other_names,
        common_name: match given.common_name_to_dns {
            CommonNameToDns::Copy => policy::CommonNameUse::CopyToDns,
            CommonNameToDns::Ignore => policy::CommonNameUse::Ignore,
        },
    };
    let fixed = fixed(&compiled).len();
    if fixed > usize::from(compiled.maximum) {
        problems.invalid(
            format!("{NAMES}.maximum"),
            format!("{} is less than the {fixed} fixed names", compiled.maximum),
        );
    }
    compiled
}

/// The names that every certificate gets, each with its path.
pub(super) fn fixed(names: &SubjectAltNamesPolicy) -> Vec<(String, GeneralName)> {
    let texts = |form: &str, rule: Option<&NameRule>, make: fn(String) -> GeneralName| {
        let values = rule.map(|rule| rule.values.as_slice()).unwrap_or_default();
        let name = |(index, value): (usize, &String)| {
            (format!("{NAMES}.{form}.values[{index}]"), make(value.clone()))
        };
        values.iter().enumerate().map(name).collect::<Vec<_>>()
    };
    let mut found = texts("dns", names.dns.as_ref().map(|dns| &dns.name), GeneralName::Dns);
    let addresses = names.ip.as_ref().map(|ip| ip.values.as_slice()).unwrap_or_default();
    found.extend(
        addresses
            .iter()
            .enumerate()
            .map(|(index, address)| (format!("{NAMES}.ip.values[{index}]"), GeneralName::Ip(*address))),
    );
    found.extend(texts("uri", names.uri.as_ref(), GeneralName::Uri));
    found.extend(texts("email", names.email.as_ref(), GeneralName::Email));
    for (index, rule) in names.other_names.iter().enumerate() {
        found.extend(rule.name.values.iter().enumerate().map(|(value_index, value)| {
            let path = format!("{NAMES}.otherName[{index}].values[{value_index}]");
            (path, GeneralName::other_name_from_utf8(rule.type_id.0, value))
        }));
    }
    found
}

fn dns_rule(given: &DnsNamePolicy, problems: &mut Problems) -> DnsRule {
    let path = format!("{NAMES}.dns");
    check_values(&path, given.presence, &given.patterns, "patterns", &given.values, problems);
    let wildcards = given.wildcards == Permission::Allowed;
    check_syntax(&path, &given.values, |value| is_valid_dns_name(value, wildcards), problems);
    DnsRule {
        name: NameRule {
            presence: presence(given.presence),
            // Case does not matter (RFC 4343); one spelling makes duplicates visible.
            values: given.values.iter().map(|value| value.to_ascii_lowercase()).collect(),
            patterns: patterns(&path, &given.patterns, problems),
        },
        wildcards: permission(given.wildcards),
    }
}

fn ip_rule(given: &IpAddressPolicy, problems: &mut Problems) -> IpRule {
    let path = format!("{NAMES}.ip");
    check_values(&path, given.presence, &given.cidrs, "cidrs", &given.values, problems);
    let mut values: Vec<IpAddr> = Vec::with_capacity(given.values.len());
    for (index, value) in given.values.iter().enumerate() {
        match value.parse() {
            Ok(address) => values.push(address),
            Err(_) => {
                problems.invalid(format!("{path}.values[{index}]"), format!("{value:?} is not an IP address"))
            }
        }
    }
    let mut networks = Vec::with_capacity(given.cidrs.len());
    for (index, cidr) in given.cidrs.iter().enumerate() {
        match network(cidr) {
            Ok(network) => networks.push(network),
            Err(what) => problems.invalid(format!("{path}.cidrs[{index}]"), what),
        }
    }
    IpRule { presence: presence(given.presence), values, networks }
}

fn text_rule(
    form: &str,
    given: &NamePolicy,
    is_valid: fn(&str) -> bool,
    problems: &mut Problems,
) -> NameRule {
    let path = format!("{NAMES}.{form}");
    check_values(&path, given.presence, &given.patterns, "patterns", &given.values, problems);
    check_syntax(&path, &given.values, is_valid, problems);
    NameRule {
        presence: presence(given.presence),
        values: given.values.clone(),
        patterns: patterns(&path, &given.patterns, problems),
    }
}

fn other_name(given: &OtherNamePolicy, path: &str, problems: &mut Problems) -> Option<OtherNameRule> {
    let type_id: ObjectIdentifier = oid(&format!("{path}.typeId"), given.type_id.as_str(), problems)?;
    check_values(path, given.presence, &given.patterns, "patterns", &given.values, problems);
    check_syntax(path, &given.values, |value| !value.chars().any(char::is_control), problems);
    Some(OtherNameRule {
        type_id: policy::Oid(type_id),
        name: NameRule {
            presence: presence(given.presence),
            values: given.values.clone(),
            patterns: patterns(path, &given.patterns, problems),
        },
    })
}

/// Values with `Fixed` and only then; patterns only without. A policy that says both would mean less than it seems to.
fn check_values(
    path: &str,
    presence: Presence,
    patterns: &[String],
    patterns_member: &str,
    values: &[String],
    problems: &mut Problems,
) {
    let fixed = presence == Presence::Fixed;
    if fixed == values.is_empty() {
        problems.invalid(format!("{path}.values"), "are needed with presence Fixed, and refused otherwise");
    }
    if fixed && !patterns.is_empty() {
        problems.invalid(format!("{path}.{patterns_member}"), "are refused with presence Fixed");
    }
}

fn check_syntax(path: &str, values: &[String], is_valid: impl Fn(&str) -> bool, problems: &mut Problems) {
    for (index, value) in values.iter().enumerate() {
        if !is_valid(value) {
            problems.invalid(
                format!("{path}.values[{index}]"),
                format!("{value:?} is not a name that a certificate can hold"),
            );
        }
    }
}

fn patterns(path: &str, given: &[String], problems: &mut Problems) -> Vec<Pattern> {
    let mut parsed = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        match Pattern::parse(text) {
            Ok(pattern) => parsed.push(pattern),
            Err(error) => problems.invalid(format!("{path}.patterns[{index}]"), error),
        }
    }
    parsed
}

fn presence(given: Presence) -> policy::Presence {
    match given {
        Presence::Allowed => policy::Presence::Allowed,
        Presence::Required => policy::Presence::Required,
        Presence::Fixed => policy::Presence::Fixed,
    }
}

pub(super) fn unlisted(given: Unlisted) -> policy::Unlisted {
    match given {
        Unlisted::Refuse => policy::Unlisted::Refuse,
        Unlisted::Drop => policy::Unlisted::Drop,
    }
}

pub(super) fn permission(given: Permission) -> policy::Permission {
    match given {
        Permission::Allowed => policy::Permission::Allowed,
        Permission::Refused => policy::Permission::Refused,
    }
}

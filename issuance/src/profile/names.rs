//! The subjectAltName: each kind of name by its own rule.

use pki::{
    general_name::{GeneralName, is_valid_dns_name, is_valid_email, is_valid_uri},
    name::{AttributeType, Name},
};

use super::{listed, quoted};
use crate::{
    error::{Refusal, Rule},
    pattern::{Case, Pattern},
    policy::{CommonNameUse, IpRule, NameRule, OtherNameRule, Permission, Presence, Profile, Unlisted},
};

/// The names of the certificate: those asked for that may be there, then the fixed ones.
pub(super) fn judge(
    policy: &Profile,
    asked: &[GeneralName],
    subject: &Name,
) -> Result<Vec<GeneralName>, Refusal> {
    let rules = &policy.subject_alt_names;
    let mut names: Vec<GeneralName> = Vec::with_capacity(asked.len());
    let copied = common_name(policy, subject);
    for name in asked.iter().chain(copied.as_ref()) {
        match (verdict(policy, name), rules.others) {
            (Some((Presence::Fixed, _)), _) | (None, Unlisted::Drop) => {}
            (Some((Presence::Allowed | Presence::Required, judged)), _) => {
                let judged = judged?;
                if !names.contains(&judged) {
                    names.push(judged);
                }
                // Here, so that a request with very many names is not compared name by name.
                if names.len() > usize::from(rules.maximum) {
                    return Err(too_many(policy, asked.len()));
                }
            }
            (None, Unlisted::Refuse) => return Err(of_no_kind(policy, name)),
        }
    }
    check_required(policy, &names)?;
    add_fixed(policy, &mut names);
    if names.len() > usize::from(rules.maximum) {
        return Err(too_many(policy, names.len()));
    }
    Ok(names)
}

/// Whether a certificate could hold this name, whatever else it holds: what a profile would leave out, it could not.
pub(super) fn judge_one(policy: &Profile, name: &GeneralName) -> Result<(), Refusal> {
    match verdict(policy, name) {
        Some((Presence::Allowed | Presence::Required, judged)) => judged.map(drop),
        Some((Presence::Fixed, _)) | None => Err(of_no_kind(policy, name)),
    }
}

/// What the rule for this kind of name says; none where there is no such rule.
fn verdict(policy: &Profile, name: &GeneralName) -> Option<(Presence, Result<GeneralName, Refusal>)> {
    let rules = &policy.subject_alt_names;
    match name {
        GeneralName::Dns(_) => rules.dns.as_ref().map(|rule| (rule.name.presence, dns(policy, name))),
        GeneralName::Ip(_) => rules.ip.as_ref().map(|rule| (rule.presence, ip(policy, rule, name))),
        GeneralName::Uri(text) => rules.uri.as_ref().map(|rule| {
            (rule.presence, text_name(policy, "uri", rule, name, is_valid_uri(text), Case::Sensitive))
        }),
        GeneralName::Email(text) => rules.email.as_ref().map(|rule| {
            (rule.presence, text_name(policy, "email", rule, name, is_valid_email(text), Case::Insensitive))
        }),
        GeneralName::OtherName { type_id, .. } => rules
            .other_names
            .iter()
            .find(|rule| rule.type_id.0 == *type_id)
            .map(|rule| (rule.name.presence, other_name(policy, rule, name))),
        GeneralName::DirectoryName(_) | GeneralName::RegisteredId(_) => None,
    }
}

fn of_no_kind(policy: &Profile, name: &GeneralName) -> Refusal {
    refusal(format!(
        "subjectAltNames: {} does not allow this kind of name; {} was asked for",
        policy.name,
        quoted(&name.to_string())
    ))
}

fn too_many(policy: &Profile, asked: usize) -> Refusal {
    refusal(format!(
        "subjectAltNames.maximum: {} allows {} names; {asked} were asked for",
        policy.name, policy.subject_alt_names.maximum
    ))
}

/// The common name as a DNS name, where the profile says so and it is one.
fn common_name(policy: &Profile, subject: &Name) -> Option<GeneralName> {
    if policy.subject_alt_names.common_name == CommonNameUse::Ignore || policy.subject_alt_names.dns.is_none()
    {
        return None;
    }
    let name = subject.first(AttributeType::CommonName)?;
    is_host(name).then(|| GeneralName::Dns(name.into()))
}

/// Whether a common name is meant to be the DNS name of a host: one word alone is as often something else.
pub(super) fn is_host(common_name: &str) -> bool {
    common_name.contains('.') && is_valid_dns_name(common_name, true)
}

fn dns(policy: &Profile, name: &GeneralName) -> Result<GeneralName, Refusal> {
    let (GeneralName::Dns(text), Some(rule)) = (name, &policy.subject_alt_names.dns) else {
        return Ok(name.clone());
    };
    if !is_valid_dns_name(text, true) {
        return Err(not_valid("dns", text));
    }
    if text.starts_with("*.") && rule.wildcards == Permission::Refused {
        return Err(refusal(format!(
            "subjectAltNames.dns.wildcards: {} does not allow wildcards; {} was asked for",
            policy.name,
            quoted(text)
        )));
    }
    check_patterns(policy, "dns", &rule.name.patterns, text, Case::Insensitive)?;
    // RFC 4343: case does not matter; one spelling makes duplicates visible.
    Ok(GeneralName::Dns(text.to_ascii_lowercase()))
}

fn ip(policy: &Profile, rule: &IpRule, name: &GeneralName) -> Result<GeneralName, Refusal> {
    if let GeneralName::Ip(address) = name
        && !rule.networks.is_empty()
        && !rule.networks.iter().any(|network| network.contains(address))
    {
        let networks: Vec<String> = rule.networks.iter().map(ToString::to_string).collect();
        return Err(refusal(format!(
            "subjectAltNames.ip: {} allows addresses of {}; {address} was asked for",
            policy.name,
            networks.join(", ")
        )));
    }
    Ok(name.clone())
}

fn text_name(
    policy: &Profile,
    kind: &str,
    rule: &NameRule,
    name: &GeneralName,
    valid: bool,
    case: Case,
) -> Result<GeneralName, Refusal> {
    if let GeneralName::Uri(text) | GeneralName::Email(text) = name {
        if !valid {
            return Err(not_valid(kind, text));
        }
        check_patterns(policy, kind, &rule.patterns, text, case)?;
    }
    Ok(name.clone())
}

fn other_name(policy: &Profile, rule: &OtherNameRule, name: &GeneralName) -> Result<GeneralName, Refusal> {
    if rule.name.patterns.is_empty() {
        return Ok(name.clone());
    }
    let Some(text) = name.other_name_utf8() else {
        return Err(refusal(format!(
            "subjectAltNames.otherName: {} compares otherName {} as text; the one asked for is not a UTF8String",
            policy.name, rule.type_id.0
        )));
    };
    check_patterns(policy, "otherName", &rule.name.patterns, &text, Case::Sensitive)?;
    Ok(name.clone())
}

fn check_patterns(
    policy: &Profile,
    kind: &str,
    patterns: &[Pattern],
    text: &str,
    case: Case,
) -> Result<(), Refusal> {
    if patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text, case)) {
        return Ok(());
    }
    Err(refusal(format!(
        "subjectAltNames.{kind}: {} allows names like {}; {} was asked for",
        policy.name,
        listed(patterns),
        quoted(text)
    )))
}

fn check_required(policy: &Profile, names: &[GeneralName]) -> Result<(), Refusal> {
    let rules = &policy.subject_alt_names;
    let has = |wanted: fn(&GeneralName) -> bool| names.iter().any(wanted);
    let missing = |kind: &str| {
        Err(refusal(format!("subjectAltNames.{kind}: {} requires one; the request has none", policy.name)))
    };
    let required = |presence: Option<Presence>| presence == Some(Presence::Required);
    if required(rules.dns.as_ref().map(|rule| rule.name.presence))
        && !has(|n| matches!(n, GeneralName::Dns(_)))
    {
        return missing("dns");
    }
    if required(rules.ip.as_ref().map(|rule| rule.presence)) && !has(|n| matches!(n, GeneralName::Ip(_))) {
        return missing("ip");
    }
    if required(rules.uri.as_ref().map(|rule| rule.presence)) && !has(|n| matches!(n, GeneralName::Uri(_))) {
        return missing("uri");
    }
    if required(rules.email.as_ref().map(|rule| rule.presence))
        && !has(|n| matches!(n, GeneralName::Email(_)))
    {
        return missing("email");
    }
    for rule in &rules.other_names {
        let there = names
            .iter()
            .any(|name| matches!(name, GeneralName::OtherName { type_id, .. } if *type_id == rule.type_id.0));
        if rule.name.presence == Presence::Required && !there {
            return missing("otherName");
        }
    }
    Ok(())
}

fn add_fixed(policy: &Profile, names: &mut Vec<GeneralName>) {
    let rules = &policy.subject_alt_names;
    let fixed = |rule: Option<&NameRule>| match rule {
        Some(rule) if rule.presence == Presence::Fixed => rule.values.clone(),
        Some(_) | None => Vec::new(),
    };
    names.extend(fixed(rules.dns.as_ref().map(|rule| &rule.name)).into_iter().map(GeneralName::Dns));
    if let Some(rule) = &rules.ip
        && rule.presence == Presence::Fixed
    {
        names.extend(rule.values.iter().copied().map(GeneralName::Ip));
    }
    names.extend(fixed(rules.uri.as_ref()).into_iter().map(GeneralName::Uri));
    names.extend(fixed(rules.email.as_ref()).into_iter().map(GeneralName::Email));
    for rule in &rules.other_names {
        let values = fixed(Some(&rule.name)).into_iter();
        names.extend(values.map(|value| GeneralName::other_name_from_utf8(rule.type_id.0, &value)));
    }
}

fn not_valid(kind: &str, text: &str) -> Refusal {
    refusal(format!("subjectAltNames.{kind}: {} is not a name that a certificate can hold", quoted(text)))
}

fn refusal(sentence: String) -> Refusal {
    Refusal::new(Rule::SubjectAltNames, sentence)
}

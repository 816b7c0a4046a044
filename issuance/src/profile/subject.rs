//! The subject: which attributes a requester may, must or cannot choose.

use pki::{
    der_io::{DerError, Reader, parse_all, tag},
    name::{Attribute, AttributeType, Name},
};

use super::{listed, quoted};
use crate::{
    error::{Refusal, Rule},
    pattern::Case,
    policy::{AttributeRule, Presence, Profile, Unlisted},
};

/// The subject of the certificate. Where the profile changes nothing and the encoding is one a certificate may hold,
/// it is kept as it is.
pub(super) fn judge(policy: &Profile, asked: &Name) -> Result<Name, Refusal> {
    let mut kept: Vec<Attribute> = Vec::with_capacity(asked.attributes().len());
    let mut changed = false;
    for attribute in asked.attributes() {
        check_direction(policy, attribute)?;
        match rule_for(policy, attribute.kind) {
            Some(rule) => match rule.presence {
                Presence::Fixed => changed = true,
                Presence::Allowed | Presence::Required => {
                    check_patterns(policy, rule, attribute)?;
                    kept.push(attribute.clone());
                }
            },
            None => match policy.subject.others {
                Unlisted::Drop => changed = true,
                Unlisted::Refuse => return Err(unlisted(policy, attribute)),
            },
        }
    }
    check_once(policy, &kept)?;
    for rule in &policy.subject.attributes {
        match rule.presence {
            Presence::Allowed => {}
            Presence::Required => {
                if !kept
                    .iter()
                    .any(|attribute| attribute.kind == rule.kind && !attribute.value.trim().is_empty())
                {
                    return Err(refusal(format!(
                        "subject.attributes: {} requires {}; the request has none",
                        policy.name,
                        rule.kind.as_str()
                    )));
                }
            }
            Presence::Fixed => {
                changed |= !rule.values.is_empty();
                kept.extend(
                    rule.values.iter().map(|value| Attribute { kind: rule.kind, value: value.clone() }),
                );
            }
        }
    }
    // Built in any case: it checks what each attribute may hold (RFC 5280 appendix A, upper bounds).
    let built = Name::from_attributes(&kept).map_err(|error| refusal(format!("subject: {error}")))?;
    Ok(if changed || !conforms(asked) { built } else { asked.clone() })
}

/// Whether the encoding is one that RFC 5280 §4.1.2.4 lets an authority write: requests also come in BMPString,
/// TeletexString, PrintableString with characters it does not have, and unsorted sets.
fn conforms(name: &Name) -> bool {
    let all_conform = parse_all(name.der(), |reader| {
        reader.sequence(|rdns| {
            let mut all = true;
            while !rdns.is_empty() {
                all &= rdns.nested(tag::SET, rdn_conforms)?;
            }
            Ok::<_, DerError>(all)
        })
    });
    all_conform.unwrap_or(false)
}

fn rdn_conforms(rdn: &mut Reader<'_>) -> Result<bool, DerError> {
    let mut all = true;
    let mut previous: &[u8] = &[];
    while !rdn.is_empty() {
        let pair = rdn.tlv(tag::SEQUENCE)?;
        // X.690 §11.6.
        all &= previous <= pair.raw;
        previous = pair.raw;
        all &= parse_all(pair.value, |pair| {
            let kind = AttributeType::from_oid(pair.oid()?);
            let value = pair.any()?;
            Ok::<_, DerError>(string_type_conforms(kind, value.tag, value.value))
        })?;
    }
    Ok(all)
}

/// RFC 5280 appendix A.1. Types without a name there may be of other syntaxes, but not of the retired ones.
fn string_type_conforms(kind: AttributeType, string_type: u8, value: &[u8]) -> bool {
    let printable = string_type == tag::PRINTABLE_STRING
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(byte));
    match kind {
        AttributeType::Country | AttributeType::SerialNumber | AttributeType::DnQualifier => printable,
        AttributeType::DomainComponent | AttributeType::EmailAddress => string_type == tag::IA5_STRING,
        AttributeType::Other(_) => {
            printable || matches!(string_type, tag::UTF8_STRING | tag::IA5_STRING | tag::NUMERIC_STRING)
        }
        AttributeType::CommonName
        | AttributeType::Surname
        | AttributeType::Locality
        | AttributeType::StateOrProvince
        | AttributeType::Street
        | AttributeType::Organization
        | AttributeType::OrganizationalUnit
        | AttributeType::Title
        | AttributeType::GivenName
        | AttributeType::Initials
        | AttributeType::GenerationQualifier
        | AttributeType::Pseudonym
        | AttributeType::UserId
        | AttributeType::PostalCode
        | AttributeType::OrganizationIdentifier => printable || string_type == tag::UTF8_STRING,
    }
}

/// Characters that turn the direction of writing show a person another name than a program compares.
fn check_direction(policy: &Profile, attribute: &Attribute) -> Result<(), Refusal> {
    let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if !attribute.value.contains(turns) {
        return Ok(());
    }
    Err(refusal(format!(
        "subject.attributes: {} does not allow characters that turn the direction of writing; {} {} was asked for",
        policy.name,
        attribute.kind.as_str(),
        quoted(&attribute.value)
    )))
}

fn rule_for(policy: &Profile, kind: AttributeType) -> Option<&AttributeRule> {
    policy.subject.attributes.iter().find(|rule| rule.kind == kind)
}

fn check_patterns(policy: &Profile, rule: &AttributeRule, attribute: &Attribute) -> Result<(), Refusal> {
    if rule.patterns.is_empty()
        || rule.patterns.iter().any(|p| p.matches(&attribute.value, case(attribute.kind)))
    {
        return Ok(());
    }
    Err(refusal(format!(
        "subject.attributes: {} allows {} like {}; {} was asked for",
        policy.name,
        rule.kind.as_str(),
        listed(&rule.patterns),
        quoted(&attribute.value)
    )))
}

/// X.520 compares directory strings without regard to case; only identifiers of users are safer exact.
fn case(kind: AttributeType) -> Case {
    if kind == AttributeType::UserId { Case::Sensitive } else { Case::Insensitive }
}

/// Which name counts must not be a matter of whom you ask: one of each, but for those that naturally repeat.
fn check_once(policy: &Profile, attributes: &[Attribute]) -> Result<(), Refusal> {
    for (index, attribute) in attributes.iter().enumerate() {
        let repeats = matches!(
            attribute.kind,
            AttributeType::OrganizationalUnit
                | AttributeType::DomainComponent
                | AttributeType::Organization
                | AttributeType::Street
        );
        if !repeats && attributes.iter().take(index).any(|earlier| earlier.kind == attribute.kind) {
            return Err(refusal(format!(
                "subject.attributes: {} allows {} once; the request repeats it",
                policy.name,
                attribute.kind.as_str()
            )));
        }
    }
    Ok(())
}

fn unlisted(policy: &Profile, attribute: &Attribute) -> Refusal {
    refusal(format!(
        "subject.others: {} does not allow {} in the subject; {} was asked for",
        policy.name,
        attribute.kind.as_str(),
        quoted(&attribute.value)
    ))
}

fn refusal(sentence: String) -> Refusal {
    Refusal::new(Rule::Subject, sentence)
}

//! The subject: which attributes a requester may, must or cannot choose.

use pki::name::{Attribute, AttributeType, Name};

use super::{listed, quoted};
use crate::{
    error::{Refusal, Rule},
    pattern::Case,
    policy::{AttributeRule, Presence, Profile, Unlisted},
};

/// The subject of the certificate. Where the profile changes nothing, the request's own encoding is kept.
pub(super) fn judge(policy: &Profile, asked: &Name) -> Result<Name, Refusal> {
    let mut kept: Vec<Attribute> = Vec::with_capacity(asked.attributes().len());
    let mut changed = false;
    for attribute in asked.attributes() {
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
                if !kept.iter().any(|attribute| attribute.kind == rule.kind && !attribute.value.trim().is_empty()) {
                    return Err(refusal(format!(
                        "subject.attributes: {} requires {}; the request has none",
                        policy.name,
                        rule.kind.as_str()
                    )));
                }
            }
            Presence::Fixed => {
                changed |= !rule.values.is_empty();
                kept.extend(rule.values.iter().map(|value| Attribute { kind: rule.kind, value: value.clone() }));
            }
        }
    }
    // Built in any case: it checks what each attribute may hold (RFC 5280 appendix A, upper bounds).
    let built = Name::from_attributes(&kept).map_err(|error| refusal(format!("subject: {error}")))?;
    Ok(if changed { built } else { asked.clone() })
}

fn rule_for(policy: &Profile, kind: AttributeType) -> Option<&AttributeRule> {
    policy.subject.attributes.iter().find(|rule| rule.kind == kind)
}

fn check_patterns(policy: &Profile, rule: &AttributeRule, attribute: &Attribute) -> Result<(), Refusal> {
    if rule.patterns.is_empty() || rule.patterns.iter().any(|p| p.matches(&attribute.value, case(attribute.kind))) {
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

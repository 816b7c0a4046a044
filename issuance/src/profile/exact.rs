//! Nothing that was asked for is changed or left out. For requesters who compare: a Kubernetes object says what its
//! certificate is to be, and either it becomes that or the object says why not.

use std::collections::BTreeSet;

use const_oid::ObjectIdentifier;
use pki::{
    extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectKeyIdentifier, TypedExtension as _},
    general_name::GeneralName,
};

use super::{
    Template, quoted,
    usages::{fits, spoken},
};
use crate::{
    error::{Refusal, Rule},
    policy::Profile,
    request::Asked,
};

/// # Errors
/// The first rule by which the profile gives something else.
pub(super) fn check(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    check_subject(policy, asked, given)?;
    check_names(policy, asked, given)?;
    check_validity(policy, asked, given)?;
    check_basic_constraints(policy, asked, given)?;
    check_key_usage(policy, asked, given)?;
    check_extended_key_usage(policy, asked, given)?;
    check_others(policy, asked, given)
}

/// Fixed attributes come after those that were asked for.
fn check_subject(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let asked_for = asked.subject.attributes();
    if given.subject.attributes().take(asked_for.len()).eq(asked_for) {
        return Ok(());
    }
    Err(Refusal::new(
        Rule::Subject,
        format!(
            "subject: {} would give {}; exactly {} was asked for",
            policy.name,
            quoted(&given.subject.to_string()),
            quoted(&asked.subject.to_string())
        ),
    ))
}

fn check_names(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    for name in &asked.subject_alt_names {
        let lower = match name {
            GeneralName::Dns(text) => GeneralName::Dns(text.to_ascii_lowercase()),
            other => other.clone(),
        };
        if !given.subject_alt_names.contains(&lower) {
            return Err(Refusal::new(
                Rule::SubjectAltNames,
                format!(
                    "subjectAltNames: {} would leave out {}, which was asked for",
                    policy.name,
                    quoted(&name.to_string())
                ),
            ));
        }
    }
    Ok(())
}

fn check_validity(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let wished = asked.validity;
    let seconds = given.not_after.unix() - given.not_before.unix();
    let duration = wished.duration.map(|duration| i64::try_from(duration.as_secs()).unwrap_or(i64::MAX));
    let same = duration.is_none_or(|duration| duration == seconds)
        && wished.not_before.is_none_or(|time| time == given.not_before)
        && wished.not_after.is_none_or(|time| time == given.not_after);
    if same {
        return Ok(());
    }
    let asked = duration.map_or_else(
        || {
            let time = |time: Option<pki::time::Time>| time.map_or_else(String::new, |time| time.to_string());
            format!("{} to {}", time(wished.not_before), time(wished.not_after))
        },
        |duration| format!("{duration} s"),
    );
    Err(Refusal::new(
        Rule::Validity,
        format!("validity.request: {} gives {seconds} s, whatever is asked for; {asked} was", policy.name),
    ))
}

fn check_basic_constraints(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let is_authority = |constraints: Option<&BasicConstraints>| constraints.is_some_and(|found| found.ca);
    let found = BasicConstraints::find(&given.extensions).ok().flatten();
    if is_authority(found.as_ref()) == is_authority(asked.basic_constraints.as_ref()) {
        return Ok(());
    }
    Err(Refusal::new(
        Rule::BasicConstraints,
        format!("basicConstraints: {} makes authorities; none was asked for", policy.name),
    ))
}

/// Usages that a key of this type cannot have are not given to anybody (RFC 8813 §3): every request that cert-manager makes
/// for an EC key names keyEncipherment.
fn check_key_usage(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let Some(wished) = asked.key_usage.filter(|usage| !usage.is_empty()) else { return Ok(()) };
    let key = given.public_key.key_type();
    let fitting: KeyUsage = wished.iter().filter(|usage| fits(*usage, key)).collect();
    let found = KeyUsage::find(&given.extensions).ok().flatten().unwrap_or_default();
    if found == fitting {
        return Ok(());
    }
    Err(Refusal::new(
        Rule::KeyUsage,
        format!("keyUsage: {} gives {found}, whatever is asked for; {wished} was", policy.name),
    ))
}

fn check_extended_key_usage(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let Some(wished) = &asked.extended_key_usage else { return Ok(()) };
    let found = ExtendedKeyUsage::find(&given.extensions).ok().flatten().unwrap_or_default();
    let set = |usage: &ExtendedKeyUsage| usage.0.iter().copied().collect::<BTreeSet<ObjectIdentifier>>();
    if set(&found) == set(wished) {
        return Ok(());
    }
    let listed = |usage: &ExtendedKeyUsage| usage.0.iter().map(spoken).collect::<Vec<_>>().join(", ");
    Err(Refusal::new(
        Rule::ExtendedKeyUsage,
        format!(
            "extendedKeyUsage: {} gives [{}], whatever is asked for; [{}] was",
            policy.name,
            listed(&found),
            listed(wished)
        ),
    ))
}

/// All but the subject key identifier, which is computed from the key in any case.
fn check_others(policy: &Profile, asked: &Asked, given: &Template) -> Result<(), Refusal> {
    let mut others = asked.other_extensions.iter().filter(|wished| wished.oid != SubjectKeyIdentifier::OID);
    match others.find(|wished| !given.extensions.contains(wished)) {
        None => Ok(()),
        Some(missing) => Err(Refusal::new(
            Rule::RequestExtensions,
            format!(
                "requestExtensions: {} would leave out the extension {}, which was asked for",
                policy.name, missing.oid
            ),
        )),
    }
}

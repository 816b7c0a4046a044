//! A request judged by a profile. [`authorize`] is the only way to [`Authorized`], and the engine signs nothing else.
//!
//! | file | rules |
//! | --- | --- |
//! | `subject.rs` | subject attributes: allowed, required, fixed, patterns |
//! | `constraints.rs` | the name constraints of the authority and of those above it |
//! | `names.rs` | subjectAltName: DNS, IP, URI, e-mail, otherName |
//! | `proof.rs` | that whoever asks has proved to control the names, where that is asked for |
//! | `usages.rs` | keyUsage, extendedKeyUsage, basicConstraints, what is copied from the request |
//! | `validity.rs` | notBefore and notAfter; never beyond the authority |
//! | `exact.rs` | that nothing asked for was changed, where that is asked for |
//!
//! Every refusal is one sentence that begins with the field of the CertificateProfile that says no.

mod constraints;
mod exact;
mod names;
mod proof;
mod subject;
#[cfg(test)]
mod tests;
mod usages;
mod validity;

use std::sync::Arc;

use pki::{
    extension::{CertificatePolicies, Extension, SubjectAltName, SubjectKeyIdentifier, TypedExtension as _},
    general_name::GeneralName,
    key::{KeyType, PublicKey},
    name::Name,
    time::Time,
};

use crate::{
    authn::Authenticated,
    authority::IssuingProfile,
    error::{Error, Refusal, Rule},
    policy::{Inclusion, IssuerChoice, Permission, Profile, ProofOfControl},
    request::{Asked, AskedKey, Exactness},
};

/// What a certificate will say, but for serial number and signature.
#[derive(Clone, Debug)]
pub struct Template {
    pub subject: Name,
    pub subject_alt_names: Vec<GeneralName>,
    pub public_key: PublicKey,
    pub not_before: Time,
    pub not_after: Time,
    pub extensions: Vec<Extension>,
}

/// A request that its profile allows, by a requester who may make it.
#[derive(Clone, Debug)]
pub struct Authorized {
    authenticated: Authenticated,
    asked: Asked,
    template: Template,
}

impl Authorized {
    pub fn authenticated(&self) -> &Authenticated {
        &self.authenticated
    }

    pub fn asked(&self) -> &Asked {
        &self.asked
    }

    pub fn template(&self) -> &Template {
        &self.template
    }

    pub fn profile(&self) -> &Arc<IssuingProfile> {
        &self.authenticated.method().profile
    }
}

/// Judges what is asked by the profile of the requester's method.
///
/// # Errors
/// [`Error::Refused`] with the rule that says no.
pub fn authorize(authenticated: Authenticated, asked: Asked, now: Time) -> Result<Authorized, Error> {
    let profile = &authenticated.method().profile;
    let template = judge(profile, &asked, now)?;
    proof::check(&profile.policy, &template, authenticated.proven())?;
    Ok(Authorized { authenticated, asked, template })
}

/// The names whose control whoever asks for this must have proved, DNS names in lower case: for protocols that have them proved
/// before they ask the engine. None where the profile does not ask for proof.
///
/// # Errors
/// The rule that says no to what is asked, whoever asks.
pub fn names_to_prove(
    profile: &IssuingProfile,
    asked: &Asked,
    now: Time,
) -> Result<Vec<GeneralName>, Refusal> {
    match profile.policy.proof_of_control {
        ProofOfControl::NotRequired => Ok(Vec::new()),
        ProofOfControl::Required => {
            judge(profile, asked, now).map(|template| proof::names(&profile.policy, &template))
        }
    }
}

/// Whether a certificate of the profile could hold this name, whatever else it holds: for protocols that are told names long
/// before they see a request, and would rather say no at once.
///
/// # Errors
/// The rule that says no.
pub fn permits_name(profile: &IssuingProfile, name: &GeneralName) -> Result<(), Refusal> {
    names::judge_one(&profile.policy, name)?;
    match &profile.authority {
        Some(authority) => constraints::judge(authority, &Name::empty(), std::slice::from_ref(name)),
        None => Ok(()),
    }
}

/// What the profile makes of the request.
fn judge(profile: &IssuingProfile, asked: &Asked, now: Time) -> Result<Template, Refusal> {
    let policy = &profile.policy;
    check_issuer(policy, &asked.key)?;
    let public_key = asked.key.public_key().clone();
    check_key(policy, public_key.key_type())?;
    let subject = subject::judge(policy, &asked.subject)?;
    let subject_alt_names = names::judge(policy, &asked.subject_alt_names, &subject)?;
    check_identity(policy, &subject, &subject_alt_names)?;
    if let Some(authority) = &profile.authority {
        constraints::judge(authority, &subject, &subject_alt_names)?;
    }
    let (not_before, not_after) = validity::judge(profile, asked.validity, now)?;
    let mut extensions = usages::judge(profile, asked, public_key.key_type())?;
    if !subject_alt_names.is_empty() {
        // RFC 5280 §4.2.1.6: critical where the subject is empty.
        let mut extension = SubjectAltName(subject_alt_names.clone()).to_extension();
        extension.critical = subject.is_empty();
        extensions.push(extension);
    }
    extensions.push(SubjectKeyIdentifier(public_key.key_identifier().to_vec()).to_extension());
    if !policy.certificate_policies.is_empty() {
        let oids = policy.certificate_policies.iter().map(|oid| oid.0).collect();
        extensions.push(CertificatePolicies(oids).to_extension());
    }
    if let Some(authority) = &profile.authority {
        extensions.push(authority.authority_key_identifier().clone());
        if policy.publish.crl_distribution_point == Inclusion::Include {
            extensions.extend(authority.crl_distribution_points().cloned());
        }
        if policy.publish.authority_info_access == Inclusion::Include {
            extensions.extend(authority.authority_info_access().cloned());
        }
    }
    let template = Template { subject, subject_alt_names, public_key, not_before, not_after, extensions };
    match asked.exactness {
        Exactness::Loose => {}
        Exactness::Exact => exact::check(policy, asked, &template)?,
    }
    Ok(template)
}

fn check_issuer(policy: &Profile, key: &AskedKey) -> Result<(), Refusal> {
    match (&policy.issuer, key) {
        (IssuerChoice::SelfSigned, AskedKey::Requester(_)) => Err(Refusal::new(
            Rule::SelfSigned,
            format!(
                "selfSigned: a certificate of {} is signed with its own key, which this server must have made; a certificate request of the requester's key cannot be signed",
                policy.name
            ),
        )),
        (IssuerChoice::SelfSigned, AskedKey::Server(_))
        | (IssuerChoice::Authority(_), AskedKey::Requester(_) | AskedKey::Server(_)) => Ok(()),
    }
}

fn check_key(policy: &Profile, asked: KeyType) -> Result<(), Refusal> {
    if policy.keys.allowed.iter().any(|allowed| KeyType::from(*allowed) == asked) {
        return Ok(());
    }
    let allowed: Vec<&str> = policy.keys.allowed.iter().map(|key| key.as_str()).collect();
    Err(Refusal::new(
        Rule::Keys,
        format!("keys.allowed: {} allows {}; {asked} was asked for", policy.name, allowed.join(", ")),
    ))
}

/// A certificate must name somebody.
fn check_identity(policy: &Profile, subject: &Name, names: &[GeneralName]) -> Result<(), Refusal> {
    if !subject.is_empty() {
        return Ok(());
    }
    match policy.subject.empty {
        Permission::Allowed if !names.is_empty() => Ok(()),
        Permission::Allowed => Err(Refusal::new(
            Rule::Subject,
            format!("subject: {} needs a subject or a subjectAltName; neither was asked for", policy.name),
        )),
        Permission::Refused => Err(Refusal::new(
            Rule::Subject,
            format!("subject.empty: {} does not allow an empty subject; none was asked for", policy.name),
        )),
    }
}

/// What was asked, in quotes and short enough for a sentence; control characters made visible.
fn quoted(value: &str) -> String {
    const MAX_QUOTED: usize = 100;
    let mut shown: String = value.chars().take(MAX_QUOTED).flat_map(char::escape_debug).collect();
    if value.chars().nth(MAX_QUOTED).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// Patterns for a sentence.
fn listed(patterns: &[crate::pattern::Pattern]) -> String {
    patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect::<Vec<_>>().join(", ")
}

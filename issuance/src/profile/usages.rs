//! What the key may be used for, and what else a request may put into its certificate.

use const_oid::ObjectIdentifier;
use pki::{
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies,
        CrlDistributionPoints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit, SubjectAltName,
        SubjectKeyIdentifier, TypedExtension as _, eku_name,
    },
    key::KeyType,
};

use crate::{
    authority::IssuingProfile,
    error::{Refusal, Rule},
    policy::{BasicConstraintsPolicy, Oid, Profile, Unlisted, UsageMode},
    request::Asked,
};

/// basicConstraints, keyUsage, extendedKeyUsage and copied extensions, in this order.
pub(super) fn judge(
    profile: &IssuingProfile,
    asked: &Asked,
    key: KeyType,
) -> Result<Vec<Extension>, Refusal> {
    let policy = &profile.policy;
    let mut extensions = vec![basic_constraints(profile, asked)?.to_extension()];
    let usage = key_usage(policy, asked.key_usage, key)?;
    if !usage.is_empty() {
        extensions.push(usage.to_extension());
    }
    let extended = extended_key_usage(policy, asked.extended_key_usage.as_ref())?;
    if !extended.0.is_empty() {
        extensions.push(extended.to_extension());
    }
    for extension in &asked.other_extensions {
        extensions.extend(other(policy, extension)?);
    }
    Ok(extensions)
}

fn basic_constraints(profile: &IssuingProfile, asked: &Asked) -> Result<BasicConstraints, Refusal> {
    let policy = &profile.policy;
    let wanted = asked.basic_constraints.as_ref();
    match policy.basic_constraints {
        BasicConstraintsPolicy::Leaf if wanted.is_some_and(|wanted| wanted.ca) => Err(Refusal::new(
            Rule::BasicConstraints,
            format!("basicConstraints: {} does not make authorities; CA:TRUE was asked for", policy.name),
        )),
        BasicConstraintsPolicy::Leaf => Ok(BasicConstraints { ca: false, path_length: None }),
        BasicConstraintsPolicy::Authority { path_length } => {
            let asked_length = wanted.and_then(|wanted| wanted.path_length);
            let most = path_length.into_iter().chain(room_below(profile)?).min();
            match (asked_length, most) {
                (Some(asked_length), Some(most)) if asked_length > most => Err(Refusal::new(
                    Rule::BasicConstraints,
                    format!(
                        "basicConstraints.pathLength: {} allows at most {most}; {asked_length} was asked for",
                        policy.name
                    ),
                )),
                (asked_length, most) => Ok(BasicConstraints { ca: true, path_length: asked_length.or(most) }),
            }
        }
    }
}

/// The longest path length that is good under the profile's authority (RFC 5280 §4.2.1.9).
fn room_below(profile: &IssuingProfile) -> Result<Option<u8>, Refusal> {
    let Some(authority) = &profile.authority else { return Ok(None) };
    let constraints = authority.certificate.basic_constraints().ok().flatten();
    match constraints.and_then(|constraints| constraints.path_length) {
        None => Ok(None),
        Some(length) => length.checked_sub(1).map(Some).ok_or_else(|| {
            Refusal::new(
                Rule::BasicConstraints,
                format!(
                    "basicConstraints: {} makes authorities, and the certificate of {} allows none below it",
                    profile.policy.name, authority.name
                ),
            )
        }),
    }
}

fn key_usage(policy: &Profile, asked: Option<KeyUsage>, key: KeyType) -> Result<KeyUsage, Refusal> {
    let rule = &policy.key_usage;
    let chosen = match (rule.mode, asked.filter(|asked| !asked.is_empty())) {
        (UsageMode::Fixed, _) | (UsageMode::FromRequest, None) => rule.usages,
        (UsageMode::FromRequest, Some(asked)) => {
            if let Some(beyond) = asked.iter().find(|usage| !rule.usages.contains(*usage)) {
                return Err(Refusal::new(
                    Rule::KeyUsage,
                    format!("keyUsage: {} allows {}; {beyond} was asked for", policy.name, rule.usages),
                ));
            }
            asked
        }
    };
    let fitting: KeyUsage = chosen.iter().filter(|usage| fits(*usage, key)).collect();
    // Without the extension the key might be used for everything.
    if fitting.is_empty() && !chosen.is_empty() {
        return Err(Refusal::new(
            Rule::KeyUsage,
            format!("keyUsage: {} allows {chosen}, for which a key of {key} cannot be used", policy.name),
        ));
    }
    Ok(fitting)
}

/// Usages that a key of this type cannot have are left out, whoever named them: RFC 8813 §3 (EC), RFC 9295 §3
/// (Ed25519), RFC 8017 (RSA does not agree on keys).
pub(super) fn fits(usage: KeyUsageBit, key: KeyType) -> bool {
    match usage {
        KeyUsageBit::DigitalSignature
        | KeyUsageBit::NonRepudiation
        | KeyUsageBit::KeyCertSign
        | KeyUsageBit::CrlSign => true,
        KeyUsageBit::KeyEncipherment | KeyUsageBit::DataEncipherment => matches!(key, KeyType::Rsa { .. }),
        KeyUsageBit::KeyAgreement | KeyUsageBit::EncipherOnly | KeyUsageBit::DecipherOnly => {
            matches!(key, KeyType::Ecdsa(_))
        }
    }
}

fn extended_key_usage(
    policy: &Profile,
    asked: Option<&ExtendedKeyUsage>,
) -> Result<ExtendedKeyUsage, Refusal> {
    let rule = &policy.extended_key_usage;
    let listed = || ExtendedKeyUsage(rule.usages.iter().map(|oid| oid.0).collect());
    match (rule.mode, asked) {
        (UsageMode::Fixed, _) | (UsageMode::FromRequest, None) => Ok(listed()),
        (UsageMode::FromRequest, Some(asked)) => {
            if let Some(beyond) = asked.0.iter().find(|oid| !rule.usages.contains(&Oid(**oid))) {
                let allowed: Vec<String> = rule.usages.iter().map(|oid| spoken(&oid.0)).collect();
                return Err(Refusal::new(
                    Rule::ExtendedKeyUsage,
                    format!(
                        "extendedKeyUsage: {} allows {}; {} was asked for",
                        policy.name,
                        allowed.join(", "),
                        spoken(beyond)
                    ),
                ));
            }
            let mut purposes = Vec::with_capacity(rule.usages.len());
            for purpose in &asked.0 {
                if !purposes.contains(purpose) {
                    purposes.push(*purpose);
                }
            }
            Ok(ExtendedKeyUsage(purposes))
        }
    }
}

fn other(policy: &Profile, extension: &Extension) -> Result<Option<Extension>, Refusal> {
    if extension.oid == SubjectKeyIdentifier::OID {
        // openssl's default configuration asks for one; ours is computed from the key in any case.
        return Ok(None);
    }
    if policy.request_extensions.copy.contains(&Oid(extension.oid)) && !is_governed(&extension.oid) {
        return Ok(Some(extension.clone()));
    }
    match policy.request_extensions.others {
        Unlisted::Drop => Ok(None),
        Unlisted::Refuse => Err(Refusal::new(
            Rule::RequestExtensions,
            format!(
                "requestExtensions: {} does not copy the extension {}, which was asked for",
                policy.name, extension.oid
            ),
        )),
    }
}

/// Extensions that this server writes by rules of their own: a copy would be a second one, and a lie.
fn is_governed(oid: &ObjectIdentifier) -> bool {
    [
        AuthorityInfoAccess::OID,
        AuthorityKeyIdentifier::OID,
        BasicConstraints::OID,
        CertificatePolicies::OID,
        CrlDistributionPoints::OID,
        ExtendedKeyUsage::OID,
        KeyUsage::OID,
        SubjectAltName::OID,
    ]
    .contains(oid)
}

pub(super) fn spoken(oid: &ObjectIdentifier) -> String {
    eku_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

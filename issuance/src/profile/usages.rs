//! What the key may be used for, and what else a request may put into its certificate.

use const_oid::ObjectIdentifier;
use pki::{
    extension::{
        BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit, SubjectKeyIdentifier, TypedExtension as _, eku_name,
    },
    key::KeyType,
};

use crate::{
    error::{Refusal, Rule},
    policy::{BasicConstraintsPolicy, Oid, Profile, Unlisted, UsageMode},
    request::Asked,
};

/// basicConstraints, keyUsage, extendedKeyUsage and copied extensions, in this order.
pub(super) fn judge(policy: &Profile, asked: &Asked, key: KeyType) -> Result<Vec<Extension>, Refusal> {
    let mut extensions = vec![basic_constraints(policy, asked)?.to_extension()];
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

fn basic_constraints(policy: &Profile, asked: &Asked) -> Result<BasicConstraints, Refusal> {
    let wanted = asked.basic_constraints.as_ref();
    match policy.basic_constraints {
        BasicConstraintsPolicy::Leaf if wanted.is_some_and(|wanted| wanted.ca) => Err(Refusal::new(
            Rule::BasicConstraints,
            format!("basicConstraints: {} does not make authorities; CA:TRUE was asked for", policy.name),
        )),
        BasicConstraintsPolicy::Leaf => Ok(BasicConstraints { ca: false, path_length: None }),
        BasicConstraintsPolicy::Authority { path_length } => {
            let asked_length = wanted.and_then(|wanted| wanted.path_length);
            match (asked_length, path_length) {
                (Some(asked_length), Some(most)) if asked_length > most => Err(Refusal::new(
                    Rule::BasicConstraints,
                    format!(
                        "basicConstraints.pathLength: {} allows at most {most}; {asked_length} was asked for",
                        policy.name
                    ),
                )),
                (asked_length, most) => {
                    Ok(BasicConstraints { ca: true, path_length: asked_length.or(most) })
                }
            }
        }
    }
}

fn key_usage(policy: &Profile, asked: Option<KeyUsage>, key: KeyType) -> Result<KeyUsage, Refusal> {
    let rule = &policy.key_usage;
    let chosen = match (rule.mode, asked) {
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
    Ok(chosen.iter().filter(|usage| fits(*usage, key)).collect())
}

/// Usages that a key of this type cannot have are left out, whoever named them: RFC 8813 §3 (EC), RFC 9295 §3
/// (Ed25519), RFC 8017 (RSA does not agree on keys).
fn fits(usage: KeyUsageBit, key: KeyType) -> bool {
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

fn extended_key_usage(policy: &Profile, asked: Option<&ExtendedKeyUsage>) -> Result<ExtendedKeyUsage, Refusal> {
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
            Ok(asked.clone())
        }
    }
}

fn other(policy: &Profile, extension: &Extension) -> Result<Option<Extension>, Refusal> {
    if extension.oid == SubjectKeyIdentifier::OID {
        // openssl's default configuration asks for one; ours is computed from the key in any case.
        return Ok(None);
    }
    if policy.request_extensions.copy.contains(&Oid(extension.oid)) {
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

fn spoken(oid: &ObjectIdentifier) -> String {
    eku_name(oid).map_or_else(|| oid.to_string(), str::to_owned)
}

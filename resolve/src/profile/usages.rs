//! Keys, usages, basic constraints and what is copied from a request.

use crds::{
    BasicConstraintsPolicy, ExtendedKeyUsagePolicy, KeyPolicy, KeyUsage, KeyUsagePolicy,
    RequestExtensionPolicy, UsageMode,
};
use issuance::policy;
use pki::{ObjectIdentifier, extension::KeyUsageBit};

use super::names::{permission, unlisted};
use crate::{authority::key_algorithm, status::Problems};

pub(super) fn keys(given: &KeyPolicy, problems: &mut Problems) -> policy::KeysPolicy {
    if given.allowed.is_empty() {
        problems.invalid("spec.keys.allowed", "lists no algorithm: no request could be allowed");
    }
    policy::KeysPolicy {
        allowed: given.allowed.iter().map(|algorithm| key_algorithm(*algorithm)).collect(),
        reuse: permission(given.reuse),
    }
}

pub(super) fn key_usage(given: &KeyUsagePolicy, problems: &mut Problems) -> policy::KeyUsagePolicy {
    let has = |usage| given.usages.contains(&usage);
    if given.usages.is_empty() {
        problems
            .invalid("spec.keyUsage.usages", "lists no usage (RFC 5280 §4.2.1.3: at least one bit is set)");
    }
    // RFC 5280 §4.2.1.3: without keyAgreement these two have no meaning.
    if (has(KeyUsage::EncipherOnly) || has(KeyUsage::DecipherOnly)) && !has(KeyUsage::KeyAgreement) {
        problems.invalid("spec.keyUsage.usages", "encipherOnly and decipherOnly need keyAgreement");
    }
    policy::KeyUsagePolicy {
        mode: mode(given.mode),
        usages: given.usages.iter().map(|usage| bit(*usage)).collect(),
    }
}

pub(super) fn extended_key_usage(
    given: &ExtendedKeyUsagePolicy,
    problems: &mut Problems,
) -> policy::ExtendedKeyUsagePolicy {
    let path = "spec.extendedKeyUsage.usages";
    let mut usages = Vec::with_capacity(given.usages.len());
    for (index, purpose) in given.usages.iter().enumerate() {
        usages.extend(oid(&format!("{path}[{index}]"), purpose.oid(), problems).map(policy::Oid));
    }
    policy::ExtendedKeyUsagePolicy { mode: mode(given.mode), usages }
}

pub(super) fn basic_constraints(given: Option<BasicConstraintsPolicy>) -> policy::BasicConstraintsPolicy {
    match given {
        None => policy::BasicConstraintsPolicy::Leaf,
        Some(given) => policy::BasicConstraintsPolicy::Authority { path_length: Some(given.path_length) },
    }
}

pub(super) fn request_extensions(
    given: &RequestExtensionPolicy,
    problems: &mut Problems,
) -> policy::RequestExtensionsPolicy {
    for (index, copied) in given.copy.iter().enumerate() {
        let text = copied.as_str();
        if text.starts_with("2.5.29.") || text.starts_with("1.3.6.1.5.5.7.1.") {
            problems.invalid(
                format!("spec.requestExtensions.copy[{index}]"),
                "extensions of RFC 5280 cannot be copied: other members of the profile decide over them",
            );
        }
    }
    policy::RequestExtensionsPolicy {
        copy: oids("spec.requestExtensions.copy", &given.copy, problems),
        others: unlisted(given.others),
    }
}

pub(super) fn oids(path: &str, given: &[crds::Oid], problems: &mut Problems) -> Vec<policy::Oid> {
    let mut parsed = Vec::with_capacity(given.len());
    for (index, text) in given.iter().enumerate() {
        parsed.extend(oid(&format!("{path}[{index}]"), text.as_str(), problems).map(policy::Oid));
    }
    parsed
}

/// Dotted form; not all that X.660 allows is handled, see [`pki::oid::parse`].
pub(super) fn oid(path: &str, text: &str, problems: &mut Problems) -> Option<ObjectIdentifier> {
    match pki::oid::parse(text) {
        Ok(oid) => Some(oid),
        Err(_) => {
            problems.invalid(path, format!("{text:?} is not an object identifier that can be handled"));
            None
        }
    }
}

fn mode(given: UsageMode) -> policy::UsageMode {
    match given {
        UsageMode::Fixed => policy::UsageMode::Fixed,
        UsageMode::FromRequest => policy::UsageMode::FromRequest,
    }
}

fn bit(usage: KeyUsage) -> KeyUsageBit {
    match usage {
        KeyUsage::DigitalSignature => KeyUsageBit::DigitalSignature,
        KeyUsage::NonRepudiation => KeyUsageBit::NonRepudiation,
        KeyUsage::KeyEncipherment => KeyUsageBit::KeyEncipherment,
        KeyUsage::DataEncipherment => KeyUsageBit::DataEncipherment,
        KeyUsage::KeyAgreement => KeyUsageBit::KeyAgreement,
        KeyUsage::KeyCertSign => KeyUsageBit::KeyCertSign,
        KeyUsage::CrlSign => KeyUsageBit::CrlSign,
        KeyUsage::EncipherOnly => KeyUsageBit::EncipherOnly,
        KeyUsage::DecipherOnly => KeyUsageBit::DecipherOnly,
    }
}

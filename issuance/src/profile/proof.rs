//! That whoever asks has proved to control the names: each DNS name and each address that the certificate would hold, whoever
//! put it there.

use std::net::IpAddr;

use pki::{
    general_name::GeneralName,
    name::{AttributeType, Name},
};

use super::{Template, names::is_host, quoted};
use crate::{
    error::{Refusal, Rule},
    policy::{Profile, ProofOfControl},
};

/// `proven`: DNS names in lower case, wildcards as they are written.
///
/// # Errors
/// The first name that was not proved.
pub(super) fn check(policy: &Profile, given: &Template, proven: &[GeneralName]) -> Result<(), Refusal> {
    match names(policy, given).into_iter().find(|name| !proven.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Refusal::new(
            Rule::SubjectAltNames,
            format!(
                "proofOfControl: {} asks for proof that the requester controls each name; there is none for {}",
                policy.name,
                quoted(&name.to_string())
            ),
        )),
    }
}

/// The names to prove, each once, DNS names in lower case (RFC 4343); none where the profile does not ask for that.
pub(super) fn names(policy: &Profile, given: &Template) -> Vec<GeneralName> {
    match policy.proof_of_control {
        ProofOfControl::NotRequired => return Vec::new(),
        ProofOfControl::Required => {}
    }
    let mut names = Vec::with_capacity(given.subject_alt_names.len());
    for name in given.subject_alt_names.iter().chain(&common_names(&given.subject)) {
        let name = match name {
            GeneralName::Dns(text) => GeneralName::Dns(text.to_ascii_lowercase()),
            GeneralName::Ip(address) => GeneralName::Ip(*address),
            GeneralName::Uri(_)
            | GeneralName::Email(_)
            | GeneralName::OtherName { .. }
            | GeneralName::DirectoryName(_)
            | GeneralName::RegisteredId(_) => continue,
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Those that programs take for the name of a host, where they find no other.
fn common_names(subject: &Name) -> Vec<GeneralName> {
    let common = subject.attributes().filter(|attribute| attribute.kind == AttributeType::CommonName);
    let name = |text: &str| match text.parse::<IpAddr>() {
        Ok(address) => Some(GeneralName::Ip(address)),
        Err(_) => is_host(text).then(|| GeneralName::Dns(text.to_owned())),
    };
    common.filter_map(|attribute| name(&attribute.value)).collect()
}

//! What each preset fills in, as data: the table in `docs/crd-reference.md` is printed from here.

use serde::Serialize;

use super::{
    BasicConstraintsPolicy, DnsNamePolicy, ExtendedKeyUsagePolicy, IpAddressPolicy, KeyPolicy, KeyUsage,
    KeyUsagePolicy, NamePolicy, Permission, Presence, SubjectAltNamePolicy, SubjectAttribute, SubjectPolicy,
    Unlisted, UsageMode,
};
use crate::{
    certificate_profile::{CertificateProfileSpec, Preset},
    common::KeyAlgorithm,
    oid::{AttributeType, ExtendedKeyUsagePurpose},
};

/// The members of a policy that presets speak of, with nothing left open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectivePolicy {
    pub subject: SubjectPolicy,
    pub subject_alt_names: SubjectAltNamePolicy,
    pub keys: KeyPolicy,
    pub key_usage: KeyUsagePolicy,
    pub extended_key_usage: ExtendedKeyUsagePolicy,
    /// Present: certificates of authorities.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub basic_constraints: Option<BasicConstraintsPolicy>,
}

impl CertificateProfileSpec {
    /// The policy with the preset filled in: each member as given, or else the preset's as a whole. `None` for a profile
    /// that has neither a preset nor both usages, which its rules refuse.
    pub fn effective_policy(&self) -> Option<EffectivePolicy> {
        let preset = self.preset.map(Preset::policy);
        let no_names = || SubjectAltNamePolicy::default();
        // Without a preset a profile that speaks of alternative names only is for certificates with an empty subject.
        let no_subject = || SubjectPolicy { empty: Permission::Allowed, ..SubjectPolicy::default() };
        let (subject, subject_alt_names, keys, key_usage, extended_key_usage, basic_constraints) =
            match preset {
                Some(preset) => (
                    preset.subject,
                    preset.subject_alt_names,
                    preset.keys,
                    Some(preset.key_usage),
                    Some(preset.extended_key_usage),
                    preset.basic_constraints,
                ),
                None => (no_subject(), no_names(), KeyPolicy::default(), None, None, None),
            };
        Some(EffectivePolicy {
            subject: self.subject.clone().unwrap_or(subject),
            subject_alt_names: self.subject_alt_names.clone().unwrap_or(subject_alt_names),
            keys: self.keys.clone().unwrap_or(keys),
            key_usage: self.key_usage.clone().or(key_usage)?,
            extended_key_usage: self.extended_key_usage.clone().or(extended_key_usage)?,
            basic_constraints: self.basic_constraints.or(basic_constraints),
        })
    }
}

impl Preset {
    /// What the preset fills in.
    pub fn policy(self) -> EffectivePolicy {
        match self {
            Self::TlsServer => tls_server(),
            Self::TlsClient => tls_client(),
            Self::Device => device(),
            Self::CodeSigning => code_signing(),
            Self::Email => email(),
            Self::Ca => authority(),
        }
    }
}

fn tls_server() -> EffectivePolicy {
    EffectivePolicy {
        subject: SubjectPolicy { empty: Permission::Allowed, ..subject(&[], &[AttributeType::CommonName]) },
        subject_alt_names: SubjectAltNamePolicy {
            dns: Some(DnsNamePolicy::default()),
            ip: Some(IpAddressPolicy::default()),
            common_name_to_dns: super::CommonNameToDns::Copy,
            ..SubjectAltNamePolicy::default()
        },
        keys: KeyPolicy::default(),
        key_usage: usages(&[KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment]),
        extended_key_usage: purposes(&[ExtendedKeyUsagePurpose::ServerAuth]),
        basic_constraints: None,
    }
}

fn tls_client() -> EffectivePolicy {
    EffectivePolicy {
        subject: subject(
            &[AttributeType::CommonName],
            &[AttributeType::Organization, AttributeType::OrganizationalUnit],
        ),
        subject_alt_names: SubjectAltNamePolicy {
            dns: Some(DnsNamePolicy::default()),
            uri: Some(NamePolicy::default()),
            email: Some(NamePolicy::default()),
            ..SubjectAltNamePolicy::default()
        },
        keys: KeyPolicy::default(),
        key_usage: usages(&[KeyUsage::DigitalSignature]),
        extended_key_usage: purposes(&[ExtendedKeyUsagePurpose::ClientAuth]),
        basic_constraints: None,
    }
}

fn device() -> EffectivePolicy {
    EffectivePolicy {
        subject: subject(
            &[AttributeType::CommonName],
            &[
                AttributeType::SerialNumber,
                AttributeType::Organization,
                AttributeType::OrganizationalUnit,
                AttributeType::Country,
                AttributeType::StateOrProvince,
                AttributeType::Locality,
            ],
        ),
        subject_alt_names: SubjectAltNamePolicy {
            dns: Some(DnsNamePolicy::default()),
            ip: Some(IpAddressPolicy::default()),
            uri: Some(NamePolicy::default()),
            ..SubjectAltNamePolicy::default()
        },
        keys: KeyPolicy::default(),
        key_usage: usages(&[KeyUsage::DigitalSignature, KeyUsage::KeyEncipherment]),
        extended_key_usage: purposes(&[
            ExtendedKeyUsagePurpose::ClientAuth,
            ExtendedKeyUsagePurpose::ServerAuth,
        ]),
        basic_constraints: None,
    }
}

fn code_signing() -> EffectivePolicy {
    let strong = KeyAlgorithm::ALL.iter().copied().filter(|algorithm| *algorithm != KeyAlgorithm::Rsa2048);
    EffectivePolicy {
        subject: subject(
            &[AttributeType::CommonName],
            &[
                AttributeType::Organization,
                AttributeType::OrganizationalUnit,
                AttributeType::Country,
                AttributeType::StateOrProvince,
                AttributeType::Locality,
            ],
        ),
        subject_alt_names: SubjectAltNamePolicy::default(),
        keys: KeyPolicy { allowed: strong.collect(), ..KeyPolicy::default() },
        key_usage: usages(&[KeyUsage::DigitalSignature]),
        extended_key_usage: purposes(&[ExtendedKeyUsagePurpose::CodeSigning]),
        basic_constraints: None,
    }
}

fn email() -> EffectivePolicy {
    EffectivePolicy {
        subject: SubjectPolicy { empty: Permission::Allowed, ..subject(&[], &[AttributeType::CommonName]) },
        subject_alt_names: SubjectAltNamePolicy {
            email: Some(NamePolicy { presence: Presence::Required, ..NamePolicy::default() }),
            ..SubjectAltNamePolicy::default()
        },
        keys: KeyPolicy::default(),
        key_usage: usages(&[KeyUsage::DigitalSignature, KeyUsage::NonRepudiation, KeyUsage::KeyEncipherment]),
        extended_key_usage: purposes(&[ExtendedKeyUsagePurpose::EmailProtection]),
        basic_constraints: None,
    }
}

fn authority() -> EffectivePolicy {
    EffectivePolicy {
        subject: subject(
            &[AttributeType::CommonName],
            &[AttributeType::Organization, AttributeType::OrganizationalUnit, AttributeType::Country],
        ),
        subject_alt_names: SubjectAltNamePolicy::default(),
        keys: KeyPolicy::default(),
        key_usage: usages(&[KeyUsage::KeyCertSign, KeyUsage::CrlSign]),
        extended_key_usage: purposes(&[]),
        basic_constraints: Some(BasicConstraintsPolicy { path_length: 0 }),
    }
}

fn subject(required: &[AttributeType], allowed: &[AttributeType]) -> SubjectPolicy {
    let with = |types: &[AttributeType], presence| {
        types.iter().map(|type_| SubjectAttribute::free(type_.clone(), presence)).collect::<Vec<_>>()
    };
    let mut attributes = with(required, Presence::Required);
    attributes.extend(with(allowed, Presence::Allowed));
    SubjectPolicy { attributes, others: Unlisted::Refuse, empty: Permission::Refused }
}

fn usages(usages: &[KeyUsage]) -> KeyUsagePolicy {
    KeyUsagePolicy { mode: UsageMode::Fixed, usages: usages.to_vec() }
}

fn purposes(usages: &[ExtendedKeyUsagePurpose]) -> ExtendedKeyUsagePolicy {
    ExtendedKeyUsagePolicy { mode: UsageMode::Fixed, usages: usages.to_vec() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(yaml: &str) -> CertificateProfileSpec {
        serde_yaml_ng::from_str(yaml).unwrap()
    }

    #[test]
    fn a_profile_without_preset_and_usages_has_no_policy() {
        assert_eq!(profile("authorityRef: {name: a}").effective_policy(), None);
        let usage_only = profile("{authorityRef: {name: a}, keyUsage: {usages: [digitalSignature]}}");
        assert_eq!(usage_only.effective_policy(), None);
    }

    #[test]
    fn only_the_preset_for_authorities_makes_authorities() {
        for preset in Preset::ALL {
            let policy = preset.policy();
            let signs = policy.key_usage.usages.contains(&KeyUsage::KeyCertSign);
            assert_eq!(policy.basic_constraints.is_some(), *preset == Preset::Ca, "{preset}");
            assert_eq!(signs, *preset == Preset::Ca, "{preset}");
            // RFC 5280 §4.2.1.12: what is no authority is for one purpose, and says so.
            assert_eq!(policy.extended_key_usage.usages.is_empty(), *preset == Preset::Ca, "{preset}");
        }
    }

    #[test]
    fn no_preset_takes_wildcards_or_names_it_does_not_list() {
        for preset in Preset::ALL {
            let names = preset.policy().subject_alt_names;
            assert!(names.dns.is_none_or(|dns| dns.wildcards == Permission::Refused), "{preset}");
            assert_eq!(
                (names.others, preset.policy().subject.others),
                (Unlisted::Refuse, Unlisted::Refuse),
                "{preset}"
            );
        }
    }

    #[test]
    fn a_member_that_is_given_replaces_the_whole_member_of_the_preset() {
        let given = profile("{authorityRef: {name: a}, preset: Device, subjectAltNames: {uri: {}}}");
        let policy = given.effective_policy().unwrap();
        assert_eq!((policy.subject_alt_names.dns, policy.subject_alt_names.ip), (None, None));
        assert_eq!(policy.subject, Preset::Device.policy().subject);
    }

    #[test]
    fn names_that_are_not_spoken_of_are_refused_without_a_preset() {
        let usages = "keyUsage: {usages: [digitalSignature]}, extendedKeyUsage: {usages: [clientAuth]}";
        let names_only =
            profile(&format!("{{authorityRef: {{name: a}}, {usages}, subjectAltNames: {{dns: {{}}}}}}"));
        let policy = names_only.effective_policy().unwrap();
        assert_eq!((policy.subject.attributes.len(), policy.subject.others), (0, Unlisted::Refuse));
        assert_eq!(policy.subject.empty, Permission::Allowed);
        let subject_only = profile(&format!("{{authorityRef: {{name: a}}, {usages}, subject: {{}}}}"));
        assert_eq!(
            subject_only.effective_policy().unwrap().subject_alt_names,
            SubjectAltNamePolicy::default()
        );
    }
}

//! A profile, an authority, a method, and a clock that is turned by hand.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use pki::{
    algorithm::KeyAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
    extension::{
        BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsageBit, SubjectKeyIdentifier, TypedExtension as _,
    },
    name::{Attribute, AttributeType, Name},
    serial::SerialNumber,
    time::Time,
};

use super::TestKey;
use crate::{
    authority::{Authority, CrlSettings, IssuingProfile, Method, PublicationUrls},
    identity::{Protocol, ResourceName},
    pattern::Pattern,
    policy::{
        Approval, AttributeRule, BasicConstraintsPolicy, CommonNameUse, ExtendedKeyUsagePolicy, Inclusion,
        IssuerChoice, KeyUsagePolicy, KeysPolicy, Oid, Permission, Presence, Profile, ProofOfControl,
        ProtocolRule, PublishPolicy, Request, RequestExtensionsPolicy, Strength, SubjectAltNamesPolicy,
        SubjectPolicy, Unlisted, UsageMode, ValidityPolicy,
    },
    ports::{Clock, Signer as _, random},
};

pub(crate) const DAY: i64 = 24 * 3600;

/// 2026-01-01T00:00:00Z.
pub(crate) const NOW: Time = Time::from_unix(1_767_225_600);

/// A clock that stands still until it is turned.
#[derive(Debug)]
pub(crate) struct ManualClock(Mutex<Time>);

impl ManualClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(NOW)))
    }

    pub(crate) fn set(&self, time: Time) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = time;
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.set(self.now().plus_seconds(seconds));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Time {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A strict profile of TLS servers: a common name and nothing else, over EST with a personal secret.
pub(crate) fn policy() -> Profile {
    Profile {
        name: ResourceName::new("acme", "web"),
        issuer: IssuerChoice::Authority(ResourceName::new("acme", "issuing")),
        subject: SubjectPolicy {
            attributes: vec![AttributeRule {
                kind: AttributeType::CommonName,
                presence: Presence::Allowed,
                values: Vec::new(),
                patterns: Vec::new(),
            }],
            others: Unlisted::Refuse,
            empty: Permission::Refused,
        },
        subject_alt_names: SubjectAltNamesPolicy {
            maximum: 5,
            others: Unlisted::Refuse,
            dns: None,
            ip: None,
            uri: None,
            email: None,
            other_names: Vec::new(),
            common_name: CommonNameUse::Ignore,
        },
        keys: KeysPolicy {
            allowed: vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::Rsa2048, KeyAlgorithm::Ed25519],
            reuse: Permission::Allowed,
        },
        key_usage: KeyUsagePolicy {
            mode: UsageMode::Fixed,
            usages: [KeyUsageBit::DigitalSignature].into_iter().collect(),
        },
        extended_key_usage: ExtendedKeyUsagePolicy {
            mode: UsageMode::Fixed,
            usages: vec![Oid(ExtendedKeyUsage::SERVER_AUTH)],
        },
        basic_constraints: BasicConstraintsPolicy::Leaf,
        validity: ValidityPolicy {
            default: Duration::from_secs(30 * 24 * 3600),
            maximum: Duration::from_secs(90 * 24 * 3600),
            backdate: Duration::from_secs(300),
            request: Request::Honour,
        },
        request_extensions: RequestExtensionsPolicy { copy: Vec::new(), others: Unlisted::Refuse },
        approval: Approval::Automatic,
        proof_of_control: ProofOfControl::NotRequired,
        protocols: vec![ProtocolRule {
            protocol: Protocol::Est,
            minimum_authentication: Strength::SharedSecret,
        }],
        certificate_policies: Vec::new(),
        publish: PublishPolicy {
            crl_distribution_point: Inclusion::Include,
            authority_info_access: Inclusion::Include,
        },
    }
}

/// The strict profile, changed.
pub(crate) fn policy_with(change: impl FnOnce(&mut Profile)) -> Profile {
    let mut policy = policy();
    change(&mut policy);
    policy
}

pub(crate) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

pub(crate) fn patterns(texts: &[&str]) -> Vec<Pattern> {
    texts.iter().copied().map(pattern).collect()
}

/// A root that is to be made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthoritySpec {
    pub(crate) key: KeyAlgorithm,
    pub(crate) from: Time,
    pub(crate) until: Time,
    pub(crate) path_length: Option<u8>,
    /// RFC 5280 §4.2.1.2 method 2 makes one of eight octets, as some imported authorities have.
    pub(crate) key_identifier: Option<&'static [u8]>,
}

impl Default for AuthoritySpec {
    /// P-256, from yesterday, for ten years.
    fn default() -> Self {
        Self {
            key: KeyAlgorithm::EcdsaP256,
            from: NOW.plus_seconds(-DAY),
            until: NOW.plus_seconds(3650 * DAY),
            path_length: None,
            key_identifier: None,
        }
    }
}

/// A new root of this kind with a key of its own.
pub(crate) fn authority(spec: AuthoritySpec) -> Arc<Authority> {
    let key = TestKey::new(spec.key);
    let subject = Name::from_attributes(&[
        Attribute { kind: AttributeType::Organization, value: "Acme".into() },
        Attribute { kind: AttributeType::CommonName, value: "Acme Issuing".into() },
    ])
    .unwrap();
    let usage: KeyUsage = [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign].into_iter().collect();
    let own = || key.public_key().key_identifier().to_vec();
    let identifier = spec.key_identifier.map_or_else(own, <[u8]>::to_vec);
    let extensions = [
        BasicConstraints { ca: true, path_length: spec.path_length }.to_extension(),
        usage.to_extension(),
        SubjectKeyIdentifier(identifier).to_extension(),
    ];
    let serial = SerialNumber::from_random(random().unwrap());
    let tbs = TbsCertificate {
        serial: &serial,
        signature_algorithm: key.signature_algorithm(),
        issuer: &subject,
        not_before: spec.from,
        not_after: spec.until,
        subject: &subject,
        public_key: key.public_key(),
        extensions: &extensions,
    }
    .to_der();
    let der = assemble(&tbs, key.signature_algorithm(), &key.sign_now(&tbs));
    let certificate = Certificate::from_der(&der).unwrap();
    let urls = PublicationUrls {
        crl: Some("http://pki.acme.com/issuing.crl".into()),
        certificate: Some("http://pki.acme.com/issuing.cer".into()),
    };
    let crl = CrlSettings {
        validity: Duration::from_secs(7 * 24 * 3600),
        renew_before: Duration::from_secs(24 * 3600),
    };
    let name = ResourceName::new("acme", "issuing");
    Arc::new(Authority::new(name, certificate, vec![der], key, crl, &urls).unwrap())
}

/// The profile with the authority it names, if it names one.
pub(crate) fn profile_under(policy: &Profile, authority: &Arc<Authority>) -> Arc<IssuingProfile> {
    let authority = match policy.issuer {
        IssuerChoice::Authority(_) => Some(authority.clone()),
        IssuerChoice::SelfSigned => None,
    };
    Arc::new(IssuingProfile { policy: policy.clone(), authority })
}

/// An EST method for the profile, content with a shared secret.
pub(crate) fn method(policy: &Profile, authority: &Arc<Authority>) -> Arc<Method> {
    Arc::new(Method {
        name: ResourceName::new("acme", "est"),
        protocol: Protocol::Est,
        minimum: Strength::SharedSecret,
        profile: profile_under(policy, authority),
        retry_after: Duration::from_secs(60),
    })
}

//! Requests that nobody thought of: none makes the profile panic, and what it accepts is what it allows, judged a
//! second time in plain words on the certificate as it would be signed.

use std::{cell::Cell, net::IpAddr};

use const_oid::ObjectIdentifier;
use pki::{
    algorithm::KeyAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
    der_io::{encode, tag},
    extension::{
        BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit, SubjectAltName,
        TypedExtension as _, write_extensions,
    },
    general_name::GeneralName,
    name::AttributeType,
    serial::SerialNumber,
    time::Time,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{Template, under_usual, usual_authority};
use crate::{
    policy::{
        AttributeRule, CommonNameUse, DnsRule, IpRule, NameRule, Oid, OtherNameRule, Permission, Presence,
        Profile, Unlisted, UsageMode,
    },
    profile::judge,
    request::{Asked, AskedValidity},
    testing::{NOW, TestKey, patterns, policy, policy_with, read_csr, sign_info},
};

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        [$(include_bytes!(concat!("../../../../pki/fixtures/recorded/csr_", $name, ".der")) as &[u8]),*]
    };
}

const FIXTURES: [&[u8]; 12] = fixtures![
    "bmp_subject",
    "challenge_password",
    "ed25519",
    "empty_subject",
    "extensions",
    "multi_valued_rdn",
    "p256",
    "p384",
    "p521",
    "rsa_2048",
    "rsa_pss",
    "utf8_subject",
];

const UPN: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.311.20.2.3");
const CUSTOM: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999.7");

/// Something of every rule. [`check`] says the same in other words.
fn demanding() -> Profile {
    let rule =
        |texts| NameRule { presence: Presence::Allowed, values: Vec::new(), patterns: patterns(texts) };
    let attribute = |kind, presence, texts: &[&str]| AttributeRule {
        kind,
        presence,
        values: if presence == Presence::Fixed { vec!["Acme".into()] } else { Vec::new() },
        patterns: patterns(texts),
    };
    policy_with(|policy| {
        policy.keys.allowed = KeyAlgorithm::ALL.to_vec();
        policy.subject.attributes = vec![
            attribute(AttributeType::CommonName, Presence::Required, &["*.acme.com"]),
            attribute(AttributeType::Organization, Presence::Fixed, &[]),
            attribute(AttributeType::OrganizationalUnit, Presence::Allowed, &["Sales", "IT"]),
        ];
        let names = &mut policy.subject_alt_names;
        names.maximum = 3;
        names.dns = Some(DnsRule { name: rule(&["*.acme.com"]), wildcards: Permission::Refused });
        names.ip = Some(IpRule {
            presence: Presence::Allowed,
            values: Vec::new(),
            networks: vec!["10.0.0.0/8".parse().unwrap()],
        });
        names.email = Some(rule(&["*@acme.com"]));
        names.other_names = vec![OtherNameRule { type_id: Oid(UPN), name: rule(&["*@corp"]) }];
        names.common_name = CommonNameUse::CopyToDns;
        policy.key_usage.mode = UsageMode::FromRequest;
        policy.key_usage.usages =
            [KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment].into_iter().collect();
        policy.extended_key_usage.mode = UsageMode::FromRequest;
        policy.extended_key_usage.usages =
            vec![Oid(ExtendedKeyUsage::SERVER_AUTH), Oid(ExtendedKeyUsage::CLIENT_AUTH)];
        policy.request_extensions.copy = vec![Oid(CUSTOM)];
    })
}

/// Lets everything through that it can.
fn open() -> Profile {
    let mut policy = demanding();
    policy.subject.attributes = Vec::new();
    policy.subject.others = Unlisted::Drop;
    policy.subject.empty = Permission::Allowed;
    policy.subject_alt_names.others = Unlisted::Drop;
    policy.request_extensions.others = Unlisted::Drop;
    policy
}

/// Judges by every profile; what the demanding one accepts is checked. Whether it accepted.
fn judge_and_check(asked: &Asked) -> bool {
    for policy in [policy(), open()] {
        if let Ok(template) = judge(&under_usual(&policy), asked, NOW) {
            signed(&template);
        }
    }
    match judge(&under_usual(&demanding()), asked, NOW) {
        Ok(template) => {
            check(&signed(&template));
            true
        }
        Err(refusal) => {
            assert!(refusal.sentence().contains(": ") && refusal.sentence().len() < 2000);
            false
        }
    }
}

/// The certificate that would be issued, read again from its octets.
fn signed(template: &Template) -> Certificate {
    let authority = usual_authority();
    let algorithm = authority.signer.signature_algorithm();
    let tbs = TbsCertificate {
        serial: &SerialNumber::from_random([7; 16]),
        signature_algorithm: algorithm,
        issuer: authority.certificate.subject(),
        not_before: template.not_before,
        not_after: template.not_after,
        subject: &template.subject,
        public_key: &template.public_key,
        extensions: &template.extensions,
    }
    .to_der();
    let certificate = Certificate::from_der(&assemble(&tbs, algorithm, &[0])).unwrap();
    assert_eq!(certificate.subject(), &template.subject);
    assert_eq!(certificate.subject_alt_names().unwrap(), template.subject_alt_names);
    certificate
}

/// What [`demanding`] allows, without any of its machinery.
fn check(certificate: &Certificate) {
    let subject: Vec<_> = certificate.subject().attributes().collect();
    let values =
        |kind| subject.iter().filter(|a| a.kind == kind).map(|a| a.value.as_str()).collect::<Vec<_>>();
    let common_names = values(AttributeType::CommonName);
    assert!(common_names.len() == 1 && is_within_acme(common_names[0]), "{common_names:?}");
    assert_eq!(values(AttributeType::Organization), ["Acme"]);
    let units = values(AttributeType::OrganizationalUnit);
    assert!(
        units.iter().all(|unit| ["sales", "it"].contains(&unit.to_ascii_lowercase().as_str())),
        "{units:?}"
    );
    assert_eq!(subject.len(), 2 + units.len());

    let names = certificate.subject_alt_names().unwrap();
    assert!(names.len() <= 3, "{names:?}");
    for name in &names {
        let allowed = match name {
            GeneralName::Dns(text) => {
                is_within_acme(text) && !text.contains(['*', '_', ' ', '\0']) && *text == text.to_lowercase()
            }
            GeneralName::Ip(IpAddr::V4(address)) => address.octets()[0] == 10,
            GeneralName::Email(text) => {
                text.to_ascii_lowercase().ends_with("@acme.com") && text.matches('@').count() == 1
            }
            GeneralName::OtherName { type_id, value } => {
                *type_id == UPN && value[0] == tag::UTF8_STRING && value.ends_with(b"@corp")
            }
            _ => false,
        };
        assert!(allowed, "{name}");
    }
    let is_host = common_names[0].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.');
    assert!(!is_host || names.contains(&GeneralName::Dns(common_names[0].to_ascii_lowercase())));

    let usage = certificate.key_usage().unwrap().unwrap();
    assert!(!usage.is_empty());
    assert!(
        usage.iter().all(|bit| matches!(bit, KeyUsageBit::DigitalSignature | KeyUsageBit::KeyEncipherment))
    );
    let purposes = certificate.extended_key_usage().unwrap().unwrap().0;
    assert!((1..=2).contains(&purposes.len()));
    assert!(
        purposes
            .iter()
            .all(|oid| [ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH].contains(oid))
    );
    assert_eq!(
        certificate.basic_constraints().unwrap(),
        Some(BasicConstraints { ca: false, path_length: None })
    );

    let known = [
        "2.5.29.19",
        "2.5.29.15",
        "2.5.29.37",
        "2.5.29.17",
        "2.5.29.14",
        "2.5.29.35",
        "2.5.29.31",
        "1.3.6.1.5.5.7.1.1",
    ];
    for extension in certificate.extensions() {
        let oid = extension.oid.to_string();
        assert!(known.contains(&oid.as_str()) || extension.oid == CUSTOM, "{oid}");
    }
    let (from, until) = (certificate.not_before().unix(), certificate.not_after().unix());
    assert!(from >= NOW.unix() - 300 && from < until && until > NOW.unix() && until - from <= 90 * 24 * 3600);
    assert!(until <= usual_authority().certificate.not_after().unix());
}

/// One label, then `.acme.com`.
fn is_within_acme(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    lower
        .strip_suffix(".acme.com")
        .is_some_and(|label| !label.is_empty() && !label.contains(['.', '/', '@', ':']))
}

/// Texts that are good, nearly good, and evil.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => Just("www.acme.com".to_owned()),
        4 => "[a-z]{1,3}\\.acme\\.com",
        2 => "[a-zA-Z*._-]{0,4}\\.(acme|ACME)\\.com",
        2 => prop::sample::select(vec![
            "", "*", "*.acme.com", "*.*.acme.com", ".acme.com", "acme.com", "www.acme.com.", " www.acme.com", "a.b.acme.com",
            "www.acme.com\0.evil.org", "ann@acme.com", "ann@acme.com@evil.org", "ann@corp", "Sales", "IT", "sales ", "10.0.0.1",
            "a/b.acme.com", "gerät.acme.com", "a\u{202e}.acme.com", "%00.acme.com", "xn--.acme.com",
        ]).prop_map(str::to_owned),
        1 => ".{0,80}",
    ]
}

fn attribute() -> impl Strategy<Value = (AttributeType, u8, Vec<u8>)> {
    let kind = prop::sample::select(vec![
        AttributeType::Organization,
        AttributeType::OrganizationalUnit,
        AttributeType::OrganizationalUnit,
        AttributeType::CommonName,
        AttributeType::Title,
        AttributeType::Country,
    ]);
    let value = prop_oneof![3 => Just("Sales".to_owned()), 1 => text()];
    (kind, string_type(), value)
        .prop_map(|(kind, string_type, value)| (kind, string_type, value.into_bytes()))
}

fn string_type() -> impl Strategy<Value = u8> {
    prop_oneof![
        6 => Just(tag::UTF8_STRING),
        2 => Just(tag::PRINTABLE_STRING),
        1 => prop::sample::select(vec![tag::IA5_STRING, tag::TELETEX_STRING, tag::BMP_STRING, tag::UNIVERSAL_STRING, tag::OCTET_STRING]),
    ]
}

/// Mostly a good common name, then anything; several attributes to a set.
fn subject() -> impl Strategy<Value = Vec<u8>> {
    let common_name = (string_type(), text())
        .prop_map(|(string_type, text)| (AttributeType::CommonName, string_type, text.into_bytes()));
    let first = prop::collection::vec(common_name, 0..=1);
    let more = prop::collection::vec(prop::collection::vec(attribute(), 1..=2), 0..3);
    (first, more).prop_map(|(first, more)| {
        encode(|name| {
            name.sequence(|name| {
                for rdn in first.into_iter().map(|one| vec![one]).chain(more) {
                    name.nested(tag::SET, |set| {
                        for (kind, string_type, octets) in rdn {
                            set.sequence(|pair| {
                                pair.oid(&kind.oid());
                                pair.primitive(string_type, &octets);
                            });
                        }
                    });
                }
            });
        })
    })
}

fn general_name() -> impl Strategy<Value = GeneralName> {
    prop_oneof![
        6 => text().prop_map(GeneralName::Dns),
        2 => any::<[u8; 3]>().prop_map(|[b, c, d]| GeneralName::Ip(IpAddr::from([10, b, c, d]))),
        1 => any::<[u8; 16]>().prop_map(|octets| GeneralName::Ip(IpAddr::from(octets))),
        2 => prop_oneof![Just("ann@acme.com".to_owned()), text()].prop_map(GeneralName::Email),
        1 => text().prop_map(GeneralName::Uri),
        1 => prop_oneof![Just("ann@corp".to_owned()), text()].prop_map(|text| GeneralName::other_name_from_utf8(UPN, &text)),
        1 => prop::collection::vec(any::<u8>(), 0..8).prop_map(|value| GeneralName::OtherName { type_id: UPN, value }),
    ]
}

fn extensions() -> impl Strategy<Value = Vec<Extension>> {
    let one = prop_oneof![
        4 => prop::collection::vec(general_name(), 1..5).prop_map(|names| SubjectAltName(names).to_extension()),
        2 => prop::collection::vec(prop::sample::select(KeyUsageBit::ALL.to_vec()), 0..2)
            .prop_map(|bits| bits.into_iter().collect::<KeyUsage>().to_extension()),
        2 => prop::sample::subsequence(vec![ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH, ExtendedKeyUsage::ANY], 0..3)
            .prop_map(|purposes| ExtendedKeyUsage(purposes).to_extension()),
        1 => (any::<bool>(), prop::option::of(0u8..3))
            .prop_map(|(ca, path_length)| BasicConstraints { ca, path_length }.to_extension()),
        1 => (prop::sample::select(vec!["1.3.6.1.4.1.99999.7", "2.5.29.14", "2.5.29.35", "2.5.29.31", "2.5.29.17", "2.5.29.54"]), prop::collection::vec(any::<u8>(), 0..20))
            .prop_map(|(oid, value)| Extension { oid: ObjectIdentifier::new_unwrap(oid), critical: false, value }),
    ];
    prop::collection::vec(one, 0..3)
}

fn validity() -> impl Strategy<Value = AskedValidity> {
    let day: i64 = 24 * 3600;
    let moment = move || prop::option::weighted(0.3, prop_oneof![-day..100 * day, any::<i64>()]);
    let duration = prop::option::weighted(0.3, prop_oneof![0..100 * day as u64, any::<u64>()]);
    (moment(), moment(), duration).prop_map(|(from, until, duration)| AskedValidity {
        not_before: from.map(|seconds| NOW.plus_seconds(seconds)),
        not_after: until.map(|seconds| Time::from_unix(NOW.unix().saturating_add(seconds))),
        duration: duration.map(std::time::Duration::from_secs),
    })
}

fn attributes(extensions: &[Extension]) -> Vec<u8> {
    encode(|attributes| {
        attributes.sequence(|attribute| {
            attribute.oid(&ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14"));
            attribute.nested(tag::SET, |values| write_extensions(values, extensions));
        });
    })
}

#[test]
fn what_is_accepted_is_what_the_profile_allows() {
    let key = TestKey::new(KeyAlgorithm::EcdsaP256);
    let (accepted, refused) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(Config { cases: 2000, ..Config::default() });
    runner
        .run(&(subject(), extensions(), validity()), |(subject, extensions, validity)| {
            if let Ok(asked) = read_csr(&sign_info(&key, &subject, &attributes(&extensions))) {
                let counter =
                    if judge_and_check(&Asked { validity, ..asked }) { &accepted } else { &refused };
                counter.set(counter.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    // Otherwise the property says nothing.
    assert!(accepted.get() > 50 && refused.get() > 50, "{accepted:?} {refused:?}");
}

proptest! {
    #[test]
    fn a_changed_request_never_panics(
        fixture in prop::sample::select(FIXTURES.to_vec()),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in prop::option::weighted(0.1, any::<prop::sample::Index>()),
    ) {
        let mut der = fixture.to_vec();
        for (place, octet) in changes {
            let place = place.index(der.len());
            der[place] = octet;
        }
        der.truncate(cut.map_or(der.len(), |cut| cut.index(der.len())));
        if let Ok(asked) = read_csr(&der) {
            judge_and_check(&asked);
        }
    }

    /// Signed anew after the change, so that what was changed is looked at.
    #[test]
    fn a_changed_list_of_extensions_never_panics(
        extensions in extensions(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut attributes = attributes(&extensions);
        for (place, octet) in changes {
            let place = place.index(attributes.len());
            attributes[place] = octet;
        }
        let key = TestKey::new(KeyAlgorithm::Ed25519);
        let subject = pki::name::Name::from_attributes(&[pki::name::Attribute {
            kind: AttributeType::CommonName,
            value: "www.acme.com".into(),
        }]).unwrap();
        if let Ok(asked) = read_csr(&sign_info(&key, subject.der(), &attributes)) {
            judge_and_check(&asked);
        }
    }
}

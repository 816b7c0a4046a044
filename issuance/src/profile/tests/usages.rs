//! What the key may be used for, and what else is copied from the request.

use const_oid::ObjectIdentifier;
use pki::{
    algorithm::KeyAlgorithm,
    extension::{
        AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints,
        ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit, SubjectKeyIdentifier, TypedExtension as _,
    },
};

use super::{accepts, accepts_under, extension, refuses, refuses_under};
use crate::{
    error::Rule,
    policy::{BasicConstraintsPolicy, Oid, Profile, Unlisted, UsageMode},
    ports::Signer as _,
    testing::{AuthoritySpec, Request, authority, policy, policy_with, profile_under, request},
};

use KeyUsageBit::{
    CrlSign, DataEncipherment, DigitalSignature, KeyAgreement, KeyCertSign, KeyEncipherment, NonRepudiation,
};

/// An extension that no rule speaks of.
const CUSTOM: &str = "1.3.6.1.4.1.99999.7";

fn bits(bits: &[KeyUsageBit]) -> KeyUsage {
    bits.iter().copied().collect()
}

fn key_usages(mode: UsageMode, usages: &[KeyUsageBit]) -> Profile {
    policy_with(|policy| {
        policy.keys.allowed = KeyAlgorithm::ALL.to_vec();
        policy.key_usage.mode = mode;
        policy.key_usage.usages = bits(usages);
    })
}

fn purposes(mode: UsageMode, purposes: &[ObjectIdentifier]) -> Profile {
    policy_with(|policy| {
        policy.extended_key_usage.mode = mode;
        policy.extended_key_usage.usages = purposes.iter().copied().map(Oid).collect();
    })
}

fn authorities(path_length: Option<u8>) -> Profile {
    policy_with(|policy| {
        policy.basic_constraints = BasicConstraintsPolicy::Authority { path_length };
        policy.key_usage.usages = bits(&[KeyCertSign, CrlSign]);
    })
}

fn asking(usages: &[KeyUsageBit]) -> Request {
    request().extension(bits(usages).to_extension())
}

fn for_purposes(purposes: &[ObjectIdentifier]) -> Request {
    request().extension(ExtendedKeyUsage(purposes.to_vec()).to_extension())
}

fn asking_ca(path_length: Option<u8>) -> Request {
    request().extension(BasicConstraints { ca: true, path_length }.to_extension())
}

#[track_caller]
fn has_usage(policy: &Profile, request: &Request, usages: &[KeyUsageBit]) {
    assert_eq!(extension::<KeyUsage>(&accepts(policy, request)), Some(bits(usages)));
}

#[track_caller]
fn has_purposes(policy: &Profile, request: &Request, expected: &[ObjectIdentifier]) {
    let found =
        extension::<ExtendedKeyUsage>(&accepts(policy, request)).map(|usage| usage.0).unwrap_or_default();
    assert_eq!(found, expected);
}

#[test]
fn fixed_key_usages_stand_whatever_was_asked() {
    let policy = key_usages(UsageMode::Fixed, &[DigitalSignature]);
    has_usage(&policy, &request(), &[DigitalSignature]);
    has_usage(&policy, &asking(&[KeyCertSign, CrlSign]), &[DigitalSignature]);
}

#[test]
fn key_usages_from_the_request_lie_within_the_list() {
    let policy = key_usages(UsageMode::FromRequest, &[DigitalSignature, NonRepudiation]);
    has_usage(&policy, &asking(&[NonRepudiation]), &[NonRepudiation]);
    has_usage(&policy, &request(), &[DigitalSignature, NonRepudiation]);
    let words = ["acme/web allows digitalSignature", "keyCertSign was asked for"];
    refuses(&policy, &asking(&[DigitalSignature, KeyCertSign]), Rule::KeyUsage, "keyUsage", &words);
}

#[test]
fn a_request_for_no_key_usage_does_not_open_all_of_them() {
    has_usage(&key_usages(UsageMode::FromRequest, &[DigitalSignature]), &asking(&[]), &[DigitalSignature]);
}

#[test]
fn key_usages_fit_the_type_of_the_key() {
    let policy =
        key_usages(UsageMode::Fixed, &[DigitalSignature, KeyEncipherment, DataEncipherment, KeyAgreement]);
    let of = |key| request().key(key);
    has_usage(&policy, &of(KeyAlgorithm::EcdsaP256), &[DigitalSignature, KeyAgreement]);
    has_usage(&policy, &of(KeyAlgorithm::EcdsaP384), &[DigitalSignature, KeyAgreement]);
    has_usage(&policy, &of(KeyAlgorithm::Rsa2048), &[DigitalSignature, KeyEncipherment, DataEncipherment]);
    has_usage(&policy, &of(KeyAlgorithm::Ed25519), &[DigitalSignature]);
}

#[test]
fn a_key_that_none_of_the_usages_fits_is_refused_instead_of_unrestricted() {
    let policy = key_usages(UsageMode::Fixed, &[KeyEncipherment]);
    has_usage(&policy, &request().key(KeyAlgorithm::Rsa2048), &[KeyEncipherment]);
    let words = ["allows keyEncipherment", "Ed25519"];
    refuses(&policy, &request().key(KeyAlgorithm::Ed25519), Rule::KeyUsage, "keyUsage", &words);
}

#[test]
fn a_profile_without_key_usages_writes_none() {
    assert_eq!(extension::<KeyUsage>(&accepts(&key_usages(UsageMode::Fixed, &[]), &request())), None);
}

#[test]
fn fixed_purposes_stand_whatever_was_asked() {
    let policy = purposes(UsageMode::Fixed, &[ExtendedKeyUsage::CLIENT_AUTH]);
    has_purposes(&policy, &request(), &[ExtendedKeyUsage::CLIENT_AUTH]);
    has_purposes(&policy, &for_purposes(&[ExtendedKeyUsage::ANY]), &[ExtendedKeyUsage::CLIENT_AUTH]);
}

#[test]
fn purposes_from_the_request_lie_within_the_list_and_are_written_once() {
    let (server, client) = (ExtendedKeyUsage::SERVER_AUTH, ExtendedKeyUsage::CLIENT_AUTH);
    let policy = purposes(UsageMode::FromRequest, &[server, client]);
    has_purposes(&policy, &for_purposes(&[client]), &[client]);
    has_purposes(&policy, &for_purposes(&[client, server, client]), &[client, server]);
    has_purposes(&policy, &request(), &[server, client]);
    let words = ["acme/web allows serverAuth, clientAuth", "codeSigning was asked for"];
    let code = for_purposes(&[client, ExtendedKeyUsage::CODE_SIGNING]);
    refuses(&policy, &code, Rule::ExtendedKeyUsage, "extendedKeyUsage", &words);
    let any = for_purposes(&[ExtendedKeyUsage::ANY]);
    refuses(
        &policy,
        &any,
        Rule::ExtendedKeyUsage,
        "extendedKeyUsage",
        &["anyExtendedKeyUsage was asked for"],
    );
    let odd = for_purposes(&[ObjectIdentifier::new_unwrap("1.2.3.4")]);
    refuses(&policy, &odd, Rule::ExtendedKeyUsage, "extendedKeyUsage", &["1.2.3.4 was asked for"]);
}

#[test]
fn a_leaf_profile_never_makes_an_authority() {
    let leaf = extension::<BasicConstraints>(&accepts(&policy(), &request()));
    assert_eq!(leaf, Some(BasicConstraints { ca: false, path_length: None }));
    let not_ca = request().extension(BasicConstraints { ca: false, path_length: None }.to_extension());
    accepts(&policy(), &not_ca);
    let words = ["acme/web does not make authorities", "CA:TRUE was asked for"];
    refuses(&policy(), &asking_ca(None), Rule::BasicConstraints, "basicConstraints", &words);
    let dropping = policy_with(|policy| policy.request_extensions.others = Unlisted::Drop);
    refuses(&dropping, &asking_ca(Some(0)), Rule::BasicConstraints, "basicConstraints", &words);
}

#[test]
fn an_authority_profile_bounds_the_path_length() {
    let length = |policy: &Profile, request: &Request| {
        let constraints = extension::<BasicConstraints>(&accepts(policy, request)).unwrap();
        assert!(constraints.ca);
        constraints.path_length
    };
    assert_eq!(length(&authorities(Some(1)), &request()), Some(1));
    assert_eq!(length(&authorities(Some(1)), &asking_ca(Some(0))), Some(0));
    assert_eq!(length(&authorities(None), &asking_ca(Some(3))), Some(3));
    assert_eq!(length(&authorities(None), &request()), None);
    let words = ["acme/web allows at most 1; 2 was asked for"];
    refuses(
        &authorities(Some(1)),
        &asking_ca(Some(2)),
        Rule::BasicConstraints,
        "basicConstraints.pathLength",
        &words,
    );
}

#[test]
fn an_authority_stays_within_the_path_length_of_its_own_authority() {
    let under = |path_length| {
        let authority =
            authority(AuthoritySpec { path_length: Some(path_length), ..AuthoritySpec::default() });
        profile_under(&authorities(Some(5)), &authority)
    };
    let constraints = extension::<BasicConstraints>(&accepts_under(&under(2), &request())).unwrap();
    assert_eq!(constraints.path_length, Some(1));
    let field = "basicConstraints.pathLength";
    refuses_under(
        &under(2),
        &asking_ca(Some(2)),
        Rule::BasicConstraints,
        field,
        &["at most 1; 2 was asked for"],
    );
    let words = ["acme/issuing allows none below it"];
    refuses_under(&under(0), &request(), Rule::BasicConstraints, "basicConstraints", &words);
    let leaf = profile_under(&policy(), under(0).authority.as_ref().unwrap());
    accepts_under(&leaf, &request());
}

#[test]
fn extensions_are_copied_dropped_or_refused() {
    let custom = request().custom(CUSTOM);
    let words = ["acme/web does not copy the extension 1.3.6.1.4.1.99999.7"];
    refuses(&policy(), &custom, Rule::RequestExtensions, "requestExtensions", &words);
    let has = |policy: &Profile| {
        let oid = ObjectIdentifier::new_unwrap(CUSTOM);
        accepts(policy, &custom).extensions.iter().filter(|extension| extension.oid == oid).count()
    };
    assert_eq!(has(&policy_with(|policy| policy.request_extensions.others = Unlisted::Drop)), 0);
    let copying = policy_with(|policy| {
        policy.request_extensions.copy = vec![Oid(ObjectIdentifier::new_unwrap(CUSTOM))]
    });
    assert_eq!(has(&copying), 1);
    refuses(
        &copying,
        &custom.clone().custom("1.2.3.4"),
        Rule::RequestExtensions,
        "requestExtensions",
        &["1.2.3.4"],
    );
}

#[test]
fn an_extension_that_the_server_writes_is_never_copied() {
    let forged = |oid, value: Vec<u8>| Extension { oid, critical: false, value };
    let cases = [
        AuthorityKeyIdentifier(Some(vec![6; 20])).to_extension(),
        CrlDistributionPoints(vec!["http://evil.org/crl".into()]).to_extension(),
        CertificatePolicies(vec![ObjectIdentifier::new_unwrap("1.2.3")]).to_extension(),
        forged(ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.1.1"), vec![0x30, 0]),
    ];
    for extension in cases {
        let copying = policy_with(|policy| policy.request_extensions.copy = vec![Oid(extension.oid)]);
        let request = request().extension(extension.clone());
        let words = [&*extension.oid.to_string()];
        refuses(&copying, &request, Rule::RequestExtensions, "requestExtensions", &words);
        let dropping = Profile {
            request_extensions: crate::policy::RequestExtensionsPolicy {
                others: Unlisted::Drop,
                ..copying.request_extensions.clone()
            },
            ..copying
        };
        assert!(!accepts(&dropping, &request).extensions.contains(&extension));
    }
}

#[test]
fn the_key_identifier_is_computed_not_copied() {
    let request = request().extension(SubjectKeyIdentifier(vec![6; 20]).to_extension());
    let copying = policy_with(|policy| policy.request_extensions.copy = vec![Oid(SubjectKeyIdentifier::OID)]);
    for policy in [policy(), copying] {
        let identifier = extension::<SubjectKeyIdentifier>(&accepts(&policy, &request)).unwrap();
        assert_eq!(identifier.0, request.key.public_key().key_identifier());
    }
}

#[test]
fn no_extension_is_ever_written_twice() {
    let policy = policy_with(|policy| {
        policy.certificate_policies = vec![Oid(ObjectIdentifier::new_unwrap("1.2.3.4.5"))];
        policy.request_extensions.others = Unlisted::Drop;
        policy.request_extensions.copy = vec![Oid(CertificatePolicies::OID), Oid(KeyUsage::OID)];
    });
    let request = asking(&[DigitalSignature])
        .extension(CertificatePolicies(vec![ObjectIdentifier::new_unwrap("1.2.3")]).to_extension())
        .extension(SubjectKeyIdentifier(vec![1]).to_extension());
    let mut oids: Vec<_> =
        accepts(&policy, &request).extensions.iter().map(|extension| extension.oid).collect();
    let written = oids.len();
    oids.sort_unstable();
    oids.dedup();
    assert_eq!(oids.len(), written);
}

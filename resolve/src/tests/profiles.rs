use std::time::Duration;

use crds::conditions::Reason;
use issuance::{
    identity::Protocol,
    policy::{self, BasicConstraintsPolicy, IssuerChoice, Profile, Strength},
};

use super::{P, Reject, accepts, accepts_world, name, rejects, rejects_world, world::World};

/// A document of the profile `x` in `pki`.
macro_rules! profile {
    ($($spec:expr),+) => {
        concat!("{kind: CertificateProfile, metadata: {name: x, namespace: pki}, spec: {", $($spec),+, "}}")
    };
}

/// The policy that these members of a spec compile to.
pub(super) fn compiled(spec: &str) -> Profile {
    let yaml =
        format!("{{kind: CertificateProfile, metadata: {{name: x, namespace: pki}}, spec: {{{spec}}}}}");
    let world = World::base().with(&yaml);
    accepts_world(&world);
    let profiles = world.settle().resolution.compiled.unwrap().profiles;
    profiles.into_iter().find(|profile| profile.name == name("pki/x")).unwrap()
}

#[test]
fn a_profile_is_rejected_for_its_authority() {
    let cases: &[Reject] = &[
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one of authorityRef and selfSigned",
            profile!("preset: Device"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one of authorityRef and selfSigned",
            profile!("preset: Device, selfSigned: {}, authorityRef: {name: issuing}"),
        ),
        (
            P,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.authorityRef: there is no CertificateAuthority pki/nobody",
            profile!("preset: Device, authorityRef: {name: nobody}"),
        ),
        (
            P,
            "other/x",
            Reason::ReferenceNotPermitted,
            "spec.authorityRef: pki/issuing does not list the namespace other",
            "{kind: CertificateProfile, metadata: {name: x, namespace: other}, spec: {preset: Device, authorityRef: {name: issuing, namespace: pki}}}",
        ),
        (
            P,
            "pki/x",
            Reason::NotPermittedByParent,
            "spec.validity: 6y is longer than pki/issuing is valid",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 1y, maximum: 6y}"),
        ),
        (
            P,
            "pki/x",
            Reason::NotPermittedByParent,
            "spec.authorityRef: the path length of pki/issuing lets no authority follow",
            profile!("preset: CA, authorityRef: {name: issuing}"),
        ),
        (
            P,
            "pki/x",
            Reason::NotPermittedByParent,
            "spec.basicConstraints.pathLength: 1 is too long: pki/root lets 1",
            profile!("preset: CA, authorityRef: {name: root}, basicConstraints: {pathLength: 1}"),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(profile!("preset: CA, authorityRef: {name: root}"));
    accepts(profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 5y}"));
    accepts(profile!("preset: Device, selfSigned: {}"));
    // Nothing said about validity: certificates are shortened to the authority's.
    let short = "{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, validity: 1d}}";
    accepts(short);
}

#[test]
fn a_profile_that_is_not_accepted_takes_only_its_own_methods_down() {
    let bad = "{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, validity: {default: 0s}}}";
    let good = "
kind: CertificateProfile
metadata: {name: second, namespace: pki}
spec: {authorityRef: {name: issuing}, preset: TLSServer}
---
kind: EnrollmentMethod
metadata: {name: second, namespace: pki}
spec: {profileRef: {name: second}, est: {}}
";
    let world = World::base().with(bad).with(good);
    rejects_world(
        &world,
        P,
        "pki/profile",
        Reason::Invalid,
        "spec.validity.default: must be longer than zero",
    );
    let compiled = world.settle().resolution.compiled.unwrap();
    let methods: Vec<String> = compiled.methods.iter().map(|method| method.name.to_string()).collect();
    assert_eq!(methods, ["pki/second"]);
    assert_eq!((compiled.server.default_method, compiled.server.labels.len()), (None, 0));
    assert!(compiled.credentials.is_empty());
    assert!(compiled.server.tls.is_some());
}

#[test]
fn a_profile_is_rejected_for_usages_keys_validity_and_extensions() {
    let cases: &[Reject] = &[
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec: give a preset, or else keyUsage and extendedKeyUsage",
            profile!("authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature]}, subject: {}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage.usages: lists no usage",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: []}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage.usages: encipherOnly and decipherOnly need keyAgreement",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature, encipherOnly]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage.usages: encipherOnly and decipherOnly need keyAgreement",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature, decipherOnly]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage: keyCertSign and cRLSign need the preset CA",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [keyCertSign]}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage: keyCertSign and cRLSign need the preset CA",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [cRLSign]}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.basicConstraints: needs the preset CA",
            profile!("preset: Device, authorityRef: {name: root}, basicConstraints: {pathLength: 0}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage: with the preset CA it must have mode Fixed",
            profile!(
                "preset: CA, authorityRef: {name: root}, keyUsage: {mode: FromRequest, usages: [keyCertSign]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keyUsage: with the preset CA it must have mode Fixed",
            profile!("preset: CA, authorityRef: {name: root}, keyUsage: {usages: [cRLSign]}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.preset: a self-signed profile cannot have the preset CA",
            profile!("preset: CA, selfSigned: {}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.keys.allowed: lists no algorithm",
            profile!("preset: Device, authorityRef: {name: issuing}, keys: {allowed: []}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.validity.maximum: 1d is shorter than the default, 2d",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 2d, maximum: 1d}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.validity.backdate: 1h is not shorter than the default, 60m",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 60m, backdate: 1h}"),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.requestExtensions.copy[1]: extensions of RFC 5280 cannot be copied",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, requestExtensions: {copy: [1.2.3.4, 2.5.29.19]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.requestExtensions.copy[0]: extensions of RFC 5280 cannot be copied",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, requestExtensions: {copy: [1.3.6.1.5.5.7.1.1]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.protocols[1]: est is there twice",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, protocols: [{protocol: est}, {protocol: est, minimumAuthentication: Certificate}]"
            ),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(profile!(
        "preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [keyAgreement, encipherOnly]}"
    ));
    accepts(profile!(
        "preset: Device, authorityRef: {name: issuing}, validity: {default: 1h, backdate: 0s}, requestExtensions: {copy: [1.3.6.1.4.1.311.20.2]}"
    ));
}

#[test]
fn a_preset_is_said_in_full_and_defaults_too() {
    let policy = compiled("preset: TLSServer, authorityRef: {name: issuing}, validity: {default: 30d}");
    assert_eq!(policy.issuer, IssuerChoice::Authority(name("pki/issuing")));
    assert_eq!(policy.key_usage.usages.to_string(), "digitalSignature, keyEncipherment");
    assert_eq!(policy.extended_key_usage.usages.len(), 1);
    assert_eq!(policy.subject_alt_names.common_name, policy::CommonNameUse::CopyToDns);
    assert_eq!(policy.basic_constraints, BasicConstraintsPolicy::Leaf);
    assert_eq!(
        (policy.validity.default, policy.validity.maximum),
        (Duration::from_secs(30 * 86_400), Duration::from_secs(30 * 86_400))
    );
    // No protocols said: every one, and a shared secret is enough. The server's own certificates need no profile.
    assert_eq!(policy.protocols.len(), Protocol::ALL.len() - 1);
    assert!(
        policy.protocols.iter().all(|rule| rule.minimum_authentication == Strength::SharedSecret
            && rule.protocol != Protocol::Internal)
    );
}

#[test]
fn only_the_protocols_that_are_listed_are_compiled() {
    let policy = compiled(
        "preset: Device, selfSigned: {}, protocols: [{protocol: issuer}, {protocol: cmp, minimumAuthentication: CertificateAndSecret}], approval: Manual, publish: {crlDistributionPoint: Omit}, certificatePolicies: [1.2.3.4]",
    );
    let rules: Vec<_> =
        policy.protocols.iter().map(|rule| (rule.protocol, rule.minimum_authentication)).collect();
    assert_eq!(
        rules,
        [(Protocol::Cmp, Strength::CertificateAndSecret), (Protocol::Issuer, Strength::SharedSecret)]
    );
    assert_eq!((policy.issuer, policy.approval), (IssuerChoice::SelfSigned, policy::Approval::Manual));
    assert_eq!(policy.publish.crl_distribution_point, policy::Inclusion::Omit);
    assert_eq!(policy.certificate_policies.len(), 1);
}

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
fn compiled(spec: &str) -> Profile {
    let yaml = format!("{{kind: CertificateProfile, metadata: {{name: x, namespace: pki}}, spec: {{{spec}}}}}");
    let world = World::base().with(&yaml);
    accepts_world(&world);
    let profiles = world.settle().resolution.compiled.unwrap().profiles;
    profiles.into_iter().find(|profile| profile.name == name("pki/x")).unwrap()
}

#[test]
fn a_profile_is_rejected_for_its_authority() {
    let cases: &[Reject] = &[
        (P, "pki/x", Reason::Invalid, "spec: give exactly one of authorityRef and selfSigned", profile!("preset: Device")),
        (P, "pki/x", Reason::Invalid, "spec: give exactly one of authorityRef and selfSigned",
            profile!("preset: Device, selfSigned: {}, authorityRef: {name: issuing}")),
        (P, "pki/x", Reason::ReferenceNotFound, "spec.authorityRef: there is no CertificateAuthority pki/nobody",
            profile!("preset: Device, authorityRef: {name: nobody}")),
        (P, "other/x", Reason::ReferenceNotPermitted, "spec.authorityRef: pki/issuing does not list the namespace other",
            "{kind: CertificateProfile, metadata: {name: x, namespace: other}, spec: {preset: Device, authorityRef: {name: issuing, namespace: pki}}}"),
        (P, "pki/x", Reason::NotPermittedByParent, "spec.validity: 6y is longer than pki/issuing is valid",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 1y, maximum: 6y}")),
        (P, "pki/x", Reason::NotPermittedByParent, "spec.authorityRef: the path length of pki/issuing lets no authority follow",
            profile!("preset: CA, authorityRef: {name: issuing}")),
        (P, "pki/x", Reason::NotPermittedByParent, "spec.basicConstraints.pathLength: 1 is too long: pki/root lets 1",
            profile!("preset: CA, authorityRef: {name: root}, basicConstraints: {pathLength: 1}")),
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
    rejects_world(&world, P, "pki/profile", Reason::Invalid, "spec.validity.default: must be longer than zero");
    let compiled = world.settle().resolution.compiled.unwrap();
    let methods: Vec<String> = compiled.methods.iter().map(|method| method.name.to_string()).collect();
    assert_eq!(methods, ["pki/second"]);
    assert_eq!((compiled.server.default_method, compiled.server.labels.len()), (None, 0));
    assert!(compiled.credentials.is_empty());
    assert!(compiled.server.tls.is_some());
}

#[test]
fn a_profile_is_rejected_for_its_subject() {
    let cases: &[Reject] = &[
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[1]: commonName is there twice",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: commonName}, {type: 2.5.4.3}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].values: are needed with presence Fixed",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].values: are needed with presence Fixed",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, values: [Acme]}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].patterns: are refused with presence Fixed",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: [Acme], patterns: ['*']}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].values: a subject has commonName at most once",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: commonName, presence: Fixed, values: [a, b]}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].values[1]: the value of countryName",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: country, presence: Fixed, values: [DE, Germany]}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].values[0]: the value of organization has 65 characters",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: [12345678901234567890123456789012345678901234567890123456789012345]}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].patterns[1]: \"a***\"",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, patterns: [a, 'a***']}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subject.attributes[0].type: \"1.3.4294967295",
            profile!("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: 1.3.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295}]}")),
    ];
    cases.iter().copied().for_each(rejects);
    let policy = compiled("preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: [Acme, Works]}, {type: commonName, presence: Required, patterns: ['sensor-*']}], others: Drop, empty: Allowed}");
    assert_eq!(policy.subject.attributes.len(), 2);
    assert_eq!((policy.subject.others, policy.subject.empty), (policy::Unlisted::Drop, policy::Permission::Allowed));
}

#[test]
fn a_profile_is_rejected_for_its_alternative_names() {
    let cases: &[Reject] = &[
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.dns.values: are needed with presence Fixed",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.dns.values[0]: \"a_b.acme.com\" is not a name",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed, values: [a_b.acme.com]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.dns.values[0]: \"*.acme.com\" is not a name",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed, values: ['*.acme.com']}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.dns.patterns[0]: \"***\"",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {patterns: ['***']}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.ip.cidrs[0]: \"10.0.0.0\" is not a range",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {cidrs: [10.0.0.0]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.ip.cidrs[0]: \"10.0.0.1/8\" has bits set",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {cidrs: [10.0.0.1/8]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.ip.cidrs: are refused with presence Fixed",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {presence: Fixed, values: [10.0.0.1], cidrs: [10.0.0.0/8]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.ip.values[0]: \"10.0.0.256\" is not an IP address",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {presence: Fixed, values: [10.0.0.256]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.uri.values[0]: \"acme\" is not a name",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {uri: {presence: Fixed, values: [acme]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.email.values[0]: \"acme\" is not a name",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {email: {presence: Fixed, values: [acme]}}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.otherName[1]: 1.2.3 is there twice",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {otherName: [{typeId: 1.2.3}, {typeId: 1.2.3}]}")),
        (P, "pki/x", Reason::Invalid, "spec.subjectAltNames.maximum: 1 is less than the 2 fixed names",
            profile!("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {maximum: 1, dns: {presence: Fixed, values: [a, b]}}")),
    ];
    cases.iter().copied().for_each(rejects);
    let policy = compiled("preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {wildcards: Allowed, presence: Fixed, values: ['*.Acme.com']}, ip: {cidrs: [10.0.0.0/8]}, otherName: [{typeId: 1.2.3, presence: Fixed, values: [ann]}]}");
    assert_eq!(policy.subject_alt_names.dns.unwrap().name.values, ["*.acme.com"]);
}

#[test]
fn fixed_names_must_pass_the_constraints_above() {
    let constrained = "{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, pathLength: 0, nameConstraints: {permitted: {dns: [acme.com], email: [acme.com], uri: [.acme.com], ip: [10.0.0.0/8]}, excluded: {dns: [secret.acme.com]}}}}";
    let server = "{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {authorityRef: {name: root}, dnsNames: [localhost]}}}";
    let world = World::base().with(constrained).with(server);
    let with = |names: &str| {
        world.clone().with(&format!("{{kind: CertificateProfile, metadata: {{name: x, namespace: pki}}, spec: {{preset: Device, authorityRef: {{name: issuing}}, subjectAltNames: {names}}}}}"))
    };
    for good in [
        "{dns: {presence: Fixed, values: [www.acme.com, acme.com]}}",
        "{dns: {presence: Fixed, wildcards: Allowed, values: ['*.acme.com']}}",
        "{email: {presence: Fixed, values: [ann@acme.com]}}",
        "{uri: {presence: Fixed, values: ['https://ann@www.acme.com:8443/x', 'urn:acme:x']}}",
        "{ip: {presence: Fixed, values: [10.1.2.3]}}",
    ] {
        accepts_world(&with(good));
    }
    for (bad, message) in [
        ("{dns: {presence: Fixed, values: [www.acme.com, acme.org]}}", "spec.subjectAltNames.dns.values[1]: dns:acme.org lies outside the permitted names of pki/issuing"),
        ("{dns: {presence: Fixed, values: [x.secret.acme.com]}}", "lies within the excluded names"),
        ("{email: {presence: Fixed, values: [ann@mail.acme.com]}}", "spec.subjectAltNames.email.values[0]: email:ann@mail.acme.com lies outside"),
        ("{uri: {presence: Fixed, values: ['https://acme.com/']}}", "spec.subjectAltNames.uri.values[0]: uri:https://acme.com/ lies outside"),
        ("{ip: {presence: Fixed, values: [192.0.2.1]}}", "spec.subjectAltNames.ip.values[0]: ip:192.0.2.1 lies outside"),
    ] {
        rejects_world(&with(bad), P, "pki/x", Reason::NotPermittedByParent, message);
    }
}

#[test]
fn a_profile_is_rejected_for_usages_keys_validity_and_extensions() {
    let cases: &[Reject] = &[
        (P, "pki/x", Reason::Invalid, "spec: give a preset, or else keyUsage and extendedKeyUsage",
            profile!("authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature]}, subject: {}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage.usages: lists no usage",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: []}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage.usages: encipherOnly and decipherOnly need keyAgreement",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature, encipherOnly]}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage: keyCertSign and cRLSign need the preset CA",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [keyCertSign]}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage: keyCertSign and cRLSign need the preset CA",
            profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [cRLSign]}")),
        (P, "pki/x", Reason::Invalid, "spec.basicConstraints: needs the preset CA",
            profile!("preset: Device, authorityRef: {name: root}, basicConstraints: {pathLength: 0}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage: with the preset CA it must have mode Fixed",
            profile!("preset: CA, authorityRef: {name: root}, keyUsage: {mode: FromRequest, usages: [keyCertSign]}")),
        (P, "pki/x", Reason::Invalid, "spec.keyUsage: with the preset CA it must have mode Fixed",
            profile!("preset: CA, authorityRef: {name: root}, keyUsage: {usages: [cRLSign]}")),
        (P, "pki/x", Reason::Invalid, "spec.preset: a self-signed profile cannot have the preset CA", profile!("preset: CA, selfSigned: {}")),
        (P, "pki/x", Reason::Invalid, "spec.keys.allowed: lists no algorithm",
            profile!("preset: Device, authorityRef: {name: issuing}, keys: {allowed: []}")),
        (P, "pki/x", Reason::Invalid, "spec.validity.maximum: 1d is shorter than the default, 2d",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 2d, maximum: 1d}")),
        (P, "pki/x", Reason::Invalid, "spec.validity.backdate: 1h is not shorter than the default, 60m",
            profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 60m, backdate: 1h}")),
        (P, "pki/x", Reason::Invalid, "spec.requestExtensions.copy[1]: extensions of RFC 5280 cannot be copied",
            profile!("preset: Device, authorityRef: {name: issuing}, requestExtensions: {copy: [1.2.3, 2.5.29.19]}")),
        (P, "pki/x", Reason::Invalid, "spec.requestExtensions.copy[0]: extensions of RFC 5280 cannot be copied",
            profile!("preset: Device, authorityRef: {name: issuing}, requestExtensions: {copy: [1.3.6.1.5.5.7.1.1]}")),
        (P, "pki/x", Reason::Invalid, "spec.protocols[1]: est is there twice",
            profile!("preset: Device, authorityRef: {name: issuing}, protocols: [{protocol: est}, {protocol: est, minimumAuthentication: Certificate}]")),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(profile!("preset: Device, authorityRef: {name: issuing}, keyUsage: {usages: [keyAgreement, encipherOnly]}"));
    accepts(profile!("preset: Device, authorityRef: {name: issuing}, validity: {default: 1h, backdate: 0s}, requestExtensions: {copy: [1.3.6.1.4.1.311.20.2]}"));
}

#[test]
fn a_preset_is_said_in_full_and_defaults_too() {
    let policy = compiled("preset: TLSServer, authorityRef: {name: issuing}, validity: {default: 30d}");
    assert_eq!(policy.issuer, IssuerChoice::Authority(name("pki/issuing")));
    assert_eq!(policy.key_usage.usages.to_string(), "digitalSignature, keyEncipherment");
    assert_eq!(policy.extended_key_usage.usages.len(), 1);
    assert_eq!(policy.subject_alt_names.common_name, policy::CommonNameUse::CopyToDns);
    assert_eq!(policy.basic_constraints, BasicConstraintsPolicy::Leaf);
    assert_eq!((policy.validity.default, policy.validity.maximum), (Duration::from_secs(30 * 86_400), Duration::from_secs(30 * 86_400)));
    // No protocols said: every one, and a shared secret is enough. The server's own certificates need no profile.
    assert_eq!(policy.protocols.len(), Protocol::ALL.len() - 1);
    assert!(policy.protocols.iter().all(|rule| rule.minimum_authentication == Strength::SharedSecret && rule.protocol != Protocol::Internal));
}

#[test]
fn only_the_protocols_that_are_listed_are_compiled() {
    let policy = compiled("preset: Device, selfSigned: {}, protocols: [{protocol: issuer}, {protocol: cmp, minimumAuthentication: CertificateAndSecret}], approval: Manual, publish: {crlDistributionPoint: Omit}, certificatePolicies: [1.2.3]");
    let rules: Vec<_> = policy.protocols.iter().map(|rule| (rule.protocol, rule.minimum_authentication)).collect();
    assert_eq!(rules, [(Protocol::Cmp, Strength::CertificateAndSecret), (Protocol::Issuer, Strength::SharedSecret)]);
    assert_eq!((policy.issuer, policy.approval), (IssuerChoice::SelfSigned, policy::Approval::Manual));
    assert_eq!(policy.publish.crl_distribution_point, policy::Inclusion::Omit);
    assert_eq!(policy.certificate_policies.len(), 1);
}

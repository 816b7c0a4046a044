//! Subjects and alternative names of profiles.

use crds::conditions::Reason;
use issuance::policy;

use super::{P, Reject, accepts_world, profiles::compiled, rejects, rejects_world, world::World};

/// A document of the profile `x` in `pki`.
macro_rules! profile {
    ($($spec:expr),+) => {
        concat!("{kind: CertificateProfile, metadata: {name: x, namespace: pki}, spec: {", $($spec),+, "}}")
    };
}

#[test]
fn a_profile_is_rejected_for_its_subject() {
    let cases: &[Reject] = &[
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[1]: commonName is there twice",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: commonName}, {type: 2.5.4.3}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].values: are needed with presence Fixed",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].values: are needed with presence Fixed",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, values: [Acme]}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].patterns: are refused with presence Fixed",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: [Acme], patterns: ['*']}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].values: a subject has commonName at most once",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: commonName, presence: Fixed, values: [a, b]}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].values[1]: the value of countryName",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: country, presence: Fixed, values: [DE, Germany]}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].values[0]: the value of organization has 65 characters",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: ['12345678901234567890123456789012345678901234567890123456789012345']}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].patterns[1]: \"a***\"",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, patterns: [a, 'a***']}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subject.attributes[0].type: \"1.3.4294967295",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: 1.3.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295.4294967295}]}"
            ),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    let policy = compiled(
        "preset: Device, authorityRef: {name: issuing}, subject: {attributes: [{type: organization, presence: Fixed, values: [Acme, Works]}, {type: commonName, presence: Required, patterns: ['sensor-*']}], others: Drop, empty: Allowed}",
    );
    assert_eq!(policy.subject.attributes.len(), 2);
    assert_eq!(
        (policy.subject.others, policy.subject.empty),
        (policy::Unlisted::Drop, policy::Permission::Allowed)
    );
}

#[test]
fn a_profile_is_rejected_for_its_alternative_names() {
    let cases: &[Reject] = &[
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.dns.values: are needed with presence Fixed",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.dns.values[0]: \"a_b.acme.com\" is not a name",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed, values: [a_b.acme.com]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.dns.values[0]: \"*.acme.com\" is not a name",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {presence: Fixed, values: ['*.acme.com']}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.dns.patterns[0]: \"***\"",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {patterns: ['***']}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.ip.cidrs[0]: \"10.0.0.0\" is not a range",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {cidrs: [10.0.0.0]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.ip.cidrs[0]: \"10.0.0.1/8\" has bits set",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {cidrs: [10.0.0.1/8]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.ip.cidrs: are refused with presence Fixed",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {presence: Fixed, values: [10.0.0.1], cidrs: [10.0.0.0/8]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.ip.values[0]: \"10.0.0.256\" is not an IP address",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {ip: {presence: Fixed, values: [10.0.0.256]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.uri.values[0]: \"acme\" is not a name",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {uri: {presence: Fixed, values: [acme]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.email.values[0]: \"acme\" is not a name",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {email: {presence: Fixed, values: [acme]}}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.otherName[1]: 1.2.3.4 is there twice",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {otherName: [{typeId: 1.2.3.4}, {typeId: 1.2.3.4}]}"
            ),
        ),
        (
            P,
            "pki/x",
            Reason::Invalid,
            "spec.subjectAltNames.maximum: 1 is less than the 2 fixed names",
            profile!(
                "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {maximum: 1, dns: {presence: Fixed, values: [a, b]}}"
            ),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    let policy = compiled(
        "preset: Device, authorityRef: {name: issuing}, subjectAltNames: {dns: {wildcards: Allowed, presence: Fixed, values: ['*.Acme.com']}, ip: {cidrs: [10.0.0.0/8]}, otherName: [{typeId: 1.2.3.4, presence: Fixed, values: [ann]}]}",
    );
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
        (
            "{dns: {presence: Fixed, values: [www.acme.com, acme.org]}}",
            "spec.subjectAltNames.dns.values[1]: dns:acme.org lies outside the permitted names of pki/issuing",
        ),
        ("{dns: {presence: Fixed, values: [x.secret.acme.com]}}", "lies within the excluded names"),
        (
            "{email: {presence: Fixed, values: [ann@mail.acme.com]}}",
            "spec.subjectAltNames.email.values[0]: email:ann@mail.acme.com lies outside",
        ),
        (
            "{uri: {presence: Fixed, values: ['https://acme.com/']}}",
            "spec.subjectAltNames.uri.values[0]: uri:https://acme.com/ lies outside",
        ),
        (
            "{ip: {presence: Fixed, values: [192.0.2.1]}}",
            "spec.subjectAltNames.ip.values[0]: ip:192.0.2.1 lies outside",
        ),
    ] {
        rejects_world(&with(bad), P, "pki/x", Reason::NotPermittedByParent, message);
    }
}

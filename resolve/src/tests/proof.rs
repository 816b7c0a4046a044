//! Profiles that ask for proof of control: what may be attached to them, and what may not.

use std::time::Duration;

use crds::conditions::Reason;
use issuance::{acme::ChallengeType, policy::ProofOfControl};

use super::{CI, I, M, P, accepts_world, name, rejects_world, rest, world::World};
use crate::CompiledDomainValidation;

const PROOF: &str = "asks for proof of control over names, which nobody can give here over";

/// The base world with a profile `proven`, in a cluster.
fn world() -> World {
    World::base().in_cluster().with(
        "{kind: CertificateProfile, metadata: {name: proven, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: TLSServer, proofOfControl: Required}}",
    )
}

fn with_method(profile: &str, settings: &str) -> World {
    world().with(&format!(
        "{{kind: EnrollmentMethod, metadata: {{name: x, namespace: pki}}, spec: {{profileRef: {{name: {profile}}}, {settings}}}}}"
    ))
}

#[test]
fn whatever_cannot_have_names_proved_is_not_attached() {
    const PRODUCT: &str = "rest: {products: [{name: web, profileRef: {name: proven}}]}";
    for (world, kind, rejected, path) in [
        (with_method("proven", "est: {}"), M, "pki/x", "spec.profileRef"),
        (with_method("proven", "rest: {}"), M, "pki/x", "spec.rest.domainValidation"),
        (with_method("profile", PRODUCT), M, "pki/x", "spec.rest.domainValidation"),
        (
            world().with("{kind: ChanceryIssuer, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: proven}}}"),
            I,
            "pki/x",
            "spec.profileRef",
        ),
        (
            world().with("{kind: ChanceryClusterIssuer, metadata: {name: x}, spec: {profileRef: {name: proven, namespace: pki}}}"),
            CI,
            "-/x",
            "spec.profileRef",
        ),
    ] {
        let message = format!("{path}: the profile pki/proven {PROOF}");
        rejects_world(&world, kind, rejected, Reason::ProtocolNotAllowed, &message);
    }
}

#[test]
fn what_has_names_proved_is_attached() {
    for settings in [
        "acme: {}",
        "acme: {challenges: [], preAuthorizedNames: Enabled}",
        "rest: {domainValidation: {}}",
        "rest: {domainValidation: {challenges: [dns-01]}, products: [{name: web, profileRef: {name: proven}}]}",
    ] {
        let world = with_method("proven", settings);
        accepts_world(&world);
        let compiled = world.settle().resolution.compiled.unwrap();
        let profile = compiled.profiles.iter().find(|profile| profile.name == name("pki/proven")).unwrap();
        assert_eq!(profile.proof_of_control, ProofOfControl::Required);
    }
    let usual = World::base().settle().resolution.compiled.unwrap();
    assert_eq!(usual.profiles[0].proof_of_control, ProofOfControl::NotRequired);
}

#[test]
fn names_that_every_certificate_gets_are_proved_by_nobody() {
    for names in
        ["dns: {presence: Fixed, values: [a.acme.example]}", "ip: {presence: Fixed, values: [192.0.2.1]}"]
    {
        let world = World::base().with(&format!(
            "{{kind: CertificateProfile, metadata: {{name: p, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: TLSServer, proofOfControl: Required, subjectAltNames: {{{names}}}}}}}"
        ));
        rejects_world(&world, P, "pki/p", Reason::Invalid, "spec.proofOfControl: is Required, and DNS names");
    }
}

#[test]
fn a_method_of_rest_says_how_names_are_proved() {
    assert_eq!(rest::compiled(&rest::with("")).domain_validation, None);
    let defaults = rest::compiled(&rest::with("domainValidation: {}")).domain_validation.unwrap();
    assert_eq!(defaults.challenges, [ChallengeType::Http01, ChallengeType::Dns01]);
    assert_eq!((defaults.caa, defaults.validation.http_port), (None, 80));
    assert_eq!(defaults.authorization_lifetime, Duration::from_secs(30 * 86_400));
    let given = "domainValidation: {challenges: [tls-alpn-01, dns-01], caa: {issuerDomainNames: [CA.example]}, authorizationLifetime: 1h, validation: {httpPort: 8080, allowedNetworks: [10.0.0.0/8], resolvers: [10.0.0.53], attempts: 1, timeout: 2s}}";
    let CompiledDomainValidation { challenges, validation, caa, authorization_lifetime } =
        rest::compiled(&rest::with(given)).domain_validation.unwrap();
    assert_eq!(challenges, [ChallengeType::Dns01, ChallengeType::TlsAlpn01]);
    assert_eq!(caa.as_deref(), Some(["ca.example".to_owned()].as_slice()));
    assert_eq!(authorization_lifetime, Duration::from_secs(3600));
    assert_eq!((validation.http_port, validation.attempts), (8080, 1));
    assert_eq!(validation.allowed_networks, ["10.0.0.0/8".parse().unwrap()]);
}

#[test]
fn what_is_wrong_with_proofs_over_rest_is_named() {
    for (settings, message) in [
        ("challenges: []", "spec.rest.domainValidation.challenges: give at least one"),
        ("authorizationLifetime: 1s", "spec.rest.domainValidation.authorizationLifetime: 1s is not between"),
        (
            "caa: {issuerDomainNames: []}",
            "spec.rest.domainValidation.caa.issuerDomainNames: give at least one",
        ),
        (
            "caa: {issuerDomainNames: ['a b']}",
            "spec.rest.domainValidation.caa.issuerDomainNames[0]: \"a b\" is not",
        ),
        ("validation: {attempts: 0}", "spec.rest.domainValidation.validation.attempts: must be 1 to 10"),
        ("validation: {httpPort: 0}", "spec.rest.domainValidation.validation.httpPort: must be at least 1"),
        ("validation: {timeout: 0s}", "spec.rest.domainValidation.validation.timeout: 0s is not between"),
        ("validation: {resolvers: [x]}", "spec.rest.domainValidation.validation.resolvers[0]: \"x\" is not"),
        ("validation: {allowedNetworks: [x]}", "spec.rest.domainValidation.validation.allowedNetworks[0]: "),
    ] {
        let world = rest::with(&format!("domainValidation: {{{settings}}}"));
        rejects_world(&world, M, "pki/x", Reason::Invalid, message);
    }
}

/// The server is what connects: whoever decides over it decides how far methods of other namespaces send it, over REST too.
#[test]
fn a_method_of_another_namespace_stays_within_what_the_server_allows() {
    let world = World::base()
        .with("{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: TLSServer, grants: {attach: {namespaces: [team]}}}}")
        .with("{kind: EnrollmentMethod, metadata: {name: x, namespace: team}, spec: {profileRef: {name: profile, namespace: pki}, rest: {domainValidation: {validation: {allowedNetworks: [10.0.0.0/8]}}}}}");
    let message = "spec.rest.domainValidation.validation.allowedNetworks[0]: 10.0.0.0/8 is not within";
    rejects_world(&world, M, "team/x", Reason::ReferenceNotPermitted, message);
}

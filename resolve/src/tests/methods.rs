use crds::conditions::Reason;
use issuance::{identity::Protocol, policy::Strength};

use super::{M, Reject, S, accepts, accepts_world, name, rejects, rejects_world, world::World};
use crate::CompiledMethod;

/// A document of the method `x` in `pki`.
macro_rules! method {
    ($spec:literal) => {
        concat!("{kind: EnrollmentMethod, metadata: {name: x, namespace: pki}, spec: {", $spec, "}}")
    };
}

/// The profile `profile` with these protocols, and the base world's credential with a user name, as stronger ones need it.
fn profile_with(protocols: &str) -> World {
    World::base()
        .with(&format!("{{kind: CertificateProfile, metadata: {{name: profile, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: Device, protocols: {protocols}}}}}"))
        .with("{kind: EnrollmentCredential, metadata: {name: credential, namespace: pki}, spec: {methodRef: {name: method}, est: {username: ann}, owner: {user: ann}}}")
}

fn compiled(world: &World) -> CompiledMethod {
    let methods = world.settle().resolution.compiled.unwrap().methods;
    methods.into_iter().find(|method| method.name == name("pki/method")).unwrap()
}

#[test]
fn a_method_is_rejected_for_what_it_says_and_refers_to() {
    let cases: &[Reject] = &[
        (
            M,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one protocol",
            method!("profileRef: {name: profile}"),
        ),
        (
            M,
            "pki/x",
            Reason::Invalid,
            "spec.est.pendingRetryAfter: must be longer than zero",
            method!("profileRef: {name: profile}, est: {pendingRetryAfter: 0s}"),
        ),
        (
            M,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.profileRef: there is no CertificateProfile pki/nobody",
            method!("profileRef: {name: nobody}, est: {}"),
        ),
        (
            M,
            "other/x",
            Reason::ReferenceNotPermitted,
            "spec.profileRef: pki/profile does not list the namespace other under grants.attach",
            "{kind: EnrollmentMethod, metadata: {name: x, namespace: other}, spec: {profileRef: {name: profile, namespace: pki}, est: {}}}",
        ),
        (
            M,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.serverRef: there is no EnrollmentServer pki/nobody",
            method!("profileRef: {name: profile}, serverRef: {name: nobody}, est: {}"),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(method!(
        "profileRef: {name: profile}, serverRef: {name: server}, est: {authentication: Basic, pendingRetryAfter: 1s}"
    ));
}

#[test]
fn attaching_needs_the_grant_of_the_profile_and_not_that_of_issuers() {
    let attach = |grants: &str| {
        World::base()
            .with(&format!("{{kind: CertificateProfile, metadata: {{name: profile, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: Device, grants: {grants}}}}}"))
            .with("{kind: EnrollmentMethod, metadata: {name: x, namespace: other}, spec: {profileRef: {name: profile, namespace: pki}, est: {}}}")
    };
    accepts_world(&attach("{attach: {namespaces: [other]}}"));
    accepts_world(&attach(
        "{attach: {selector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: In, values: [other]}]}}}",
    ));
    for grants in ["{}", "{attach: {}}", "{attach: {namespaces: [oth]}}", "{issue: {namespaces: ['*']}}"] {
        rejects_world(&attach(grants), M, "other/x", Reason::ReferenceNotPermitted, "grants.attach");
    }
}

#[test]
fn the_profile_says_over_which_protocols_and_how_strongly() {
    rejects_world(
        &profile_with("[{protocol: scep}]"),
        M,
        "pki/method",
        Reason::ProtocolNotAllowed,
        "spec: the profile pki/profile does not allow est",
    );
    for strong in ["Certificate", "CertificateAndSecret"] {
        let world = profile_with(&format!("[{{protocol: est, minimumAuthentication: {strong}}}]"));
        rejects_world(
            &world,
            M,
            "pki/method",
            Reason::AuthenticationTooWeak,
            &format!("spec.est.authentication: the profile pki/profile asks for {strong}"),
        );
    }
    // Both a passphrase and a password come as HTTP Basic; which it must be is decided at each request.
    for (asked, minimum) in
        [("SharedSecret", Strength::SharedSecret), ("PersonalSecret", Strength::PersonalSecret)]
    {
        let world = profile_with(&format!("[{{protocol: est, minimumAuthentication: {asked}}}]"));
        accepts_world(&world);
        assert_eq!(compiled(&world).minimum, minimum);
    }
}

#[test]
fn a_method_is_served_by_the_server_of_its_authority() {
    let second = "{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {dnsNames: [edge]}}}";
    let owned = "
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {serverRef: {name: server}, selfSigned: {}, subject: {commonName: Root}}
---
kind: CertificateAuthority
metadata: {name: issuing, namespace: pki}
spec: {serverRef: {name: server}, intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}}
";
    let world = World::base().with(second).with(owned);
    let mismatched = world
        .clone()
        .with(method!("profileRef: {name: profile}, serverRef: {name: second, namespace: edge}, est: {}"));
    let resolution = mismatched.settle_for("pki/server").resolution;
    let status = resolution.status(M, &name("pki/x")).unwrap();
    assert_eq!(status.conditions[0].reason, Reason::ServerMismatch, "{:?}", status.conditions);

    // The other server may not claim a label for it.
    let claimed = world.with("{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {dnsNames: [edge]}, labels: [{label: devices, methodRef: {name: method, namespace: pki}}]}}");
    let resolution = claimed.settle_for("edge/second").resolution;
    let status = resolution.status(S, &name("edge/second")).unwrap();
    assert_eq!(status.conditions[0].reason, Reason::ServerMismatch, "{:?}", status.conditions);
    let compiled = resolution.compiled.unwrap();
    assert!(compiled.methods.is_empty() && compiled.server.labels.is_empty());
}

#[test]
fn a_method_of_a_self_signed_profile_belongs_to_the_only_server() {
    let world = World::base()
        .with("{kind: CertificateProfile, metadata: {name: self, namespace: pki}, spec: {selfSigned: {}, preset: Device}}")
        .with("{kind: EnrollmentMethod, metadata: {name: self, namespace: pki}, spec: {profileRef: {name: self}, est: {}}}");
    accepts_world(&world);
    assert_eq!(world.settle().resolution.compiled.unwrap().methods.len(), 2);
}

#[test]
fn a_method_compiles_with_its_own_label() {
    let method = compiled(&World::base());
    assert_eq!((method.label.as_str(), method.protocol), ("pki.method", Protocol::Est));
    assert_eq!((method.profile, method.retry_after.as_secs()), (name("pki/profile"), 60));
}

use std::collections::BTreeSet;

use crds::conditions::Reason;
use issuance::{identity::Protocol, policy::Strength};

use super::{CI, I, Reject, accepts, accepts_world, name, rejects, rejects_world, world::World};
use crate::{CompiledMethod, Granted, MethodSettings, issuer_method_name};

/// The profile `profile` in `pki` with these grants to issue.
fn granting(issue: &str) -> World {
    World::base().in_cluster().with(&format!("{{kind: CertificateProfile, metadata: {{name: profile, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: Device, grants: {{issue: {issue}}}}}}}"))
}

const ISSUER: &str = "{kind: ChanceryIssuer, metadata: {name: x, namespace: team}, spec: {profileRef: {name: profile, namespace: pki}}}";
const CLUSTER_ISSUER: &str =
    "{kind: ChanceryClusterIssuer, metadata: {name: x}, spec: {profileRef: {name: profile, namespace: pki}}}";

fn method(world: &World, of: &str) -> Option<CompiledMethod> {
    let methods = world.settle().resolution.compiled.unwrap().methods;
    methods.into_iter().find(|method| method.name == name(of))
}

fn granted(world: &World, of: &str) -> Granted {
    match method(world, of).unwrap().settings {
        MethodSettings::Issuer(issuer) => issuer.namespaces,
        MethodSettings::Est(_) | MethodSettings::Acme(_) | MethodSettings::Rest(_) => {
            panic!("{of} speaks a protocol of devices")
        }
    }
}

fn listed(names: &[&str]) -> Granted {
    Granted::Listed(names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn an_issuer_is_rejected_for_what_it_refers_to() {
    let cases: &[Reject] = &[
        (
            I,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.profileRef: there is no CertificateProfile pki/nobody",
            "{kind: ChanceryIssuer, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: nobody}}}",
        ),
        (
            I,
            "team/x",
            Reason::ReferenceNotFound,
            "spec.profileRef: there is no CertificateProfile team/profile",
            "{kind: ChanceryIssuer, metadata: {name: x, namespace: team}, spec: {profileRef: {name: profile}}}",
        ),
        (
            I,
            "team/x",
            Reason::ReferenceNotPermitted,
            "spec.profileRef: pki/profile does not list the namespace team under grants.issue",
            ISSUER,
        ),
        (
            CI,
            "-/x",
            Reason::ReferenceNotFound,
            "spec.profileRef: there is no CertificateProfile pki/nobody",
            "{kind: ChanceryClusterIssuer, metadata: {name: x}, spec: {profileRef: {name: nobody, namespace: pki}}}",
        ),
        (
            CI,
            "-/X",
            Reason::Invalid,
            "metadata.name: is not a name",
            "{kind: ChanceryClusterIssuer, metadata: {name: X}, spec: {profileRef: {name: profile, namespace: pki}}}",
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(
        "{kind: ChanceryIssuer, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: profile}}}",
    );
    accepts(CLUSTER_ISSUER);
}

#[test]
fn issuing_needs_the_grant_of_the_profile_and_not_that_of_methods() {
    for grants in [
        "{namespaces: [team]}",
        "{namespaces: ['*']}",
        "{selector: {matchLabels: {kubernetes.io/metadata.name: team}}}",
    ] {
        accepts_world(&granting(grants).with(ISSUER));
    }
    for grants in ["{}", "{namespaces: [teams]}", "{selector: {matchLabels: {tier: edge}}}"] {
        rejects_world(
            &granting(grants).with(ISSUER),
            I,
            "team/x",
            Reason::ReferenceNotPermitted,
            "grants.issue",
        );
    }
    let attaching = World::base().in_cluster().with("{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, grants: {attach: {namespaces: ['*']}}}}");
    rejects_world(&attaching.with(ISSUER), I, "team/x", Reason::ReferenceNotPermitted, "grants.issue");
}

#[test]
fn a_profile_says_whether_issuers_may_use_it() {
    let profile = |rest: &str| {
        World::base().in_cluster().with(&format!("{{kind: CertificateProfile, metadata: {{name: profile, namespace: pki}}, spec: {{{rest}, preset: Device, grants: {{issue: {{namespaces: ['*']}}}}}}}}"))
    };
    let without = profile("authorityRef: {name: issuing}, protocols: [{protocol: est}]");
    for (kind, issuer, yaml) in [(I, "team/x", ISSUER), (CI, "-/x", CLUSTER_ISSUER)] {
        rejects_world(
            &without.clone().with(yaml),
            kind,
            issuer,
            Reason::ProtocolNotAllowed,
            "spec: the profile pki/profile does not allow issuer",
        );
        rejects_world(
            &profile("selfSigned: {}").without("EnrollmentMethod", "pki/method").without("EnrollmentCredential", "pki/credential").without("EnrollmentServer", "pki/server").with("{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {authorityRef: {name: issuing}}}}").with(yaml),
            kind,
            issuer,
            Reason::Invalid,
            "the profile pki/profile lets certificates sign themselves",
        );
    }
    // The API server has authenticated whoever asks: no profile wants more.
    let strict = profile(
        "authorityRef: {name: issuing}, protocols: [{protocol: est}, {protocol: issuer, minimumAuthentication: CertificateAndSecret}]",
    );
    let method = method(&strict.with(ISSUER), "team/issuer:x").unwrap();
    assert_eq!(method.minimum, Strength::CertificateAndSecret);
}

#[test]
fn an_issuer_of_a_namespace_takes_requests_of_that_namespace_alone() {
    let world = granting("{namespaces: ['*']}").with(ISSUER);
    assert_eq!(granted(&world, "team/issuer:x"), listed(&["team"]));
    let method = method(&world, "team/issuer:x").unwrap();
    assert_eq!((method.protocol, method.profile.clone()), (Protocol::Issuer, name("pki/profile")));
    assert_eq!(method.resource(), (I, name("team/x")));
}

#[test]
fn an_issuer_of_the_cluster_takes_requests_of_what_the_profile_grants_now() {
    let world = |grant: &str| {
        granting(grant)
            .with(CLUSTER_ISSUER)
            .with_namespace("edge-1", &[("tier", "edge")])
            .with_namespace("edge-2", &[("tier", "edge")])
            .with_namespace("core", &[("tier", "core")])
    };
    for (grant, expected) in [
        ("{}", listed(&["pki"])),
        ("{namespaces: [team]}", listed(&["pki", "team"])),
        (
            "{namespaces: [core], selector: {matchLabels: {tier: edge}}}",
            listed(&["core", "edge-1", "edge-2", "pki"]),
        ),
        ("{selector: {matchLabels: {kubernetes.io/metadata.name: core}}}", listed(&["core", "pki"])),
        ("{namespaces: [team, '*']}", Granted::All),
    ] {
        let world = world(grant);
        accepts_world(&world);
        assert_eq!(granted(&world, "-/issuer:x"), expected, "{grant}");
    }
    assert_eq!(method(&world("{}"), "-/issuer:x").unwrap().resource(), (CI, name("-/x")));
}

#[test]
fn only_a_grant_for_all_covers_what_is_in_no_namespace() {
    assert!(Granted::All.permits(None) && Granted::All.permits(Some("team")));
    let some = listed(&["team"]);
    assert!(some.permits(Some("team")) && !some.permits(Some("teams")) && !some.permits(None));
    assert!(!Granted::Listed(BTreeSet::new()).permits(Some("")));
}

#[test]
fn no_resource_can_take_the_name_of_an_issuers_method() {
    assert_eq!(issuer_method_name(&name("pki/x")), name("pki/issuer:x"));
    let claimed = "{kind: EnrollmentMethod, metadata: {name: 'issuer:x', namespace: pki}, spec: {profileRef: {name: profile}, est: {}}}";
    let other = "{kind: EnrollmentMethod, metadata: {name: 'issuer:x', namespace: '-'}, spec: {profileRef: {name: profile, namespace: pki}, est: {}}}";
    for (yaml, of) in [(claimed, "pki/issuer:x"), (other, "-/issuer:x")] {
        let world = granting("{namespaces: ['*']}")
            .with(CLUSTER_ISSUER)
            .with("{kind: ChanceryIssuer, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: profile}}}")
            .with(yaml);
        rejects_world(&world, super::M, of, Reason::Invalid, "metadata.name: is not a name");
        assert!(matches!(method(&world, of).unwrap().settings, MethodSettings::Issuer(_)));
    }
}

#[test]
fn two_issuers_of_one_name_in_cluster_and_namespace_are_two_methods() {
    let world = granting("{namespaces: ['*']}").with(CLUSTER_ISSUER).with(ISSUER);
    let compiled = world.settle().resolution.compiled.unwrap();
    let names: Vec<String> = compiled.methods.iter().map(|method| method.name.to_string()).collect();
    assert_eq!(names, ["-/issuer:x", "pki/method", "team/issuer:x"]);
}

//! How far methods may send the server to validate challenges.

use crds::conditions::Reason;

use super::{M, S, accepts_world, check_rejected, name, provisioner::NOW, rejects_world, world::World};
use crate::{CompiledValidation, MethodSettings, Observed};

const NOT_PERMITTED: Reason = Reason::ReferenceNotPermitted;

/// The base world with a server that says this of validation, and a profile that `team` may attach methods to.
fn served(validation: &str) -> World {
    World::base()
        .with(&format!(
            "{{kind: EnrollmentServer, metadata: {{name: server, namespace: pki}}, spec: {{tls: {{authorityRef: {{name: issuing}}, dnsNames: [localhost]}}, validation: {{{validation}}}}}}}"
        ))
        .with("{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: TLSServer, grants: {attach: {namespaces: [team]}}}}")
}

/// With a method `x` in that namespace.
fn with(world: World, namespace: &str, validation: &str) -> World {
    world.with(&format!(
        "{{kind: EnrollmentMethod, metadata: {{name: x, namespace: {namespace}}}, spec: {{profileRef: {{name: profile, namespace: pki}}, acme: {{validation: {{{validation}}}}}}}}}"
    ))
}

fn compiled(world: &World, method: &str) -> CompiledValidation {
    accepts_world(world);
    let methods = world.settle().resolution.compiled.unwrap().methods;
    let method = methods.into_iter().find(|found| found.name == name(method)).unwrap();
    let MethodSettings::Acme(acme) = method.settings else { panic!("{method:?}") };
    acme.validation
}

#[test]
fn a_method_of_another_namespace_may_list_only_what_the_server_allows() {
    for (server, listed, said) in [
        ("", "10.244.0.0/16", "10.244.0.0/16"),
        ("", "127.0.0.0/8", "127.0.0.0/8"),
        ("", "8.8.8.0/24", "8.8.8.0/24"),
        ("allowedNetworks: [10.244.0.0/16]", "10.0.0.0/8", "10.0.0.0/8"),
        ("allowedNetworks: [10.244.0.0/16]", "10.245.0.0/16", "10.245.0.0/16"),
        ("allowedNetworks: [10.244.0.0/16]", "169.254.169.254/32", "169.254.169.254/32"),
        ("allowedNetworks: [10.0.0.0/8]", "0.0.0.0/0", "0.0.0.0/0"),
        ("allowedNetworks: [0.0.0.0/0]", "'fd00::/8'", "fd00::/8"),
        ("allowedNetworks: ['::/0']", "10.0.0.0/8", "10.0.0.0/8"),
        ("allowedNetworks: [10.0.0.0/9, 10.128.0.0/10]", "10.0.0.0/8", "10.0.0.0/8"),
    ] {
        let world = with(served(server), "team", &format!("allowedNetworks: [{listed}]"));
        let message = format!(
            "spec.acme.validation.allowedNetworks[0]: {said} is not within spec.validation.allowedNetworks of the EnrollmentServer pki/server: for a method of another namespace whoever decides over that server must add it there"
        );
        rejects_world(&world, M, "team/x", NOT_PERMITTED, &message);
        // In the server's own namespace it is for the same people to say.
        accepts_world(&with(served(server), "pki", &format!("allowedNetworks: [{listed}]")));
    }
    let second =
        with(served("allowedNetworks: [10.0.0.0/8]"), "team", "allowedNetworks: [10.1.0.0/16, 127.0.0.0/8]");
    rejects_world(
        &second,
        M,
        "team/x",
        NOT_PERMITTED,
        "spec.acme.validation.allowedNetworks[1]: 127.0.0.0/8",
    );
}

#[test]
fn a_method_of_another_namespace_may_have_only_public_dns_servers_asked_or_those_the_server_allows() {
    for (server, resolver) in [
        ("", "10.0.0.53"),
        ("", "'127.0.0.1:53'"),
        ("", "169.254.169.254"),
        ("", "'[::1]:53'"),
        ("", "'fd00::53'"),
        ("", "'::ffff:10.0.0.53'"),
        ("allowedNetworks: [10.1.0.0/16]", "10.2.0.53"),
        ("allowedNetworks: ['::/0']", "10.2.0.53"),
        ("allowedNetworks: ['64:ff9b::/96']", "'64:ff9b::10.0.0.53'"),
    ] {
        let world = with(served(server), "team", &format!("resolvers: [8.8.8.8, {resolver}]"));
        let message = "is not public, and not within spec.validation.allowedNetworks of the EnrollmentServer pki/server: for a method of another namespace whoever decides over that server must add its network there";
        rejects_world(&world, M, "team/x", NOT_PERMITTED, message);
        rejects_world(&world, M, "team/x", NOT_PERMITTED, "spec.acme.validation.resolvers[1]: ");
        accepts_world(&with(served(server), "pki", &format!("resolvers: [8.8.8.8, {resolver}]")));
    }
}

#[test]
fn what_the_server_denies_no_method_may_list_or_ask() {
    for (server, method, message) in [
        (
            "deniedNetworks: [10.0.0.0/8]",
            "allowedNetworks: [10.1.0.0/16]",
            "allowedNetworks[0]: 10.1.0.0/16 is within",
        ),
        (
            "deniedNetworks: [10.0.0.0/8]",
            "allowedNetworks: [10.0.0.0/8]",
            "allowedNetworks[0]: 10.0.0.0/8 is within",
        ),
        (
            "deniedNetworks: [10.0.0.0/9, 10.128.0.0/9]",
            "allowedNetworks: [10.0.0.0/8]",
            "allowedNetworks[0]: 10.0.0.0/8 is within",
        ),
        (
            "deniedNetworks: ['2a00:1450::/32']",
            "allowedNetworks: ['2a00:1450:1::/48']",
            "allowedNetworks[0]: 2a00:1450:1::/48 is within",
        ),
        ("deniedNetworks: [10.0.0.0/8]", "resolvers: [10.0.0.53]", "resolvers[0]: 10.0.0.53 is within"),
        (
            "deniedNetworks: [8.8.8.8/32]",
            "resolvers: [1.1.1.1, '8.8.8.8:5353']",
            "resolvers[1]: 8.8.8.8 is within",
        ),
        (
            "deniedNetworks: [8.8.8.8/32]",
            "resolvers: ['::ffff:8.8.8.8']",
            "resolvers[0]: ::ffff:8.8.8.8 is within",
        ),
        ("deniedNetworks: [8.8.8.8/32]", "resolvers: ['64:ff9b::8.8.8.8']", "is within"),
    ] {
        for namespace in ["pki", "team"] {
            let world =
                with(served(&format!("allowedNetworks: [0.0.0.0/0, '::/0'], {server}")), namespace, method);
            let method = format!("{namespace}/x");
            rejects_world(&world, M, &method, NOT_PERMITTED, message);
            let server = "spec.validation.deniedNetworks of the EnrollmentServer pki/server";
            rejects_world(&world, M, &method, NOT_PERMITTED, server);
        }
    }
}

#[test]
fn networks_of_a_server_are_networks_and_without_what_it_denies_nothing_is_validated() {
    for network in ["10.0.0.1", "10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129", "example"] {
        let world = served(&format!("allowedNetworks: [10.0.0.0/8, '{network}']"));
        rejects_world(&world, S, "pki/server", Reason::Invalid, "spec.validation.allowedNetworks[1]: ");

        let world = with(served(&format!("deniedNetworks: [10.0.0.0/8, '{network}']")), "pki", "");
        for resolution in [world.resolve(&Observed::nothing(NOW)), world.settle().resolution] {
            let message = "spec.validation.deniedNetworks[1]: ";
            check_rejected(&resolution, S, "pki/server", Reason::Invalid, message);
            let message = "spec.acme.validation: spec.validation.deniedNetworks of the EnrollmentServer pki/server cannot be read";
            check_rejected(&resolution, M, "pki/x", Reason::ReferenceNotAccepted, message);
        }
    }
}

#[test]
fn what_the_server_allows_a_method_may_list_and_what_it_denies_goes_with_every_method() {
    let server = "allowedNetworks: [10.244.0.0/15, 10.96.0.0/13, 10.104.0.0/13, 'fd00::/8'], deniedNetworks: [10.244.7.0/24, '2001:db8::/32']";
    let listed = "allowedNetworks: [10.244.0.0/16, 10.96.0.0/12, 'fd00:1::/32'], resolvers: [10.96.0.10, '[fd00::53]:5353', 1.1.1.1]";
    let denied = ["10.244.7.0/24", "2001:db8::/32"].map(|network| network.parse().unwrap());
    for namespace in ["team", "pki"] {
        let validation = compiled(&with(served(server), namespace, listed), &format!("{namespace}/x"));
        let allowed =
            ["10.244.0.0/16", "10.96.0.0/12", "fd00:1::/32"].map(|network| network.parse().unwrap());
        assert_eq!(validation.allowed_networks, allowed);
        assert_eq!(validation.denied_networks, denied);
        assert_eq!(validation.resolvers.len(), 3);
        // What the server allows is not allowed until a method says so.
        let validation = compiled(&with(served(server), namespace, ""), &format!("{namespace}/x"));
        assert!(validation.allowed_networks.is_empty(), "{validation:?}");
        assert_eq!(validation.denied_networks, denied);
    }
}

#[test]
fn a_server_that_nobody_declared_has_no_other_namespaces() {
    let world = with(served(""), "team", "allowedNetworks: [127.0.0.0/8], resolvers: [127.0.0.1]");
    rejects_world(&world, M, "team/x", NOT_PERMITTED, "allowedNetworks[0]");
    accepts_world(&world.without("EnrollmentServer", "pki/server"));
}

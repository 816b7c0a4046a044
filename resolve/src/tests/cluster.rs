//! What is different in a cluster, and what several tenants can do to each other.

use crds::conditions::{ConditionStatus, ConditionType, Reason};

use super::{
    A, C, P, Reject, S, accepts_world, name,
    provisioner::{NOW, Provisioner},
    rejects_world,
    world::World,
};
use crate::{CompiledTls, Observed, resolve};

fn base() -> World {
    World::base().in_cluster()
}

/// The server of the base world with this spec.
fn server(spec: &str) -> String {
    format!("{{kind: EnrollmentServer, metadata: {{name: server, namespace: pki}}, spec: {{{spec}}}}}")
}

#[test]
fn a_server_is_rejected_for_what_only_a_cluster_asks() {
    let cases: &[Reject] = &[
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.replicas: more than one replica needs the storage postgres",
            "tls: {authorityRef: {name: issuing}}, replicas: 2",
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.service.loadBalancerSourceRanges[1]: \"10.0.0.1/8\" has bits set after its prefix",
            "tls: {authorityRef: {name: issuing}}, service: {type: LoadBalancer, loadBalancerSourceRanges: [192.0.2.0/24, 10.0.0.1/8]}",
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.proxyProtocol.trusted[0]: \"10.0.0.0/33\" is not a range of addresses",
            "tls: {authorityRef: {name: issuing}}, proxyProtocol: {mode: Required, trusted: [10.0.0.0/33]}",
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.proxyProtocol.trusted: is needed",
            "tls: {authorityRef: {name: issuing}}, proxyProtocol: {mode: Required}",
        ),
    ];
    for (kind, rejected, reason, message, spec) in cases {
        rejects_world(&base().with(&server(spec)), *kind, rejected, *reason, message);
    }
    accepts_world(&base().with(&server(
        "tls: {authorityRef: {name: issuing}}, replicas: 2, storage: {postgres: {secretRef: {name: d}}}",
    )));
}

#[test]
fn a_server_has_a_name_that_a_service_can_have() {
    let long = "a".repeat(46);
    for bad in ["a.b", "1a", &long] {
        let world = World::empty().in_cluster().with(&format!(
            "
kind: EnrollmentServer
metadata: {{name: {bad}, namespace: pki}}
spec: {{tls: {{authorityRef: {{name: root}}}}}}
---
kind: CertificateAuthority
metadata: {{name: root, namespace: pki}}
spec: {{selfSigned: {{}}, subject: {{commonName: Root}}}}
"
        ));
        rejects_world(
            &world,
            S,
            &format!("pki/{bad}"),
            Reason::Invalid,
            "metadata.name: is not the name of a Service",
        );
    }
}

#[test]
fn the_names_of_the_service_are_in_the_certificate_once() {
    let world = base().with(&server(
        "tls: {authorityRef: {name: issuing}, dnsNames: [Enroll.example.com, server.pki.svc]}",
    ));
    accepts_world(&world);
    let Some(CompiledTls::Authority { dns_names, .. }) =
        world.settle().resolution.compiled.unwrap().server.tls
    else {
        panic!()
    };
    assert_eq!(
        dns_names,
        ["enroll.example.com", "server.pki.svc", "server.pki", "server.pki.svc.cluster.local"]
    );
}

#[test]
fn headers_of_the_proxy_protocol_are_believed_from_load_balancers_alone() {
    let world = base().with(&server(
        "tls: {authorityRef: {name: issuing}}, proxyProtocol: {mode: Required, trusted: [10.0.0.0/8]}",
    ));
    let proxy = world.settle().resolution.compiled.unwrap().server.proxy_protocol.unwrap();
    assert_eq!(proxy.trusted, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(base().settle().resolution.compiled.unwrap().server.proxy_protocol, None);
}

#[test]
fn without_a_server_nothing_is_made_in_a_cluster() {
    let world = base().without("EnrollmentServer", "pki/server");
    let resolution = world.settle().resolution;
    assert_eq!((resolution.compiled, resolution.wants.len()), (None, 0));
    assert!(
        resolution.statuses.iter().all(|status| status.kind != S),
        "a server is spoken of that nobody made"
    );
    let root = resolution.statuses.iter().find(|status| status.name == name("pki/root")).unwrap();
    let accepted = root.condition(ConditionType::Accepted).unwrap();
    assert_eq!(
        (accepted.reason, accepted.message.as_str()),
        (Reason::ReferenceNotFound, "spec.serverRef: there is no EnrollmentServer")
    );
}

#[test]
fn nobody_takes_the_resources_of_others_down_by_making_a_server() {
    let mine = World::base().in_cluster();
    let before = mine.settle_for("pki/server").resolution;
    let intruder = "{kind: EnrollmentServer, metadata: {name: other, namespace: evil}, spec: {tls: {secretRef: {name: s}}}}";
    let mut provisioner = Provisioner::default();
    let settled = provisioner.settle(&mine.resources(), Some(&name("pki/server")));
    let after = resolve(&mine.with(intruder).resources(), &settled.observed, Some(&name("pki/server")));
    assert_eq!(settled.resolution.compiled, after.compiled);
    for status in &before.statuses {
        assert!(after.status(status.kind, &status.name).unwrap().is_accepted(), "{status:?}");
    }
}

#[test]
fn an_authority_stays_with_the_server_that_has_had_its_key() {
    let tenant = "
kind: CertificateAuthority
metadata: {name: own, namespace: far}
spec: {selfSigned: {}, subject: {commonName: Own}}
---
kind: CertificateProfile
metadata: {name: own, namespace: far}
spec: {authorityRef: {name: own}, preset: Device}
";
    let server = name("pki/server");
    let world = base().with(tenant);
    let mut observed = Provisioner::default().settle(&world.resources(), Some(&server)).observed;
    observed.delegated.insert(name("far/own"), server.clone());

    // With a second server it would else be undecided whose it is.
    let second = world.clone().with("{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {secretRef: {name: s}}}}");
    let resolution = resolve(&second.resources(), &observed, Some(&server));
    assert!(resolution.status(A, &name("far/own")).unwrap().is_accepted());

    let moved = second.clone().with("{kind: CertificateAuthority, metadata: {name: own, namespace: far}, spec: {serverRef: {name: second, namespace: edge}, selfSigned: {}, subject: {commonName: Own}}}");
    let resolution = resolve(&moved.resources(), &observed, Some(&server));
    let accepted =
        resolution.status(A, &name("far/own")).unwrap().condition(ConditionType::Accepted).unwrap().clone();
    assert_eq!(accepted.reason, Reason::ImmutableMember, "{}", accepted.message);

    let gone = second.without("EnrollmentServer", "pki/server");
    let resolution = resolve(&gone.resources(), &observed, Some(&name("edge/second")));
    let accepted =
        resolution.status(A, &name("far/own")).unwrap().condition(ConditionType::Accepted).unwrap().clone();
    assert_eq!(accepted.reason, Reason::ReferenceNotFound, "{}", accepted.message);

    // Its key stays there, too, when nothing issues by it any more: there is known what is revoked.
    let idle = world.without("CertificateProfile", "far/own");
    assert!(resolve(&idle.resources(), &observed, Some(&server)).issuing.contains(&name("far/own")));
    observed.delegated.clear();
    assert!(!resolve(&idle.resources(), &observed, Some(&server)).issuing.contains(&name("far/own")));
}

#[test]
fn a_key_is_handed_out_only_where_something_is_issued_by_it() {
    let issuing = |world: &World| {
        let names = world.settle().resolution.issuing.into_iter().map(|name| name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(issuing(&base()), ["pki/issuing"]);
    let by_root = server("tls: {authorityRef: {name: root}}");
    assert_eq!(issuing(&base().with(&by_root)), ["pki/issuing", "pki/root"]);
    let idle = base().with(&by_root).without("CertificateProfile", "pki/profile");
    assert_eq!(issuing(&idle), ["pki/root"]);
}

#[test]
fn a_credential_rotates_in_a_cluster_and_nowhere_else() {
    let rotating = |every: &str| {
        format!(
            "{{kind: EnrollmentCredential, metadata: {{name: credential, namespace: pki}}, spec: {{methodRef: {{name: method}}, est: {{}}, owner: {{group: factory}}, rotation: {{every: {every}}}}}}}"
        )
    };
    accepts_world(&base().with(&rotating("1d")));
    rejects_world(
        &base().with(&rotating("59s")),
        C,
        "pki/credential",
        Reason::Invalid,
        "spec.rotation.every: 59s is shorter than 1m",
    );
    accepts_world(&base().with(&rotating("1d, overlap: 1m")));
    let counted = |every: &str| rotating(every).replace("rotation:", "maximumUses: 9, rotation:");
    accepts_world(&base().with(&counted("1d")));
    for (rotation, message) in [
        ("1d, overlap: 59s", "spec.rotation.overlap: 59s is shorter than 1m"),
        ("1h, overlap: 60m", "spec.rotation.overlap: 60m is not shorter than the 1h of spec.rotation.every"),
        ("1h, overlap: 2h", "spec.rotation.overlap: 2h is not shorter than the 1h of spec.rotation.every"),
    ] {
        rejects_world(&base().with(&rotating(rotation)), C, "pki/credential", Reason::Invalid, message);
    }
    rejects_world(
        &base().with(&counted("1d, overlap: 1h")),
        C,
        "pki/credential",
        Reason::Invalid,
        "spec.rotation.overlap: is refused with maximumUses",
    );
    rejects_world(
        &World::base().with(&rotating("1d")),
        C,
        "pki/credential",
        Reason::Invalid,
        "spec.rotation: needs a cluster",
    );
}

#[test]
fn what_fits_into_no_secret_is_refused_by_name() {
    let values: Vec<String> = (0..4_200).map(|index| format!("{index:04}{}", "x".repeat(246))).collect();
    let large = format!(
        "{{kind: CertificateProfile, metadata: {{name: large, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: Device, subject: {{attributes: [{{type: commonName, patterns: [{}]}}]}}}}}}",
        values.join(", ")
    );
    rejects_world(
        &base().with(&large),
        P,
        "pki/large",
        Reason::Invalid,
        "bytes with what it refers to; 999000 are the most",
    );
    accepts_world(&World::base().with(&large));
}

#[test]
fn references_are_told_apart_from_what_a_resource_says_itself() {
    let condition = |yaml: &str, of: &str| {
        let resolution = base().with_also(yaml).resolve(&Observed::nothing(NOW));
        let status = resolution
            .statuses
            .iter()
            .find(|status| status.name == name(of) && status.kind == P)
            .unwrap()
            .clone();
        status.condition(ConditionType::ResolvedRefs).unwrap().clone()
    };
    let profile = |spec: &str| {
        format!("{{kind: CertificateProfile, metadata: {{name: x, namespace: pki}}, spec: {{{spec}}}}}")
    };
    let both = condition(
        &profile("authorityRef: {name: nobody}, preset: Device, validity: {default: 2d, maximum: 1d}"),
        "pki/x",
    );
    assert_eq!((both.status, both.reason), (ConditionStatus::False, Reason::ReferenceNotFound));
    assert_eq!(both.message, "spec.authorityRef: there is no CertificateAuthority pki/nobody");
    let own = condition(
        &profile("authorityRef: {name: issuing}, preset: Device, validity: {default: 2d, maximum: 1d}"),
        "pki/x",
    );
    assert_eq!((own.status, own.reason), (ConditionStatus::True, Reason::ResolvedRefs));
    // Of two with one name neither was looked into.
    let twice = condition(
        &format!(
            "{}\n---\n{}",
            profile("authorityRef: {name: nobody}"),
            profile("authorityRef: {name: issuing}")
        ),
        "pki/x",
    );
    assert_eq!((twice.status, twice.reason), (ConditionStatus::Unknown, Reason::Unknown));
}

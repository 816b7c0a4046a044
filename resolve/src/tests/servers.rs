use std::collections::BTreeMap;

use crds::conditions::{ConditionType, Reason};

use super::provisioner::{NOW, Provisioner};
use super::{Reject, S, accepts, accepts_world, name, rejects, rejects_world, world::World};
use crate::{Compiled, CompiledTls, Observed, implied_server_name, resolve};

/// A document of the server in `pki`.
macro_rules! server {
    ($spec:literal) => {
        concat!("{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {", $spec, "}}")
    };
}

fn compiled(world: &World) -> Compiled {
    world.settle().resolution.compiled.unwrap()
}

/// Which authority issues the server's certificate.
fn tls_authority(world: &World) -> Option<String> {
    match compiled(world).server.tls? {
        CompiledTls::Authority { authority, .. } => Some(authority.to_string()),
        CompiledTls::Secret { .. } => panic!("not from a Secret"),
    }
}

#[test]
fn a_server_is_rejected_for_its_tls_certificate() {
    let cases: &[Reject] = &[
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls: give one of authorityRef and secretRef, not both",
            server!("tls: {authorityRef: {name: issuing}, secretRef: {name: s}, dnsNames: [localhost]}"),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls: give at least one of dnsNames and ipAddresses",
            server!("tls: {authorityRef: {name: issuing}}"),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls.dnsNames[1]: \"*.acme.com\" is not a DNS name",
            server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost, '*.acme.com']}"),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls.ipAddresses[0]: \"localhost\" is not an IP address",
            server!("tls: {authorityRef: {name: issuing}, ipAddresses: [localhost]}"),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls.validity: must be longer than zero",
            server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost], validity: 0s}"),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.tls.validity: 6y is longer than pki/issuing is valid",
            server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost], validity: 6y}"),
        ),
        (
            S,
            "pki/server",
            Reason::ReferenceNotFound,
            "spec.tls.authorityRef: there is no CertificateAuthority pki/nobody",
            server!("tls: {authorityRef: {name: nobody}, dnsNames: [localhost]}"),
        ),
        (
            S,
            "pki/server",
            Reason::SecretInvalid,
            "spec.tls.secretRef: the Secret pki/nobody does not exist",
            server!("tls: {secretRef: {name: nobody}}"),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(server!(
        "tls: {authorityRef: {name: issuing}, dnsNames: [Enroll.Acme.com], ipAddresses: ['::1'], validity: 5y}"
    ));
    let constrained = World::base().with("{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, nameConstraints: {permitted: {dns: [acme.com]}}}}");
    rejects_world(
        &constrained,
        S,
        "pki/server",
        Reason::Invalid,
        "spec.tls: dns:localhost lies outside the permitted names of pki/issuing",
    );
}

#[test]
fn a_server_is_rejected_for_its_labels_urls_and_limits() {
    let cases: &[Reject] = &[
        (
            S,
            "pki/server",
            Reason::ReferenceNotFound,
            "spec.defaultMethodRef: there is no EnrollmentMethod pki/nobody",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, defaultMethodRef: {name: nobody}"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::ReferenceNotFound,
            "spec.labels[0].methodRef: there is no EnrollmentMethod pki/nobody",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: a, methodRef: {name: nobody}}]"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::LabelConflict,
            "spec.labels[0]: the label \"a\" is there twice",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: a, methodRef: {name: method}}, {label: a, methodRef: {name: method}}]"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::LabelConflict,
            "spec.labels[0]: \"pki.method\" is the own label of the method pki/method",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: pki.method, methodRef: {name: method}}]"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.labels[0].label: \"a.b\" is not a label",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: a.b, methodRef: {name: method}}]"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.publicBaseUrl: \"https://acme.com\" is not an http:// URL",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, publicBaseUrl: 'https://acme.com'"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.enrollmentBaseUrl: \"https://acme.com/\" is not an https:// URL",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, enrollmentBaseUrl: 'https://acme.com/'"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.limits.handshakeTimeout: must be longer than zero",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, limits: {handshakeTimeout: 0s}"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.limits.failedAuthentications.window: must be longer than zero",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, limits: {failedAuthentications: {window: 0s}}"
            ),
        ),
        (
            S,
            "pki/server",
            Reason::Invalid,
            "spec.audit.checkpointInterval: must be longer than zero",
            server!(
                "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, audit: {checkpointInterval: 0s}"
            ),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(server!(
        "tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, publicBaseUrl: 'http://acme.com:8080/pki', enrollmentBaseUrl: 'https://acme.com', limits: {failedAuthentications: {state: Disabled}}"
    ));
}

#[test]
fn what_is_wrong_with_a_server_is_left_out_and_the_rest_is_served() {
    let world = World::base().with(server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, defaultMethodRef: {name: nobody}, labels: [{label: twice, methodRef: {name: method}}, {label: twice, methodRef: {name: method}}, {label: good, methodRef: {name: method}}]"));
    let compiled = compiled(&world);
    assert_eq!(compiled.server.default_method, None);
    assert_eq!(compiled.server.labels, BTreeMap::from([("good".to_owned(), name("pki/method"))]));
    assert_eq!((compiled.methods.len(), compiled.credentials.len()), (1, 1));
    assert!(compiled.server.tls.is_some());
}

#[test]
fn a_label_cannot_be_taken_over_by_naming_a_method_like_it() {
    // Labels have no dot, names of methods always do: `a` of one and `a.b` of the other cannot meet.
    let world = World::base().with(server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: pki, methodRef: {name: method}}]"));
    let compiled = compiled(&world);
    assert!(compiled.methods.iter().all(|method| !compiled.server.labels.contains_key(&method.label)));
}

#[test]
fn a_server_that_names_no_authority_is_issued_to_by_the_obvious_one() {
    const NO_DEFAULT: &str = server!("tls: {dnsNames: [localhost]}");
    let second = "{kind: CertificateAuthority, metadata: {name: second, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Second}}}";
    let on_second = "
kind: CertificateProfile
metadata: {name: second, namespace: pki}
spec: {authorityRef: {name: second}, preset: Device}
---
kind: EnrollmentMethod
metadata: {name: second, namespace: pki}
spec: {profileRef: {name: second}, est: {}}
";
    // The authority of the default method.
    let default = World::base()
        .with(second)
        .with(on_second)
        .with(server!("tls: {dnsNames: [localhost]}, defaultMethodRef: {name: second}"));
    accepts_world(&default);
    assert_eq!(tls_authority(&default).as_deref(), Some("pki/second"));
    // The only intermediate.
    assert_eq!(tls_authority(&World::base().with(NO_DEFAULT)).as_deref(), Some("pki/issuing"));
    // The first by name.
    assert_eq!(tls_authority(&World::base().with(second).with(NO_DEFAULT)).as_deref(), Some("pki/issuing"));
    let root_only = World::empty().with(NO_DEFAULT).with("{kind: CertificateAuthority, metadata: {name: root, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: Root}}}");
    assert_eq!(tls_authority(&root_only).as_deref(), Some("pki/root"));
    // None: said on the server.
    rejects_world(
        &World::empty().with(NO_DEFAULT),
        S,
        "pki/server",
        Reason::ReferenceNotFound,
        "spec.tls: no CertificateAuthority of this server is accepted",
    );
}

#[test]
fn an_authority_of_another_namespace_issues_to_a_server_only_where_that_says_so() {
    let far = "{kind: CertificateAuthority, metadata: {name: far, namespace: other}, spec: {selfSigned: {}, subject: {commonName: Far}}}";
    let world = |tls: &str| {
        let server = format!(
            "{{kind: EnrollmentServer, metadata: {{name: server, namespace: pki}}, spec: {{storage: {{sqlite: {{}}}}, tls: {{{tls}}}}}}}"
        );
        World::empty().in_cluster().with(far).with(&server)
    };
    let silent = world("dnsNames: [localhost]");
    let message =
        "spec.tls: the CertificateAuthorities of this server are in other namespaces: say in authorityRef";
    rejects_world(&silent, S, "pki/server", Reason::ReferenceNotFound, message);
    assert_eq!(tls_authority(&silent), None);
    // Whatever is there of its own is taken before.
    let near = "{kind: CertificateAuthority, metadata: {name: near, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: Near}}}";
    let below = "{kind: CertificateAuthority, metadata: {name: below, namespace: other}, spec: {intermediate: {parentRef: {name: far}}, subject: {commonName: Below}}}";
    assert_eq!(tls_authority(&silent.with(near).with(below)).as_deref(), Some("pki/near"));
    let named = world("dnsNames: [localhost], authorityRef: {name: far, namespace: other}");
    assert_eq!(tls_authority(&named).as_deref(), Some("other/far"));
}

#[test]
fn the_first_by_name_is_one_that_can_sign_now() {
    let world = World::empty()
        .with(server!("tls: {dnsNames: [localhost]}"))
        .with("{kind: CertificateAuthority, metadata: {name: a, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: A}, validity: 1d}}")
        .with("{kind: CertificateAuthority, metadata: {name: b, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: B}}}");
    let mut observed = world.settle().observed;
    observed.now = NOW.plus_seconds(2 * 86_400);
    let Some(CompiledTls::Authority { authority, .. }) =
        world.resolve(&observed).compiled.unwrap().server.tls
    else {
        panic!()
    };
    assert_eq!(authority, name("pki/b"));
}

#[test]
fn a_tls_certificate_that_is_not_said_how_long_is_no_longer_valid_than_its_authority() {
    let world = World::base().with("{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, validity: 30d}}");
    accepts_world(&world);
    let Some(CompiledTls::Authority { validity, .. }) = compiled(&world).server.tls else { panic!() };
    assert_eq!(validity.as_secs(), 30 * 86_400);
}

#[test]
fn without_a_server_one_with_every_default_is_meant() {
    let world = World::base().without("EnrollmentServer", "pki/server");
    accepts_world(&world);
    let compiled = compiled(&world);
    assert_eq!(compiled.server.name, implied_server_name());
    assert_eq!((compiled.methods.len(), compiled.credentials.len()), (1, 1));
    let Some(CompiledTls::Authority { authority, dns_names, ip_addresses, .. }) = compiled.server.tls else {
        panic!()
    };
    assert_eq!((authority, dns_names), (name("pki/issuing"), vec!["localhost".to_owned()]));
    assert_eq!(ip_addresses.len(), 2);
    let implied = world.settle_for(&implied_server_name().to_string()).resolution.compiled;
    assert!(implied.is_some());

    // What is wrong with it is said, although there is no resource to say it on.
    let resolution = World::empty().resolve(&Observed::nothing(NOW));
    let status = resolution.status(S, &implied_server_name()).unwrap();
    assert!(!status.is_accepted());
    assert_eq!(resolution.compiled.unwrap().server.tls, None);
}

#[test]
fn with_several_servers_and_no_choice_nothing_is_compiled() {
    let world = World::base().with_also("{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {authorityRef: {name: root, namespace: pki}, dnsNames: [edge]}}}");
    let resolution = world.settle().resolution;
    assert_eq!((resolution.compiled, resolution.wants.len()), (None, 0));
    for server in ["pki/server", "edge/second"] {
        let status = resolution
            .statuses
            .iter()
            .find(|status| status.kind == S && status.name == name(server))
            .unwrap();
        let accepted = status.condition(ConditionType::Accepted).unwrap();
        assert!(
            accepted.message.contains("there are several EnrollmentServers and none was chosen"),
            "{}",
            accepted.message
        );
    }
}

#[test]
fn a_server_is_not_issued_to_by_the_authority_of_another() {
    let owned = "
kind: CertificateAuthority
metadata: {name: root, namespace: pki}
spec: {serverRef: {name: server}, selfSigned: {}, subject: {commonName: Root}}
---
kind: CertificateAuthority
metadata: {name: issuing, namespace: pki}
spec: {serverRef: {name: server}, intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}}
---
kind: EnrollmentServer
metadata: {name: second, namespace: edge}
spec: {tls: {authorityRef: {name: issuing, namespace: pki}, dnsNames: [edge]}}
";
    let resolution = World::base().with(owned).settle_for("edge/second").resolution;
    let status = resolution.status(S, &name("edge/second")).unwrap();
    assert_eq!(status.conditions[0].reason, Reason::ServerMismatch, "{:?}", status.conditions);
    assert_eq!(resolution.compiled.unwrap().server.tls, None);
}

#[test]
fn a_server_that_is_not_there_is_not_compiled() {
    let nobody = name("pki/nobody");
    let resolution = Provisioner::default().settle(&World::base().resources(), Some(&nobody)).resolution;
    assert_eq!((resolution.compiled, resolution.wants.len()), (None, 0));
    let empty = resolve(&World::empty().resources(), &Observed::nothing(NOW), Some(&nobody));
    assert_eq!(empty.compiled, None);
}

#[test]
fn limits_compile_to_numbers() {
    let compiled = compiled(&World::base().with(server!("tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, limits: {bodyBytes: 4096, readTimeout: 1m, failedAuthentications: {perAddress: 3, window: 2m}}, audit: {checkpointInterval: 5m}")));
    let limits = compiled.server.limits;
    let failures = limits.failed_authentications.unwrap();
    assert_eq!((limits.body_bytes, limits.read_timeout.as_secs()), (4096, 60));
    assert_eq!((failures.per_address, failures.window.as_secs()), (3, 120));
    assert_eq!(compiled.server.checkpoint_interval.as_secs(), 300);
}

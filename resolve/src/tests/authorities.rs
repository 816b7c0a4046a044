use crds::conditions::{ConditionType, Reason};

use super::{A, Reject, S, accepts, accepts_world, name, rejects, rejects_world, world::World};

/// A document of an authority in `pki`.
macro_rules! authority {
    ($name:literal, $spec:literal) => {
        concat!(
            "{kind: CertificateAuthority, metadata: {name: ",
            $name,
            ", namespace: pki}, spec: ",
            $spec,
            "}"
        )
    };
}

#[test]
fn an_authority_is_rejected_for_what_it_says_itself() {
    let cases: &[Reject] = &[
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one of selfSigned",
            authority!("x", "{subject: {commonName: X}}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one of selfSigned",
            authority!(
                "x",
                "{selfSigned: {}, intermediate: {parentRef: {name: root}}, subject: {commonName: X}}"
            ),
        ),
        (A, "pki/x", Reason::Invalid, "spec.subject: is needed", authority!("x", "{selfSigned: {}}")),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.subject: give at least one",
            authority!("x", "{selfSigned: {}, subject: {}}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.subject: the value of countryName",
            authority!("x", "{selfSigned: {}, subject: {country: Germany}}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.subject: the value of commonName has 65 characters",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: '12345678901234567890123456789012345678901234567890123456789012345'}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.subject: the value of commonName in the name holds a control character",
            authority!("x", r#"{selfSigned: {}, subject: {commonName: "a\nb"}}"#),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.validity: must be longer",
            authority!("x", "{selfSigned: {}, subject: {commonName: X}, validity: 0s}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.pathLength: is more than 10",
            authority!("x", "{selfSigned: {}, subject: {commonName: X}, pathLength: 11}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.crl.renewBefore: 7d is not shorter than the validity of a list, 1w",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: X}, crl: {validity: 1w, renewBefore: 7d}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.crl.renewBefore: must be longer than zero",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: X}, crl: {validity: 1w, renewBefore: 0s}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.nameConstraints: give at least one entry",
            authority!("x", "{selfSigned: {}, subject: {commonName: X}, nameConstraints: {permitted: {}}}"),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.nameConstraints.permitted.ip[1]: \"10.0.0.0/33\" is not a range",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: X}, nameConstraints: {permitted: {ip: [10.0.0.0/8, 10.0.0.0/33]}}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.nameConstraints.excluded.ip[0]: \"10.1.0.0/8\" has bits set after its prefix; 10.0.0.0/8",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: X}, nameConstraints: {excluded: {ip: [10.1.0.0/8]}}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::Invalid,
            "spec.nameConstraints.permitted.dns[0]: is not printable ASCII",
            authority!(
                "x",
                "{selfSigned: {}, subject: {commonName: X}, nameConstraints: {permitted: {dns: [bücher.example]}}}"
            ),
        ),
        (
            A,
            "pki/X",
            Reason::Invalid,
            "metadata.name: is not a name",
            authority!("X", "{selfSigned: {}, subject: {commonName: X}}"),
        ),
        (
            A,
            "a.b/x",
            Reason::Invalid,
            "metadata.namespace: is not a name",
            "{kind: CertificateAuthority, metadata: {name: x, namespace: a.b}, spec: {selfSigned: {}, subject: {commonName: X}}}",
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(authority!(
        "x",
        "{selfSigned: {}, subject: {commonName: X}, validity: 1s, pathLength: 10, crl: {validity: 3s, renewBefore: 2s}}"
    ));
    accepts(authority!(
        "x",
        "{selfSigned: {}, subject: {country: DE, commonName: X}, nameConstraints: {permitted: {ip: [10.0.0.0/8, '2001:db8::/32'], dns: [example.com], email: [a@example.com], uri: [.example.com]}}}"
    ));
}

#[test]
fn an_authority_is_rejected_for_what_it_refers_to() {
    let cases: &[Reject] = &[
        (
            A,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.intermediate.parentRef: there is no CertificateAuthority pki/nobody",
            authority!("x", "{intermediate: {parentRef: {name: nobody}}, subject: {commonName: X}}"),
        ),
        (
            A,
            "pki/x",
            Reason::ReferenceNotFound,
            "there is no CertificateAuthority other/root",
            authority!(
                "x",
                "{intermediate: {parentRef: {name: root, namespace: other}}, subject: {commonName: X}}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::ReferenceCycle,
            "spec.intermediate.parentRef: the references lead back: pki/x, pki/x",
            authority!("x", "{intermediate: {parentRef: {name: x}}, subject: {commonName: X}}"),
        ),
        (
            A,
            "other/x",
            Reason::ReferenceNotPermitted,
            "pki/root does not list the namespace other under allowedNamespaces",
            "{kind: CertificateAuthority, metadata: {name: x, namespace: other}, spec: {intermediate: {parentRef: {name: root, namespace: pki}}, subject: {commonName: X}}}",
        ),
        (
            A,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.serverRef: there is no EnrollmentServer pki/nobody",
            authority!("x", "{serverRef: {name: nobody}, selfSigned: {}, subject: {commonName: X}}"),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    // What is wrong with it itself is said beside a reference that leads nowhere.
    rejects((
        A,
        "pki/x",
        Reason::ReferenceNotFound,
        "spec.validity: must be longer",
        authority!(
            "x",
            "{intermediate: {parentRef: {name: nobody}}, subject: {commonName: X}, validity: 0s}"
        ),
    ));
    accepts(authority!("x", "{serverRef: {name: server}, selfSigned: {}, subject: {commonName: X}}"));
}

#[test]
fn every_authority_of_a_loop_is_rejected_and_what_hangs_on_it() {
    let world = World::base()
        .with(authority!("a", "{intermediate: {parentRef: {name: b}}, subject: {commonName: A}}"))
        .with(authority!("b", "{intermediate: {parentRef: {name: c}}, subject: {commonName: B}}"))
        .with(authority!("c", "{intermediate: {parentRef: {name: b}}, subject: {commonName: C}}"));
    rejects_world(
        &world,
        A,
        "pki/b",
        Reason::ReferenceCycle,
        "the references lead back: pki/b, pki/c, pki/b",
    );
    rejects_world(
        &world,
        A,
        "pki/c",
        Reason::ReferenceCycle,
        "the references lead back: pki/b, pki/c, pki/b",
    );
    let a = world.settle().resolution;
    let a = a.status(A, &name("pki/a")).unwrap().condition(ConditionType::Accepted).unwrap();
    assert_eq!(a.reason, Reason::ReferenceNotAccepted, "{}", a.message);
}

#[test]
fn a_grant_opens_an_authority_to_another_namespace() {
    let child = "{kind: CertificateAuthority, metadata: {name: x, namespace: other}, spec: {intermediate: {parentRef: {name: root, namespace: pki}}, subject: {commonName: X}}}";
    for grant in [
        "{namespaces: [other]}",
        "{namespaces: ['*']}",
        "{selector: {matchLabels: {tier: edge}}}",
        "{selector: {matchLabels: {kubernetes.io/metadata.name: other}}}",
    ] {
        let root = format!(
            "{{kind: CertificateAuthority, metadata: {{name: root, namespace: pki}}, spec: {{selfSigned: {{}}, subject: {{commonName: Root}}, allowedNamespaces: {grant}}}}}"
        );
        accepts_world(&World::base().with(&root).with(child).with_namespace("other", &[("tier", "edge")]));
    }
    for grant in ["{namespaces: [others]}", "{selector: {matchLabels: {tier: core}}}", "{selector: {}}"] {
        let root = format!(
            "{{kind: CertificateAuthority, metadata: {{name: root, namespace: pki}}, spec: {{selfSigned: {{}}, subject: {{commonName: Root}}, allowedNamespaces: {grant}}}}}"
        );
        let world = World::base().with(&root).with(child).with_namespace("other", &[("tier", "edge")]);
        rejects_world(
            &world,
            A,
            "other/x",
            Reason::ReferenceNotPermitted,
            "does not list the namespace other",
        );
    }
}

#[test]
fn an_authority_is_rejected_for_what_its_parent_does_not_allow() {
    let cases: &[Reject] = &[
        (
            A,
            "pki/x",
            Reason::NotPermittedByParent,
            "the path length of pki/issuing lets no authority follow",
            authority!("x", "{intermediate: {parentRef: {name: issuing}}, subject: {commonName: X}}"),
        ),
        (
            A,
            "pki/x",
            Reason::NotPermittedByParent,
            "spec.pathLength: 1 is too long: pki/root lets 1",
            authority!(
                "x",
                "{intermediate: {parentRef: {name: root}}, subject: {commonName: X}, pathLength: 1}"
            ),
        ),
        (
            A,
            "pki/x",
            Reason::NotPermittedByParent,
            "spec.validity: 11y is longer than its parent pki/root is valid",
            authority!(
                "x",
                "{intermediate: {parentRef: {name: root}}, subject: {commonName: X}, validity: 11y}"
            ),
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(authority!(
        "x",
        "{intermediate: {parentRef: {name: root}}, subject: {commonName: X}, validity: 10y, pathLength: 0}"
    ));
}

#[test]
fn a_path_length_counts_down_the_whole_chain() {
    // The root lets two follow; the middle has no limit of its own, and may so be followed by one.
    let world = World::empty()
        .with(authority!("root", "{selfSigned: {}, subject: {commonName: Root}, pathLength: 2}"))
        .with(authority!(
            "middle",
            "{intermediate: {parentRef: {name: root}}, subject: {commonName: Middle}}"
        ))
        .with(authority!("low", "{intermediate: {parentRef: {name: middle}}, subject: {commonName: Low}}"));
    accepts_world(&world);
    let deeper = world
        .with(authority!("lower", "{intermediate: {parentRef: {name: low}}, subject: {commonName: Lower}}"));
    rejects_world(&deeper, A, "pki/lower", Reason::NotPermittedByParent, "the path length of pki/low");
}

#[test]
fn name_constraints_must_meet_those_above() {
    let root = authority!(
        "top",
        "{selfSigned: {}, subject: {commonName: Top}, nameConstraints: {permitted: {dns: [acme.com], ip: [10.0.0.0/8], email: [.acme.com, ann@acme.org], uri: [.acme.com]}, excluded: {dns: [secret.acme.com]}}}"
    );
    let child = |constraints: &str| {
        format!(
            "{{kind: CertificateAuthority, metadata: {{name: x, namespace: pki}}, spec: {{intermediate: {{parentRef: {{name: top}}}}, subject: {{commonName: X}}, nameConstraints: {constraints}}}}}"
        )
    };
    let world = World::base().with(root);
    for good in [
        "{permitted: {dns: [acme.com]}}",
        "{permitted: {dns: [Shop.Acme.com]}}",
        // Wider than above: what both permit is left.
        "{permitted: {dns: [com]}}",
        "{permitted: {ip: [10.1.0.0/16]}}",
        "{permitted: {ip: [0.0.0.0/0]}}",
        "{permitted: {email: [ann@mail.acme.com]}}",
        "{permitted: {email: [mail.acme.com]}}",
        "{permitted: {email: [ann@ACME.org]}}",
        "{permitted: {email: [acme.org]}}",
        "{permitted: {uri: [www.acme.com]}}",
        "{excluded: {dns: [evil.org]}}",
    ] {
        accepts_world(&world.clone().with(&child(good)));
    }
    for (bad, message) in [
        (
            "{permitted: {dns: [acme.org]}}",
            "dns:acme.org lies outside the permitted names of pki/top or above it",
        ),
        ("{permitted: {dns: [notacme.com]}}", "dns:notacme.com lies outside"),
        ("{permitted: {dns: [a.secret.acme.com]}}", "dns:a.secret.acme.com lies within the excluded names"),
        ("{permitted: {ip: [192.168.0.0/16]}}", "ip:192.168.0.0/16 lies outside"),
        ("{permitted: {ip: ['2001:db8::/32']}}", "ip:2001:db8::/32 lies outside"),
        ("{permitted: {email: [bob@acme.org]}}", "email:bob@acme.org lies outside"),
        ("{permitted: {email: [ann@acme.com]}}", "email:ann@acme.com lies outside"),
        ("{permitted: {uri: [acme.com]}}", "uri:acme.com lies outside"),
    ] {
        let world = world.clone().with(&child(bad));
        rejects_world(&world, A, "pki/x", Reason::NotPermittedByParent, message);
    }
    // Also those further above.
    let middle =
        authority!("middle", "{intermediate: {parentRef: {name: top}}, subject: {commonName: Middle}}");
    let low = child("{permitted: {dns: [acme.org]}}").replace("name: top", "name: middle");
    let world = world.with(middle).with(&low);
    rejects_world(&world, A, "pki/x", Reason::NotPermittedByParent, "dns:acme.org lies outside");
}

#[test]
fn two_authorities_of_one_name_are_both_rejected() {
    let twice = World::base()
        .with_also(authority!("x", "{selfSigned: {}, subject: {commonName: X}}"))
        .with_also(authority!("x", "{selfSigned: {}, subject: {commonName: Y}}"));
    rejects_world(&twice, A, "pki/x", Reason::Invalid, "there are two resources of this kind and name");
}

#[test]
fn with_several_servers_each_authority_must_say_whose_it_is() {
    let second = "{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {authorityRef: {name: x, namespace: pki}, dnsNames: [edge]}}}";
    let world = World::base()
        .with(second)
        .with(authority!("root", "{serverRef: {name: server}, selfSigned: {}, subject: {commonName: Root}}"))
        .with(authority!("issuing", "{serverRef: {name: server}, intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}}"));
    let own = authority!(
        "x",
        "{serverRef: {name: second, namespace: edge}, selfSigned: {}, subject: {commonName: X}}"
    );
    let settled = world.clone().with(own).settle_for("edge/second");
    assert!(
        settled.resolution.statuses.iter().all(crate::ResourceStatus::is_accepted),
        "{:?}",
        settled.resolution.statuses
    );
    // Each server is given its own, and asked for its own.
    assert_eq!(settled.made, [name("pki/x")]);
    let compiled = settled.resolution.compiled.unwrap();
    assert_eq!((compiled.authorities.len(), compiled.profiles.len(), compiled.methods.len()), (1, 0, 0));

    let nobodys = world.clone().with("{kind: CertificateAuthority, metadata: {name: x, namespace: far}, spec: {selfSigned: {}, subject: {commonName: X}}}");
    let status = nobodys.settle_for("pki/server").resolution;
    let accepted = status.status(A, &name("far/x")).unwrap().condition(ConditionType::Accepted).unwrap();
    assert_eq!(
        (accepted.reason, accepted.message.as_str()),
        (Reason::ServerMismatch, "spec.serverRef: is needed: there are several EnrollmentServers")
    );

    let near = world.clone().with("{kind: CertificateAuthority, metadata: {name: x, namespace: edge}, spec: {selfSigned: {}, subject: {commonName: X}}}");
    assert_eq!(
        near.settle_for("edge/second").made,
        [name("edge/x")],
        "the server of its namespace is its own"
    );

    let across = world.with(authority!("x", "{serverRef: {name: second, namespace: edge}, intermediate: {parentRef: {name: root}}, subject: {commonName: X}}"));
    let status = across.settle_for("pki/server").resolution;
    let accepted = status.status(A, &name("pki/x")).unwrap().condition(ConditionType::Accepted).unwrap();
    assert_eq!(accepted.reason, Reason::ServerMismatch, "{}", accepted.message);
    assert!(!status.status(S, &name("edge/second")).unwrap().is_accepted());
}

//! Whatever the resources are: resolving ends, says something about each, and compiles only what holds together.

use std::collections::{BTreeMap, BTreeSet};

use crds::conditions::{ConditionStatus, rows};
use issuance::{
    credential::CredentialState,
    identity::{Protocol, ResourceName},
    policy::IssuerChoice,
    secret::Secret,
};
use proptest::prelude::*;

use super::{
    provisioner::{NOW, Provisioner},
    world::World,
};
use crate::{
    AuthorityIssuer, Compiled, CompiledCredential, Observed, Resolution, Resources, Want,
    parts::{Manifest, assemble, split},
    resolve,
};

/// Names are few, so that references meet; `nobody` never exists.
fn reference() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "a", "b", "b", "c", "nobody"]);
    let namespace = prop::sample::select(vec!["", "", ", namespace: n", ", namespace: m"]);
    (name, namespace).prop_map(|(name, namespace)| format!("{{name: {name}{namespace}}}"))
}

/// The same from where there is no namespace.
fn cluster_reference() -> impl Strategy<Value = String> {
    (one_of(&["a", "b", "nobody"]), one_of(&["n", "m"]))
        .prop_map(|(name, namespace)| format!("{{name: {name}, namespace: {namespace}}}"))
}

fn one_of(choices: &[&'static str]) -> impl Strategy<Value = &'static str> + use<> {
    prop::sample::select(choices.to_vec())
}

fn grant() -> impl Strategy<Value = &'static str> {
    one_of(&[
        "",
        "",
        "{namespaces: ['*']}",
        "{namespaces: [n]}",
        "{selector: {matchLabels: {tier: edge}}}",
        "{}",
    ])
}

fn authority() -> impl Strategy<Value = String> {
    let source = prop_oneof![
        2 => Just("selfSigned: {}".to_owned()),
        3 => reference().prop_map(|parent| format!("intermediate: {{parentRef: {parent}}}")),
        1 => Just("imported: {secretRef: {name: a}}".to_owned()),
        1 => Just("crl: {validity: 1d, renewBefore: 2d}".to_owned()),
    ];
    let rest = one_of(&[
        "subject: {commonName: X}",
        "subject: {commonName: X}",
        "subject: {commonName: X}, pathLength: 0",
        "subject: {commonName: X}, pathLength: 3, validity: 20y",
        "subject: {commonName: X}, nameConstraints: {permitted: {dns: [acme.com]}}",
        "subject: {commonName: Y}, key: {algorithm: ECDSA-P384}",
        "validity: 1d",
        "subject: {country: Nowhere}",
    ]);
    let server = prop_oneof![3 => Just(String::new()), 1 => reference().prop_map(|server| format!(", serverRef: {server}"))];
    (source, rest, server, grant()).prop_map(|(source, rest, server, grant)| {
        let grant = if grant.is_empty() { String::new() } else { format!(", allowedNamespaces: {grant}") };
        format!("{source}, {rest}{server}{grant}")
    })
}

fn profile() -> impl Strategy<Value = String> {
    let signer = prop_oneof![4 => reference().prop_map(|authority| format!("authorityRef: {authority}")), 1 => Just("selfSigned: {}".to_owned())];
    let rest = one_of(&[
        "preset: Device",
        "preset: Device",
        "preset: TLSServer, validity: {default: 30d, maximum: 20y}",
        "preset: CA",
        "preset: Email, protocols: [{protocol: est, minimumAuthentication: PersonalSecret}]",
        "preset: Device, protocols: [{protocol: scep}]",
        "preset: TLSServer, protocols: [{protocol: est}, {protocol: acme, minimumAuthentication: Anonymous}]",
        "preset: Device, subjectAltNames: {dns: {presence: Fixed, values: [www.acme.org]}}",
        "keyUsage: {usages: [digitalSignature]}",
    ]);
    (signer, rest, grant()).prop_map(|(signer, rest, grant)| {
        let grant = if grant.is_empty() {
            String::new()
        } else {
            format!(", grants: {{attach: {grant}, issue: {grant}}}")
        };
        format!("{signer}, {rest}{grant}")
    })
}

fn method() -> impl Strategy<Value = String> {
    let server = prop_oneof![3 => Just(String::new()), 1 => reference().prop_map(|server| format!(", serverRef: {server}"))];
    let est = one_of(&["est: {}", "est: {}", "est: {pendingRetryAfter: 0s}"]).prop_map(str::to_owned);
    let acme = one_of(&[
        "",
        "",
        ", externalAccountBinding: Optional",
        ", externalAccountBinding: Disabled",
        ", challenges: []",
    ]);
    let acme = (prop::collection::vec(reference(), 0..3), acme).prop_map(|(profiles, rest)| {
        let listed: Vec<String> = profiles
            .iter()
            .enumerate()
            .map(|(index, profile)| format!("{{name: p{index}, profileRef: {profile}}}"))
            .collect();
        format!("acme: {{profiles: [{}]{rest}}}", listed.join(", "))
    });
    (reference(), prop_oneof![est, acme], server)
        .prop_map(|(profile, protocol, server)| format!("profileRef: {profile}, {protocol}{server}"))
}

fn credential() -> impl Strategy<Value = String> {
    let method = one_of(&["a", "b", "c", "nobody"]);
    let rest = one_of(&[
        "",
        "",
        ", valueFrom: {secretKeyRef: {name: a}}",
        ", writeTo: {secretName: a}",
        ", revoked: true",
    ]);
    let protocol = one_of(&[
        "est: {}",
        "est: {username: ann}",
        "acme: {}",
        "acme: {kid: a, identifiers: {dns: [a.example]}}",
    ]);
    (method, protocol, rest).prop_map(|(method, protocol, rest)| {
        format!("methodRef: {{name: {method}}}, {protocol}, owner: {{user: ann}}{rest}")
    })
}

fn server() -> impl Strategy<Value = String> {
    let tls = prop_oneof![
        3 => reference().prop_map(|authority| format!("authorityRef: {authority}, dnsNames: [localhost]")),
        2 => Just("dnsNames: [localhost]".to_owned()),
        1 => Just("secretRef: {name: a}".to_owned()),
    ];
    (tls, reference(), one_of(&["x", "n.a", "y"]), reference()).prop_map(|(tls, default, label, labelled)| {
        format!("tls: {{{tls}}}, defaultMethodRef: {default}, labels: [{{label: {label}, methodRef: {labelled}}}, {{label: x, methodRef: {labelled}}}]")
    })
}

/// One document.
fn document() -> impl Strategy<Value = String> {
    let spec = prop_oneof![
        4 => authority().prop_map(|spec| ("CertificateAuthority", spec)),
        3 => profile().prop_map(|spec| ("CertificateProfile", spec)),
        3 => method().prop_map(|spec| ("EnrollmentMethod", spec)),
        2 => credential().prop_map(|spec| ("EnrollmentCredential", spec)),
        1 => server().prop_map(|spec| ("EnrollmentServer", spec)),
        1 => reference().prop_map(|profile| ("ChanceryIssuer", format!("profileRef: {profile}"))),
        1 => cluster_reference().prop_map(|profile| ("ChanceryClusterIssuer", format!("profileRef: {profile}"))),
    ];
    (spec, one_of(&["a", "b", "c"]), one_of(&["n", "n", "m"])).prop_map(|((kind, spec), name, namespace)| {
        let namespace =
            if kind == "ChanceryClusterIssuer" { String::new() } else { format!("namespace: {namespace}, ") };
        format!("{{kind: {kind}, metadata: {{name: {name}, {namespace}generation: 3}}, spec: {{{spec}}}}}")
    })
}

fn world() -> impl Strategy<Value = World> {
    (prop::collection::vec(document(), 0..14), any::<bool>()).prop_map(|(documents, in_cluster)| {
        let secret = "{kind: Secret, apiVersion: v1, metadata: {name: a, namespace: n}, stringData: {password: hunter2, hmac: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8}}";
        let world = World::empty().with(secret).with_namespace("m", &[("tier", "edge")]);
        let world = if in_cluster { world.in_cluster() } else { world };
        documents.iter().fold(world, |world, document| world.with_also(document))
    })
}

/// With everything made that is wanted, and with nothing made.
fn resolutions(resources: &Resources) -> Vec<(Resolution, Observed)> {
    let server = resources.servers.first().map(|server| crate::resource_name(&server.metadata));
    let nothing = Observed::nothing(NOW);
    let settled = Provisioner::default().settle(resources, server.as_ref());
    vec![(resolve(resources, &nothing, None), nothing), (settled.resolution, settled.observed)]
}

/// Every kind of condition once, with reasons that the reference lists for it.
fn check_statuses(resolution: &Resolution, world: &World) {
    let spoken_of: BTreeSet<_> =
        resolution.statuses.iter().map(|status| (status.kind, status.name.clone())).collect();
    assert_eq!(spoken_of.len(), resolution.statuses.len(), "something is spoken of twice");
    assert!(world.keys().iter().all(|key| spoken_of.contains(key)), "something is not spoken of");
    for status in &resolution.statuses {
        let types: Vec<_> = status.conditions.iter().map(|found| found.condition).collect();
        let expected: Vec<_> = rows(status.kind).iter().map(|row| row.condition).collect();
        assert_eq!(types, expected, "{} {}", status.kind, status.name);
        for (found, row) in status.conditions.iter().zip(rows(status.kind)) {
            let reasons = if found.status == ConditionStatus::True { row.positive } else { row.negative };
            assert!(reasons.contains(&found.reason), "{} {}: {found:?}", status.kind, status.name);
        }
        if !status.is_accepted() {
            assert!(
                status.conditions.iter().any(|found| !found.message.is_empty()),
                "{status:?} says nothing"
            );
        }
    }
}

/// Every reference leads somewhere, and every list is sorted.
fn check_compiled(compiled: &Compiled) {
    let authorities: Vec<&ResourceName> =
        compiled.authorities.iter().map(|authority| &authority.name).collect();
    let profiles: Vec<&ResourceName> = compiled.profiles.iter().map(|profile| &profile.name).collect();
    let methods: Vec<&ResourceName> = compiled.methods.iter().map(|method| &method.name).collect();
    let credentials: Vec<&ResourceName> =
        compiled.credentials.iter().map(|credential| &credential.name).collect();
    for names in [&authorities, &profiles, &methods, &credentials] {
        assert!(names.is_sorted());
    }
    for profile in &compiled.profiles {
        match &profile.issuer {
            IssuerChoice::Authority(authority) => assert!(authorities.contains(&authority)),
            IssuerChoice::SelfSigned => {}
        }
    }
    assert!(
        compiled.methods.iter().all(|method| method.profiles().all(|profile| profiles.contains(&profile)))
    );
    assert!(compiled.credentials.iter().all(|credential| methods.contains(&&credential.method)));
    assert!(
        compiled
            .server
            .labels
            .values()
            .chain(&compiled.server.default_method)
            .all(|method| methods.contains(&method))
    );
    let mut kids = BTreeSet::new();
    let usable = |credential: &&CompiledCredential| {
        credential.protocol == Protocol::Acme && credential.state == CredentialState::Active
    };
    for credential in compiled.credentials.iter().filter(usable) {
        let kid = credential.username.as_deref().unwrap();
        assert!(kids.insert((&credential.method, kid)), "{kid} is the key of two credentials");
    }
    if let Some(crate::CompiledTls::Authority { authority, .. }) = &compiled.server.tls {
        assert!(authorities.contains(&authority));
    }
    let json = compiled.to_json().unwrap();
    assert_eq!(Compiled::from_json(&json).unwrap(), *compiled);
}

/// What was split and put together again is the same.
fn check_parts(resolution: &Resolution, compiled: &Compiled) {
    let authorities = compiled.authorities.iter().map(|authority| authority.name.clone());
    let keys: BTreeMap<_, _> =
        authorities.map(|name| (name.clone(), Secret::new(name.to_string()))).collect();
    let lists = keys.keys().take(1).map(|name| (name.clone(), name.to_string().into_bytes())).collect();
    let parts = split(resolution, compiled, &keys, &lists);
    let server = &compiled.server.name;
    let (manifest, secrets) = Manifest::of(server.clone(), 7, &parts).unwrap();
    assert_eq!(secrets.len(), parts.len(), "two parts share a Secret");
    let assembled = assemble(server, 7, &manifest, &secrets).unwrap();
    assert_eq!(assembled.failed, BTreeMap::new());
    assert_eq!(&assembled.compiled, compiled);
    assert_eq!(assembled.keys.keys().collect::<Vec<_>>(), resolution.issuing.iter().collect::<Vec<_>>());
    assert_eq!(assembled.crls, lists);
    let hashes = manifest.parts.iter().map(|(secret, entry)| (secret.clone(), entry.sha256.clone()));
    assert_eq!(assembled.parts, hashes.collect());
}

/// A parent is there already or is wanted before; nothing is wanted that exists.
fn check_wants(wants: &[Want], observed: &Observed) {
    let mut there: BTreeSet<&ResourceName> = observed.authorities.keys().collect();
    for want in wants {
        if let Want::Authority(want) = want
            && let AuthorityIssuer::Authority(parent) = &want.certificate.issuer
        {
            assert!(there.contains(parent), "{} is wanted before {parent}", want.name);
        }
        assert!(there.insert(want.name()), "{} is wanted although it exists", want.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn resolving_holds_together_whatever_the_resources_are(world in world()) {
        let resources = world.resources();
        for (resolution, observed) in resolutions(&resources) {
            check_statuses(&resolution, &world);
            check_wants(&resolution.wants, &observed);
            if let Some(compiled) = &resolution.compiled {
                check_compiled(compiled);
                check_parts(&resolution, compiled);
            }
        }
    }

    #[test]
    fn resolving_does_not_depend_on_the_order_of_resources(world in world(), order in prop::collection::vec(0_usize..100, 14)) {
        let other = world.clone().permuted(&order);
        for (resolution, observed) in resolutions(&world.resources()) {
            // The server of the settled one is the first; without several, it is the only one.
            let again = resolve(&world.resources(), &observed, None);
            prop_assert_eq!(&resolve(&other.resources(), &observed, None), &again);
            prop_assert_eq!(resolve(&world.resources(), &observed, None), again);
            drop(resolution);
        }
    }
}

//! Methods that speak REST.

use std::time::Duration;

use crds::conditions::Reason;
use issuance::{
    policy::Strength::{self, Certificate, PersonalSecret},
    rest::{RestAction, RestActions},
    store::MethodScope,
};
use pki::algorithm::KeyAlgorithm;

use super::{M, accepts_world, name, rejects_world, world::World};
use crate::{Administered, CompiledMethod, CompiledProduct, CompiledRest, MethodSettings};

/// The base world with a method `x` of these settings.
pub(super) fn with(settings: &str) -> World {
    World::base().with(&method(settings))
}

fn method(settings: &str) -> String {
    format!(
        "{{kind: EnrollmentMethod, metadata: {{name: x, namespace: pki}}, spec: {{profileRef: {{name: profile}}, rest: {{{settings}}}}}}}"
    )
}

/// A profile of `pki`: what it says beside who signs.
fn profile(name: &str, rest: &str) -> String {
    format!(
        "{{kind: CertificateProfile, metadata: {{name: {name}, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: TLSServer{rest}}}}}"
    )
}

fn asking(level: &str) -> String {
    format!(", protocols: [{{protocol: est}}, {{protocol: rest, minimumAuthentication: {level}}}]")
}

fn self_signed(name: &str, rest: &str) -> String {
    profile(name, rest).replace("authorityRef: {name: issuing}", "selfSigned: {}")
}

fn compiled_method(world: &World) -> CompiledMethod {
    accepts_world(world);
    let methods = world.settle().resolution.compiled.unwrap().methods;
    methods.into_iter().find(|method| method.name == name("pki/x")).unwrap()
}

pub(super) fn compiled(world: &World) -> CompiledRest {
    match compiled_method(world).settings {
        MethodSettings::Rest(rest) => rest,
        other => panic!("{other:?}"),
    }
}

/// Certificates of the world's own authority, so that there is one to trust.
const CERTIFICATES: &str = "clientCertificates: {authorities: [{certificateAuthorityRef: {name: issuing}}]}";

#[test]
fn settings_are_refused_with_their_reason() {
    let products = |entries: &str| format!("products: [{entries}]");
    let named = |one: &str, two: &str| {
        products(&format!(
            "{{name: '{one}', profileRef: {{name: profile}}}}, {{name: '{two}', profileRef: {{name: profile}}}}"
        ))
    };
    let many: Vec<String> =
        (0..17).map(|number| format!("{{name: p{number}, profileRef: {{name: profile}}}}")).collect();
    let administering = |names: &str| format!("administers: {{methods: [{names}]}}");
    let many_methods = (0..65).map(|number| format!("m{number}")).collect::<Vec<_>>().join(", ");
    for (settings, message) in [
        ("accessKeys: Disabled", "spec.rest.accessKeys: is Disabled: give clientCertificates or"),
        ("pendingRetryAfter: 0s", "spec.rest.pendingRetryAfter: must be longer than zero"),
        ("administers: {methods: []}", "spec.rest.administers.methods: give 1 to 64"),
        (&administering(&many_methods), "spec.rest.administers.methods: give 1 to 64"),
        (&administering("est, '*'"), "spec.rest.administers.methods: * is every method: give it alone"),
        (&administering("est, team/est"), "spec.rest.administers.methods[1]: \"team/est\" is not a name"),
        (&administering("'a*'"), "spec.rest.administers.methods[0]: \"a*\" is not a name"),
        (&administering("est, acme, est"), "spec.rest.administers.methods[2]: \"est\" is there twice"),
        ("maximumDomains: 0", "spec.rest.maximumDomains: must be 1 to 250"),
        ("maximumDomains: 251", "spec.rest.maximumDomains: must be 1 to 250"),
        ("orderLifetime: 59s", "spec.rest.orderLifetime: 59s is not between 1m and 90d"),
        ("orderLifetime: 91d", "spec.rest.orderLifetime: 91d is not between 1m and 90d"),
        (&named("a", "a"), "spec.rest.products[1].name: \"a\" is there twice"),
        (&named("a b", "b"), "spec.rest.products[0].name: \"a b\" is not a name"),
        (&named("a", "default"), "spec.rest.products[1].name: default is what profileRef of the method"),
        (&products(&many.join(", ")), "spec.rest.products: 16 are the most"),
        (
            "clientCertificates: {authorities: []}",
            "spec.rest.clientCertificates.authorities: give at least one",
        ),
        (
            "clientCertificates: {authorities: [{certificateAuthorityRef: {name: issuing}}], actions: []}",
            "spec.rest.clientCertificates.actions: give at least one",
        ),
        (
            "clientCertificates: {authorities: [{bundle: nothing}]}",
            "spec.rest.clientCertificates.authorities[0].bundle: ",
        ),
        (
            "clientCertificates: {authorities: [{certificateAuthorityRef: {name: issuing}}], crls: [{bundle: nothing}]}",
            "spec.rest.clientCertificates.crls[0].bundle: ",
        ),
        (
            "notices: [{before: [0s], webhook: {url: 'http://a.example', secretRef: {name: s}}}]",
            "spec.rest.notices[0].before: give at least one time",
        ),
    ] {
        rejects_world(&with(settings), M, "pki/x", Reason::Invalid, message);
    }
    let notice = with("notices: [{before: [1d], webhook: {url: 'https://a.example', secretRef: {name: s}}}]");
    let message = "spec.rest.notices[0].webhook.secretRef: the Secret pki/s does not exist";
    rejects_world(&notice, M, "pki/x", Reason::SecretInvalid, message);
}

#[test]
fn a_product_is_held_to_the_same_as_the_methods_own_profile() {
    let path = "spec.rest.products[0].profileRef";
    let choose = |reference: &str| with(&format!("products: [{{name: other, profileRef: {reference}}}]"));
    let other = choose("{name: other}");
    let invalid = "{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature]}}}";
    let elsewhere = "{kind: CertificateProfile, metadata: {name: other, namespace: team}, spec: {authorityRef: {name: issuing, namespace: pki}, preset: TLSServer}}";
    let granted = "{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, pathLength: 0, allowedNamespaces: {namespaces: [team]}}}";
    let foreign = choose("{name: other, namespace: team}").with(granted);
    let cases: [(World, Reason, &str); 5] = [
        (other.clone(), Reason::ReferenceNotFound, "there is no CertificateProfile pki/other"),
        (other.clone().with(invalid), Reason::ReferenceNotAccepted, "pki/other is not accepted"),
        (
            foreign.clone().with(elsewhere),
            Reason::ReferenceNotPermitted,
            "team/other does not list the namespace pki under grants.attach",
        ),
        (
            other.clone().with(&profile("other", ", protocols: [{protocol: est}]")),
            Reason::ProtocolNotAllowed,
            "the profile pki/other does not allow rest",
        ),
        (
            other.clone().with(&self_signed("other", "")),
            Reason::Invalid,
            "the profile pki/other lets certificates sign themselves, and this method makes no keys",
        ),
    ];
    for (world, reason, message) in cases {
        let resolution = world.settle().resolution;
        let accepted = &resolution.status(M, &name("pki/x")).unwrap().conditions[0];
        assert_eq!(accepted.reason, reason, "{message}: {}", accepted.message);
        assert!(accepted.message.starts_with(&format!("{path}: ")), "{}", accepted.message);
        assert!(accepted.message.contains(message), "{}", accepted.message);
        assert!(!accepted.message.contains("; "), "one thing is wrong: {}", accepted.message);
    }
    accepts_world(&foreign.with(
        &elsewhere.replace("preset: TLSServer", "preset: TLSServer, grants: {attach: {namespaces: [pki]}}"),
    ));
}

#[test]
fn a_product_belongs_to_the_same_server() {
    let world = with("products: [{name: other, profileRef: {name: other}}]")
        .with("{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {dnsNames: [edge]}}}")
        .with("{kind: CertificateAuthority, metadata: {name: edge, namespace: pki}, spec: {serverRef: {name: second, namespace: edge}, selfSigned: {}, subject: {commonName: Edge}}}")
        .with("{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {authorityRef: {name: edge}, preset: TLSServer}}");
    let resolution = world.settle_for("pki/server").resolution;
    let accepted = &resolution.status(M, &name("pki/x")).unwrap().conditions[0];
    assert_eq!(accepted.reason, Reason::ServerMismatch, "{}", accepted.message);
    assert!(accepted.message.starts_with("spec.rest.products[0].profileRef: "), "{}", accepted.message);
}

#[test]
fn a_profile_asks_for_no_more_than_the_method_takes() {
    let keys = "";
    let either = CERTIFICATES;
    let certificates = format!("accessKeys: Disabled, {CERTIFICATES}");
    let world = |settings: &str, asked: &str| with(settings).with(&profile("profile", &asking(asked)));
    let cases: [(&str, &str, Strength); 9] = [
        (keys, "Anonymous", PersonalSecret),
        (keys, "SharedSecret", PersonalSecret),
        (keys, "PersonalSecret", PersonalSecret),
        (either, "Anonymous", PersonalSecret),
        (either, "PersonalSecret", PersonalSecret),
        (either, "Certificate", Certificate),
        (&certificates, "Anonymous", Certificate),
        (&certificates, "PersonalSecret", Certificate),
        (&certificates, "Certificate", Certificate),
    ];
    for (settings, asked, minimum) in cases {
        let method = compiled_method(&world(settings, asked));
        assert_eq!(method.minimum, minimum, "{asked} of {settings:?}");
        let MethodSettings::Rest(rest) = method.settings else { panic!("no settings of REST") };
        assert_eq!(rest.products[0].minimum, minimum, "{asked} of {settings:?}");
    }
    for (settings, asked) in
        [(keys, "Certificate"), (either, "CertificateAndSecret"), (&certificates, "CertificateAndSecret")]
    {
        let message = format!("spec.rest.clientCertificates: the profile pki/profile asks for {asked}");
        let world = world(settings, asked);
        rejects_world(&world, M, "pki/x", Reason::AuthenticationTooWeak, &message);
    }
    // Each product has its own.
    let strong = "products: [{name: strong, profileRef: {name: strong}}]";
    let world = |settings: &str| with(settings).with(&profile("strong", &asking("Certificate")));
    let message = "spec.rest.clientCertificates: the profile pki/strong asks for Certificate";
    rejects_world(&world(strong), M, "pki/x", Reason::AuthenticationTooWeak, message);
    let rest = compiled(&world(&format!("{strong}, {CERTIFICATES}")));
    let minimums: Vec<(&str, Strength)> =
        rest.products.iter().map(|product| (product.name.as_str(), product.minimum)).collect();
    assert_eq!(minimums, [("default", PersonalSecret), ("strong", Certificate)]);
}

#[test]
fn keys_are_made_for_profiles_that_allow_them() {
    let rsa_only = profile("profile", ", keys: {allowed: [RSA-3072]}");
    let world = with("serverKeys: {}").with(&rsa_only);
    let message = "spec.rest.serverKeys.algorithm: no profile of this method allows ECDSA-P256 keys";
    rejects_world(&world, M, "pki/x", Reason::Invalid, message);
    // One of them is enough: the other is ordered with a request.
    let two = "products: [{name: other, profileRef: {name: other}}], serverKeys: {}";
    let world = with(two).with(&rsa_only).with(&profile("other", ""));
    assert_eq!(compiled(&world).server_key, Some(KeyAlgorithm::EcdsaP256));
    let rsa = with("serverKeys: {algorithm: RSA-3072}").with(&rsa_only);
    assert_eq!(compiled(&rsa).server_key, Some(KeyAlgorithm::Rsa3072));
    // But where only the key could sign, it must be one.
    let strict = self_signed("other", ", keys: {allowed: [RSA-3072]}");
    let message = "spec.rest.products[0].profileRef: the profile pki/other lets certificates sign themselves, and it does not allow";
    rejects_world(&with(two).with(&strict), M, "pki/x", Reason::Invalid, message);
    accepts_world(&with(two).with(&self_signed("other", "")));
}

#[test]
fn a_method_of_a_self_signed_profile_makes_the_keys() {
    let own = |settings: &str| {
        World::base()
            .with(&self_signed("self", ""))
            .with(&method(settings).replace("profileRef: {name: profile}", "profileRef: {name: self}"))
    };
    let message = "spec.profileRef: the profile pki/self lets certificates sign themselves, and this method makes no keys";
    rejects_world(&own(""), M, "pki/x", Reason::Invalid, message);
    assert_eq!(compiled(&own("serverKeys: {}")).products[0].profile, name("pki/self"));
}

#[test]
fn a_method_without_a_word_takes_access_keys_for_its_own_profile() {
    let expected = CompiledRest {
        products: vec![CompiledProduct {
            name: "default".into(),
            description: "What an order gets that names no product".into(),
            profile: name("pki/profile"),
            minimum: PersonalSecret,
        }],
        ..CompiledRest::default()
    };
    assert_eq!(compiled(&with("")), expected);
    assert!(expected.access_keys && expected.tokens.is_none() && expected.client_certificates.is_none());
    assert_eq!((expected.order_lifetime, expected.maximum_domains), (Duration::from_secs(7 * 86_400), 100));
}

#[test]
fn settings_compile_as_declared() {
    let settings = format!(
        "products: [{{name: short, description: Six days, profileRef: {{name: short}}}}, {{name: again, profileRef: {{name: profile}}}}], \
         {CERTIFICATES}, serverKeys: {{algorithm: ECDSA-P384}}, orderLifetime: 1h, maximumDomains: 5, pendingRetryAfter: 2m, \
         notices: [{{before: [7d, 30d], webhook: {{url: 'https://a.example', secretRef: {{name: hook}}}}}}]"
    );
    let hook = "{kind: Secret, apiVersion: v1, metadata: {name: hook, namespace: pki}, stringData: {secret: '0123456789abcdef'}}";
    let method = compiled_method(&with(&settings).with(&profile("short", "")).with(hook));
    assert_eq!((method.retry_after.as_secs(), method.path(None).as_deref()), (120, Some("/api/v1")));
    assert_eq!((method.path(Some("label")), method.label.as_str()), (None, "pki.x"));
    assert_eq!(method.trusted_authorities(), [name("pki/issuing")]);
    let profiles: Vec<String> = method.profiles().map(ToString::to_string).collect();
    assert_eq!(profiles, ["pki/profile", "pki/profile", "pki/profile", "pki/short"]);
    let MethodSettings::Rest(rest) = method.settings else { panic!("no settings of REST") };
    let products: Vec<(&str, &str, String)> = rest
        .products
        .iter()
        .map(|product| (product.name.as_str(), product.description.as_str(), product.profile.to_string()))
        .collect();
    assert_eq!(
        products,
        [
            ("again", "again", "pki/profile".to_owned()),
            ("default", "What an order gets that names no product", "pki/profile".to_owned()),
            ("short", "Six days", "pki/short".to_owned()),
        ]
    );
    let certificates = rest.client_certificates.unwrap();
    assert_eq!((certificates.trust.anchors.len(), certificates.trust.crls.len()), (1, 0));
    let usual: RestActions = [RestAction::Request, RestAction::Read].into_iter().collect();
    assert_eq!(certificates.actions, usual);
    assert_eq!(rest.server_key, Some(KeyAlgorithm::EcdsaP384));
    assert_eq!((rest.order_lifetime.as_secs(), rest.maximum_domains, rest.notices.len()), (3600, 5, 1));
}

#[test]
fn a_method_administers_others_of_its_namespace_whether_they_are_there_or_not() {
    let own = name("pki/x");
    for (settings, expected, scope) in [
        ("", Administered::None, MethodScope::from(own.clone())),
        ("administers: {methods: ['*']}", Administered::Namespace, MethodScope::Namespace("pki".into())),
        (
            "administers: {methods: [gone, est]}",
            Administered::Methods(vec![name("pki/est"), name("pki/gone")]),
            MethodScope::of([own.clone(), name("pki/gone"), name("pki/est")]),
        ),
        (
            "administers: {methods: [x]}",
            Administered::Methods(vec![own.clone()]),
            MethodScope::from(own.clone()),
        ),
    ] {
        let compiled = compiled(&with(settings));
        assert_eq!((&compiled.administers, compiled.administers.scope(&own)), (&expected, scope));
        let read: CompiledRest = serde_json::from_value(serde_json::to_value(&compiled).unwrap()).unwrap();
        assert_eq!(read.administers, expected);
    }
    // What an earlier release compiled.
    assert_eq!(serde_json::from_str::<CompiledRest>("{}").unwrap().administers, Administered::None);
}

#[test]
fn a_method_waits_for_the_authorities_that_it_trusts_and_of_its_products() {
    let second = "{kind: CertificateAuthority, metadata: {name: second, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: Second}}}";
    let of_second = profile("second", "").replace("name: issuing", "name: second");
    let trusted = "clientCertificates: {authorities: [{certificateAuthorityRef: {name: second}}]}";
    for (settings, extra) in
        [(trusted, String::new()), ("products: [{name: second, profileRef: {name: second}}]", of_second)]
    {
        let world = with(settings).with(second);
        let world = if extra.is_empty() { world } else { world.with(&extra) };
        let settled = world.settle();
        let mut observed = settled.observed.clone();
        observed.authorities.remove(&name("pki/second"));
        let served = |resolution: crate::Resolution| {
            let methods = resolution.compiled.unwrap().methods;
            methods.iter().any(|method| method.name == name("pki/x"))
        };
        assert!(served(settled.resolution), "{settings}");
        assert!(!served(world.resolve(&observed)), "{settings}");
    }
}

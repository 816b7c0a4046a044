//! Methods that speak ACME.

use std::time::Duration;

use crds::{ExternalAccountBinding, OnCredentialRevoked, PreAuthorizedNames, conditions::Reason};
use issuance::{
    acme::ChallengeType,
    identity::Protocol,
    policy::Strength::{self, Anonymous, PersonalSecret, SharedSecret},
};

use super::{M, P, Reject, S, accepts_world, name, rejects_world, world::World};
use crate::{
    CompiledAcme, CompiledAcmeMeta, CompiledAcmeProfile, CompiledMethod, CompiledRenewal, CompiledValidation,
    MethodSettings,
};

/// The base world with a method `x` of these settings.
fn with(settings: &str) -> World {
    World::base().with(&method(settings))
}

fn method(settings: &str) -> String {
    format!(
        "{{kind: EnrollmentMethod, metadata: {{name: x, namespace: pki}}, spec: {{profileRef: {{name: profile}}, acme: {{{settings}}}}}}}"
    )
}

/// A profile of `pki` that its protocols may be asked for as this says.
fn profile(name: &str, protocols: &str) -> String {
    let protocols = if protocols.is_empty() { String::new() } else { format!(", protocols: [{protocols}]") };
    format!(
        "{{kind: CertificateProfile, metadata: {{name: {name}, namespace: pki}}, spec: {{authorityRef: {{name: issuing}}, preset: TLSServer{protocols}}}}}"
    )
}

fn acme_for(level: &str) -> String {
    format!("{{protocol: est}}, {{protocol: acme, minimumAuthentication: {level}}}")
}

fn compiled_method(world: &World) -> CompiledMethod {
    accepts_world(world);
    let methods = world.settle().resolution.compiled.unwrap().methods;
    methods.into_iter().find(|method| method.name == name("pki/x")).unwrap()
}

fn compiled(world: &World) -> CompiledAcme {
    match compiled_method(world).settings {
        MethodSettings::Acme(acme) => acme,
        other => panic!("{other:?}"),
    }
}

#[test]
fn settings_are_refused_with_their_reason() {
    for (settings, message) in [
        ("challenges: []", "spec.acme.challenges: give at least one, or set preAuthorizedNames"),
        (
            "preAuthorizedNames: Enabled, externalAccountBinding: Disabled",
            "spec.acme.preAuthorizedNames: needs an external account binding",
        ),
        ("pendingRetryAfter: 0s", "spec.acme.pendingRetryAfter: must be longer than zero"),
        ("maximumIdentifiers: 0", "spec.acme.maximumIdentifiers: must be 1 to 250"),
        ("maximumIdentifiers: 251", "spec.acme.maximumIdentifiers: must be 1 to 250"),
        ("orderLifetime: 59s", "spec.acme.orderLifetime: 59s is not between 1m and 90d"),
        ("orderLifetime: 91d", "spec.acme.orderLifetime: 91d is not between 1m and 90d"),
        ("authorizationLifetime: 59s", "spec.acme.authorizationLifetime: 59s is not between 1m and 90d"),
        ("authorizationLifetime: 1y", "spec.acme.authorizationLifetime: 1y is not between 1m and 90d"),
        ("validation: {httpPort: 0}", "spec.acme.validation.httpPort: must be at least 1"),
        ("validation: {tlsAlpnPort: 0}", "spec.acme.validation.tlsAlpnPort: must be at least 1"),
        ("validation: {attempts: 0}", "spec.acme.validation.attempts: must be 1 to 10"),
        ("validation: {attempts: 11}", "spec.acme.validation.attempts: must be 1 to 10"),
        ("validation: {timeout: 0s}", "spec.acme.validation.timeout: 0s is not between 1s and 1m"),
        ("validation: {timeout: 61s}", "spec.acme.validation.timeout: 61s is not between 1s and 1m"),
        ("renewal: {windowStart: 50, windowEnd: 50}", "spec.acme.renewal: windowStart must be at least 1"),
        ("renewal: {windowStart: 0}", "spec.acme.renewal: windowStart must be at least 1"),
        ("renewal: {windowEnd: 100}", "spec.acme.renewal: windowStart must be at least 1"),
        ("renewal: {pollInterval: 59s}", "spec.acme.renewal.pollInterval: 59s is not between 1m and 7d"),
        ("renewal: {pollInterval: 8d}", "spec.acme.renewal.pollInterval: 8d is not between 1m and 7d"),
        ("caa: {issuerDomainNames: []}", "spec.acme.caa.issuerDomainNames: give at least one"),
        (
            "caa: {issuerDomainNames: [a..b]}",
            "spec.acme.caa.issuerDomainNames[0]: \"a..b\" is not a DNS name",
        ),
        ("caa: {issuerDomainNames: [a.com, '*.b.com']}", "spec.acme.caa.issuerDomainNames[1]"),
        ("meta: {caaIdentities: ['a b']}", "spec.acme.meta.caaIdentities[0]: \"a b\" is not a DNS name"),
        ("meta: {termsOfService: 'javascript:alert(1)'}", "spec.acme.meta.termsOfService: \"javascript"),
        ("meta: {website: 'https://'}", "spec.acme.meta.website: \"https://\" is not an http or https URL"),
    ] {
        let open = with(settings).with(&profile("profile", &acme_for("Anonymous")));
        rejects_world(&open, M, "pki/x", Reason::Invalid, message);
    }
}

#[test]
fn whom_to_ask_and_what_to_contact_are_addresses() {
    for resolver in [
        "dns.example",
        "10.0.0.256",
        "10.0.0.53:0",
        "10.0.0.53:65536",
        "[2001:db8::53]",
        "0.0.0.0",
        "'::'",
        "224.0.0.1",
        "''",
    ] {
        let settings = format!("validation: {{resolvers: [10.0.0.53, {}]}}", quoted(resolver));
        let message = "spec.acme.validation.resolvers[1]: ";
        rejects_world(&with(&settings), M, "pki/x", Reason::Invalid, message);
    }
    for network in ["10.0.0.1", "10.0.0.1/8", "10.0.0.0/33", "2001:db8::/129", "example"] {
        let settings = format!("validation: {{allowedNetworks: [10.0.0.0/8, '{network}']}}");
        let message = "spec.acme.validation.allowedNetworks[1]: ";
        rejects_world(&with(&settings), M, "pki/x", Reason::Invalid, message);
    }
    let validation = compiled(&with(
        "validation: {resolvers: [10.0.0.53, '10.0.0.54:5353', '2001:db8::53', '[2001:db8::54]:5353'], allowedNetworks: [10.244.0.0/16, 'fd00::/8'], httpPort: 5002, tlsAlpnPort: 5001, attempts: 1, timeout: 1s}",
    ))
    .validation;
    assert_eq!(
        validation,
        CompiledValidation {
            http_port: 5002,
            tls_alpn_port: 5001,
            resolvers: ["10.0.0.53:53", "10.0.0.54:5353", "[2001:db8::53]:53", "[2001:db8::54]:5353"]
                .map(|address| address.parse().unwrap())
                .to_vec(),
            allowed_networks: ["10.244.0.0/16", "fd00::/8"].map(|network| network.parse().unwrap()).to_vec(),
            denied_networks: Vec::new(),
            attempts: 1,
            timeout: Duration::from_secs(1),
        }
    );
}

fn quoted(text: &str) -> String {
    if text.starts_with('\'') { text.to_owned() } else { format!("'{text}'") }
}

#[test]
fn a_profile_says_whether_an_account_must_be_bound() {
    let binding = |asked: &str, given: &str| {
        with(&format!("externalAccountBinding: {given}")).with(&profile("profile", &acme_for(asked)))
    };
    let (required, optional, disabled) = (
        ExternalAccountBinding::Required,
        ExternalAccountBinding::Optional,
        ExternalAccountBinding::Disabled,
    );
    let cases: [(&str, ExternalAccountBinding, Strength, ExternalAccountBinding); 7] = [
        ("Anonymous", required, PersonalSecret, required),
        ("Anonymous", optional, Anonymous, optional),
        ("Anonymous", disabled, Anonymous, disabled),
        ("SharedSecret", required, PersonalSecret, required),
        // An account without a key could get nothing.
        ("SharedSecret", optional, SharedSecret, required),
        ("PersonalSecret", required, PersonalSecret, required),
        ("PersonalSecret", optional, PersonalSecret, required),
    ];
    for (asked, given, minimum, effective) in cases {
        let method = compiled_method(&binding(asked, given.as_str()));
        assert_eq!(method.minimum, minimum, "{given} for {asked}");
        let MethodSettings::Acme(acme) = method.settings else { panic!("no settings of ACME") };
        assert_eq!(acme.external_account_binding, effective, "{given} for {asked}");
    }
    for (asked, given) in [
        ("SharedSecret", disabled),
        ("PersonalSecret", disabled),
        ("Certificate", required),
        ("CertificateAndSecret", optional),
    ] {
        let message = format!("spec.acme.externalAccountBinding: the profile pki/profile asks for {asked}");
        let world = binding(asked, given.as_str());
        rejects_world(&world, M, "pki/x", Reason::AuthenticationTooWeak, &message);
    }
}

#[test]
fn without_a_word_of_the_profile_an_account_must_be_bound() {
    assert_eq!(compiled_method(&with("")).minimum, PersonalSecret);
    let disabled = with("externalAccountBinding: Disabled");
    let message = "the profile pki/profile asks for SharedSecret";
    rejects_world(&disabled, M, "pki/x", Reason::AuthenticationTooWeak, message);
    let est_only = with("").with(&profile("profile", "{protocol: est}"));
    let message = "spec: the profile pki/profile does not allow acme";
    rejects_world(&est_only, M, "pki/x", Reason::ProtocolNotAllowed, message);
}

#[test]
fn other_protocols_ask_for_a_secret_where_a_profile_takes_anybody() {
    let world = with("")
        .with(&profile("profile", "{protocol: est, minimumAuthentication: Anonymous}, {protocol: acme}"));
    let methods = world.settle().resolution.compiled.unwrap().methods;
    assert_eq!(methods.iter().find(|method| method.protocol == Protocol::Est).unwrap().minimum, SharedSecret);
}

#[test]
fn a_profile_to_choose_is_held_to_the_same_as_the_methods_own() {
    let path = "spec.acme.profiles[0].profileRef";
    let choose = |reference: &str| with(&format!("profiles: [{{name: other, profileRef: {reference}}}]"));
    let other = choose("{name: other}");
    let invalid_profile = "{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {authorityRef: {name: issuing}, keyUsage: {usages: [digitalSignature]}}}";
    let self_signed = "{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {selfSigned: {}, preset: TLSServer}}";
    let elsewhere = "{kind: CertificateProfile, metadata: {name: other, namespace: team}, spec: {authorityRef: {name: issuing, namespace: pki}, preset: TLSServer}}";
    let granted = "{kind: CertificateAuthority, metadata: {name: issuing, namespace: pki}, spec: {intermediate: {parentRef: {name: root}}, subject: {commonName: Issuing}, pathLength: 0, allowedNamespaces: {namespaces: [team]}}}";
    let foreign = choose("{name: other, namespace: team}").with(granted);
    let cases: [(World, Reason, &str); 6] = [
        (other.clone(), Reason::ReferenceNotFound, "there is no CertificateProfile pki/other"),
        (other.clone().with(invalid_profile), Reason::ReferenceNotAccepted, "pki/other is not accepted"),
        (
            foreign.clone().with(elsewhere),
            Reason::ReferenceNotPermitted,
            "team/other does not list the namespace pki under grants.attach",
        ),
        (
            other.clone().with(&profile("other", "{protocol: est}")),
            Reason::ProtocolNotAllowed,
            "the profile pki/other does not allow acme",
        ),
        (
            other.clone().with(self_signed),
            Reason::Invalid,
            "the profile pki/other lets certificates sign themselves",
        ),
        (choose("{name: nobody, namespace: pki}"), Reason::ReferenceNotFound, "pki/nobody"),
    ];
    for (world, reason, message) in cases {
        let resolution = world.settle().resolution;
        let status = resolution.status(M, &name("pki/x")).unwrap();
        let accepted = &status.conditions[0];
        assert_eq!(accepted.reason, reason, "{message}: {}", accepted.message);
        assert!(accepted.message.starts_with(&format!("{path}: ")), "{}", accepted.message);
        assert!(accepted.message.contains(message), "{}", accepted.message);
    }
    let strong = other.clone().with(&profile("other", &acme_for("Certificate")));
    let message = "spec.acme.externalAccountBinding: the profile pki/other asks for Certificate";
    rejects_world(&strong, M, "pki/x", Reason::AuthenticationTooWeak, message);
    accepts_world(&other.with(&profile("other", "")));
    accepts_world(&foreign.with(
        &elsewhere.replace("preset: TLSServer", "preset: TLSServer, grants: {attach: {namespaces: [pki]}}"),
    ));
}

#[test]
fn a_profile_to_choose_belongs_to_the_same_server() {
    let world = with("profiles: [{name: other, profileRef: {name: other}}]")
        .with("{kind: EnrollmentServer, metadata: {name: second, namespace: edge}, spec: {tls: {dnsNames: [edge]}}}")
        .with("{kind: CertificateAuthority, metadata: {name: edge, namespace: pki}, spec: {serverRef: {name: second, namespace: edge}, selfSigned: {}, subject: {commonName: Edge}}}")
        .with("{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {authorityRef: {name: edge}, preset: TLSServer}}");
    let resolution = world.settle_for("pki/server").resolution;
    let accepted = &resolution.status(M, &name("pki/x")).unwrap().conditions[0];
    assert_eq!(accepted.reason, Reason::ServerMismatch, "{}", accepted.message);
    assert!(
        accepted.message.contains("pki/edge, belongs to the EnrollmentServer edge/second"),
        "{}",
        accepted.message
    );
}

#[test]
fn a_profile_whose_certificates_sign_themselves_issues_nothing_over_acme() {
    let world = World::base()
        .with("{kind: CertificateProfile, metadata: {name: self, namespace: pki}, spec: {selfSigned: {}, preset: TLSServer}}")
        .with("{kind: EnrollmentMethod, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: self}, acme: {}}}");
    let message = "spec.profileRef: the profile pki/self lets certificates sign themselves";
    rejects_world(&world, M, "pki/x", Reason::Invalid, message);
}

#[test]
fn names_of_profiles_are_words_and_each_is_there_once() {
    let named = |names: [&str; 2]| {
        let [one, two] = names;
        with(&format!(
            "profiles: [{{name: '{one}', profileRef: {{name: profile}}}}, {{name: '{two}', profileRef: {{name: profile}}}}]"
        ))
    };
    let long = "x".repeat(64);
    for (names, message) in [
        (["a", "a"], "spec.acme.profiles[1].name: \"a\" is there twice"),
        (["a", ""], "spec.acme.profiles[1].name: \"\" is not a name"),
        (["a b", "b"], "spec.acme.profiles[0].name: \"a b\" is not a name"),
        (["a", "\u{e9}"], "spec.acme.profiles[1].name: \"\u{e9}\" is not a name"),
        (["a", &long], "is not a name"),
        (["default", "b"], "spec.acme.profiles[0].name: default is what profileRef of the method is called"),
    ] {
        rejects_world(&named(names), M, "pki/x", Reason::Invalid, message);
    }
}

#[test]
fn the_methods_own_profile_is_listed_as_default_unless_it_has_a_name() {
    let listed = |settings: &str| -> Vec<CompiledAcmeProfile> {
        compiled(&with(settings).with(&profile("short", &acme_for("Anonymous")))).profiles
    };
    let entry = |word: &str, description: &str, of: &str| CompiledAcmeProfile {
        name: word.into(),
        description: description.into(),
        profile: name(of),
        minimum: PersonalSecret,
    };
    assert_eq!(listed(""), []);
    assert_eq!(
        listed("profiles: [{name: short-lived, description: Six days, profileRef: {name: short}}]"),
        [
            entry("default", "What an order gets that chooses no profile", "pki/profile"),
            entry("short-lived", "Six days", "pki/short")
        ]
    );
    assert_eq!(
        listed(
            "profiles: [{name: usual, profileRef: {name: profile}}, {name: short, profileRef: {name: short}}]"
        ),
        [entry("short", "short", "pki/short"), entry("usual", "usual", "pki/profile")]
    );
}

#[test]
fn an_optional_binding_stays_one_where_one_profile_takes_anybody() {
    let settings = "externalAccountBinding: Optional, profiles: [{name: open, profileRef: {name: open}}]";
    let world = with(settings).with(&profile("open", &acme_for("Anonymous")));
    let method = compiled_method(&world);
    assert_eq!(method.minimum, SharedSecret);
    let MethodSettings::Acme(acme) = method.settings else { panic!("no settings of ACME") };
    assert_eq!(acme.external_account_binding, ExternalAccountBinding::Optional);
    let minimums: Vec<(&str, Strength)> =
        acme.profiles.iter().map(|listed| (listed.name.as_str(), listed.minimum)).collect();
    assert_eq!(minimums, [("default", SharedSecret), ("open", Anonymous)]);
    let closed = with(settings).with(&profile("open", ""));
    assert_eq!(compiled(&closed).external_account_binding, ExternalAccountBinding::Required);
}

#[test]
fn a_method_waits_for_the_authorities_of_all_its_profiles() {
    let world = with("profiles: [{name: other, profileRef: {name: other}}]")
        .with("{kind: CertificateAuthority, metadata: {name: late, namespace: pki}, spec: {selfSigned: {}, subject: {commonName: Late}}}")
        .with("{kind: CertificateProfile, metadata: {name: other, namespace: pki}, spec: {authorityRef: {name: late}, preset: TLSServer}}");
    accepts_world(&world);
    let mut settled = world.settle();
    assert!(settled.resolution.compiled.unwrap().methods.iter().any(|method| method.name == name("pki/x")));
    settled.observed.authorities.remove(&name("pki/late")).unwrap();
    let methods = world.resolve(&settled.observed).compiled.unwrap().methods;
    assert!(
        !methods.iter().any(|method| method.name == name("pki/x")),
        "it would issue by an authority without certificate"
    );
}

#[test]
fn what_is_not_said_is_the_same_in_the_resource_and_in_the_compiled_settings() {
    assert_eq!(compiled(&with("")), CompiledAcme::default());
    assert_eq!(serde_json::from_str::<CompiledAcme>("{}").unwrap(), CompiledAcme::default());
    let method = compiled_method(&with(""));
    assert_eq!((method.protocol, method.retry_after.as_secs()), (Protocol::Acme, 60));
}

#[test]
fn settings_compile_as_declared() {
    let settings = compiled(&with(
        "onCredentialRevoked: Keep, challenges: [tls-alpn-01, http-01, http-01], preAuthorizedNames: Enabled, caa: {issuerDomainNames: [CA.acme.com]}, orderLifetime: 1d, authorizationLifetime: 2d, maximumIdentifiers: 5, renewal: {windowStart: 50, windowEnd: 60, pollInterval: 1h}, meta: {termsOfService: 'https://acme.com/terms#1', website: 'http://acme.com'}",
    ));
    assert_eq!(
        settings,
        CompiledAcme {
            external_account_binding: ExternalAccountBinding::Required,
            on_credential_revoked: OnCredentialRevoked::Keep,
            challenges: vec![ChallengeType::Http01, ChallengeType::TlsAlpn01],
            pre_authorized_names: PreAuthorizedNames::Enabled,
            validation: CompiledValidation::default(),
            profiles: Vec::new(),
            caa: Some(vec!["ca.acme.com".into()]),
            order_lifetime: Duration::from_secs(86_400),
            authorization_lifetime: Duration::from_secs(2 * 86_400),
            maximum_identifiers: 5,
            renewal: CompiledRenewal {
                window_start: 50,
                window_end: 60,
                poll_interval: Duration::from_secs(3_600)
            },
            meta: CompiledAcmeMeta {
                terms_of_service: Some("https://acme.com/terms#1".into()),
                website: Some("http://acme.com".into()),
                // CAA records speak of these names.
                caa_identities: vec!["ca.acme.com".into()],
            },
        }
    );
    let own = compiled(&with("caa: {issuerDomainNames: [a.com]}, meta: {caaIdentities: [B.com]}"));
    assert_eq!(own.meta.caa_identities, ["b.com"]);
    let only_keys = compiled(&with("challenges: [], preAuthorizedNames: Enabled"));
    assert_eq!(only_keys.challenges, []);
}

#[test]
fn a_label_leads_to_a_directory_and_no_url_does_without_one() {
    let method = compiled_method(&with(""));
    assert_eq!(method.path(Some("web")).as_deref(), Some("/acme/web/directory"));
    assert_eq!(method.path(None), None);
    let labelled = with("").with("{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, labels: [{label: web, methodRef: {name: x}}]}}");
    accepts_world(&labelled);
    let default = with("").with("{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}, defaultMethodRef: {name: x}}}");
    let resolution = default.settle().resolution;
    let accepted = &resolution.status(S, &name("pki/server")).unwrap().conditions[0];
    assert_eq!(accepted.reason, Reason::Invalid);
    assert!(
        accepted.message.contains("the method pki/x speaks acme, whose URLs always have a label"),
        "{accepted:?}"
    );
    assert_eq!(resolution.compiled.unwrap().server.default_method, None);
}

#[test]
fn one_protocol_is_spoken_by_a_method() {
    let cases: [Reject; 1] = [(
        M,
        "pki/x",
        Reason::Invalid,
        "spec: give exactly one protocol",
        "{kind: EnrollmentMethod, metadata: {name: x, namespace: pki}, spec: {profileRef: {name: profile}, est: {}, acme: {}}}",
    )];
    cases.into_iter().for_each(super::rejects);
    // A profile that is asked for over one alone says so.
    let only = World::base().with(&profile("profile", &acme_for("Anonymous")));
    assert!(only.settle().resolution.status(P, &name("pki/profile")).unwrap().is_accepted());
}

//! Credentials for ACME: the keys of external account bindings.

use crds::conditions::Reason;
use issuance::{
    acme::{Identifier, Restriction},
    credential::CredentialState,
    identity::Protocol,
    secret::Secret,
};

use super::{C, accepts_world, name, rejects_world, world::World};
use crate::{CompiledCredential, CredentialValue};

/// 32 octets.
const KEY: &str = "-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s";

fn world() -> World {
    World::base().with("{kind: EnrollmentMethod, metadata: {name: acme, namespace: pki}, spec: {profileRef: {name: profile}, acme: {}}}")
}

fn credential(name: &str, settings: &str, rest: &str) -> String {
    format!(
        "{{kind: EnrollmentCredential, metadata: {{name: {name}, namespace: pki}}, spec: {{methodRef: {{name: acme}}, acme: {{{settings}}}, owner: {{group: web}}{rest}}}}}"
    )
}

fn with(settings: &str, rest: &str) -> World {
    world().with(&credential("x", settings, rest))
}

fn compiled(world: &World) -> CompiledCredential {
    let credentials = world.settle().resolution.compiled.unwrap().credentials;
    credentials.into_iter().find(|credential| credential.name == name("pki/x")).unwrap()
}

fn secret(data: &str) -> String {
    format!("{{kind: Secret, apiVersion: v1, metadata: {{name: given, namespace: pki}}, {data}}}")
}

#[test]
fn what_a_key_says_is_refused_with_its_reason() {
    let long = format!("kid: {}", "x".repeat(318));
    for (settings, message) in [
        ("kid: ''", "spec.acme.kid: is empty, longer than 317 characters"),
        ("kid: 'a key'", "spec.acme.kid: is empty"),
        ("kid: \"a\\nb\"", "spec.acme.kid: is empty"),
        ("kid: 'sch\u{fc}tz'", "spec.acme.kid: is empty"),
        (&long, "spec.acme.kid: is empty"),
        ("identifiers: {}", "spec.acme.identifiers: give at least one of dns and ip"),
        ("identifiers: {dns: ['a***b']}", "spec.acme.identifiers.dns[0]: "),
        ("identifiers: {dns: [a.com, '']}", "spec.acme.identifiers.dns[1]: a pattern cannot be empty"),
        ("identifiers: {ip: [10.0.0.1/8]}", "spec.acme.identifiers.ip[0]: "),
        ("identifiers: {ip: [10.0.0.1]}", "spec.acme.identifiers.ip[0]: \"10.0.0.1\" is not a range"),
    ] {
        rejects_world(&with(settings, ""), C, "pki/x", Reason::Invalid, message);
    }
}

#[test]
fn a_key_is_for_a_method_that_takes_keys() {
    let password = "{kind: EnrollmentCredential, metadata: {name: x, namespace: pki}, spec: {methodRef: {name: acme}, est: {}, owner: {group: web}}}";
    let message = "spec.est: the method pki/acme speaks acme";
    rejects_world(&world().with(password), C, "pki/x", Reason::Invalid, message);
    let key = credential("x", "", "").replace("name: acme}", "name: method}");
    let message = "spec.acme: the method pki/method speaks est";
    rejects_world(&world().with(&key), C, "pki/x", Reason::Invalid, message);
    let open = with("", "")
        .with("{kind: EnrollmentMethod, metadata: {name: acme, namespace: pki}, spec: {profileRef: {name: profile}, acme: {externalAccountBinding: Disabled}}}")
        .with("{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, protocols: [{protocol: est}, {protocol: acme, minimumAuthentication: Anonymous}]}}");
    let message = "spec.methodRef: the method pki/acme takes no external account binding";
    rejects_world(&open, C, "pki/x", Reason::Invalid, message);
}

#[test]
fn a_given_key_is_one_that_clients_can_be_given() {
    let world = with("", ", valueFrom: {secretKeyRef: {name: given}}");
    let reason = Reason::SecretInvalid;
    let path = "spec.valueFrom.secretKeyRef: the Secret pki/given";
    rejects_world(&world, C, "pki/x", reason, &format!("{path} does not exist"));
    for (data, message) in [
        (format!("stringData: {{password: {KEY}}}"), "hmac is missing"),
        (format!("stringData: {{hmac: '{KEY}='}}"), "hmac is not base64url without padding"),
        (format!("stringData: {{hmac: \"{KEY}\\n\"}}"), "hmac is not base64url without padding"),
        ("stringData: {hmac: ''}".to_owned(), "hmac must be a key of 32 to 1024 octets; it has 0"),
        ("stringData: {hmac: c2VjcmV0}".to_owned(), "hmac must be a key of 32 to 1024 octets; it has 6"),
    ] {
        let world = world.clone().with(&secret(&data));
        rejects_world(&world, C, "pki/x", reason, &format!("{path}: {message}"));
    }
    let elsewhere =
        secret(&format!("stringData: {{hmac: {KEY}}}")).replace("namespace: pki", "namespace: other");
    rejects_world(&world.clone().with(&elsewhere), C, "pki/x", reason, &format!("{path} does not exist"));

    let given = world.with(&secret(&format!("stringData: {{hmac: {KEY}}}")));
    accepts_world(&given);
    assert_eq!(compiled(&given).value, CredentialValue::Given(Secret::new([0xfb; 32])));
    let keyed = with("", ", valueFrom: {secretKeyRef: {name: given, key: eab}}");
    let keyed = keyed.with(&secret(&format!("stringData: {{eab: {KEY}}}")));
    assert_eq!(compiled(&keyed).value, CredentialValue::Given(Secret::new([0xfb; 32])));
}

#[test]
fn a_key_identifier_says_which_key_is_meant() {
    let both = with("kid: web", "").with(&credential("y", "kid: web", ""));
    let message = "spec.acme.kid: the credential pki/x of the method pki/acme has \"web\" already";
    rejects_world(&both, C, "pki/y", Reason::LabelConflict, message);
    // The name is a claim too.
    let named = with("", "").with(&credential("y", "kid: pki.x", ""));
    let message = "the credential pki/x of the method pki/acme has \"pki.x\" already";
    rejects_world(&named, C, "pki/y", Reason::LabelConflict, message);
    // The older has it, whatever it is called.
    let older = credential("z", "kid: web", "")
        .replace("namespace: pki}", "namespace: pki, creationTimestamp: '2026-01-01T00:00:00Z'}");
    let newer = credential("x", "kid: web", "")
        .replace("namespace: pki}", "namespace: pki, creationTimestamp: '2026-02-01T00:00:00Z'}");
    let message = "the credential pki/z of the method pki/acme has \"web\" already";
    rejects_world(&world().with(&older).with(&newer), C, "pki/x", Reason::LabelConflict, message);
    // Of another method it is another key; and one that has ended lets another follow.
    let second = "{kind: EnrollmentMethod, metadata: {name: second, namespace: pki}, spec: {profileRef: {name: profile}, acme: {}}}";
    let of_second = credential("y", "kid: web", "").replace("name: acme}", "name: second}");
    accepts_world(&with("kid: web", "").with(second).with(&of_second));
    for ended in [", revoked: true", ", expiresAt: '2026-01-01T00:00:00Z'"] {
        accepts_world(&with("kid: web", ended).with(&credential("y", "kid: web", "")));
    }
}

#[test]
fn a_key_compiles_as_declared() {
    let credential = compiled(&with("", ""));
    assert_eq!((credential.protocol, credential.username.as_deref()), (Protocol::Acme, Some("pki.x")));
    assert_eq!(credential.identifiers, None);
    assert_eq!(credential.value, CredentialValue::Generate { write_to: name("pki/x") });

    let settings =
        "kid: 'web-1@acme.com', identifiers: {dns: [shop.acme.com, '*.devices.acme.com'], ip: [10.1.0.0/16]}";
    let credential = compiled(&with(settings, ", maximumUses: 1, regeneration: 3"));
    assert_eq!(credential.username.as_deref(), Some("web-1@acme.com"));
    assert_eq!((credential.maximum_uses, credential.regeneration), (Some(1), 3));
    let restriction = credential.identifiers.unwrap();
    let permits = |name: &str, wildcard| restriction.permits(&Identifier::Dns(name.into()), wildcard);
    assert!(permits("shop.acme.com", false) && permits("a.devices.acme.com", false));
    assert!(permits("devices.acme.com", true));
    assert!(
        !permits("acme.com", false) && !permits("acme.com", true) && !permits("a.b.devices.acme.com", false)
    );
    assert!(restriction.permits(&Identifier::Ip("10.1.2.3".parse().unwrap()), false));
    assert!(!restriction.permits(&Identifier::Ip("10.2.0.1".parse().unwrap()), false));
}

#[test]
fn a_key_that_has_ended_ends_whatever_is_wrong_with_it_and_permits_nothing_more() {
    let wrong = "kid: 'a key', identifiers: {dns: ['a***b']}";
    rejects_world(&with(wrong, ""), C, "pki/x", Reason::Invalid, "spec.acme.kid");
    for (ended, state) in [
        (", revoked: true", CredentialState::Revoked),
        (", expiresAt: '2026-01-01T00:00:00Z'", CredentialState::Active),
    ] {
        let credential = compiled(&with(wrong, ended));
        assert_eq!(credential.state, state);
        assert_eq!(
            credential.identifiers,
            Some(Restriction::default()),
            "what cannot be read would permit all"
        );
    }
    let given = with("", ", revoked: true, valueFrom: {secretKeyRef: {name: given}}");
    assert_eq!(compiled(&given).value, CredentialValue::Generated(Secret::new("")));
}

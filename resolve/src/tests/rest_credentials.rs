//! Credentials for REST: access keys.

use crds::conditions::Reason;
use issuance::{
    credential::CredentialState,
    identity::Protocol,
    rest::{RestAction, RestActions},
    secret::Secret,
};

use super::{C, accepts_world, name, rejects_world, world::World};
use crate::{CompiledCredential, CredentialValue};

const KEY: &str = "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0";
/// Of the same name.
const OTHER: &str = "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_1";

fn world() -> World {
    World::base().with(&method("rest", "pki", ""))
}

fn method(name: &str, namespace: &str, settings: &str) -> String {
    format!(
        "{{kind: EnrollmentMethod, metadata: {{name: {name}, namespace: {namespace}}}, spec: {{profileRef: {{name: profile, namespace: pki}}, rest: {{{settings}}}}}}}"
    )
}

fn credential(name: &str, settings: &str, rest: &str) -> String {
    format!(
        "{{kind: EnrollmentCredential, metadata: {{name: {name}, namespace: pki}}, spec: {{methodRef: {{name: rest}}, rest: {{{settings}}}, owner: {{group: ci}}{rest}}}}}"
    )
}

fn given(name: &str, value: &str) -> String {
    format!(
        "{}\n---\n{{kind: Secret, apiVersion: v1, metadata: {{name: {name}, namespace: pki}}, stringData: {{accessKey: \"{value}\"}}}}",
        credential(name, "", &format!(", valueFrom: {{secretKeyRef: {{name: {name}}}}}")),
    )
}

fn compiled(world: &World) -> CompiledCredential {
    let credentials = world.settle().resolution.compiled.unwrap().credentials;
    credentials.into_iter().find(|credential| credential.name == name("pki/x")).unwrap()
}

#[test]
fn an_access_key_is_for_a_method_that_takes_access_keys() {
    let password = "{kind: EnrollmentCredential, metadata: {name: x, namespace: pki}, spec: {methodRef: {name: rest}, est: {}, owner: {group: web}}}";
    let message = "spec.est: the method pki/rest speaks rest";
    rejects_world(&world().with(password), C, "pki/x", Reason::Invalid, message);
    let key = credential("x", "", "").replace("name: rest}", "name: method}");
    let message = "spec.rest: the method pki/method speaks est";
    rejects_world(&world().with(&key), C, "pki/x", Reason::Invalid, message);
    let settings = "accessKeys: Disabled, clientCertificates: {authorities: [{certificateAuthorityRef: {name: issuing}}]}";
    let closed = world().with(&method("rest", "pki", settings)).with(&credential("x", "", ""));
    let message = "spec.methodRef: the method pki/rest takes no access keys";
    rejects_world(&closed, C, "pki/x", Reason::Invalid, message);
}

#[test]
fn an_access_key_opens_something() {
    let world = world().with(&credential("x", "actions: []", ""));
    let message = "spec.rest.actions: give at least one: nothing could be done";
    rejects_world(&world, C, "pki/x", Reason::Invalid, message);
}

#[test]
fn a_given_access_key_has_the_form_of_one() {
    let path = "spec.valueFrom.secretKeyRef: the Secret pki/x";
    let without = world().with(&credential("x", "", ", valueFrom: {secretKeyRef: {name: x}}"));
    rejects_world(&without, C, "pki/x", Reason::SecretInvalid, &format!("{path} does not exist"));
    let misnamed = world().with(&given("x", KEY).replace("accessKey:", "password:"));
    rejects_world(&misnamed, C, "pki/x", Reason::SecretInvalid, &format!("{path}: accessKey is missing"));
    let upper = KEY.replace("abcdef_", "ABCDEF_");
    for value in ["", "secret", &KEY[..52], &format!("{KEY}0"), &format!("{KEY}\\n"), &upper] {
        let message = format!("{path}: accessKey is no access key");
        rejects_world(&world().with(&given("x", value)), C, "pki/x", Reason::SecretInvalid, &message);
    }
    let good = world().with(&given("x", KEY));
    accepts_world(&good);
    assert_eq!(compiled(&good).value, CredentialValue::Given(Secret::new(KEY)));
    let named = world().with(
        &given("x", KEY)
            .replace("secretKeyRef: {name: x}", "secretKeyRef: {name: x, key: token}")
            .replace("accessKey:", "token:"),
    );
    assert_eq!(compiled(&named).value, CredentialValue::Given(Secret::new(KEY)));
}

#[test]
fn the_name_of_an_access_key_is_had_once_among_all_methods() {
    let message =
        "spec.valueFrom.secretKeyRef: the Secret pki/y: accessKey has the name of an access key that another";
    let (x, y) = (given("x", KEY), given("y", OTHER));
    rejects_world(&world().with(&x).with(&y), C, "pki/y", Reason::LabelConflict, message);
    let of_second = y.replace("methodRef: {name: rest}", "methodRef: {name: second}");
    let second = world().with(&method("second", "pki", ""));
    rejects_world(&second.with(&x).with(&of_second), C, "pki/y", Reason::LabelConflict, message);
    // The older has it, whatever it is called.
    let aged = |yaml: &str, year: u16| {
        let created = format!("namespace: pki, creationTimestamp: '{year}-01-01T00:00:00Z'}}, spec");
        yaml.replace("namespace: pki}, spec", &created)
    };
    let message = "the Secret pki/x: accessKey has the name of an access key";
    let both = world().with(&aged(&y, 2025)).with(&aged(&x, 2026));
    rejects_world(&both, C, "pki/x", Reason::LabelConflict, message);
    // One that has ended keeps it: whoever presents the old key is told what became of it.
    let ended = y.replace("owner:", "expiresAt: '2026-01-01T00:00:00Z', owner:");
    let both = world().with(&aged(&ended, 2025)).with(&aged(&x, 2026));
    rejects_world(&both, C, "pki/x", Reason::LabelConflict, message);
    accepts_world(&world().with(&x).with(&given("y", &OTHER.replace("0123", "4567"))));
}

#[test]
fn an_access_key_needs_no_user_name_to_be_somebodys_own() {
    let strict = "{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, protocols: [{protocol: est}, {protocol: rest, minimumAuthentication: PersonalSecret}]}}";
    accepts_world(&world().with(strict).with(&credential("x", "", "")));
}

#[test]
fn an_access_key_compiles_as_declared() {
    let credential_of =
        |settings: &str, rest: &str| compiled(&world().with(&credential("x", settings, rest)));
    let usual = credential_of("", "");
    assert_eq!((usual.protocol, usual.username.as_deref()), (Protocol::Rest, None));
    assert_eq!(usual.actions, RestActions::from_iter([RestAction::Request, RestAction::Read]));
    assert_eq!(usual.value, CredentialValue::Generate { write_to: name("pki/x") });
    let all = credential_of(
        "actions: [credentials, report, approve, revoke, read, request]",
        ", maximumUses: 3, regeneration: 2, writeTo: {secretName: out}",
    );
    assert_eq!(all.actions, RestAction::ALL.into_iter().collect());
    assert_eq!((all.maximum_uses, all.regeneration), (Some(3), 2));
    assert_eq!(all.value, CredentialValue::Generate { write_to: name("pki/out") });
}

#[test]
fn an_access_key_that_has_ended_ends_whatever_is_wrong_with_it() {
    for (ended, state) in [
        (", revoked: true", CredentialState::Revoked),
        (", expiresAt: '2026-01-01T00:00:00Z'", CredentialState::Active),
    ] {
        let credential = compiled(&world().with(&credential("x", "actions: []", ended)));
        assert_eq!((credential.state, credential.actions), (state, RestActions::default()));
    }
}

use std::time::{Duration, Instant};

use crds::conditions::Reason;
use issuance::{
    credential::CredentialState,
    identity::{Owner, Protocol},
    rest::RestActions,
    secret::Secret,
};
use pki::time::Time;

use super::{
    C, Reject, accepts, accepts_world, name, provisioner::NOW, rejects, rejects_world, world::World,
};
use crate::{CompiledCredential, CredentialValue, Observed, resolve};

/// A document of the credential `x` in `pki`.
macro_rules! credential {
    ($spec:literal) => {
        concat!("{kind: EnrollmentCredential, metadata: {name: x, namespace: pki}, spec: {", $spec, "}}")
    };
}

const GIVEN: &str = "{kind: EnrollmentCredential, metadata: {name: x, namespace: pki}, spec: {methodRef: {name: method}, est: {}, owner: {user: ann}, valueFrom: {secretKeyRef: {name: given}}}}";

fn secret(data: &str) -> String {
    format!("{{kind: Secret, apiVersion: v1, metadata: {{name: given, namespace: pki}}, {data}}}")
}

fn compiled(world: &World) -> CompiledCredential {
    let credentials = world.settle().resolution.compiled.unwrap().credentials;
    credentials.into_iter().find(|credential| credential.name == name("pki/x")).unwrap()
}

#[test]
fn a_credential_is_rejected_for_what_it_says_and_refers_to() {
    let cases: &[Reject] = &[
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec: give exactly one protocol",
            credential!("methodRef: {name: method}, owner: {user: ann}"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.owner: give exactly one of user and group",
            credential!("methodRef: {name: method}, est: {}, owner: {}"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.owner: give exactly one of user and group",
            credential!("methodRef: {name: method}, est: {}, owner: {user: ann, group: ops}"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.est.username: is empty, or holds a colon",
            credential!("methodRef: {name: method}, est: {username: 'a:b'}, owner: {user: ann}"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.est.username: is empty, or holds a colon",
            credential!("methodRef: {name: method}, est: {username: \"a\\tb\"}, owner: {user: ann}"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.maximumUses: must be at least 1",
            credential!("methodRef: {name: method}, est: {}, owner: {user: ann}, maximumUses: 0"),
        ),
        (
            C,
            "pki/x",
            Reason::Invalid,
            "spec.writeTo: is refused with valueFrom",
            credential!(
                "methodRef: {name: method}, est: {}, owner: {user: ann}, writeTo: {secretName: s}, valueFrom: {secretKeyRef: {name: given}}"
            ),
        ),
        (
            C,
            "pki/x",
            Reason::ReferenceNotFound,
            "spec.methodRef: there is no EnrollmentMethod pki/nobody",
            credential!("methodRef: {name: nobody}, est: {}, owner: {user: ann}"),
        ),
        // There is a method of this name, in another namespace: that is another method.
        (
            C,
            "other/x",
            Reason::ReferenceNotFound,
            "spec.methodRef: there is no EnrollmentMethod other/method",
            "{kind: EnrollmentCredential, metadata: {name: x, namespace: other}, spec: {methodRef: {name: method}, est: {}, owner: {user: ann}}}",
        ),
        (
            C,
            "pki/x",
            Reason::SecretInvalid,
            "spec.valueFrom.secretKeyRef: the Secret pki/given does not exist",
            GIVEN,
        ),
    ];
    cases.iter().copied().for_each(rejects);
    accepts(credential!(
        "methodRef: {name: method}, est: {username: ann}, owner: {user: ann}, maximumUses: 1"
    ));
}

#[test]
fn a_value_must_be_one_that_can_be_sent() {
    let with = |data: &str| World::base().with(GIVEN).with(&secret(data));
    for (data, message) in [
        ("stringData: {other: x}", "the Secret pki/given: password is missing"),
        ("stringData: {password: ''}", "must have 1 to 1024 octets"),
        ("stringData: {password: \"hunter2\\n\"}", "holds a control character or a line break"),
        ("data: {password: aHVudGVyMgo=}", "holds a control character or a line break"),
    ] {
        rejects_world(&with(data), C, "pki/x", Reason::SecretInvalid, message);
    }
    let long = format!("stringData: {{password: {}}}", "x".repeat(1025));
    rejects_world(&with(&long), C, "pki/x", Reason::SecretInvalid, "must have 1 to 1024 octets");

    for data in [
        "stringData: {password: hunter2}",
        "data: {password: aHVudGVyMg==}",
        "data: {password: b3RoZXI=}, stringData: {password: hunter2}",
    ] {
        let world = with(data);
        accepts_world(&world);
        assert_eq!(compiled(&world).value, CredentialValue::Given(Secret::new("hunter2")), "{data}");
    }
    let keyed = GIVEN.replace("{name: given}", "{name: given, key: pin}");
    let world = World::base().with(&keyed).with(&secret("stringData: {pin: '1234'}"));
    assert_eq!(compiled(&world).value, CredentialValue::Given(Secret::new("1234")));
}

#[test]
fn a_secret_in_another_namespace_is_not_there() {
    let elsewhere = "{kind: Secret, apiVersion: v1, metadata: {name: given, namespace: other}, stringData: {password: hunter2}}";
    rejects_world(
        &World::base().with(GIVEN).with(elsewhere),
        C,
        "pki/x",
        Reason::SecretInvalid,
        "the Secret pki/given does not exist",
    );
}

#[test]
fn where_a_personal_secret_is_asked_for_a_passphrase_opens_nothing() {
    let world = World::base().with("{kind: CertificateProfile, metadata: {name: profile, namespace: pki}, spec: {authorityRef: {name: issuing}, preset: Device, protocols: [{protocol: est, minimumAuthentication: PersonalSecret}]}}");
    rejects_world(
        &world,
        C,
        "pki/credential",
        Reason::Invalid,
        "spec.est.username: is needed: the method pki/method",
    );
}

#[test]
fn the_older_of_two_credentials_keeps_the_secret_both_write_to() {
    let claim = |name: &str, created: &str| {
        format!(
            "{{kind: EnrollmentCredential, metadata: {{name: {name}, namespace: pki, creationTimestamp: '{created}'}}, spec: {{methodRef: {{name: method}}, est: {{}}, owner: {{user: ann}}, writeTo: {{secretName: shared}}}}}}"
        )
    };
    let world =
        World::base().with(&claim("a", "2026-02-01T00:00:00Z")).with(&claim("z", "2026-01-01T00:00:00Z"));
    rejects_world(
        &world,
        C,
        "pki/a",
        Reason::LabelConflict,
        "spec.writeTo: the credential pki/z writes to the Secret pki/shared already",
    );
    // Without timestamps the name decides; and a name is a claim too.
    let named = credential!(
        "methodRef: {name: method}, est: {}, owner: {user: ann}, writeTo: {secretName: credential}"
    );
    rejects_world(
        &World::base().with(named),
        C,
        "pki/x",
        Reason::LabelConflict,
        "the credential pki/credential writes",
    );
    // A Secret of this name in another namespace is another Secret, and a value that is given claims none.
    accepts_world(
        &World::base()
            .with(&GIVEN.replace("name: x", "name: a"))
            .with(&secret("stringData: {password: hunter2}"))
            .with(credential!(
                "methodRef: {name: method}, est: {}, owner: {user: ann}, writeTo: {secretName: a}"
            )),
    );
}

#[test]
fn several_credentials_may_share_a_user_name_so_that_one_can_follow_the_other() {
    let user = |name: &str| {
        format!(
            "{{kind: EnrollmentCredential, metadata: {{name: {name}, namespace: pki}}, spec: {{methodRef: {{name: method}}, est: {{username: ann}}, owner: {{user: ann}}}}}}"
        )
    };
    accepts_world(&World::base().with(&user("old")).with(&user("new")));
}

#[test]
fn a_credential_that_has_ended_ends_whatever_is_wrong_with_it() {
    const REVOKED: &str = "revoked: true";
    const EXPIRED: &str = "expiresAt: '2026-01-01T00:00:00Z'";
    for ended in [REVOKED, EXPIRED] {
        let at = |spec: &str| {
            format!(
                "{{kind: EnrollmentCredential, metadata: {{name: x, namespace: pki}}, spec: {{methodRef: {{name: method}}, est: {{}}, {ended}, {spec}}}}}"
            )
        };
        for spec in [
            // Its Secret was removed because the value had leaked.
            "owner: {user: ann}, valueFrom: {secretKeyRef: {name: given}}",
            "owner: {user: ann}, writeTo: {secretName: credential}",
            "owner: {user: ann}, rotation: {every: 1s}",
            "owner: {}",
        ] {
            let credential = compiled(&World::base().with(&at(spec)));
            let wrong = World::base().with(&at(spec).replace(ended, "regeneration: 0"));
            let resolution = wrong.settle().resolution;
            assert!(!resolution.status(C, &name("pki/x")).unwrap().is_accepted(), "{spec} is not wrong");
            assert_eq!(credential.state == CredentialState::Revoked, ended == REVOKED, "{spec}");
            assert_eq!(credential.expires_at.is_some(), ended == EXPIRED, "{spec}");
            match credential.value {
                CredentialValue::Generated(value) => assert!(value.is_empty(), "{spec}"),
                CredentialValue::Generate { write_to } => assert_eq!(write_to, name("pki/x"), "{spec}"),
                CredentialValue::Given(_) => panic!("{spec} has a value"),
            }
        }
    }
    // What was given does not travel to a server that is to refuse it.
    let revoked = GIVEN.replace("est: {}", "est: {}, revoked: true");
    let world = World::base().with(&revoked).with(&secret("stringData: {password: hunter2}"));
    assert_eq!(compiled(&world).value, CredentialValue::Generated(Secret::new("")));
    // An end to come is no end.
    let later = GIVEN.replace("est: {}", "est: {}, expiresAt: '2100-01-01T00:00:00Z'");
    let message = "the Secret pki/given does not exist";
    rejects_world(&World::base().with(&later), C, "pki/x", Reason::SecretInvalid, message);
}

#[test]
fn ten_thousand_credentials_are_judged_while_a_leader_can_wait() {
    let mut resources = World::base().resources();
    let one = resources.credentials.remove(0);
    for number in 0..10_000 {
        let mut credential = one.clone();
        credential.metadata.name = Some(format!("c{number}"));
        resources.credentials.push(credential);
    }
    let began = Instant::now();
    let resolution = resolve(&resources, &Observed::nothing(NOW), None);
    // Seconds where each is compared with each, and far less than one where not; a lease lasts 15.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let credentials = resolution.statuses.iter().filter(|status| status.kind == C);
    assert_eq!(credentials.filter(|status| status.is_accepted()).count(), 10_000);
}

#[test]
fn a_credential_compiles_as_declared() {
    let credential = compiled(&World::base().with(credential!("methodRef: {name: method}, est: {username: ann}, owner: {group: ops}, expiresAt: '2027-02-01T00:00:00Z', maximumUses: 3, revoked: true, regeneration: 2, writeTo: {secretName: out}")));
    assert_eq!(
        credential,
        CompiledCredential {
            name: name("pki/x"),
            method: name("pki/method"),
            protocol: Protocol::Est,
            username: Some("ann".into()),
            identifiers: None,
            actions: RestActions::default(),
            owner: Owner::Group("ops".into()),
            expires_at: Some(Time::from_unix(1_801_440_000)),
            maximum_uses: Some(3),
            state: CredentialState::Revoked,
            regeneration: 2,
            value: CredentialValue::Generate { write_to: name("pki/out") },
            previous: None,
        }
    );
}

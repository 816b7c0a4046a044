//! Credentials of other methods, of whatever protocol, by a method that administers them.

use super::*;
use crate::{acme::Restriction, credential::generate_hmac_key, sealing::SealingKeys};

/// The method that ann's administers, unless said otherwise.
fn est() -> Target {
    Target { method: name("devices"), protocol: Protocol::Est, scope: None }
}

fn acme() -> Target {
    Target { method: name("web"), protocol: Protocol::Acme, scope: None }
}

fn rest(scope: impl Into<MethodScope>) -> Target {
    Target { method: name("api"), protocol: Protocol::Rest, scope: Some(scope.into()) }
}

fn name(method: &str) -> ResourceName {
    ResourceName::new("acme", method)
}

/// As [`Desk::new`], with a method that administers others of its namespace.
async fn desk_of(methods: &[&str], target: Target) -> Desk {
    let desk = Desk::new().await;
    let scope =
        MethodScope::of(methods.iter().map(|method| name(method)).chain([desk.target.method.clone()]));
    Desk { scope, target, ..desk }
}

fn bare(name: &str) -> NewCredential {
    NewCredential { actions: RestActions::default(), ..wanted(name) }
}

fn sealing() -> Arc<SealingKeys> {
    Arc::new(SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap())
}

fn key(sealing: &Arc<SealingKeys>) -> NewVerifier {
    NewVerifier::HmacKey { sealing: sealing.clone(), key: generate_hmac_key().unwrap() }
}

fn bound(name: &str, kid: &str, verifier: NewVerifier) -> NewCredential {
    NewCredential { value: NewValue { username: Some(kid.into()), verifier }, ..bare(name) }
}

#[tokio::test]
async fn methods_out_of_scope_are_not_there() {
    let desk = desk_of(&["web"], est()).await;
    let outcome = desk.create(bare("ci")).await;
    assert!(matches!(outcome, Err(AdministrationError::Core(Error::NotFound("method")))), "{outcome:?}");
    let elsewhere = Target { method: ResourceName::new("other", "web"), ..est() };
    let desk = Desk { target: elsewhere, ..desk };
    let outcome = desk.create(bare("ci")).await;
    assert!(matches!(outcome, Err(AdministrationError::Core(Error::NotFound("method")))), "{outcome:?}");
    // A row of one that is not in scope, or that is of another target than was looked at.
    let desk = desk_of(&["devices"], est()).await;
    let row = desk.create(bare("ci")).await.unwrap();
    let own = MethodScope::from(desk.scene.method.name.clone());
    for desk in [
        &Desk { scope: own, ..Desk::on(desk.scene.store.clone()).await },
        &Desk { target: acme(), ..desk_of(&["devices", "web"], est()).await },
    ] {
        desk.scene.put(&row).await;
        for change in every_change() {
            let outcome = desk.change(&row.id, change).await;
            assert!(matches!(outcome, Err(AdministrationError::Core(Error::NotFound(_)))), "{outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_credential_of_an_administered_method_is_of_that_method_and_recorded_there() {
    let desk = desk_of(&["devices"], est()).await;
    let row = desk.create(bare("ci")).await.unwrap();
    assert_eq!((&row.method, row.protocol, &row.name), (&name("devices"), Protocol::Est, &name("ci")));
    assert_eq!(desk.stored(&row.id).await, row);
    for change in every_change() {
        if !matches!(change, Change::Revoke { .. }) {
            desk.change(&row.id, change).await.unwrap();
        }
    }
    desk.change(&row.id, Change::Revoke { reason: None }).await.unwrap();
    let events = desk.scene.events().await;
    let done: Vec<_> = events.iter().map(|event| (event.action, event.outcome)).collect();
    let expected = [
        Action::CredentialCreated,
        Action::CredentialChanged,
        Action::CredentialRegenerated,
        Action::CredentialRevoked,
    ];
    assert_eq!(done, expected.map(|action| (action, AuditOutcome::Done)));
    for event in &events {
        assert_eq!(
            (&event.actor, event.method.as_ref()),
            (&Actor::of(desk.ann.requester()), Some(&name("devices")))
        );
    }
}

#[tokio::test]
async fn nobody_has_a_key_that_administers_more_than_their_own() {
    let all = MethodScope::Namespace("acme".into());
    let more = MethodScope::of([name("api"), name("devices")]);
    let few = MethodScope::from(name("api"));
    for (methods, target, allowed) in [
        (&["api"][..], rest(few.clone()), true),
        (&["api"], rest(more.clone()), false),
        (&["api", "devices"], rest(more.clone()), true),
        (&["api", "devices"], rest(all.clone()), false),
    ] {
        let desk = desk_of(methods, target).await;
        let outcome = desk.create(wanted("ci")).await;
        match outcome {
            Ok(_) => assert!(allowed, "{methods:?}"),
            Err(AdministrationError::Wider(method)) => {
                assert!(!allowed && method == name("api"), "{methods:?}");
                let refused = desk.scene.events().await.pop().unwrap();
                assert_eq!(
                    (refused.action, refused.outcome),
                    (Action::CredentialCreated, AuditOutcome::Refused)
                );
                assert_eq!(refused.method, Some(name("api")));
            }
            other => panic!("{methods:?}: {other:?}"),
        }
    }
    // Nor is one touched whose method administers more meanwhile.
    let desk = desk_of(&["api"], rest(few)).await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let desk = Desk { target: rest(all), ..desk };
    for change in every_change() {
        let outcome = desk.change(&row.id, change).await;
        assert!(matches!(outcome, Err(AdministrationError::Wider(_))), "{outcome:?}");
    }
    assert_eq!(desk.stored(&row.id).await, row);
    let desk = Desk { scope: MethodScope::Namespace("acme".into()), ..desk };
    desk.change(&row.id, Change::Revoke { reason: None }).await.unwrap();
}

#[tokio::test]
async fn whose_uses_are_counted_gets_no_uses_by_another_protocol() {
    for target in [est(), acme()] {
        let desk = desk_of(&["devices", "web"], target).await;
        let before = desk.create(bare("before")).await.unwrap();
        let desk = with_own(desk, |row| row.maximum_uses = Some(9)).await;
        let outcome = desk.create(bare("ci")).await;
        assert!(matches!(outcome, Err(AdministrationError::Longer)), "{outcome:?}");
        let outcome = desk.change(&before.id, Change::Regenerate { verifier: verifier("new") }).await;
        assert!(matches!(outcome, Err(AdministrationError::Longer)), "{outcome:?}");
        assert_eq!(desk.stored(&before.id).await, before);
        desk.change(&before.id, Change::Revoke { reason: None }).await.unwrap();
    }
}

#[tokio::test]
async fn a_password_or_key_ends_no_later_than_the_credential_that_it_was_made_with() {
    let (end, later) = (NOW.plus_seconds(60), NOW.plus_seconds(61));
    for target in [est(), acme()] {
        let desk = desk_of(&["devices", "web"], target).await;
        let endless = desk.create(bare("endless")).await.unwrap();
        let desk = with_own(desk, |row| row.expires_at = Some(end)).await;
        let outcome = desk.create(NewCredential { expires_at: Some(later), ..bare("ci") }).await;
        assert!(matches!(outcome, Err(AdministrationError::Longer)), "{outcome:?}");
        assert_eq!(desk.create(bare("ci")).await.unwrap().expires_at, Some(end));
        let outcome = desk.change(&endless.id, Change::Regenerate { verifier: verifier("new") }).await;
        assert!(matches!(outcome, Err(AdministrationError::Longer)), "{outcome:?}");
    }
}

#[tokio::test]
async fn somebody_without_a_credential_of_their_own_makes_passwords_and_is_known_to_know_them() {
    let desk = desk_of(&["devices"], est()).await;
    let robot = Authenticated::internal(desk.scene.method.clone(), "robot");
    let desk = Desk { ann: robot, ..desk };
    let row = desk.create(bare("ci")).await.unwrap();
    assert_eq!(row.verifier.known_to().collect::<Vec<_>>(), ["name:robot"]);
    let row = desk.change(&row.id, Change::Regenerate { verifier: verifier("new") }).await.unwrap();
    assert_eq!(row.verifier.known_to().collect::<Vec<_>>(), ["name:robot"]);
}

#[tokio::test]
async fn a_key_identifier_is_given_again_only_once_its_credential_has_ended() {
    let desk = desk_of(&["web", "web-2"], acme()).await;
    let sealing = sealing();
    let first = desk.create(bound("first", "kid-1", key(&sealing))).await.unwrap();
    let taken = |outcome: Result<CredentialRow, AdministrationError>| match outcome {
        Err(AdministrationError::KeyIdentifierTaken(kid)) => assert_eq!(kid, "kid-1"),
        other => panic!("{other:?}"),
    };
    taken(desk.create(bound("second", "kid-1", key(&sealing))).await);
    // A used-up one is still that which accounts are bound to.
    desk.scene.put(&CredentialRow { version: 2, maximum_uses: Some(1), uses: 1, ..first.clone() }).await;
    taken(desk.create(bound("second", "kid-1", key(&sealing))).await);
    let other = Target { method: name("web-2"), ..acme() };
    let elsewhere = Desk { target: other, ..desk };
    elsewhere.create(bound("third", "kid-1", key(&sealing))).await.unwrap();
    let desk = Desk { target: acme(), ..elsewhere };
    desk.change(&first.id, Change::Revoke { reason: None }).await.unwrap();
    let second = desk.create(bound("second", "kid-1", key(&sealing))).await.unwrap();
    assert_eq!(second.username.as_deref(), Some("kid-1"));
    // Passwords of one user name may be several.
    let desk = desk_of(&["devices"], est()).await;
    for name in ["one", "two"] {
        desk.create(bound(name, "ann", verifier(name))).await.unwrap();
    }
}

#[tokio::test]
async fn a_key_is_sealed_for_its_own_credential_and_known_to_whoever_was_shown_it() {
    let desk = desk_of(&["web"], acme()).await;
    let sealing = sealing();
    // The first identifier of the name is another method's.
    let foreign = CredentialRow {
        id: named_id(&name("ci"), 0),
        method: name("elsewhere"),
        state: CredentialState::Revoked,
        ..desk.scene.ann.clone()
    };
    desk.scene.put(&foreign).await;
    let secret = generate_hmac_key().unwrap();
    let value = NewVerifier::HmacKey { sealing: sealing.clone(), key: secret.clone() };
    let identifiers = Some(Restriction { dns: Vec::new(), ip: vec!["192.0.2.0/24".parse().unwrap()] });
    let wanted = NewCredential { identifiers: identifiers.clone(), ..bound("ci", "kid-1", value) };
    let row = desk.create(wanted).await.unwrap();
    assert_eq!((&row.id, &row.identifiers), (&named_id(&name("ci"), 1), &identifiers));
    assert_eq!(row.verifier.hmac_key(&sealing, &row.id).unwrap(), Some(secret));
    let ann = format!("credential:{}", desk.scene.ann.id);
    assert_eq!(row.verifier.known_to().collect::<Vec<_>>(), [&ann]);

    let secret = generate_hmac_key().unwrap();
    let verifier = NewVerifier::HmacKey { sealing: sealing.clone(), key: secret.clone() };
    let changed = desk.change(&row.id, Change::Regenerate { verifier }).await.unwrap();
    assert_eq!(changed.verifier.hmac_key(&sealing, &row.id).unwrap(), Some(secret));
    assert_ne!(changed.verifier.fingerprint(), row.verifier.fingerprint());
    assert_eq!(changed.verifier.known_to().collect::<Vec<_>>(), [&ann]);
    assert_eq!(desk.stored(&row.id).await, changed);
}

#[tokio::test]
async fn nobody_gets_a_password_for_the_user_name_of_a_device_that_a_resource_declares() {
    let desk = desk_of(&["devices", "more"], est()).await;
    let made = desk.create(bound("first", "ann", verifier("first"))).await.unwrap();
    let device = CredentialRow { version: 2, declared: true, ..made };
    desk.scene.put(&device).await;
    match desk.create(bound("second", "ann", verifier("second"))).await {
        Err(AdministrationError::UsernameDeclared { username, resource }) => {
            assert_eq!((username.as_str(), resource), ("ann", name("first")));
        }
        outcome => panic!("{outcome:?}"),
    }
    let elsewhere = Desk { target: Target { method: name("more"), ..est() }, ..desk };
    elsewhere.create(bound("third", "ann", verifier("third"))).await.unwrap();
    let desk = Desk { target: est(), ..elsewhere };
    desk.scene.put(&CredentialRow { version: 3, state: CredentialState::Revoked, ..device }).await;
    desk.create(bound("second", "ann", verifier("second"))).await.unwrap();
}

/// Ends, and what would be good again if it ended later.
async fn ended(desk: &Desk, row: CredentialRow) -> Change {
    desk.change(&row.id, Change::Expire { at: NOW }).await.unwrap();
    Change::Expire { at: NOW.plus_seconds(60) }
}

#[tokio::test]
async fn what_has_ended_is_not_good_again_where_its_names_were_given_away_meanwhile() {
    let desk = desk_of(&["devices", "web"], acme()).await;
    let sealing = sealing();
    let first = desk.create(bound("first", "kid-1", key(&sealing))).await.unwrap();
    let later = ended(&desk, first.clone()).await;
    let second = desk.create(bound("second", "kid-1", key(&sealing))).await.unwrap();
    let outcome = desk.change(&first.id, later.clone()).await;
    assert!(matches!(outcome, Err(AdministrationError::KeyIdentifierTaken(_))), "{outcome:?}");
    assert_eq!(desk.stored(&first.id).await.expires_at, Some(NOW));
    // One that is good may last longer, and the first one where the second has ended.
    desk.change(&second.id, later.clone()).await.unwrap();
    desk.change(&second.id, Change::Expire { at: NOW.plus_seconds(61) }).await.unwrap();
    desk.change(&second.id, Change::Revoke { reason: None }).await.unwrap();
    desk.change(&first.id, later.clone()).await.unwrap();
    ended(&desk, first.clone()).await;

    // Its name is another method's by now.
    let desk = Desk { target: est(), ..desk };
    let device = desk.create(bound("first", "ann", verifier("ann"))).await.unwrap();
    let desk = Desk { target: acme(), ..desk };
    let outcome = desk.change(&first.id, later.clone()).await;
    assert!(matches!(outcome, Err(AdministrationError::NameInUse(_))), "{outcome:?}");

    // So is the user name of a password.
    let desk = Desk { target: est(), ..desk };
    ended(&desk, device.clone()).await;
    let declared = desk.create(bound("declared", "ann", verifier("declared"))).await.unwrap();
    desk.scene.put(&CredentialRow { version: 2, declared: true, ..declared }).await;
    let outcome = desk.change(&device.id, later).await;
    assert!(matches!(outcome, Err(AdministrationError::UsernameDeclared { .. })), "{outcome:?}");
}

#[tokio::test]
async fn a_key_of_a_method_that_is_not_served_is_ended_and_gains_nothing() {
    let desk = desk_of(&["api"], rest(name("api"))).await;
    let row = desk.create(wanted("ci")).await.unwrap();
    let soon = desk.change(&row.id, Change::Expire { at: NOW.plus_seconds(60) }).await.unwrap();
    let desk = Desk { target: Target { scope: None, ..rest(name("api")) }, ..desk };
    for change in
        [Change::Expire { at: NOW.plus_seconds(61) }, Change::Regenerate { verifier: verifier("new") }]
    {
        match desk.change(&row.id, change).await {
            Err(AdministrationError::NotServed(method)) => assert_eq!(method, name("api")),
            outcome => panic!("{outcome:?}"),
        }
        assert_eq!(desk.stored(&row.id).await, soon);
    }
    desk.change(&row.id, Change::Expire { at: NOW.plus_seconds(59) }).await.unwrap();
    desk.change(&row.id, Change::Revoke { reason: None }).await.unwrap();
}

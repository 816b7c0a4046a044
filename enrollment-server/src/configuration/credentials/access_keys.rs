//! Rows of declared access keys for REST: what they are found by, and what changes with their value.

use std::collections::BTreeSet;

use issuance::{
    credential::{CredentialRow, CredentialState},
    identity::{Owner, Protocol, ResourceName},
    rest::{AccessKey, RestAction, RestActions},
    secret::Secret,
};
use pki::time::Time;
use resolve::{CompiledCredential, CredentialValue};

use super::{
    Declared,
    tests::{Scene, generate, use_once},
};

/// An access key of the method `ci/rest`.
fn declared(name: &str, value: CredentialValue) -> CompiledCredential {
    CompiledCredential {
        name: ResourceName::new("ci", name),
        method: ResourceName::new("ci", "rest"),
        protocol: Protocol::Rest,
        username: None,
        identifiers: None,
        actions: [RestAction::Request, RestAction::Read].into_iter().collect(),
        owner: Owner::Group("build".into()),
        expires_at: None,
        maximum_uses: None,
        state: CredentialState::Active,
        regeneration: 0,
        value,
        previous: None,
    }
}

fn key(number: u8, last: char) -> Secret {
    Secret::new(format!("chancery_{number:016x}_{}{last}", "a".repeat(26)))
}

impl Scene {
    async fn by_key(&self, key: &Secret) -> Option<CredentialRow> {
        let name = AccessKey::parse(key).unwrap().name().to_owned();
        self.engine.store().credential_by_access_key(&name).await.unwrap()
    }

    /// The row that the key opens, after this was declared.
    async fn opened_by(&mut self, wanted: &CompiledCredential, key: &Secret) -> CredentialRow {
        let failures = self.declare(wanted).await;
        assert!(failures.is_empty(), "{failures:?}");
        let row = self.by_key(key).await.expect("no row has this name");
        assert!(row.verifier.matches(key).unwrap());
        row
    }

    async fn declare_all(&mut self, wanted: &[CompiledCredential]) -> Vec<String> {
        let names: BTreeSet<ResourceName> = wanted.iter().map(|wanted| wanted.name.clone()).collect();
        let declared = Declared { in_force: wanted, names: &names, guard: None };
        let keys = self.keys();
        let failures = self.reconciled.reconcile(&self.engine, &keys, &self.kept, &declared).await.unwrap();
        failures.into_iter().map(|failure| format!("{}: {}", failure.name, failure.reason)).collect()
    }
}

#[tokio::test]
async fn a_key_whose_name_another_has_fails_alone_and_opens_nothing() {
    let mut scene = Scene::new();
    let first = declared("first", CredentialValue::Given(key(1, 'a')));
    let second = declared("second", CredentialValue::Given(key(1, 'b')));
    let third = declared("third", CredentialValue::Given(key(2, 'a')));
    let failures = scene.declare_all(&[first, second, third]).await;
    assert_eq!(failures, ["ci/second: refused: another credential has an access key of this name"]);
    let row = scene.by_key(&key(1, 'b')).await.unwrap();
    assert_eq!(row.name, ResourceName::new("ci", "first"));
    assert!(!row.verifier.matches(&key(1, 'b')).unwrap());
    assert_eq!(scene.by_key(&key(2, 'a')).await.unwrap().name, ResourceName::new("ci", "third"));
}

#[tokio::test]
async fn a_value_that_takes_the_name_of_another_is_not_taken_over() {
    let mut scene = Scene::new();
    let first = declared("first", CredentialValue::Given(key(1, 'a')));
    let second = declared("second", CredentialValue::Given(key(2, 'a')));
    assert!(scene.declare_all(&[first.clone(), second.clone()]).await.is_empty());
    let before = scene.by_key(&key(2, 'a')).await.unwrap();
    let moved = CompiledCredential { value: CredentialValue::Given(key(1, 'b')), ..second };
    assert_eq!(scene.declare_all(&[first, moved]).await.len(), 1);
    assert_eq!(scene.by_key(&key(2, 'a')).await.unwrap(), before);
}

#[tokio::test]
async fn a_key_that_was_made_is_found_by_its_name_and_kept_hashed() {
    let mut scene = Scene::new();
    let wanted = declared("key", generate());
    assert!(scene.declare(&wanted).await.is_empty());
    let made = scene.kept.last();
    let row = scene.opened_by(&wanted, &made).await;
    assert_eq!((row.protocol, row.declared, row.actions), (Protocol::Rest, true, wanted.actions));
    assert_eq!(row.username.as_deref(), AccessKey::parse(&made).as_ref().map(AccessKey::name));
    scene.restart();
    assert_eq!(scene.opened_by(&wanted, &made).await, row);
    assert_eq!(scene.kept.count(), 1);
}

#[tokio::test]
async fn another_value_brings_another_name_and_the_old_key_opens_nothing() {
    for (first, second) in [
        (CredentialValue::Given(key(1, 'a')), CredentialValue::Given(key(2, 'a'))),
        (CredentialValue::Generated(key(1, 'a')), CredentialValue::Generated(key(2, 'a'))),
    ] {
        let mut scene = Scene::new();
        let wanted = declared("key", first);
        let before = scene.opened_by(&wanted, &key(1, 'a')).await;
        use_once(&scene, &before).await;
        assert_eq!(scene.opened_by(&wanted, &key(1, 'a')).await.uses, 1);
        let next = CompiledCredential { value: second, regeneration: 1, ..wanted };
        let after = scene.opened_by(&next, &key(2, 'a')).await;
        assert_eq!((&after.id, after.uses, after.regeneration), (&before.id, 0, 1));
        assert_eq!(scene.by_key(&key(1, 'a')).await, None);
    }
    let mut scene = Scene::new();
    let wanted = declared("key", generate());
    scene.declare(&wanted).await;
    let old = scene.kept.last();
    let next = CompiledCredential { regeneration: 1, ..wanted };
    scene.declare(&next).await;
    let new = scene.kept.last();
    assert_eq!(scene.opened_by(&next, &new).await.regeneration, 1);
    assert_eq!((scene.by_key(&old).await, scene.kept.count()), (None, 2));
}

#[tokio::test]
async fn a_value_of_the_same_name_replaces_the_old_one() {
    let mut scene = Scene::new();
    let wanted = declared("key", CredentialValue::Given(key(1, 'a')));
    let before = scene.opened_by(&wanted, &key(1, 'a')).await;
    let next = CompiledCredential { value: CredentialValue::Given(key(1, 'b')), ..wanted };
    let after = scene.opened_by(&next, &key(1, 'b')).await;
    assert_eq!(after.id, before.id);
    assert!(!after.verifier.matches(&key(1, 'a')).unwrap());
}

#[tokio::test]
async fn actions_change_without_the_key() {
    let mut scene = Scene::new();
    let wanted = declared("key", CredentialValue::Given(key(1, 'a')));
    let before = scene.opened_by(&wanted, &key(1, 'a')).await;
    let fewer = RestActions::from_iter([RestAction::Report]);
    let after = scene.opened_by(&CompiledCredential { actions: fewer, ..wanted }, &key(1, 'a')).await;
    assert_eq!((&after.id, &after.verifier, after.actions), (&before.id, &before.verifier, fewer));
    // What was checked against the row before does not commit.
    assert!(after.version > before.version);
}

#[tokio::test]
async fn what_is_removed_lets_the_name_of_its_key_go() {
    let mut scene = Scene::new();
    let wanted = declared("key", CredentialValue::Given(key(1, 'a')));
    let before = scene.opened_by(&wanted, &key(1, 'a')).await;
    assert!(scene.declare_all(&[]).await.is_empty());
    assert_eq!(scene.by_key(&key(1, 'a')).await, None);
    let released = scene.engine.store().credential(&before.id).await.unwrap().unwrap();
    assert_eq!((released.state, released.declared), (CredentialState::Revoked, false));
    let after = scene.opened_by(&wanted, &key(1, 'a')).await;
    assert!(after.id != before.id && after.usable(Time::from_unix(1_800_000_000)).is_ok());
}

#[tokio::test]
async fn a_key_that_has_ended_is_found_and_refused() {
    let nothing = || CredentialValue::Generated(Secret::new(Vec::new()));
    for (state, expires_at) in
        [(CredentialState::Revoked, None), (CredentialState::Active, Some(Time::from_unix(1)))]
    {
        let mut scene = Scene::new();
        let wanted = declared("key", CredentialValue::Given(key(1, 'a')));
        scene.opened_by(&wanted, &key(1, 'a')).await;
        let ended = CompiledCredential { state, expires_at, value: nothing(), ..wanted };
        let row = scene.opened_by(&ended, &key(1, 'a')).await;
        assert!(row.usable(Time::from_unix(1_800_000_000)).is_err());
        // Declared for the first time when it had ended: nobody can present it.
        let mut scene = Scene::new();
        assert!(scene.declare(&ended).await.is_empty());
        assert_eq!(scene.by_key(&key(1, 'a')).await, None);
    }
}

//! Rows of declared keys for ACME; those of access keys are in `access_keys.rs`. That passwords are let in or not is tested where they are presented.

mod previous;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use issuance::{
    Engine, Error,
    acme::Restriction,
    credential::{CredentialRow, CredentialState, generate_hmac_key},
    identity::{Owner, Protocol, ResourceName},
    pattern::Pattern,
    ports::SystemClock,
    rest::RestActions,
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Expect, Write, memory::MemoryStore},
};
use pki::time::Time;
use resolve::{CompiledCredential, CredentialValue};

use super::{Declared, Reconciled, Values};
use crate::configuration::Failure;

/// Keeps what was made.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<Vec<Secret>>);

impl Kept {
    pub(super) fn last(&self) -> Secret {
        self.0.lock().unwrap().last().expect("nothing was made").clone()
    }

    pub(super) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

impl Values for Kept {
    fn keep(&self, _credential: &CompiledCredential, value: &Secret) -> Result<(), Error> {
        self.0.lock().unwrap().push(value.clone());
        Ok(())
    }

    fn forget(&self, _name: &ResourceName) -> Result<(), Error> {
        Ok(())
    }
}

pub(super) struct Scene {
    pub(super) engine: Engine,
    /// As text, the newest first.
    sealing: String,
    pub(super) reconciled: Reconciled,
    pub(super) kept: Kept,
}

impl Scene {
    pub(super) fn new() -> Self {
        let engine = Engine::new(Arc::new(MemoryStore::default()), Arc::new(SystemClock));
        Self { engine, sealing: sealing_line(), reconciled: Reconciled::default(), kept: Kept::default() }
    }

    pub(super) fn keys(&self) -> SealingKeys {
        SealingKeys::parse(&self.sealing).unwrap()
    }

    pub(super) async fn declare(&mut self, wanted: &CompiledCredential) -> Vec<Failure> {
        let names = BTreeSet::from([wanted.name.clone()]);
        let declared = Declared { in_force: std::slice::from_ref(wanted), names: &names, guard: None };
        let keys = self.keys();
        self.reconciled.reconcile(&self.engine, &keys, &self.kept, &declared).await.unwrap()
    }

    /// The row after this was declared.
    async fn row(&mut self, wanted: &CompiledCredential) -> CredentialRow {
        let failures = self.declare(wanted).await;
        assert!(failures.is_empty(), "{failures:?}");
        self.stored(wanted).await
    }

    async fn stored(&self, wanted: &CompiledCredential) -> CredentialRow {
        let kid = wanted.username.as_deref().unwrap();
        let mut rows = self.engine.store().credentials_for(&wanted.method, kid).await.unwrap();
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    fn opened(&self, row: &CredentialRow) -> Secret {
        row.verifier.hmac_key(&self.keys(), &row.id).unwrap().expect("no key for HMAC")
    }

    /// The process starts anew.
    pub(super) fn restart(&mut self) {
        self.reconciled = Reconciled::default();
    }
}

fn sealing_line() -> String {
    SealingKeys::generate_line().unwrap().to_string()
}

fn key(value: CredentialValue) -> CompiledCredential {
    CompiledCredential {
        name: ResourceName::new("web", "key"),
        method: ResourceName::new("web", "web"),
        protocol: Protocol::Acme,
        username: Some("web.key".into()),
        identifiers: None,
        actions: RestActions::default(),
        owner: Owner::Group("web".into()),
        expires_at: None,
        maximum_uses: None,
        state: CredentialState::Active,
        regeneration: 0,
        value,
        previous: None,
    }
}

pub(super) fn generate() -> CredentialValue {
    CredentialValue::Generate { write_to: ResourceName::new("web", "key") }
}

#[tokio::test]
async fn a_key_that_was_made_is_handed_out_once_and_kept_sealed() {
    let mut scene = Scene::new();
    let wanted = key(generate());
    let row = scene.row(&wanted).await;
    assert_eq!(row.username.as_deref(), Some("web.key"));
    assert_eq!((row.protocol, row.declared), (Protocol::Acme, true));
    let value = scene.kept.last();
    assert_eq!(value.expose().len(), 32);
    assert_eq!(scene.opened(&row), value);
    assert!(!row.verifier.matches(&value).unwrap(), "a key is no password");
    scene.restart();
    assert_eq!(scene.row(&wanted).await, row);
    assert_eq!(scene.kept.count(), 1);
}

#[tokio::test]
async fn a_regenerated_key_is_another_one_that_was_never_used() {
    let mut scene = Scene::new();
    let wanted = key(generate());
    let first = scene.row(&wanted).await;
    use_once(&scene, &first).await;
    let second = scene.row(&CompiledCredential { regeneration: 1, ..wanted }).await;
    assert_eq!((second.id.clone(), second.uses, second.regeneration), (first.id.clone(), 0, 1));
    assert_ne!(second.verifier.fingerprint(), first.verifier.fingerprint());
    assert_eq!(scene.opened(&second), scene.kept.last());
}

#[tokio::test]
async fn a_key_that_is_given_is_replaced_when_another_is_given_and_only_then() {
    for given in [CredentialValue::Given, CredentialValue::Generated] {
        let mut scene = Scene::new();
        let value = generate_hmac_key().unwrap();
        let wanted = key(given(value.clone()));
        let first = scene.row(&wanted).await;
        assert_eq!(scene.opened(&first), value);
        use_once(&scene, &first).await;
        let used = scene.row(&wanted).await;
        assert_eq!((used.uses, used.verifier.fingerprint()), (1, first.verifier.fingerprint()));
        let other = generate_hmac_key().unwrap();
        let second = scene.row(&CompiledCredential { value: given(other.clone()), ..wanted }).await;
        assert_eq!((scene.opened(&second), second.uses), (other, 0));
        assert_eq!(scene.kept.count(), 0);
    }
}

#[tokio::test]
async fn a_restriction_changes_without_the_key() {
    let mut scene = Scene::new();
    let wanted = key(generate());
    let open = scene.row(&wanted).await;
    assert_eq!(open.identifiers, None);
    let restriction = Restriction { dns: vec![Pattern::parse("*.a.example").unwrap()], ip: Vec::new() };
    let narrower = CompiledCredential { identifiers: Some(restriction.clone()), ..wanted.clone() };
    let narrow = scene.row(&narrower).await;
    assert_eq!(narrow.identifiers, Some(restriction));
    assert_eq!((&narrow.id, &narrow.verifier), (&open.id, &open.verifier));
    // What was checked against the row before does not commit.
    assert!(narrow.version > open.version);
    assert_eq!(scene.row(&wanted).await.identifiers, None);
}

#[tokio::test]
async fn a_key_moves_to_the_newest_sealing_key_and_stays_the_same() {
    let mut scene = Scene::new();
    let wanted = key(generate());
    let before = scene.row(&wanted).await;
    let value = scene.opened(&before);
    scene.sealing = format!("{}\n{}", sealing_line(), scene.sealing);
    scene.restart();
    let moved = scene.row(&wanted).await;
    scene.sealing = scene.sealing.lines().next().unwrap().to_owned();
    assert_eq!(scene.opened(&moved), value);
    assert_eq!(moved.verifier.fingerprint(), before.verifier.fingerprint());
    assert_eq!((moved.uses, moved.regeneration), (before.uses, before.regeneration));
}

#[tokio::test]
async fn what_no_sealing_key_opens_is_sealed_anew_where_the_key_is_known_and_said_where_not() {
    let mut scene = Scene::new();
    let value = generate_hmac_key().unwrap();
    let wanted = key(CredentialValue::Given(value.clone()));
    let before = scene.row(&wanted).await;
    scene.sealing = sealing_line();
    scene.restart();
    let after = scene.row(&wanted).await;
    assert_eq!(scene.opened(&after), value);
    assert_eq!(after.verifier.fingerprint(), before.verifier.fingerprint());

    let mut scene = Scene::new();
    let wanted = key(generate());
    let before = scene.row(&wanted).await;
    scene.sealing = sealing_line();
    scene.restart();
    let failures = scene.declare(&wanted).await;
    assert!(failures[0].reason.contains("sealed with another key"), "{failures:?}");
    assert_eq!(scene.stored(&wanted).await, before);
}

#[tokio::test]
async fn a_key_that_has_ended_is_none_that_anybody_could_compute_with() {
    let nothing = || CredentialValue::Generated(Secret::new(Vec::new()));
    let revoked = CompiledCredential { state: CredentialState::Revoked, ..key(nothing()) };
    let expired = CompiledCredential { expires_at: Some(Time::from_unix(1)), ..key(nothing()) };
    for ended in [revoked, expired] {
        // Declared for the first time when it had ended.
        let mut scene = Scene::new();
        let row = scene.row(&ended).await;
        assert!(row.usable(Time::from_unix(1_800_000_000)).is_err());
        assert_eq!(scene.opened(&row).expose().len(), 32);
        // And after it was used: the key is the same, for those that the method lets go on.
        let mut scene = Scene::new();
        let before = scene.row(&key(generate())).await;
        let after = scene.row(&ended).await;
        assert_eq!((&after.id, &after.verifier), (&before.id, &before.verifier));
        assert!(after.usable(Time::from_unix(1_800_000_000)).is_err());
    }
}

/// As binding an account does.
pub(super) async fn use_once(scene: &Scene, row: &CredentialRow) {
    let used = CredentialRow { uses: row.uses + 1, version: row.version + 1, ..row.clone() };
    let commit = Commit {
        expect: vec![Expect::CredentialVersion { id: row.id.clone(), version: row.version }],
        writes: vec![Write::PutCredential(Box::new(used))],
        audit: Vec::new(),
    };
    scene.engine.store().commit(commit).await.unwrap().unwrap();
}

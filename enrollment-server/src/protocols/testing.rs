//! What the tests of every protocol's folder begin with.

use std::sync::atomic::{AtomicI64, Ordering};

use issuance::{
    Engine,
    authority::Method,
    credential::{CredentialRow, CredentialState, Verifier},
    identity::{CredentialId, Owner, ResourceName},
    ports::{Clock, SystemClock},
    store::{Commit, Expect, Write},
};
use pki::time::Time;

/// The machine's clock, and what it is put forward by.
#[derive(Debug, Default)]
pub(super) struct TurnedClock(AtomicI64);

impl TurnedClock {
    pub(super) fn forward(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Time {
        SystemClock.now().plus_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A credential that no row is of yet: good for ever, for the group `workshop`.
pub(super) fn new_credential(
    engine: &Engine,
    method: &Method,
    id: CredentialId,
    name: ResourceName,
    username: Option<&str>,
    verifier: Verifier,
) -> CredentialRow {
    CredentialRow {
        id,
        version: 0,
        method: method.name.clone(),
        protocol: method.protocol,
        name,
        username: username.map(str::to_owned),
        verifier,
        owner: Some(Owner::Group("workshop".into())),
        state: CredentialState::Active,
        created_at: engine.clock().now(),
        expires_at: None,
        maximum_uses: None,
        uses: 0,
        last_used_at: None,
        declared: false,
        regeneration: 0,
        identifiers: None,
        actions: Default::default(),
    }
}

/// Records it as the version after the one it has, and answers it as recorded.
pub(super) async fn put_credential(engine: &Engine, row: CredentialRow) -> CredentialRow {
    let recorded = CredentialRow { version: row.version + 1, ..row };
    let commit = Commit {
        expect: vec![Expect::CredentialVersion { id: recorded.id.clone(), version: row.version }],
        writes: vec![Write::PutCredential(Box::new(recorded.clone()))],
        audit: Vec::new(),
    };
    engine.store().commit(commit).await.unwrap().unwrap();
    recorded
}

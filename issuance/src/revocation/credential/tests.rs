use std::sync::Arc;

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditFilter, AuditOrder, AuditQuery},
    credential::{CredentialRow, CredentialState},
    error::{Error, Rule},
    identity::CredentialId,
    store::{
        Commit, Expect, Store, Write,
        memory::MemoryStore,
        suite::samples::{credential, credential_id, method, try_write, usable, write},
    },
    testing::{Before, HookedStore, ManualClock},
};

fn actor() -> Actor {
    Actor::Operator { name: "ann (command line)".into() }
}

fn put(row: CredentialRow) -> Write {
    Write::PutCredential(Box::new(row))
}

/// An engine on a store with this credential.
async fn engine(row: CredentialRow) -> (Engine, Arc<HookedStore>) {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    write(&*store, vec![put(row)]).await;
    (Engine::new(store.clone(), ManualClock::new()), store)
}

async fn revoke(engine: &Engine, id: &CredentialId) -> Result<CredentialRow, Error> {
    engine.revoke_credential(id, actor(), Some("left the company")).await
}

async fn revocations(store: &HookedStore) -> Vec<AuditEvent> {
    let filter = AuditFilter { action: Some(Action::CredentialRevoked), ..AuditFilter::default() };
    let query = AuditQuery { filter, order: AuditOrder::OldestFirst, after: None, limit: 10 };
    store.audit_query(&query).await.unwrap().records.into_iter().map(|(_, event)| event).collect()
}

/// As somebody else changes it at the same time.
fn changed(version: u64) -> Before {
    let expect = vec![Expect::CredentialVersion { id: credential_id(1), version }];
    let row = CredentialRow { version: version + 1, maximum_uses: Some(version), ..credential(1) };
    Before::Other(Box::new(Commit { expect, writes: vec![put(row)], audit: Vec::new() }))
}

#[tokio::test]
async fn a_credential_that_a_resource_declares_is_left_to_the_resource() {
    let row = CredentialRow { declared: true, ..credential(1) };
    let (engine, store) = engine(row.clone()).await;
    match revoke(&engine, &credential_id(1)).await {
        Err(Error::Refused(refusal)) => {
            assert_eq!(refusal.rule(), Rule::Revocation);
            assert!(refusal.sentence().contains("factory/credential-1 declares it"), "{refusal}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), Some(row));
    assert_eq!(revocations(&store).await, []);
    let unknown = revoke(&engine, &credential_id(2)).await;
    assert!(matches!(unknown, Err(Error::NotFound("credential"))), "{unknown:?}");
}

#[tokio::test]
async fn a_revoked_credential_commits_nothing_and_the_trail_says_why_once() {
    let (engine, store) = engine(credential(1)).await;
    for _ in 0..2 {
        let row = revoke(&engine, &credential_id(1)).await.unwrap();
        assert_eq!(row, CredentialRow { state: CredentialState::Revoked, version: 2, ..credential(1) });
    }
    for version in [1, 2] {
        assert!(try_write(&*store, vec![usable(1, version)], Vec::new()).await.is_err());
    }
    let events = revocations(&store).await;
    assert_eq!((events.len(), &events[0].actor), (1, &actor()));
    assert_eq!(events[0].method, Some(method("est")));
    assert_eq!(events[0].credential, Some(credential_id(1)));
    assert_eq!(events[0].reason.as_deref(), Some("factory/credential-1: left the company"));
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_stays_changed() {
    let (engine, store) = engine(credential(1)).await;
    store.script([changed(1), changed(2)]);
    let row = revoke(&engine, &credential_id(1)).await.unwrap();
    assert_eq!((row.state, row.version, row.maximum_uses), (CredentialState::Revoked, 4, Some(2)));
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), Some(row));
}

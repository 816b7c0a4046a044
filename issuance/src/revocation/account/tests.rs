use std::sync::Arc;

use crate::{
    Engine,
    acme::{AccountRow, AccountStatus},
    audit::{Action, Actor, AuditEvent, AuditFilter, AuditOrder, AuditQuery},
    error::Error,
    identity::AcmeAccountId,
    store::{
        Commit, Store,
        memory::MemoryStore,
        suite::samples::{account, account_id, account_version, credential_id, method, put_account, write},
    },
    testing::{Before, HookedStore, ManualClock},
};

fn actor() -> Actor {
    Actor::Operator { name: "ann (command line)".into() }
}

/// An engine on a store with the accounts 1 and 2.
async fn engine() -> (Engine, Arc<HookedStore>) {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    write(&*store, vec![put_account(account(1)), put_account(account(2))]).await;
    (Engine::new(store.clone(), ManualClock::new()), store)
}

async fn revoke(engine: &Engine, id: &AcmeAccountId) -> Result<AccountRow, Error> {
    engine.revoke_account(id, actor(), Some("left the company")).await
}

async fn revocations(store: &HookedStore) -> Vec<AuditEvent> {
    let filter = AuditFilter { action: Some(Action::AccountRevoked), ..AuditFilter::default() };
    let query = AuditQuery { filter, order: AuditOrder::OldestFirst, after: None, limit: 10 };
    store.audit_query(&query).await.unwrap().records.into_iter().map(|(_, event)| event).collect()
}

/// As the account does it at the same time.
fn contacts_changed(version: u64) -> Before {
    let mut row = AccountRow { version, ..account(1) };
    row.update(Some(vec![format!("mailto:{version}@acme.example")]), false).unwrap();
    let expect = vec![account_version(1, version)];
    Before::Other(Box::new(Commit { expect, writes: vec![put_account(row)], audit: Vec::new() }))
}

#[tokio::test]
async fn an_account_is_revoked_with_the_next_version_and_one_event() {
    let (engine, store) = engine().await;
    let row = revoke(&engine, &account_id(1)).await.unwrap();
    assert_eq!(row, AccountRow { status: AccountStatus::Revoked, version: 2, ..account(1) });
    assert_eq!(store.acme_account(&account_id(1)).await.unwrap(), Some(row));
    assert_eq!(store.acme_account(&account_id(2)).await.unwrap(), Some(account(2)));
    let events = revocations(&store).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].actor, actor());
    assert_eq!(events[0].method, Some(method("acme")));
    assert_eq!(events[0].credential, Some(credential_id(1)));
    assert_eq!(events[0].subject, Some(account(1).requester()));
    assert_eq!(events[0].reason.as_deref(), Some("left the company"));
}

#[tokio::test]
async fn revoking_twice_changes_nothing() {
    let (engine, store) = engine().await;
    let first = revoke(&engine, &account_id(1)).await.unwrap();
    assert_eq!(revoke(&engine, &account_id(1)).await.unwrap(), first);
    assert_eq!(revocations(&store).await.len(), 1);
}

#[tokio::test]
async fn what_is_not_there_and_what_its_owner_has_ended_is_not_revoked() {
    let (engine, store) = engine().await;
    assert!(matches!(revoke(&engine, &account_id(9)).await, Err(Error::NotFound("account"))));
    let mut ended = account(1);
    ended.deactivate().unwrap();
    write(&*store, vec![put_account(ended.clone())]).await;
    let refused = revoke(&engine, &account_id(1)).await.unwrap_err();
    assert_eq!(refused.public(), "revocation: its owner has deactivated it");
    assert_eq!(store.acme_account(&account_id(1)).await.unwrap(), Some(ended));
    assert!(revocations(&store).await.is_empty());
}

#[tokio::test]
async fn an_account_that_changes_at_the_same_time_is_revoked_as_it_is_then() {
    let (engine, store) = engine().await;
    store.script([contacts_changed(1), contacts_changed(2)]);
    let row = revoke(&engine, &account_id(1)).await.unwrap();
    assert_eq!((row.status, row.version), (AccountStatus::Revoked, 4));
    assert_eq!(row.contacts, ["mailto:2@acme.example"]);
}

#[tokio::test]
async fn an_account_that_changes_all_the_time_is_a_conflict_and_a_store_out_of_reach_is_said() {
    let (engine, store) = engine().await;
    store.script([contacts_changed(1), contacts_changed(2), contacts_changed(3)]);
    assert!(matches!(revoke(&engine, &account_id(1)).await, Err(Error::Conflict(_))));
    store.script([Before::Fail]);
    assert!(matches!(revoke(&engine, &account_id(1)).await, Err(Error::Unavailable(_))));
    let row = store.acme_account(&account_id(1)).await.unwrap().unwrap();
    assert_eq!((row.status, row.version), (AccountStatus::Valid, 4));
}

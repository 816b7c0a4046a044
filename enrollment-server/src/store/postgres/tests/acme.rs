//! What two replicas make of one order, one key, one nonce.

use std::sync::Arc;

use issuance::{
    acme::{AccountRow, ChallengeType, OrderRow},
    credential::CredentialRow,
    store::{
        AcmeAccountFilter, Commit, Conflict, News, Page, Store, Write,
        suite::samples::{
            LATER, NOW, account, account_id, account_version, certificate, credential, credential_id, insert,
            issuer, order, order_id, order_version, put_account, put_order, serial, usable,
        },
    },
};

use super::{Database, PostgresStore, at_once, hear, within};
use crate::store::postgres::claims;

/// An order of one name that is proved.
fn ready() -> OrderRow {
    let mut row = order(1);
    row.authorizations.truncate(1);
    row.start_challenge(0, ChallengeType::Http01, NOW).unwrap();
    row.challenge_succeeded(0, ChallengeType::Http01, NOW, LATER).unwrap();
    row
}

async fn replicas(database: &Database) -> [Arc<PostgresStore>; 2] {
    [Arc::new(database.open().await), Arc::new(database.open().await)]
}

async fn commit(store: &PostgresStore, writes: Vec<Write>) {
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_issue_an_order_once() {
    let database = Database::new();
    let stores = replicas(&database).await;
    let row = ready();
    commit(&stores[0], vec![put_account(account(1)), put_order(row.clone())]).await;
    let finalized = |number| {
        let mut done = row.clone();
        done.issued(issuer(1), serial(number), NOW).unwrap();
        let expect = vec![account_version(1, 1), order_version(1, row.version)];
        (expect, vec![insert(certificate(number)), put_order(done)])
    };
    let outcomes = at_once(&stores, (1..=60).map(finalized)).await;
    let expected = Conflict::Expectation(Box::new(order_version(1, row.version)));
    let refused = outcomes.iter().filter(|outcome| outcome.as_ref().err() == Some(&expected)).count();
    assert_eq!((outcomes.len(), refused), (60, 59));
    let certificates = stores[1].certificates(&Default::default(), &Page::first(100)).await.unwrap();
    assert_eq!(certificates.len(), 1);
    let order = stores[1].acme_order(&order_id(1)).await.unwrap().unwrap();
    assert_eq!(order.certificate(), Some((issuer(1), certificates[0].1.serial)));
}

/// They share the account's lock, unless it is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orders_of_one_account_do_not_wait_for_each_other_but_for_its_end() {
    let database = Database::new();
    let stores = replicas(&database).await;
    commit(&stores[0], vec![put_account(account(1))]).await;
    let mut gone = account(1);
    gone.deactivate().unwrap();
    let made =
        |number: u8| (vec![account_version(1, 1), order_version(number, 0)], vec![put_order(order(number))]);
    let ends = (vec![account_version(1, 1)], vec![put_account(gone)]);
    let commits = (1..=40).map(made).chain([ends]).chain((41..=80).map(made));
    let outcomes = at_once(&stores, commits).await;
    assert!(outcomes[40].is_ok());
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count() - 1;
    let expected = Conflict::Expectation(Box::new(account_version(1, 1)));
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().err().is_none_or(|found| *found == expected)));
    let orders = stores[0].acme_orders_of(&account_id(1), &Page::first(100)).await.unwrap();
    assert_eq!(orders.len(), made);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_bind_one_account_with_a_key_that_may_be_used_once() {
    let database = Database::new();
    let stores = replicas(&database).await;
    let single = CredentialRow { maximum_uses: Some(1), ..credential(1) };
    commit(&stores[0], vec![Write::PutCredential(Box::new(single))]).await;
    let bind = |number: u8| {
        let used = Write::UseCredential { id: credential_id(1), at: NOW, address: None };
        (vec![usable(1, 1), account_version(number, 0)], vec![used, put_account(account(number))])
    };
    let outcomes = at_once(&stores, (1..=60).map(bind)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    // The same account twice at once: one key, one account.
    let twin = |number: u8| {
        let row = AccountRow { thumbprint: [200; 32], ..account(number) };
        (vec![account_version(number, 0)], vec![put_account(row)])
    };
    let outcomes = at_once(&stores, (101..=140).map(twin)).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let all = stores[1].acme_accounts(&AcmeAccountFilter::default(), &Page::first(100)).await.unwrap();
    assert_eq!(all.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_grant_a_claim_once() {
    let database = Database::new();
    let stores = replicas(&database).await;
    assert!(stores.iter().all(|store| store.claims_are_shared()));
    let tasks: Vec<_> = (0..200_u8)
        .zip(stores.iter().cycle())
        .map(|(number, store)| {
            let store = store.clone();
            // Neighbours ask different replicas for the same.
            let token = [number / 4; 16];
            tokio::spawn(async move { store.claim_once("nonce", &token, LATER).await.unwrap() })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        granted += usize::from(task.await.unwrap());
    }
    assert_eq!(granted, 50);
    // Both sweep at once, as a lease that ran out may have it.
    let (one, other) = tokio::join!(stores[0].sweep_claims(LATER), stores[1].sweep_claims(LATER));
    assert!(one.is_ok() && other.is_ok());
    assert_eq!(database.execute("SELECT count(*) FROM claims"), "0");
}

/// Claims are the only thing that a crash may lose: nothing else that a session does is less durable for them.
#[tokio::test]
async fn a_claim_waits_for_no_disk_and_its_session_does_for_all_else() {
    let database = Database::new();
    let _schema = database.open().await;
    assert_eq!(database.execute("SELECT relpersistence FROM pg_class WHERE relname = 'claims'"), "u");
    let client = database.client().await;
    let made = client.execute(claims::CLAIM, &[&[1_u8; 16].as_slice(), &0_i64]).await.unwrap();
    let again = client.execute(claims::CLAIM, &[&[1_u8; 16].as_slice(), &0_i64]).await.unwrap();
    assert_eq!((made, again), (1, 0));
    let row = client.query_one("SHOW synchronous_commit", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), "on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_sweep_at_once_pass_each_other_by() {
    let database = Database::new();
    let stores = replicas(&database).await;
    let ended = (1..=200).map(|number| put_order(OrderRow { keep_until: NOW, ..order(number) }));
    commit(&stores[0], ended.collect()).await;
    let sweep = |_| (Vec::new(), vec![Write::SweepAcmeOrders { now: NOW, limit: 30 }]);
    for outcome in at_once(&stores, (0..4).map(sweep)).await {
        outcome.unwrap();
    }
    while stores[0].acme_orders_to_sweep(NOW).await.unwrap() {
        commit(&stores[1], vec![Write::SweepAcmeOrders { now: NOW, limit: 30 }]).await;
    }
    assert_eq!(database.execute("SELECT count(*) FROM acme_orders"), "0");
}

#[tokio::test]
async fn a_replica_hears_that_an_account_changed() {
    let database = Database::new();
    let [one, other] = replicas(&database).await;
    let mut subscription = other.subscribe();
    let mut row = account(1);
    commit(&one, vec![put_account(row.clone())]).await;
    row.deactivate().unwrap();
    commit(&one, vec![put_account(row.clone())]).await;
    hear(&mut subscription, |news| *news == News::AcmeAccount { id: account_id(1) }).await;
    assert_eq!(within(other.acme_account(&account_id(1))).await.unwrap(), Some(row));
}

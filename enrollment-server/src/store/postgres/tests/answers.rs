//! Answers that are lost: whether the change was made is found out, and nobody is told the wrong thing.

use issuance::store::{
    Commit, Store, StoreError, Write,
    suite::samples::{certificate, issuer, sealed, serial},
};

use super::{
    Database, PostgresStore, assert_sound, issue, issue_all,
    proxy::{Loss, Proxy},
};

async fn behind_proxy() -> (Database, Proxy, PostgresStore) {
    let mut database = Database::new();
    let proxy = Proxy::to(database.server.port()).await;
    let direct = format!("@127.0.0.1:{}/", database.server.port());
    database.url = database.url.replace(&direct, &format!("@{}/", proxy.address));
    let store = database.open().await;
    (database, proxy, store)
}

#[tokio::test]
async fn a_commit_whose_answer_was_lost_is_found_and_not_made_twice() {
    let (_database, proxy, store) = behind_proxy().await;
    issue_all(&store, 1..3).await;
    proxy.lose(&[Loss::Answer]);
    let committed = store.commit(issue(3)).await.unwrap().unwrap();
    assert!(proxy.is_done());
    assert_eq!(committed.audit, Some(("main/0".into(), 3)));
    issue_all(&store, 4..6).await;
    for number in 1..6 {
        assert_eq!(store.certificate(issuer(1), &serial(number)).await.unwrap(), Some(certificate(number)));
    }
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_commit_that_was_lost_on_its_way_is_made_once() {
    let (_database, proxy, store) = behind_proxy().await;
    issue_all(&store, 1..3).await;
    proxy.lose(&[Loss::Answer, Loss::Commit, Loss::Commit]);
    store.commit(issue(3)).await.unwrap().unwrap();
    assert!(proxy.is_done());
    issue_all(&store, 4..6).await;
    let mut records = 0;
    for stream in store.audit_streams().await.unwrap() {
        records += store.audit_head(&stream).await.unwrap().unwrap().sequence;
    }
    assert_eq!(records, 5);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_commit_without_a_record_is_found_by_its_mark() {
    let (_database, proxy, store) = behind_proxy().await;
    let put = |version| Commit {
        writes: vec![Write::PutSealed(Box::new(sealed("role", version)))],
        ..Commit::default()
    };
    for losses in [[Loss::Answer].as_slice(), &[Loss::Answer, Loss::Commit]] {
        proxy.lose(losses);
        store.commit(put(1)).await.unwrap().unwrap();
        assert!(proxy.is_done());
    }
    assert_eq!(store.sealed("role").await.unwrap(), Some(sealed("role", 1)));
}

#[tokio::test]
async fn a_network_that_loses_everything_makes_commits_unavailable() {
    let (_database, proxy, store) = behind_proxy().await;
    proxy.lose(&[Loss::Commit; 20]);
    assert!(matches!(store.commit(issue(1)).await, Err(StoreError::Unavailable(_))));
    assert!(!proxy.is_done());
    proxy.lose(&[]);
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), None);
    issue_all(&store, 1..2).await;
}

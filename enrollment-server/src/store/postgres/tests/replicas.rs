//! Several stores on one database, as replicas are.

use std::{collections::HashSet, sync::Arc};

use issuance::{
    audit,
    store::{
        Commit, JobKind, JobLease, News, Store, Write,
        suite::samples::{LATER, NOW, credential, credential_id, issuer, job, method, serial},
    },
};

use super::{Database, PostgresOptions, PostgresStore, at_once, hear, issue, issue_all, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_append_to_streams_of_their_own_that_all_hold() {
    let database = Database::new();
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let outcomes = at_once(&stores, (1..=400).map(|number| (Vec::new(), issue(number).writes))).await;
    let mut places = HashSet::new();
    for outcome in outcomes {
        assert!(places.insert(outcome.unwrap().audit.unwrap()));
    }
    let report = audit::verify(&*stores[0], &[]).await.unwrap();
    assert_eq!((report.records, report.findings), (400, Vec::new()));
    let streams: HashSet<_> = places.into_iter().map(|(stream, _)| stream).collect();
    assert_eq!(report.streams, streams.len() as u64);
    assert!(streams.len() > 1 && streams.iter().all(|stream| stream.starts_with("main/")), "{streams:?}");
}

/// Streams do not pile up: whoever begins takes one that nobody holds.
#[tokio::test]
async fn a_stream_goes_on_where_the_session_before_ended() {
    let database = Database::new();
    for round in 0..3_u32 {
        let store = database.open().await;
        issue_all(&store, (10 * round + 1)..(10 * round + 4)).await;
        store.shutdown().await;
        // The server gives the lock up when it has seen the session end.
        let gone = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND database = \
            (SELECT oid FROM pg_database WHERE datname = current_database())";
        let client = database.client().await;
        within(async { while client.query_one(gone, &[]).await.unwrap().get::<_, i64>(0) > 0 {} }).await;
    }
    let other =
        PostgresStore::open(PostgresOptions::new(database.url.parse().unwrap(), "other")).await.unwrap();
    other.commit(issue(100)).await.unwrap().unwrap();
    assert_eq!(other.audit_streams().await.unwrap(), ["main/0", "other/0"]);
    assert_eq!(other.audit_head("main/0").await.unwrap().unwrap().sequence, 9);
    assert_eq!(audit::verify(&other, &[]).await.unwrap().findings, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_is_leased_by_one_replica() {
    let database = Database::new();
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let put = |number: u8| Write::PutJob(Box::new(job(number, JobKind::Crl, &number.to_string(), NOW)));
    let jobs = Commit { writes: (1..=100).map(put).collect(), ..Commit::default() };
    stores[0].commit(jobs).await.unwrap().unwrap();
    let tasks: Vec<_> = (0..40)
        .zip(stores.iter().cycle())
        .map(|(number, store)| {
            let (store, lease) = (store.clone(), JobLease { owner: format!("{number}"), until: LATER });
            tokio::spawn(async move { store.lease_jobs(&JobKind::ALL, &lease, NOW, 5).await.unwrap() })
        })
        .collect();
    let mut leased = Vec::new();
    for task in tasks {
        leased.extend(task.await.unwrap().into_iter().map(|job| job.id));
    }
    assert_eq!(leased.len(), 100);
    assert_eq!(leased.into_iter().collect::<HashSet<_>>().len(), 100);
}

#[tokio::test]
async fn what_one_replica_changes_the_other_hears_and_sees() {
    let database = Database::new();
    let (one, other) = (database.open().await, database.open().await);
    let mut subscription = other.subscribe();
    let put = Commit { writes: vec![Write::PutCredential(Box::new(credential(1)))], ..Commit::default() };
    one.commit(put).await.unwrap().unwrap();
    let expected = News::Credential { id: credential_id(1), method: method("est") };
    hear(&mut subscription, |news| *news == expected).await;
    assert_eq!(other.credential(&credential_id(1)).await.unwrap(), Some(credential(1)));
    one.commit(issue(1)).await.unwrap().unwrap();
    assert!(other.certificate(issuer(1), &serial(1)).await.unwrap().is_some());
    // News of a release that tells more than this one knows.
    database.execute("NOTIFY chancery, '{\"weather\": {\"rain\": true}}'");
    hear(&mut subscription, |news| *news == News::Everything).await;
}

//! Sessions and servers that end.

use std::{sync::Arc, time::Duration};

use chancery_postgres::{Postgres, Settings};
use issuance::store::{
    News, Page, Store, StoreError,
    suite::samples::{Snapshot, certificate, issuer, serial},
};

use super::{Database, PostgresOptions, PostgresStore, assert_sound, hear, issue, issue_all, within};
use crate::store::postgres::OpenError;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_are_killed_halve_no_commit() {
    let database = Database::new();
    let store = Arc::new(database.open().await);
    let tasks: Vec<_> = (0..8_u32)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut answered = Vec::new();
                for number in (1 + task * 1000)..(101 + task * 1000) {
                    match store.commit(issue(number)).await {
                        Ok(outcome) => {
                            outcome.unwrap();
                            answered.push(number);
                        }
                        Err(error) => assert!(matches!(error, StoreError::Unavailable(_)), "{error}"),
                    }
                }
                answered
            })
        })
        .collect();
    let client = database.client().await;
    let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let mut killed = 0;
    while !tasks.iter().all(tokio::task::JoinHandle::is_finished) {
        killed += client.query_one(kill, &[]).await.unwrap().get::<_, i64>(0);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(killed > 0);
    let mut answered = Vec::new();
    for task in tasks {
        answered.extend(task.await.unwrap());
    }
    assert!(!answered.is_empty());
    for number in &answered {
        assert!(store.certificate(issuer(1), &serial(*number)).await.unwrap().is_some(), "{number}");
    }
    // A record for each certificate and a certificate for each record, answered or not.
    let halves = "SELECT (SELECT count(*) FROM certificates) - (SELECT count(*) FROM audit_records)";
    assert_eq!(client.query_one(halves, &[]).await.unwrap().get::<_, i64>(0), 0);
    issue_all(&store, 9001..9003).await;
    assert_sound(&*store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_is_used_again_when_it_runs_again() {
    let server = Postgres::start(&Settings::default()).unwrap();
    let url = server.create_database().unwrap();
    let store = PostgresStore::open(PostgresOptions::new(url.parse().unwrap(), "main")).await.unwrap();
    let mut subscription = store.subscribe();
    issue_all(&store, 1..=5).await;
    let before = Snapshot::of(&store).await;
    for (round, crash) in [false, true].into_iter().enumerate() {
        if crash {
            server.crash().unwrap()
        } else {
            server.stop().unwrap()
        };
        let refused = within(store.commit(issue(100))).await;
        assert!(matches!(refused, Err(StoreError::Unavailable(_))), "{refused:?}");
        assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
        assert!(matches!(store.certificate(issuer(1), &serial(1)).await, Err(StoreError::Unavailable(_))));
        server.run().unwrap();
        store.check().await.unwrap();
        if round == 0 {
            assert_eq!(Snapshot::of(&store).await, before);
        }
        // Whatever was missed meanwhile.
        hear(&mut subscription, |news| *news == News::Everything).await;
        let number = 10 + u32::try_from(round).unwrap();
        issue_all(&store, number..=number).await;
    }
    assert_eq!(store.certificate(issuer(1), &serial(5)).await.unwrap(), Some(certificate(5)));
    assert_sound(&store).await;
    store.shutdown().await;
}

#[tokio::test]
async fn waiting_for_a_session_or_a_lock_has_an_end() {
    let database = Database::new();
    let options = PostgresOptions {
        max_connections: 1,
        acquire_timeout: Duration::from_millis(300),
        ..database.options()
    };
    let store = PostgresStore::open(options).await.unwrap();
    issue_all(&store, 1..2).await;
    let client = database.client().await;
    client.batch_execute("BEGIN; LOCK TABLE certificates").await.unwrap();
    let refused = within(store.commit(issue(2))).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(reason)) if reason.contains("55P03")),
        "{refused:?}"
    );
    // The one session there is.
    let lease = store.pool.take().await.unwrap();
    let refused = within(store.check()).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(reason)) if reason.contains("busy")),
        "{refused:?}"
    );
    drop(lease);
    client.batch_execute("ROLLBACK").await.unwrap();
    issue_all(&store, 2..3).await;
    store.check().await.unwrap();
}

#[tokio::test]
async fn whoever_stops_waiting_costs_no_session() {
    let database = Database::new();
    let options = PostgresOptions { max_connections: 1, ..database.options() };
    let store = PostgresStore::open(options).await.unwrap();
    issue_all(&store, 1..2).await;
    let sessions = "SELECT string_agg(pid::text, ',') FROM pg_stat_activity \
        WHERE application_name = 'chancery-server' AND datname = current_database()";
    let before = database.execute(sessions);
    for number in 2..30 {
        let (serial, page) = (serial(1), Page::first(10));
        let filter = Default::default();
        for future in [
            Box::pin(async { drop(store.commit(issue(number)).await) }) as futures::future::BoxFuture<'_, ()>,
            Box::pin(async { drop(store.certificate(issuer(1), &serial).await) }),
            Box::pin(async { drop(store.certificates(&filter, &page).await) }),
        ] {
            assert!(futures::poll!(future).is_pending());
        }
    }
    issue_all(&store, 30..31).await;
    assert_eq!(database.execute(sessions), before);
    // What was begun was made all the same.
    assert_eq!(store.certificates(&Default::default(), &Page::first(100)).await.unwrap().len(), 30);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_store_that_was_shut_down_answers_nothing_and_opens_again_with_every_row() {
    let database = Database::new();
    let store = database.open().await;
    issue_all(&store, 1..=20).await;
    let before = Snapshot::of(&store).await;
    store.shutdown().await;
    store.shutdown().await;
    assert!(matches!(store.commit(issue(21)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.certificate(issuer(1), &serial(1)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        store.certificates(&Default::default(), &Page::first(1)).await,
        Err(StoreError::Unavailable(_))
    ));
    let store = database.open().await;
    assert_eq!(Snapshot::of(&store).await, before);
    issue_all(&store, 21..=22).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_database_that_lets_nobody_in_is_refused_without_a_word_of_the_password() {
    let database = Database::new();
    let wrong = database.url.replace(":test%3A", ":hunter2");
    assert_ne!(wrong, database.url);
    let elsewhere = database.url.replace("/db", "/none");
    let closed = database.url.replace(&format!(":{}/", database.server.port()), ":1/");
    for url in [wrong, elsewhere, closed] {
        let options = PostgresOptions::new(url.parse().unwrap(), "main");
        assert!(!format!("{options:?}").contains("hunter2"));
        let error = PostgresStore::open(options).await.unwrap_err();
        assert!(matches!(error, OpenError::Unavailable(_)), "{error}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("p@ss"), "{shown}");
    }
    let store = database.open().await;
    assert!(!format!("{store:?}").contains("p@ss"));
}

#[tokio::test]
async fn a_database_by_its_socket_is_the_same_database() {
    let database = Database::new();
    let name = database.url.rsplit('/').next().unwrap();
    let url = database.server.socket_url(name);
    issue_all(&database.open().await, 1..2).await;
    let store = PostgresStore::open(PostgresOptions::new(url.parse().unwrap(), "main")).await.unwrap();
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), Some(certificate(1)));
}

//! The suite on PostgreSQL, and what only a server can do.
//!
//! | file | what |
//! | --- | --- |
//! | `suite.rs` | what every store must do |
//! | `commits.rs` | contention, retries, values that do not fit |
//! | `sessions.rs` | sessions that end, servers that stop, pools that are full |
//! | `answers.rs`, `proxy.rs` | answers that are lost on the way |
//! | `acme.rs` | what two replicas make of one order, one nonce |
//! | `replicas.rs` | several stores on one database |
//! | `tls.rs` | TLS to the database |

mod acme;
mod answers;
mod commits;
mod proxy;
mod replicas;
mod sessions;
mod suite;
mod tls;

use std::{future::Future, sync::Arc, time::Duration};

use chancery_postgres::Postgres;
use issuance::{
    audit,
    store::{
        Commit, Committed, Conflict, Expect, News, Store, Subscription, Write,
        suite::samples::{certificate, event, insert},
    },
};
use tokio_postgres::{Client, NoTls};

use super::{PostgresOptions, PostgresStore};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// An empty database on the server of all tests.
struct Database {
    server: Arc<Postgres>,
    url: String,
}

impl Database {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.create_database().unwrap();
        Self { server, url }
    }

    fn options(&self) -> PostgresOptions {
        PostgresOptions::new(self.url.parse().unwrap(), "main")
    }

    async fn open(&self) -> PostgresStore {
        PostgresStore::open(self.options()).await.unwrap()
    }

    fn execute(&self, sql: &str) -> String {
        self.server.execute(&self.url, sql).unwrap()
    }

    /// A session of the test's own.
    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A commit as an issuance makes it.
fn issue(number: u32) -> Commit {
    Commit {
        writes: vec![insert(certificate(number))],
        audit: vec![event(&number.to_string())],
        ..Commit::default()
    }
}

async fn issue_all(store: &PostgresStore, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        store.commit(issue(number)).await.unwrap().unwrap();
    }
}

async fn assert_sound(store: &dyn Store) {
    assert_eq!(audit::verify(store, &[]).await.unwrap().findings, []);
}

/// Commits all of these at once, by the stores in turn, and answers what became of each.
async fn at_once(
    stores: &[Arc<PostgresStore>],
    commits: impl Iterator<Item = (Vec<Expect>, Vec<Write>)>,
) -> Vec<Result<Committed, Conflict>> {
    let tasks: Vec<_> = commits
        .zip(stores.iter().cycle())
        .map(|((expect, writes), store)| {
            let store = store.clone();
            let commit = Commit { expect, writes, audit: vec![event("at once")] };
            tokio::spawn(async move { store.commit(commit).await.unwrap() })
        })
        .collect();
    let mut outcomes = Vec::new();
    for task in tasks {
        outcomes.push(task.await.unwrap());
    }
    outcomes
}

/// The news that fits, among others.
async fn hear(subscription: &mut Subscription, fits: impl Fn(&News) -> bool) {
    within(async { while !fits(&subscription.next().await) {} }).await;
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("it takes too long")
}

//! Two servers on one PostgreSQL.

use std::{collections::BTreeSet, sync::Arc};

use chancery_postgres::Postgres;
use crds::Kind;
use issuance::{
    identity::ResourceName,
    store::{CredentialFilter, Page, Store},
};
use serde_json::json;

use super::{
    operator::FakeOperator,
    scene::{Replica, Volume},
};
use crate::store::{PostgresOptions, PostgresStore};

const CREDENTIALS: usize = 20;

struct Database {
    _server: Arc<Postgres>,
    url: String,
}

impl Database {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.create_database().unwrap();
        Self { _server: server, url }
    }

    async fn open(&self) -> Arc<dyn Store> {
        let options = PostgresOptions::new(self.url.parse().unwrap(), "server");
        Arc::new(PostgresStore::open(options).await.unwrap())
    }
}

/// Two processes with one database and one sealing key, and an operator with many credentials.
async fn pair(database: &Database) -> (FakeOperator, [Replica; 2]) {
    let mut operator = FakeOperator::new();
    for number in 0..CREDENTIALS {
        operator.apply(&format!(
            "{{apiVersion: chancery.dev/v1alpha1, kind: EnrollmentCredential, metadata: {{name: c{number}, namespace: enrollment}}, spec: {{methodRef: {{name: devices}}, est: {{username: u{number}}}, owner: {{user: ann}}}}}}"
        ));
    }
    let one = Volume::on(database.open().await);
    let two = Volume { store: database.open().await, ..one.clone() };
    let replicas = [one.start(&operator), two.start(&operator)];
    (operator, replicas)
}

async fn consider_both(replicas: &mut [Replica; 2], found: &super::super::watch::Found) {
    let [one, two] = replicas;
    // Whoever comes second at the same time looks again: by itself, after a while.
    for _ in 0..3 {
        tokio::join!(one.consider(found), two.consider(found));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_start_at_once_make_each_credential_once() {
    let database = Database::new();
    let (mut operator, mut replicas) = pair(&database).await;
    let published = operator.publish().await;
    consider_both(&mut replicas, &published.found()).await;
    for replica in &replicas {
        let loaded = replica.loaded();
        assert_eq!((loaded.generation, loaded.rejected), (1, None));
        assert!(replica.is_ready());
    }
    let all = CredentialFilter::default();
    let rows = replicas[0].app.engine.store().credentials(&all, &Page::first(1000)).await.unwrap();
    let names: BTreeSet<_> = rows.iter().map(|(_, row)| row.name.clone()).collect();
    assert_eq!((rows.len(), names.len()), (CREDENTIALS + 1, CREDENTIALS + 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_with_an_older_manifest_undoes_nothing() {
    let database = Database::new();
    let (mut operator, mut replicas) = pair(&database).await;
    let old = operator.publish().await;
    consider_both(&mut replicas, &old.found()).await;
    operator.delete(Kind::EnrollmentCredential, "c0");
    operator.change(Kind::EnrollmentCredential, "c1", "revoked", json!(true));
    let new = operator.publish().await;
    let [ahead, behind] = &mut replicas;
    ahead.consider(&new.found()).await;
    assert_eq!(ahead.loaded().generation, 2);

    // It has not heard of the newer one yet, and is started again besides.
    behind.consider(&old.found()).await;
    let volume = Volume { store: database.open().await, sealing: behind.app.sealing.clone() };
    let mut late = volume.start(&operator);
    late.consider(&old.found()).await;
    assert_eq!(late.loaded().generation, 2, "from the rows that both share");
    assert!(late.rejected().contains("older than 2"), "{}", late.rejected());
    for replica in [&*ahead, &*behind, &late] {
        for number in 0..2 {
            let value = &operator.values[&ResourceName::new("enrollment", format!("c{number}"))];
            assert!(replica.login(&format!("u{number}"), value).await.is_err(), "{number}");
        }
    }
}

use chancery_postgres::Postgres;
use tokio_postgres::NoTls;

use super::*;

const SECOND: Migration =
    Migration { sql: "ALTER TABLE sealed ADD COLUMN note TEXT; CREATE TABLE more (a integer)", oldest: 1 };
const THIRD: Migration = Migration { sql: "DROP TABLE more", oldest: 3 };

fn steps(count: usize) -> Vec<Migration> {
    MIGRATIONS.into_iter().chain([SECOND, THIRD]).take(count).collect()
}

/// An empty database, and a session with it.
struct Scene {
    server: std::sync::Arc<Postgres>,
    url: String,
}

impl Scene {
    fn new() -> Self {
        let server = Postgres::shared().unwrap();
        let url = server.create_database().unwrap();
        Self { server, url }
    }

    async fn client(&self) -> Client {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }

    fn schema(&self) -> String {
        let sql = "SELECT table_name || '.' || column_name FROM information_schema.columns \
            WHERE table_schema = 'public' ORDER BY 1";
        self.server.execute(&self.url, sql).unwrap()
    }
}

#[tokio::test]
async fn a_program_too_old_for_the_schema_is_refused_with_both_numbers() {
    let scene = Scene::new();
    let mut client = scene.client().await;
    migrate_with(&mut client, &steps(3)).await.unwrap();
    let error = migrate_with(&mut client, &steps(1)).await.unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, oldest: 3, known: 1 }), "{error}");
    assert!(error.to_string().contains("upgrade the program"));
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    for theirs in [
        "CREATE TABLE theirs (a integer)",
        "CREATE TABLE schema_history (installed_rank integer)",
        "CREATE TABLE schema_history (version bigint, oldest bigint)",
    ] {
        let scene = Scene::new();
        scene.server.execute(&scene.url, theirs).unwrap();
        let before = scene.schema();
        let refused = migrate(&mut scene.client().await).await;
        assert!(matches!(refused, Err(OpenError::Foreign)), "{theirs}: {refused:?}");
        assert_eq!(scene.schema(), before);
    }
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_schema_as_it_was() {
    let scene = Scene::new();
    let mut client = scene.client().await;
    migrate(&mut client).await.unwrap();
    let before = scene.schema();
    let broken = Migration { sql: "CREATE TABLE half (a integer); CREATE TABLE half (a integer)", oldest: 1 };
    let steps: Vec<_> = MIGRATIONS.into_iter().chain([broken]).collect();
    assert!(migrate_with(&mut client, &steps).await.is_err());
    assert_eq!(scene.schema(), before);
    migrate(&mut client).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_begin_together_migrate_once() {
    let scene = Scene::new();
    let mut tasks = Vec::new();
    for _ in 0..8 {
        let mut client = scene.client().await;
        tasks.push(tokio::spawn(async move { migrate_with(&mut client, &steps(2)).await }));
    }
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let versions = scene.server.execute(&scene.url, "SELECT version FROM schema_history ORDER BY 1").unwrap();
    assert_eq!(versions, "1\n2");
}

/// The statements of the previous release, prepared and run by a program that knows nothing newer.
#[tokio::test]
async fn the_previous_program_runs_on_a_schema_that_only_grew() {
    use issuance::store::{
        Commit, Store as _, Write,
        suite::samples::{Snapshot, certificate, credential, event, insert, sealed},
    };

    use crate::store::postgres::{PostgresOptions, PostgresStore};

    let scene = Scene::new();
    let store = PostgresStore::open(PostgresOptions::new(scene.url.parse().unwrap(), "main")).await.unwrap();
    let commit = |number: u8| Commit {
        writes: vec![
            insert(certificate(number.into())),
            Write::PutCredential(Box::new(credential(number))),
            Write::PutSealed(Box::new(sealed("role", number.into()))),
        ],
        audit: vec![event("as before")],
        ..Commit::default()
    };
    store.commit(commit(1)).await.unwrap().unwrap();
    let mut newer = scene.client().await;
    migrate_with(&mut newer, &steps(2)).await.unwrap();
    // A replica that was running all the time, and one that begins.
    store.commit(commit(2)).await.unwrap().unwrap();
    let started =
        PostgresStore::open(PostgresOptions::new(scene.url.parse().unwrap(), "main")).await.unwrap();
    started.commit(commit(3)).await.unwrap().unwrap();
    assert_eq!(Snapshot::of(&started).await, Snapshot::of(&store).await);
}

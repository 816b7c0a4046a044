//! The suite on SQLite, and what only a file can do.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use issuance::{
    audit,
    identity::ResourceName,
    store::{
        CertificateFilter, CertificateRow, Commit, Conflict, Expect, MethodScope, Page, Store, StoreError,
        Write,
        suite::samples::{Snapshot, certificate, credential, event, insert, issuer, sealed, serial},
    },
};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{
    CommitObserver, OpenError, SqliteStore, StoreOptions, acme, audit as audit_rows, certificates,
    credentials, migrate, names::Names,
};

mod recent;
mod who_commits;

async fn make() -> (TempDir, Arc<dyn Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    (directory, Arc::new(store))
}

issuance::store_suite!(make);

fn file(directory: &Path) -> PathBuf {
    directory.join("chancery.db")
}

fn open(directory: &Path) -> SqliteStore {
    open_with(directory, StoreOptions::new("main"))
}

fn open_with(directory: &Path, options: StoreOptions) -> SqliteStore {
    SqliteStore::open(file(directory), options).unwrap()
}

/// A commit as an issuance makes it.
fn issue(number: u32) -> Commit {
    Commit {
        writes: vec![insert(certificate(number))],
        audit: vec![event(&number.to_string())],
        ..Commit::default()
    }
}

async fn issue_all(store: &SqliteStore, numbers: impl Iterator<Item = u32>) {
    for number in numbers {
        store.commit(issue(number)).await.unwrap().unwrap();
    }
}

async fn assert_sound(store: &SqliteStore) {
    assert_eq!(store.integrity().await.unwrap(), Vec::<String>::new());
    assert_eq!(audit::verify(store, &[]).await.unwrap().findings, []);
}

#[test]
fn a_file_that_is_no_database_of_ours_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path());
    let text = "not a database, and longer than the header of one. ".repeat(40);
    fs::write(&path, &text).unwrap();
    let error = SqliteStore::open(&path, StoreOptions::new("main")).unwrap_err();
    assert!(matches!(error, OpenError::Database(_)), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    assert!(SqliteStore::open("/nonexistent/chancery.db", StoreOptions::new("main")).is_err());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    open(directory.path()).shutdown().await;
    let connection = Connection::open(file(directory.path())).unwrap();
    connection
        .execute_batch(
            "INSERT INTO schema_history (version, oldest) VALUES (99, 98); PRAGMA user_version = 99;",
        )
        .unwrap();
    let error = SqliteStore::open(file(directory.path()), StoreOptions::new("main")).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 99, oldest: 98, .. }), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_whole_commits_and_is_used_again_once_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions::new("main");
    let maximum = Arc::clone(&options.maximum_pages);
    maximum.store(120, Ordering::SeqCst);
    let store = open_with(directory.path(), options);
    let mut number = 0;
    let refused = loop {
        number += 1;
        match store.commit(issue(number)).await {
            Ok(outcome) => assert!(outcome.is_ok()),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable(_)), "{refused}");
    assert!(number > 50);
    // A batch that does not fit is refused as a whole, and so is each commit in it.
    let before = Snapshot::of(&store).await;
    let large = (1000..1100).map(|number| insert(certificate(number))).collect();
    let large = Commit { writes: large, audit: vec![event("large")], ..Commit::default() };
    assert!(matches!(store.commit(large).await, Err(StoreError::Unavailable(_))));
    assert_eq!(Snapshot::of(&store).await, before);
    assert_eq!(store.certificate(issuer(1), &serial(number)).await.unwrap(), None);
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert_sound(&store).await;
    maximum.store(u32::MAX, Ordering::SeqCst);
    store.check().await.unwrap();
    issue_all(&store, number..number + 100).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_database_that_another_process_holds_is_unavailable_until_it_lets_go() {
    let directory = tempfile::tempdir().unwrap();
    let options = StoreOptions { busy_timeout: Duration::from_millis(20), ..StoreOptions::new("main") };
    let store = open_with(directory.path(), options);
    issue_all(&store, 1..2).await;
    let other = Connection::open(file(directory.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(store.commit(issue(2)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    // Reading goes on.
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), Some(certificate(1)));
    other.execute_batch("ROLLBACK").unwrap();
    store.check().await.unwrap();
    issue_all(&store, 2..4).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_file_that_was_removed_or_replaced_takes_no_more_commits() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    issue_all(&store, 1..3).await;
    let path = file(directory.path());
    fs::rename(&path, directory.path().join("elsewhere.db")).unwrap();
    assert!(matches!(store.commit(issue(3)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    fs::write(&path, "").unwrap();
    assert!(matches!(store.commit(issue(3)).await, Err(StoreError::Unavailable(_))));
    fs::rename(directory.path().join("elsewhere.db"), &path).unwrap();
    store.check().await.unwrap();
    issue_all(&store, 3..4).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_and_not_a_guess() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    issue_all(&store, 1..2).await;
    let other = Connection::open(file(directory.path())).unwrap();
    for damage in
        ["status = 9", "status = 2", "revoked_at = 1", "serial = x'00'", "protocol = 'carrier pigeon'"]
    {
        other.execute_batch(&format!("BEGIN; UPDATE certificates SET {damage}; COMMIT")).unwrap();
        let listed = store.certificates(&Default::default(), &Page::first(1)).await;
        assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{damage}: {listed:?}");
        let repair = "status = 0, revoked_at = NULL, serial = x'01', protocol = 'est'";
        other.execute_batch(&format!("UPDATE certificates SET {repair}")).unwrap();
    }
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), Some(certificate(1)));
}

#[tokio::test]
async fn a_commit_that_cannot_be_stored_harms_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let impossible = Commit {
        writes: vec![insert(certificate(99)), Write::PutSealed(Box::new(sealed("role", u64::MAX)))],
        audit: vec![event("impossible")],
        ..Commit::default()
    };
    let commits = [issue(1), impossible.clone(), issue(2), issue(1), impossible, issue(3)];
    let outcomes = futures::future::join_all(commits.map(|commit| store.commit(commit))).await;
    let kinds: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(Ok(_)) => "stored",
            Ok(Err(Conflict::SerialTaken { .. })) => "taken",
            Err(StoreError::Corrupt(_)) => "impossible",
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(kinds, ["stored", "impossible", "stored", "taken", "impossible", "stored"]);
    assert_eq!(store.certificate(issuer(1), &serial(99)).await.unwrap(), None);
    assert_eq!(store.audit_head("main").await.unwrap().unwrap().sequence, 3);
    assert_sound(&store).await;
}

#[derive(Debug, Default)]
struct Batches(Mutex<Vec<usize>>);

impl CommitObserver for Batches {
    fn committed(&self, _duration: Duration, commits: usize) {
        self.0.lock().unwrap().push(commits);
    }
}

#[tokio::test]
async fn whatever_waits_shares_one_transaction() {
    let directory = tempfile::tempdir().unwrap();
    let batches = Arc::new(Batches::default());
    let observer: Arc<dyn CommitObserver> = batches.clone();
    let store = Arc::new(open_with(
        directory.path(),
        StoreOptions { observer: Some(observer), ..StoreOptions::new("main") },
    ));
    let other = Connection::open(file(directory.path())).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The first one is begun alone and at once; the thread then waits for the other process.
    let mut first = pin!(store.commit(issue(1)));
    assert!(futures::poll!(first.as_mut()).is_pending());
    while store.writer.waiting() > 0 {
        tokio::task::yield_now().await;
    }
    let tasks: Vec<_> = (2..=301)
        .map(|number| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.commit(issue(number)).await.unwrap().unwrap() })
        })
        .collect();
    while store.writer.waiting() < 300 {
        tokio::task::yield_now().await;
    }
    other.execute_batch("ROLLBACK").unwrap();
    first.await.unwrap().unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*batches.0.lock().unwrap(), [1, 256, 44]);
    assert_sound(&store).await;
}

/// What is on the disk while commits go on is what a crash would leave: everything answered, nothing halved.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_loses_nothing_that_was_answered() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(open(directory.path()));
    let writer = {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            for number in 1..=400 {
                store.commit(issue(number)).await.unwrap().unwrap();
            }
        })
    };
    let mut images = 0;
    while !writer.is_finished() {
        let answered = store.audit_head("main").await.unwrap().map_or(0, |head| head.sequence);
        let image = tempfile::tempdir().unwrap();
        // The log is not yet long enough to be written back, so the file stays as it is while it is copied.
        for suffix in ["", "-wal"] {
            let name = format!("chancery.db{suffix}");
            fs::copy(directory.path().join(&name), image.path().join(&name)).unwrap();
        }
        let revived = open(image.path());
        assert_sound(&revived).await;
        let found = revived.audit_head("main").await.unwrap().map_or(0, |head| head.sequence);
        assert!(found >= answered, "{found} of {answered}");
        for number in 1..=found {
            let row = revived.certificate(issuer(1), &serial(number as u32)).await.unwrap();
            assert_eq!(row, Some(certificate(number as u32)));
        }
        assert_eq!(revived.certificate(issuer(1), &serial(found as u32 + 1)).await.unwrap(), None);
        issue_all(&revived, 1000..1002).await;
        images += 1;
    }
    writer.await.unwrap();
    assert!(images > 0);
}

/// A server and a command-line program beside it, appending to one stream.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_share_one_file_and_one_stream() {
    let directory = tempfile::tempdir().unwrap();
    let stores = [0, 1000].map(|first| (first, Arc::new(open(directory.path()))));
    let tasks = stores
        .clone()
        .map(|(first, store)| tokio::spawn(async move { issue_all(&store, first + 1..=first + 100).await }));
    for task in tasks {
        task.await.unwrap();
    }
    let stale = Expect::SealedVersion { name: "role".into(), version: 0 };
    let put = Write::PutSealed(Box::new(sealed("role", 1)));
    let commit = Commit { expect: vec![stale], writes: vec![put], audit: vec![event("role")] };
    let [(_, one), (_, other)] = &stores;
    assert!(one.commit(commit.clone()).await.unwrap().is_ok());
    assert!(other.commit(commit).await.unwrap().is_err());
    assert_eq!(Snapshot::of(&**one).await, Snapshot::of(&**other).await);
    let report = audit::verify(&**other, &[]).await.unwrap();
    assert_eq!((report.streams, report.records, report.findings), (1, 201, Vec::new()));
}

#[tokio::test]
async fn a_store_that_was_shut_down_answers_nothing_and_opens_again_with_every_row() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    issue_all(&store, 1..=20).await;
    let before = Snapshot::of(&store).await;
    store.shutdown().await;
    store.shutdown().await;
    assert!(matches!(store.commit(issue(21)).await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(store.certificate(issuer(1), &serial(1)).await, Err(StoreError::Unavailable(_))));
    // The file alone is the database.
    let log = directory.path().join("chancery.db-wal");
    assert!(!log.exists() || fs::metadata(log).unwrap().len() == 0);
    let store = open(directory.path());
    assert_eq!(Snapshot::of(&store).await, before);
    issue_all(&store, 21..=22).await;
    assert_sound(&store).await;
}

#[tokio::test]
async fn only_the_owner_can_read_the_files() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(file(directory.path()), "").unwrap();
    fs::set_permissions(file(directory.path()), fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(directory.path());
    issue_all(&store, 1..2).await;
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.path());
    }
}

#[tokio::test]
async fn a_record_that_was_changed_or_taken_out_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    issue_all(&store, 1..=5).await;
    let other = Connection::open(file(directory.path())).unwrap();
    other
        .execute_batch("UPDATE audit_records SET body = replace(body, '3', '4') WHERE sequence = 3")
        .unwrap();
    let changed = audit::Finding::Changed { stream: "main".into(), sequence: 3 };
    assert_eq!(audit::verify(&store, &[]).await.unwrap().findings, [changed]);
    other.execute_batch("DELETE FROM audit_records WHERE sequence = 3").unwrap();
    let broken = audit::Finding::Broken { stream: "main".into(), sequence: 4 };
    assert_eq!(audit::verify(&store, &[]).await.unwrap().findings, [broken]);
}

#[test]
fn hot_statements_go_straight_to_their_rows() {
    let mut connection = Connection::open_in_memory().unwrap();
    migrate::migrate(&mut connection).unwrap();
    let methods = ["plant/api", "plant/est", "office/est"].map(|name| name.parse::<ResourceName>().unwrap());
    for (number, method) in (1..).zip(methods.clone()) {
        let row = CertificateRow { method, ..certificate(number) };
        certificates::insert(&connection, &mut Names::default(), &row).unwrap();
    }
    let plan = |sql: &str| {
        let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let nothing = vec![None::<i64>; statement.parameter_count()];
        let lines =
            statement.query_map(rusqlite::params_from_iter(nothing), |row| row.get::<_, String>(3)).unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    };
    let list = |methods, serial| {
        let filter = CertificateFilter { methods: Some(methods), serial, ..CertificateFilter::default() };
        certificates::list_sql(&connection, &filter, &Page::first(1)).unwrap().unwrap().0
    };
    let [api, est, elsewhere] = methods;
    let one = MethodScope::from(elsewhere);
    let (two, all) = (MethodScope::of([api, est]), MethodScope::Namespace("plant".into()));
    let merged = list(two.clone(), None);
    assert_eq!(merged, list(all, None));
    assert!(plan(&merged).contains("MERGE (UNION ALL)"), "{}", plan(&merged));
    assert!(!plan(&merged).contains("TEMP B-TREE"), "{}", plan(&merged));
    let expected = [
        (list(one.clone(), None), "INDEX certificates_method (method=? AND rowid>?)"),
        (merged, "INDEX certificates_method (method=? AND rowid>?)"),
        (list(one, Some(serial(1))), "INDEX certificates_serial (serial=?)"),
        (list(two, Some(serial(1))), "INDEX certificates_serial (serial=?)"),
    ];
    for (sql, index) in &expected {
        assert!(plan(sql).contains(index) && !plan(sql).contains("SCAN c"), "{sql}\n{}", plan(sql));
    }
    let expected = [
        (
            certificates::REVOKED_AS_LONG,
            "COVERING INDEX certificates_revoked (issuer=? AND <expr>=? AND serial>?)",
        ),
        (certificates::REVOKED_LONGER, "COVERING INDEX certificates_revoked (issuer=? AND <expr>>?)"),
        (certificates::KEY_USED, "INDEX certificates_key (<expr>=?)"),
        (&certificates::find_sql(), "INDEX certificates_serial (serial=? AND issuer=?)"),
        (&credentials::find_for_sql(), "INDEX credentials_username (method=? AND username=?)"),
        (audit_rows::SELECT, "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
        (acme::ACCOUNT_BY_KEY, "INDEX sqlite_autoindex_acme_accounts_2 (thumbprint=? AND method=?)"),
        (acme::ORDERS_OF, "INDEX acme_orders_account (account=? AND rowid<?)"),
        (acme::ORDER_REPLACING, "INDEX acme_orders_replaces (replaces_serial=? AND replaces_issuer=?)"),
        (acme::TO_SWEEP, "INDEX acme_orders_keep_until (keep_until<?)"),
        (acme::SWEEP, "INDEX acme_orders_keep_until (keep_until<?)"),
    ];
    for (sql, index) in expected {
        let plan = plan(sql);
        assert!(plan.contains(index), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN certificates") && !plan.contains("SCAN c"), "{plan}");
        assert!(!plan.contains("SCAN acme"), "{plan}");
    }
}

#[tokio::test]
async fn rows_of_more_methods_than_are_merged_come_in_the_order_of_all() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let is_foreign = |number: u32| number.is_multiple_of(10);
    let rows = (1..=150).map(|number| {
        let namespace = if is_foreign(number) { "office" } else { "plant" };
        let method = ResourceName::new(namespace, format!("line-{number}"));
        insert(CertificateRow { method, ..certificate(number) })
    });
    store.commit(Commit { writes: rows.collect(), ..Commit::default() }).await.unwrap().unwrap();
    let methods = Some(MethodScope::Namespace("plant".into()));
    let filter = CertificateFilter { methods, ..CertificateFilter::default() };
    let (mut page, mut found) = (Page::first(100), Vec::new());
    for expected in [100, 35, 0] {
        let rows = store.certificates(&filter, &page).await.unwrap();
        assert_eq!(rows.len(), expected);
        page.after = rows.last().map(|(cursor, _)| *cursor);
        found.extend(rows.into_iter().map(|(_, row)| row.serial));
    }
    let inside = (1..=150).filter(|number| !is_foreign(*number));
    assert_eq!(found, inside.map(serial).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stored_verifier_is_text_that_a_later_release_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let put = Write::PutCredential(Box::new(credential(1)));
    store.commit(Commit { writes: vec![put], ..Commit::default() }).await.unwrap().unwrap();
    let other = Connection::open(file(directory.path())).unwrap();
    let verifier: String = other.query_row("SELECT verifier FROM credentials", [], |row| row.get(0)).unwrap();
    let hash = "01".repeat(32);
    assert_eq!(verifier, format!(r#"{{"kind":"sha256","hash":"{hash}","knownTo":["user:1"]}}"#));
}

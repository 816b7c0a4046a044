//! Commits that meet.

use std::sync::Arc;

use issuance::{
    credential::CredentialRow,
    store::{
        CertificateRow, CertificateStatus, Commit, Conflict, Expect, Page, Store, StoreError, Write,
        suite::samples::{
            NOW, certificate, credential, credential_id, crl, event, insert, issuer, key_hash, method,
            sealed, serial, usable,
        },
    },
};

use super::{Database, assert_sound, at_once, issue, issue_all, within};

/// Makes the first `times` insertions of certificates fail with this code.
fn fail_insertions(database: &Database, times: u32, code: &str) {
    database.execute(&format!(
        "CREATE SEQUENCE attempts; \
         CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF nextval('attempts') <= {times} THEN RAISE 'not now' USING ERRCODE = '{code}'; END IF; \
         RETURN NEW; END $$; \
         CREATE TRIGGER fail BEFORE INSERT ON certificates FOR EACH ROW EXECUTE FUNCTION fail()"
    ));
}

#[tokio::test]
async fn a_commit_that_cannot_be_serialized_is_tried_again() {
    let database = Database::new();
    let store = database.open().await;
    fail_insertions(&database, 3, "40001");
    issue_all(&store, 1..3).await;
    assert_eq!(database.execute("SELECT last_value FROM attempts"), "5");
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_commit_that_never_goes_through_is_given_up() {
    let database = Database::new();
    let store = database.open().await;
    fail_insertions(&database, 1000, "40P01");
    let refused = store.commit(issue(1)).await;
    assert!(
        matches!(&refused, Err(StoreError::Unavailable(reason)) if reason.contains("40P01")),
        "{refused:?}"
    );
    assert_eq!(database.execute("SELECT last_value FROM attempts"), "6");
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), None);
    database.execute("DROP TRIGGER fail ON certificates");
    issue_all(&store, 1..2).await;
    assert_eq!(store.audit_head("main/0").await.unwrap().unwrap().sequence, 1);
}

/// Disk full, read-only: nothing that trying again at once would help.
#[tokio::test]
async fn a_database_that_cannot_write_is_unavailable_until_it_can() {
    let database = Database::new();
    let store = database.open().await;
    fail_insertions(&database, 1, "53100");
    assert!(matches!(store.commit(issue(1)).await, Err(StoreError::Unavailable(_))));
    store.check().await.unwrap();
    issue_all(&store, 1..2).await;
    database.execute(
        "ALTER DATABASE db SET default_transaction_read_only = on".replace("db", name(&database)).as_str(),
    );
    store.shutdown().await;
    let store = database.open().await;
    assert!(matches!(store.check().await, Err(StoreError::Unavailable(_))));
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), Some(certificate(1)));
}

fn name(database: &Database) -> &str {
    database.url.rsplit('/').next().unwrap()
}

#[tokio::test]
async fn a_deadlock_ends_in_two_changes_and_no_error() {
    let database = Database::new();
    let store = Arc::new(database.open().await);
    issue_all(&store, 1..3).await;
    let client = database.client().await;
    let touch = |number: u32| {
        let octets = serial(number).as_bytes().to_vec();
        let client = &client;
        async move {
            client.execute("UPDATE certificates SET subject = subject WHERE serial = $1", &[&octets]).await
        }
    };
    client.batch_execute("BEGIN; SET LOCAL deadlock_timeout = '60s'").await.unwrap();
    touch(2).await.unwrap();
    let hold = |number| Write::SetCertificateStatus {
        issuer: issuer(1),
        serial: serial(number),
        status: CertificateStatus::Held { at: NOW },
    };
    let commit = {
        let store = store.clone();
        let commit = Commit { writes: vec![hold(1), hold(2)], ..Commit::default() };
        tokio::spawn(async move { store.commit(commit).await })
    };
    // The commit holds the first row and waits for the second.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    within(async { while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {} }).await;
    touch(1).await.unwrap();
    client.batch_execute("COMMIT").await.unwrap();
    within(commit).await.unwrap().unwrap().unwrap();
    for number in [1, 2] {
        let row = store.certificate(issuer(1), &serial(number)).await.unwrap().unwrap();
        assert_eq!(row.status, CertificateStatus::Held { at: NOW });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_must_be_absent_stays_absent_while_many_look() {
    let database = Database::new();
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let won = |outcomes: Vec<Result<_, Conflict>>| outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    // One key, fifty certificates.
    let keys = (1..=50).map(|number| {
        let row = CertificateRow { public_key_sha256: key_hash(1), ..certificate(number) };
        (vec![Expect::KeyUnused { public_key_sha256: key_hash(1) }], vec![insert(row)])
    });
    assert_eq!(won(at_once(&stores, keys).await), 1);
    // One secret, made by whoever comes first.
    let secrets = (0..20).map(|_| {
        let expect = Expect::SealedVersion { name: "role".into(), version: 0 };
        (vec![expect], vec![Write::PutSealed(Box::new(sealed("role", 1)))])
    });
    assert_eq!(won(at_once(&stores, secrets).await), 1);
    // One number, one CRL.
    let crls = (0..20).map(|_| (Vec::new(), vec![Write::PutCrl(Box::new(crl(1, 7)))]));
    assert_eq!(won(at_once(&stores, crls).await), 1);
    // One version of a credential, made and then replaced once.
    for version in [0, 1] {
        let puts = (0..20).map(|_| {
            let row = CredentialRow { version: version + 1, ..credential(1) };
            let expect = Expect::CredentialVersion { id: credential_id(1), version };
            (vec![expect], vec![Write::PutCredential(Box::new(row))])
        });
        assert_eq!(won(at_once(&stores, puts).await), 1);
    }
    assert_sound(&*stores[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_use_is_granted_once_among_replicas() {
    let database = Database::new();
    let stores = [Arc::new(database.open().await), Arc::new(database.open().await)];
    let row = CredentialRow { maximum_uses: Some(7), ..credential(1) };
    let made = Commit { writes: vec![Write::PutCredential(Box::new(row))], ..Commit::default() };
    stores[0].commit(made).await.unwrap().unwrap();
    let uses = (1..=100).map(|number| {
        let used = Write::UseCredential { id: credential_id(1), at: NOW, address: None };
        (vec![usable(1, 1)], vec![used, insert(certificate(number))])
    });
    let outcomes = at_once(&stores, uses).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 7);
    assert_eq!(stores[1].credential(&credential_id(1)).await.unwrap().unwrap().uses, 7);
    assert_eq!(stores[1].certificates(&Default::default(), &Page::first(100)).await.unwrap().len(), 7);
}

/// A factory enrols with one credential: those commits must not queue for its row.
#[tokio::test]
async fn a_credential_without_a_limit_is_used_by_many_at_once() {
    let database = Database::new();
    let store = database.open().await;
    let used = || Commit {
        expect: vec![usable(1, 1)],
        writes: vec![Write::UseCredential { id: credential_id(1), at: NOW, address: None }],
        audit: vec![event("used")],
    };
    let put = |row: CredentialRow| Commit {
        writes: vec![Write::PutCredential(Box::new(row))],
        ..Commit::default()
    };
    store.commit(put(credential(1))).await.unwrap().unwrap();
    store.commit(used()).await.unwrap().unwrap();
    // Another session has used it and not yet committed.
    let other = Arc::new(database.open().await);
    let client = database.client().await;
    let key = super::super::locks::number("credential", credential_id(1).as_str().as_bytes());
    client.batch_execute("BEGIN").await.unwrap();
    client.execute("SELECT pg_advisory_xact_lock_shared($1)", &[&key]).await.unwrap();
    client
        .batch_execute("INSERT INTO credential_uses SELECT number, 1000, 1, 5, 5, NULL FROM credentials")
        .await
        .unwrap();
    within(other.commit(used())).await.unwrap().unwrap();
    // Who replaces it waits for that session, and counts its use.
    let replaced = CredentialRow { version: 2, maximum_uses: Some(4), ..credential(1) };
    let replacing = {
        let (other, commit) = (other.clone(), put(replaced.clone()));
        tokio::spawn(async move { other.commit(commit).await })
    };
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    within(async { while client.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {} }).await;
    client.batch_execute("COMMIT").await.unwrap();
    within(replacing).await.unwrap().unwrap().unwrap();
    let found = store.credential(&credential_id(1)).await.unwrap();
    assert_eq!(found, Some(CredentialRow { uses: 3, last_used_at: Some(NOW), ..replaced }));
    // From now on it has a limit, which the uses before count towards.
    let used = || Commit { expect: vec![usable(1, 2)], ..used() };
    store.commit(used()).await.unwrap().unwrap();
    assert!(store.commit(used()).await.unwrap().is_err());
}

#[tokio::test]
async fn text_that_postgresql_cannot_hold_is_replaced_and_never_found() {
    let database = Database::new();
    let store = database.open().await;
    let row = CertificateRow { requester: "a\0b".into(), subject: "CN=\0".into(), ..certificate(1) };
    let put = Write::PutCredential(Box::new(credential(1)));
    let mut event = event("with \0");
    event.subject = Some("CN=\0".into());
    let commit =
        Commit { writes: vec![insert(row.clone()), put], audit: vec![event.clone()], ..Commit::default() };
    store.commit(commit).await.unwrap().unwrap();
    let found = store.certificate(issuer(1), &serial(1)).await.unwrap().unwrap();
    assert_eq!((found.requester.as_str(), found.subject.as_str()), ("a\u{fffd}b", "CN=\u{fffd}"));
    // The trail escapes it.
    assert_eq!(store.audit_head("main/0").await.unwrap().unwrap().event().unwrap(), event);
    // Nobody has that name; what has no name is found.
    assert_eq!(store.credentials_for(&method("est"), "a\0b").await.unwrap(), [credential(1)]);
}

#[tokio::test]
async fn a_commit_that_cannot_be_stored_harms_no_other() {
    let database = Database::new();
    let store = database.open().await;
    let impossible = Commit {
        writes: vec![insert(certificate(99)), Write::PutSealed(Box::new(sealed("role", u64::MAX)))],
        audit: vec![event("impossible")],
        ..Commit::default()
    };
    let commits = [issue(1), impossible.clone(), issue(2), impossible, issue(3)];
    let outcomes = futures::future::join_all(commits.map(|commit| store.commit(commit))).await;
    let stored: Vec<_> = outcomes
        .iter()
        .map(|outcome| match outcome {
            Ok(Ok(_)) => true,
            Err(StoreError::Corrupt(_)) => false,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(stored, [true, false, true, false, true]);
    assert_eq!(store.certificate(issuer(1), &serial(99)).await.unwrap(), None);
    assert_sound(&store).await;
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_an_error_and_not_a_guess() {
    let database = Database::new();
    let store = database.open().await;
    issue_all(&store, 1..2).await;
    let client = database.client().await;
    for damage in
        ["status = 9", "status = 2", "revoked_at = 1", "serial = '\\x00'", "protocol = 'carrier pigeon'"]
    {
        client.batch_execute(&format!("UPDATE certificates SET {damage}")).await.unwrap();
        let listed = store.certificates(&Default::default(), &Page::first(1)).await;
        assert!(matches!(listed, Err(StoreError::Corrupt(_))), "{damage}: {listed:?}");
        let repair = "status = 0, revoked_at = NULL, serial = '\\x01', protocol = 'est'";
        client.batch_execute(&format!("UPDATE certificates SET {repair}")).await.unwrap();
    }
    assert_eq!(store.certificate(issuer(1), &serial(1)).await.unwrap(), Some(certificate(1)));
}

/// With other plans forbidden where the right one exists, so that a table of three rows tells what a million would.
#[tokio::test]
async fn hot_statements_go_straight_to_their_rows() {
    use super::super::{certificates, credentials, requests};
    let database = Database::new();
    let store = database.open().await;
    issue_all(&store, 1..4).await;
    let client = database.client().await;
    client.batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off").await.unwrap();
    // Two ways lead to what is pending, and only with rows is one of them the longer one.
    let requests = "INSERT INTO requests (id, method, content, profile, requester, state, summary, encoded, \
        created_at, expires_at) SELECT int4send(n), \
        CASE n % 100 WHEN 0 THEN 'a/b' WHEN 50 THEN 'a/c' ELSE 'z/z' END, '', 'a/b', '{}', \
        CASE n % 10 WHEN 0 THEN 'pending' ELSE 'issued' END, '', '', n, n FROM generate_series(1, 5000) n; \
        ANALYZE requests";
    client.batch_execute(requests).await.unwrap();
    let octets = "'\\x01'::bytea";
    let of_methods = |methods| {
        let mut values = vec!["NULL"; 21];
        values[0] = "0";
        values[3] = methods;
        values[10] = "10";
        values
    };
    let by_method = "Index Scan using certificates_method on certificates";
    let cases = [
        (certificates::LIST_OF_METHOD, of_methods("'{a/b}'"), by_method),
        (certificates::LIST_OF_METHODS, of_methods("'{a/b,a/c}'"), by_method),
        (
            certificates::METHODS_OF_NAMESPACE,
            vec!["'a'"],
            "Index Only Scan using certificates_method on certificates",
        ),
        (
            certificates::REVOKED_AFTER,
            vec![octets, "0", octets, "10"],
            "Index Only Scan using certificates_revoked",
        ),
        (certificates::KEY_UNUSED, vec![octets], "Index Scan using certificates_key"),
        (certificates::FIND, vec![octets, octets], "Index Scan using certificates_serial"),
        (
            credentials::FIND_FOR,
            vec!["'a/b'", "'ann'"],
            "((method = 'a/b'::text) AND (username = 'ann'::text))",
        ),
        (requests::PENDING_OF_METHODS, vec!["'{a/b}'", "0", "10"], "Index Scan using requests_waiting"),
        (requests::PENDING_OF_METHODS, vec!["'{a/b,a/c}'", "0", "10"], "Index Scan using requests_waiting"),
        (requests::PENDING_OF_NAMESPACE, vec!["'a'", "0", "10"], "Index Scan using requests_waiting"),
    ];
    for (sql, values, expected) in cases {
        client.batch_execute(&format!("PREPARE hot AS {sql}")).await.unwrap();
        let explain = format!("EXPLAIN EXECUTE hot ({})", values.join(", "));
        let rows = client.simple_query(&explain).await.unwrap();
        let plan: Vec<_> = rows
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            })
            .collect();
        assert!(plan.join("\n").contains(expected), "{sql}\n{}", plan.join("\n"));
        client.batch_execute("DEALLOCATE hot").await.unwrap();
    }
}

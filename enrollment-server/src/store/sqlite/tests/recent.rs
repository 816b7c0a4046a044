//! Orders are read from where they are kept a moment; the file has the same.

use issuance::{
    acme::{OrderRow, OrderState, StoredProblem},
    store::{
        Commit, Conflict, Expect, Store, Write,
        suite::samples::{EARLIER, NOW, issuer, order, order_id, order_version, put_order, serial},
    },
};

use super::{SqliteStore, open};

async fn put(store: &SqliteStore, expect: Vec<Expect>, row: OrderRow) -> Result<(), Conflict> {
    let commit = Commit { expect, writes: vec![put_order(row)], ..Commit::default() };
    store.commit(commit).await.unwrap().map(drop)
}

async fn read(store: &SqliteStore, number: u8) -> Option<OrderRow> {
    store.acme_order(&order_id(number)).await.unwrap()
}

#[tokio::test]
async fn the_file_holds_what_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    let failed = OrderState::Invalid { error: StoredProblem::new("dns", "no such name") };
    let valid = OrderState::Valid { issuer: issuer(1), serial: serial(5) };
    let replaces = Some((issuer(1), serial(4)));
    let keep_until = order(1).keep_until.plus_seconds(7);
    let changes = [
        order(1),
        OrderRow { version: 2, profile: Some("short".into()), ..order(1) },
        OrderRow { version: 3, keep_until, ..order(1) },
        OrderRow { replaces, ..order(2) },
        OrderRow { version: 2, replaces, state: failed, ..order(2) },
        OrderRow { version: 4, keep_until, state: valid, ..order(1) },
        // What nobody has made yet.
        OrderRow { version: 7, ..order(3) },
    ];
    for row in changes {
        put(&store, Vec::new(), row.clone()).await.unwrap();
        assert_eq!(store.acme_order(&row.id).await.unwrap().as_ref(), Some(&row));
        // Another program knows nothing but the file.
        assert_eq!(open(directory.path()).acme_order(&row.id).await.unwrap(), Some(row));
    }
}

#[tokio::test]
async fn what_another_program_changed_is_read_anew_once_a_commit_has_met_it() {
    let directory = tempfile::tempdir().unwrap();
    let (store, other) = (open(directory.path()), open(directory.path()));
    put(&store, vec![order_version(1, 0)], order(1)).await.unwrap();
    let changed = OrderRow { version: 2, profile: Some("theirs".into()), ..order(1) };
    put(&other, vec![order_version(1, 1)], changed.clone()).await.unwrap();
    let mine = OrderRow { version: 2, profile: Some("mine".into()), ..order(1) };
    let conflict = put(&store, vec![order_version(1, 1)], mine).await.unwrap_err();
    assert_eq!(conflict, Conflict::Expectation(Box::new(order_version(1, 1))));
    assert_eq!(read(&store, 1).await, Some(changed));
}

#[tokio::test]
async fn what_is_swept_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    put(&store, Vec::new(), OrderRow { keep_until: EARLIER, ..order(1) }).await.unwrap();
    let sweep = Write::SweepAcmeOrders { now: NOW, limit: 1 };
    store.commit(Commit { writes: vec![sweep], ..Commit::default() }).await.unwrap().unwrap();
    assert_eq!(read(&store, 1).await, None);
}

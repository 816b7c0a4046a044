//! Sealed rows.

use std::sync::Arc;

use super::samples::*;
use crate::store::{Conflict, Expect, SealedRow, Store, Write};

fn put(row: SealedRow) -> Vec<Write> {
    vec![Write::PutSealed(Box::new(row))]
}

pub async fn a_sealed_row_changes_only_from_the_version_that_was_read(store: Arc<dyn Store>) {
    let from = |version| Expect::SealedVersion { name: "role".into(), version };
    assert_eq!(store.sealed("role").await.unwrap(), None);
    try_write(&*store, vec![from(0)], put(sealed("role", 1))).await.unwrap();
    // Two replicas make the first key at once: one of them must take the other's.
    let second =
        try_write(&*store, vec![from(0)], put(SealedRow { sealed: vec![9], ..sealed("role", 1) })).await;
    assert_eq!(second, Err(Conflict::Expectation(Box::new(from(0)))));
    assert_eq!(store.sealed("role").await.unwrap(), Some(sealed("role", 1)));
    try_write(&*store, vec![from(1)], put(sealed("role", 2))).await.unwrap();
    assert_eq!(store.sealed("role").await.unwrap(), Some(sealed("role", 2)));
}

pub async fn all_sealed_rows_come_ordered_by_name(store: Arc<dyn Store>) {
    for name in ["tls", "audit", "role/b", "role/a"] {
        write(&*store, put(sealed(name, 1))).await;
    }
    let names: Vec<_> = store.all_sealed().await.unwrap().into_iter().map(|row| row.name).collect();
    assert_eq!(names, ["audit", "role/a", "role/b", "tls"]);
}

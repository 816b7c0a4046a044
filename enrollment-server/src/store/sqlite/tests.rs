//! The suite on SQLite, and what only a file can do.

use std::{path::Path, sync::Arc};

use issuance::store::Store;
use tempfile::TempDir;

use super::{SqliteStore, StoreOptions};

async fn make() -> (TempDir, Arc<dyn Store>) {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path());
    (directory, Arc::new(store))
}

fn open(directory: &Path) -> SqliteStore {
    SqliteStore::open(directory.join("chancery.db"), StoreOptions::new("main")).unwrap()
}

issuance::store_suite!(make);

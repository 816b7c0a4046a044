//! Which store, and whichever it is.

use std::{path::PathBuf, sync::Arc};

use issuance::store::Store;

use super::{
    CommitObserver,
    postgres::{self, DatabaseUrl, PostgresOptions, PostgresStore},
    sqlite::{self, SqliteStore, StoreOptions},
};

/// Where rows are kept.
#[derive(Clone, Debug)]
pub enum StoreLocation {
    /// In this file.
    Sqlite(PathBuf),
    /// In this database.
    Postgres(DatabaseUrl),
}

/// A store that is open.
#[derive(Clone, Debug)]
pub enum OpenStore {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>),
}

/// Why a store was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenStoreError {
    #[error("{}", path.display())]
    Sqlite { path: PathBuf, source: sqlite::OpenError },
    #[error("{url}")]
    Postgres { url: DatabaseUrl, source: postgres::OpenError },
    #[error("the thread that opens the database ended")]
    Thread,
}

impl StoreLocation {
    /// In the database, or in the file where none is given.
    pub fn choose(database: Option<DatabaseUrl>, file: PathBuf) -> Self {
        database.map_or(Self::Sqlite(file), Self::Postgres)
    }

    /// Opens the store, makes it where there is none, and brings its schema up to date. Commits are recorded in the
    /// audit stream of this name, or in streams whose names begin with it.
    ///
    /// # Errors
    /// A store that cannot be reached or written, is not ours, or belongs to a newer program.
    pub async fn open(
        &self,
        stream: &str,
        observer: Option<Arc<dyn CommitObserver>>,
    ) -> Result<OpenStore, OpenStoreError> {
        match self {
            Self::Sqlite(path) => {
                let (file, options) = (path.clone(), StoreOptions { observer, ..StoreOptions::new(stream) });
                let opened = tokio::task::spawn_blocking(move || SqliteStore::open(file, options)).await;
                let store = opened
                    .map_err(|_| OpenStoreError::Thread)?
                    .map_err(|source| OpenStoreError::Sqlite { path: path.clone(), source })?;
                Ok(OpenStore::Sqlite(Arc::new(store)))
            }
            Self::Postgres(url) => {
                let options = PostgresOptions { observer, ..PostgresOptions::new(url.clone(), stream) };
                let store = PostgresStore::open(options).await;
                let store = store.map_err(|source| OpenStoreError::Postgres { url: url.clone(), source })?;
                Ok(OpenStore::Postgres(Arc::new(store)))
            }
        }
    }
}

impl OpenStore {
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => store.clone(),
            Self::Postgres(store) => store.clone(),
        }
    }

    /// Finishes what was begun and closes; later calls are unavailable.
    pub async fn shutdown(&self) {
        match self {
            Self::Sqlite(store) => store.shutdown().await,
            Self::Postgres(store) => store.shutdown().await,
        }
    }
}

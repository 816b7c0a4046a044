//! The connections that read.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use issuance::store::{StoreError, StoreResult};
use rusqlite::Connection;
use tokio::sync::Semaphore;

use super::{
    connection::{self, Settings},
    failure::Failure,
};

/// Connections kept for the next read; more are opened while more read at once.
const KEPT: usize = 8;

/// Lists at once: each may walk a table, and the disk is shared with the commits.
const SCANS: usize = 4;

pub(super) struct Readers {
    settings: Settings,
    /// None once closed.
    idle: Mutex<Option<Vec<Connection>>>,
    scans: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(settings: Settings) -> Self {
        Self { settings, idle: Mutex::new(Some(Vec::new())), scans: Arc::new(Semaphore::new(SCANS)) }
    }

    /// Reads a few rows by an index, on the thread that asks.
    pub(super) fn point<T>(&self, read: impl FnOnce(&Connection) -> Result<T, Failure>) -> StoreResult<T> {
        let connection = self.take()?;
        let result = read(&connection).map_err(StoreError::from);
        // One that failed may hold a handle to a disk that has gone: the next read opens a new one.
        if !matches!(result, Err(StoreError::Unavailable(_))) {
            self.put_back(connection);
        }
        result
    }

    /// Reads what may take long, on a thread that may block. Its place is taken until it ends, even if nobody waits for it
    /// any more.
    pub(super) async fn scan<T: Send + 'static>(
        self: &Arc<Self>,
        read: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> StoreResult<T> {
        let permit = self.scans.clone().acquire_owned().await.map_err(|_| closed())?;
        let readers = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            readers.point(read)
        });
        read.await.map_err(|error| StoreError::Unavailable(format!("a read did not end: {error}")))?
    }

    pub(super) fn close(&self) {
        self.scans.close();
        *self.idle.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn take(&self) -> StoreResult<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = idle.as_mut().ok_or_else(closed)?.pop() {
            return Ok(connection);
        }
        drop(idle);
        connection::open_reader(&self.settings).map_err(|error| StoreError::Unavailable(error.to_string()))
    }

    fn put_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = idle.as_mut().filter(|connections| connections.len() < KEPT) {
            connections.push(connection);
        }
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("settings", &self.settings).finish_non_exhaustive()
    }
}

pub(super) fn closed() -> StoreError {
    StoreError::Unavailable("the store is closed".into())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::{
        super::{SqliteStore, StoreOptions},
        *,
    };

    #[tokio::test]
    async fn a_walk_that_nobody_waits_for_any_more_keeps_its_place_until_it_ends() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(directory.path().join("store.db"), StoreOptions::new("test")).unwrap();
        let readers = &store.readers;
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let mut ends = Vec::new();
        for _ in 0..SCANS {
            let (begun, (end, ended)) = (begun.clone(), mpsc::channel::<()>());
            ends.push(end);
            let mut walk = Box::pin(readers.scan(move |_| {
                begun.send(()).unwrap();
                ended.recv().unwrap();
                Ok(())
            }));
            assert!(futures::poll!(&mut walk).is_pending());
            begins.recv().await.unwrap();
        }
        assert_eq!(readers.scans.available_permits(), 0);
        let mut next = Box::pin(readers.scan(|_| Ok(())));
        assert!(futures::poll!(&mut next).is_pending());
        ends.pop().unwrap().send(()).unwrap();
        next.await.unwrap();
        drop(ends);
    }
}

//! The sessions with the database.
//!
//! The one used last is taken first, so that no more sessions, and no more audit streams, come to be than are in use
//! at once.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    connect::{Connection, Connector},
    failure::Failure,
};

pub(super) struct Pool {
    connector: Arc<Connector>,
    connections: u32,
    permits: Arc<Semaphore>,
    /// None once closed.
    idle: Mutex<Option<Vec<Connection>>>,
    acquire_timeout: Duration,
}

/// A session in use; given back when dropped, unless it is broken or something in it was begun and not ended.
pub(super) struct Lease {
    /// None once given up.
    connection: Option<Connection>,
    pool: Arc<Pool>,
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(connector: Arc<Connector>, connections: u32, acquire_timeout: Duration) -> Self {
        let permits = Arc::new(Semaphore::new(usize::try_from(connections).unwrap_or(usize::MAX >> 4)));
        Self { connector, connections, permits, idle: Mutex::new(Some(Vec::new())), acquire_timeout }
    }

    /// A session of one's own, waited for no longer than the pool allows.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Lease, Failure> {
        let permit = timeout(self.acquire_timeout, self.permits.clone().acquire_owned()).await;
        let permit = permit
            .map_err(|_| {
                Failure::Unavailable(format!("all {} connections to the database are busy", self.connections))
            })?
            .map_err(|_| closed())?;
        let connection = match self.pop()? {
            Some(connection) => connection,
            None => timeout(self.acquire_timeout, self.connector.connect()).await.map_err(|_| {
                Failure::Unavailable("the database took too long to let a connection in".into())
            })??,
        };
        Ok(Lease { connection: Some(connection), pool: self.clone(), _permit: permit })
    }

    /// Lets nobody in any more, waits a while for those inside, and ends all sessions.
    pub(super) async fn close(&self) {
        if timeout(self.acquire_timeout, self.permits.acquire_many(self.connections)).await.is_err() {
            tracing::warn!("connections to the database were still in use when the store was closed");
        }
        self.permits.close();
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).take();
        let goodbyes = idle.into_iter().flatten().map(Connection::close);
        if timeout(self.acquire_timeout, join_all(goodbyes)).await.is_err() {
            tracing::warn!("the database did not take leave in time");
        }
    }

    fn pop(&self) -> Result<Option<Connection>, Failure> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = idle.as_mut().ok_or_else(closed)?;
        // Those that ended while nobody used them are dropped on the way.
        while let Some(connection) = connections.pop() {
            if !connection.client.is_closed() {
                return Ok(Some(connection));
            }
        }
        Ok(None)
    }

    fn push(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connections) = idle.as_mut() {
            connections.push(connection);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("connections", &self.connections).finish_non_exhaustive()
    }
}

impl Lease {
    pub(super) fn connection(&mut self) -> Result<&mut Connection, Failure> {
        self.connection.as_mut().ok_or_else(closed)
    }

    /// Ends the session: after a failure it may speak with a server that has become a standby, or be half dead.
    pub(super) fn discard(mut self) {
        self.connection = None;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && !connection.busy
            && !connection.client.is_closed()
        {
            self.pool.push(connection);
        }
    }
}

fn closed() -> Failure {
    Failure::Unavailable("the store is closed".into())
}

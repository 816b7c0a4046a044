//! Rows in PostgreSQL 15 or later, for many servers on one database.
//!
//! ```text
//! commit ─► commit.rs: order.rs (statements) ─► one session of pool.rs ─► BEGIN … COMMIT ─► NOTIFY
//!                      locks.rs, trail.rs                                                    │
//! subscribers ◄──────────────────────────── news.rs, a session of its own ◄─────────────────┘
//! ```
//!
//! Each commit is a transaction of its own; PostgreSQL lets those that wait for the disk at once share the wait. What
//! commits have in common is kept apart, so that they do not wait for each other: an audit stream for each session,
//! uses counted for each stream, no foreign keys to shared rows. The reasons are in `docs/adr/0010-postgresql.md`.
//!
//! | file | what |
//! | --- | --- |
//! | `url.rs` | where the database is: TLS by default, the password never shown |
//! | `connect.rs`, `pool.rs` | sessions, and how many |
//! | `migrate.rs`, `migrations/` | the schema and its versions |
//! | `commit.rs` | a transaction, its retries, and answers that were lost |
//! | `order.rs` | the statements of one commit |
//! | `locks.rs` | what is held on to that is not a row |
//! | `trail.rs` | which session appends to which audit stream |
//! | `news.rs` | what other replicas changed |
//! | `claims.rs` | what may be used once |
//! | `certificates.rs`, `requests.rs`, `credentials.rs`, `crls.rs`, `sealed.rs`, `jobs.rs`, `audit.rs`, `acme.rs`, `rest.rs`, `usage.rs` | one aggregate each: its reads and its statements |
//! | `documents.rs` | rows that are JSON documents |
//! | `columns.rs` | columns to types and back |
//! | `failure.rs` | what PostgreSQL's errors mean to the caller |

mod acme;
mod audit;
mod certificates;
mod claims;
mod columns;
mod commit;
mod connect;
mod credentials;
mod crls;
mod documents;
mod failure;
mod jobs;
mod locks;
mod migrate;
mod news;
mod order;
mod pool;
mod requests;
mod rest;
mod scope;
mod sealed;
#[cfg(test)]
mod tests;
mod trail;
mod url;
mod usage;

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use issuance::{
    acme::{AccountRow, OrderRow},
    audit::{AuditRecord, Checkpoint},
    credential::{CredentialRow, CredentialUsage},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId},
    rest::OrderRow as RestOrderRow,
    store::{
        AcmeAccountFilter, Announcer, CertificateFilter, CertificateRow, Commit, Committed, Conflict,
        CredentialFilter, CrlRow, Cursor, Job, JobKind, JobLease, Page, RequestFilter, RequestKey,
        RequestRow, RestOrderFilter, SealedRow, Store, StoreError, StoreResult, Subscription, claim_key,
    },
};
use pki::{crl::RevokedEntry, serial::SerialNumber, time::Time};
use tokio::{sync::Semaphore, task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

use self::{commit::Committer, connect::Connector, failure::Failure, news::Listener, pool::Pool};
use super::CommitObserver;

pub use migrate::OpenError;
pub use url::{DatabaseUrl, UrlError};

/// One database. Cheap to share behind an `Arc`.
pub struct PostgresStore {
    url: DatabaseUrl,
    pool: Arc<Pool>,
    committer: Arc<Committer>,
    /// Lists at once: each may walk a table, and commits need connections too.
    scans: Semaphore,
    read_limit: Duration,
    announcer: Announcer,
    closing: CancellationToken,
    listener: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    pub url: DatabaseUrl,
    /// The audit streams of commits through this store are `stream/0`, `stream/1`, ... Several stores may have the
    /// same.
    pub stream: String,
    /// Most sessions at once, beside the one that listens.
    pub max_connections: u32,
    /// How long to wait for a session, for a lock, and for a lost answer.
    pub acquire_timeout: Duration,
    /// How long one statement may take.
    pub statement_timeout: Duration,
    /// Hears of every transaction.
    pub observer: Option<Arc<dyn CommitObserver>>,
}

impl PostgresOptions {
    pub fn new(url: DatabaseUrl, stream: impl Into<String>) -> Self {
        Self {
            url,
            stream: stream.into(),
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            observer: None,
        }
    }
}

impl PostgresStore {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// A database that cannot be reached, is not ours, or belongs to a newer program.
    pub async fn open(options: PostgresOptions) -> Result<Self, OpenError> {
        if options.max_connections == 0 || options.stream.is_empty() || options.stream.contains(['/', '\0']) {
            return Err(OpenError::Options);
        }
        if options.url.is_exposed() {
            tracing::warn!(url = %options.url, "sslmode=disable: the database is spoken to in the open");
        }
        let connector = Arc::new(Connector::new(&options)?);
        let pool = Arc::new(Pool::new(connector.clone(), options.max_connections, options.acquire_timeout));
        let mut lease = pool.take().await?;
        let client = &mut lease.connection()?.client;
        migrate::check_server(client).await?;
        migrate::migrate(client).await?;
        drop(lease);
        let announcer = Announcer::new();
        let listener = Listener::open(connector, announcer.clone(), options.acquire_timeout).await?;
        let closing = CancellationToken::new();
        let listener = tokio::spawn(listener.run(closing.clone()));
        let scans = usize::try_from(options.max_connections.div_ceil(4)).unwrap_or(1);
        Ok(Self {
            committer: Arc::new(Committer::new(pool.clone(), &options)),
            pool,
            scans: Semaphore::new(scans),
            read_limit: options.statement_timeout + options.acquire_timeout,
            announcer,
            closing,
            listener: std::sync::Mutex::new(Some(listener)),
            url: options.url,
        })
    }

    /// Finishes what was begun and ends all sessions; later calls are unavailable.
    pub async fn shutdown(&self) {
        self.closing.cancel();
        let listener = self.listener.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(listener) = listener
            && let Err(error) = listener.await
        {
            tracing::warn!(%error, "the task that listens to the database failed");
        }
        self.pool.close().await;
    }

    async fn scan(&self) -> StoreResult<tokio::sync::SemaphorePermit<'_>> {
        self.scans.acquire().await.map_err(|_| StoreError::Unavailable("the store is closed".into()))
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// Reads by one session; once more by another, where the first turned out to have ended. A macro, because a closure
/// cannot say that what it returns borrows from its argument and may move between threads.
macro_rules! read {
    ($store:expr, $connection:ident => $read:expr) => {{
        let mut fresh = false;
        loop {
            let mut lease = $store.pool.take().await?;
            let $connection = lease.connection()?;
            let outcome = timeout($store.read_limit, $read).await;
            match outcome.unwrap_or_else(|_| Err(Failure::Unavailable("the database did not answer".into())))
            {
                Ok(rows) => break Ok(rows),
                Err(failure) => {
                    lease.discard();
                    if fresh || !failure.is_passing() {
                        break Err(failure.into());
                    }
                    fresh = true;
                }
            }
        }
    }};
}

#[async_trait]
impl Store for PostgresStore {
    /// In a task of its own: whoever asked may go away, and the session is not lost for that.
    async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let committer = self.committer.clone();
        let task = tokio::spawn(async move { committer.commit(&commit).await });
        task.await.map_err(|error| StoreError::Unavailable(format!("a commit did not end: {error}")))?
    }

    async fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> StoreResult<Option<CertificateRow>> {
        read!(self, connection => certificates::find(connection, issuer, serial))
    }

    async fn certificates_by_serial(&self, serial: &SerialNumber) -> StoreResult<Vec<CertificateRow>> {
        read!(self, connection => certificates::find_by_serial(connection, serial))
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CertificateRow)>> {
        let _scan = self.scan().await?;
        read!(self, connection => certificates::list(connection, filter, page))
    }

    async fn revoked(
        &self,
        issuer: KeyId,
        expired_before: Time,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> StoreResult<Vec<RevokedEntry>> {
        let _scan = self.scan().await?;
        read!(self, connection => certificates::revoked(connection, issuer, expired_before, after.copied(), limit))
    }

    async fn request(&self, id: &RequestId) -> StoreResult<Option<RequestRow>> {
        read!(self, connection => requests::find(connection, id))
    }

    async fn request_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RequestRow>> {
        read!(self, connection => requests::find_by_key(connection, method, key))
    }

    async fn requests(&self, filter: &RequestFilter, page: &Page) -> StoreResult<Vec<(Cursor, RequestRow)>> {
        let _scan = self.scan().await?;
        read!(self, connection => requests::list(connection, filter, page))
    }

    async fn credential(&self, id: &CredentialId) -> StoreResult<Option<CredentialRow>> {
        read!(self, connection => credentials::find(connection, id))
    }

    async fn credentials_for(
        &self,
        method: &ResourceName,
        username: &str,
    ) -> StoreResult<Vec<CredentialRow>> {
        read!(self, connection => credentials::find_for(connection, method, username))
    }

    async fn credential_by_access_key(&self, name: &str) -> StoreResult<Option<CredentialRow>> {
        read!(self, connection => credentials::find_by_access_key(connection, name))
    }

    async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CredentialRow)>> {
        let _scan = self.scan().await?;
        read!(self, connection => credentials::list(connection, filter, page))
    }

    async fn credential_usages(&self, credentials: &[CredentialId]) -> StoreResult<Vec<CredentialUsage>> {
        read!(self, connection => usage::find(connection, credentials))
    }

    async fn latest_crl(&self, issuer: KeyId) -> StoreResult<Option<CrlRow>> {
        read!(self, connection => crls::latest(connection, issuer))
    }

    async fn sealed(&self, name: &str) -> StoreResult<Option<SealedRow>> {
        read!(self, connection => sealed::find(connection, name))
    }

    async fn all_sealed(&self) -> StoreResult<Vec<SealedRow>> {
        read!(self, connection => sealed::all(connection))
    }

    async fn lease_jobs(
        &self,
        kinds: &[JobKind],
        lease: &JobLease,
        now: Time,
        limit: usize,
    ) -> StoreResult<Vec<Job>> {
        read!(self, connection => jobs::lease(connection, kinds, lease, now, limit))
    }

    async fn next_job(&self, kinds: &[JobKind]) -> StoreResult<Option<Time>> {
        read!(self, connection => jobs::next(connection, kinds))
    }

    async fn audit_streams(&self) -> StoreResult<Vec<String>> {
        read!(self, connection => audit::streams(connection))
    }

    async fn audit_records(&self, stream: &str, after: u64, limit: usize) -> StoreResult<Vec<AuditRecord>> {
        let _scan = self.scan().await?;
        read!(self, connection => audit::records(connection, stream, after, limit))
    }

    async fn audit_head(&self, stream: &str) -> StoreResult<Option<AuditRecord>> {
        read!(self, connection => audit::head(connection, stream))
    }

    async fn checkpoints(&self) -> StoreResult<Vec<Checkpoint>> {
        read!(self, connection => audit::checkpoints(connection))
    }

    async fn acme_account(&self, id: &AcmeAccountId) -> StoreResult<Option<AccountRow>> {
        read!(self, connection => acme::account(connection, id))
    }

    async fn acme_account_by_key(
        &self,
        method: &ResourceName,
        thumbprint: &[u8; 32],
    ) -> StoreResult<Option<AccountRow>> {
        read!(self, connection => acme::account_by_key(connection, method, thumbprint))
    }

    async fn acme_accounts(
        &self,
        filter: &AcmeAccountFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, AccountRow)>> {
        let _scan = self.scan().await?;
        read!(self, connection => acme::accounts(connection, filter, page))
    }

    async fn acme_order(&self, id: &AcmeOrderId) -> StoreResult<Option<OrderRow>> {
        read!(self, connection => acme::order(connection, id))
    }

    async fn acme_orders_of(
        &self,
        account: &AcmeAccountId,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, OrderRow)>> {
        read!(self, connection => acme::orders_of(connection, account, page))
    }

    async fn acme_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<OrderRow>> {
        read!(self, connection => acme::order_replacing(connection, method, issuer, serial))
    }

    async fn acme_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        read!(self, connection => acme::any_to_sweep(connection, now))
    }

    async fn rest_order(&self, id: &RestOrderId) -> StoreResult<Option<RestOrderRow>> {
        read!(self, connection => rest::order(connection, id))
    }

    async fn rest_order_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RestOrderRow>> {
        read!(self, connection => rest::order_by_key(connection, method, key))
    }

    async fn rest_order_of(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        read!(self, connection => rest::order_of(connection, method, issuer, serial))
    }

    async fn rest_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        read!(self, connection => rest::order_replacing(connection, method, issuer, serial))
    }

    async fn rest_orders(
        &self,
        filter: &RestOrderFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, RestOrderRow)>> {
        let _scan = self.scan().await?;
        read!(self, connection => rest::orders(connection, filter, page))
    }

    async fn rest_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        read!(self, connection => rest::any_to_sweep(connection, now))
    }

    async fn claim_once(&self, scope: &str, token: &[u8], until: Time) -> StoreResult<bool> {
        let key = claim_key(scope, token);
        read!(self, connection => claims::claim(connection, &key, until))
    }

    fn claims_are_shared(&self) -> bool {
        true
    }

    async fn sweep_claims(&self, now: Time) -> StoreResult<()> {
        loop {
            let swept: StoreResult<bool> = read!(self, connection => claims::sweep(connection, now));
            if !swept? {
                return Ok(());
            }
        }
    }

    async fn check(&self) -> StoreResult<()> {
        Ok(self.committer.check().await?)
    }

    fn subscribe(&self) -> Subscription {
        self.announcer.subscribe()
    }
}

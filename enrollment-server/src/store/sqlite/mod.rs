//! Rows in one SQLite file, for one server and the command-line programs beside it.
//!
//! All changes go through the one connection that writes. Whoever has it takes whatever commits are waiting, makes them
//! in one transaction, and answers all of them once that is on the disk: a commit that finds it idle starts at once;
//! under load, many share the cost of one `fsync`. While the disk is quick, whoever commits does so on its own thread;
//! else, and wherever it may take long, a thread that has nothing else to do does it for everybody.
//!
//! A read of one row runs where it was called: it waits for no writer (write-ahead log), and a thread to hop to
//! would cost more than the row. Lists, which may walk a table, run on tokio's threads for blocking work.
//!
//! | file | what |
//! | --- | --- |
//! | `connection.rs` | how a connection is opened: the file's mode, the pragmas |
//! | `migrate.rs`, `migrations/` | the schema and its versions |
//! | `writer.rs` | who commits, and when |
//! | `committer.rs` | the connection that writes: transactions |
//! | `readers.rs` | the connections that read |
//! | `apply.rs` | one commit: what it expects, what it writes |
//! | `recent.rs` | orders that were committed a moment ago |
//! | `certificates.rs`, `requests.rs`, `credentials.rs`, `crls.rs`, `sealed.rs`, `jobs.rs`, `audit.rs`, `acme.rs`, `rest.rs`, `usage.rs` | one aggregate each: its reads and its writes |
//! | `documents.rs` | rows that are JSON documents |
//! | `names.rs` | names that rows refer to by number |
//! | `columns.rs` | columns to types and back |
//! | `failure.rs` | what SQLite's errors mean to the caller |

mod acme;
mod apply;
mod audit;
mod certificates;
mod columns;
mod committer;
mod connection;
mod credentials;
mod crls;
mod documents;
mod failure;
mod jobs;
mod migrate;
mod names;
mod readers;
mod recent;
mod requests;
mod rest;
mod scope;
mod sealed;
#[cfg(test)]
mod tests;
mod usage;
mod writer;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use issuance::{
    acme::{AccountRow, OrderRow},
    audit::{AuditRecord, Checkpoint},
    credential::{CredentialRow, CredentialUsage},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId},
    rest::OrderRow as RestOrderRow,
    store::{
        AcmeAccountFilter, Announcer, CertificateFilter, CertificateRow, Claims, Commit, Committed, Conflict,
        CredentialFilter, CrlRow, Cursor, Job, JobKind, JobLease, News, Page, RequestFilter, RequestKey,
        RequestRow, RestOrderFilter, SealedRow, Store, StoreResult, Subscription,
    },
};
use pki::{crl::RevokedEntry, serial::SerialNumber, time::Time};

use self::{connection::Settings, readers::Readers, recent::RecentOrders, writer::Writer};

pub use migrate::OpenError;

/// One database file. Cheap to share behind an `Arc`.
pub struct SqliteStore {
    path: PathBuf,
    readers: Arc<Readers>,
    writer: Writer,
    recent: Arc<RecentOrders>,
    claims: Claims,
    announcer: Announcer,
}

/// How a database is opened.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The audit stream that commits through this store are appended to.
    pub stream: String,
    /// How long to wait while another process holds the database, before a commit is unavailable.
    pub busy_timeout: Duration,
    /// Hears of every transaction.
    pub observer: Option<Arc<dyn CommitObserver>>,
    /// The size at which the disk is to appear full.
    #[cfg(test)]
    pub(crate) maximum_pages: Arc<std::sync::atomic::AtomicU32>,
}

/// Hears of transactions: for metrics.
pub trait CommitObserver: Send + Sync + fmt::Debug {
    /// `commits` commits reached the disk together, `duration` after the first of them was begun.
    fn committed(&self, duration: Duration, commits: usize);
}

impl StoreOptions {
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            busy_timeout: Duration::from_secs(5),
            observer: None,
            #[cfg(test)]
            maximum_pages: Arc::new(u32::MAX.into()),
        }
    }
}

impl SqliteStore {
    /// Opens the file, makes it where there is none (readable by its owner only), and brings its schema up to date.
    /// Blocks.
    ///
    /// # Errors
    /// A file that cannot be opened or written, is not ours, or belongs to a newer program.
    pub fn open(path: impl AsRef<Path>, options: StoreOptions) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let settings = Settings::new(path.clone(), &options);
        let mut connection = connection::create(&settings)?;
        migrate::migrate(&mut connection)?;
        let readers = Arc::new(Readers::new(settings.clone()));
        let recent = Arc::<RecentOrders>::default();
        let writer = Writer::start(settings, connection, options, recent.clone())?;
        Ok(Self { path, readers, writer, recent, claims: Claims::default(), announcer: Announcer::new() })
    }

    /// Commits what is waiting, writes the log back into the database file and ends; later commits are unavailable.
    pub async fn shutdown(&self) {
        self.writer.close().await;
        self.readers.close();
    }

    /// Reads every page and says what is wrong with the file; empty where nothing is. Takes as long as reading
    /// the file does.
    ///
    /// # Errors
    /// Where the file cannot be read at all.
    pub async fn integrity(&self) -> StoreResult<Vec<String>> {
        self.readers
            .scan(|connection| {
                let mut statement = connection.prepare("PRAGMA quick_check")?;
                let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
                let lines: Vec<String> = lines.collect::<Result<_, _>>()?;
                Ok(lines.into_iter().filter(|line| line != "ok").collect())
            })
            .await
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.path).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let news = News::of(&commit);
        let outcome = self.writer.commit(commit).await;
        if let Ok(Ok(_)) = &outcome {
            self.announcer.announce(news);
        }
        outcome
    }

    async fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> StoreResult<Option<CertificateRow>> {
        self.readers.point(|connection| certificates::find(connection, issuer, serial))
    }

    async fn certificates_by_serial(&self, serial: &SerialNumber) -> StoreResult<Vec<CertificateRow>> {
        self.readers.point(|connection| certificates::find_by_serial(connection, serial))
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CertificateRow)>> {
        let (filter, page) = (filter.clone(), *page);
        self.readers.scan(move |connection| certificates::list(connection, &filter, &page)).await
    }

    async fn revoked(
        &self,
        issuer: KeyId,
        expired_before: Time,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> StoreResult<Vec<RevokedEntry>> {
        let after = after.copied();
        self.readers
            .scan(move |connection| certificates::revoked(connection, issuer, expired_before, after, limit))
            .await
    }

    async fn request(&self, id: &RequestId) -> StoreResult<Option<RequestRow>> {
        self.readers.point(|connection| requests::find(connection, id))
    }

    async fn request_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RequestRow>> {
        self.readers.point(|connection| requests::find_by_key(connection, method, key))
    }

    async fn requests(&self, filter: &RequestFilter, page: &Page) -> StoreResult<Vec<(Cursor, RequestRow)>> {
        let (filter, page) = (filter.clone(), *page);
        self.readers.scan(move |connection| requests::list(connection, &filter, &page)).await
    }

    async fn credential(&self, id: &CredentialId) -> StoreResult<Option<CredentialRow>> {
        self.readers.point(|connection| credentials::find(connection, id))
    }

    async fn credentials_for(
        &self,
        method: &ResourceName,
        username: &str,
    ) -> StoreResult<Vec<CredentialRow>> {
        self.readers.point(|connection| credentials::find_for(connection, method, username))
    }

    async fn credential_by_access_key(&self, name: &str) -> StoreResult<Option<CredentialRow>> {
        self.readers.point(|connection| credentials::find_by_access_key(connection, name))
    }

    async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CredentialRow)>> {
        let (filter, page) = (filter.clone(), *page);
        self.readers.scan(move |connection| credentials::list(connection, &filter, &page)).await
    }

    async fn credential_usages(&self, credentials: &[CredentialId]) -> StoreResult<Vec<CredentialUsage>> {
        let credentials = credentials.to_vec();
        self.readers.scan(move |connection| usage::find(connection, &credentials)).await
    }

    async fn latest_crl(&self, issuer: KeyId) -> StoreResult<Option<CrlRow>> {
        self.readers.scan(move |connection| crls::latest(connection, issuer)).await
    }

    async fn sealed(&self, name: &str) -> StoreResult<Option<SealedRow>> {
        self.readers.point(|connection| sealed::find(connection, name))
    }

    async fn all_sealed(&self) -> StoreResult<Vec<SealedRow>> {
        self.readers.scan(sealed::all).await
    }

    async fn lease_jobs(
        &self,
        kinds: &[JobKind],
        lease: &JobLease,
        now: Time,
        limit: usize,
    ) -> StoreResult<Vec<Job>> {
        let request = jobs::LeaseRequest { kinds: kinds.to_vec(), lease: lease.clone(), now, limit };
        // Looking costs no transaction, and mostly there is nothing to take.
        if self.readers.point(|connection| jobs::any_due(connection, &request))? {
            self.writer.lease(request).await
        } else {
            Ok(Vec::new())
        }
    }

    async fn next_job(&self, kinds: &[JobKind]) -> StoreResult<Option<Time>> {
        self.readers.point(|connection| jobs::next(connection, kinds))
    }

    async fn audit_streams(&self) -> StoreResult<Vec<String>> {
        self.readers.point(audit::streams)
    }

    async fn audit_records(&self, stream: &str, after: u64, limit: usize) -> StoreResult<Vec<AuditRecord>> {
        let stream = stream.to_owned();
        self.readers.scan(move |connection| audit::records(connection, &stream, after, limit)).await
    }

    async fn audit_head(&self, stream: &str) -> StoreResult<Option<AuditRecord>> {
        self.readers.point(|connection| audit::head(connection, stream))
    }

    async fn checkpoints(&self) -> StoreResult<Vec<Checkpoint>> {
        self.readers.scan(audit::checkpoints).await
    }

    async fn acme_account(&self, id: &AcmeAccountId) -> StoreResult<Option<AccountRow>> {
        self.readers.point(|connection| acme::account(connection, id))
    }

    async fn acme_account_by_key(
        &self,
        method: &ResourceName,
        thumbprint: &[u8; 32],
    ) -> StoreResult<Option<AccountRow>> {
        self.readers.point(|connection| acme::account_by_key(connection, method, thumbprint))
    }

    async fn acme_accounts(
        &self,
        filter: &AcmeAccountFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, AccountRow)>> {
        let (filter, page) = (filter.clone(), *page);
        self.readers.scan(move |connection| acme::accounts(connection, &filter, &page)).await
    }

    async fn acme_order(&self, id: &AcmeOrderId) -> StoreResult<Option<OrderRow>> {
        match self.recent.get(id) {
            Some(row) => Ok(Some(row)),
            None => self.readers.point(|connection| acme::order(connection, id)),
        }
    }

    async fn acme_orders_of(
        &self,
        account: &AcmeAccountId,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, OrderRow)>> {
        let (account, page) = (account.clone(), *page);
        self.readers.scan(move |connection| acme::orders_of(connection, &account, &page)).await
    }

    async fn acme_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<OrderRow>> {
        self.readers.point(|connection| acme::order_replacing(connection, method, issuer, serial))
    }

    async fn acme_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        self.readers.point(|connection| acme::any_to_sweep(connection, now))
    }

    async fn rest_order(&self, id: &RestOrderId) -> StoreResult<Option<RestOrderRow>> {
        self.readers.point(|connection| rest::order(connection, id))
    }

    async fn rest_order_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.readers.point(|connection| rest::order_by_key(connection, method, key))
    }

    async fn rest_order_of(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.readers.point(|connection| rest::order_of(connection, method, issuer, serial))
    }

    async fn rest_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.readers.point(|connection| rest::order_replacing(connection, method, issuer, serial))
    }

    async fn rest_orders(
        &self,
        filter: &RestOrderFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, RestOrderRow)>> {
        let (filter, page) = (filter.clone(), *page);
        self.readers.scan(move |connection| rest::orders(connection, &filter, &page)).await
    }

    async fn rest_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        self.readers.point(|connection| rest::any_to_sweep(connection, now))
    }

    async fn claim_once(&self, scope: &str, token: &[u8], until: Time) -> StoreResult<bool> {
        self.claims.claim_once(scope, token, until)
    }

    fn claims_are_shared(&self) -> bool {
        false
    }

    async fn sweep_claims(&self, now: Time) -> StoreResult<()> {
        self.claims.sweep(now);
        Ok(())
    }

    async fn check(&self) -> StoreResult<()> {
        self.writer.check().await
    }

    /// Of this process alone: a command-line program beside it is not heard.
    fn subscribe(&self) -> Subscription {
        self.announcer.subscribe()
    }
}

//! The store's port, shaped for many replicas on one database.
//!
//! Everything that changes goes through [`Store::commit`]: all of it or none, durable before it returns, guarded by
//! what the caller expects to be still true. Reads see every commit that was answered before they began.
//!
//! | file | what |
//! | --- | --- |
//! | `rows.rs` | certificates, requests, CRLs, sealed secrets |
//! | `commit.rs` | expectations, writes, conflicts |
//! | `jobs.rs` | work that is leased |
//! | `page.rs` | filters and cursors |
//! | `scope.rs` | the methods whose rows somebody sees |
//! | `news.rs` | word of what changed, across replicas |
//! | `claims.rs` | what may be used once, where one process is all there is |
//! | `memory.rs` | the store in memory: for tests of the core, and the plain meaning of the port |
//! | `suite.rs` | what every implementation must do |

mod claims;
mod commit;
mod jobs;
pub mod memory;
mod news;
mod page;
mod rows;
mod scope;
#[cfg(any(test, feature = "suite"))]
pub mod suite;

use async_trait::async_trait;
use pki::{crl::RevokedEntry, serial::SerialNumber, time::Time};

pub use claims::{ClaimKey, Claims, claim_key};
pub use commit::{Commit, Committed, Conflict, Expect, Write};
pub use jobs::{Job, JobKind, JobLease};
pub use news::{Announcer, News, Subscription};
pub use page::{
    AcmeAccountFilter, CertificateFilter, CertificateState, CredentialFilter, Cursor, NamePart, Page,
    RequestFilter, RestOrderFilter,
};
pub use rows::{
    CertificateRow, CertificateStatus, CrlRow, Decider, Decision, RequestKey, RequestRow, RequestState,
    SealedRow,
};
pub use scope::MethodScope;

use crate::{
    acme::{AccountRow, OrderRow},
    audit::{self, AuditPage, AuditQuery, AuditRecord, Checkpoint},
    credential::{CredentialRow, CredentialUsage},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId},
    rest::OrderRow as RestOrderRow,
};

/// Why the store did not answer. Whether the change was made is never in doubt: it was not.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Locked, full, read-only, out of reach. The same call may succeed later.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// A row that does not hold what we wrote.
    #[error("the store holds a row that cannot be read: {0}")]
    Corrupt(String),
}

pub type StoreResult<T> = Result<T, StoreError>;

/// Rows of one database.
#[async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Checks what is expected, makes all the writes and appends the audit events, in one durable step.
    ///
    /// # Errors
    /// `Ok(Err(conflict))` when an expectation does not hold or a unique row exists: nothing was written.
    /// [`StoreError::Unavailable`] when nothing was written for another reason.
    async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>>;

    async fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> StoreResult<Option<CertificateRow>>;

    /// Rows with this serial number, whoever issued them: for operators who have nothing but a number.
    async fn certificates_by_serial(&self, serial: &SerialNumber) -> StoreResult<Vec<CertificateRow>>;

    /// In the order of issue.
    async fn certificates(
        &self,
        filter: &CertificateFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CertificateRow)>>;

    /// Whatever the CRL of this authority must list: revoked or held, and not expired before `expired_before`
    /// (RFC 5280 §3.3: an entry stays until one CRL after the expiry). Ordered by serial number; at most `limit`
    /// entries after `after`.
    async fn revoked(
        &self,
        issuer: KeyId,
        expired_before: Time,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> StoreResult<Vec<RevokedEntry>>;

    async fn request(&self, id: &RequestId) -> StoreResult<Option<RequestRow>>;

    async fn request_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RequestRow>>;

    /// In the order of arrival.
    async fn requests(&self, filter: &RequestFilter, page: &Page) -> StoreResult<Vec<(Cursor, RequestRow)>>;

    async fn credential(&self, id: &CredentialId) -> StoreResult<Option<CredentialRow>>;

    /// The credentials of a method that this user name may use: those of that name, and those without a name.
    /// Revoked and expired ones included, so that the refusal can say which it was.
    async fn credentials_for(&self, method: &ResourceName, username: &str)
    -> StoreResult<Vec<CredentialRow>>;

    /// The credential of REST, of whatever method, whose access key has this name; revoked and expired ones too.
    async fn credential_by_access_key(&self, name: &str) -> StoreResult<Option<CredentialRow>>;

    /// In the order of creation.
    async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CredentialRow)>>;

    /// How these credentials were used, in the order in which they are asked for; those that do not exist are left out. Ask
    /// for one page of [`Store::credentials`] at a time.
    async fn credential_usages(&self, credentials: &[CredentialId]) -> StoreResult<Vec<CredentialUsage>>;

    /// The newest CRL of an authority.
    async fn latest_crl(&self, issuer: KeyId) -> StoreResult<Option<CrlRow>>;

    async fn sealed(&self, name: &str) -> StoreResult<Option<SealedRow>>;

    /// Every sealed row, ordered by name: what a rotation of the sealing key rewrites.
    async fn all_sealed(&self) -> StoreResult<Vec<SealedRow>>;

    /// Takes due jobs, each for this owner until `until`. A job leased by another is taken once its lease is over.
    async fn lease_jobs(
        &self,
        kinds: &[JobKind],
        lease: &JobLease,
        now: Time,
        limit: usize,
    ) -> StoreResult<Vec<Job>>;

    /// When the next job of these kinds falls due; a leased one does when its lease ends.
    async fn next_job(&self, kinds: &[JobKind]) -> StoreResult<Option<Time>>;

    /// The names of all audit streams, sorted.
    async fn audit_streams(&self) -> StoreResult<Vec<String>>;

    /// Records of a stream with `sequence > after`, in order.
    async fn audit_records(&self, stream: &str, after: u64, limit: usize) -> StoreResult<Vec<AuditRecord>>;

    /// The last record of a stream.
    async fn audit_head(&self, stream: &str) -> StoreResult<Option<AuditRecord>>;

    /// Records of all streams that match, with what to ask next: see [`audit::query`].
    async fn audit_query(&self, query: &AuditQuery) -> StoreResult<AuditPage> {
        audit::query(self, query).await
    }

    /// Checkpoints in the order they were made.
    async fn checkpoints(&self) -> StoreResult<Vec<Checkpoint>>;

    async fn acme_account(&self, id: &AcmeAccountId) -> StoreResult<Option<AccountRow>>;

    /// The account of a method with the key of this thumbprint, whatever its status.
    async fn acme_account_by_key(
        &self,
        method: &ResourceName,
        thumbprint: &[u8; 32],
    ) -> StoreResult<Option<AccountRow>>;

    /// In the order of creation.
    async fn acme_accounts(
        &self,
        filter: &AcmeAccountFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, AccountRow)>>;

    async fn acme_order(&self, id: &AcmeOrderId) -> StoreResult<Option<OrderRow>>;

    /// All orders of an account that are still kept, the newest first.
    async fn acme_orders_of(
        &self,
        account: &AcmeAccountId,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, OrderRow)>>;

    /// The order that is to replace, or replaced, this certificate, and was not recorded as invalid; of several the one
    /// that came furthest, and of those the last. Whether an open one is still good depends on the time:
    /// [`OrderRow::status`].
    async fn acme_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<OrderRow>>;

    /// Whether [`Write::SweepAcmeOrders`] would find anything.
    async fn acme_orders_to_sweep(&self, now: Time) -> StoreResult<bool>;

    async fn rest_order(&self, id: &RestOrderId) -> StoreResult<Option<RestOrderRow>>;

    /// The order of a method with this idempotency key, in whatever state.
    async fn rest_order_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RestOrderRow>>;

    /// The order that this certificate was issued for, where the server made its key and the order is still kept.
    async fn rest_order_of(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>>;

    /// The order that is to renew, or renewed, this certificate, and was not recorded as having come to nothing; of several
    /// the one that came furthest, and of those the last.
    async fn rest_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>>;

    /// In the order of creation.
    async fn rest_orders(
        &self,
        filter: &RestOrderFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, RestOrderRow)>>;

    /// Whether [`Write::SweepRestOrders`] would find anything.
    async fn rest_orders_to_sweep(&self, now: Time) -> StoreResult<bool>;

    /// Whether the token is used for the first time in this scope: true once, for whoever comes first. It is remembered
    /// until [`Store::sweep_claims`] is called with a time at or after `until`, or, what is less than other changes are
    /// promised, until the process ([`Store::claims_are_shared`] is false) or the database (true) crashes.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`], also where too many are remembered.
    async fn claim_once(&self, scope: &str, token: &[u8], until: Time) -> StoreResult<bool>;

    /// Whether all replicas see the claims of all. Where not, a token that another process or an earlier run has given
    /// out must be refused by other means.
    fn claims_are_shared(&self) -> bool;

    /// Forgets claims that ended by `now`.
    async fn sweep_claims(&self, now: Time) -> StoreResult<()>;

    /// Whether the store can take a commit now; cheap enough for a readiness probe.
    async fn check(&self) -> StoreResult<()>;

    /// News of what commits change from now on, through this store or, where the database can tell, through others.
    /// A store that has none is silent.
    fn subscribe(&self) -> Subscription {
        Subscription::silent()
    }
}

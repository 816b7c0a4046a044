//! A store that fails, waits or meddles on purpose, in front of one that works.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pki::{crl::RevokedEntry, serial::SerialNumber, time::Time};
use tokio::sync::Barrier;

use crate::{
    acme::{AccountRow, OrderRow},
    audit::{AuditRecord, Checkpoint},
    credential::{CredentialRow, CredentialUsage},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId},
    rest::OrderRow as RestOrderRow,
    store::{
        AcmeAccountFilter, CertificateFilter, CertificateRow, Commit, Committed, Conflict, CredentialFilter,
        CrlRow, Cursor, Job, JobKind, JobLease, Page, RequestFilter, RequestKey, RequestRow, RestOrderFilter,
        SealedRow, Store, StoreError, StoreResult, Write,
    },
};

/// What happens to one commit before the store sees it.
#[derive(Clone, Debug)]
pub(crate) enum Before {
    Nothing,
    /// The store cannot be reached.
    Fail,
    /// Certificates in it get this serial number.
    SetSerial(SerialNumber),
    /// Somebody else commits this first.
    Other(Box<Commit>),
}

/// Commits go through a script; looks for a request can be made to meet.
#[derive(Debug)]
pub(crate) struct HookedStore {
    inner: Arc<dyn Store>,
    script: Mutex<VecDeque<Before>>,
    meeting: Mutex<Option<(Arc<Barrier>, usize)>>,
    log: Arc<Mutex<Vec<String>>>,
    trail: Mutex<Option<Vec<AuditRecord>>>,
}

impl HookedStore {
    pub(crate) fn new(inner: Arc<dyn Store>) -> Arc<Self> {
        let (script, meeting, trail) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Self { inner, script, meeting, log: Arc::default(), trail })
    }

    /// What happens to the next commits, one each.
    pub(crate) fn script(&self, steps: impl IntoIterator<Item = Before>) {
        lock(&self.script).extend(steps);
    }

    /// The next `count` looks for a request all read before any of them returns.
    pub(crate) fn meet(&self, count: usize) {
        *lock(&self.meeting) = Some((Arc::new(Barrier::new(count)), count));
    }

    /// `commit` with what it writes, in order; others may add what they do.
    pub(crate) fn log(&self) -> Arc<Mutex<Vec<String>>> {
        self.log.clone()
    }

    /// From now on the audit trail reads as these records, as if somebody had changed the database.
    pub(crate) fn rewrite_trail(&self, records: Vec<AuditRecord>) {
        *lock(&self.trail) = Some(records);
    }

    fn next_meeting(&self) -> Option<Arc<Barrier>> {
        let mut meeting = lock(&self.meeting);
        let (barrier, left) = meeting.take()?;
        if left > 1 {
            *meeting = Some((barrier.clone(), left - 1));
        }
        Some(barrier)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The names of the writes and how many audit events, for the log.
fn described(commit: &Commit) -> String {
    let writes: Vec<&str> = commit
        .writes
        .iter()
        .map(|write| match write {
            Write::InsertCertificate(_) => "certificate",
            Write::UseCredential { .. } => "use",
            Write::InsertRequest(_) => "request",
            Write::UpdateRequest { .. } => "request state",
            _ => "other",
        })
        .collect();
    format!("commit: {}; {} audit", writes.join(", "), commit.audit.len())
}

#[async_trait]
impl Store for HookedStore {
    async fn commit(&self, mut commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let step = lock(&self.script).pop_front().unwrap_or(Before::Nothing);
        match step {
            Before::Nothing => {}
            Before::Fail => return Err(StoreError::Unavailable("the disk is full".into())),
            Before::SetSerial(serial) => {
                for write in &mut commit.writes {
                    if let Write::InsertCertificate(row) = write {
                        row.serial = serial;
                    }
                }
            }
            Before::Other(other) => {
                self.inner.commit(*other).await?.expect("the meddling commit must hold");
            }
        }
        let description = described(&commit);
        let answer = self.inner.commit(commit).await;
        lock(&self.log).push(match &answer {
            Ok(Ok(_)) => description,
            Ok(Err(conflict)) => format!("conflict: {conflict}"),
            Err(error) => format!("error: {error}"),
        });
        answer
    }

    async fn request_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RequestRow>> {
        let row = self.inner.request_by_key(method, key).await;
        if let Some(meeting) = self.next_meeting() {
            meeting.wait().await;
        }
        row
    }

    async fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> StoreResult<Option<CertificateRow>> {
        self.inner.certificate(issuer, serial).await
    }

    async fn certificates_by_serial(&self, serial: &SerialNumber) -> StoreResult<Vec<CertificateRow>> {
        self.inner.certificates_by_serial(serial).await
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CertificateRow)>> {
        self.inner.certificates(filter, page).await
    }

    async fn revoked(
        &self,
        issuer: KeyId,
        expired_before: Time,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> StoreResult<Vec<RevokedEntry>> {
        self.inner.revoked(issuer, expired_before, after, limit).await
    }

    async fn request(&self, id: &RequestId) -> StoreResult<Option<RequestRow>> {
        self.inner.request(id).await
    }

    async fn requests(&self, filter: &RequestFilter, page: &Page) -> StoreResult<Vec<(Cursor, RequestRow)>> {
        self.inner.requests(filter, page).await
    }

    async fn credential(&self, id: &CredentialId) -> StoreResult<Option<CredentialRow>> {
        self.inner.credential(id).await
    }

    async fn credentials_for(
        &self,
        method: &ResourceName,
        username: &str,
    ) -> StoreResult<Vec<CredentialRow>> {
        self.inner.credentials_for(method, username).await
    }

    async fn rest_order(&self, id: &RestOrderId) -> StoreResult<Option<RestOrderRow>> {
        self.inner.rest_order(id).await
    }

    async fn rest_order_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.inner.rest_order_by_key(method, key).await
    }

    async fn rest_order_of(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.inner.rest_order_of(method, issuer, serial).await
    }

    async fn rest_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        self.inner.rest_order_replacing(method, issuer, serial).await
    }

    async fn rest_orders(
        &self,
        filter: &RestOrderFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, RestOrderRow)>> {
        self.inner.rest_orders(filter, page).await
    }

    async fn rest_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        self.inner.rest_orders_to_sweep(now).await
    }

    async fn credential_by_access_key(&self, name: &str) -> StoreResult<Option<CredentialRow>> {
        self.inner.credential_by_access_key(name).await
    }

    async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CredentialRow)>> {
        self.inner.credentials(filter, page).await
    }

    async fn credential_usages(&self, credentials: &[CredentialId]) -> StoreResult<Vec<CredentialUsage>> {
        self.inner.credential_usages(credentials).await
    }

    async fn latest_crl(&self, issuer: KeyId) -> StoreResult<Option<CrlRow>> {
        self.inner.latest_crl(issuer).await
    }

    async fn sealed(&self, name: &str) -> StoreResult<Option<SealedRow>> {
        self.inner.sealed(name).await
    }

    async fn all_sealed(&self) -> StoreResult<Vec<SealedRow>> {
        self.inner.all_sealed().await
    }

    async fn lease_jobs(
        &self,
        kinds: &[JobKind],
        lease: &JobLease,
        now: Time,
        limit: usize,
    ) -> StoreResult<Vec<Job>> {
        self.inner.lease_jobs(kinds, lease, now, limit).await
    }

    async fn next_job(&self, kinds: &[JobKind]) -> StoreResult<Option<Time>> {
        self.inner.next_job(kinds).await
    }

    async fn audit_streams(&self) -> StoreResult<Vec<String>> {
        if let Some(records) = &*lock(&self.trail) {
            let streams: BTreeSet<_> = records.iter().map(|record| record.stream.clone()).collect();
            return Ok(streams.into_iter().collect());
        }
        self.inner.audit_streams().await
    }

    async fn audit_records(&self, stream: &str, after: u64, limit: usize) -> StoreResult<Vec<AuditRecord>> {
        if let Some(records) = &*lock(&self.trail) {
            let wanted = records.iter().filter(|record| record.stream == stream && record.sequence > after);
            return Ok(wanted.take(limit).cloned().collect());
        }
        self.inner.audit_records(stream, after, limit).await
    }

    async fn audit_head(&self, stream: &str) -> StoreResult<Option<AuditRecord>> {
        if let Some(records) = &*lock(&self.trail) {
            return Ok(records.iter().rfind(|record| record.stream == stream).cloned());
        }
        self.inner.audit_head(stream).await
    }

    async fn checkpoints(&self) -> StoreResult<Vec<Checkpoint>> {
        self.inner.checkpoints().await
    }

    async fn acme_account(&self, id: &AcmeAccountId) -> StoreResult<Option<AccountRow>> {
        self.inner.acme_account(id).await
    }

    async fn acme_account_by_key(
        &self,
        method: &ResourceName,
        thumbprint: &[u8; 32],
    ) -> StoreResult<Option<AccountRow>> {
        self.inner.acme_account_by_key(method, thumbprint).await
    }

    async fn acme_accounts(
        &self,
        filter: &AcmeAccountFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, AccountRow)>> {
        self.inner.acme_accounts(filter, page).await
    }

    async fn acme_order(&self, id: &AcmeOrderId) -> StoreResult<Option<OrderRow>> {
        self.inner.acme_order(id).await
    }

    async fn acme_orders_of(
        &self,
        account: &AcmeAccountId,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, OrderRow)>> {
        self.inner.acme_orders_of(account, page).await
    }

    async fn acme_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<OrderRow>> {
        self.inner.acme_order_replacing(method, issuer, serial).await
    }

    async fn acme_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        self.inner.acme_orders_to_sweep(now).await
    }

    async fn claim_once(&self, scope: &str, token: &[u8], until: Time) -> StoreResult<bool> {
        self.inner.claim_once(scope, token, until).await
    }

    fn claims_are_shared(&self) -> bool {
        self.inner.claims_are_shared()
    }

    async fn sweep_claims(&self, now: Time) -> StoreResult<()> {
        self.inner.sweep_claims(now).await
    }

    async fn check(&self) -> StoreResult<()> {
        self.inner.check().await
    }
}

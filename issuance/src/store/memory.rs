//! The store in memory: the plain meaning of the port, and what tests of the core run on.
//!
//! A commit changes a copy of the tables, which takes the place of the tables once everything in it has held. Rows
//! are shared between the copies, so that a commit costs pointers and not certificates; still it is no store for
//! a hundred thousand rows.

mod acme;
mod rest;
mod tables;
mod usage;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use pki::{crl::RevokedEntry, extension::ReasonCode, serial::SerialNumber, time::Time};

use super::{
    AcmeAccountFilter, Announcer, CertificateFilter, CertificateRow, CertificateState, CertificateStatus,
    Claims, Commit, Committed, Conflict, CredentialFilter, CrlRow, Cursor, Job, JobKind, JobLease, News,
    Page, RequestFilter, RequestKey, RequestRow, RestOrderFilter, SealedRow, Store, StoreResult,
    Subscription,
};
use crate::{
    acme::{AccountRow, OrderRow},
    audit::{AuditRecord, Checkpoint},
    credential::{CredentialRow, CredentialUsage},
    identity::{AcmeAccountId, AcmeOrderId, CredentialId, KeyId, RequestId, ResourceName, RestOrderId},
    rest::OrderRow as RestOrderRow,
};

/// Most rows of one page.
const MAX_PAGE: usize = 1000;

/// Rows that end with the process.
#[derive(Debug)]
pub struct MemoryStore {
    stream: String,
    tables: Mutex<Tables>,
    claims: Claims,
    announcer: Announcer,
}

#[derive(Clone, Debug, Default)]
struct Tables {
    certificates: Numbered<CertificateRow>,
    certificate_numbers: BTreeMap<(KeyId, SerialNumber), i64>,
    requests: Numbered<RequestRow>,
    credentials: Numbered<CredentialRow>,
    usage: BTreeMap<CredentialId, usage::Usage>,
    crls: BTreeMap<(KeyId, u64), Arc<CrlRow>>,
    sealed: BTreeMap<String, SealedRow>,
    jobs: Numbered<JobRow>,
    audit: BTreeMap<String, Vec<Arc<AuditRecord>>>,
    checkpoints: Vec<Checkpoint>,
    accounts: Numbered<AccountRow>,
    orders: Numbered<OrderRow>,
    rest_orders: Numbered<RestOrderRow>,
    last_number: i64,
}

/// Rows in the order they were inserted; the numbers are the cursors.
type Numbered<T> = BTreeMap<i64, Arc<T>>;

#[derive(Clone, Debug)]
struct JobRow {
    job: Job,
    lease: Option<JobLease>,
    /// The earliest run that was asked for since the lease began.
    requested: Option<Time>,
}

impl MemoryStore {
    /// An empty store that appends to this audit stream.
    pub fn new(stream: impl Into<String>) -> Self {
        Self {
            stream: stream.into(),
            tables: Mutex::default(),
            claims: Claims::default(),
            announcer: Announcer::new(),
        }
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new("memory")
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let news = News::of(&commit);
        let mut tables = self.tables();
        let mut changed = tables.clone();
        for expect in &commit.expect {
            if !changed.holds(expect) {
                return Ok(Err(Conflict::Expectation(Box::new(expect.clone()))));
            }
        }
        for write in commit.writes {
            if let Err(conflict) = changed.apply(write) {
                return Ok(Err(conflict));
            }
        }
        let committed = changed.append(&self.stream, &commit.audit)?;
        *tables = changed;
        self.announcer.announce(news);
        Ok(Ok(committed))
    }

    async fn certificate(&self, issuer: KeyId, serial: &SerialNumber) -> StoreResult<Option<CertificateRow>> {
        Ok(self.tables().certificate(issuer, *serial).map(|row| CertificateRow::clone(row)))
    }

    async fn certificates_by_serial(&self, serial: &SerialNumber) -> StoreResult<Vec<CertificateRow>> {
        let tables = self.tables();
        let rows = tables.certificates.values().filter(|row| row.serial == *serial);
        Ok(rows.map(|row| CertificateRow::clone(row)).collect())
    }

    async fn certificates(
        &self,
        filter: &CertificateFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CertificateRow)>> {
        Ok(list(&self.tables().certificates, page, |row| certificate_matches(filter, row)))
    }

    async fn revoked(
        &self,
        issuer: KeyId,
        expired_before: Time,
        after: Option<&SerialNumber>,
        limit: usize,
    ) -> StoreResult<Vec<RevokedEntry>> {
        let tables = self.tables();
        let entries = tables
            .certificate_numbers
            .iter()
            .filter(|((key, serial), _)| *key == issuer && after.is_none_or(|after| serial > after))
            .filter_map(|(_, number)| tables.certificates.get(number))
            .filter(|row| row.not_after >= expired_before)
            .filter_map(|row| revoked_entry(row));
        Ok(entries.take(limit).collect())
    }

    async fn request(&self, id: &RequestId) -> StoreResult<Option<RequestRow>> {
        Ok(self.tables().requests.values().find(|row| row.id == *id).map(|row| RequestRow::clone(row)))
    }

    async fn request_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RequestRow>> {
        let tables = self.tables();
        let row = tables.requests.values().find(|row| row.method == *method && row.key == Some(*key));
        Ok(row.map(|row| RequestRow::clone(row)))
    }

    async fn requests(&self, filter: &RequestFilter, page: &Page) -> StoreResult<Vec<(Cursor, RequestRow)>> {
        Ok(list(&self.tables().requests, page, |row| {
            filter.state.is_none_or(|state| row.state == state)
                && filter.methods.as_ref().is_none_or(|scope| scope.contains(&row.method))
        }))
    }

    async fn credential(&self, id: &CredentialId) -> StoreResult<Option<CredentialRow>> {
        Ok(self.tables().credential(id).map(|(_, row)| CredentialRow::clone(row)))
    }

    async fn credentials_for(
        &self,
        method: &ResourceName,
        username: &str,
    ) -> StoreResult<Vec<CredentialRow>> {
        let tables = self.tables();
        let rows = tables.credentials.values().filter(|row| {
            row.method == *method && row.username.as_deref().is_none_or(|name| name == username)
        });
        Ok(rows.map(|row| CredentialRow::clone(row)).collect())
    }

    async fn credential_by_access_key(&self, name: &str) -> StoreResult<Option<CredentialRow>> {
        Ok(self.tables().credential_by_access_key(name).map(|row| CredentialRow::clone(row)))
    }

    async fn credentials(
        &self,
        filter: &CredentialFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, CredentialRow)>> {
        Ok(list(&self.tables().credentials, page, |row| {
            filter.methods.as_ref().is_none_or(|scope| scope.contains(&row.method))
                && filter.declared.is_none_or(|declared| row.declared == declared)
        }))
    }

    async fn credential_usages(&self, credentials: &[CredentialId]) -> StoreResult<Vec<CredentialUsage>> {
        let tables = self.tables();
        Ok(credentials.iter().filter_map(|id| tables.usage_of(id)).collect())
    }

    async fn latest_crl(&self, issuer: KeyId) -> StoreResult<Option<CrlRow>> {
        Ok(self.tables().latest_crl(issuer).map(|row| CrlRow::clone(row)))
    }

    async fn sealed(&self, name: &str) -> StoreResult<Option<SealedRow>> {
        Ok(self.tables().sealed.get(name).cloned())
    }

    async fn all_sealed(&self) -> StoreResult<Vec<SealedRow>> {
        Ok(self.tables().sealed.values().cloned().collect())
    }

    async fn lease_jobs(
        &self,
        kinds: &[JobKind],
        lease: &JobLease,
        now: Time,
        limit: usize,
    ) -> StoreResult<Vec<Job>> {
        let mut tables = self.tables();
        let mut due: Vec<_> = tables
            .jobs
            .iter()
            .filter(|(_, row)| kinds.contains(&row.job.kind) && row.job.run_at <= now && row.free_at(now))
            .map(|(number, row)| (row.job.run_at, *number))
            .collect();
        due.sort_unstable();
        due.truncate(limit);
        let mut leased = Vec::new();
        for (_, number) in due {
            if let Some(row) = tables.jobs.get_mut(&number) {
                let row = Arc::make_mut(row);
                row.lease = Some(lease.clone());
                row.requested = None;
                leased.push(row.job.clone());
            }
        }
        Ok(leased)
    }

    async fn next_job(&self, kinds: &[JobKind]) -> StoreResult<Option<Time>> {
        let tables = self.tables();
        let rows = tables.jobs.values().filter(|row| kinds.contains(&row.job.kind));
        Ok(rows.map(|row| row.due_at()).min())
    }

    async fn audit_streams(&self) -> StoreResult<Vec<String>> {
        Ok(self.tables().audit.keys().cloned().collect())
    }

    async fn audit_records(&self, stream: &str, after: u64, limit: usize) -> StoreResult<Vec<AuditRecord>> {
        let tables = self.tables();
        let records = tables.audit.get(stream).into_iter().flatten();
        let records = records.filter(|record| record.sequence > after).take(limit);
        Ok(records.map(|record| AuditRecord::clone(record)).collect())
    }

    async fn audit_head(&self, stream: &str) -> StoreResult<Option<AuditRecord>> {
        let tables = self.tables();
        let last = tables.audit.get(stream).and_then(|records| records.last());
        Ok(last.map(|record| AuditRecord::clone(record)))
    }

    async fn checkpoints(&self) -> StoreResult<Vec<Checkpoint>> {
        Ok(self.tables().checkpoints.clone())
    }

    async fn acme_account(&self, id: &AcmeAccountId) -> StoreResult<Option<AccountRow>> {
        Ok(self.tables().account(id).map(|(_, row)| AccountRow::clone(row)))
    }

    async fn acme_account_by_key(
        &self,
        method: &ResourceName,
        thumbprint: &[u8; 32],
    ) -> StoreResult<Option<AccountRow>> {
        Ok(self.tables().account_by_key(method, thumbprint).cloned())
    }

    async fn acme_accounts(
        &self,
        filter: &AcmeAccountFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, AccountRow)>> {
        Ok(list(&self.tables().accounts, page, |row| acme::account_matches(filter, row)))
    }

    async fn acme_order(&self, id: &AcmeOrderId) -> StoreResult<Option<OrderRow>> {
        Ok(self.tables().order(id).map(|(_, row)| OrderRow::clone(row)))
    }

    async fn acme_orders_of(
        &self,
        account: &AcmeAccountId,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, OrderRow)>> {
        let tables = self.tables();
        let before = page.after.map_or(i64::MAX, |cursor| cursor.0);
        let rows = tables.orders.range(..before).rev().filter(|(_, row)| row.account == *account);
        let rows = rows.take(page.limit.min(MAX_PAGE));
        Ok(rows.map(|(number, row)| (Cursor(*number), OrderRow::clone(row))).collect())
    }

    async fn acme_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<OrderRow>> {
        Ok(self.tables().order_replacing(method, (issuer, *serial)).cloned())
    }

    async fn acme_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        Ok(self.tables().orders.values().any(|row| row.keep_until <= now))
    }

    async fn rest_order(&self, id: &RestOrderId) -> StoreResult<Option<RestOrderRow>> {
        Ok(self.tables().rest_order(id).map(|(_, row)| RestOrderRow::clone(row)))
    }

    async fn rest_order_by_key(
        &self,
        method: &ResourceName,
        key: &RequestKey,
    ) -> StoreResult<Option<RestOrderRow>> {
        Ok(self.tables().rest_order_by_key(method, key).cloned())
    }

    async fn rest_order_of(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        Ok(self.tables().rest_order_of(method, (issuer, *serial)).cloned())
    }

    async fn rest_order_replacing(
        &self,
        method: &ResourceName,
        issuer: KeyId,
        serial: &SerialNumber,
    ) -> StoreResult<Option<RestOrderRow>> {
        Ok(self.tables().rest_order_replacing(method, (issuer, *serial)).cloned())
    }

    async fn rest_orders(
        &self,
        filter: &RestOrderFilter,
        page: &Page,
    ) -> StoreResult<Vec<(Cursor, RestOrderRow)>> {
        Ok(list(&self.tables().rest_orders, page, |row| rest::order_matches(filter, row)))
    }

    async fn rest_orders_to_sweep(&self, now: Time) -> StoreResult<bool> {
        Ok(self.tables().rest_orders.values().any(|row| row.keep_until <= now))
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
        Ok(())
    }

    fn subscribe(&self) -> Subscription {
        self.announcer.subscribe()
    }
}

fn list<T: Clone>(rows: &Numbered<T>, page: &Page, matches: impl Fn(&T) -> bool) -> Vec<(Cursor, T)> {
    rows.iter()
        .filter(|(number, row)| page.after.is_none_or(|after| **number > after.0) && matches(row))
        .take(page.limit.min(MAX_PAGE))
        .map(|(number, row)| (Cursor(*number), T::clone(row)))
        .collect()
}

/// Removes what need not be kept any more, the oldest first.
fn sweep<T>(rows: &mut Numbered<T>, keep_until: impl Fn(&T) -> Time, now: Time, limit: u32) {
    let ended = rows.iter().map(|(number, row)| (keep_until(row), *number));
    let mut ended: Vec<_> = ended.filter(|(time, _)| *time <= now).collect();
    ended.sort_unstable();
    for (_, number) in ended.into_iter().take(limit as usize) {
        rows.remove(&number);
    }
}

fn certificate_matches(filter: &CertificateFilter, row: &CertificateRow) -> bool {
    let owner = row.owner.as_ref().map(ToString::to_string);
    let revoked = row.status != CertificateStatus::Valid;
    filter.issuer.is_none_or(|issuer| row.issuer == issuer)
        && filter.serial.is_none_or(|serial| row.serial == serial)
        && (filter.authority.is_none() || row.authority == filter.authority)
        && filter.profile.as_ref().is_none_or(|profile| row.profile == *profile)
        && filter.methods.as_ref().is_none_or(|scope| scope.issued(row))
        && (filter.credential.is_none() || row.credential == filter.credential)
        && (filter.owner.is_none() || owner == filter.owner)
        && filter.namespace.as_ref().is_none_or(|namespace| row.method.namespace() == namespace)
        && filter.name.as_ref().is_none_or(|part| part.is_in(&row.subject, &row.subject_alt_names))
        && filter.revoked.is_none_or(|wanted| revoked == wanted)
        && filter.state.is_none_or(|wanted| CertificateState::of(&row.status) == wanted)
        && filter.revoked_from.is_none_or(|time| revoked_at(row).is_some_and(|at| at >= time))
        && filter.revoked_before.is_none_or(|time| revoked_at(row).is_some_and(|at| at < time))
        && filter.issued_from.is_none_or(|time| row.issued_at >= time)
        && filter.issued_before.is_none_or(|time| row.issued_at < time)
        && filter.expires_before.is_none_or(|time| row.not_after < time)
        && filter.expires_after.is_none_or(|time| row.not_after > time)
        && filter.public_key_sha256.as_ref().is_none_or(|hash| row.public_key_sha256 == *hash)
}

fn revoked_at(row: &CertificateRow) -> Option<Time> {
    match &row.status {
        CertificateStatus::Valid => None,
        CertificateStatus::Held { at } | CertificateStatus::Revoked { at, .. } => Some(*at),
    }
}

fn revoked_entry(row: &CertificateRow) -> Option<RevokedEntry> {
    match &row.status {
        CertificateStatus::Valid => None,
        CertificateStatus::Held { at } => Some(RevokedEntry {
            serial: row.serial,
            revoked_at: *at,
            reason: Some(ReasonCode::CertificateHold),
            invalidity_date: None,
        }),
        CertificateStatus::Revoked { at, reason, invalidity_date } => Some(RevokedEntry {
            serial: row.serial,
            revoked_at: *at,
            reason: Some(*reason),
            invalidity_date: *invalidity_date,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn make() -> ((), Arc<dyn Store>) {
        ((), Arc::new(MemoryStore::default()))
    }

    crate::store_suite!(make);
}

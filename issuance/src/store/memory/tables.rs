//! What a commit expects of the tables, and what it does to them.

use std::sync::Arc;

use pki::{serial::SerialNumber, time::Time};

use super::{
    super::{
        CertificateRow, CertificateStatus, Committed, Conflict, CrlRow, Expect, Job, RequestRow,
        RequestState, StoreError, StoreResult, Write,
    },
    JobRow, Tables, sweep,
};
use crate::{
    audit::{self, AuditEvent},
    credential::CredentialRow,
    identity::{CredentialId, JobId, KeyId, Protocol},
};

impl JobRow {
    pub(super) fn free_at(&self, now: Time) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.until <= now)
    }

    pub(super) fn due_at(&self) -> Time {
        self.lease.as_ref().map_or(self.job.run_at, |lease| lease.until.max(self.job.run_at))
    }
}

impl Tables {
    pub(super) fn holds(&self, expect: &Expect) -> bool {
        match expect {
            Expect::CredentialUsable { id, version, now } => self
                .credential(id)
                .is_some_and(|(_, row)| row.version == *version && row.usable(*now).is_ok()),
            Expect::CredentialVersion { id, version } => {
                self.credential(id).map_or(0, |(_, row)| row.version) == *version
            }
            Expect::RequestState { id, state } => {
                self.requests.values().any(|row| row.id == *id && row.state == *state)
            }
            Expect::CertificateStatus { issuer, serial, status } => {
                self.certificate(*issuer, *serial).is_some_and(|row| row.status == *status)
            }
            Expect::KeyUnused { public_key_sha256 } => !self.certificates.values().any(|row| {
                row.public_key_sha256 == *public_key_sha256
                    && !matches!(row.status, CertificateStatus::Revoked { .. })
            }),
            Expect::SealedVersion { name, version } => {
                self.sealed.get(name).map_or(0, |row| row.version) == *version
            }
            Expect::JobLeased { id, owner, now } => self.job(id).is_some_and(|(_, row)| {
                row.lease.as_ref().is_some_and(|lease| lease.owner == *owner && lease.until > *now)
            }),
            Expect::AcmeAccountVersion { id, version } => {
                self.account(id).map_or(0, |(_, row)| row.version) == *version
            }
            Expect::AcmeOrderVersion { id, version } => {
                self.order(id).map_or(0, |(_, row)| row.version) == *version
            }
            Expect::AcmeReplacing { method, issuer, serial, by } => {
                self.order_replacing(method, (*issuer, *serial)).map(|row| &row.id) == by.as_ref()
            }
            Expect::RestOrderVersion { id, version } => {
                self.rest_order(id).map_or(0, |(_, row)| row.version) == *version
            }
            Expect::RestReplacing { method, issuer, serial, by } => {
                self.rest_order_replacing(method, (*issuer, *serial)).map(|row| &row.id) == by.as_ref()
            }
        }
    }

    pub(super) fn apply(&mut self, write: Write) -> Result<(), Conflict> {
        match write {
            Write::InsertCertificate(row) => self.insert_certificate(*row),
            Write::SetCertificateStatus { issuer, serial, status } => {
                let number = self.certificate_numbers.get(&(issuer, serial));
                let row = number.and_then(|number| self.certificates.get_mut(number));
                Arc::make_mut(row.ok_or(Conflict::Missing("certificate"))?).status = status;
                Ok(())
            }
            Write::InsertRequest(row) => self.insert_request(*row),
            Write::UpdateRequest { id, state, decision, certificate } => {
                let row = self.requests.values_mut().find(|row| row.id == id);
                let row = Arc::make_mut(row.ok_or(Conflict::Missing("request"))?);
                row.state = state;
                row.decision = decision.or(row.decision.take());
                row.certificate = certificate.or(row.certificate);
                Ok(())
            }
            Write::DeleteRequest { id } => {
                let row = self.requests.iter().find(|(_, row)| row.id == id);
                let number = row.map(|(number, _)| *number).ok_or(Conflict::Missing("request"))?;
                self.requests.remove(&number);
                Ok(())
            }
            Write::ExpireRequests { now } => {
                let pending = self.requests.values_mut().filter(|row| row.state == RequestState::Pending);
                for row in pending.filter(|row| row.expires_at <= now) {
                    Arc::make_mut(row).state = RequestState::Expired;
                }
                Ok(())
            }
            Write::PutCredential(row) => self.put_credential(*row),
            Write::UseCredential { id, at, address } => self.use_credential(id, at, address),
            Write::NoteCredentialUsage(note) => {
                self.note_usage(*note);
                Ok(())
            }
            Write::PutCrl(row) => self.put_crl(*row),
            Write::PutSealed(row) => {
                self.sealed.insert(row.name.clone(), *row);
                Ok(())
            }
            Write::PutJob(job) => {
                self.put_job(*job);
                Ok(())
            }
            Write::RescheduleJob { id, at, attempts, error } => self.reschedule_job(&id, at, attempts, error),
            Write::DeleteJob { id } => {
                let number = self.job(&id).map(|(number, _)| number).ok_or(Conflict::Missing("job"))?;
                self.jobs.remove(&number);
                Ok(())
            }
            Write::PutCheckpoint(checkpoint) => {
                self.checkpoints.push(*checkpoint);
                Ok(())
            }
            Write::PruneCrls { issuer, keep } => {
                let newest = self.crls.keys().rev().filter(|(key, _)| *key == issuer);
                // The newest one stays in any case, because the next number grows from it.
                let smaller: Vec<_> = newest.skip(keep.max(1) as usize).copied().collect();
                smaller.iter().for_each(|key| drop(self.crls.remove(key)));
                Ok(())
            }
            Write::PutAcmeAccount(row) => self.put_account(*row),
            Write::PutAcmeOrder(row) => {
                self.put_order(*row);
                Ok(())
            }
            Write::SweepAcmeOrders { now, limit } => {
                sweep(&mut self.orders, |row| row.keep_until, now, limit);
                Ok(())
            }
            Write::PutRestOrder(row) => self.put_rest_order(*row),
            Write::SweepRestOrders { now, limit } => {
                sweep(&mut self.rest_orders, |row| row.keep_until, now, limit);
                Ok(())
            }
        }
    }

    pub(super) fn certificate(&self, issuer: KeyId, serial: SerialNumber) -> Option<&Arc<CertificateRow>> {
        self.certificate_numbers.get(&(issuer, serial)).and_then(|number| self.certificates.get(number))
    }

    pub(super) fn credential(&self, id: &CredentialId) -> Option<(i64, &Arc<CredentialRow>)> {
        self.credentials.iter().find(|(_, row)| row.id == *id).map(|(number, row)| (*number, row))
    }

    pub(super) fn credential_by_access_key(&self, name: &str) -> Option<&Arc<CredentialRow>> {
        let mut rows = self.credentials.values().filter(|row| row.protocol == Protocol::Rest);
        rows.find(|row| row.username.as_deref() == Some(name))
    }

    pub(super) fn job(&self, id: &JobId) -> Option<(i64, &Arc<JobRow>)> {
        self.jobs.iter().find(|(_, row)| row.job.id == *id).map(|(number, row)| (*number, row))
    }

    pub(super) fn latest_crl(&self, issuer: KeyId) -> Option<&Arc<CrlRow>> {
        self.crls.range((issuer, 0)..=(issuer, u64::MAX)).next_back().map(|(_, row)| row)
    }

    pub(super) fn insert_certificate(&mut self, row: CertificateRow) -> Result<(), Conflict> {
        let key = (row.issuer, row.serial);
        if self.certificate_numbers.contains_key(&key) {
            return Err(Conflict::SerialTaken { serial: row.serial });
        }
        let number = self.next_number();
        self.certificate_numbers.insert(key, number);
        self.certificates.insert(number, Arc::new(row));
        Ok(())
    }

    pub(super) fn insert_request(&mut self, row: RequestRow) -> Result<(), Conflict> {
        let same = |other: &Arc<RequestRow>| {
            other.id == row.id || (row.key.is_some() && other.key == row.key && other.method == row.method)
        };
        if self.requests.values().any(same) {
            return Err(Conflict::RequestExists);
        }
        let number = self.next_number();
        self.requests.insert(number, Arc::new(row));
        Ok(())
    }

    pub(super) fn put_credential(&mut self, mut row: CredentialRow) -> Result<(), Conflict> {
        let of_rest = row.username.as_deref().filter(|_| row.protocol == Protocol::Rest);
        let taken = of_rest.and_then(|name| self.credential_by_access_key(name));
        if taken.is_some_and(|other| other.id != row.id) {
            return Err(Conflict::AccessKeyExists);
        }
        let existing = self.credential(&row.id).map(|(number, row)| (number, Arc::clone(row)));
        let Some((number, existing)) = existing else {
            let number = self.next_number();
            self.credentials.insert(number, Arc::new(row));
            return Ok(());
        };
        if existing.verifier == row.verifier {
            row.uses = row.uses.max(existing.uses);
            row.last_used_at = row.last_used_at.max(existing.last_used_at);
        }
        self.keep_usage(&existing, &row);
        self.credentials.insert(number, Arc::new(row));
        Ok(())
    }

    pub(super) fn put_crl(&mut self, row: CrlRow) -> Result<(), Conflict> {
        if self.latest_crl(row.issuer).is_some_and(|latest| latest.number >= row.number) {
            return Err(Conflict::CrlNumber);
        }
        self.crls.insert((row.issuer, row.number), Arc::new(row));
        Ok(())
    }

    pub(super) fn put_job(&mut self, job: Job) {
        let same = self.jobs.values_mut().find(|row| row.job.kind == job.kind && row.job.key == job.key);
        if let Some(row) = same {
            let row = Arc::make_mut(row);
            row.requested = Some(row.requested.map_or(job.run_at, |at| at.min(job.run_at)));
            row.job.run_at = row.job.run_at.min(job.run_at);
        } else {
            let row = JobRow { job, lease: None, requested: None };
            let number = self.next_number();
            self.jobs.insert(number, Arc::new(row));
        }
    }

    pub(super) fn reschedule_job(
        &mut self,
        id: &JobId,
        at: Time,
        attempts: u32,
        error: Option<String>,
    ) -> Result<(), Conflict> {
        let row = self.jobs.values_mut().find(|row| row.job.id == *id);
        let row = Arc::make_mut(row.ok_or(Conflict::Missing("job"))?);
        row.job.run_at = row.requested.take().map_or(at, |requested| requested.min(at));
        row.job.attempts = attempts;
        row.job.last_error = error;
        row.lease = None;
        Ok(())
    }

    /// Never used twice, even where the row was deleted: a cursor keeps its place.
    pub(super) fn next_number(&mut self) -> i64 {
        self.last_number += 1;
        self.last_number
    }

    pub(super) fn append(&mut self, stream: &str, events: &[AuditEvent]) -> StoreResult<Committed> {
        if events.is_empty() {
            return Ok(Committed::default());
        }
        let records = self.audit.entry(stream.into()).or_default();
        let mut head = records.last().map(|record| (record.sequence, record.hash));
        for event in events {
            let record = audit::append(stream, head, event)
                .map_err(|error| StoreError::Corrupt(format!("an audit event cannot be written: {error}")))?;
            head = Some((record.sequence, record.hash));
            records.push(Arc::new(record));
        }
        Ok(Committed { audit: head.map(|(sequence, _)| (stream.into(), sequence)) })
    }
}

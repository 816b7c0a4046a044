//! One commit: what it expects, what it writes, what it records.

use issuance::store::{Commit, Committed, Conflict, Expect, Job, Write};
use rusqlite::Connection;

use super::{
    acme, audit::Trail, certificates, credentials, crls, failure::Failure, jobs, jobs::LeaseRequest,
    names::Names, requests, rest, sealed, usage,
};

/// Whatever changes rows.
pub(super) enum Change {
    Commit(Commit),
    Lease(LeaseRequest),
}

/// What a change brought.
#[derive(Default)]
pub(super) struct Done {
    pub(super) committed: Committed,
    pub(super) leased: Vec<Job>,
}

/// What is remembered from one change to the next.
pub(super) struct Session {
    names: Names,
    trail: Trail,
}

impl Session {
    pub(super) fn new(stream: String) -> Self {
        Self { names: Names::default(), trail: Trail::new(stream) }
    }

    /// A transaction begins: until now another process may have written.
    pub(super) fn begin(&mut self) {
        self.trail.forget_head();
    }

    /// A change was undone, and with it rows that were remembered.
    pub(super) fn undone(&mut self) {
        self.names.clear();
        self.trail.forget();
    }

    /// Makes the change within the transaction that is open. After an error the caller undoes whatever was written;
    /// after [`Conflict::Expectation`] that is nothing, because expectations are looked at first.
    pub(super) fn apply(&mut self, connection: &Connection, change: &Change) -> Result<Done, Failure> {
        match change {
            Change::Commit(commit) => {
                self.commit(connection, commit).map(|committed| Done { committed, ..Done::default() })
            }
            Change::Lease(request) => {
                jobs::lease(connection, request).map(|leased| Done { leased, ..Done::default() })
            }
        }
    }

    fn commit(&mut self, connection: &Connection, commit: &Commit) -> Result<Committed, Failure> {
        for expect in &commit.expect {
            if !holds(connection, expect)? {
                return Err(Conflict::Expectation(Box::new(expect.clone())).into());
            }
        }
        for write in &commit.writes {
            self.write(connection, write)?;
        }
        let audit = self.trail.append(connection, &commit.audit)?;
        Ok(Committed { audit })
    }

    fn write(&mut self, connection: &Connection, write: &Write) -> Result<(), Failure> {
        let names = &mut self.names;
        match write {
            Write::InsertCertificate(row) => certificates::insert(connection, names, row),
            Write::SetCertificateStatus { issuer, serial, status } => {
                certificates::set_status(connection, *issuer, serial, status)
            }
            Write::InsertRequest(row) => requests::insert(connection, names, row),
            Write::UpdateRequest { id, state, decision, certificate } => {
                requests::update(connection, names, id, *state, decision.as_ref(), certificate.as_ref())
            }
            Write::DeleteRequest { id } => requests::delete(connection, id),
            Write::ExpireRequests { now } => requests::expire(connection, *now),
            Write::PutCredential(row) => credentials::put(connection, names, row),
            Write::UseCredential { id, at, address } => credentials::count_use(connection, id, *at, *address),
            Write::NoteCredentialUsage(note) => usage::note(connection, note),
            Write::PutCrl(row) => crls::put(connection, names, row),
            Write::PruneCrls { issuer, keep } => crls::prune(connection, *issuer, *keep),
            Write::PutSealed(row) => sealed::put(connection, row),
            Write::PutJob(job) => jobs::put(connection, job),
            Write::RescheduleJob { id, at, attempts, error } => {
                jobs::reschedule(connection, id, *at, *attempts, error.as_deref())
            }
            Write::DeleteJob { id } => jobs::delete(connection, id),
            Write::PutCheckpoint(checkpoint) => super::audit::put_checkpoint(connection, checkpoint),
            Write::PutAcmeAccount(row) => acme::put_account(connection, names, row),
            Write::PutAcmeOrder(row) => acme::put_order(connection, names, row),
            Write::SweepAcmeOrders { now, limit } => acme::sweep_orders(connection, *now, *limit),
            Write::PutRestOrder(row) => rest::put_order(connection, names, row),
            Write::SweepRestOrders { now, limit } => rest::sweep_orders(connection, *now, *limit),
        }
    }
}

fn holds(connection: &Connection, expect: &Expect) -> Result<bool, Failure> {
    match expect {
        Expect::CredentialUsable { id, version, now } => {
            credentials::is_usable(connection, id, *version, *now)
        }
        Expect::CredentialVersion { id, version } => {
            Ok(credentials::version(connection, id)?.unwrap_or(0) == *version)
        }
        Expect::RequestState { id, state } => requests::is_in_state(connection, id, *state),
        Expect::CertificateStatus { issuer, serial, status } => {
            Ok(certificates::status(connection, *issuer, serial)?.as_ref() == Some(status))
        }
        Expect::KeyUnused { public_key_sha256 } => {
            certificates::is_key_used(connection, public_key_sha256).map(|used| !used)
        }
        Expect::SealedVersion { name, version } => {
            Ok(sealed::version(connection, name)?.unwrap_or(0) == *version)
        }
        Expect::JobLeased { id, owner, now } => jobs::is_leased(connection, id, owner, *now),
        Expect::AcmeAccountVersion { id, version } => Ok(acme::account_version(connection, id)? == *version),
        Expect::AcmeOrderVersion { id, version } => Ok(acme::order_version(connection, id)? == *version),
        Expect::AcmeReplacing { method, issuer, serial, by } => {
            let found = acme::order_replacing(connection, method, *issuer, serial)?;
            Ok(found.map(|row| row.id) == *by)
        }
        Expect::RestOrderVersion { id, version } => Ok(rest::order_version(connection, id)? == *version),
        Expect::RestReplacing { method, issuer, serial, by } => {
            let found = rest::order_replacing(connection, method, *issuer, serial)?;
            Ok(found.map(|row| row.id) == *by)
        }
    }
}

/// A statement that should have changed a row.
pub(super) fn one_row(changed: usize, what: &'static str) -> Result<(), Failure> {
    if changed == 0 { Err(Conflict::Missing(what).into()) } else { Ok(()) }
}

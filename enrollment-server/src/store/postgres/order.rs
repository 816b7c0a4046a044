//! The statements of one commit, in the order in which they are sent: all at once, without waiting for each other.

use issuance::store::{Commit, Conflict, Expect, News, Write};
use tokio_postgres::types::ToSql;

use super::{
    acme, audit, certificates, columns::to_json, credentials, crls, failure::Failure, jobs, locks::Locks,
    news::CHANNEL, requests, rest, sealed, usage,
};

/// A value of a statement.
pub(super) type Parameter = Box<dyn ToSql + Send + Sync>;

/// One statement, and what becomes of the commit by what it answers.
pub(super) struct Step {
    pub(super) sql: &'static str,
    pub(super) parameters: Vec<Parameter>,
    /// The conflict, where no row was found or changed.
    pub(super) none: Option<Conflict>,
    /// The conflict, where a unique row exists.
    pub(super) taken: Option<Conflict>,
}

/// Boxes values of different types.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => { vec![$(Box::new($value) as $crate::store::postgres::order::Parameter),*] };
}
pub(super) use parameters;

impl Step {
    pub(super) fn new(sql: &'static str, parameters: Vec<Parameter>) -> Self {
        Self { sql, parameters, none: None, taken: None }
    }

    /// Expects a row.
    pub(super) fn or_missing(self, what: &'static str) -> Self {
        self.or(Conflict::Missing(what))
    }

    /// Expects a row.
    pub(super) fn or(self, conflict: Conflict) -> Self {
        Self { none: Some(conflict), ..self }
    }

    /// Expects that the row is new.
    pub(super) fn unless_taken(self, conflict: Conflict) -> Self {
        Self { taken: Some(conflict), ..self }
    }
}

/// Everything but the audit records. `stream` is the number of the session's audit stream.
pub(super) fn steps(commit: &Commit, stream: i64) -> Result<Vec<Step>, Failure> {
    let mut steps = Vec::with_capacity(commit.expect.len() + commit.writes.len() + 3);
    steps.extend(Locks::of(commit).step());
    for expect in &commit.expect {
        steps.push(expectation(expect)?.or(Conflict::Expectation(Box::new(expect.clone()))));
    }
    for write in &commit.writes {
        self::write(write, stream, &mut steps)?;
    }
    steps.extend(announcement(&News::of(commit))?);
    Ok(steps)
}

/// A statement that finds a row where the expectation holds, and keeps it so until the transaction ends.
fn expectation(expect: &Expect) -> Result<Step, Failure> {
    match expect {
        Expect::CredentialUsable { id, version, now } => credentials::expect_usable(id, *version, *now),
        Expect::CredentialVersion { id, version } => credentials::expect_version(id, *version),
        Expect::RequestState { id, state } => requests::expect_state(id, *state),
        Expect::CertificateStatus { issuer, serial, status } => {
            Ok(certificates::expect_status(*issuer, serial, status))
        }
        Expect::KeyUnused { public_key_sha256 } => certificates::expect_key_unused(public_key_sha256),
        Expect::SealedVersion { name, version } => sealed::expect_version(name, *version),
        Expect::JobLeased { id, owner, now } => jobs::expect_leased(id, owner, *now),
        Expect::AcmeAccountVersion { id, version } => acme::expect_account_version(id, *version),
        Expect::AcmeOrderVersion { id, version } => acme::expect_order_version(id, *version),
        Expect::AcmeReplacing { method, issuer, serial, by } => {
            acme::expect_replacing(method, *issuer, serial, by.as_ref())
        }
        Expect::RestOrderVersion { id, version } => rest::expect_order_version(id, *version),
        Expect::RestReplacing { method, issuer, serial, by } => {
            rest::expect_replacing(method, *issuer, serial, by.as_ref())
        }
    }
}

fn write(write: &Write, stream: i64, steps: &mut Vec<Step>) -> Result<(), Failure> {
    let step = match write {
        Write::InsertCertificate(row) => certificates::insert(row)?,
        Write::SetCertificateStatus { issuer, serial, status } => {
            certificates::set_status(*issuer, serial, status)
        }
        Write::InsertRequest(row) => requests::insert(row)?,
        Write::UpdateRequest { id, state, decision, certificate } => {
            requests::update(id, *state, decision.as_ref(), certificate.as_ref())?
        }
        Write::DeleteRequest { id } => requests::delete(id)?,
        Write::ExpireRequests { now } => requests::expire(*now),
        Write::PutCredential(row) => {
            steps.push(credentials::gather_uses(&row.id)?);
            credentials::put(row)?
        }
        Write::UseCredential { id, at, address } => credentials::count_use(id, *at, *address, stream)?,
        Write::NoteCredentialUsage(note) => usage::note(note)?,
        Write::PutCrl(row) => crls::put(row)?,
        Write::PruneCrls { issuer, keep } => crls::prune(*issuer, *keep),
        Write::PutSealed(row) => sealed::put(row)?,
        Write::PutJob(job) => jobs::put(job)?,
        Write::RescheduleJob { id, at, attempts, error } => {
            jobs::reschedule(id, *at, *attempts, error.as_deref())?
        }
        Write::DeleteJob { id } => jobs::delete(id)?,
        Write::PutCheckpoint(checkpoint) => audit::put_checkpoint(checkpoint)?,
        Write::PutAcmeAccount(row) => acme::put_account(row)?,
        Write::PutAcmeOrder(row) => acme::put_order(row)?,
        Write::SweepAcmeOrders { now, limit } => acme::sweep_orders(*now, *limit),
        Write::PutRestOrder(row) => rest::put_order(row)?,
        Write::SweepRestOrders { now, limit } => rest::sweep_orders(*now, *limit),
    };
    steps.push(step);
    Ok(())
}

/// Heard when and only when the transaction is committed.
fn announcement(news: &[News]) -> Result<Option<Step>, Failure> {
    if news.is_empty() {
        return Ok(None);
    }
    let texts = news.iter().map(to_json).collect::<Result<Vec<_>, _>>()?;
    let sql = "SELECT pg_notify($1, text) FROM unnest($2::text[]) AS text";
    Ok(Some(Step::new(sql, parameters![CHANNEL, texts])))
}

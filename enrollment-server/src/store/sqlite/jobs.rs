//! Work that is leased.

use issuance::{
    identity::JobId,
    store::{Job, JobKind, JobLease},
};
use pki::time::Time;
use rusqlite::{Connection, Row, params};

use super::{
    apply::one_row,
    columns::{Columns, limit, octets, to_json},
    failure::Failure,
};

/// Whose jobs to take, and which.
#[derive(Clone, Debug)]
pub(super) struct LeaseRequest {
    pub(super) kinds: Vec<JobKind>,
    pub(super) lease: JobLease,
    pub(super) now: Time,
    pub(super) limit: usize,
}

/// Due, and of no one else: `?1` the kinds, `?2` the time.
const DUE: &str = "kind IN (SELECT value FROM json_each(?1)) AND run_at <= ?2 \
    AND (leased_until IS NULL OR leased_until <= ?2)";

/// Whether there is anything to take now.
pub(super) fn any_due(connection: &Connection, request: &LeaseRequest) -> Result<bool, Failure> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM jobs WHERE {DUE})"))?;
    Ok(statement.query_row(params![kinds_json(&request.kinds)?, request.now.unix()], |row| row.get(0))?)
}

pub(super) fn lease(connection: &Connection, request: &LeaseRequest) -> Result<Vec<Job>, Failure> {
    let mut due = connection.prepare_cached(&format!(
        "SELECT number, id, kind, key, payload, run_at, attempts, last_error FROM jobs WHERE {DUE} \
         ORDER BY run_at, number LIMIT ?3"
    ))?;
    let parameters = params![kinds_json(&request.kinds)?, request.now.unix(), limit(request.limit)];
    let rows: Vec<(i64, Job)> = due.query_and_then(parameters, from_row)?.collect::<Result<_, _>>()?;
    let mut take = connection.prepare_cached(
        "UPDATE jobs SET lease_owner = ?, leased_until = ?, requested_at = NULL WHERE number = ?",
    )?;
    for (number, _) in &rows {
        take.execute(params![request.lease.owner, request.lease.until.unix(), number])?;
    }
    Ok(rows.into_iter().map(|(_, job)| job).collect())
}

/// When the next one falls due; a leased one when its lease ends.
pub(super) fn next(connection: &Connection, kinds: &[JobKind]) -> Result<Option<Time>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT min(max(run_at, coalesce(leased_until, run_at))) FROM jobs \
         WHERE kind IN (SELECT value FROM json_each(?))",
    )?;
    let at: Option<i64> = statement.query_row([kinds_json(kinds)?], |row| row.get(0))?;
    Ok(at.map(Time::from_unix))
}

pub(super) fn is_leased(
    connection: &Connection,
    id: &JobId,
    owner: &str,
    now: Time,
) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND lease_owner = ? AND leased_until > ?)",
    )?;
    let parameters = params![octets::<16>(id.as_str())?, owner, now.unix()];
    Ok(statement.query_row(parameters, |row| row.get(0))?)
}

pub(super) fn put(connection: &Connection, job: &Job) -> Result<(), Failure> {
    let parameters = params![
        octets::<16>(job.id.as_str())?,
        job.kind.as_str(),
        job.key,
        job.payload,
        job.run_at.unix(),
        job.attempts,
        job.last_error,
    ];
    connection
        .prepare_cached(
            "INSERT INTO jobs (id, kind, key, payload, run_at, attempts, last_error) \
             VALUES (?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (kind, key) DO UPDATE SET run_at = min(run_at, excluded.run_at), \
             requested_at = min(coalesce(requested_at, excluded.run_at), excluded.run_at)",
        )?
        .execute(parameters)?;
    Ok(())
}

pub(super) fn reschedule(
    connection: &Connection,
    id: &JobId,
    at: Time,
    attempts: u32,
    error: Option<&str>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "UPDATE jobs SET run_at = min(coalesce(requested_at, ?1), ?1), requested_at = NULL, attempts = ?2, \
         last_error = ?3, lease_owner = NULL, leased_until = NULL WHERE id = ?4",
    )?;
    one_row(statement.execute(params![at.unix(), attempts, error, octets::<16>(id.as_str())?])?, "job")
}

pub(super) fn delete(connection: &Connection, id: &JobId) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached("DELETE FROM jobs WHERE id = ?")?;
    one_row(statement.execute([octets::<16>(id.as_str())?])?, "job")
}

fn kinds_json(kinds: &[JobKind]) -> Result<String, Failure> {
    to_json(&kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>())
}

fn from_row(row: &Row<'_>) -> Result<(i64, Job), Failure> {
    let mut columns = Columns::new(row);
    let number = columns.value()?;
    let job = Job {
        id: columns.job_id()?,
        kind: kind_from(&columns.value::<String>()?)?,
        key: columns.value()?,
        payload: columns.value()?,
        run_at: columns.time()?,
        attempts: columns.value()?,
        last_error: columns.value()?,
    };
    Ok((number, job))
}

fn kind_from(text: &str) -> Result<JobKind, Failure> {
    JobKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| Failure::corrupt("no kind of a job", text))
}

//! Work that is leased.

use issuance::{
    identity::JobId,
    store::{Job, JobKind, JobLease},
};
use pki::time::Time;
use tokio_postgres::Row;

use super::{
    columns::{Columns, limit, octets, readable},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

/// Due, and of no one else. What another replica is taking at this moment is passed over, not waited for.
const LEASE: &str = "WITH due AS (SELECT number FROM jobs WHERE kind = ANY($1) AND run_at <= $2 \
    AND (leased_until IS NULL OR leased_until <= $2) ORDER BY run_at, number LIMIT $3 FOR UPDATE SKIP LOCKED), \
    leased AS (UPDATE jobs j SET lease_owner = $4, leased_until = $5, requested_at = NULL FROM due \
    WHERE j.number = due.number RETURNING j.*) \
    SELECT id, kind, key, payload, run_at, attempts, last_error FROM leased ORDER BY run_at, number";

const NEXT: &str = "SELECT min(greatest(run_at, leased_until)) FROM jobs WHERE kind = ANY($1)";

pub(super) async fn lease(
    connection: &mut Connection,
    kinds: &[JobKind],
    lease: &JobLease,
    now: Time,
    rows: usize,
) -> Result<Vec<Job>, Failure> {
    let statement = connection.statement(LEASE).await?;
    let rows = connection
        .client
        .query(&statement, &[&names(kinds), &now.unix(), &limit(rows), &lease.owner, &lease.until.unix()])
        .await?;
    rows.iter().map(from_row).collect()
}

/// When the next one falls due; a leased one when its lease ends.
pub(super) async fn next(connection: &mut Connection, kinds: &[JobKind]) -> Result<Option<Time>, Failure> {
    let statement = connection.statement(NEXT).await?;
    let row = connection.client.query_one(&statement, &[&names(kinds)]).await?;
    Columns::new(&row).optional_time()
}

pub(super) fn expect_leased(id: &JobId, owner: &str, now: Time) -> Result<Step, Failure> {
    let sql = "SELECT 1 FROM jobs WHERE id = $1 AND lease_owner = $2 AND leased_until > $3 FOR NO KEY UPDATE";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?, owner.to_owned(), now.unix()]))
}

pub(super) fn put(job: &Job) -> Result<Step, Failure> {
    let sql = "INSERT INTO jobs AS j (id, kind, key, payload, run_at, attempts, last_error) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (kind, key) DO UPDATE SET \
        run_at = least(j.run_at, excluded.run_at), requested_at = least(j.requested_at, excluded.run_at)";
    let parameters = parameters![
        octets::<16>(job.id.as_str())?,
        job.kind.as_str(),
        job.key.clone(),
        job.payload.clone(),
        job.run_at.unix(),
        i64::from(job.attempts),
        job.last_error.as_deref().map(readable),
    ];
    Ok(Step::new(sql, parameters))
}

pub(super) fn reschedule(id: &JobId, at: Time, attempts: u32, error: Option<&str>) -> Result<Step, Failure> {
    let sql = "UPDATE jobs SET run_at = least(requested_at, $2), requested_at = NULL, attempts = $3, \
        last_error = $4, lease_owner = NULL, leased_until = NULL WHERE id = $1";
    let parameters =
        parameters![octets::<16>(id.as_str())?, at.unix(), i64::from(attempts), error.map(readable)];
    Ok(Step::new(sql, parameters).or_missing("job"))
}

pub(super) fn delete(id: &JobId) -> Result<Step, Failure> {
    let sql = "DELETE FROM jobs WHERE id = $1";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?]).or_missing("job"))
}

fn names(kinds: &[JobKind]) -> Vec<&'static str> {
    kinds.iter().map(|kind| kind.as_str()).collect()
}

fn from_row(row: &Row) -> Result<Job, Failure> {
    let mut columns = Columns::new(row);
    Ok(Job {
        id: columns.job_id()?,
        kind: kind_from(columns.value()?)?,
        key: columns.value()?,
        payload: columns.value()?,
        run_at: columns.time()?,
        attempts: columns.unsigned()?,
        last_error: columns.value()?,
    })
}

fn kind_from(text: &str) -> Result<JobKind, Failure> {
    JobKind::ALL
        .into_iter()
        .find(|kind| kind.as_str() == text)
        .ok_or_else(|| Failure::corrupt("no kind of a job", text))
}

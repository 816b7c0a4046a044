//! The trail, as it is read, and the statement that appends to it. Who appends where is in `trail.rs`.

use issuance::audit::{AuditRecord, Checkpoint};
use tokio_postgres::Row;

use super::{
    columns::{Columns, integer, limit, to_json},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

/// A stream that was only reserved is none yet.
const STREAMS: &str = "SELECT name FROM audit_streams s \
    WHERE EXISTS (SELECT 1 FROM audit_records WHERE stream = s.number) ORDER BY name";

const RECORDS: &str = "SELECT s.name, r.sequence, r.previous, r.hash, r.body FROM audit_streams s \
    JOIN audit_records r ON r.stream = s.number WHERE s.name = $1 AND r.sequence > $2 ORDER BY r.sequence LIMIT $3";

const HEAD: &str = "SELECT s.name, r.sequence, r.previous, r.hash, r.body FROM audit_streams s \
    JOIN audit_records r ON r.stream = s.number WHERE s.name = $1 ORDER BY r.sequence DESC LIMIT 1";

const CHECKPOINTS: &str = "SELECT checkpoint FROM checkpoints ORDER BY number";

pub(super) async fn streams(connection: &mut Connection) -> Result<Vec<String>, Failure> {
    let statement = connection.statement(STREAMS).await?;
    let rows = connection.client.query(&statement, &[]).await?;
    rows.iter().map(|row| Columns::new(row).value()).collect()
}

pub(super) async fn records(
    connection: &mut Connection,
    stream: &str,
    after: u64,
    rows: usize,
) -> Result<Vec<AuditRecord>, Failure> {
    // Where the number exceeds what PostgreSQL counts, no record comes after it.
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let statement = connection.statement(RECORDS).await?;
    let rows = connection.client.query(&statement, &[&stream, &after, &limit(rows)]).await?;
    rows.iter().map(from_row).collect()
}

pub(super) async fn head(connection: &mut Connection, stream: &str) -> Result<Option<AuditRecord>, Failure> {
    let statement = connection.statement(HEAD).await?;
    let row = connection.client.query_opt(&statement, &[&stream]).await?;
    row.as_ref().map(from_row).transpose()
}

pub(super) async fn checkpoints(connection: &mut Connection) -> Result<Vec<Checkpoint>, Failure> {
    let statement = connection.statement(CHECKPOINTS).await?;
    let rows = connection.client.query(&statement, &[]).await?;
    rows.iter().map(|row| Columns::new(row).json()).collect()
}

/// Records that follow each other, to the stream of this number.
pub(super) fn append(stream: i64, records: &[AuditRecord]) -> Result<Step, Failure> {
    let sql = "INSERT INTO audit_records (stream, sequence, previous, hash, body) \
        SELECT $1, * FROM unnest($2::bigint[], $3::bytea[], $4::bytea[], $5::text[])";
    let sequences = records.iter().map(|record| integer(record.sequence)).collect::<Result<Vec<_>, _>>()?;
    let previous: Vec<Vec<u8>> = records.iter().map(|record| record.previous.to_vec()).collect();
    let hashes: Vec<Vec<u8>> = records.iter().map(|record| record.hash.to_vec()).collect();
    let bodies: Vec<String> = records.iter().map(|record| record.body.clone()).collect();
    Ok(Step::new(sql, parameters![stream, sequences, previous, hashes, bodies]))
}

pub(super) fn put_checkpoint(checkpoint: &Checkpoint) -> Result<Step, Failure> {
    Ok(Step::new("INSERT INTO checkpoints (checkpoint) VALUES ($1)", parameters![to_json(checkpoint)?]))
}

fn from_row(row: &Row) -> Result<AuditRecord, Failure> {
    let mut columns = Columns::new(row);
    Ok(AuditRecord {
        stream: columns.value()?,
        sequence: columns.unsigned()?,
        previous: columns.octets()?,
        hash: columns.octets()?,
        body: columns.value()?,
    })
}

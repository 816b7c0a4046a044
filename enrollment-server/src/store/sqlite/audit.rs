//! The trail.

use issuance::audit::{self, AuditEvent, AuditRecord, Checkpoint};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::{
    columns::{Columns, integer, limit, to_json},
    failure::Failure,
};

/// In the order in which [`from_row`] reads: the records of a stream (first parameter) after a sequence (second).
pub(super) const SELECT: &str = "SELECT s.name, r.sequence, r.previous, r.hash, r.body FROM audit_streams s \
    CROSS JOIN audit_records r ON r.number > (s.number << 40) + ?2 AND r.number < (s.number + 1) << 40 \
    WHERE s.name = ?1";

/// Bits of a record's key that hold its sequence; the stream's number is above. The schema repeats it.
const SEQUENCE_BITS: u32 = 40;
const MAX_SEQUENCE: i64 = (1 << SEQUENCE_BITS) - 1;

/// The end of the stream that this process appends to. The head is read anew in each transaction, because a
/// command-line program may append to the same stream.
pub(super) struct Trail {
    stream: String,
    number: Option<i64>,
    head: Head,
}

#[derive(Clone, Copy)]
enum Head {
    Unknown,
    /// Sequence and hash of the last record, if there is any.
    Known(Option<(u64, [u8; 32])>),
}

impl Trail {
    pub(super) fn new(stream: String) -> Self {
        Self { stream, number: None, head: Head::Unknown }
    }

    pub(super) fn forget_head(&mut self) {
        self.head = Head::Unknown;
    }

    pub(super) fn forget(&mut self) {
        self.number = None;
        self.head = Head::Unknown;
    }

    /// Appends the events and returns the stream and the sequence of the last record.
    pub(super) fn append(
        &mut self,
        connection: &Connection,
        events: &[AuditEvent],
    ) -> Result<Option<(String, u64)>, Failure> {
        if events.is_empty() {
            return Ok(None);
        }
        let number = self.number(connection)?;
        let mut head = self.head(connection, number)?;
        let mut insert = connection
            .prepare_cached("INSERT INTO audit_records (number, previous, hash, body) VALUES (?, ?, ?, ?)")?;
        for event in events {
            let record = audit::append(&self.stream, head, event)
                .map_err(|error| Failure::corrupt("an audit event cannot be written", error))?;
            insert.execute(params![
                key(number, record.sequence)?,
                record.previous,
                record.hash,
                record.body
            ])?;
            head = Some((record.sequence, record.hash));
        }
        self.head = Head::Known(head);
        Ok(head.map(|(sequence, _)| (self.stream.clone(), sequence)))
    }

    fn number(&mut self, connection: &Connection) -> Result<i64, Failure> {
        if let Some(number) = self.number {
            return Ok(number);
        }
        let found = connection
            .prepare_cached("SELECT number FROM audit_streams WHERE name = ?")?
            .query_row([&self.stream], |row| row.get(0))
            .optional()?;
        let number = match found {
            Some(number) => number,
            None => connection
                .prepare_cached("INSERT INTO audit_streams (name) VALUES (?)")?
                .insert([&self.stream])?,
        };
        self.number = Some(number);
        Ok(number)
    }

    fn head(&self, connection: &Connection, number: i64) -> Result<Option<(u64, [u8; 32])>, Failure> {
        match self.head {
            Head::Known(head) => Ok(head),
            Head::Unknown => {
                let mut statement = connection.prepare_cached(
                    "SELECT sequence, hash FROM audit_records WHERE number BETWEEN ? AND ? \
                     ORDER BY number DESC LIMIT 1",
                )?;
                let first = key(number, 1)?;
                let mut rows = statement.query([first, first | MAX_SEQUENCE])?;
                let Some(row) = rows.next()? else { return Ok(None) };
                let mut columns = Columns::new(row);
                Ok(Some((columns.unsigned()?, columns.value()?)))
            }
        }
    }
}

pub(super) fn streams(connection: &Connection) -> Result<Vec<String>, Failure> {
    let mut statement = connection.prepare_cached("SELECT name FROM audit_streams ORDER BY name")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

pub(super) fn records(
    connection: &Connection,
    stream: &str,
    after: u64,
    rows: usize,
) -> Result<Vec<AuditRecord>, Failure> {
    // Where the number exceeds what a key holds, no record comes after it.
    let after = i64::try_from(after).map_or(MAX_SEQUENCE, |after| after.min(MAX_SEQUENCE));
    let sql = format!("{SELECT} ORDER BY r.number LIMIT ?3");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_and_then(params![stream, after, limit(rows)], from_row)?.collect()
}

pub(super) fn head(connection: &Connection, stream: &str) -> Result<Option<AuditRecord>, Failure> {
    let sql = format!("{SELECT} ORDER BY r.number DESC LIMIT 1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query((stream, 0))?;
    rows.next()?.map(from_row).transpose()
}

pub(super) fn put_checkpoint(connection: &Connection, checkpoint: &Checkpoint) -> Result<(), Failure> {
    connection
        .prepare_cached("INSERT INTO checkpoints (checkpoint) VALUES (?)")?
        .execute([to_json(checkpoint)?])?;
    Ok(())
}

pub(super) fn checkpoints(connection: &Connection) -> Result<Vec<Checkpoint>, Failure> {
    let mut statement = connection.prepare("SELECT checkpoint FROM checkpoints ORDER BY number")?;
    statement.query_and_then([], |row| Columns::new(row).json())?.collect()
}

/// Where a record lies.
fn key(stream: i64, sequence: u64) -> Result<i64, Failure> {
    let sequence = integer(sequence)?;
    if sequence > MAX_SEQUENCE {
        return Err(Failure::Corrupt("the audit stream is full".into()));
    }
    Ok((stream << SEQUENCE_BITS) | sequence)
}

fn from_row(row: &Row<'_>) -> Result<AuditRecord, Failure> {
    let mut columns = Columns::new(row);
    Ok(AuditRecord {
        stream: columns.value()?,
        sequence: columns.unsigned()?,
        previous: columns.value()?,
        hash: columns.value()?,
        body: columns.value()?,
    })
}

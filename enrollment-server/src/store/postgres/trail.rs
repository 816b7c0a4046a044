//! Who appends to which audit stream.
//!
//! Each session that commits has a stream of its own, `STREAM/slot`, so that commits of one process, and of many, need
//! no common lock and know the head without asking. Sessions come and go, slots stay: a session takes the first one
//! that is free, by an advisory lock that the server gives up only when the session, and with it the last commit
//! through it, has ended. A unique (stream, sequence) stands behind that.

use issuance::audit::{self, AuditEvent, AuditRecord};
use tokio_postgres::Client;

use super::{columns::Columns, failure::Failure};

/// "CHNC": the first half of the lock's number; the second is the stream's.
const LOCK_CLASS: i32 = 0x4348_4e43;

/// Sessions that begin at once meet at each other's choice; every time one of them gets through.
const ATTEMPTS: usize = 1000;

/// A stream, held as long as the session lives.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) number: i64,
    name: String,
    /// None: not known, read it.
    head: Option<Head>,
}

/// Sequence and hash of the last record, if there is any.
type Head = Option<(u64, [u8; 32])>;

impl Slot {
    /// The first free one of this writer, made where there is none.
    pub(super) async fn take(client: &Client, writer: &str) -> Result<Self, Failure> {
        for _ in 0..ATTEMPTS {
            if let Some(slot) = Self::take_free(client, writer).await? {
                return Ok(slot);
            }
            // Where another one makes the same, there is one more to take, too.
            client
                .execute(
                    "INSERT INTO audit_streams (writer, slot, name) SELECT $1, next, $1 || '/' || next \
                     FROM (SELECT coalesce(max(slot) + 1, 0) AS next FROM audit_streams WHERE writer = $1) s \
                     ON CONFLICT DO NOTHING",
                    &[&writer],
                )
                .await?;
        }
        Err(Failure::Unavailable("no audit stream could be had".into()))
    }

    /// Reads the head, unless it is known.
    pub(super) async fn find_head(&mut self, client: &Client) -> Result<(), Failure> {
        if self.head.is_some() {
            return Ok(());
        }
        let sql = "SELECT sequence, hash FROM audit_records WHERE stream = $1 ORDER BY sequence DESC LIMIT 1";
        let row = client.query_opt(sql, &[&self.number]).await?;
        let head = row.map(|row| {
            let mut columns = Columns::new(&row);
            Ok::<_, Failure>((columns.unsigned()?, columns.octets()?))
        });
        self.head = Some(head.transpose()?);
        Ok(())
    }

    /// The records that would follow the head.
    pub(super) fn records(&self, events: &[AuditEvent]) -> Result<Vec<AuditRecord>, Failure> {
        let mut head = self.head.flatten();
        let mut records = Vec::with_capacity(events.len());
        for event in events {
            let record = audit::append(&self.name, head, event)
                .map_err(|error| Failure::corrupt("an audit event cannot be written", error))?;
            head = Some((record.sequence, record.hash));
            records.push(record);
        }
        Ok(records)
    }

    /// This one was committed.
    pub(super) fn advance(&mut self, last: &AuditRecord) {
        self.head = Some(Some((last.sequence, last.hash)));
    }

    pub(super) fn forget_head(&mut self) {
        self.head = None;
    }

    async fn take_free(client: &Client, writer: &str) -> Result<Option<Self>, Failure> {
        // Those held are left out so that a session does not try them one by one; the lock itself decides.
        let free = "SELECT number, name FROM audit_streams s WHERE writer = $1 AND NOT EXISTS (SELECT 1 FROM pg_locks \
            WHERE locktype = 'advisory' AND objsubid = 2 AND classid::bigint = $2 AND objid::bigint = s.number \
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())) ORDER BY slot";
        for row in client.query(free, &[&writer, &i64::from(LOCK_CLASS)]).await? {
            let mut columns = Columns::new(&row);
            let (number, name): (i64, String) = (columns.value()?, columns.value()?);
            let half = i32::try_from(number).map_err(|error| Failure::corrupt("a stream", error))?;
            let taken =
                client.query_one("SELECT pg_try_advisory_lock($1, $2)", &[&LOCK_CLASS, &half]).await?;
            if Columns::new(&taken).value()? {
                return Ok(Some(Self { number, name, head: None }));
            }
        }
        Ok(None)
    }
}

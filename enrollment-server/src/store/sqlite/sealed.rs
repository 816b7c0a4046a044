//! Secrets of the server itself, sealed.

use issuance::store::SealedRow;
use rusqlite::{Connection, Row, params};

use super::{
    columns::{Columns, integer},
    failure::Failure,
};

pub(super) fn find(connection: &Connection, name: &str) -> Result<Option<SealedRow>, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT name, version, sealed, public FROM sealed WHERE name = ?")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(from_row).transpose()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<SealedRow>, Failure> {
    let mut statement =
        connection.prepare("SELECT name, version, sealed, public FROM sealed ORDER BY name")?;
    statement.query_and_then([], from_row)?.collect()
}

/// The version, where there is such a row.
pub(super) fn version(connection: &Connection, name: &str) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT version FROM sealed WHERE name = ?")?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| Columns::new(row).unsigned()).transpose()
}

pub(super) fn put(connection: &Connection, row: &SealedRow) -> Result<(), Failure> {
    connection
        .prepare_cached("REPLACE INTO sealed (name, version, sealed, public) VALUES (?, ?, ?, ?)")?
        .execute(params![row.name, integer(row.version)?, row.sealed, row.public])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<SealedRow, Failure> {
    let mut columns = Columns::new(row);
    Ok(SealedRow {
        name: columns.value()?,
        version: columns.unsigned()?,
        sealed: columns.value()?,
        public: columns.value()?,
    })
}

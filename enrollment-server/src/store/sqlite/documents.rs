//! Rows that are JSON documents: what they are found by stands beside them. Each table has its `number`, `version` and
//! `document`.

use issuance::store::{Cursor, Page};
use rusqlite::{Connection, Params, Row};
use serde::de::DeserializeOwned;

use super::{
    columns::{Columns, octets},
    failure::Failure,
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// The document that a statement finds.
pub(super) fn find<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Option<T>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(|row| Columns::new(row).json()).transpose()
}

/// What a statement finds of numbers and documents.
pub(super) fn list<T: DeserializeOwned>(
    connection: &Connection,
    sql: &str,
    parameters: impl Params,
) -> Result<Vec<(Cursor, T)>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_and_then(parameters, numbered)?.collect()
}

/// The version that a statement finds by an identifier; 0 where there is no such row.
pub(super) fn version(connection: &Connection, sql: &str, id: &str) -> Result<u64, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([octets::<16>(id)?])?;
    rows.next()?.map_or(Ok(0), |row| Columns::new(row).unsigned())
}

/// Whether there is what a statement looks for.
pub(super) fn exists(connection: &Connection, sql: &str, parameters: impl Params) -> Result<bool, Failure> {
    Ok(connection.prepare_cached(sql)?.query_row(parameters, |row| row.get(0))?)
}

/// After which number a page begins.
pub(super) fn after(page: &Page) -> i64 {
    page.after.map_or(0, |cursor| cursor.0)
}

/// Before which number a page begins that has the newest first.
pub(super) fn before(page: &Page) -> i64 {
    page.after.map_or(i64::MAX, |cursor| cursor.0)
}

pub(super) fn limit(page: &Page) -> i64 {
    super::columns::limit(page.limit.min(MAX_PAGE))
}

fn numbered<T: DeserializeOwned>(row: &Row<'_>) -> Result<(Cursor, T), Failure> {
    let mut columns = Columns::new(row);
    Ok((Cursor(columns.value()?), columns.json()?))
}

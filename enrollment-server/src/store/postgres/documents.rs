//! Rows that are JSON documents: what they are found by stands beside them. Each table has its `number`, `version` and
//! `document`.

use issuance::store::{Cursor, Page};
use serde::de::DeserializeOwned;
use tokio_postgres::{Row, types::ToSql};

use super::{
    columns::{Columns, integer, octets},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// The document that a statement finds.
pub(super) async fn find<T: DeserializeOwned>(
    connection: &mut Connection,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Option<T>, Failure> {
    let statement = connection.statement(sql).await?;
    let row = connection.client.query_opt(&statement, parameters).await?;
    row.map(|row| Columns::new(&row).json()).transpose()
}

/// What a statement finds of numbers and documents.
pub(super) async fn list<T: DeserializeOwned>(
    connection: &mut Connection,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<Vec<(Cursor, T)>, Failure> {
    let statement = connection.statement(sql).await?;
    let rows = connection.client.query(&statement, parameters).await?;
    rows.iter().map(numbered).collect()
}

/// Whether there is what a statement looks for.
pub(super) async fn exists(
    connection: &mut Connection,
    sql: &'static str,
    parameters: &[&(dyn ToSql + Sync)],
) -> Result<bool, Failure> {
    let statement = connection.statement(sql).await?;
    let row = connection.client.query_one(&statement, parameters).await?;
    Columns::new(&row).value()
}

/// Finds a row where the version of the identifier ($1) is this one ($2).
pub(super) fn expect_version(sql: &'static str, id: &str, version: u64) -> Result<Step, Failure> {
    Ok(Step::new(sql, parameters![octets::<16>(id)?, integer(version)?]))
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

fn numbered<T: DeserializeOwned>(row: &Row) -> Result<(Cursor, T), Failure> {
    let mut columns = Columns::new(row);
    Ok((Cursor(columns.value()?), columns.json()?))
}

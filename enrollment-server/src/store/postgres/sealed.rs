//! Secrets of the server itself, sealed.

use issuance::store::SealedRow;
use tokio_postgres::Row;

use super::{
    columns::{Columns, integer},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

const FIND: &str = "SELECT name, version, sealed, public FROM sealed WHERE name = $1";

const ALL: &str = "SELECT name, version, sealed, public FROM sealed ORDER BY name";

pub(super) async fn find(connection: &mut Connection, name: &str) -> Result<Option<SealedRow>, Failure> {
    let statement = connection.statement(FIND).await?;
    let row = connection.client.query_opt(&statement, &[&name]).await?;
    row.as_ref().map(from_row).transpose()
}

pub(super) async fn all(connection: &mut Connection) -> Result<Vec<SealedRow>, Failure> {
    let statement = connection.statement(ALL).await?;
    connection.client.query(&statement, &[]).await?.iter().map(from_row).collect()
}

pub(super) fn expect_version(name: &str, version: u64) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE coalesce((SELECT version FROM sealed WHERE name = $1), 0) = $2";
    Ok(Step::new(sql, parameters![name.to_owned(), integer(version)?]))
}

pub(super) fn put(row: &SealedRow) -> Result<Step, Failure> {
    let sql = "INSERT INTO sealed (name, version, sealed, public) VALUES ($1, $2, $3, $4) ON CONFLICT (name) \
        DO UPDATE SET version = excluded.version, sealed = excluded.sealed, public = excluded.public";
    let parameters =
        parameters![row.name.clone(), integer(row.version)?, row.sealed.clone(), row.public.clone()];
    Ok(Step::new(sql, parameters))
}

fn from_row(row: &Row) -> Result<SealedRow, Failure> {
    let mut columns = Columns::new(row);
    Ok(SealedRow {
        name: columns.value()?,
        version: columns.unsigned()?,
        sealed: columns.value()?,
        public: columns.value()?,
    })
}

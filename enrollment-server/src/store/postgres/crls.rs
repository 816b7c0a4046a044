//! CRLs, as they were published.

use issuance::{
    identity::KeyId,
    store::{Conflict, CrlRow},
};

use super::{
    columns::{Columns, integer},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

const LATEST: &str =
    "SELECT number, this_update, next_update, der FROM crls WHERE issuer = $1 ORDER BY number DESC LIMIT 1";

pub(super) async fn latest(connection: &mut Connection, issuer: KeyId) -> Result<Option<CrlRow>, Failure> {
    let statement = connection.statement(LATEST).await?;
    let row = connection.client.query_opt(&statement, &[&issuer.0.as_slice()]).await?;
    let Some(row) = row else { return Ok(None) };
    let mut columns = Columns::new(&row);
    Ok(Some(CrlRow {
        issuer,
        number: columns.unsigned()?,
        this_update: columns.time()?,
        next_update: columns.time()?,
        der: columns.value()?,
    }))
}

/// Only where its number is the greatest; whoever puts one holds the issuer's lock.
pub(super) fn put(row: &CrlRow) -> Result<Step, Failure> {
    let sql = "INSERT INTO crls (issuer, number, this_update, next_update, der) SELECT $1, $2, $3, $4, $5 \
        WHERE NOT EXISTS (SELECT 1 FROM crls WHERE issuer = $1 AND number >= $2)";
    let parameters = parameters![
        row.issuer.0.to_vec(),
        integer(row.number)?,
        row.this_update.unix(),
        row.next_update.unix(),
        row.der.clone(),
    ];
    Ok(Step::new(sql, parameters).or(Conflict::CrlNumber))
}

/// The newest one stays in any case, because the next number grows from it.
pub(super) fn prune(issuer: KeyId, keep: u32) -> Step {
    let sql = "DELETE FROM crls WHERE issuer = $1 AND number < (SELECT min(number) FROM (SELECT number FROM crls \
        WHERE issuer = $1 ORDER BY number DESC LIMIT $2) newest)";
    Step::new(sql, parameters![issuer.0.to_vec(), i64::from(keep.max(1))])
}

//! CRLs, as they were published.

use issuance::{
    identity::KeyId,
    store::{Conflict, CrlRow},
};
use rusqlite::{Connection, params};

use super::{
    columns::{Columns, integer},
    failure::Failure,
    names::Names,
};

pub(super) fn latest(connection: &Connection, issuer: KeyId) -> Result<Option<CrlRow>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT number, this_update, next_update, der FROM crls \
         WHERE issuer = (SELECT number FROM issuers WHERE key_id = ?) ORDER BY number DESC LIMIT 1",
    )?;
    let mut rows = statement.query([issuer.0])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let mut columns = Columns::new(row);
    Ok(Some(CrlRow {
        issuer,
        number: columns.unsigned()?,
        this_update: columns.time()?,
        next_update: columns.time()?,
        der: columns.value()?,
    }))
}

pub(super) fn put(connection: &Connection, names: &mut Names, row: &CrlRow) -> Result<(), Failure> {
    let (issuer, number) = (names.issuer(connection, row.issuer)?, integer(row.number)?);
    let newer: bool = connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM crls WHERE issuer = ? AND number >= ?)")?
        .query_row((issuer, number), |row| row.get(0))?;
    if newer {
        return Err(Conflict::CrlNumber.into());
    }
    connection
        .prepare_cached(
            "INSERT INTO crls (issuer, number, this_update, next_update, der) VALUES (?, ?, ?, ?, ?)",
        )?
        .execute(params![issuer, number, row.this_update.unix(), row.next_update.unix(), row.der])?;
    Ok(())
}

/// The newest one stays in any case, because the next number grows from it.
pub(super) fn prune(connection: &Connection, issuer: KeyId, keep: u32) -> Result<(), Failure> {
    connection
        .prepare_cached(
            "DELETE FROM crls WHERE issuer = (SELECT number FROM issuers WHERE key_id = ?1) AND number < \
             (SELECT min(number) FROM (SELECT number FROM crls \
             WHERE issuer = (SELECT number FROM issuers WHERE key_id = ?1) ORDER BY number DESC LIMIT ?2))",
        )?
        .execute(params![issuer.0, keep.max(1)])?;
    Ok(())
}

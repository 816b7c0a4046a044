//! Accounts and orders of ACME.

use issuance::{
    acme::{AccountRow, AccountStatus, OrderRow, OrderState},
    identity::{AcmeAccountId, AcmeOrderId, KeyId, ResourceName},
    store::{AcmeAccountFilter, Conflict, Cursor, Page},
};
use pki::{serial::SerialNumber, time::Time};
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

use super::{
    columns::{Columns, integer, octets, to_json},
    failure::Failure,
    names::Names,
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

pub(super) const ACCOUNT_BY_KEY: &str = "SELECT document FROM acme_accounts WHERE thumbprint = ? \
    AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)";

pub(super) const ORDERS_OF: &str =
    "SELECT number, document FROM acme_orders WHERE account = ? AND number > ? ORDER BY number LIMIT ?";

pub(super) const ORDER_REPLACING: &str = "SELECT document FROM acme_orders WHERE replaces_serial = ? \
    AND replaces_issuer = ? AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?) \
    ORDER BY progress DESC, number DESC LIMIT 1";

pub(super) const TO_SWEEP: &str = "SELECT EXISTS (SELECT 1 FROM acme_orders WHERE keep_until <= ?)";

pub(super) const SWEEP: &str = "DELETE FROM acme_orders WHERE number IN \
    (SELECT number FROM acme_orders WHERE keep_until <= ? ORDER BY keep_until, number LIMIT ?)";

pub(super) fn account(connection: &Connection, id: &AcmeAccountId) -> Result<Option<AccountRow>, Failure> {
    let mut statement = connection.prepare_cached("SELECT document FROM acme_accounts WHERE id = ?")?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| Columns::new(row).json()).transpose()
}

pub(super) fn account_by_key(
    connection: &Connection,
    method: &ResourceName,
    thumbprint: &[u8; 32],
) -> Result<Option<AccountRow>, Failure> {
    let mut statement = connection.prepare_cached(ACCOUNT_BY_KEY)?;
    let mut rows = statement.query(params![thumbprint, method.namespace(), method.name()])?;
    rows.next()?.map(|row| Columns::new(row).json()).transpose()
}

pub(super) fn accounts(
    connection: &Connection,
    filter: &AcmeAccountFilter,
    page: &Page,
) -> Result<Vec<(Cursor, AccountRow)>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT number, document FROM acme_accounts WHERE number > ?1 AND (?2 IS NULL OR status = ?2) \
         AND (?3 IS NULL OR credential = ?3) \
         AND (?4 IS NULL OR method = (SELECT number FROM resources WHERE namespace = ?4 AND name = ?5)) \
         ORDER BY number LIMIT ?6",
    )?;
    let parameters = params![
        page.after.map_or(0, |cursor| cursor.0),
        filter.status.map(AccountStatus::as_str),
        filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        filter.method.as_ref().map(ResourceName::namespace),
        filter.method.as_ref().map(ResourceName::name),
        page.limit.min(MAX_PAGE) as i64,
    ];
    statement.query_and_then(parameters, numbered)?.collect()
}

/// The version, where there is such an account.
pub(super) fn account_version(connection: &Connection, id: &AcmeAccountId) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT version FROM acme_accounts WHERE id = ?")?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| Columns::new(row).unsigned()).transpose()
}

pub(super) fn put_account(
    connection: &Connection,
    names: &mut Names,
    row: &AccountRow,
) -> Result<(), Failure> {
    let credential = row.binding.as_ref().map(|binding| octets::<16>(binding.credential.as_str()));
    let parameters = params![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        names.resource(connection, &row.method)?,
        row.thumbprint,
        row.status.as_str(),
        credential.transpose()?,
        to_json(row)?,
    ];
    connection
        .prepare_cached(
            "INSERT INTO acme_accounts (id, version, method, thumbprint, status, credential, document) \
             VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET version = excluded.version, \
             method = excluded.method, thumbprint = excluded.thumbprint, status = excluded.status, \
             credential = excluded.credential, document = excluded.document",
        )?
        .execute(parameters)
        .map_err(|error| Failure::unique(error, Conflict::AcmeAccountExists))?;
    Ok(())
}

pub(super) fn order(connection: &Connection, id: &AcmeOrderId) -> Result<Option<OrderRow>, Failure> {
    let mut statement = connection.prepare_cached("SELECT document FROM acme_orders WHERE id = ?")?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| Columns::new(row).json()).transpose()
}

pub(super) fn orders_of(
    connection: &Connection,
    account: &AcmeAccountId,
    page: &Page,
) -> Result<Vec<(Cursor, OrderRow)>, Failure> {
    let mut statement = connection.prepare_cached(ORDERS_OF)?;
    let after = page.after.map_or(0, |cursor| cursor.0);
    let parameters = params![octets::<16>(account.as_str())?, after, page.limit.min(MAX_PAGE) as i64];
    statement.query_and_then(parameters, numbered)?.collect()
}

pub(super) fn order_replacing(
    connection: &Connection,
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<OrderRow>, Failure> {
    let mut statement = connection.prepare_cached(ORDER_REPLACING)?;
    let parameters = params![serial.as_bytes(), issuer.0, method.namespace(), method.name()];
    let mut rows = statement.query(parameters)?;
    rows.next()?.map(|row| Columns::new(row).json()).transpose()
}

/// The version, where there is such an order.
pub(super) fn order_version(connection: &Connection, id: &AcmeOrderId) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT version FROM acme_orders WHERE id = ?")?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| Columns::new(row).unsigned()).transpose()
}

pub(super) fn put_order(connection: &Connection, names: &mut Names, row: &OrderRow) -> Result<(), Failure> {
    let replaces = row.replaces.as_ref().zip(progress(&row.state));
    let parameters = params![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        octets::<16>(row.account.as_str())?,
        names.resource(connection, &row.method)?,
        row.keep_until.unix(),
        replaces.map(|((issuer, _), _)| issuer.0),
        replaces.map(|((_, serial), _)| serial.as_bytes()),
        replaces.map(|(_, progress)| progress),
        to_json(row)?,
    ];
    // An order never changes its account or method: what is indexed by them stays as it is.
    connection
        .prepare_cached(
            "INSERT INTO acme_orders (id, version, account, method, keep_until, replaces_issuer, replaces_serial, \
             progress, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, keep_until = excluded.keep_until, \
             replaces_issuer = excluded.replaces_issuer, replaces_serial = excluded.replaces_serial, \
             progress = excluded.progress, document = excluded.document",
        )?
        .execute(parameters)?;
    Ok(())
}

pub(super) fn any_to_sweep(connection: &Connection, now: Time) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(TO_SWEEP)?;
    Ok(statement.query_row([now.unix()], |row| row.get(0))?)
}

pub(super) fn sweep_orders(connection: &Connection, now: Time, limit: u32) -> Result<(), Failure> {
    connection.prepare_cached(SWEEP)?.execute(params![now.unix(), limit])?;
    Ok(())
}

fn numbered<T: DeserializeOwned>(row: &Row<'_>) -> Result<(Cursor, T), Failure> {
    let mut columns = Columns::new(row);
    Ok((Cursor(columns.value()?), columns.json()?))
}

/// The number in the column `progress`; the schema repeats it.
fn progress(state: &OrderState) -> Option<i64> {
    match state {
        OrderState::Open => Some(0),
        OrderState::Processing { .. } => Some(1),
        OrderState::Valid { .. } => Some(2),
        OrderState::Invalid { .. } => None,
    }
}

//! Accounts and orders of ACME.

use issuance::{
    acme::{AccountRow, AccountStatus, OrderRow, OrderState},
    identity::{AcmeAccountId, AcmeOrderId, KeyId, ResourceName},
    store::{AcmeAccountFilter, Conflict, Cursor, Page},
};
use pki::{serial::SerialNumber, time::Time};
use rusqlite::{Connection, params};

use super::{
    columns::{integer, octets, to_json},
    documents,
    failure::Failure,
    names::Names,
};

pub(super) const ACCOUNT_BY_KEY: &str = "SELECT document FROM acme_accounts WHERE thumbprint = ? \
    AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)";

const ACCOUNTS: &str = "SELECT number, document FROM acme_accounts WHERE number > ?1 \
    AND (?2 IS NULL OR status = ?2) AND (?3 IS NULL OR credential = ?3) \
    AND (?4 IS NULL OR method = (SELECT number FROM resources WHERE namespace = ?4 AND name = ?5)) \
    ORDER BY number LIMIT ?6";

pub(super) const ORDERS_OF: &str =
    "SELECT number, document FROM acme_orders WHERE account = ? AND number < ? ORDER BY number DESC LIMIT ?";

pub(super) const ORDER_REPLACING: &str = "SELECT document FROM acme_orders WHERE replaces_serial = ? \
    AND replaces_issuer = ? AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?) \
    ORDER BY progress DESC, number DESC LIMIT 1";

pub(super) const TO_SWEEP: &str = "SELECT EXISTS (SELECT 1 FROM acme_orders WHERE keep_until <= ?)";

pub(super) const SWEEP: &str = "DELETE FROM acme_orders WHERE number IN \
    (SELECT number FROM acme_orders WHERE keep_until <= ? ORDER BY keep_until, number LIMIT ?)";

/// Most changes of an order leave the time as it is that it is indexed by. To set it all the same would write the index anew.
const CHANGE_ORDER: &str = "UPDATE acme_orders SET version = ?1, replaces_issuer = ?2, replaces_serial = ?3, \
    progress = ?4, document = ?5 WHERE id = ?6 AND keep_until = ?7";

const MOVE_ORDER: &str = "UPDATE acme_orders SET version = ?1, replaces_issuer = ?2, replaces_serial = ?3, \
    progress = ?4, document = ?5, keep_until = ?7 WHERE id = ?6";

/// An order never changes its account or method: what is indexed by them stays as it is. Where there is a row already, this
/// costs two pages more than the changes above: SQLite writes the last number of the table before it looks.
const PUT_ORDER: &str = "INSERT INTO acme_orders (id, version, account, method, keep_until, replaces_issuer, \
    replaces_serial, progress, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) \
    ON CONFLICT (id) DO UPDATE SET version = excluded.version, keep_until = excluded.keep_until, \
    replaces_issuer = excluded.replaces_issuer, replaces_serial = excluded.replaces_serial, \
    progress = excluded.progress, document = excluded.document";

pub(super) fn account(connection: &Connection, id: &AcmeAccountId) -> Result<Option<AccountRow>, Failure> {
    let id = octets::<16>(id.as_str())?;
    documents::find(connection, "SELECT document FROM acme_accounts WHERE id = ?", [id])
}

pub(super) fn account_by_key(
    connection: &Connection,
    method: &ResourceName,
    thumbprint: &[u8; 32],
) -> Result<Option<AccountRow>, Failure> {
    documents::find(connection, ACCOUNT_BY_KEY, params![thumbprint, method.namespace(), method.name()])
}

pub(super) fn accounts(
    connection: &Connection,
    filter: &AcmeAccountFilter,
    page: &Page,
) -> Result<Vec<(Cursor, AccountRow)>, Failure> {
    let parameters = params![
        documents::after(page),
        filter.status.map(AccountStatus::as_str),
        filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        filter.method.as_ref().map(ResourceName::namespace),
        filter.method.as_ref().map(ResourceName::name),
        documents::limit(page),
    ];
    documents::list(connection, ACCOUNTS, parameters)
}

/// 0 where there is no such account.
pub(super) fn account_version(connection: &Connection, id: &AcmeAccountId) -> Result<u64, Failure> {
    documents::version(connection, "SELECT version FROM acme_accounts WHERE id = ?", id.as_str())
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
    let id = octets::<16>(id.as_str())?;
    documents::find(connection, "SELECT document FROM acme_orders WHERE id = ?", [id])
}

pub(super) fn orders_of(
    connection: &Connection,
    account: &AcmeAccountId,
    page: &Page,
) -> Result<Vec<(Cursor, OrderRow)>, Failure> {
    let account = octets::<16>(account.as_str())?;
    documents::list(connection, ORDERS_OF, params![account, documents::before(page), documents::limit(page)])
}

pub(super) fn order_replacing(
    connection: &Connection,
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<OrderRow>, Failure> {
    let parameters = params![serial.as_bytes(), issuer.0, method.namespace(), method.name()];
    documents::find(connection, ORDER_REPLACING, parameters)
}

/// 0 where there is no such order.
pub(super) fn order_version(connection: &Connection, id: &AcmeOrderId) -> Result<u64, Failure> {
    documents::version(connection, "SELECT version FROM acme_orders WHERE id = ?", id.as_str())
}

pub(super) fn put_order(connection: &Connection, names: &mut Names, row: &OrderRow) -> Result<(), Failure> {
    let id = octets::<16>(row.id.as_str())?;
    let (version, keep_until, document) = (integer(row.version)?, row.keep_until.unix(), to_json(row)?);
    let replaces = row.replaces.as_ref().zip(progress(&row.state));
    let issuer = replaces.map(|((issuer, _), _)| issuer.0);
    let serial = replaces.map(|((_, serial), _)| serial.as_bytes());
    let progress = replaces.map(|(_, progress)| progress);
    if row.version > 1 {
        let parameters = params![version, issuer, serial, progress, document, id, keep_until];
        for change in [CHANGE_ORDER, MOVE_ORDER] {
            if connection.prepare_cached(change)?.execute(parameters)? > 0 {
                return Ok(());
            }
        }
    }
    let method = names.resource(connection, &row.method)?;
    let account = octets::<16>(row.account.as_str())?;
    let parameters = params![id, version, account, method, keep_until, issuer, serial, progress, document];
    connection.prepare_cached(PUT_ORDER)?.execute(parameters)?;
    Ok(())
}

pub(super) fn any_to_sweep(connection: &Connection, now: Time) -> Result<bool, Failure> {
    documents::exists(connection, TO_SWEEP, [now.unix()])
}

pub(super) fn sweep_orders(connection: &Connection, now: Time, limit: u32) -> Result<(), Failure> {
    connection.prepare_cached(SWEEP)?.execute(params![now.unix(), limit])?;
    Ok(())
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

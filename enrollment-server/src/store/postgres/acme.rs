//! Accounts and orders of ACME.

use issuance::{
    acme::{AccountRow, AccountStatus, OrderRow, OrderState},
    identity::{AcmeAccountId, AcmeOrderId, KeyId, ResourceName},
    store::{AcmeAccountFilter, Conflict, Cursor, Page},
};
use pki::{serial::SerialNumber, time::Time};

use super::{
    columns::{integer, octets, to_json},
    connect::Connection,
    documents,
    failure::Failure,
    order::{Step, parameters},
};

const ACCOUNT: &str = "SELECT document FROM acme_accounts WHERE id = $1";

const ACCOUNT_BY_KEY: &str = "SELECT document FROM acme_accounts WHERE thumbprint = $1 AND method = $2";

const ACCOUNTS: &str = "SELECT number, document FROM acme_accounts WHERE number > $1 \
    AND ($2::text IS NULL OR status = $2) AND ($3::bytea IS NULL OR credential = $3) \
    AND ($4::text IS NULL OR method = $4) ORDER BY number LIMIT $5";

const ORDER: &str = "SELECT document FROM acme_orders WHERE id = $1";

const ORDERS_OF: &str = "SELECT number, document FROM acme_orders WHERE account = $1 AND number < $2 ORDER BY number DESC LIMIT $3";

const ORDER_REPLACING: &str = "SELECT document FROM acme_orders WHERE replaces_serial = $1 \
    AND replaces_issuer = $2 AND method = $3 ORDER BY progress DESC, number DESC LIMIT 1";

const ANY_TO_SWEEP: &str = "SELECT EXISTS (SELECT 1 FROM acme_orders WHERE keep_until <= $1)";

pub(super) async fn account(
    connection: &mut Connection,
    id: &AcmeAccountId,
) -> Result<Option<AccountRow>, Failure> {
    documents::find(connection, ACCOUNT, &[&octets::<16>(id.as_str())?]).await
}

pub(super) async fn account_by_key(
    connection: &mut Connection,
    method: &ResourceName,
    thumbprint: &[u8; 32],
) -> Result<Option<AccountRow>, Failure> {
    documents::find(connection, ACCOUNT_BY_KEY, &[&thumbprint.as_slice(), &method.to_string()]).await
}

pub(super) async fn accounts(
    connection: &mut Connection,
    filter: &AcmeAccountFilter,
    page: &Page,
) -> Result<Vec<(Cursor, AccountRow)>, Failure> {
    documents::list(
        connection,
        ACCOUNTS,
        &[
            &documents::after(page),
            &filter.status.map(AccountStatus::as_str),
            &filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
            &filter.method.as_ref().map(ToString::to_string),
            &documents::limit(page),
        ],
    )
    .await
}

pub(super) async fn order(
    connection: &mut Connection,
    id: &AcmeOrderId,
) -> Result<Option<OrderRow>, Failure> {
    documents::find(connection, ORDER, &[&octets::<16>(id.as_str())?]).await
}

pub(super) async fn orders_of(
    connection: &mut Connection,
    account: &AcmeAccountId,
    page: &Page,
) -> Result<Vec<(Cursor, OrderRow)>, Failure> {
    let account = octets::<16>(account.as_str())?;
    documents::list(connection, ORDERS_OF, &[&account, &documents::before(page), &documents::limit(page)])
        .await
}

pub(super) async fn order_replacing(
    connection: &mut Connection,
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<OrderRow>, Failure> {
    let method = method.to_string();
    documents::find(connection, ORDER_REPLACING, &[&serial.as_bytes(), &issuer.0.as_slice(), &method]).await
}

pub(super) async fn any_to_sweep(connection: &mut Connection, now: Time) -> Result<bool, Failure> {
    documents::exists(connection, ANY_TO_SWEEP, &[&now.unix()]).await
}

/// Whoever expects a version holds the account's lock: with others, unless one of them changes it.
pub(super) fn expect_account_version(id: &AcmeAccountId, version: u64) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE coalesce((SELECT version FROM acme_accounts WHERE id = $1), 0) = $2";
    documents::expect_version(sql, id.as_str(), version)
}

/// Whoever expects a version holds the order's lock alone.
pub(super) fn expect_order_version(id: &AcmeOrderId, version: u64) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE coalesce((SELECT version FROM acme_orders WHERE id = $1), 0) = $2";
    documents::expect_version(sql, id.as_str(), version)
}

/// Whoever expects that holds the certificate's lock alone.
pub(super) fn expect_replacing(
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
    by: Option<&AcmeOrderId>,
) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE (SELECT id FROM acme_orders WHERE replaces_serial = $1 AND replaces_issuer = $2 \
        AND method = $3 ORDER BY progress DESC, number DESC LIMIT 1) IS NOT DISTINCT FROM $4";
    let parameters = parameters![
        serial.as_bytes().to_vec(),
        issuer.0.to_vec(),
        method.to_string(),
        by.map(|id| octets::<16>(id.as_str())).transpose()?,
    ];
    Ok(Step::new(sql, parameters))
}

pub(super) fn put_account(row: &AccountRow) -> Result<Step, Failure> {
    let sql = "INSERT INTO acme_accounts (id, version, method, thumbprint, status, credential, document) \
        VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET version = excluded.version, \
        method = excluded.method, thumbprint = excluded.thumbprint, status = excluded.status, \
        credential = excluded.credential, document = excluded.document";
    let credential = row.binding.as_ref().map(|binding| octets::<16>(binding.credential.as_str()));
    let parameters = parameters![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        row.method.to_string(),
        row.thumbprint.to_vec(),
        row.status.as_str(),
        credential.transpose()?,
        to_json(row)?,
    ];
    Ok(Step::new(sql, parameters).unless_taken(Conflict::AcmeAccountExists))
}

/// An order never changes its account or method. Where what is indexed keeps its value, the new version of the row needs no
/// entry in any index (HOT).
pub(super) fn put_order(row: &OrderRow) -> Result<Step, Failure> {
    let sql = "INSERT INTO acme_orders (id, version, account, method, keep_until, replaces_issuer, replaces_serial, \
        progress, document) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, keep_until = excluded.keep_until, \
        replaces_issuer = excluded.replaces_issuer, replaces_serial = excluded.replaces_serial, \
        progress = excluded.progress, document = excluded.document";
    let replaces = row.replaces.as_ref().zip(progress(&row.state));
    let parameters = parameters![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        octets::<16>(row.account.as_str())?,
        row.method.to_string(),
        row.keep_until.unix(),
        replaces.map(|((issuer, _), _)| issuer.0.to_vec()),
        replaces.map(|((_, serial), _)| serial.as_bytes().to_vec()),
        replaces.map(|(_, progress)| progress),
        to_json(row)?,
    ];
    Ok(Step::new(sql, parameters))
}

/// What another replica is sweeping at this moment is passed over, not waited for.
pub(super) fn sweep_orders(now: Time, limit: u32) -> Step {
    let sql = "DELETE FROM acme_orders WHERE number IN (SELECT number FROM acme_orders WHERE keep_until <= $1 \
        ORDER BY keep_until, number LIMIT $2 FOR UPDATE SKIP LOCKED)";
    Step::new(sql, parameters![now.unix(), i64::from(limit)])
}

/// The number in the column `progress`; the schema repeats it.
fn progress(state: &OrderState) -> Option<i16> {
    match state {
        OrderState::Open => Some(0),
        OrderState::Processing { .. } => Some(1),
        OrderState::Valid { .. } => Some(2),
        OrderState::Invalid { .. } => None,
    }
}

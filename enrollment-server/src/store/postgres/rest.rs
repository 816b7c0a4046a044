//! Orders of REST.

use issuance::{
    identity::{KeyId, ResourceName, RestOrderId},
    rest::{OrderKey, OrderRow},
    store::{Conflict, Cursor, Page, RequestKey, RestOrderFilter},
};
use pki::{serial::SerialNumber, time::Time};

use super::{
    columns::{integer, octets, to_json},
    connect::Connection,
    documents,
    failure::Failure,
    order::{Step, parameters},
};

const ORDER: &str = "SELECT document FROM rest_orders WHERE id = $1";

const ORDER_BY_KEY: &str = "SELECT document FROM rest_orders WHERE idempotency = $1 AND method = $2";

const ORDER_OF: &str = "SELECT document FROM rest_orders WHERE serial = $1 AND issuer = $2 AND method = $3";

const ORDER_REPLACING: &str = "SELECT document FROM rest_orders WHERE replaces_serial = $1 \
    AND replaces_issuer = $2 AND method = $3 ORDER BY progress DESC, number DESC LIMIT 1";

/// A filter that is not given is NULL and thereby true; the plan is made for the values given.
const ORDERS: &str = "SELECT number, document FROM rest_orders WHERE number > $1 \
    AND ($3::text IS NULL OR method = $3) AND ($4::bytea IS NULL OR credential = $4) \
    AND ($5::text IS NULL OR state IN ($5, $11)) AND ($6::boolean IS NULL OR (expires_at <= $7::bigint) = $6) \
    AND ($8::bigint IS NULL OR created_at >= $8) AND ($9::bigint IS NULL OR created_at < $9) \
    AND ($10::boolean IS NULL OR key_held = $10) ORDER BY number LIMIT $2";

const ANY_TO_SWEEP: &str = "SELECT EXISTS (SELECT 1 FROM rest_orders WHERE keep_until <= $1)";

pub(super) async fn order(
    connection: &mut Connection,
    id: &RestOrderId,
) -> Result<Option<OrderRow>, Failure> {
    documents::find(connection, ORDER, &[&octets::<16>(id.as_str())?]).await
}

pub(super) async fn order_by_key(
    connection: &mut Connection,
    method: &ResourceName,
    key: &RequestKey,
) -> Result<Option<OrderRow>, Failure> {
    documents::find(connection, ORDER_BY_KEY, &[&key.0.as_slice(), &method.to_string()]).await
}

pub(super) async fn order_of(
    connection: &mut Connection,
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<OrderRow>, Failure> {
    let method = method.to_string();
    documents::find(connection, ORDER_OF, &[&serial.as_bytes(), &issuer.0.as_slice(), &method]).await
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

pub(super) async fn orders(
    connection: &mut Connection,
    filter: &RestOrderFilter,
    page: &Page,
) -> Result<Vec<(Cursor, OrderRow)>, Failure> {
    let status = filter.status.map(|(status, now)| (status.recorded(), now));
    documents::list(
        connection,
        ORDERS,
        &[
            &documents::after(page),
            &documents::limit(page),
            &filter.method.as_ref().map(ToString::to_string),
            &filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
            &status.map(|(([state, _], _), _)| state.as_str()),
            &status.and_then(|((_, ended), _)| ended),
            &status.map(|(_, now)| now.unix()),
            &filter.created_from.map(Time::unix),
            &filter.created_before.map(Time::unix),
            &filter.key_held,
            &status.map(|(([_, or], _), _)| or.as_str()),
        ],
    )
    .await
}

pub(super) async fn any_to_sweep(connection: &mut Connection, now: Time) -> Result<bool, Failure> {
    documents::exists(connection, ANY_TO_SWEEP, &[&now.unix()]).await
}

/// Whoever expects a version holds the order's lock alone.
pub(super) fn expect_order_version(id: &RestOrderId, version: u64) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE coalesce((SELECT version FROM rest_orders WHERE id = $1), 0) = $2";
    documents::expect_version(sql, id.as_str(), version)
}

/// Whoever expects that holds the certificate's lock alone.
pub(super) fn expect_replacing(
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
    by: Option<&RestOrderId>,
) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE (SELECT id FROM rest_orders WHERE replaces_serial = $1 AND replaces_issuer = $2 \
        AND method = $3 ORDER BY progress DESC, number DESC LIMIT 1) IS NOT DISTINCT FROM $4";
    let parameters = parameters![
        serial.as_bytes().to_vec(),
        issuer.0.to_vec(),
        method.to_string(),
        by.map(|id| octets::<16>(id.as_str())).transpose()?,
    ];
    Ok(Step::new(sql, parameters))
}

/// An order never changes whose it is, nor what it is called. Where what is indexed keeps its value, the new version of the
/// row needs no entry in any index (HOT).
pub(super) fn put_order(row: &OrderRow) -> Result<Step, Failure> {
    let sql = "INSERT INTO rest_orders (id, version, method, credential, state, created_at, expires_at, keep_until, \
        idempotency, key_held, issuer, serial, replaces_issuer, replaces_serial, progress, document) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) \
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, \
        expires_at = excluded.expires_at, keep_until = excluded.keep_until, key_held = excluded.key_held, \
        issuer = excluded.issuer, serial = excluded.serial, replaces_issuer = excluded.replaces_issuer, \
        replaces_serial = excluded.replaces_serial, progress = excluded.progress, document = excluded.document";
    let (certificate, replacing) = (row.keyed_certificate(), row.replacing());
    let parameters = parameters![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        row.method.to_string(),
        row.requester.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        row.state.recorded().as_str(),
        row.created_at.unix(),
        row.expires_at.unix(),
        row.keep_until.unix(),
        row.idempotency.as_ref().map(|idempotency| idempotency.key.0.to_vec()),
        matches!(row.key, OrderKey::Held { .. }),
        certificate.map(|(issuer, _)| issuer.0.to_vec()),
        certificate.map(|(_, serial)| serial.as_bytes().to_vec()),
        replacing.map(|((issuer, _), _)| issuer.0.to_vec()),
        replacing.map(|((_, serial), _)| serial.as_bytes().to_vec()),
        replacing.map(|(_, progress)| progress as i16),
        to_json(row)?,
    ];
    Ok(Step::new(sql, parameters).unless_taken(Conflict::RestOrderExists))
}

/// What another replica is sweeping at this moment is passed over, not waited for.
pub(super) fn sweep_orders(now: Time, limit: u32) -> Step {
    let sql = "DELETE FROM rest_orders WHERE number IN (SELECT number FROM rest_orders WHERE keep_until <= $1 \
        ORDER BY keep_until, number LIMIT $2 FOR UPDATE SKIP LOCKED)";
    Step::new(sql, parameters![now.unix(), i64::from(limit)])
}

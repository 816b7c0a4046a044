//! Orders of REST.

use issuance::{
    identity::{KeyId, ResourceName, RestOrderId},
    rest::{OrderKey, OrderRow},
    store::{Conflict, Cursor, Page, RequestKey, RestOrderFilter},
};
use pki::{serial::SerialNumber, time::Time};
use rusqlite::{Connection, params};

use super::{
    columns::{integer, octets, to_json},
    documents,
    failure::Failure,
    names::Names,
};

pub(super) const ORDER_BY_KEY: &str = "SELECT document FROM rest_orders WHERE idempotency = ? \
    AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)";

// The plus keeps SQLite from the index of methods, which each have many orders; a certificate has few.
pub(super) const ORDER_OF: &str = "SELECT document FROM rest_orders WHERE serial = ? AND issuer = ? \
    AND +method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)";

pub(super) const ORDER_REPLACING: &str = "SELECT document FROM rest_orders WHERE replaces_serial = ? \
    AND replaces_issuer = ? AND +method = (SELECT number FROM resources WHERE namespace = ? AND name = ?) \
    ORDER BY progress DESC, number DESC LIMIT 1";

pub(super) const TO_SWEEP: &str = "SELECT EXISTS (SELECT 1 FROM rest_orders WHERE keep_until <= ?)";

pub(super) const SWEEP: &str = "DELETE FROM rest_orders WHERE number IN \
    (SELECT number FROM rest_orders WHERE keep_until <= ? ORDER BY keep_until, number LIMIT ?)";

pub(super) fn order(connection: &Connection, id: &RestOrderId) -> Result<Option<OrderRow>, Failure> {
    let id = octets::<16>(id.as_str())?;
    documents::find(connection, "SELECT document FROM rest_orders WHERE id = ?", [id])
}

pub(super) fn order_by_key(
    connection: &Connection,
    method: &ResourceName,
    key: &RequestKey,
) -> Result<Option<OrderRow>, Failure> {
    documents::find(connection, ORDER_BY_KEY, params![key.0, method.namespace(), method.name()])
}

pub(super) fn order_of(
    connection: &Connection,
    method: &ResourceName,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<OrderRow>, Failure> {
    let parameters = params![serial.as_bytes(), issuer.0, method.namespace(), method.name()];
    documents::find(connection, ORDER_OF, parameters)
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

pub(super) fn orders(
    connection: &Connection,
    filter: &RestOrderFilter,
    page: &Page,
) -> Result<Vec<(Cursor, OrderRow)>, Failure> {
    let status = filter.status.map(|(status, now)| (status.recorded(), now));
    let parameters = params![
        documents::after(page),
        documents::limit(page),
        filter.method.as_ref().map(ResourceName::namespace),
        filter.method.as_ref().map(ResourceName::name),
        filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        status.map(|(([state, _], _), _)| state.as_str()),
        status.and_then(|((_, ended), _)| ended),
        status.map(|(_, now)| now.unix()),
        filter.created_from.map(Time::unix),
        filter.created_before.map(Time::unix),
        filter.key_held,
        status.map(|(([_, or], _), _)| or.as_str()),
    ];
    documents::list(connection, &orders_sql(filter.method.is_some()), parameters)
}

/// Of one method, or of all: SQLite would not look into the index for a method that may be NULL.
pub(super) fn orders_sql(of_method: bool) -> String {
    let method = if of_method {
        "method = (SELECT number FROM resources WHERE namespace = ?3 AND name = ?4)"
    } else {
        "?3 IS NULL AND ?4 IS NULL"
    };
    format!(
        "SELECT number, document FROM rest_orders WHERE number > ?1 AND {method} \
         AND (?5 IS NULL OR credential = ?5) AND (?6 IS NULL OR state IN (?6, ?12)) \
         AND (?7 IS NULL OR (expires_at <= ?8) = ?7) AND (?9 IS NULL OR created_at >= ?9) \
         AND (?10 IS NULL OR created_at < ?10) AND (?11 IS NULL OR key_held = ?11) ORDER BY number LIMIT ?2"
    )
}

/// 0 where there is no such order.
pub(super) fn order_version(connection: &Connection, id: &RestOrderId) -> Result<u64, Failure> {
    documents::version(connection, "SELECT version FROM rest_orders WHERE id = ?", id.as_str())
}

pub(super) fn put_order(connection: &Connection, names: &mut Names, row: &OrderRow) -> Result<(), Failure> {
    let (certificate, replacing) = (row.keyed_certificate(), row.replacing());
    let parameters = params![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        names.resource(connection, &row.method)?,
        row.requester.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        row.state.recorded().as_str(),
        row.created_at.unix(),
        row.expires_at.unix(),
        row.keep_until.unix(),
        row.idempotency.as_ref().map(|idempotency| idempotency.key.0),
        matches!(row.key, OrderKey::Held { .. }),
        certificate.map(|(issuer, _)| issuer.0),
        certificate.as_ref().map(|(_, serial)| serial.as_bytes()),
        replacing.map(|((issuer, _), _)| issuer.0),
        replacing.as_ref().map(|((_, serial), _)| serial.as_bytes()),
        replacing.map(|(_, progress)| progress as i64),
        to_json(row)?,
    ];
    // An order never changes whose it is, nor what it is called: what is indexed by them stays as it is.
    connection
        .prepare_cached(
            "INSERT INTO rest_orders (id, version, method, credential, state, created_at, expires_at, keep_until, \
             idempotency, key_held, issuer, serial, replaces_issuer, replaces_serial, progress, document) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, \
             expires_at = excluded.expires_at, keep_until = excluded.keep_until, key_held = excluded.key_held, \
             issuer = excluded.issuer, serial = excluded.serial, replaces_issuer = excluded.replaces_issuer, \
             replaces_serial = excluded.replaces_serial, progress = excluded.progress, document = excluded.document",
        )?
        .execute(parameters)
        .map_err(|error| Failure::unique(error, Conflict::RestOrderExists))?;
    Ok(())
}

pub(super) fn any_to_sweep(connection: &Connection, now: Time) -> Result<bool, Failure> {
    documents::exists(connection, TO_SWEEP, [now.unix()])
}

pub(super) fn sweep_orders(connection: &Connection, now: Time, limit: u32) -> Result<(), Failure> {
    connection.prepare_cached(SWEEP)?.execute(params![now.unix(), limit])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{credentials, migrate};

    #[test]
    fn hot_statements_go_straight_to_their_rows() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        let plan = |sql: &str| {
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let mut rows = statement.raw_query();
            let mut plan = Vec::new();
            while let Some(row) = rows.next().unwrap() {
                plan.push(row.get::<_, String>(3).unwrap());
            }
            plan.join("\n")
        };
        let expected: [(&str, &str); 7] = [
            (ORDER_BY_KEY, "INDEX rest_orders_idempotency (idempotency=? AND method=?)"),
            (&orders_sql(true), "INDEX rest_orders_method (method=? AND rowid>?)"),
            (ORDER_OF, "INDEX rest_orders_certificate (serial=? AND issuer=?)"),
            (ORDER_REPLACING, "INDEX rest_orders_replaces (replaces_serial=? AND replaces_issuer=?)"),
            (TO_SWEEP, "INDEX rest_orders_keep_until (keep_until<?)"),
            (SWEEP, "INDEX rest_orders_keep_until (keep_until<?)"),
            (&credentials::find_by_access_key_sql(), "INDEX credentials_access_key (username=?)"),
        ];
        for (sql, index) in expected {
            let plan = plan(sql);
            assert!(plan.contains(index), "{sql}\n{plan}");
            assert!(!plan.contains("SCAN rest_orders") && !plan.contains("SCAN c"), "{plan}");
        }
    }
}

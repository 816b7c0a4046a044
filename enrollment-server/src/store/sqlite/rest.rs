//! Orders of REST.

use issuance::{
    identity::{ResourceName, RestOrderId},
    rest::{OrderKey, OrderRow},
    store::{Conflict, Cursor, Page, RequestKey, RestOrderFilter},
};
use pki::time::Time;
use rusqlite::{Connection, params};

use super::{
    columns::{integer, octets, to_json},
    documents,
    failure::Failure,
    names::Names,
};

pub(super) const ORDER_BY_KEY: &str = "SELECT document FROM rest_orders WHERE idempotency = ? \
    AND method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)";

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
        status.map(|((state, _), _)| state.as_str()),
        status.and_then(|((_, ended), _)| ended),
        status.map(|(_, now)| now.unix()),
        filter.created_from.map(Time::unix),
        filter.created_before.map(Time::unix),
        filter.key_held,
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
         AND (?5 IS NULL OR credential = ?5) AND (?6 IS NULL OR state = ?6) \
         AND (?7 IS NULL OR (expires_at <= ?8) = ?7) AND (?9 IS NULL OR created_at >= ?9) \
         AND (?10 IS NULL OR created_at < ?10) AND (?11 IS NULL OR key_held = ?11) ORDER BY number LIMIT ?2"
    )
}

/// 0 where there is no such order.
pub(super) fn order_version(connection: &Connection, id: &RestOrderId) -> Result<u64, Failure> {
    documents::version(connection, "SELECT version FROM rest_orders WHERE id = ?", id.as_str())
}

pub(super) fn put_order(connection: &Connection, names: &mut Names, row: &OrderRow) -> Result<(), Failure> {
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
        to_json(row)?,
    ];
    // An order never changes whose it is, nor what it is called: what is indexed by them stays as it is.
    connection
        .prepare_cached(
            "INSERT INTO rest_orders (id, version, method, credential, state, created_at, expires_at, keep_until, \
             idempotency, key_held, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, state = excluded.state, \
             expires_at = excluded.expires_at, keep_until = excluded.keep_until, key_held = excluded.key_held, \
             document = excluded.document",
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
        let expected: [(&str, &str); 5] = [
            (ORDER_BY_KEY, "INDEX rest_orders_idempotency (idempotency=? AND method=?)"),
            (&orders_sql(true), "INDEX rest_orders_method (method=? AND rowid>?)"),
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

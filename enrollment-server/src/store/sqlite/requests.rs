//! Requests that outlive their answer.

use issuance::{
    identity::{KeyId, RequestId, ResourceName},
    store::{Conflict, Cursor, Decision, Page, RequestFilter, RequestKey, RequestRow, RequestState},
};
use pki::{serial::SerialNumber, time::Time};
use rusqlite::{Connection, Row, params};

use super::{
    apply::one_row,
    columns::{Columns, octets, serial, to_json},
    failure::Failure,
    names::Names,
    scope,
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// In the order in which [`from_row`] reads.
const SELECT: &str = "SELECT r.number, r.id, m.namespace, m.name, r.key, r.content, p.namespace, p.name, \
    r.requester, r.state, r.summary, r.encoded, r.created_at, r.expires_at, r.decided_by, r.decided_at, \
    r.decision_reason, r.decider, i.key_id, r.certificate_serial \
    FROM requests r CROSS JOIN resources m ON m.number = r.method CROSS JOIN resources p ON p.number = r.profile \
    LEFT JOIN issuers i ON i.number = r.certificate_issuer";

pub(super) fn find(connection: &Connection, id: &RequestId) -> Result<Option<RequestRow>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE r.id = ?"))?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| from_row(row).map(|(_, row)| row)).transpose()
}

pub(super) fn find_by_key(
    connection: &Connection,
    method: &ResourceName,
    key: &RequestKey,
) -> Result<Option<RequestRow>, Failure> {
    let sql = format!(
        "{SELECT} WHERE r.key = ? AND r.method = (SELECT number FROM resources WHERE namespace = ? AND name = ?)"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![key.0, method.namespace(), method.name()])?;
    rows.next()?.map(|row| from_row(row).map(|(_, row)| row)).transpose()
}

pub(super) fn list(
    connection: &Connection,
    filter: &RequestFilter,
    page: &Page,
) -> Result<Vec<(Cursor, RequestRow)>, Failure> {
    let Some(sql) = list_sql(connection, filter)? else { return Ok(Vec::new()) };
    let parameters = params![
        page.after.map_or(0, |cursor| cursor.0),
        filter.state.map(RequestState::as_str),
        page.limit.min(MAX_PAGE) as i64,
    ];
    connection.prepare(&sql)?.query_and_then(parameters, from_row)?.collect()
}

/// None where no row names any of the methods. Of a table that only grows a few rows are pending, and an index has the numbers of those.
fn list_sql(connection: &Connection, filter: &RequestFilter) -> Result<Option<String>, Failure> {
    let numbers = filter.methods.as_ref().map(|methods| scope::numbers(connection, methods)).transpose()?;
    let methods =
        |column| numbers.as_ref().map_or("TRUE".to_owned(), |numbers| scope::among(column, numbers));
    if numbers.as_ref().is_some_and(Vec::is_empty) {
        return Ok(None);
    }
    Ok(Some(match filter.state {
        Some(RequestState::Pending) => format!(
            "{SELECT} WHERE r.number IN (SELECT number FROM requests INDEXED BY requests_waiting \
             WHERE state = 'pending' AND {} AND number > ?1 ORDER BY number LIMIT ?3) ORDER BY r.number",
            methods("method")
        ),
        None
        | Some(
            RequestState::Approved | RequestState::Denied | RequestState::Issued | RequestState::Expired,
        ) => format!(
            "{SELECT} WHERE r.number > ?1 AND (?2 IS NULL OR r.state = ?2) AND {} ORDER BY r.number LIMIT ?3",
            methods("+r.method")
        ),
    }))
}

pub(super) fn is_in_state(
    connection: &Connection,
    id: &RequestId,
    state: RequestState,
) -> Result<bool, Failure> {
    let mut statement =
        connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM requests WHERE id = ? AND state = ?)")?;
    Ok(statement.query_row(params![octets::<16>(id.as_str())?, state.as_str()], |row| row.get(0))?)
}

pub(super) fn insert(connection: &Connection, names: &mut Names, row: &RequestRow) -> Result<(), Failure> {
    let decision = row.decision.as_ref();
    let (issuer, serial) = certificate_columns(connection, names, row.certificate.as_ref())?;
    let parameters = params![
        octets::<16>(row.id.as_str())?,
        names.resource(connection, &row.method)?,
        row.key.map(|key| key.0),
        row.content,
        names.resource(connection, &row.profile)?,
        to_json(&row.requester)?,
        row.state.as_str(),
        row.summary,
        row.encoded,
        row.created_at.unix(),
        row.expires_at.unix(),
        decision.map(|decision| &decision.by),
        decision.map(|decision| decision.at.unix()),
        decision.and_then(|decision| decision.reason.as_ref()),
        decider_column(decision)?,
        issuer,
        serial,
    ];
    connection
        .prepare_cached(
            "INSERT INTO requests (id, method, key, content, profile, requester, state, summary, encoded, \
             created_at, expires_at, decided_by, decided_at, decision_reason, decider, certificate_issuer, \
             certificate_serial) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .execute(parameters)
        .map_err(|error| Failure::unique(error, Conflict::RequestExists))?;
    Ok(())
}

pub(super) fn update(
    connection: &Connection,
    names: &mut Names,
    id: &RequestId,
    state: RequestState,
    decision: Option<&Decision>,
    certificate: Option<&(KeyId, SerialNumber)>,
) -> Result<(), Failure> {
    let id = octets::<16>(id.as_str())?;
    let mut statement = connection.prepare_cached("UPDATE requests SET state = ? WHERE id = ?")?;
    one_row(statement.execute(params![state.as_str(), id])?, "request")?;
    if let Some(decision) = decision {
        connection
            .prepare_cached(
                "UPDATE requests SET decided_by = ?, decided_at = ?, decision_reason = ?, decider = ? WHERE id = ?",
            )?
            .execute(params![
                decision.by,
                decision.at.unix(),
                decision.reason,
                decider_column(Some(decision))?,
                id
            ])?;
    }
    if certificate.is_some() {
        let (issuer, serial) = certificate_columns(connection, names, certificate)?;
        connection
            .prepare_cached(
                "UPDATE requests SET certificate_issuer = ?, certificate_serial = ? WHERE id = ?",
            )?
            .execute(params![issuer, serial, id])?;
    }
    Ok(())
}

pub(super) fn delete(connection: &Connection, id: &RequestId) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached("DELETE FROM requests WHERE id = ?")?;
    one_row(statement.execute([octets::<16>(id.as_str())?])?, "request")
}

pub(super) fn expire(connection: &Connection, now: Time) -> Result<(), Failure> {
    connection
        .prepare_cached("UPDATE requests SET state = 'expired' WHERE state = 'pending' AND expires_at <= ?")?
        .execute([now.unix()])?;
    Ok(())
}

fn decider_column(decision: Option<&Decision>) -> Result<Option<String>, Failure> {
    decision.and_then(|decision| decision.decider.as_ref()).map(to_json).transpose()
}

fn certificate_columns<'a>(
    connection: &Connection,
    names: &mut Names,
    certificate: Option<&'a (KeyId, SerialNumber)>,
) -> Result<(Option<i64>, Option<&'a [u8]>), Failure> {
    Ok(match certificate {
        Some((issuer, serial)) => (Some(names.issuer(connection, *issuer)?), Some(serial.as_bytes())),
        None => (None, None),
    })
}

fn from_row(row: &Row<'_>) -> Result<(Cursor, RequestRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let request = RequestRow {
        id: columns.request_id()?,
        method: columns.resource()?,
        key: columns.value::<Option<[u8; 32]>>()?.map(RequestKey),
        content: columns.value()?,
        profile: columns.resource()?,
        requester: columns.json()?,
        state: state_from(&columns.value::<String>()?)?,
        summary: columns.value()?,
        encoded: columns.value()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
        decision: decision_from(&mut columns)?,
        certificate: certificate_from(&mut columns)?,
    };
    Ok((cursor, request))
}

fn state_from(text: &str) -> Result<RequestState, Failure> {
    RequestState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| Failure::corrupt("no state of a request", text))
}

fn decision_from(columns: &mut Columns<'_>) -> Result<Option<Decision>, Failure> {
    let (by, at) = (columns.value::<Option<String>>()?, columns.optional_time()?);
    let (reason, decider) = (columns.value()?, columns.optional_json()?);
    Ok(by.zip(at).map(|(by, at)| Decision { by, at, reason, decider }))
}

fn certificate_from(columns: &mut Columns<'_>) -> Result<Option<(KeyId, SerialNumber)>, Failure> {
    let issuer = columns.value::<Option<[u8; 20]>>()?.map(KeyId);
    let number = columns.value::<Option<Vec<u8>>>()?.map(|octets| serial(&octets)).transpose()?;
    Ok(issuer.zip(number))
}

#[cfg(test)]
mod tests {
    use issuance::store::{MethodScope, suite::samples::request};

    use super::*;
    use crate::store::sqlite::migrate;

    #[test]
    fn what_is_pending_is_found_without_reading_the_rest() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate::migrate(&mut connection).unwrap();
        let methods =
            ["plant/api", "plant/est", "office/est"].map(|name| name.parse::<ResourceName>().unwrap());
        for (number, method) in (1..).zip(methods.clone()) {
            let row = RequestRow { method, ..request(number) };
            insert(&connection, &mut Names::default(), &row).unwrap();
        }
        let [api, est, elsewhere] = methods;
        let of_methods = "SEARCH requests USING COVERING INDEX requests_waiting (method=? AND rowid>?)";
        for (methods, expected) in [
            (Some(MethodScope::from(elsewhere)), of_methods),
            (Some(MethodScope::of([api, est])), of_methods),
            (Some(MethodScope::Namespace("plant".into())), of_methods),
            (None, "SCAN requests USING COVERING INDEX requests_waiting"),
        ] {
            let filter = RequestFilter { state: Some(RequestState::Pending), methods };
            let sql = list_sql(&connection, &filter).unwrap().unwrap();
            let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let lines =
                statement.query_map(params![0, "pending", 10], |row| row.get::<_, String>(3)).unwrap();
            let plan = lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n");
            assert!(plan.contains(expected), "{sql}\n{plan}");
            assert!(plan.contains("SEARCH r USING INTEGER PRIMARY KEY (rowid=?)"), "{sql}\n{plan}");
        }
    }
}

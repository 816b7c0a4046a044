//! Requests that outlive their answer.

use issuance::{
    identity::{KeyId, RequestId, ResourceName},
    store::{Conflict, Cursor, Decision, Page, RequestFilter, RequestKey, RequestRow, RequestState},
};
use pki::{serial::SerialNumber, time::Time};
use tokio_postgres::{Row, types::ToSql};

use super::{
    columns::{Columns, limit, octets, readable, to_json},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
    scope::{Among, among},
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// In the order in which [`from_row`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, id, method, key, content, profile, requester, state, summary, encoded, created_at, \
             expires_at, decided_by, decided_at, decision_reason, decider, certificate_issuer, certificate_serial \
             FROM requests ",
            $rest
        )
    };
}

const FIND: &str = select!("WHERE id = $1");

const FIND_BY_KEY: &str = select!("WHERE key = $1 AND method = $2");

const LIST: &str = concat!(
    select!("WHERE number > $1 AND ($2::text IS NULL OR state = $2)"),
    among!("method", "$3", "$5"),
    "ORDER BY number LIMIT $4"
);

/// Of a table that only grows a few rows are pending, and an index has them by their methods.
pub(super) const PENDING_OF_METHODS: &str =
    select!("WHERE state = 'pending' AND method = ANY ($1) AND number > $2 ORDER BY number LIMIT $3");

/// `0` comes after `/`, which ends a namespace.
pub(super) const PENDING_OF_NAMESPACE: &str = select!(
    "WHERE state = 'pending' AND method >= $1 || '/' AND method < $1 || '0' AND number > $2 ORDER BY number LIMIT $3"
);

pub(super) async fn find(connection: &mut Connection, id: &RequestId) -> Result<Option<RequestRow>, Failure> {
    let statement = connection.statement(FIND).await?;
    let row = connection.client.query_opt(&statement, &[&octets::<16>(id.as_str())?]).await?;
    row.map(|row| from_row(&row).map(|(_, row)| row)).transpose()
}

pub(super) async fn find_by_key(
    connection: &mut Connection,
    method: &ResourceName,
    key: &RequestKey,
) -> Result<Option<RequestRow>, Failure> {
    let statement = connection.statement(FIND_BY_KEY).await?;
    let row = connection.client.query_opt(&statement, &[&key.0.as_slice(), &method.to_string()]).await?;
    row.map(|row| from_row(&row).map(|(_, row)| row)).transpose()
}

pub(super) async fn list(
    connection: &mut Connection,
    filter: &RequestFilter,
    page: &Page,
) -> Result<Vec<(Cursor, RequestRow)>, Failure> {
    let among = Among::of(filter.methods.as_ref());
    let (after, limit) = (page.after.map_or(0, |cursor| cursor.0), limit(page.limit.min(MAX_PAGE)));
    let is_pending = filter.state == Some(RequestState::Pending);
    let namespace = among.namespace.as_deref().and_then(|start| start.strip_suffix('/'));
    let rows = if let Some(names) = among.names.as_ref().filter(|_| is_pending) {
        let statement = connection.statement(PENDING_OF_METHODS).await?;
        connection.client.query(&statement, &[names, &after, &limit]).await?
    } else if let Some(namespace) = namespace.filter(|_| is_pending) {
        let statement = connection.statement(PENDING_OF_NAMESPACE).await?;
        connection.client.query(&statement, &[&namespace, &after, &limit]).await?
    } else {
        let statement = connection.statement(LIST).await?;
        let state = filter.state.map(RequestState::as_str);
        let parameters: [&(dyn ToSql + Sync); 5] = [&after, &state, &among.names, &limit, &among.namespace];
        connection.client.query(&statement, &parameters).await?
    };
    rows.iter().map(from_row).collect()
}

pub(super) fn expect_state(id: &RequestId, state: RequestState) -> Result<Step, Failure> {
    let sql = "SELECT 1 FROM requests WHERE id = $1 AND state = $2 FOR NO KEY UPDATE";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?, state.as_str()]))
}

pub(super) fn insert(row: &RequestRow) -> Result<Step, Failure> {
    let decision = row.decision.as_ref();
    let (issuer, serial) = certificate_columns(row.certificate.as_ref());
    let sql = "INSERT INTO requests (id, method, key, content, profile, requester, state, summary, encoded, \
        created_at, expires_at, decided_by, decided_at, decision_reason, decider, certificate_issuer, \
        certificate_serial) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)";
    let parameters = parameters![
        octets::<16>(row.id.as_str())?,
        row.method.to_string(),
        row.key.map(|key| key.0.to_vec()),
        row.content.to_vec(),
        row.profile.to_string(),
        to_json(&row.requester)?,
        row.state.as_str(),
        readable(&row.summary),
        row.encoded.clone(),
        row.created_at.unix(),
        row.expires_at.unix(),
        decision.map(|decision| readable(&decision.by)),
        decision.map(|decision| decision.at.unix()),
        decision.and_then(|decision| decision.reason.as_deref().map(readable)),
        decider_column(decision)?,
        issuer,
        serial,
    ];
    Ok(Step::new(sql, parameters).unless_taken(Conflict::RequestExists))
}

pub(super) fn update(
    id: &RequestId,
    state: RequestState,
    decision: Option<&Decision>,
    certificate: Option<&(KeyId, SerialNumber)>,
) -> Result<Step, Failure> {
    let (issuer, serial) = certificate_columns(certificate);
    let sql = "UPDATE requests SET state = $2, \
        decided_by = CASE WHEN $3 THEN $4 ELSE decided_by END, \
        decided_at = CASE WHEN $3 THEN $5 ELSE decided_at END, \
        decision_reason = CASE WHEN $3 THEN $6 ELSE decision_reason END, \
        decider = CASE WHEN $3 THEN $9 ELSE decider END, \
        certificate_issuer = coalesce($7, certificate_issuer), \
        certificate_serial = coalesce($8, certificate_serial) WHERE id = $1";
    let parameters = parameters![
        octets::<16>(id.as_str())?,
        state.as_str(),
        decision.is_some(),
        decision.map(|decision| readable(&decision.by)),
        decision.map(|decision| decision.at.unix()),
        decision.and_then(|decision| decision.reason.as_deref().map(readable)),
        issuer,
        serial,
        decider_column(decision)?,
    ];
    Ok(Step::new(sql, parameters).or_missing("request"))
}

pub(super) fn delete(id: &RequestId) -> Result<Step, Failure> {
    let sql = "DELETE FROM requests WHERE id = $1";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?]).or_missing("request"))
}

pub(super) fn expire(now: Time) -> Step {
    let sql = "UPDATE requests SET state = 'expired' WHERE state = 'pending' AND expires_at <= $1";
    Step::new(sql, parameters![now.unix()])
}

fn decider_column(decision: Option<&Decision>) -> Result<Option<String>, Failure> {
    decision.and_then(|decision| decision.decider.as_ref()).map(to_json).transpose()
}

type CertificateColumns = (Option<Vec<u8>>, Option<Vec<u8>>);

fn certificate_columns(certificate: Option<&(KeyId, SerialNumber)>) -> CertificateColumns {
    certificate.map(|(issuer, serial)| (issuer.0.to_vec(), serial.as_bytes().to_vec())).unzip()
}

fn from_row(row: &Row) -> Result<(Cursor, RequestRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let request = RequestRow {
        id: columns.request_id()?,
        method: columns.parsed()?,
        key: columns.optional_octets()?.map(RequestKey),
        content: columns.octets()?,
        profile: columns.parsed()?,
        requester: columns.json()?,
        state: state_from(columns.value()?)?,
        summary: columns.value()?,
        encoded: columns.value()?,
        created_at: columns.time()?,
        expires_at: columns.time()?,
        decision: decision_from(&mut columns)?,
        certificate: columns.optional_octets()?.map(KeyId).zip(columns.optional_serial()?),
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

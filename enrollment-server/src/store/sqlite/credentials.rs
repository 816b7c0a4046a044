//! Who may ask.

use std::net::IpAddr;

use issuance::{
    credential::{CredentialRow, CredentialState},
    identity::{CredentialId, ResourceName},
    rest::RestActions,
    store::{Conflict, CredentialFilter, Cursor, Page},
};
use pki::time::Time;
use rusqlite::{Connection, Row, params};

use super::{
    apply::one_row,
    columns::{Columns, integer, octets, to_json},
    failure::Failure,
    names::Names,
    scope,
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

// The numbers in the column `state`; the schema repeats them.
const ACTIVE: i64 = 0;
const REVOKED: i64 = 1;

/// In the order in which [`from_row`] reads.
const SELECT: &str = "SELECT c.number, c.id, c.version, m.namespace, m.name, c.protocol, c.namespace, c.name, \
    c.username, c.verifier, c.owner, c.state, c.created_at, c.expires_at, c.maximum_uses, c.uses, c.last_used_at, \
    c.declared, c.regeneration, c.identifiers, c.actions, c.previous \
    FROM credentials c CROSS JOIN resources m ON m.number = c.method";

pub(super) fn find(connection: &Connection, id: &CredentialId) -> Result<Option<CredentialRow>, Failure> {
    let mut statement = connection.prepare_cached(&format!("{SELECT} WHERE c.id = ?"))?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| from_row(row).map(|(_, row)| row)).transpose()
}

pub(super) fn find_for(
    connection: &Connection,
    method: &ResourceName,
    username: &str,
) -> Result<Vec<CredentialRow>, Failure> {
    let mut statement = connection.prepare_cached(&find_for_sql())?;
    let rows = statement.query_and_then((method.namespace(), method.name(), username), from_row)?;
    rows.map(|row| row.map(|(_, row)| row)).collect()
}

/// Two halves, because SQLite would look at all credentials of the method for `username = ?3 OR username IS NULL`.
pub(super) fn find_for_sql() -> String {
    const OF_METHOD: &str = "c.method = (SELECT number FROM resources WHERE namespace = ?1 AND name = ?2)";
    format!(
        "{SELECT} WHERE {OF_METHOD} AND c.username = ?3 \
         UNION ALL {SELECT} WHERE {OF_METHOD} AND c.username IS NULL ORDER BY 1"
    )
}

pub(super) fn find_by_access_key(
    connection: &Connection,
    name: &str,
) -> Result<Option<CredentialRow>, Failure> {
    let mut statement = connection.prepare_cached(&find_by_access_key_sql())?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(|row| from_row(row).map(|(_, row)| row)).transpose()
}

/// With the words of the index.
pub(super) fn find_by_access_key_sql() -> String {
    format!("{SELECT} WHERE c.username = ? AND c.protocol = 'rest'")
}

pub(super) fn list(
    connection: &Connection,
    filter: &CredentialFilter,
    page: &Page,
) -> Result<Vec<(Cursor, CredentialRow)>, Failure> {
    let methods = scope::condition(connection, "+c.method", filter.methods.as_ref())?;
    let sql = format!(
        "{SELECT} WHERE c.number > ?1 AND (?2 IS NULL OR c.declared = ?2) AND {methods} ORDER BY c.number LIMIT ?3"
    );
    let parameters =
        params![page.after.map_or(0, |cursor| cursor.0), filter.declared, page.limit.min(MAX_PAGE) as i64,];
    connection.prepare(&sql)?.query_and_then(parameters, from_row)?.collect()
}

/// The version, where there is such a credential.
pub(super) fn version(connection: &Connection, id: &CredentialId) -> Result<Option<u64>, Failure> {
    let mut statement = connection.prepare_cached("SELECT version FROM credentials WHERE id = ?")?;
    let mut rows = statement.query([octets::<16>(id.as_str())?])?;
    rows.next()?.map(|row| Columns::new(row).unsigned()).transpose()
}

/// What [`CredentialRow::usable`] says, of this version.
pub(super) fn is_usable(
    connection: &Connection,
    id: &CredentialId,
    version: u64,
    now: Time,
) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM credentials WHERE id = ? AND version = ? AND state = 0 \
         AND (expires_at IS NULL OR expires_at > ?) AND (maximum_uses IS NULL OR uses < maximum_uses))",
    )?;
    let parameters = params![octets::<16>(id.as_str())?, integer(version)?, now.unix()];
    Ok(statement.query_row(parameters, |row| row.get(0))?)
}

pub(super) fn put(connection: &Connection, names: &mut Names, row: &CredentialRow) -> Result<(), Failure> {
    let state = match row.state {
        CredentialState::Active => ACTIVE,
        CredentialState::Revoked => REVOKED,
    };
    let parameters = params![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        names.resource(connection, &row.method)?,
        row.protocol.as_str(),
        row.name.namespace(),
        row.name.name(),
        row.username,
        to_json(&row.verifier)?,
        row.owner.as_ref().map(ToString::to_string),
        state,
        row.created_at.unix(),
        row.expires_at.map(Time::unix),
        row.maximum_uses.map(integer).transpose()?,
        integer(row.uses)?,
        row.last_used_at.map(Time::unix),
        row.declared,
        integer(row.regeneration)?,
        row.identifiers.as_ref().map(to_json).transpose()?,
        stored_actions(row.actions)?,
        row.previous.as_ref().map(to_json).transpose()?,
    ];
    // Uses that were counted since the caller read the row stay counted while the secret is the same.
    connection
        .prepare_cached(
            "INSERT INTO credentials (id, version, method, protocol, namespace, name, username, verifier, owner, \
             state, created_at, expires_at, maximum_uses, uses, last_used_at, declared, regeneration, identifiers, \
             actions, previous) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) \
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, method = excluded.method, \
             protocol = excluded.protocol, namespace = excluded.namespace, name = excluded.name, \
             username = excluded.username, verifier = excluded.verifier, owner = excluded.owner, \
             state = excluded.state, created_at = excluded.created_at, expires_at = excluded.expires_at, \
             maximum_uses = excluded.maximum_uses, declared = excluded.declared, \
             regeneration = excluded.regeneration, identifiers = excluded.identifiers, actions = excluded.actions, \
             previous = excluded.previous, \
             uses = iif(verifier = excluded.verifier, max(uses, excluded.uses), excluded.uses), \
             last_used_at = iif(verifier = excluded.verifier, \
             max(coalesce(last_used_at, excluded.last_used_at), coalesce(excluded.last_used_at, last_used_at)), \
             excluded.last_used_at), \
             first_used_at = iif(verifier = excluded.verifier OR excluded.last_used_at IS NOT NULL, first_used_at, NULL), \
             last_address = iif(verifier = excluded.verifier OR excluded.last_used_at IS NOT NULL, last_address, NULL)",
        )?
        .execute(parameters)
        .map_err(|error| Failure::unique(error, Conflict::AccessKeyExists))?;
    Ok(())
}

pub(super) fn count_use(
    connection: &Connection,
    id: &CredentialId,
    at: Time,
    address: Option<IpAddr>,
) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "UPDATE credentials SET uses = uses + 1, first_used_at = min(coalesce(first_used_at, ?1), ?1), \
         last_used_at = max(coalesce(last_used_at, ?1), ?1), \
         last_address = iif(?1 >= coalesce(last_used_at, ?1), ?3, last_address) WHERE id = ?2",
    )?;
    let address = address.map(|address| address.to_string());
    one_row(statement.execute(params![at.unix(), octets::<16>(id.as_str())?, address])?, "credential")
}

fn from_row(row: &Row<'_>) -> Result<(Cursor, CredentialRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let credential = CredentialRow {
        id: columns.credential_id()?,
        version: columns.unsigned()?,
        method: columns.resource()?,
        protocol: columns.parsed()?,
        name: columns.resource()?,
        username: columns.value()?,
        verifier: columns.json()?,
        owner: columns.optional_parsed()?,
        state: state_from(columns.value()?)?,
        created_at: columns.time()?,
        expires_at: columns.optional_time()?,
        maximum_uses: columns.optional_unsigned()?,
        uses: columns.unsigned()?,
        last_used_at: columns.optional_time()?,
        declared: columns.value()?,
        regeneration: columns.unsigned()?,
        identifiers: columns.optional_json()?,
        actions: columns.optional_json()?.unwrap_or_default(),
        previous: columns.optional_json()?,
    };
    Ok((cursor, credential))
}

/// None where there are none, as for most credentials.
fn stored_actions(actions: RestActions) -> Result<Option<String>, Failure> {
    Some(actions).filter(|actions| !actions.is_empty()).as_ref().map(to_json).transpose()
}

fn state_from(number: i64) -> Result<CredentialState, Failure> {
    match number {
        ACTIVE => Ok(CredentialState::Active),
        REVOKED => Ok(CredentialState::Revoked),
        other => Err(Failure::corrupt("no state of a credential", other)),
    }
}

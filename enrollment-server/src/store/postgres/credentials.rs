//! Who may ask.
//!
//! A credential without a limit is counted in `credential_uses`, a row for each audit stream: commits that use one
//! credential at once, as a whole factory may, touch rows of their own. One with a limit is counted in its own row,
//! which is locked from the check to the end of the commit, so that the last use is granted once.

use std::net::IpAddr;

use issuance::{
    credential::{CredentialRow, CredentialState},
    identity::{CredentialId, ResourceName},
    rest::RestActions,
    store::{Conflict, CredentialFilter, Cursor, Page},
};
use pki::time::Time;
use tokio_postgres::Row;

use super::{
    columns::{Columns, can_be_stored, integer, limit, octets, readable, to_json},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
    scope::{Among, among},
};

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

// The numbers in the column `state`; the schema repeats them.
const ACTIVE: i16 = 0;
const REVOKED: i16 = 1;

/// In the order in which [`from_row`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT c.number, c.id, c.version, c.method, c.protocol, c.name, c.username, c.verifier, c.owner, c.state, \
             c.created_at, c.expires_at, c.maximum_uses, c.uses + coalesce(u.uses, 0), \
             greatest(c.last_used_at, u.last_used_at), c.declared, c.regeneration, c.identifiers, c.actions, c.previous \
             FROM credentials c \
             CROSS JOIN LATERAL (SELECT sum(uses)::bigint AS uses, max(last_used_at) AS last_used_at \
             FROM credential_uses WHERE credential = c.number) u ",
            $rest
        )
    };
}

const FIND: &str = select!("WHERE c.id = $1");

/// Two halves, each of which goes straight to its place in the index.
pub(super) const FIND_FOR: &str = concat!(
    select!("WHERE c.method = $1 AND c.username = $2 UNION ALL "),
    select!("WHERE c.method = $1 AND c.username IS NULL ORDER BY 1")
);

/// With the words of the index.
const FIND_BY_ACCESS_KEY: &str = select!("WHERE c.username = $1 AND c.protocol = 'rest'");

const LIST: &str = concat!(
    select!("WHERE c.number > $1 AND ($2::boolean IS NULL OR c.declared = $2)"),
    among!("c.method", "$3", "$5"),
    "ORDER BY c.number LIMIT $4"
);

pub(super) async fn find(
    connection: &mut Connection,
    id: &CredentialId,
) -> Result<Option<CredentialRow>, Failure> {
    let statement = connection.statement(FIND).await?;
    let row = connection.client.query_opt(&statement, &[&octets::<16>(id.as_str())?]).await?;
    row.map(|row| from_row(&row).map(|(_, row)| row)).transpose()
}

pub(super) async fn find_for(
    connection: &mut Connection,
    method: &ResourceName,
    username: &str,
) -> Result<Vec<CredentialRow>, Failure> {
    // A name that no column can hold is the name of nobody; credentials without a name are found all the same.
    let username = Some(username).filter(|name| can_be_stored(name));
    let statement = connection.statement(FIND_FOR).await?;
    let rows = connection.client.query(&statement, &[&method.to_string(), &username]).await?;
    rows.iter().map(|row| from_row(row).map(|(_, row)| row)).collect()
}

pub(super) async fn find_by_access_key(
    connection: &mut Connection,
    name: &str,
) -> Result<Option<CredentialRow>, Failure> {
    if !can_be_stored(name) {
        return Ok(None);
    }
    let statement = connection.statement(FIND_BY_ACCESS_KEY).await?;
    let row = connection.client.query_opt(&statement, &[&name]).await?;
    row.map(|row| from_row(&row).map(|(_, row)| row)).transpose()
}

pub(super) async fn list(
    connection: &mut Connection,
    filter: &CredentialFilter,
    page: &Page,
) -> Result<Vec<(Cursor, CredentialRow)>, Failure> {
    let among = Among::of(filter.methods.as_ref());
    let statement = connection.statement(LIST).await?;
    let rows = connection
        .client
        .query(
            &statement,
            &[
                &page.after.map_or(0, |cursor| cursor.0),
                &filter.declared,
                &among.names,
                &limit(page.limit.min(MAX_PAGE)),
                &among.namespace,
            ],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// What [`CredentialRow::usable`] says, of this version. One with a limit is held alone from here on, and looked at
/// again once whoever held it before has let go.
pub(super) fn expect_usable(id: &CredentialId, version: u64, now: Time) -> Result<Step, Failure> {
    let sql = "WITH usable AS NOT MATERIALIZED (SELECT number, uses, maximum_uses FROM credentials WHERE id = $1 \
        AND version = $2 AND state = 0 AND (expires_at IS NULL OR expires_at > $3)), \
        limited AS (SELECT 1 FROM credentials WHERE id = $1 AND version = $2 AND state = 0 \
        AND (expires_at IS NULL OR expires_at > $3) AND uses < maximum_uses FOR NO KEY UPDATE) \
        SELECT 1 FROM usable WHERE maximum_uses IS NULL UNION ALL SELECT 1 FROM limited";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?, integer(version)?, now.unix()]))
}

pub(super) fn expect_version(id: &CredentialId, version: u64) -> Result<Step, Failure> {
    let sql = "SELECT 1 WHERE coalesce((SELECT version FROM credentials WHERE id = $1), 0) = $2";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?, integer(version)?]))
}

/// Adds what was counted apart to the row's own count, before it is replaced. Nobody counts meanwhile: whoever
/// replaces a credential holds its lock alone.
pub(super) fn gather_uses(id: &CredentialId) -> Result<Step, Failure> {
    let sql = "WITH gathered AS (DELETE FROM credential_uses \
        WHERE credential = (SELECT number FROM credentials WHERE id = $1) \
        RETURNING uses, first_used_at, last_used_at, last_address), \
        total AS (SELECT sum(uses)::bigint AS uses, min(first_used_at) AS first_used_at, \
        max(last_used_at) AS last_used_at, (array_agg(last_address ORDER BY last_used_at DESC))[1] AS last_address \
        FROM gathered) \
        UPDATE credentials c SET uses = c.uses + t.uses, first_used_at = least(c.first_used_at, t.first_used_at), \
        last_used_at = greatest(c.last_used_at, t.last_used_at), \
        last_address = CASE WHEN t.last_used_at >= coalesce(c.last_used_at, t.last_used_at) \
        THEN t.last_address ELSE c.last_address END \
        FROM total t WHERE c.id = $1 AND t.uses IS NOT NULL";
    Ok(Step::new(sql, parameters![octets::<16>(id.as_str())?]))
}

pub(super) fn put(row: &CredentialRow) -> Result<Step, Failure> {
    let state = match row.state {
        CredentialState::Active => ACTIVE,
        CredentialState::Revoked => REVOKED,
    };
    // Uses that were counted since the caller read the row stay counted while the secret is the same.
    let sql = "INSERT INTO credentials AS c (id, version, method, protocol, name, username, verifier, owner, state, \
        created_at, expires_at, maximum_uses, uses, last_used_at, declared, regeneration, identifiers, \
        actions, previous) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
        ON CONFLICT (id) DO UPDATE SET version = excluded.version, method = excluded.method, \
        protocol = excluded.protocol, name = excluded.name, username = excluded.username, \
        verifier = excluded.verifier, owner = excluded.owner, state = excluded.state, \
        created_at = excluded.created_at, expires_at = excluded.expires_at, \
        maximum_uses = excluded.maximum_uses, declared = excluded.declared, \
        regeneration = excluded.regeneration, identifiers = excluded.identifiers, actions = excluded.actions, \
        previous = excluded.previous, \
        uses = CASE WHEN c.verifier = excluded.verifier THEN greatest(c.uses, excluded.uses) \
        ELSE excluded.uses END, \
        last_used_at = CASE WHEN c.verifier = excluded.verifier \
        THEN greatest(c.last_used_at, excluded.last_used_at) ELSE excluded.last_used_at END, \
        first_used_at = CASE WHEN c.verifier = excluded.verifier OR excluded.last_used_at IS NOT NULL \
        THEN c.first_used_at END, \
        last_address = CASE WHEN c.verifier = excluded.verifier OR excluded.last_used_at IS NOT NULL \
        THEN c.last_address END";
    let parameters = parameters![
        octets::<16>(row.id.as_str())?,
        integer(row.version)?,
        row.method.to_string(),
        row.protocol.as_str(),
        row.name.to_string(),
        row.username.as_deref().map(readable),
        to_json(&row.verifier)?,
        row.owner.as_ref().map(|owner| readable(&owner.to_string())),
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
    Ok(Step::new(sql, parameters).unless_taken(Conflict::AccessKeyExists))
}

/// `stream` is the number of the session's audit stream.
pub(super) fn count_use(
    id: &CredentialId,
    at: Time,
    address: Option<IpAddr>,
    stream: i64,
) -> Result<Step, Failure> {
    let sql = "WITH limited AS (UPDATE credentials SET uses = uses + 1, first_used_at = least(first_used_at, $2), \
        last_used_at = greatest(last_used_at, $2), \
        last_address = CASE WHEN $2 >= coalesce(last_used_at, $2) THEN $4 ELSE last_address END \
        WHERE id = $1 AND maximum_uses IS NOT NULL RETURNING 1), \
        free AS (INSERT INTO credential_uses AS u (credential, stream, uses, first_used_at, last_used_at, last_address) \
        SELECT number, $3, 1, $2, $2, $4 FROM credentials WHERE id = $1 AND maximum_uses IS NULL \
        ON CONFLICT (credential, stream) DO UPDATE SET uses = u.uses + 1, \
        first_used_at = least(u.first_used_at, excluded.first_used_at), \
        last_used_at = greatest(u.last_used_at, excluded.last_used_at), \
        last_address = CASE WHEN excluded.last_used_at >= u.last_used_at THEN excluded.last_address \
        ELSE u.last_address END RETURNING 1) \
        SELECT 1 FROM limited UNION ALL SELECT 1 FROM free";
    let address = address.map(|address| address.to_string());
    let parameters = parameters![octets::<16>(id.as_str())?, at.unix(), stream, address];
    Ok(Step::new(sql, parameters).or_missing("credential"))
}

fn from_row(row: &Row) -> Result<(Cursor, CredentialRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let credential = CredentialRow {
        id: columns.credential_id()?,
        version: columns.unsigned()?,
        method: columns.parsed()?,
        protocol: columns.parsed()?,
        name: columns.parsed()?,
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

fn state_from(number: i16) -> Result<CredentialState, Failure> {
    match number {
        ACTIVE => Ok(CredentialState::Active),
        REVOKED => Ok(CredentialState::Revoked),
        other => Err(Failure::corrupt("no state of a credential", other)),
    }
}

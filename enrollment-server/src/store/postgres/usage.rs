//! How credentials were used: what commits count is where they count it, what is collected in a table of its own.

use std::collections::HashMap;

use issuance::{
    credential::{CredentialUsage, GrantedUses, Seen, UsageFailure, UsageNote},
    identity::CredentialId,
};
use pki::time::Time;
use tokio_postgres::Row;

use super::{
    columns::{Columns, integer, octets},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
};

/// In the order in which [`from_row`] reads.
const FIND: &str = "SELECT c.id, c.uses + coalesce(u.uses, 0), least(c.first_used_at, u.first_used_at), \
    greatest(c.last_used_at, u.last_used_at), \
    CASE WHEN u.last_used_at >= coalesce(c.last_used_at, u.last_used_at) THEN u.last_address ELSE c.last_address END, \
    n.requests, n.first_accepted_at, n.last_accepted_at, n.last_address, n.failures, n.last_failure_at, \
    n.failure_reason, n.failure_address FROM credentials c \
    CROSS JOIN LATERAL (SELECT sum(uses)::bigint AS uses, min(first_used_at) AS first_used_at, \
    max(last_used_at) AS last_used_at, (array_agg(last_address ORDER BY last_used_at DESC))[1] AS last_address \
    FROM credential_uses WHERE credential = c.number) u \
    LEFT JOIN credential_usage n ON n.credential = c.number WHERE c.id = ANY($1)";

pub(super) async fn find(
    connection: &mut Connection,
    credentials: &[CredentialId],
) -> Result<Vec<CredentialUsage>, Failure> {
    let ids = credentials.iter().map(|id| octets::<16>(id.as_str())).collect::<Result<Vec<_>, _>>()?;
    let statement = connection.statement(FIND).await?;
    let rows = connection.client.query(&statement, &[&ids]).await?;
    let mut found = HashMap::with_capacity(rows.len());
    for row in &rows {
        let usage = from_row(row)?;
        found.insert(usage.credential.clone(), usage);
    }
    Ok(credentials.iter().filter_map(|id| found.get(id).cloned()).collect())
}

/// Without a credential there is nothing to add to.
pub(super) fn note(note: &UsageNote) -> Result<Step, Failure> {
    let sql = "INSERT INTO credential_usage AS n (credential, requests, first_accepted_at, last_accepted_at, \
        last_address, failures, last_failure_at, failure_reason, failure_address) \
        SELECT number, $2, $3, $4, $5, $6, $7, $8, $9 FROM credentials WHERE id = $1 \
        ON CONFLICT (credential) DO UPDATE SET requests = n.requests + excluded.requests, \
        first_accepted_at = least(n.first_accepted_at, excluded.first_accepted_at), \
        last_accepted_at = greatest(n.last_accepted_at, excluded.last_accepted_at), \
        last_address = CASE WHEN excluded.last_accepted_at >= coalesce(n.last_accepted_at, excluded.last_accepted_at) \
        THEN excluded.last_address ELSE n.last_address END, \
        failures = n.failures + excluded.failures, \
        last_failure_at = greatest(n.last_failure_at, excluded.last_failure_at), \
        failure_reason = CASE WHEN excluded.last_failure_at >= coalesce(n.last_failure_at, excluded.last_failure_at) \
        THEN excluded.failure_reason ELSE n.failure_reason END, \
        failure_address = CASE WHEN excluded.last_failure_at >= coalesce(n.last_failure_at, excluded.last_failure_at) \
        THEN excluded.failure_address ELSE n.failure_address END";
    let failure = note.last_failure.as_ref();
    let parameters = parameters![
        octets::<16>(note.credential.as_str())?,
        integer(note.requests)?,
        note.first.map(Time::unix),
        note.last.map(|seen| seen.at.unix()),
        note.last.and_then(|seen| seen.address).map(|address| address.to_string()),
        integer(note.failures)?,
        failure.map(|failure| failure.at.unix()),
        failure.map(|failure| failure.reason.clone()),
        failure.and_then(|failure| failure.address).map(|address| address.to_string()),
    ];
    Ok(Step::new(sql, parameters))
}

fn from_row(row: &Row) -> Result<CredentialUsage, Failure> {
    let mut columns = Columns::new(row);
    let credential = columns.credential_id()?;
    let granted = GrantedUses {
        credential: credential.clone(),
        uses: columns.unsigned()?,
        first: columns.optional_time()?,
        last: seen(&mut columns)?,
    };
    let Some(requests) = columns.optional_unsigned()? else {
        return Ok(CredentialUsage::new(granted, None));
    };
    let noted = UsageNote {
        credential,
        requests,
        first: columns.optional_time()?,
        last: seen(&mut columns)?,
        failures: columns.unsigned()?,
        last_failure: failure(&mut columns)?,
    };
    Ok(CredentialUsage::new(granted, Some(noted)))
}

fn seen(columns: &mut Columns<'_>) -> Result<Option<Seen>, Failure> {
    let (at, address) = (columns.optional_time()?, columns.optional_parsed()?);
    Ok(at.map(|at| Seen { at, address }))
}

fn failure(columns: &mut Columns<'_>) -> Result<Option<UsageFailure>, Failure> {
    let (at, reason) = (columns.optional_time()?, columns.value::<Option<String>>()?);
    let address = columns.optional_parsed()?;
    Ok(at.zip(reason).map(|(at, reason)| UsageFailure { at, reason, address }))
}

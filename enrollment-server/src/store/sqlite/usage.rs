//! How credentials were used: what commits count is in the credential's row, what is collected in a table of its own.

use issuance::{
    credential::{CredentialUsage, GrantedUses, Seen, UsageFailure, UsageNote},
    identity::CredentialId,
};
use pki::time::Time;
use rusqlite::{Connection, Row, params};

use super::{
    columns::{Columns, integer, octets},
    failure::Failure,
};

/// In the order in which [`from_row`] reads.
const FIND: &str = "SELECT c.id, c.uses, c.first_used_at, c.last_used_at, c.last_address, n.requests, \
    n.first_accepted_at, n.last_accepted_at, n.last_address, n.failures, n.last_failure_at, n.failure_reason, \
    n.failure_address FROM credentials c LEFT JOIN credential_usage n ON n.credential = c.number WHERE c.id = ?";

pub(super) fn find(
    connection: &Connection,
    credentials: &[CredentialId],
) -> Result<Vec<CredentialUsage>, Failure> {
    let mut statement = connection.prepare_cached(FIND)?;
    let mut found = Vec::with_capacity(credentials.len());
    for credential in credentials {
        let mut rows = statement.query([octets::<16>(credential.as_str())?])?;
        found.extend(rows.next()?.map(from_row).transpose()?);
    }
    Ok(found)
}

/// Without a credential there is nothing to add to.
pub(super) fn note(connection: &Connection, note: &UsageNote) -> Result<(), Failure> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO credential_usage AS n (credential, requests, first_accepted_at, last_accepted_at, last_address, \
         failures, last_failure_at, failure_reason, failure_address) \
         SELECT number, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9 FROM credentials WHERE id = ?1 \
         ON CONFLICT (credential) DO UPDATE SET requests = n.requests + excluded.requests, \
         first_accepted_at = coalesce(min(n.first_accepted_at, excluded.first_accepted_at), \
         n.first_accepted_at, excluded.first_accepted_at), \
         last_accepted_at = coalesce(max(n.last_accepted_at, excluded.last_accepted_at), \
         n.last_accepted_at, excluded.last_accepted_at), \
         last_address = iif(excluded.last_accepted_at >= coalesce(n.last_accepted_at, excluded.last_accepted_at), \
         excluded.last_address, n.last_address), \
         failures = n.failures + excluded.failures, \
         last_failure_at = coalesce(max(n.last_failure_at, excluded.last_failure_at), \
         n.last_failure_at, excluded.last_failure_at), \
         failure_reason = iif(excluded.last_failure_at >= coalesce(n.last_failure_at, excluded.last_failure_at), \
         excluded.failure_reason, n.failure_reason), \
         failure_address = iif(excluded.last_failure_at >= coalesce(n.last_failure_at, excluded.last_failure_at), \
         excluded.failure_address, n.failure_address)",
    )?;
    let failure = note.last_failure.as_ref();
    statement.execute(params![
        octets::<16>(note.credential.as_str())?,
        integer(note.requests)?,
        note.first.map(Time::unix),
        note.last.map(|seen| seen.at.unix()),
        note.last.and_then(|seen| seen.address).map(|address| address.to_string()),
        integer(note.failures)?,
        failure.map(|failure| failure.at.unix()),
        failure.map(|failure| &failure.reason),
        failure.and_then(|failure| failure.address).map(|address| address.to_string()),
    ])?;
    Ok(())
}

fn from_row(row: &Row<'_>) -> Result<CredentialUsage, Failure> {
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

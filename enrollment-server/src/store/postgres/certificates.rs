//! Issued certificates.

use issuance::{
    identity::KeyId,
    store::{CertificateFilter, CertificateRow, CertificateState, CertificateStatus, Conflict, Cursor, Page},
};
use pki::{crl::RevokedEntry, extension::ReasonCode, serial::SerialNumber, time::Time};
use tokio_postgres::Row;

use super::{
    columns::{Columns, can_be_stored, limit, octets, readable, to_json},
    connect::Connection,
    failure::Failure,
    order::{Step, parameters},
    scope::Among,
};

// The numbers in the column `status`; the schema repeats them.
const VALID: i16 = 0;
const HELD: i16 = 1;
const REVOKED: i16 = 2;

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// In the order in which [`from_row`] reads.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT number, issuer, serial, authority, profile, method, protocol, credential, owner, requester, \
             subject, subject_alt_names, not_before, not_after, issued_at, status, revoked_at, reason, \
             invalidity_date, public_key_sha256, server_key, request, der FROM certificates ",
            $rest
        )
    };
}

pub(super) const FIND: &str = select!("WHERE serial = $1 AND issuer = $2");

const FIND_BY_SERIAL: &str = select!("WHERE serial = $1 ORDER BY number");

/// What a list has of whatever method. A filter that is not given is NULL and thereby true; the plan is made for the values given.
macro_rules! listed {
    () => {
        "number > $1 AND ($2::bytea IS NULL OR issuer = $2) AND ($3::text IS NULL OR profile = $3) \
     AND ($5::text IS NULL OR starts_with(method, $5)) \
     AND ($6::bytea IS NULL OR credential = $6) AND ($7::text IS NULL OR owner = $7) \
     AND ($8::boolean IS NULL OR (status <> 0) = $8) AND ($9::bigint IS NULL OR not_after < $9) \
     AND ($12::bigint IS NULL OR not_after > $12) \
     AND ($10::bytea IS NULL OR (substr(public_key_sha256, 1, 8) = substr($10, 1, 8) AND public_key_sha256 = $10)) \
     AND ($13::bytea IS NULL OR serial = $13) AND ($14::text IS NULL OR authority = $14) \
     AND ($15::smallint IS NULL OR status = $15) \
     AND ($16::bigint IS NULL OR revoked_at >= $16) AND ($17::bigint IS NULL OR revoked_at < $17) \
     AND ($18::bigint IS NULL OR issued_at >= $18) AND ($19::bigint IS NULL OR issued_at < $19) \
     AND ($20::text IS NULL OR subject ILIKE $20 OR subject_alt_names ILIKE $21) "
    };
}

const LIST: &str = concat!(select!("WHERE "), listed!(), "AND $4::text[] IS NULL ORDER BY number LIMIT $11");

/// What the server made for itself is of no method.
pub(super) const LIST_OF_METHOD: &str = concat!(
    select!("WHERE "),
    listed!(),
    "AND method = ($4::text[])[1] AND protocol <> 'internal' ORDER BY number LIMIT $11"
);

/// A page of each method by its index, of which the first rows make the page.
pub(super) const LIST_OF_METHODS: &str = concat!(
    select!("WHERE number IN (SELECT k.number FROM unnest($4::text[]) AS m CROSS JOIN LATERAL ("),
    "SELECT number FROM certificates WHERE ",
    listed!(),
    "AND method = m AND protocol <> 'internal' ORDER BY number LIMIT $11) k ORDER BY k.number LIMIT $11) ",
    "ORDER BY number"
);

/// The methods that begin so and have issued anything, each found by the one before it; `0` comes after `/`, which ends a
/// namespace.
pub(super) const METHODS_OF_NAMESPACE: &str = "WITH RECURSIVE found AS ( \
    (SELECT method FROM certificates WHERE method >= $1 || '/' AND method < $1 || '0' ORDER BY method LIMIT 1) \
    UNION ALL SELECT (SELECT c.method FROM certificates c WHERE c.method > f.method AND c.method < $1 || '0' \
    ORDER BY c.method LIMIT 1) FROM found f WHERE f.method IS NOT NULL) \
    SELECT method FROM found WHERE method IS NOT NULL";

/// What a CRL lists after a serial number: first those as long as it, then the longer ones, because that is how
/// numbers without leading zeros compare.
pub(super) const REVOKED_AFTER: &str = "SELECT serial, status, revoked_at, reason, invalidity_date \
    FROM certificates WHERE issuer = $1 AND status <> 0 AND not_after >= $2 \
    AND (length(serial), serial) > (length($3::bytea), $3) ORDER BY length(serial), serial LIMIT $4";

pub(super) const KEY_UNUSED: &str = "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM certificates \
    WHERE substr(public_key_sha256, 1, 8) = substr($1::bytea, 1, 8) AND public_key_sha256 = $1 AND status <> 2)";

pub(super) async fn find(
    connection: &mut Connection,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<CertificateRow>, Failure> {
    let statement = connection.statement(FIND).await?;
    let row = connection.client.query_opt(&statement, &[&serial.as_bytes(), &issuer.0.as_slice()]).await?;
    row.map(|row| from_row(&row).map(|(_, row)| row)).transpose()
}

pub(super) async fn find_by_serial(
    connection: &mut Connection,
    serial: &SerialNumber,
) -> Result<Vec<CertificateRow>, Failure> {
    let statement = connection.statement(FIND_BY_SERIAL).await?;
    let rows = connection.client.query(&statement, &[&serial.as_bytes()]).await?;
    rows.iter().map(|row| from_row(row).map(|(_, row)| row)).collect()
}

pub(super) async fn list(
    connection: &mut Connection,
    filter: &CertificateFilter,
    page: &Page,
) -> Result<Vec<(Cursor, CertificateRow)>, Failure> {
    // What is no hash is the hash of no key, and no column holds a text with NUL.
    let hash = match filter.public_key_sha256.as_deref().map(octets::<32>) {
        Some(Err(_)) => return Ok(Vec::new()),
        Some(Ok(hash)) => Some(hash),
        None => None,
    };
    let texts = [&filter.owner, &filter.namespace];
    if texts.into_iter().flatten().any(|text| !can_be_stored(text)) {
        return Ok(Vec::new());
    }
    let Among { names, namespace } = Among::of(filter.methods.as_ref());
    let methods = match namespace.as_deref().and_then(|start| start.strip_suffix('/')) {
        Some(namespace) => Some(methods_of(connection, namespace).await?),
        None => names,
    };
    let sql = match methods.as_deref() {
        None => LIST,
        Some([]) => return Ok(Vec::new()),
        Some([_]) => LIST_OF_METHOD,
        Some([_, _, ..]) => LIST_OF_METHODS,
    };
    let statement = connection.statement(sql).await?;
    let rows = connection
        .client
        .query(
            &statement,
            &[
                &page.after.map_or(0, |cursor| cursor.0),
                &filter.issuer.map(|key| key.0.to_vec()),
                &filter.profile.as_ref().map(ToString::to_string),
                &methods,
                &filter.namespace.as_ref().map(|namespace| format!("{namespace}/")),
                &filter.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
                &filter.owner,
                &filter.revoked,
                &filter.expires_before.map(Time::unix),
                &hash,
                &limit(page.limit.min(MAX_PAGE)),
                &filter.expires_after.map(Time::unix),
                &filter.serial.map(|serial| serial.as_bytes().to_vec()),
                &filter.authority.as_ref().map(ToString::to_string),
                &filter.state.map(state_column),
                &filter.revoked_from.map(Time::unix),
                &filter.revoked_before.map(Time::unix),
                &filter.issued_from.map(Time::unix),
                &filter.issued_before.map(Time::unix),
                &filter.name.as_ref().map(|part| like(part.as_str())),
                // No text is LIKE NULL.
                &filter.name.as_ref().and_then(|part| part.in_alt_names()).map(like),
            ],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

async fn methods_of(connection: &mut Connection, namespace: &str) -> Result<Vec<String>, Failure> {
    let statement = connection.statement(METHODS_OF_NAMESPACE).await?;
    let rows = connection.client.query(&statement, &[&namespace]).await?;
    rows.iter().map(|row| Columns::new(row).value()).collect()
}

pub(super) async fn revoked(
    connection: &mut Connection,
    issuer: KeyId,
    expired_before: Time,
    after: Option<SerialNumber>,
    rows: usize,
) -> Result<Vec<RevokedEntry>, Failure> {
    let after = after.as_ref().map(SerialNumber::as_bytes).unwrap_or_default();
    let statement = connection.statement(REVOKED_AFTER).await?;
    let rows = connection
        .client
        .query(&statement, &[&issuer.0.as_slice(), &expired_before.unix(), &after, &limit(rows)])
        .await?;
    let entries = rows.iter().map(|row| {
        let mut columns = Columns::new(row);
        let serial = columns.serial()?;
        Ok(entry(serial, status_from(&mut columns)?))
    });
    entries.filter_map(Result::transpose).collect()
}

pub(super) fn expect_status(issuer: KeyId, serial: &SerialNumber, status: &CertificateStatus) -> Step {
    let StatusColumns { status, at, reason, invalidity_date } = status_columns(status);
    // Looked at again once whoever holds the row has let go of it.
    let sql = "SELECT 1 FROM certificates WHERE serial = $1 AND issuer = $2 AND status = $3 \
        AND revoked_at IS NOT DISTINCT FROM $4 AND reason IS NOT DISTINCT FROM $5 \
        AND invalidity_date IS NOT DISTINCT FROM $6 FOR NO KEY UPDATE";
    let (serial, issuer) = (serial.as_bytes().to_vec(), issuer.0.to_vec());
    Step::new(sql, parameters![serial, issuer, status, at, reason, invalidity_date])
}

pub(super) fn expect_key_unused(public_key_sha256: &str) -> Result<Step, Failure> {
    Ok(Step::new(KEY_UNUSED, parameters![octets::<32>(public_key_sha256)?]))
}

pub(super) fn insert(row: &CertificateRow) -> Result<Step, Failure> {
    let StatusColumns { status, at, reason, invalidity_date } = status_columns(&row.status);
    let sql = "INSERT INTO certificates (issuer, serial, status, revoked_at, reason, invalidity_date, authority, \
        profile, method, protocol, credential, owner, requester, subject, subject_alt_names, not_before, \
        not_after, issued_at, public_key_sha256, server_key, request, der) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)";
    let parameters = parameters![
        row.issuer.0.to_vec(),
        row.serial.as_bytes().to_vec(),
        status,
        at,
        reason,
        invalidity_date,
        row.authority.as_ref().map(ToString::to_string),
        row.profile.to_string(),
        row.method.to_string(),
        row.protocol.as_str(),
        row.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        row.owner.as_ref().map(|owner| readable(&owner.to_string())),
        readable(&row.requester),
        readable(&row.subject),
        to_json(&row.subject_alt_names)?,
        row.not_before.unix(),
        row.not_after.unix(),
        row.issued_at.unix(),
        octets::<32>(&row.public_key_sha256)?,
        row.server_key,
        row.request.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        row.der.clone(),
    ];
    Ok(Step::new(sql, parameters).unless_taken(Conflict::SerialTaken { serial: row.serial }))
}

pub(super) fn set_status(issuer: KeyId, serial: &SerialNumber, status: &CertificateStatus) -> Step {
    let StatusColumns { status, at, reason, invalidity_date } = status_columns(status);
    let sql = "UPDATE certificates SET status = $3, revoked_at = $4, reason = $5, invalidity_date = $6 \
        WHERE serial = $1 AND issuer = $2";
    let (serial, issuer) = (serial.as_bytes().to_vec(), issuer.0.to_vec());
    Step::new(sql, parameters![serial, issuer, status, at, reason, invalidity_date]).or_missing("certificate")
}

/// What a text is LIKE that has this in it; with the collation "C", ILIKE takes ASCII letters alone for each other.
fn like(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

fn state_column(state: CertificateState) -> i16 {
    match state {
        CertificateState::Valid => VALID,
        CertificateState::Held => HELD,
        CertificateState::Revoked => REVOKED,
    }
}

fn from_row(row: &Row) -> Result<(Cursor, CertificateRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let certificate = CertificateRow {
        issuer: columns.key_id()?,
        serial: columns.serial()?,
        authority: columns.optional_parsed()?,
        profile: columns.parsed()?,
        method: columns.parsed()?,
        protocol: columns.parsed()?,
        credential: columns.optional_octets()?.map(issuance::identity::CredentialId::from_random),
        owner: columns.optional_parsed()?,
        requester: columns.value()?,
        subject: columns.value()?,
        subject_alt_names: columns.json()?,
        not_before: columns.time()?,
        not_after: columns.time()?,
        issued_at: columns.time()?,
        status: status_from(&mut columns)?,
        public_key_sha256: hex::encode(columns.octets::<32>()?),
        server_key: columns.value()?,
        request: columns.optional_octets()?.map(issuance::identity::RequestId::from_random),
        der: columns.value()?,
    };
    Ok((cursor, certificate))
}

/// From the columns `status`, `revoked_at`, `reason` and `invalidity_date`.
fn status_from(columns: &mut Columns<'_>) -> Result<CertificateStatus, Failure> {
    let status: i16 = columns.value()?;
    let at = columns.optional_time()?;
    let code: Option<i16> = columns.value()?;
    let invalidity_date = columns.optional_time()?;
    let reason = code.map(|code| u64::try_from(code).ok().and_then(ReasonCode::from_code));
    match (status, at, reason) {
        (VALID, None, None) => Ok(CertificateStatus::Valid),
        (HELD, Some(at), None) => Ok(CertificateStatus::Held { at }),
        (REVOKED, Some(at), Some(Some(reason))) => {
            Ok(CertificateStatus::Revoked { at, reason, invalidity_date })
        }
        _ => Err(Failure::Corrupt(format!("no status of a certificate: {status}, {at:?}, {code:?}"))),
    }
}

struct StatusColumns {
    status: i16,
    at: Option<i64>,
    reason: Option<i16>,
    invalidity_date: Option<i64>,
}

fn status_columns(status: &CertificateStatus) -> StatusColumns {
    let (status, at, reason, invalidity_date) = match status {
        CertificateStatus::Valid => (VALID, None, None, None),
        CertificateStatus::Held { at } => (HELD, Some(*at), None, None),
        CertificateStatus::Revoked { at, reason, invalidity_date } => {
            (REVOKED, Some(*at), Some(i16::from(reason.code())), *invalidity_date)
        }
    };
    let seconds = |time: Option<Time>| time.map(Time::unix);
    StatusColumns { status, at: seconds(at), reason, invalidity_date: seconds(invalidity_date) }
}

fn entry(serial: SerialNumber, status: CertificateStatus) -> Option<RevokedEntry> {
    match status {
        CertificateStatus::Valid => None,
        CertificateStatus::Held { at } => Some(RevokedEntry {
            serial,
            revoked_at: at,
            reason: Some(ReasonCode::CertificateHold),
            invalidity_date: None,
        }),
        CertificateStatus::Revoked { at, reason, invalidity_date } => {
            Some(RevokedEntry { serial, revoked_at: at, reason: Some(reason), invalidity_date })
        }
    }
}

//! Issued certificates.

use issuance::{
    identity::KeyId,
    store::{CertificateFilter, CertificateRow, CertificateState, CertificateStatus, Conflict, Cursor, Page},
};
use pki::{crl::RevokedEntry, extension::ReasonCode, serial::SerialNumber, time::Time};
use rusqlite::{Connection, Row, ToSql, params, params_from_iter, types::Value};

use super::{
    apply::one_row,
    columns::{Columns, limit, octets, to_json},
    failure::Failure,
    names::Names,
    scope,
};

// The numbers in the column `status`; the schema repeats them.
const VALID: i64 = 0;
const HELD: i64 = 1;
const REVOKED: i64 = 2;

/// The most rows of a page.
const MAX_PAGE: usize = 1000;

/// The most methods whose rows are merged; of more, the table is walked.
const MOST_MERGED: usize = 100;

/// In the order in which [`from_row`] reads. `CROSS JOIN` so that SQLite always starts with the certificates: it
/// might else walk them all for each name.
const SELECT: &str = "SELECT c.number, i.key_id, c.serial, a.namespace, a.name, p.namespace, p.name, m.namespace, \
    m.name, c.protocol, c.credential, c.owner, c.requester, c.subject, c.subject_alt_names, c.not_before, \
    c.not_after, c.issued_at, c.status, c.revoked_at, c.reason, c.invalidity_date, c.public_key_sha256, c.server_key, \
    c.request, d.der \
    FROM certificates c CROSS JOIN issuers i ON i.number = c.issuer \
    CROSS JOIN resources p ON p.number = c.profile CROSS JOIN resources m ON m.number = c.method \
    CROSS JOIN certificate_der d ON d.number = c.number LEFT JOIN resources a ON a.number = c.authority";

/// What a CRL lists after a serial number: first those as long as it, then the longer ones, because that is how
/// numbers without leading zeros compare. Two statements, each of which goes straight to its place in the index.
pub(super) const REVOKED_AS_LONG: &str = "SELECT serial, status, revoked_at, reason, invalidity_date \
    FROM certificates WHERE issuer = (SELECT number FROM issuers WHERE key_id = ?1) AND status <> 0 \
    AND not_after >= ?2 AND length(serial) = ?4 AND serial > ?5 ORDER BY serial LIMIT ?3";
pub(super) const REVOKED_LONGER: &str = "SELECT serial, status, revoked_at, reason, invalidity_date \
    FROM certificates WHERE issuer = (SELECT number FROM issuers WHERE key_id = ?1) AND status <> 0 \
    AND not_after >= ?2 AND length(serial) > ?4 ORDER BY length(serial), serial LIMIT ?3";

pub(super) const KEY_USED: &str = "SELECT EXISTS (SELECT 1 FROM certificates \
    WHERE substr(public_key_sha256, 1, 8) = substr(?1, 1, 8) AND public_key_sha256 = ?1 AND status <> 2)";

pub(super) fn find(
    connection: &Connection,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<CertificateRow>, Failure> {
    let mut statement = connection.prepare_cached(&find_sql())?;
    let mut rows = statement.query(params![serial.as_bytes(), issuer.0])?;
    rows.next()?.map(|row| from_row(row).map(|(_, row)| row)).transpose()
}

pub(super) fn find_sql() -> String {
    format!("{SELECT} WHERE c.serial = ? AND c.issuer = (SELECT number FROM issuers WHERE key_id = ?)")
}

pub(super) fn find_by_serial(
    connection: &Connection,
    serial: &SerialNumber,
) -> Result<Vec<CertificateRow>, Failure> {
    let sql = format!("{SELECT} WHERE c.serial = ? ORDER BY c.number");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_and_then([serial.as_bytes()], from_row)?;
    rows.map(|row| row.map(|(_, row)| row)).collect()
}

pub(super) fn list(
    connection: &Connection,
    filter: &CertificateFilter,
    page: &Page,
) -> Result<Vec<(Cursor, CertificateRow)>, Failure> {
    let Some((sql, values)) = list_sql(connection, filter, page)? else { return Ok(Vec::new()) };
    let mut statement = connection.prepare(&sql)?;
    let rows = statement.query_and_then(params_from_iter(values), from_row)?;
    rows.collect()
}

/// With its parameters; none where no row can match.
pub(super) fn list_sql(
    connection: &Connection,
    filter: &CertificateFilter,
    page: &Page,
) -> Result<Option<(String, Vec<Value>)>, Failure> {
    let Some(Conditions { sql, values }) = Conditions::of(filter, page)? else { return Ok(None) };
    let limit = page.limit.min(MAX_PAGE);
    let Some(scope) = &filter.methods else {
        return Ok(Some((format!("{SELECT} WHERE {sql} ORDER BY c.number LIMIT {limit}"), values)));
    };
    let methods = with_rows(connection, scope::numbers(connection, scope)?)?;
    // What the server made for itself is of no method.
    let conditions = format!("{sql} AND c.protocol <> 'internal'");
    let merged = filter.serial.is_none() && methods.len() <= MOST_MERGED;
    let sql = match &*methods {
        [] => return Ok(None),
        [_, _, ..] if merged => merged_sql(&conditions, &methods, limit),
        // One method has its index; with a serial number that one is to be taken, and of many methods the table is walked.
        _ => {
            let column = if methods.len() == 1 && merged { "c.method" } else { "+c.method" };
            let among = scope::among(column, &methods);
            format!("{SELECT} WHERE {conditions} AND {among} ORDER BY c.number LIMIT {limit}")
        }
    };
    Ok(Some((sql, values)))
}

/// Each method's rows in the order of its index, merged: no more of them are read than the page has.
fn merged_sql(conditions: &str, methods: &[i64], limit: usize) -> String {
    let of_one =
        |method| format!("SELECT c.number FROM certificates c WHERE {conditions} AND c.method = {method}");
    let each: Vec<String> = methods.iter().map(of_one).collect();
    let merged = each.join(" UNION ALL ");
    format!("{SELECT} WHERE c.number IN ({merged} ORDER BY 1 LIMIT {limit}) ORDER BY c.number")
}

/// Those methods that have issued anything: in a namespace there are other names too.
fn with_rows(connection: &Connection, methods: Vec<i64>) -> Result<Vec<i64>, Failure> {
    let mut statement = connection.prepare("SELECT EXISTS (SELECT 1 FROM certificates WHERE method = ?)")?;
    let mut found = Vec::with_capacity(methods.len());
    for method in methods {
        if statement.query_row([method], |row| row.get(0))? {
            found.push(method);
        }
    }
    Ok(found)
}

pub(super) fn revoked(
    connection: &Connection,
    issuer: KeyId,
    expired_before: Time,
    after: Option<SerialNumber>,
    rows: usize,
) -> Result<Vec<RevokedEntry>, Failure> {
    let after = after.as_ref().map(SerialNumber::as_bytes).unwrap_or_default();
    let parameters = params![issuer.0, expired_before.unix(), limit(rows), limit(after.len()), after];
    let mut entries = entries(connection, REVOKED_AS_LONG, parameters)?;
    let rest = rows.saturating_sub(entries.len());
    if rest > 0 {
        let parameters = params![issuer.0, expired_before.unix(), limit(rest), limit(after.len())];
        entries.extend(self::entries(connection, REVOKED_LONGER, parameters)?);
    }
    Ok(entries)
}

pub(super) fn status(
    connection: &Connection,
    issuer: KeyId,
    serial: &SerialNumber,
) -> Result<Option<CertificateStatus>, Failure> {
    let mut statement = connection.prepare_cached(
        "SELECT status, revoked_at, reason, invalidity_date FROM certificates \
         WHERE serial = ? AND issuer = (SELECT number FROM issuers WHERE key_id = ?)",
    )?;
    let mut rows = statement.query(params![serial.as_bytes(), issuer.0])?;
    rows.next()?.map(|row| status_from(&mut Columns::new(row))).transpose()
}

/// Whether a certificate that is not revoked has this key.
pub(super) fn is_key_used(connection: &Connection, public_key_sha256: &str) -> Result<bool, Failure> {
    let mut statement = connection.prepare_cached(KEY_USED)?;
    Ok(statement.query_row([octets::<32>(public_key_sha256)?], |row| row.get(0))?)
}

pub(super) fn insert(
    connection: &Connection,
    names: &mut Names,
    row: &CertificateRow,
) -> Result<(), Failure> {
    let authority = row.authority.as_ref().map(|name| names.resource(connection, name)).transpose()?;
    let (status, revoked_at, reason, invalidity_date) = status_columns(&row.status);
    let parameters = params![
        names.issuer(connection, row.issuer)?,
        row.serial.as_bytes(),
        status,
        revoked_at,
        reason,
        invalidity_date,
        authority,
        names.resource(connection, &row.profile)?,
        names.resource(connection, &row.method)?,
        row.protocol.as_str(),
        row.credential.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
        row.owner.as_ref().map(ToString::to_string),
        row.requester,
        row.subject,
        to_json(&row.subject_alt_names)?,
        row.not_before.unix(),
        row.not_after.unix(),
        row.issued_at.unix(),
        octets::<32>(&row.public_key_sha256)?,
        row.server_key,
        row.request.as_ref().map(|id| octets::<16>(id.as_str())).transpose()?,
    ];
    let number = connection
        .prepare_cached(
            "INSERT INTO certificates (issuer, serial, status, revoked_at, reason, invalidity_date, authority, \
             profile, method, protocol, credential, owner, requester, subject, subject_alt_names, not_before, \
             not_after, issued_at, public_key_sha256, server_key, request) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )?
        .insert(parameters)
        .map_err(|error| Failure::unique(error, Conflict::SerialTaken { serial: row.serial }))?;
    connection
        .prepare_cached("INSERT INTO certificate_der (number, der) VALUES (?, ?)")?
        .execute(params![number, row.der])?;
    Ok(())
}

pub(super) fn set_status(
    connection: &Connection,
    issuer: KeyId,
    serial: &SerialNumber,
    status: &CertificateStatus,
) -> Result<(), Failure> {
    let (status, revoked_at, reason, invalidity_date) = status_columns(status);
    let mut statement = connection.prepare_cached(
        "UPDATE certificates SET status = ?, revoked_at = ?, reason = ?, invalidity_date = ? \
         WHERE serial = ? AND issuer = (SELECT number FROM issuers WHERE key_id = ?)",
    )?;
    let parameters = params![status, revoked_at, reason, invalidity_date, serial.as_bytes(), issuer.0];
    one_row(statement.execute(parameters)?, "certificate")
}

fn entries(
    connection: &Connection,
    sql: &str,
    parameters: &[&dyn ToSql],
) -> Result<Vec<RevokedEntry>, Failure> {
    let mut statement = connection.prepare_cached(sql)?;
    let entries = statement.query_and_then(parameters, |row| {
        let mut columns = Columns::new(row);
        let serial = columns.serial()?;
        Ok(entry(serial, status_from(&mut columns)?))
    })?;
    entries.filter_map(Result::transpose).collect()
}

/// What a text is LIKE that has this in it: SQLite compares ASCII letters whatever their case.
fn like(part: &str) -> String {
    let escaped = part.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

fn state_column(state: CertificateState) -> i64 {
    match state {
        CertificateState::Valid => VALID,
        CertificateState::Held => HELD,
        CertificateState::Revoked => REVOKED,
    }
}

/// The `WHERE` of a list, but for the methods. Parameters are numbered, because the merged rows of several methods have the same.
struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    /// None where no row can match.
    fn of(filter: &CertificateFilter, page: &Page) -> Result<Option<Self>, Failure> {
        let after = page.after.map_or(0, |cursor| cursor.0);
        // With a serial number the rows are so few that the order costs nothing: its index is to be taken, and no other.
        let (number, c) = if filter.serial.is_some() { ("+c.number", "+c") } else { ("c.number", "c") };
        let mut conditions = Self { sql: format!("{number} > ?1"), values: vec![Value::Integer(after)] };
        if let Some(serial) = filter.serial {
            conditions.and("c.serial = ?", [Value::Blob(serial.as_bytes().to_vec())]);
        }
        if let Some(issuer) = filter.issuer {
            let key = Value::Blob(issuer.0.to_vec());
            conditions.and("c.issuer = (SELECT number FROM issuers WHERE key_id = ?)", [key]);
        }
        for (column, name) in [("authority", &filter.authority), ("profile", &filter.profile)] {
            if let Some(name) = name {
                conditions.and(
                    &format!(
                        "{c}.{column} = (SELECT number FROM resources WHERE namespace = ? AND name = ?)"
                    ),
                    [name.namespace().to_owned().into(), name.name().to_owned().into()],
                );
            }
        }
        if let Some(namespace) = &filter.namespace {
            let sql = "c.method IN (SELECT number FROM resources WHERE namespace = ?)";
            conditions.and(sql, [namespace.clone().into()]);
        }
        if let Some(credential) = &filter.credential {
            conditions.and("c.credential = ?", [octets::<16>(credential.as_str())?.to_vec().into()]);
        }
        if let Some(owner) = &filter.owner {
            conditions.and("c.owner = ?", [owner.clone().into()]);
        }
        if let Some(revoked) = filter.revoked {
            conditions.and(if revoked { "c.status <> 0" } else { "c.status = 0" }, []);
        }
        if let Some(state) = filter.state {
            conditions.and("c.status = ?", [Value::Integer(state_column(state))]);
        }
        for (sql, time) in [
            ("c.revoked_at >= ?", filter.revoked_from),
            ("c.revoked_at < ?", filter.revoked_before),
            ("c.issued_at >= ?", filter.issued_from),
            ("c.issued_at < ?", filter.issued_before),
            ("c.not_after < ?", filter.expires_before),
            ("c.not_after > ?", filter.expires_after),
        ] {
            if let Some(time) = time {
                conditions.and(sql, [time.unix().into()]);
            }
        }
        if let Some(part) = &filter.name {
            // No value is LIKE NULL.
            let patterns = [Some(part.as_str()), part.in_alt_names()];
            conditions.and(
                "(c.subject LIKE ? ESCAPE '\\' OR c.subject_alt_names LIKE ? ESCAPE '\\')",
                patterns.map(|part| part.map_or(Value::Null, |part| Value::Text(like(part)))),
            );
        }
        if let Some(hash) = &filter.public_key_sha256 {
            // What is no hash is the hash of no key.
            let Ok(hash) = octets::<32>(hash) else { return Ok(None) };
            let hash = Value::Blob(hash.to_vec());
            conditions.and("substr(c.public_key_sha256, 1, 8) = substr(?, 1, 8)", [hash.clone()]);
            conditions.and("c.public_key_sha256 = ?", [hash]);
        }
        Ok(Some(conditions))
    }

    fn and<const N: usize>(&mut self, sql: &str, values: [Value; N]) {
        self.sql.push_str(" AND ");
        let mut parts = sql.split('?');
        self.sql.push_str(parts.next().unwrap_or_default());
        for (part, value) in parts.zip(values) {
            self.values.push(value);
            self.sql.push_str(&format!("?{}{part}", self.values.len()));
        }
    }
}

fn from_row(row: &Row<'_>) -> Result<(Cursor, CertificateRow), Failure> {
    let mut columns = Columns::new(row);
    let cursor = Cursor(columns.value()?);
    let certificate = CertificateRow {
        issuer: columns.key_id()?,
        serial: columns.serial()?,
        authority: columns.optional_resource()?,
        profile: columns.resource()?,
        method: columns.resource()?,
        protocol: columns.parsed()?,
        credential: columns.optional_credential_id()?,
        owner: columns.optional_parsed()?,
        requester: columns.value()?,
        subject: columns.value()?,
        subject_alt_names: columns.json()?,
        not_before: columns.time()?,
        not_after: columns.time()?,
        issued_at: columns.time()?,
        status: status_from(&mut columns)?,
        public_key_sha256: hex::encode(columns.value::<[u8; 32]>()?),
        server_key: columns.value()?,
        request: columns.optional_request_id()?,
        der: columns.value()?,
    };
    Ok((cursor, certificate))
}

/// From the columns `status`, `revoked_at`, `reason` and `invalidity_date`.
fn status_from(columns: &mut Columns<'_>) -> Result<CertificateStatus, Failure> {
    let status: i64 = columns.value()?;
    let at = columns.optional_time()?;
    let code = columns.optional_unsigned()?;
    let invalidity_date = columns.optional_time()?;
    match (status, at, code.map(ReasonCode::from_code)) {
        (VALID, None, None) => Ok(CertificateStatus::Valid),
        (HELD, Some(at), None) => Ok(CertificateStatus::Held { at }),
        (REVOKED, Some(at), Some(Some(reason))) => {
            Ok(CertificateStatus::Revoked { at, reason, invalidity_date })
        }
        _ => Err(Failure::Corrupt(format!("no status of a certificate: {status}, {at:?}, {code:?}"))),
    }
}

type StatusColumns = (i64, Option<i64>, Option<u8>, Option<i64>);

fn status_columns(status: &CertificateStatus) -> StatusColumns {
    match status {
        CertificateStatus::Valid => (VALID, None, None, None),
        CertificateStatus::Held { at } => (HELD, Some(at.unix()), None, None),
        CertificateStatus::Revoked { at, reason, invalidity_date } => {
            (REVOKED, Some(at.unix()), Some(reason.code()), invalidity_date.map(Time::unix))
        }
    }
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

//! The schema and its versions.
//!
//! Migrations expand first and contract in a later release: a release adds what it needs, and only a release after
//! it removes what nobody uses any more. So the replicas of the previous release go on while those of the new one
//! start, and an upgrade can be taken back. Each migration says the oldest schema whose programs can live with it; a
//! program older than that refuses to begin.

use std::path::PathBuf;

use tokio_postgres::{Client, GenericClient};

use super::{UrlError, failure::Failure, locks};

/// One step. Never changed once released.
struct Migration {
    sql: &'static str,
    /// Programs that know this version or a later one may use the database afterwards.
    oldest: i64,
}

const MIGRATIONS: [Migration; 1] =
    [Migration { sql: include_str!("migrations/0001_initial.sql"), oldest: 1 }];

/// The first release of PostgreSQL this is tested with.
const OLDEST_SERVER: i32 = 150_000;

/// Why a database was not opened. Never holds the password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error("{path}: TLS to the database needs this file: {reason}")]
    Tls { path: PathBuf, reason: String },
    #[error("{0}")]
    Unavailable(String),
    #[error("the database cannot be read or changed: {0}")]
    Database(String),
    #[error("the database is of PostgreSQL {0}; it must be 15 or later")]
    ServerTooOld(i32),
    #[error("the database's encoding is {0}; it must be UTF8")]
    Encoding(String),
    #[error("the database is of another program: its schema holds tables, and none of ours")]
    Foreign,
    #[error(
        "the database has schema {found}, which needs a program that knows schema {oldest}; this one knows {known}: \
         upgrade the program"
    )]
    Newer { found: i64, oldest: i64, known: i64 },
    #[error("a store needs at least one connection, and the name of an audit stream without a slash")]
    Options,
}

impl OpenError {
    pub(super) fn tls(path: &std::path::Path, reason: impl std::fmt::Display) -> Self {
        Self::Tls { path: path.to_owned(), reason: reason.to_string() }
    }
}

impl From<Failure> for OpenError {
    fn from(failure: Failure) -> Self {
        match issuance::store::StoreError::from(failure) {
            issuance::store::StoreError::Unavailable(reason) => Self::Unavailable(reason),
            issuance::store::StoreError::Corrupt(reason) => Self::Database(reason),
        }
    }
}

impl From<tokio_postgres::Error> for OpenError {
    fn from(error: tokio_postgres::Error) -> Self {
        Failure::from(error).into()
    }
}

/// Refuses servers that do not keep what is written as it is written.
pub(super) async fn check_server(client: &Client) -> Result<(), OpenError> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer, current_setting('server_encoding'), \
             current_setting('fsync') = 'on' AND current_setting('full_page_writes') = 'on'",
            &[],
        )
        .await?;
    let (version, encoding, durable): (i32, String, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if version < OLDEST_SERVER {
        return Err(OpenError::ServerTooOld(version / 10_000));
    }
    if encoding != "UTF8" {
        return Err(OpenError::Encoding(encoding));
    }
    if !durable {
        tracing::warn!("the database runs with fsync or full_page_writes off: a crash can lose certificates");
    }
    Ok(())
}

/// Brings the schema to the newest version this program knows.
pub(super) async fn migrate(client: &mut Client) -> Result<(), OpenError> {
    migrate_with(client, &MIGRATIONS).await
}

async fn migrate_with(client: &mut Client, migrations: &[Migration]) -> Result<(), OpenError> {
    // Looking first takes no lock, and mostly there is nothing to do.
    let known = i64::try_from(migrations.len()).unwrap_or(i64::MAX);
    if version(client, known).await? >= known {
        return Ok(());
    }
    let transaction = client.transaction().await?;
    // Another replica may be at it, for as long as it takes.
    transaction.batch_execute("SET LOCAL lock_timeout = 0; SET LOCAL statement_timeout = 0").await?;
    transaction.execute("SELECT pg_advisory_xact_lock($1)", &[&locks::number("migration", b"")]).await?;
    let from = version(&transaction, known).await?;
    let steps = migrations.iter().zip(1_i64..).filter(|(_, number)| *number > from);
    for (migration, number) in steps {
        transaction.batch_execute(migration.sql).await?;
        transaction
            .execute(
                "INSERT INTO schema_history (version, oldest) VALUES ($1, $2)",
                &[&number, &migration.oldest],
            )
            .await?;
    }
    Ok(transaction.commit().await?)
}

/// The version of the schema; 0 for an empty one.
async fn version(client: &impl GenericClient, known: i64) -> Result<i64, OpenError> {
    let ours = "SELECT count(*) FILTER (WHERE column_name IN ('version', 'oldest')), count(DISTINCT table_name) \
        FROM information_schema.columns WHERE table_schema = current_schema() \
        AND (table_name = 'schema_history' OR NOT EXISTS (SELECT 1 FROM information_schema.tables t \
        WHERE t.table_schema = current_schema() AND t.table_name = 'schema_history'))";
    let row = client.query_one(ours, &[]).await?;
    let (columns, tables): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    if tables == 0 {
        return Ok(0);
    }
    if columns != 2 {
        return Err(OpenError::Foreign);
    }
    let row = client.query_one("SELECT max(version), max(oldest) FROM schema_history", &[]).await?;
    let (found, oldest): (Option<i64>, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    let (Some(found), Some(oldest)) = (found, oldest) else { return Err(OpenError::Foreign) };
    if found > known && oldest > known {
        return Err(OpenError::Newer { found, oldest, known });
    }
    Ok(found)
}

#[cfg(test)]
mod tests;

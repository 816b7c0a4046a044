//! The schema and its versions.
//!
//! Migrations expand first and contract in a later release: a release adds what it needs, and only a release after
//! it removes what nobody uses any more. So the previous release still runs on the new schema, and an upgrade can be
//! taken back. Each migration says the oldest schema whose programs can live with it; a program older than that
//! refuses to open the file.

use std::{io, path::PathBuf};

use rusqlite::{Connection, TransactionBehavior};

/// "CHNC": what `file` shows, and how another program's database is told apart.
const APPLICATION_ID: i32 = 0x4348_4e43;

/// One step. Never changed once released.
struct Migration {
    sql: &'static str,
    /// Programs that know this version or a later one may use the database afterwards.
    oldest: i64,
}

const MIGRATIONS: [Migration; 1] =
    [Migration { sql: include_str!("migrations/0001_initial.sql"), oldest: 1 }];

/// Why a database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the database file {path:?} cannot be opened")]
    File { path: PathBuf, source: io::Error },
    #[error("the database cannot be opened")]
    Database(#[source] rusqlite::Error),
    #[error("the file system does not support a write-ahead log: the journal mode stayed {mode}")]
    NoWriteAheadLog { mode: String },
    #[error("the file is a database of another program")]
    Foreign,
    #[error(
        "the database has schema {found}, which needs a program that knows schema {oldest}; this one knows {known}: \
         upgrade the program"
    )]
    Newer { found: i64, oldest: i64, known: i64 },
    #[error("the thread that writes cannot be started")]
    Thread(#[source] io::Error),
}

/// Brings the schema to the newest version this program knows.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), OpenError> {
    migrate_with(connection, &MIGRATIONS)
}

fn migrate_with(connection: &mut Connection, migrations: &[Migration]) -> Result<(), OpenError> {
    // Looking first takes no lock, and mostly there is nothing to do.
    let known = migrations.len() as i64;
    if version(connection, known)? >= known {
        return Ok(());
    }
    let transaction =
        connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(OpenError::Database)?;
    // Another process may have come first.
    let from = version(&transaction, known)?;
    let steps = migrations.iter().zip(1..).filter(|(_, number)| *number > from);
    for (migration, number) in steps {
        apply(&transaction, migration, number).map_err(OpenError::Database)?;
    }
    transaction.commit().map_err(OpenError::Database)
}

fn apply(connection: &Connection, migration: &Migration, version: i64) -> rusqlite::Result<()> {
    connection.execute_batch(migration.sql)?;
    connection
        .execute("INSERT INTO schema_history (version, oldest) VALUES (?, ?)", (version, migration.oldest))?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", version)
}

/// The version of the schema; 0 for an empty file.
fn version(connection: &Connection, known: i64) -> Result<i64, OpenError> {
    let number =
        |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).map_err(OpenError::Database);
    let found = number("PRAGMA user_version")?;
    let empty = number("SELECT count(*) FROM sqlite_schema")? == 0;
    if empty && found == 0 {
        return Ok(0);
    }
    if number("PRAGMA application_id")? != i64::from(APPLICATION_ID) {
        return Err(OpenError::Foreign);
    }
    if found > known {
        let oldest = number("SELECT max(oldest) FROM schema_history")?;
        if oldest > known {
            return Err(OpenError::Newer { found, oldest, known });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Migration =
        Migration { sql: "ALTER TABLE sealed ADD COLUMN note TEXT; CREATE TABLE more (a) ", oldest: 1 };
    const THIRD: Migration = Migration { sql: "DROP TABLE more", oldest: 3 };

    fn steps(count: usize) -> Vec<Migration> {
        MIGRATIONS.into_iter().chain([SECOND, THIRD]).take(count).collect()
    }

    fn schema(connection: &Connection) -> Vec<String> {
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn a_program_too_old_for_the_schema_is_refused_with_both_numbers() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_with(&mut connection, &steps(3)).unwrap();
        let error = migrate_with(&mut connection, &steps(1)).unwrap_err();
        assert!(matches!(error, OpenError::Newer { found: 3, oldest: 3, known: 1 }), "{error}");
        assert!(error.to_string().contains("upgrade the program"));
    }

    #[test]
    fn another_programs_database_is_refused_and_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (a)").unwrap();
        assert!(matches!(migrate(&mut connection), Err(OpenError::Foreign)));
        assert_eq!(schema(&connection), ["CREATE TABLE theirs (a)"]);
    }

    #[test]
    fn a_migration_that_fails_leaves_the_schema_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let before = schema(&connection);
        let broken = Migration { sql: "CREATE TABLE half (a); CREATE TABLE half (a)", oldest: 1 };
        let steps = MIGRATIONS.into_iter().chain([broken]).collect::<Vec<_>>();
        assert!(matches!(migrate_with(&mut connection, &steps), Err(OpenError::Database(_))));
        assert_eq!(schema(&connection), before);
        migrate(&mut connection).unwrap();
    }

    #[test]
    fn migrating_twice_changes_nothing() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        let (before, changes) = (schema(&connection), connection.total_changes());
        migrate(&mut connection).unwrap();
        assert_eq!((schema(&connection), connection.total_changes()), (before, changes));
    }

    #[test]
    fn the_previous_program_runs_on_a_schema_that_only_grew() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate_with(&mut connection, &steps(1)).unwrap();
        migrate_with(&mut connection, &steps(2)).unwrap();
        migrate_with(&mut connection, &steps(1)).unwrap();
        assert_eq!(version(&connection, 2).unwrap(), 2);
    }
}

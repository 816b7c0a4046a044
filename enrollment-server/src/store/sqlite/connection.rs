//! How a connection is opened.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{OpenError, StoreOptions};

/// More statements than there are in this folder, filters of lists aside.
const STATEMENTS: usize = 128;

/// What is needed to open one more connection.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    path: PathBuf,
    busy_timeout: Duration,
    #[cfg(test)]
    maximum_pages: std::sync::Arc<std::sync::atomic::AtomicU32>,
}

/// Which file it is, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileIdentity {
    device: u64,
    inode: u64,
}

impl Settings {
    pub(super) fn new(path: PathBuf, options: &StoreOptions) -> Self {
        Self {
            path,
            busy_timeout: options.busy_timeout,
            #[cfg(test)]
            maximum_pages: options.maximum_pages.clone(),
        }
    }

    /// # Errors
    /// Where there is no file of this name.
    pub(super) fn file_identity(&self) -> io::Result<FileIdentity> {
        let metadata = fs::metadata(&self.path)?;
        Ok(FileIdentity { device: metadata.dev(), inode: metadata.ino() })
    }
}

/// The first connection, which makes the file where there is none.
pub(super) fn create(settings: &Settings) -> Result<Connection, OpenError> {
    make_private(&settings.path).map_err(|source| OpenError::File { path: settings.path.clone(), source })?;
    let connection = open(settings).map_err(OpenError::Database)?;
    // Persistent, so that only the first connection asks. On a file system that cannot share memory between
    // processes SQLite keeps the old mode.
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(OpenError::Database)?;
    if mode != "wal" {
        return Err(OpenError::NoWriteAheadLog { mode });
    }
    Ok(connection)
}

/// For writing.
pub(super) fn open(settings: &Settings) -> rusqlite::Result<Connection> {
    let connection = open_file(settings)?;
    connection.execute_batch(
        // FULL: in the log on the disk before COMMIT returns. secure_delete: what replaced secrets were sealed as
        // does not stay in free space.
        "PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA journal_size_limit = 67108864;
         PRAGMA cache_size = -32768;
         PRAGMA temp_store = MEMORY;
         PRAGMA secure_delete = FAST;",
    )?;
    #[cfg(test)]
    {
        let pages = settings.maximum_pages.load(std::sync::atomic::Ordering::SeqCst);
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(()))?;
    }
    Ok(connection)
}

/// For reading. Opened for writing all the same, because whoever comes first after a crash recovers the log.
pub(super) fn open_reader(settings: &Settings) -> rusqlite::Result<Connection> {
    let connection = open_file(settings)?;
    connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")?;
    Ok(connection)
}

fn open_file(settings: &Settings) -> rusqlite::Result<Connection> {
    // Not SQLITE_OPEN_CREATE: a file that has gone missing is an error, never a new database.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&settings.path, flags)?;
    connection.busy_timeout(settings.busy_timeout)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Without it SQLite plans most statements anew whenever other values are bound, in case those have a better
    // plan: twenty times the cost of the row itself. There are no statistics that it could choose by.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    Ok(connection)
}

/// Makes the file with mode 0600, or takes the rights of others away; SQLite gives the log the mode of the file.
fn make_private(path: &Path) -> io::Result<()> {
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(mode & 0o7700))?;
    }
    Ok(())
}

//! Transactions: many changes in one, and what each of those who asked is told.

use std::{
    ffi::c_int,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use issuance::store::{Conflict, StoreError, StoreResult};
use rusqlite::{Connection, ErrorCode, hooks::Wal};
use tokio::sync::oneshot;

use super::{
    CommitObserver, StoreOptions,
    apply::{Change, Done, Session},
    connection::{self, FileIdentity, Settings},
    failure::{Failure, sql_error},
    recent::RecentOrders,
};

/// Pages in the log before it is written back: 16 MiB. Serial numbers and keys are random, so the pages that commits
/// touch repeat little, and writing back earlier would only cost more `fsync`s.
const CHECKPOINT_PAGES: u32 = 4000;

/// A transaction that takes no longer, on average, may run on a thread that serves connections: it then takes from
/// others less than waking another thread, twice, would cost everybody.
const QUICK: Duration = Duration::from_millis(1);

/// What a single transaction counts at most in that average, so that one hiccup is forgotten within a few.
const SLOWEST: Duration = Duration::from_millis(20);

/// The share of the last transaction in the average is one in so many.
const AVERAGED: u32 = 8;

pub(super) type Outcome = Result<Done, Conflict>;

pub(super) type Reply<T> = oneshot::Sender<StoreResult<T>>;

/// One change, and whom to tell what became of it.
pub(super) struct Work {
    pub(super) change: Change,
    pub(super) reply: Reply<Outcome>,
}

/// The connection that writes.
pub(super) struct Committer {
    settings: Settings,
    /// Which file was opened. Were it removed, SQLite would go on writing to what nobody finds again.
    file: Option<FileIdentity>,
    /// None after a failure: the next transaction opens a new one.
    connection: Option<Connection>,
    session: Session,
    observer: Option<Arc<dyn CommitObserver>>,
    /// What it has committed that is asked for again.
    recent: Arc<RecentOrders>,
    /// Whether the last transaction failed.
    failing: bool,
    /// How long a transaction takes, as a moving average. Slow until the disk has shown that it is not.
    pace: Duration,
    /// Pages in the log after the last transaction.
    log_pages: Arc<AtomicU32>,
}

impl Committer {
    pub(super) fn new(
        settings: Settings,
        connection: Connection,
        options: StoreOptions,
        recent: Arc<RecentOrders>,
    ) -> Self {
        let mut committer = Self {
            file: settings.file_identity().ok(),
            settings,
            connection: None,
            session: Session::new(options.stream),
            observer: options.observer,
            recent,
            failing: false,
            pace: SLOWEST,
            log_pages: Arc::default(),
        };
        committer.connection = committer.with_log_counted(connection).ok();
        committer
    }

    /// Whether the next transaction is likely to be over at once.
    pub(super) fn is_quick(&self) -> bool {
        self.pace <= QUICK && !self.failing && !self.is_log_long()
    }

    #[cfg(test)]
    pub(super) fn expect_quick(&mut self) {
        self.pace = Duration::ZERO;
    }

    /// One transaction, and the answers after it. Who asked may have gone; the change stands all the same.
    ///
    /// # Errors
    /// The work, untouched, where another process writes and `patience` is zero.
    pub(super) fn commit_all(&mut self, work: Vec<Work>, patience: Duration) -> Result<(), Vec<Work>> {
        let started = Instant::now();
        match self.with_connection(|connection, session| transaction(connection, session, &work, patience)) {
            Ok(None) => return Err(work),
            Ok(Some(outcomes)) => {
                let took = started.elapsed();
                self.pace = (self.pace * (AVERAGED - 1) + took.min(SLOWEST)) / AVERAGED;
                if let Some(observer) = &self.observer {
                    observer.committed(took, work.len());
                }
                work.into_iter().zip(outcomes).for_each(|(one, outcome)| self.answer(one, outcome));
            }
            Err(error) => {
                // Whether any of it is in the file is not known.
                self.recent.clear();
                work.into_iter().for_each(|one| drop(one.reply.send(Err(error.clone()))));
            }
        }
        Ok(())
    }

    /// After the transaction. Whoever is told can read what was written.
    fn answer(&self, work: Work, outcome: StoreResult<Outcome>) {
        match (work.change, &outcome) {
            (Change::Commit(commit), Ok(Ok(_))) => self.recent.committed(commit),
            (Change::Commit(_), Ok(Err(conflict))) => self.recent.refused(conflict),
            (Change::Commit(_), Err(_)) | (Change::Lease(_), _) => {}
        }
        drop(work.reply.send(outcome));
    }

    /// Whether a commit would go through. After one that did not, only what reaches the disk tells: as much as
    /// several commits, because a full disk often has room for a page.
    pub(super) fn check(&mut self, patience: Duration) -> StoreResult<()> {
        let failing = self.failing;
        self.with_connection(|connection, _| {
            connection.busy_timeout(patience)?;
            execute(connection, "BEGIN IMMEDIATE")?;
            if failing {
                execute(connection, "REPLACE INTO disk_probe (number, filler) VALUES (1, zeroblob(65536))")?;
            }
            execute(connection, "COMMIT")
        })
    }

    /// Writes the log back into the file once it is long. Nobody waits for it, but whoever commits next.
    pub(super) fn tidy(&mut self) {
        if self.is_log_long() {
            self.log_pages.store(0, Ordering::Relaxed);
            self.write_back("PRAGMA wal_checkpoint(PASSIVE)");
        }
    }

    /// So that the file alone is the database. Where another process reads, the log stays: no harm either.
    pub(super) fn close(&mut self) {
        self.write_back("PRAGMA wal_checkpoint(TRUNCATE)");
        self.connection = None;
    }

    fn write_back(&self, sql: &str) {
        if let Some(connection) = &self.connection
            && let Err(error) = connection.query_row(sql, [], |_| Ok(()))
        {
            tracing::warn!(%error, "the log could not be written back into the database file");
        }
    }

    fn is_log_long(&self) -> bool {
        self.log_pages.load(Ordering::Relaxed) >= CHECKPOINT_PAGES
    }

    /// Runs one transaction. One that failed is undone by closing its connection, for whatever state the disk left
    /// that in; the next transaction opens a new one, so that a disk that works again is used again.
    ///
    /// Where `fsync` fails after the log was written, a crash may bring back a commit that was reported as failed:
    /// recorded although never answered, which harms nobody.
    fn with_connection<T>(
        &mut self,
        run: impl FnOnce(&Connection, &mut Session) -> rusqlite::Result<T>,
    ) -> StoreResult<T> {
        let result = self.connect().and_then(|connection| {
            self.session.begin();
            let value = run(&connection, &mut self.session).map_err(|error| sql_error(&error))?;
            self.connection = Some(connection);
            Ok(value)
        });
        self.failing = result.is_err();
        if self.failing {
            self.session.undone();
        }
        result
    }

    fn connect(&mut self) -> StoreResult<Connection> {
        if self.settings.file_identity().ok() != self.file {
            return Err(StoreError::Unavailable("the database file was removed or replaced".into()));
        }
        match self.connection.take() {
            Some(connection) => Ok(connection),
            None => connection::open(&self.settings)
                .and_then(|connection| self.with_log_counted(connection))
                .map_err(|error| sql_error(&error)),
        }
    }

    /// In the place of SQLite's own rule for writing the log back, which would do it before the commit is answered.
    fn with_log_counted(&self, mut connection: Connection) -> rusqlite::Result<Connection> {
        let pages = Arc::clone(&self.log_pages);
        connection.wal_hook(Some(move |_: &mut Wal, in_log: c_int| {
            pages.store(u32::try_from(in_log).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(connection)
    }
}

/// All of them in one transaction, which is on the disk when this returns. An error is of the transaction as a
/// whole: none of them was made.
///
/// First without savepoints: each would have SQLite copy every page that the change touches, and hardly ever is one
/// needed. Where a change fails half-way after all, everything is undone and made again, one by one.
///
/// None where another process writes, and goes on doing so for as long as there is patience.
fn transaction(
    connection: &Connection,
    session: &mut Session,
    work: &[Work],
    patience: Duration,
) -> rusqlite::Result<Option<Vec<StoreResult<Outcome>>>> {
    connection.busy_timeout(patience)?;
    match execute(connection, "BEGIN IMMEDIATE") {
        Err(error) if patience.is_zero() && is_busy(&error) => return Ok(None),
        begun => begun?,
    }
    let outcomes = match together(connection, session, work)? {
        Some(outcomes) => outcomes,
        None => {
            execute(connection, "ROLLBACK")?;
            session.undone();
            execute(connection, "BEGIN IMMEDIATE")?;
            let outcomes = work.iter().map(|one| one_by_one(connection, session, &one.change));
            outcomes.collect::<rusqlite::Result<Vec<_>>>()?
        }
    };
    execute(connection, "COMMIT")?;
    Ok(Some(outcomes))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
}

/// Makes all changes; none where one left something to undo. The transaction is then good for nothing but that.
fn together(
    connection: &Connection,
    session: &mut Session,
    work: &[Work],
) -> rusqlite::Result<Option<Vec<StoreResult<Outcome>>>> {
    let mut outcomes = Vec::with_capacity(work.len());
    for one in work {
        match session.apply(connection, &one.change) {
            Ok(done) => outcomes.push(Ok(Ok(done))),
            // What a change expects is looked at before it writes anything: nothing to undo.
            Err(Failure::Conflict(conflict @ Conflict::Expectation(_))) => outcomes.push(Ok(Err(conflict))),
            // A full disk ends it here; of anything else the one who asked is told when it happens again.
            Err(failure) => return outcome_of(failure).map(|_| None),
        }
    }
    Ok(Some(outcomes))
}

/// One of them, all or nothing.
fn one_by_one(
    connection: &Connection,
    session: &mut Session,
    change: &Change,
) -> rusqlite::Result<StoreResult<Outcome>> {
    execute(connection, "SAVEPOINT one")?;
    let outcome = match session.apply(connection, change) {
        Ok(done) => Ok(Ok(done)),
        Err(failure) => {
            session.undone();
            let outcome = outcome_of(failure)?;
            execute(connection, "ROLLBACK TO one")?;
            outcome
        }
    };
    execute(connection, "RELEASE one")?;
    Ok(outcome)
}

/// What the one who asked is told. An error where the disk or the file is at fault: that is about all of them.
fn outcome_of(failure: Failure) -> rusqlite::Result<StoreResult<Outcome>> {
    match failure {
        Failure::Conflict(conflict) => Ok(Ok(Err(conflict))),
        Failure::Corrupt(reason) => Ok(Err(StoreError::Corrupt(reason))),
        Failure::Sql(error) => match sql_error(&error) {
            StoreError::Unavailable(_) => Err(error),
            StoreError::Corrupt(reason) => Ok(Err(StoreError::Corrupt(reason))),
        },
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

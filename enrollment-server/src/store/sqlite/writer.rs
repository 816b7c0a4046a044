//! The thread that commits.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Instant,
};

use issuance::store::{Commit, Committed, Conflict, Job, StoreError, StoreResult};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{
    CommitObserver, OpenError, StoreOptions,
    apply::{Change, Done, Session},
    connection::{self, FileIdentity, Settings},
    failure::{Failure, sql_error},
    jobs::LeaseRequest,
    readers::closed,
};

/// Most commits of one transaction.
const BATCH: usize = 256;

/// Commits that may wait; whoever comes later waits before it may wait here.
const QUEUE: usize = 4 * BATCH;

/// The way to the thread.
pub(super) struct Writer {
    queue: mpsc::Sender<Task>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

type Reply<T> = oneshot::Sender<StoreResult<T>>;

enum Task {
    Work(Work),
    Check(Reply<()>),
    Close,
}

/// One change, and whom to tell what became of it.
struct Work {
    change: Change,
    reply: Reply<Outcome>,
}

type Outcome = Result<Done, Conflict>;

impl Writer {
    /// Takes over the connection.
    pub(super) fn start(
        settings: Settings,
        connection: Connection,
        options: StoreOptions,
    ) -> Result<Self, OpenError> {
        let file = settings.file_identity().ok();
        let committer = Committer {
            settings,
            file,
            connection: Some(connection),
            session: Session::new(options.stream),
            observer: options.observer,
            failing: false,
        };
        let (queue, tasks) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || committer.run(tasks))
            .map_err(OpenError::Thread)?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    pub(super) async fn commit(&self, commit: Commit) -> StoreResult<Result<Committed, Conflict>> {
        let change = Change::Commit(commit);
        Ok(self.ask(|reply| Task::Work(Work { change, reply })).await?.map(|done| done.committed))
    }

    pub(super) async fn lease(&self, request: LeaseRequest) -> StoreResult<Vec<Job>> {
        let change = Change::Lease(request);
        let outcome = self.ask(|reply| Task::Work(Work { change, reply })).await?;
        // A lease expects nothing, so it never conflicts.
        Ok(outcome.map(|done| done.leased).unwrap_or_default())
    }

    pub(super) async fn check(&self) -> StoreResult<()> {
        self.ask(Task::Check).await
    }

    /// Ends after what waits now.
    pub(super) async fn close(&self) {
        // Where the thread has ended, nobody takes this, and that is as well.
        let _ = self.queue.send(Task::Close).await;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && let Err(error) = tokio::task::spawn_blocking(move || thread.join().is_ok()).await
        {
            tracing::warn!(%error, "the thread that writes was not awaited");
        }
    }

    /// How many changes wait to be taken by the thread.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    async fn ask<T>(&self, task: impl FnOnce(Reply<T>) -> Task) -> StoreResult<T> {
        let (reply, answer) = oneshot::channel();
        self.queue.send(task(reply)).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("capacity", &self.queue.capacity()).finish_non_exhaustive()
    }
}

/// What the thread owns.
struct Committer {
    settings: Settings,
    /// Which file was opened. Were it removed, SQLite would go on writing to what nobody finds again.
    file: Option<FileIdentity>,
    /// None after a failure: the next transaction opens a new one.
    connection: Option<Connection>,
    session: Session,
    observer: Option<Arc<dyn CommitObserver>>,
    /// Whether the last transaction failed.
    failing: bool,
}

impl Committer {
    fn run(mut self, mut tasks: mpsc::Receiver<Task>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut open = true;
        while open && tasks.blocking_recv_many(&mut batch, BATCH) > 0 {
            open = self.work_off(batch.drain(..));
        }
        drop(tasks);
        if let Some(connection) = self.connection.take() {
            // So that the file alone is the database. Where another process reads, the log stays: no harm either.
            let written_back = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(error) = written_back {
                tracing::warn!(%error, "the log could not be written back into the database file");
            }
        }
    }

    /// Returns whether to go on.
    fn work_off(&mut self, tasks: impl Iterator<Item = Task>) -> bool {
        let (mut work, mut checks, mut open) = (Vec::new(), Vec::new(), true);
        for task in tasks {
            match task {
                Task::Work(one) => work.push(one),
                Task::Check(reply) => checks.push(reply),
                Task::Close => open = false,
            }
        }
        if !work.is_empty() {
            self.commit_all(work);
        }
        if !checks.is_empty() {
            let result = self.check();
            // Whoever asked may have gone.
            checks.into_iter().for_each(|reply| drop(reply.send(result.clone())));
        }
        open
    }

    /// One transaction, and the answers after it. Who asked may have gone; the change stands all the same.
    fn commit_all(&mut self, work: Vec<Work>) {
        let started = Instant::now();
        match self.with_connection(|connection, session| transaction(connection, session, &work)) {
            Ok(outcomes) => {
                if let Some(observer) = &self.observer {
                    observer.committed(started.elapsed(), work.len());
                }
                work.into_iter().zip(outcomes).for_each(|(one, outcome)| drop(one.reply.send(outcome)));
            }
            Err(error) => work.into_iter().for_each(|one| drop(one.reply.send(Err(error.clone())))),
        }
    }

    /// Whether a commit would go through. After one that did not, only what reaches the disk tells: as much as
    /// several commits, because a full disk often has room for a page.
    fn check(&mut self) -> StoreResult<()> {
        let failing = self.failing;
        self.with_connection(|connection, _| {
            execute(connection, "BEGIN IMMEDIATE")?;
            if failing {
                execute(connection, "REPLACE INTO disk_probe (number, filler) VALUES (1, zeroblob(65536))")?;
            }
            execute(connection, "COMMIT")
        })
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
            None => connection::open(&self.settings).map_err(|error| sql_error(&error)),
        }
    }
}

/// All of them in one transaction, which is on the disk when this returns. An error is of the transaction as a
/// whole: none of them was made.
///
/// First without savepoints: each would have SQLite copy every page that the change touches, and hardly ever is one
/// needed. Where a change fails half-way after all, everything is undone and made again, one by one.
fn transaction(
    connection: &Connection,
    session: &mut Session,
    work: &[Work],
) -> rusqlite::Result<Vec<StoreResult<Outcome>>> {
    execute(connection, "BEGIN IMMEDIATE")?;
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
    Ok(outcomes)
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
            Err(failure) => {
                // A full disk is not about this one alone.
                outcome_of(failure)?;
                return Ok(None);
            }
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

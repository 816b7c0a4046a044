//! One commit, one transaction.
//!
//! Two round trips: all statements at once, then, when every one of them has answered what it must, `COMMIT`. What a
//! commit expects is checked under locks (rows, or what `locks.rs` says), so READ COMMITTED is enough, and commits that
//! have nothing to do with each other never fail for each other's sake.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::{future::maybe_done, poll};
use issuance::{
    audit::AuditRecord,
    ports,
    store::{Commit, Committed, Conflict, StoreError, StoreResult},
};
use tokio::time::{sleep, timeout};
use tokio_postgres::types::ToSql;

use super::{
    PostgresOptions, audit,
    columns::{Columns, integer},
    connect::Connection,
    failure::{Cause, Failure, cause, ends_session},
    order::{self, Step, parameters},
    pool::Pool,
    trail::Slot,
};
use crate::store::CommitObserver;

/// How often a commit that met another is tried.
const ATTEMPTS: u32 = 6;

/// How often a lost answer is looked for, while the database is out of reach or still at it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Makes commits through a pool.
#[derive(Debug)]
pub(super) struct Committer {
    pool: Arc<Pool>,
    writer: String,
    observer: Option<Arc<dyn CommitObserver>>,
    /// For one transaction, as seen from here: the server's own limit comes first, unless it or the network is gone.
    limit: Duration,
    /// How long a lost answer is looked for.
    doubt_limit: Duration,
    /// Whether the last commit failed.
    failing: AtomicBool,
}

/// What a committed transaction left that no other one leaves.
enum Proof {
    Record(AuditRecord),
    Mark([u8; 16]),
}

/// A transaction that is ready to be committed.
struct Prepared {
    process: i32,
    stream: i64,
    proof: Proof,
}

impl Committer {
    pub(super) fn new(pool: Arc<Pool>, options: &PostgresOptions) -> Self {
        Self {
            pool,
            writer: options.stream.clone(),
            observer: options.observer.clone(),
            limit: options.statement_timeout + options.acquire_timeout,
            doubt_limit: options.acquire_timeout,
            failing: AtomicBool::new(false),
        }
    }

    pub(super) async fn commit(&self, commit: &Commit) -> StoreResult<Result<Committed, Conflict>> {
        let outcome = self.try_commit(commit).await;
        self.failing.store(matches!(outcome, Err(StoreError::Unavailable(_))), Ordering::Relaxed);
        outcome
    }

    /// Whether a commit would go through. After one that did not, only a change that reaches the disk tells.
    pub(super) async fn check(&self) -> Result<(), Failure> {
        let mut lease = self.pool.take().await?;
        let connection = lease.connection()?;
        connection.busy = true;
        let checked = timeout(self.limit, check(connection, self.failing.load(Ordering::Relaxed))).await;
        checked.map_err(|_| timed_out())??;
        connection.busy = false;
        Ok(())
    }

    async fn try_commit(&self, commit: &Commit) -> StoreResult<Result<Committed, Conflict>> {
        let mut attempt = 1;
        loop {
            match self.attempt(commit).await {
                Ok(committed) => return Ok(Ok(committed)),
                Err(Failure::Conflict(conflict)) => return Ok(Err(conflict)),
                Err(failure) if failure.is_passing() && attempt < ATTEMPTS => {
                    let error = StoreError::from(failure);
                    tracing::debug!(%error, attempt, "a commit is tried again");
                    sleep(pause(attempt)).await;
                    attempt += 1;
                }
                Err(failure) => return Err(failure.into()),
            }
        }
    }

    async fn attempt(&self, commit: &Commit) -> Result<Committed, Failure> {
        let mut lease = self.pool.take().await?;
        let started = Instant::now();
        let connection = lease.connection()?;
        connection.busy = true;
        // Dropping the session on the way undoes whatever was begun in it.
        let prepared = timeout(self.limit, prepare(connection, commit, &self.writer)).await;
        let prepared = prepared.map_err(|_| timed_out())??;
        let committed = timeout(self.limit, connection.client.batch_execute("COMMIT")).await;
        match committed {
            Ok(Ok(())) => {
                connection.busy = false;
                if let (Proof::Record(record), Some(slot)) = (&prepared.proof, &mut connection.slot) {
                    slot.advance(record);
                }
            }
            Ok(Err(error)) if error.as_db_error().is_some_and(|error| !ends_session(error)) => {
                return Err(error.into());
            }
            Ok(Err(_)) | Err(_) => {
                lease.discard();
                self.settle(&prepared).await?;
            }
        }
        if let Some(observer) = &self.observer {
            observer.committed(started.elapsed(), 1);
        }
        Ok(prepared.committed())
    }

    /// The answer to `COMMIT` was lost. Waits until the session has ended at the server too, and looks for what only
    /// this transaction can have left.
    async fn settle(&self, prepared: &Prepared) -> Result<(), Failure> {
        let deadline = Instant::now() + self.doubt_limit;
        let mut last = "its session is still at work".to_owned();
        while Instant::now() < deadline {
            match self.find(prepared).await {
                Ok(Some(true)) => return Ok(()),
                Ok(Some(false)) => {
                    return Err(Failure::Again("the database ended the session before the commit".into()));
                }
                Ok(None) => {}
                Err(failure) => last = StoreError::from(failure).to_string(),
            }
            sleep(LOOK_AGAIN).await;
        }
        // Whoever hears this has no certificate; should there be one all the same, it is recorded and revocable.
        Err(Failure::Unavailable(format!("the answer to a commit was lost, and could not be found: {last}")))
    }

    /// Whether it was committed, or nothing while the server is still at it.
    async fn find(&self, prepared: &Prepared) -> Result<Option<bool>, Failure> {
        let mut lease = self.pool.take().await?;
        let client = &lease.connection()?.client;
        let at_work = "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE pid = $1)";
        let row = client.query_one(at_work, &[&prepared.process]).await?;
        if Columns::new(&row).value()? {
            return Ok(None);
        }
        let row = match &prepared.proof {
            Proof::Record(record) => {
                let sql = "SELECT EXISTS (SELECT 1 FROM audit_records \
                    WHERE stream = $1 AND sequence = $2 AND hash = $3)";
                let sequence = integer(record.sequence)?;
                client.query_one(sql, &[&prepared.stream, &sequence, &record.hash.as_slice()]).await?
            }
            Proof::Mark(mark) => {
                let sql = "SELECT EXISTS (SELECT 1 FROM audit_streams WHERE number = $1 AND mark = $2)";
                client.query_one(sql, &[&prepared.stream, &mark.as_slice()]).await?
            }
        };
        Columns::new(&row).value().map(Some)
    }
}

impl Prepared {
    fn committed(self) -> Committed {
        match self.proof {
            Proof::Record(record) => Committed { audit: Some((record.stream, record.sequence)) },
            Proof::Mark(_) => Committed::default(),
        }
    }
}

/// Everything up to `COMMIT`. Where it fails, the transaction is rolled back, or its session is of no more use.
async fn prepare(connection: &mut Connection, commit: &Commit, writer: &str) -> Result<Prepared, Failure> {
    let mut slot = match connection.slot.take() {
        Some(slot) => slot,
        None => Slot::take(&connection.client, writer).await?,
    };
    slot.find_head(&connection.client).await?;
    let stream = slot.number;
    let steps = steps(commit, &slot);
    connection.slot = Some(slot);
    let (steps, proof) = steps.inspect_err(|_| connection.busy = false)?;
    connection.prepare(steps.iter().map(|step| step.sql)).await?;
    match run(connection, &steps).await {
        Ok(()) => Ok(Prepared { process: connection.process, stream, proof }),
        Err(failure) => {
            roll_back(connection, &failure).await;
            Err(failure)
        }
    }
}

/// So that the session can be used again, where the failure was of the commit and not of the session.
async fn roll_back(connection: &mut Connection, failure: &Failure) {
    let (keep, known) = match failure {
        Failure::Conflict(_) => (true, true),
        Failure::Sql(error) => (matches!(cause(error), Cause::Contention | Cause::Values), false),
        Failure::Corrupt(_) | Failure::Unavailable(_) | Failure::Again(_) => (false, false),
    };
    if keep && connection.client.batch_execute("ROLLBACK").await.is_ok() {
        connection.busy = false;
    }
    if let Some(slot) = connection.slot.as_mut().filter(|_| !known) {
        slot.forget_head();
    }
}

fn steps(commit: &Commit, slot: &Slot) -> Result<(Vec<Step>, Proof), Failure> {
    let mut steps = order::steps(commit, slot.number)?;
    let records = slot.records(&commit.audit)?;
    let proof = match records.last() {
        Some(last) => {
            steps.push(audit::append(slot.number, &records)?);
            Proof::Record(last.clone())
        }
        None => {
            let mark = ports::random::<16>().map_err(|error| Failure::Unavailable(error.to_string()))?;
            let sql = "UPDATE audit_streams SET mark = $2 WHERE number = $1";
            steps.push(Step::new(sql, parameters![slot.number, mark.to_vec()]));
            Proof::Mark(mark)
        }
    };
    Ok((steps, proof))
}

/// Sends `BEGIN` and all statements without waiting, then reads the answers in their order: the first that is not as
/// it must be decides, since those after it only answer that the transaction has failed.
async fn run(connection: &Connection, steps: &[Step]) -> Result<(), Failure> {
    let client = &connection.client;
    let mut begin = pin!(maybe_done(client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")));
    let _ = poll!(begin.as_mut());
    let parameters: Vec<Vec<&(dyn ToSql + Sync)>> = steps
        .iter()
        .map(|step| step.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect())
        .collect();
    let mut answers = Vec::with_capacity(steps.len());
    for (step, parameters) in steps.iter().zip(&parameters) {
        let statement = connection.prepared(step.sql);
        let statement =
            statement.ok_or_else(|| Failure::Unavailable("a statement is not prepared".into()))?;
        let mut answer = Box::pin(maybe_done(client.execute(statement, parameters)));
        // The first poll sends.
        let _ = poll!(answer.as_mut());
        answers.push(answer);
    }
    begin.as_mut().await;
    begin.as_mut().take_output().ok_or_else(unanswered)??;
    for (step, mut answer) in steps.iter().zip(answers) {
        answer.as_mut().await;
        judge(step, answer.as_mut().take_output().ok_or_else(unanswered)?)?;
    }
    Ok(())
}

fn judge(step: &Step, rows: Result<u64, tokio_postgres::Error>) -> Result<(), Failure> {
    match (rows, &step.none, &step.taken) {
        (Ok(0), Some(conflict), _) => Err(conflict.clone().into()),
        (Ok(_), _, _) => Ok(()),
        (Err(error), _, Some(conflict)) if Failure::is_unique(&error) => Err(conflict.clone().into()),
        (Err(error), _, _) => Err(error.into()),
    }
}

async fn check(connection: &Connection, by_writing: bool) -> Result<(), Failure> {
    let writable =
        "SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'";
    let row = connection.client.query_one(writable, &[]).await?;
    if !Columns::new(&row).value::<bool>()? {
        return Err(Failure::Unavailable("the database is read-only".into()));
    }
    if by_writing {
        connection.client.batch_execute("UPDATE schema_history SET oldest = oldest").await?;
    }
    Ok(())
}

/// Longer with each attempt, and never the same for two that met.
fn pause(attempt: u32) -> Duration {
    let longest = 10_u64 << attempt.min(ATTEMPTS);
    let random = ports::random::<8>().map_or(longest, u64::from_be_bytes);
    Duration::from_millis(random % longest)
}

fn timed_out() -> Failure {
    Failure::Unavailable("the database did not answer in time".into())
}

fn unanswered() -> Failure {
    Failure::Unavailable("a statement has no answer".into())
}

//! Takes due jobs and runs them, until the process ends.

use std::{fmt, sync::Arc, time::Duration};

use async_trait::async_trait;
use issuance::{
    Error,
    identity::JobId,
    ports::random,
    store::{Commit, Job, JobKind, JobLease, Write},
};
use tokio_util::sync::CancellationToken;

use super::{checkpoint::write_checkpoint, crl, crl::Done};
use crate::{
    metrics::{self, JobOutcome},
    serving::App,
};

/// How long a worker may take before another may think it dead.
const LEASE_SECONDS: i64 = 300;

/// How long news from another process (a revocation at the command line) may wait.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Counted refusals of strangers are written this often.
const DRAIN_EVERY: Duration = Duration::from_secs(10);

const SWEEP_SECONDS: i64 = 60;
const BATCH: usize = 16;
const MAX_BACKOFF_SECONDS: i64 = 600;

/// Renews what the server needs for itself.
#[async_trait]
pub trait Renewal: Send + Sync + fmt::Debug {
    /// Renews if due, and says in how many seconds to look again.
    async fn renew(&self) -> Result<i64, Error>;
}

/// One per process.
#[derive(Debug)]
pub struct Runner {
    app: Arc<App>,
    renewal: Arc<dyn Renewal>,
    owner: String,
}

impl Runner {
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn new(app: Arc<App>, renewal: Arc<dyn Renewal>) -> Result<Self, Error> {
        let owner = JobId::from_random(random()?).to_string();
        Ok(Self { app, renewal, owner })
    }

    /// Makes sure that the jobs which always are exist.
    ///
    /// # Errors
    /// Where the store does not answer.
    pub async fn ensure_standing_jobs(&self) -> Result<(), Error> {
        let now = self.app.engine.clock().now();
        let mut commit = Commit::default();
        let standing = [
            (JobKind::Sweep, "requests", now.plus_seconds(SWEEP_SECONDS)),
            (JobKind::Checkpoint, "audit", now.plus_seconds(self.checkpoint_seconds())),
        ];
        for (kind, key, run_at) in standing {
            commit.writes.push(Write::PutJob(Box::new(Job {
                id: JobId::from_random(random()?),
                kind,
                key: key.into(),
                payload: Vec::new(),
                run_at,
                attempts: 0,
                last_error: None,
            })));
        }
        self.app
            .engine
            .store()
            .commit(commit)
            .await?
            .map_err(|conflict| Error::Conflict(conflict.to_string()))?;
        Ok(())
    }

    /// Runs until `shutdown`. A job that has begun is finished.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut drain = tokio::time::interval(DRAIN_EVERY);
        let mut renew = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = look.tick() => self.run_due().await,
                _ = drain.tick() => self.drain_anonymous().await,
                () = &mut renew => {
                    let again = self.renew().await;
                    renew.as_mut().reset(tokio::time::Instant::now() + again);
                }
            }
        }
        self.drain_anonymous().await;
        let now = self.app.engine.clock().now();
        if let Err(error) = write_checkpoint(&**self.app.engine.store(), &self.app.sealing, now).await {
            tracing::warn!(%error, "no checkpoint could be written at the end");
        }
    }

    /// Runs all jobs that are due now.
    pub async fn run_due(&self) {
        loop {
            let now = self.app.engine.clock().now();
            let lease = JobLease { owner: self.owner.clone(), until: now.plus_seconds(LEASE_SECONDS) };
            let kinds = [JobKind::Crl, JobKind::Checkpoint, JobKind::Sweep];
            let jobs = match self.app.engine.store().lease_jobs(&kinds, &lease, now, BATCH).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::warn!(%error, "jobs cannot be read");
                    return;
                }
            };
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                self.run_one(&job).await;
            }
        }
    }

    async fn run_one(&self, job: &Job) {
        let outcome = match job.kind {
            JobKind::Crl => crl::run(&self.app, job, &self.owner).await,
            JobKind::Checkpoint => self.checkpoint().await,
            JobKind::Sweep => self.sweep().await,
            JobKind::Role => Ok(Done::Obsolete),
        };
        let kind = label(job.kind);
        let now = self.app.engine.clock().now();
        let write = match outcome {
            Ok(done) => {
                self.app.metrics.job(kind, JobOutcome::Succeeded);
                match done {
                    Done::Rescheduled => return,
                    Done::Obsolete => Write::DeleteJob { id: job.id.clone() },
                    Done::Again { after } => Write::RescheduleJob {
                        id: job.id.clone(),
                        at: now.plus_seconds(after),
                        attempts: 0,
                        error: None,
                    },
                }
            }
            Err(error) => {
                self.app.metrics.job(kind, JobOutcome::Retried);
                let attempts = job.attempts.saturating_add(1);
                let backoff = 1_i64.checked_shl(attempts).unwrap_or(i64::MAX).clamp(1, MAX_BACKOFF_SECONDS);
                tracing::warn!(kind = job.kind.as_str(), key = job.key, %error, retry_in = backoff, "job failed");
                let error = Some(error.to_string());
                Write::RescheduleJob { id: job.id.clone(), at: now.plus_seconds(backoff), attempts, error }
            }
        };
        let commit = Commit { writes: vec![write], ..Commit::default() };
        match self.app.engine.store().commit(commit).await {
            Ok(Ok(_)) => {}
            Ok(Err(conflict)) => tracing::warn!(%conflict, "a job could not be rescheduled"),
            Err(error) => tracing::warn!(%error, "a job could not be rescheduled"),
        }
    }

    async fn checkpoint(&self) -> Result<Done, Error> {
        let now = self.app.engine.clock().now();
        write_checkpoint(&**self.app.engine.store(), &self.app.sealing, now).await?;
        Ok(Done::Again { after: self.checkpoint_seconds() })
    }

    fn checkpoint_seconds(&self) -> i64 {
        i64::try_from(self.app.serving().checkpoint_interval.as_secs()).unwrap_or(i64::MAX)
    }

    async fn sweep(&self) -> Result<Done, Error> {
        let now = self.app.engine.clock().now();
        let commit = Commit { writes: vec![Write::ExpireRequests { now }], ..Commit::default() };
        self.app
            .engine
            .store()
            .commit(commit)
            .await?
            .map_err(|conflict| Error::Conflict(conflict.to_string()))?;
        Ok(Done::Again { after: SWEEP_SECONDS })
    }

    async fn renew(&self) -> Duration {
        match self.renewal.renew().await {
            Ok(seconds) => Duration::from_secs(u64::try_from(seconds).unwrap_or(1).max(1)),
            Err(error) => {
                tracing::error!(%error, "the server's own certificate could not be renewed; trying again in a minute");
                Duration::from_secs(60)
            }
        }
    }

    async fn drain_anonymous(&self) {
        let events = self.app.anonymous.drain(self.app.engine.clock().now());
        if events.is_empty() {
            return;
        }
        let commit = Commit { audit: events, ..Commit::default() };
        if let Err(error) = self.app.engine.store().commit(commit).await {
            tracing::warn!(%error, "refusals of strangers could not be recorded");
        }
    }
}

fn label(kind: JobKind) -> metrics::JobKind {
    match kind {
        JobKind::Crl => metrics::JobKind::Crl,
        JobKind::Checkpoint => metrics::JobKind::AuditCheckpoint,
        JobKind::Sweep => metrics::JobKind::Sweep,
        JobKind::Role => metrics::JobKind::RoleKey,
    }
}

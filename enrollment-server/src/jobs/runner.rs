//! Takes due jobs and runs them, until the process ends.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use issuance::{
    Error,
    audit::AuditEvent,
    identity::JobId,
    ports::random,
    store::{Commit, Job, JobKind, JobLease, Write},
};
use pki::time::Time;
use tokio_util::sync::CancellationToken;

use super::{
    acme_validation, checkpoint::write_checkpoint, crl, notices, renewal, renewal_news, usage,
    webhook::Webhooks,
};
use crate::{
    metrics::{self, JobOutcome},
    serving::App,
};

/// How long a worker may take before another may think it dead.
const LEASE_SECONDS: i64 = 300;

/// How long news from another process (a revocation at the command line) may wait.
pub(super) const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Counted refusals of strangers are written this often.
const DRAIN_EVERY: Duration = Duration::from_secs(10);

const SWEEP_SECONDS: i64 = 60;

/// Orders of each protocol that one commit of a sweep removes: whoever commits meanwhile waits for no more.
const SWEPT_AT_ONCE: u32 = 500;

/// Commits of one sweep; what is left then waits until other jobs have run.
const SWEEPS: usize = 100;
pub(super) const BATCH: usize = 16;

/// Kinds of which none waits for another, and how many of each run at once: a webhook that does not answer holds up no
/// revocation list.
const OFFICE: (&[JobKind], usize) = (&[JobKind::Crl, JobKind::Checkpoint, JobKind::Sweep], 1);
const NOTICES: (&[JobKind], usize) = (&[JobKind::Notice], 1);
const WEBHOOKS: (&[JobKind], usize) = (&[JobKind::Webhook], BATCH);
const RENEWALS: (&[JobKind], usize) = (&[JobKind::RestRenewal], RENEWED_AT_ONCE);

/// A key takes its time.
const RENEWED_AT_ONCE: usize = 2;
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
    pub(super) app: Arc<App>,
    renewal: Arc<dyn Renewal>,
    webhooks: Webhooks,
    pub(super) owner: String,
    /// Counted refusals of strangers that could not be written yet.
    unrecorded: Mutex<Vec<AuditEvent>>,
}

/// Most events that wait for a store which does not take them.
const MAX_UNRECORDED: usize = 4096;

/// What is left to do with a job that ran.
#[derive(Debug)]
pub(super) enum Done {
    /// Its own commit has set the next run.
    Rescheduled,
    /// Run again after so many seconds.
    Again { after: i64 },
    /// Nothing will need it again.
    Obsolete,
    /// It did not work; tried again at a time of its own choosing.
    Retry { at: Time, error: String },
    /// It did not work, and is not tried again.
    GivenUp(Box<AuditEvent>),
}

impl Runner {
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn new(app: Arc<App>, renewal: Arc<dyn Renewal>) -> Result<Self, Error> {
        let owner = JobId::from_random(random()?).to_string();
        Ok(Self { app, renewal, webhooks: Webhooks::default(), owner, unrecorded: Mutex::default() })
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
        tokio::join!(
            self.keep_office(&shutdown),
            self.keep(NOTICES, &shutdown),
            self.keep(WEBHOOKS, &shutdown),
            self.keep(RENEWALS, &shutdown),
            self.keep_validating(&shutdown)
        );
        self.drain().await;
        let now = self.app.engine.clock().now();
        if let Err(error) = write_checkpoint(&**self.app.engine.store(), &self.app.sealing, now).await {
            tracing::warn!(%error, "no checkpoint could be written at the end");
        }
    }

    /// Runs all jobs that are due now, but for those that tell others.
    pub async fn run_due(&self) {
        self.run_due_of(OFFICE, &CancellationToken::new()).await;
    }

    /// Looks for certificates that end soon, where that is due.
    #[cfg(test)]
    pub(super) async fn look_for_notices(&self) {
        self.run_due_of(NOTICES, &CancellationToken::new()).await;
    }

    /// Tells all webhooks that are to hear of a certificate now.
    #[cfg(test)]
    pub(super) async fn tell_webhooks(&self) {
        self.run_due_of(WEBHOOKS, &CancellationToken::new()).await;
    }

    /// Renews the certificates that are to be renewed now.
    #[cfg(test)]
    pub(crate) async fn renew_certificates(&self) {
        self.run_due_of(RENEWALS, &CancellationToken::new()).await;
    }

    async fn keep_office(&self, shutdown: &CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut drain = tokio::time::interval(DRAIN_EVERY);
        let mut renew = Box::pin(tokio::time::sleep(Duration::ZERO));
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                _ = look.tick() => self.run_due_of(OFFICE, shutdown).await,
                _ = drain.tick() => self.drain().await,
                () = &mut renew => {
                    let again = self.renew().await;
                    renew.as_mut().reset(tokio::time::Instant::now() + again);
                }
            }
        }
    }

    async fn keep(&self, work: (&[JobKind], usize), shutdown: &CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        while shutdown.run_until_cancelled(look.tick()).await.is_some() {
            self.run_due_of(work, shutdown).await;
        }
    }

    async fn run_due_of(&self, (kinds, at_once): (&[JobKind], usize), shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            let now = self.app.engine.clock().now();
            let lease = JobLease { owner: self.owner.clone(), until: now.plus_seconds(LEASE_SECONDS) };
            let jobs = match self.app.engine.store().lease_jobs(kinds, &lease, now, BATCH).await {
                Ok(jobs) => jobs,
                Err(error) => {
                    tracing::warn!(%error, "jobs cannot be read");
                    return;
                }
            };
            if jobs.is_empty() {
                return;
            }
            stream::iter(&jobs).for_each_concurrent(at_once, |job| self.run_one(job)).await;
        }
    }

    pub(super) async fn run_one(&self, job: &Job) {
        let outcome = match job.kind {
            JobKind::Crl => crl::run(&self.app, job, &self.owner).await,
            JobKind::Checkpoint => self.checkpoint().await,
            JobKind::Sweep => self.sweep().await,
            JobKind::Role | JobKind::RenewalNews => Ok(Done::Obsolete),
            JobKind::Notice => notices::run(&self.app, job, &self.owner).await,
            JobKind::Webhook => self.webhooks.run(&self.app, job).await,
            JobKind::AcmeValidation => acme_validation::run(&self.app, job).await,
            JobKind::RestRenewal => renewal::run(&self.app, job, &self.owner).await,
        };
        let now = self.app.engine.clock().now();
        let done = outcome.unwrap_or_else(|error| {
            let failures = job.attempts.saturating_add(1);
            let backoff = 1_i64.checked_shl(failures).unwrap_or(i64::MAX).clamp(1, MAX_BACKOFF_SECONDS);
            Done::Retry { at: now.plus_seconds(backoff), error: error.to_string() }
        });
        let (commit, outcome) = after(job, done, now);
        self.app.metrics.job(label(job.kind), outcome);
        let Some(commit) = commit else { return };
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
        let store = self.app.engine.store();
        store.sweep_claims(now).await?;
        for _ in 0..SWEEPS {
            let mut writes = Vec::new();
            if store.acme_orders_to_sweep(now).await? {
                writes.push(Write::SweepAcmeOrders { now, limit: SWEPT_AT_ONCE });
            }
            if store.rest_orders_to_sweep(now).await? {
                writes.push(Write::SweepRestOrders { now, limit: SWEPT_AT_ONCE });
            }
            let more = renewal_news::sweep(&self.app, &self.owner).await?;
            if writes.is_empty() && !more {
                return Ok(Done::Again { after: SWEEP_SECONDS });
            }
            if !writes.is_empty() {
                let outcome = store.commit(Commit { writes, ..Commit::default() }).await?;
                outcome.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
            }
        }
        Ok(Done::Again { after: 0 })
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

    /// Writes what was counted in memory.
    async fn drain(&self) {
        self.drain_anonymous().await;
        usage::write(&self.app).await;
    }

    /// Writes what was counted of strangers; what cannot be written waits for the next time.
    async fn drain_anonymous(&self) {
        let mut events = std::mem::take(&mut *self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner));
        events.extend(self.app.anonymous.drain(self.app.engine.clock().now()));
        if events.is_empty() {
            return;
        }
        let commit = Commit { audit: events.clone(), ..Commit::default() };
        if let Err(error) = self.app.engine.store().commit(commit).await {
            tracing::warn!(%error, "refusals of strangers could not be recorded; trying again");
            events.truncate(MAX_UNRECORDED);
            *self.unrecorded.lock().unwrap_or_else(PoisonError::into_inner) = events;
        }
    }
}

/// What is to be written of a job that ran, and how it is counted.
fn after(job: &Job, done: Done, now: Time) -> (Option<Commit>, JobOutcome) {
    let id = job.id.clone();
    let (write, audit, outcome) = match done {
        Done::Rescheduled => return (None, JobOutcome::Succeeded),
        Done::Obsolete => (Write::DeleteJob { id }, Vec::new(), JobOutcome::Succeeded),
        Done::Again { after } => {
            let at = now.plus_seconds(after);
            (Write::RescheduleJob { id, at, attempts: 0, error: None }, Vec::new(), JobOutcome::Succeeded)
        }
        Done::Retry { at, error } => {
            let attempts = job.attempts.saturating_add(1);
            tracing::warn!(kind = job.kind.as_str(), key = job.key, error, again = %at, "job failed");
            let error = Some(error);
            (Write::RescheduleJob { id, at, attempts, error }, Vec::new(), JobOutcome::Retried)
        }
        Done::GivenUp(event) => {
            let (kind, error) = (job.kind.as_str(), job.last_error.as_deref());
            tracing::error!(kind, key = job.key, error, "job given up");
            (Write::DeleteJob { id }, vec![*event], JobOutcome::Failed)
        }
    };
    (Some(Commit { writes: vec![write], audit, ..Commit::default() }), outcome)
}

fn label(kind: JobKind) -> metrics::JobKind {
    match kind {
        JobKind::Crl => metrics::JobKind::Crl,
        JobKind::Checkpoint => metrics::JobKind::AuditCheckpoint,
        JobKind::Sweep => metrics::JobKind::Sweep,
        JobKind::Role => metrics::JobKind::RoleKey,
        JobKind::Notice => metrics::JobKind::Notice,
        JobKind::Webhook => metrics::JobKind::Webhook,
        JobKind::AcmeValidation => metrics::JobKind::ChallengeValidation,
        JobKind::RestRenewal | JobKind::RenewalNews => metrics::JobKind::CertificateRenewal,
    }
}

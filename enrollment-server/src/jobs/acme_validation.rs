//! Takes up validations of ACME challenges that nobody else is at: those that are to be tried again, those of a process
//! that died, and those that found no place when they were asked for.
//!
//! They share the places of the validations that begin with a request, so that a name which does not answer holds up none
//! but its own.

use futures::{StreamExt as _, stream::FuturesUnordered};
use issuance::{
    Error,
    store::{Job, JobKind, JobLease},
};
use tokio_util::sync::CancellationToken;

use super::runner::{BATCH, Done, LOOK_EVERY, Runner};
use crate::{
    protocols::acme::validation::{self, Ended, Permit},
    serving::App,
};

/// Runs one job.
pub(super) async fn run(app: &App, job: &Job) -> Result<Done, Error> {
    Ok(match validation::run(app, job).await? {
        Ended::Committed => Done::Rescheduled,
        Ended::Obsolete => Done::Obsolete,
    })
}

impl Runner {
    /// Until `shutdown`; what has begun is finished.
    pub(super) async fn keep_validating(&self, shutdown: &CancellationToken) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        let mut running = FuturesUnordered::new();
        let mut is_behind = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(()) = running.next(), if !running.is_empty() => {
                    if is_behind {
                        look.reset_immediately();
                    }
                }
                _ = look.tick() => {
                    let (taken, more) = self.take_validations().await;
                    is_behind = more;
                    running.extend(taken.into_iter().map(|(job, permit)| self.validate(job, permit)));
                }
            }
        }
        while running.next().await.is_some() {}
    }

    /// Runs all validations that are due now.
    #[cfg(test)]
    pub(crate) async fn validate_due(&self) {
        loop {
            let (taken, _) = self.take_validations().await;
            if taken.is_empty() {
                return;
            }
            futures::future::join_all(taken.into_iter().map(|(job, permit)| self.validate(job, permit)))
                .await;
        }
    }

    async fn validate(&self, job: Job, permit: Permit) {
        self.run_one(&job).await;
        drop(permit);
    }

    /// As many as there are places for now, and whether there may be more.
    async fn take_validations(&self) -> (Vec<(Job, Permit)>, bool) {
        let validations = &self.app.acme.validations;
        let mut permits = Vec::new();
        permits.extend(std::iter::from_fn(|| validations.permit()).take(BATCH));
        if permits.is_empty() {
            return (Vec::new(), true);
        }
        let now = self.app.engine.clock().now();
        // Whose they are is known once they are taken: the most patient method says for how long.
        let serving = self.app.serving();
        let timeouts = serving.acme.by_label.values().map(|service| service.validator.timeout());
        let lease = validation::lease_seconds(timeouts.max().unwrap_or_default());
        let lease = JobLease { owner: self.owner.clone(), until: now.plus_seconds(lease) };
        let store = self.app.engine.store();
        match store.lease_jobs(&[JobKind::AcmeValidation], &lease, now, permits.len()).await {
            Ok(jobs) => {
                let more = jobs.len() == permits.len();
                (jobs.into_iter().zip(permits).collect(), more)
            }
            Err(error) => {
                tracing::warn!(%error, "validations cannot be read");
                (Vec::new(), false)
            }
        }
    }
}

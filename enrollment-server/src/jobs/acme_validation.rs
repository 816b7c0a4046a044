//! Takes up validations of challenges, of orders over ACME and over REST, that nobody else is at: those that are to be tried again, those of a process
//! that died, and those that found no place when they were asked for.
//!
//! They share the places of the validations that begin with a request, of which one account has a part: names that do not
//! answer hold up none but those of the same account.

use std::collections::HashMap;

use futures::{StreamExt as _, stream::FuturesUnordered};
use issuance::{
    Error,
    store::{Commit, Job, JobKind, JobLease, Write},
};
use pki::time::Time;
use tokio_util::sync::CancellationToken;

use super::runner::{BATCH, Done, LOOK_EVERY, Runner};
use crate::{
    protocols::acme::validation::{self, Claimant, Ended, OF_ONE_ACCOUNT, Permit, Place},
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

    /// As many as there are places for now, and whether there may be more. What finds its account at as many as it may have
    /// is put off and makes room for those behind it.
    async fn take_validations(&self) -> (Vec<(Job, Permit)>, bool) {
        let validations = &self.app.acme.validations;
        let (mut taken, mut put_off) = (Vec::new(), PutOff::default());
        loop {
            let places: Vec<_> = std::iter::from_fn(|| validations.place()).take(BATCH).collect();
            if places.is_empty() {
                return (taken, true);
            }
            let now = self.app.engine.clock().now();
            let count = places.len();
            let Some(jobs) = self.lease_validations(count, now).await else { return (taken, false) };
            let (is_full, before) = (jobs.len() == count, taken.len());
            let mut writes = Vec::new();
            for (job, place) in jobs.into_iter().zip(places) {
                match self.permit(&job, place) {
                    Ok(permit) => taken.push((job, permit)),
                    Err(account) => writes.push(put_off.write(job, account, now)),
                }
            }
            let all_run = taken.len() - before == count;
            self.release(writes).await;
            if !is_full || all_run {
                return (taken, is_full);
            }
        }
    }

    /// The account, where it has as many as it may. What is nobody's is soon found to be obsolete.
    fn permit(&self, job: &Job, place: Place) -> Result<Permit, Claimant> {
        let Some(account) = Claimant::of(job) else { return Ok(Permit::new(place, None)) };
        match self.app.acme.validations.share(&account) {
            Some(share) => Ok(Permit::new(place, Some(share))),
            None => Err(account),
        }
    }

    async fn lease_validations(&self, count: usize, now: Time) -> Option<Vec<Job>> {
        // Whose they are is known once they are taken: the most patient method says for how long.
        let serving = self.app.serving();
        let of_acme = serving.acme.by_label.values().map(|service| service.validator.timeout());
        let of_rest = serving.rest.iter().filter_map(|service| service.control.as_ref());
        let timeouts = of_acme.chain(of_rest.map(|control| control.validator.timeout()));
        let lease = validation::lease_seconds(timeouts.max().unwrap_or_default());
        let lease = JobLease { owner: self.owner.clone(), until: now.plus_seconds(lease) };
        let leased = self.app.engine.store().lease_jobs(&[JobKind::AcmeValidation], &lease, now, count).await;
        leased.inspect_err(|error| tracing::warn!(%error, "validations cannot be read")).ok()
    }

    /// Without it they are free when their leases end.
    async fn release(&self, writes: Vec<Write>) {
        if writes.is_empty() {
            return;
        }
        let commit = Commit { writes, ..Commit::default() };
        match self.app.engine.store().commit(commit).await {
            Ok(Ok(_)) => {}
            Ok(Err(conflict)) => tracing::warn!(%conflict, "validations could not be put off"),
            Err(error) => tracing::warn!(%error, "validations could not be put off"),
        }
    }
}

/// Validations of accounts that have as many as they may.
#[derive(Default)]
struct PutOff(HashMap<Claimant, usize>);

impl PutOff {
    /// Free again, and due one after the other: as many at each look as an account may have. So one account's queue, however
    /// long, is not what each look finds.
    fn write(&mut self, job: Job, account: Claimant, now: Time) -> Write {
        let before = self.0.entry(account).or_default();
        let looks = u32::try_from(1 + *before / OF_ONE_ACCOUNT).unwrap_or(u32::MAX);
        *before += 1;
        let seconds = i64::try_from(LOOK_EVERY.saturating_mul(looks).as_secs()).unwrap_or(i64::MAX);
        let at = now.plus_seconds(seconds);
        Write::RescheduleJob { id: job.id, at, attempts: job.attempts, error: job.last_error }
    }
}

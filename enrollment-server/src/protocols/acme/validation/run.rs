//! Reads an order, validates the challenge that is being processed, and commits what became of it.
//!
//! The process that takes a client's word validates at once, in one of a bounded number of places; the job that is
//! committed with the challenge falls due when that should have ended, at whichever process comes first. So nothing is
//! forgotten with a process that dies, and two that validate at the same time record one result.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use issuance::{
    Error,
    acme::{Challenge, ChallengeType, StoredProblem, ValidatedOrder, validation_job, validation_of},
    audit::{Action, AuditEvent, AuditOutcome},
    store::{Commit, Conflict, Job, Write},
};
use pki::time::Time;

use super::{
    ValidationFailure, Validator,
    claim::{Claimant, Ordered, Overtaken, Prover},
    places::{Permit, Validations},
    running::Running,
    terms::Terms,
};
use crate::{
    metrics::{self, ValidationOutcome},
    protocols::acme::order::later,
    serving::App,
};

/// What reading and committing may take beside the validation itself, before another process looks after it.
const MARGIN_SECONDS: u64 = 10;

/// Commits of one result, or of one word of the client's, where somebody else changes the order each time.
pub(crate) const COMMITS: usize = 16;

/// Between the attempts.
const BACKOFF_SECONDS: [i64; 3] = [3, 10, 30];

/// A validation that begins once the challenge is committed.
#[derive(Debug)]
pub struct Planned {
    job: Job,
    permit: Option<Permit>,
}

/// What is left of the job after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Deleted or rescheduled with the result, or it is somebody else's.
    Committed,
    /// Nothing is being processed.
    Obsolete,
}

/// A challenge that is to be validated.
#[derive(Debug)]
pub struct Planning<'a> {
    pub(crate) order: ValidatedOrder,
    /// Of the authorization in the order.
    pub(crate) place: usize,
    pub(crate) claimant: Claimant,
    /// What CAA records name the claimant by; ends with it.
    pub(crate) account_uri: &'a str,
}

impl Validations {
    /// What is to be committed with the challenge, and started then.
    pub fn plan(&self, planning: Planning<'_>, validator: &Validator, now: Time) -> Planned {
        let permit = self.permit(&planning.claimant);
        let lease = if permit.is_some() { lease_seconds(validator.timeout()) } else { 0 };
        let mut job = validation_job(planning.order, planning.place, now.plus_seconds(lease));
        job.payload = planning.account_uri.as_bytes().to_vec();
        Planned { job, permit }
    }
}

impl Planned {
    /// To be committed with the challenge: it falls due where [`Planned::start`] comes to nothing.
    pub fn write(&self) -> Write {
        Write::PutJob(Box::new(self.job.clone()))
    }

    /// Validates, where there is a place for it; otherwise the job is due already. The rows are as they were committed.
    pub(crate) fn start(self, app: &Arc<App>, order: Ordered, prover: Prover) -> Option<Running> {
        let Self { job, permit } = self;
        let (permit, app) = (permit?, app.clone());
        Some(Running::new(async move {
            if let Err(error) = run_known(&app, &job, order, &prover).await {
                tracing::warn!(key = job.key, %error, "a validation could not be recorded; its job will be");
            }
            drop(permit);
        }))
    }
}

/// How long a process may be at one validation before another may think it dead: the challenge, and the CAA records.
pub(crate) fn lease_seconds(timeout: Duration) -> i64 {
    i64::try_from(2 * timeout.as_secs() + MARGIN_SECONDS).unwrap_or(i64::MAX)
}

/// Validates what a job is about.
///
/// # Errors
/// Where the store does not answer, or the job is none of ours.
pub(crate) async fn run(app: &App, job: &Job) -> Result<Ended, Error> {
    let (id, _) = about(job)?;
    let store = &**app.engine.store();
    let Some(order) = Ordered::read(store, &id).await? else { return Ok(Ended::Obsolete) };
    let Some(prover) = Prover::read(store, &order).await? else { return Ok(Ended::Obsolete) };
    run_known(app, job, order, &prover).await
}

async fn run_known(app: &App, job: &Job, order: Ordered, prover: &Prover) -> Result<Ended, Error> {
    let (_, place) = about(job)?;
    let Some(challenge) = order.processing(place).cloned() else { return Ok(Ended::Obsolete) };
    if !order.is_open(app.engine.clock().now()) {
        return Ok(Ended::Obsolete);
    }
    let terms = Terms::of(app, &order)?;
    let account_uri = String::from_utf8_lossy(&job.payload);
    let begun = Instant::now();
    let verdict = verdict(&terms, prover, &order, place, &challenge, &account_uri).await;
    let outcome = outcome(&verdict, &challenge, terms.attempts);
    if let Err(failure) = &verdict {
        tracing::info!(
            key = job.key,
            problem = failure.problem,
            why = failure.in_full(),
            "a challenge is not met"
        );
    }
    app.metrics.validated(label_of(challenge.kind), outcome, begun.elapsed());
    let lasts = terms.lasts;
    let result = Validated { job, prover, place, challenge: &challenge, verdict: &verdict, outcome, lasts };
    result.settle(app, order).await
}

fn about(job: &Job) -> Result<(ValidatedOrder, usize), Error> {
    validation_of(&job.key)
        .ok_or_else(|| Error::Internal(format!("the key of job {} cannot be read", job.id)))
}

/// Whether the challenge is met, and the owner of the domain permits it.
async fn verdict(
    terms: &Terms,
    prover: &Prover,
    order: &Ordered,
    place: usize,
    challenge: &Challenge,
    account_uri: &str,
) -> Result<(), ValidationFailure> {
    prover.check()?;
    let authorization = order.authorizations().get(place);
    let authorization =
        authorization.ok_or_else(|| ValidationFailure::unauthorized("there is no such authorization"))?;
    let (kind, identifier, wildcard) = (challenge.kind, &authorization.identifier, authorization.wildcard);
    let validator = &terms.validator;
    validator.validate(kind, identifier, wildcard, &challenge.token, &prover.thumbprint()).await?;
    match &terms.caa {
        Some(issuers) => validator.caa(identifier, wildcard, Some(kind), account_uri, issuers).await,
        None => Ok(()),
    }
}

/// `attempts`: how many the method gives.
fn outcome(
    verdict: &Result<(), ValidationFailure>,
    challenge: &Challenge,
    attempts: u32,
) -> ValidationOutcome {
    match verdict {
        Ok(()) => ValidationOutcome::Valid,
        Err(failure) if failure.retry && challenge.attempts.saturating_add(1) < attempts => {
            ValidationOutcome::Retried
        }
        Err(_) => ValidationOutcome::Invalid,
    }
}

/// A result that is to be recorded.
struct Validated<'a> {
    job: &'a Job,
    prover: &'a Prover,
    place: usize,
    /// As it was when it was validated.
    challenge: &'a Challenge,
    verdict: &'a Result<(), ValidationFailure>,
    outcome: ValidationOutcome,
    /// How long what is proved counts.
    lasts: Duration,
}

impl Validated<'_> {
    /// `read`: before the validation.
    async fn settle(&self, app: &App, read: Ordered) -> Result<Ended, Error> {
        let store = &**app.engine.store();
        let id = read.id();
        let turn = app.acme.validations.turn(&id, read.authorizations().len()).await;
        let mut order = if turn.is_some() { Ordered::read(store, &id).await? } else { Some(read) };
        let mut has_job = true;
        for _ in 0..COMMITS {
            let Some(mut current) = order else { return Ok(Ended::Obsolete) };
            if self.is_recorded(&current) {
                return Ok(Ended::Committed);
            }
            let expect = vec![current.expect()];
            let now = app.engine.clock().now();
            if let Err(error) = self.change(&mut current, now) {
                tracing::debug!(order = %id, %error, "the result of a validation is of no use any more");
                return Ok(Ended::Obsolete);
            }
            let audit = self.event(&current, now).into_iter().collect();
            let mut writes = vec![current.into_write()];
            writes.extend(has_job.then(|| self.job_write(now)));
            match store.commit(Commit { expect, writes, audit }).await? {
                Ok(_) => return Ok(Ended::Committed),
                Err(Conflict::Missing(_)) if has_job => has_job = false,
                Err(Conflict::Expectation(_)) => {}
                Err(other) => return Err(Error::Conflict(other.to_string())),
            }
            order = Ordered::read(store, &id).await?;
        }
        Err(Error::Conflict("the order changes all the time".into()))
    }

    /// Whether another process has recorded the same attempt: the next one is not ours to end.
    fn is_recorded(&self, order: &Ordered) -> bool {
        let attempts = order.processing(self.place).map(|challenge| challenge.attempts);
        self.verdict.is_err() && attempts.is_some_and(|attempts| attempts != self.challenge.attempts)
    }

    fn change(&self, order: &mut Ordered, now: Time) -> Result<(), Overtaken> {
        let kind = self.challenge.kind;
        match (self.verdict, self.outcome) {
            (Ok(()), _) => order.succeeded(self.place, kind, now, later(now, self.lasts)),
            (Err(failure), ValidationOutcome::Retried) => {
                order.attempt_failed(self.place, kind, now, problem(failure))
            }
            (Err(failure), ValidationOutcome::Valid | ValidationOutcome::Invalid) => {
                order.failed(self.place, kind, now, problem(failure))
            }
        }
    }

    fn job_write(&self, now: Time) -> Write {
        let id = self.job.id.clone();
        let Err(failure) = self.verdict else { return Write::DeleteJob { id } };
        match self.outcome {
            ValidationOutcome::Valid | ValidationOutcome::Invalid => Write::DeleteJob { id },
            ValidationOutcome::Retried => {
                let before = usize::try_from(self.challenge.attempts).unwrap_or(usize::MAX);
                let [.., longest] = BACKOFF_SECONDS;
                let backoff = BACKOFF_SECONDS.get(before).copied().unwrap_or(longest);
                let attempts = self.challenge.attempts.saturating_add(1);
                let error = Some(failure.detail.clone());
                Write::RescheduleJob { id, at: now.plus_seconds(backoff), attempts, error }
            }
        }
    }

    /// None while it is to be tried again.
    fn event(&self, order: &Ordered, now: Time) -> Option<AuditEvent> {
        let (action, outcome) = match self.outcome {
            ValidationOutcome::Valid => (Action::AuthorizationValid, AuditOutcome::Done),
            ValidationOutcome::Invalid => (Action::AuthorizationInvalid, AuditOutcome::Refused),
            ValidationOutcome::Retried => return None,
        };
        let mut event = AuditEvent::new(now, action, outcome, self.prover.actor());
        event.method = Some(order.method().clone());
        event.subject = order.authorizations().get(self.place).map(|authorization| authorization.name());
        event.credential = self.prover.credential().cloned();
        let kind = self.challenge.kind.as_str();
        Some(match self.verdict {
            Ok(()) => event.because(kind),
            Err(failure) => event.because(&format!("{kind}: {}", failure.in_full())),
        })
    }
}

fn problem(failure: &ValidationFailure) -> StoredProblem {
    StoredProblem::new(failure.problem, &failure.detail)
}

fn label_of(kind: ChallengeType) -> metrics::ChallengeLabel {
    match kind {
        ChallengeType::Http01 => metrics::ChallengeLabel::Http01,
        ChallengeType::Dns01 => metrics::ChallengeLabel::Dns01,
        ChallengeType::TlsAlpn01 => metrics::ChallengeLabel::TlsAlpn01,
    }
}

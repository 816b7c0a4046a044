//! Reads an order, validates the challenge that is being processed, and commits what became of it.
//!
//! The process that takes a client's word validates at once, in one of a bounded number of places; the job that is
//! committed with the challenge falls due when that should have ended, at whichever process comes first. So nothing is
//! forgotten with a process that dies, and two that validate at the same time record one result.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    Error,
    acme::{
        AccountRow, Challenge, ChallengeType, OrderRow, OrderStatus, StoredProblem, TransitionError,
        validation_job, validation_of,
    },
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    identity::{AcmeAccountId, AcmeOrderId, Protocol, ResourceName},
    store::{Commit, Conflict, Expect, Job, Write},
};
use pki::time::Time;

use super::{
    ValidationFailure, Validator,
    places::{Permit, Validations},
    running::Running,
};
use crate::{
    metrics::{self, ValidationOutcome},
    protocols::acme::{AcmeService, order::later},
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

impl Validations {
    /// Of the authorization at this place of an order. `account_url`: what CAA records name the account by; ends with its
    /// identifier.
    pub fn plan(
        &self,
        order: &OrderRow,
        place: usize,
        account_url: &str,
        validator: &Validator,
        now: Time,
    ) -> Planned {
        let permit = self.permit(&order.account);
        let lease = if permit.is_some() { lease_seconds(validator.timeout()) } else { 0 };
        let mut job = validation_job(&order.id, place, now.plus_seconds(lease));
        job.payload = account_url.as_bytes().to_vec();
        Planned { job, permit }
    }
}

impl Planned {
    /// To be committed with the challenge: it falls due where [`Planned::start`] comes to nothing.
    pub fn write(&self) -> Write {
        Write::PutJob(Box::new(self.job.clone()))
    }

    /// Validates, where there is a place for it; otherwise the job is due already. The rows are as they were committed.
    pub fn start(self, app: &Arc<App>, order: OrderRow, account: Arc<AccountRow>) -> Option<Running> {
        let Self { job, permit } = self;
        let (permit, app) = (permit?, app.clone());
        Some(Running::new(async move {
            if let Err(error) = run_known(&app, &job, order, &account).await {
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
    let store = app.engine.store();
    let Some(order) = store.acme_order(&id).await? else { return Ok(Ended::Obsolete) };
    let Some(account) = store.acme_account(&order.account).await? else { return Ok(Ended::Obsolete) };
    run_known(app, job, order, &account).await
}

async fn run_known(app: &App, job: &Job, order: OrderRow, account: &AccountRow) -> Result<Ended, Error> {
    let (_, place) = about(job)?;
    let Some(challenge) = processing(&order, place).cloned() else { return Ok(Ended::Obsolete) };
    if order.status(app.engine.clock().now()) != OrderStatus::Pending {
        return Ok(Ended::Obsolete);
    }
    let service = service(app, &order.method)?;
    let account_url = String::from_utf8_lossy(&job.payload);
    let begun = Instant::now();
    let verdict = verdict(&service, account, &order, place, &challenge, &account_url).await;
    let outcome = outcome(&verdict, &challenge, service.settings.validation.attempts);
    if let Err(failure) = &verdict {
        tracing::info!(
            key = job.key,
            problem = failure.problem,
            why = failure.in_full(),
            "a challenge is not met"
        );
    }
    app.metrics.validated(label_of(challenge.kind), outcome, begun.elapsed());
    let lasts = service.settings.authorization_lifetime;
    let result = Validated { job, account, place, challenge: &challenge, verdict: &verdict, outcome, lasts };
    result.settle(app, order).await
}

/// A method that is not served now may be again before the order ends.
fn service(app: &App, method: &ResourceName) -> Result<Arc<AcmeService>, Error> {
    let label = format!("{}.{}", method.namespace(), method.name());
    let service = app.serving().acme.get(Some(&label)).cloned();
    service.ok_or_else(|| Error::Unavailable(format!("the method {method} does not speak ACME now")))
}

/// Whose challenge it is; none where the job is none of ours.
pub(crate) fn account_of(job: &Job) -> Option<AcmeAccountId> {
    std::str::from_utf8(&job.payload).ok()?.rsplit('/').next()?.parse().ok()
}

fn about(job: &Job) -> Result<(AcmeOrderId, usize), Error> {
    validation_of(&job.key)
        .ok_or_else(|| Error::Internal(format!("the key of job {} cannot be read", job.id)))
}

fn processing(order: &OrderRow, place: usize) -> Option<&Challenge> {
    order.authorizations.get(place)?.processing()
}

/// Whether the challenge is met, and the owner of the domain permits it.
async fn verdict(
    service: &AcmeService,
    account: &AccountRow,
    order: &OrderRow,
    place: usize,
    challenge: &Challenge,
    account_url: &str,
) -> Result<(), ValidationFailure> {
    account.check_valid().map_err(|error| ValidationFailure::unauthorized(error.to_string()))?;
    let authorization = order.authorizations.get(place);
    let authorization =
        authorization.ok_or_else(|| ValidationFailure::unauthorized("there is no such authorization"))?;
    let (kind, identifier, wildcard) = (challenge.kind, &authorization.identifier, authorization.wildcard);
    let thumbprint = URL_SAFE_NO_PAD.encode(account.thumbprint);
    service.validator.validate(kind, identifier, wildcard, &challenge.token, &thumbprint).await?;
    match &service.settings.caa {
        Some(issuers) => service.validator.caa(identifier, wildcard, Some(kind), account_url, issuers).await,
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
    account: &'a AccountRow,
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
    async fn settle(&self, app: &App, read: OrderRow) -> Result<Ended, Error> {
        let store = app.engine.store();
        let id = read.id.clone();
        let turn = app.acme.validations.turn(&read).await;
        let mut order = if turn.is_some() { store.acme_order(&id).await? } else { Some(read) };
        let mut has_job = true;
        for _ in 0..COMMITS {
            let Some(mut current) = order else { return Ok(Ended::Obsolete) };
            if self.is_recorded(&current) {
                return Ok(Ended::Committed);
            }
            let expect = vec![Expect::AcmeOrderVersion { id: id.clone(), version: current.version }];
            let now = app.engine.clock().now();
            if let Err(error) = self.change(&mut current, now) {
                tracing::debug!(order = %id, %error, "the result of a validation is of no use any more");
                return Ok(Ended::Obsolete);
            }
            let audit = self.event(&current, now).into_iter().collect();
            let mut writes = vec![Write::PutAcmeOrder(Box::new(current))];
            writes.extend(has_job.then(|| self.job_write(now)));
            match store.commit(Commit { expect, writes, audit }).await? {
                Ok(_) => return Ok(Ended::Committed),
                Err(Conflict::Missing(_)) if has_job => has_job = false,
                Err(Conflict::Expectation(_)) => {}
                Err(other) => return Err(Error::Conflict(other.to_string())),
            }
            order = store.acme_order(&id).await?;
        }
        Err(Error::Conflict("the order changes all the time".into()))
    }

    /// Whether another process has recorded the same attempt: the next one is not ours to end.
    fn is_recorded(&self, order: &OrderRow) -> bool {
        let attempts = processing(order, self.place).map(|challenge| challenge.attempts);
        self.verdict.is_err() && attempts.is_some_and(|attempts| attempts != self.challenge.attempts)
    }

    fn change(&self, order: &mut OrderRow, now: Time) -> Result<(), TransitionError> {
        let kind = self.challenge.kind;
        match (self.verdict, self.outcome) {
            (Ok(()), _) => order.challenge_succeeded(self.place, kind, now, later(now, self.lasts)),
            (Err(failure), ValidationOutcome::Retried) => {
                order.attempt_failed(self.place, kind, now, problem(failure))
            }
            (Err(failure), ValidationOutcome::Valid | ValidationOutcome::Invalid) => {
                order.challenge_failed(self.place, kind, now, problem(failure))
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
    fn event(&self, order: &OrderRow, now: Time) -> Option<AuditEvent> {
        let (action, outcome) = match self.outcome {
            ValidationOutcome::Valid => (Action::AuthorizationValid, AuditOutcome::Done),
            ValidationOutcome::Invalid => (Action::AuthorizationInvalid, AuditOutcome::Refused),
            ValidationOutcome::Retried => return None,
        };
        let name = self.account.requester();
        let actor = Actor::Requester { protocol: Protocol::Acme, name, address: None };
        let mut event = AuditEvent::new(now, action, outcome, actor);
        event.method = Some(order.method.clone());
        event.subject = order.authorizations.get(self.place).map(|authorization| authorization.name());
        event.credential = self.account.binding.as_ref().map(|binding| binding.credential.clone());
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

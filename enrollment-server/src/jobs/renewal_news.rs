//! What became of renewals, for the operator, which tells of them in events of Kubernetes.
//!
//! It is written in one commit with what it tells of, as a job of a kind of its own that nobody runs. The operator takes what is of
//! minutes that are over, so that it sees a minute as a whole, and says what it has told; until then it is given the same again.
//! What it has not told for an hour is forgotten: a cluster keeps events for no longer.
//!
//! Such a job falls due when it is to be forgotten, so that those of other kinds are found as fast as without it. The operator
//! takes by a clock that is ahead by as much.

use std::slice;

use client::internal::{Renewal, RenewalNews, RenewalOutcome, Renewals};
use issuance::{
    Error,
    identity::JobId,
    ports::random,
    store::{CertificateRow, Commit, Expect, Job, JobKind, JobLease, Write},
};
use pki::time::Time;

use super::webhook::Topic;
use crate::serving::{App, Serving};

/// How long the operator may take.
const KEPT_SECONDS: i64 = 3600;

const MINUTE: i64 = 60;

/// After the end of a minute: other replicas may still commit what happened in it.
const MARGIN_SECONDS: i64 = 5;

/// How long the operator may take to tell of what it was given.
const TOLD_WITHIN_SECONDS: i64 = 60;

/// What the operator is called as the holder of a lease, whichever of its replicas asks.
const OPERATOR: &str = "operator";

/// Rows that are forgotten in one commit.
const FORGOTTEN_AT_ONCE: usize = 200;

/// Most characters of a subject and of a reason.
const MAX_SUBJECT: usize = 200;
const MAX_REASON: usize = 500;

/// What the operator is to be told; nothing where there is none.
pub(super) fn news(
    serving: &Serving,
    row: &CertificateRow,
    topic: &Topic,
    at: Time,
) -> Result<Option<Write>, Error> {
    let (order, outcome) = match topic {
        Topic::Renewed { order, replaces } => {
            (order, RenewalOutcome::Renewed { replaces: replaces.to_string() })
        }
        Topic::RenewalFailed { order, reason } => {
            (order, RenewalOutcome::Failed { reason: cut(reason, MAX_REASON) })
        }
        Topic::Expiring => return Ok(None),
    };
    if !serving.has_operator {
        return Ok(None);
    }
    let renewal = Renewal {
        method: row.method.to_string(),
        at: at.unix(),
        order: order.to_string(),
        serial: row.serial.to_string(),
        subject: cut(&row.subject, MAX_SUBJECT),
        not_after: row.not_after.unix(),
        outcome,
    };
    put(&renewal).map(Some)
}

/// Keeps this for the operator.
pub(crate) fn put(renewal: &Renewal) -> Result<Write, Error> {
    let outcome = match renewal.outcome {
        RenewalOutcome::Renewed { .. } => "renewed",
        RenewalOutcome::Failed { .. } => "failed",
    };
    let minute = renewal.at.div_euclid(MINUTE).saturating_add(1).saturating_mul(MINUTE);
    Ok(Write::PutJob(Box::new(Job {
        id: JobId::from_random(random()?),
        kind: JobKind::RenewalNews,
        key: format!("{}/{outcome}", renewal.order),
        payload: serde_json::to_vec(renewal).map_err(|error| Error::Internal(error.to_string()))?,
        run_at: Time::from_unix(minute).plus_seconds(MARGIN_SECONDS + KEPT_SECONDS),
        attempts: 0,
        last_error: None,
    })))
}

/// What the operator is to tell now. What it could not tell for an hour is forgotten.
///
/// # Errors
/// Where the store does not answer.
pub(crate) async fn take(app: &App) -> Result<Renewals, Error> {
    loop {
        let now = app.engine.clock().now();
        let jobs = lease(app, OPERATOR, now.plus_seconds(KEPT_SECONDS), Renewals::MAX).await?;
        let (mut news, mut forgotten) = (Vec::with_capacity(jobs.len()), Vec::new());
        for job in jobs {
            if job.run_at <= now {
                forgotten.push(job.id);
                continue;
            }
            match serde_json::from_slice(&job.payload) {
                Ok(renewal) => news.push(RenewalNews { id: job.id.to_string(), renewal }),
                Err(error) => {
                    tracing::error!(%error, job = %job.id, "news of a renewal cannot be read");
                    forgotten.push(job.id);
                }
            }
        }
        if !forgotten.is_empty() {
            tracing::warn!(renewals = forgotten.len(), "no event tells of them");
            forget(app, &forgotten).await?;
        }
        // Behind what is forgotten there may be more.
        if !news.is_empty() || forgotten.is_empty() {
            return Ok(Renewals { news });
        }
    }
}

/// Forgets what the operator has told. What it was not given stays.
///
/// # Errors
/// Where the store does not answer.
pub(crate) async fn forget(app: &App, told: &[JobId]) -> Result<(), Error> {
    let (store, now) = (app.engine.store(), app.engine.clock().now());
    for some in told.chunks(FORGOTTEN_AT_ONCE) {
        if store.commit(forgetting(OPERATOR, some, now)).await?.is_ok() {
            continue;
        }
        // One of them is gone already.
        for one in some {
            let _gone = store.commit(forgetting(OPERATOR, slice::from_ref(one), now)).await?;
        }
    }
    Ok(())
}

/// Forgets what nobody has taken, a part of it; says whether there may be more.
pub(super) async fn sweep(app: &App, owner: &str) -> Result<bool, Error> {
    let now = app.engine.clock().now();
    let jobs = lease(app, owner, now, FORGOTTEN_AT_ONCE).await?;
    if jobs.is_empty() {
        return Ok(false);
    }
    let ids: Vec<_> = jobs.into_iter().map(|job| job.id).collect();
    let outcome = app.engine.store().commit(forgetting(owner, &ids, now)).await?;
    outcome.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    tracing::warn!(renewals = ids.len(), "no operator asked what became of renewals; no event tells of them");
    Ok(true)
}

/// The oldest first.
async fn lease(app: &App, owner: &str, due: Time, limit: usize) -> Result<Vec<Job>, Error> {
    // By the clock of the operator, whoever takes: else it would take what is being forgotten.
    let until = app.engine.clock().now().plus_seconds(KEPT_SECONDS + TOLD_WITHIN_SECONDS);
    let lease = JobLease { owner: owner.into(), until };
    Ok(app.engine.store().lease_jobs(&[JobKind::RenewalNews], &lease, due, limit).await?)
}

fn forgetting(owner: &str, ids: &[JobId], now: Time) -> Commit {
    let leased = |id: &JobId| Expect::JobLeased { id: id.clone(), owner: owner.into(), now };
    Commit {
        expect: ids.iter().map(leased).collect(),
        writes: ids.iter().map(|id| Write::DeleteJob { id: id.clone() }).collect(),
        audit: Vec::new(),
    }
}

fn cut(text: &str, characters: usize) -> String {
    text.chars().take(characters).collect()
}

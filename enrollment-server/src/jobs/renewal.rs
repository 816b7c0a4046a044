//! Renews a certificate over REST before it ends, where whoever ordered wished that: `protocols/rest/renewal.rs` orders the next
//! one, as they would themselves.
//!
//! The new certificate, its order and the next job are one commit, which no other renewal of the same certificate shares: a
//! server that dies after it finds the certificate renewed, and only tells of it. What fails is tried again until the end.

use std::sync::Arc;

use issuance::{
    Error,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    identity::RestOrderId,
    ports::random,
    rest::OrderRow,
    store::{CertificateRow, CertificateStatus, Commit, Expect, Job, Write},
};

use super::{
    renewal_news::news,
    runner::Done,
    webhook::{Topic, delay, messages},
};
use crate::{
    protocols::rest::{Renewed, renew_by_itself},
    serving::App,
};

/// Between two looks at what waits for a person, or is held.
const LOOK_SECONDS: i64 = 300;

const TOO_SHORT: &str = "the certificate is too short to be renewed so long before its end";
const ENDED: &str = "the certificate ended before it could be renewed";

/// Runs one job.
pub(super) async fn run(app: &Arc<App>, job: &Job, owner: &str) -> Result<Done, Error> {
    let (store, now) = (app.engine.store(), app.engine.clock().now());
    let Ok(id) = job.key.parse::<RestOrderId>() else { return Ok(Done::Obsolete) };
    let Some(order) = store.rest_order(&id).await? else { return Ok(Done::Obsolete) };
    let (Some(renewal), Some((issuer, serial))) = (&order.renewal, order.certificate()) else {
        return Ok(Done::Obsolete);
    };
    let Some(row) = store.certificate(issuer, &serial).await? else { return Ok(Done::Obsolete) };
    if let Some(next) = &order.replaced_by {
        return tell(app, job, owner, &row, next).await;
    }
    if matches!(row.status, CertificateStatus::Revoked { .. }) {
        return Ok(Done::Obsolete);
    }
    if row.not_after <= now {
        return give_up(app, &order, &row, renewal.problem.as_deref().unwrap_or(ENDED)).await;
    }
    let Some(due) = renewal.due(row.issued_at.max(row.not_before), row.not_after) else {
        return give_up(app, &order, &row, TOO_SHORT).await;
    };
    if now < due {
        return Ok(Done::Again { after: due.unix() - now.unix() });
    }
    let later = Done::Again { after: LOOK_SECONDS.min(row.not_after.unix() - now.unix()) };
    if matches!(row.status, CertificateStatus::Held { .. }) {
        return Ok(later);
    }
    match renew_by_itself(app, &order, &row).await? {
        Renewed::By(next) => tell(app, job, owner, &row, &next).await,
        Renewed::Waits => Ok(later),
        Renewed::Ended(problem) => give_up(app, &order, &row, &problem).await,
        Renewed::Refused(problem) => {
            note(app, &order, &row, &problem).await?;
            let delay = delay(job.attempts, u32::from_be_bytes(random()?));
            Ok(Done::Retry { at: now.plus_seconds(delay).min(row.not_after), error: problem })
        }
    }
}

/// The end of the job, and what webhooks and the operator are told, in one commit. Of what a person renewed they hear nothing.
async fn tell(
    app: &App,
    job: &Job,
    owner: &str,
    row: &CertificateRow,
    next: &RestOrderId,
) -> Result<Done, Error> {
    let (store, now) = (app.engine.store(), app.engine.clock().now());
    let Some(next) = store.rest_order(next).await? else { return Ok(Done::Obsolete) };
    let (Some((issuer, serial)), None) = (next.certificate(), next.requester.address) else {
        return Ok(Done::Obsolete);
    };
    let Some(new) = store.certificate(issuer, &serial).await? else { return Ok(Done::Obsolete) };
    let topic = Topic::Renewed { order: next.id.clone(), replaces: row.serial };
    let (mut writes, serving) = (vec![Write::DeleteJob { id: job.id.clone() }], app.serving());
    writes.extend(messages(&serving, &new, &topic, now)?);
    writes.extend(news(&serving, &new, &topic, now)?);
    let leased = Expect::JobLeased { id: job.id.clone(), owner: owner.into(), now };
    let commit = Commit { expect: vec![leased], writes, audit: Vec::new() };
    store.commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    tracing::info!(method = %row.method, serial = %row.serial, new = %serial, "renewed");
    Ok(Done::Rescheduled)
}

/// The order says why, and webhooks and the operator are told of the first failure; webhooks while the certificate is still good.
async fn note(app: &App, order: &OrderRow, row: &CertificateRow, problem: &str) -> Result<(), Error> {
    let now = app.engine.clock().now();
    let mut noted = order.clone();
    let Some(renewal) = &mut noted.renewal else { return Ok(()) };
    let before = renewal.problem.replace(problem.to_owned());
    if before.as_deref() == Some(problem) {
        return Ok(());
    }
    noted.version += 1;
    let mut writes = vec![Write::PutRestOrder(Box::new(noted))];
    if before.is_none() {
        let topic = Topic::RenewalFailed { order: order.id.clone(), reason: problem.to_owned() };
        let serving = app.serving();
        writes.extend(news(&serving, row, &topic, now)?);
        if row.not_after > now {
            writes.extend(messages(&serving, row, &topic, now)?);
        }
    }
    let expect = vec![Expect::RestOrderVersion { id: order.id.clone(), version: order.version }];
    let commit = Commit { expect, writes, audit: Vec::new() };
    app.engine.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    Ok(())
}

/// There will be no other attempt.
async fn give_up(app: &App, order: &OrderRow, row: &CertificateRow, why: &str) -> Result<Done, Error> {
    note(app, order, row, why).await?;
    let now = app.engine.clock().now();
    let mut event = AuditEvent::new(now, Action::RenewalFailed, AuditOutcome::Failed, Actor::Server);
    event.method = Some(row.method.clone());
    event.profile = Some(row.profile.clone());
    event.authority = row.authority.clone();
    event.issuer = Some(row.issuer);
    event.serial = Some(row.serial);
    event.credential = row.credential.clone();
    event.subject = Some(row.subject.chars().take(500).collect());
    Ok(Done::GivenUp(Box::new(event.because(why))))
}

//! Tells a webhook of one certificate, until the webhook has taken it or the certificate has ended.
//!
//! Each message is sent at least once, always with the same identifier: a server that dies after the webhook has
//! answered and before that is written down sends it again.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use aws_lc_rs::{digest, hmac};
use issuance::{
    Error,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    identity::{CredentialId, JobId, KeyId, ResourceName, RestOrderId},
    ports::random,
    secret::Secret,
    store::{CertificateRow, CertificateStatus, Job, JobKind, Write},
};
use pki::{serial::SerialNumber, time::Time};
use resolve::CompiledNotice;
use serde::{Deserialize, Serialize};

use super::{post::PostClient, runner::Done};
use crate::serving::{App, Serving};

/// After the first failure; twice as long after each further one.
const FIRST_RETRY_SECONDS: i64 = 20;
const MAX_RETRY_SECONDS: i64 = 86_400;

/// How long other messages are not even tried after one found nobody. Shorter than the shortest retry.
const PAUSE_SECONDS: i64 = 10;

const SECONDS_A_DAY: i64 = 86_400;

/// What a job of this kind has as its payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Message {
    pub(super) method: ResourceName,
    /// See [`webhooks`].
    pub(super) webhook: String,
    pub(super) issuer: KeyId,
    pub(super) serial: SerialNumber,
    /// When it fell due.
    pub(super) at: Time,
    #[serde(default)]
    pub(super) topic: Topic,
}

/// What is told of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(super) enum Topic {
    #[default]
    Expiring,
    /// It renews another one, by itself.
    Renewed { order: RestOrderId, replaces: SerialNumber },
    /// It is not renewed as its order wishes.
    RenewalFailed { order: RestOrderId, reason: String },
}

impl Topic {
    fn kind(&self) -> &'static str {
        match self {
            Self::Expiring => "certificate.expiring",
            Self::Renewed { .. } => "certificate.renewed",
            Self::RenewalFailed { .. } => "certificate.renewal-failed",
        }
    }
}

/// What all webhooks of a certificate's method are to be told of it, once each.
pub(super) fn messages(
    serving: &Serving,
    row: &CertificateRow,
    topic: &Topic,
    at: Time,
) -> Result<Vec<Write>, Error> {
    let notices = serving.notices.get(&row.method).map(Vec::as_slice).unwrap_or_default();
    let message = |(webhook, _): (String, _)| {
        let key = format!("{}/{}/{}/{webhook}", row.issuer, row.serial, topic.kind());
        let message = Message {
            method: row.method.clone(),
            webhook,
            issuer: row.issuer,
            serial: row.serial,
            at,
            topic: topic.clone(),
        };
        let payload = serde_json::to_vec(&message).map_err(|error| Error::Internal(error.to_string()))?;
        let (id, kind) = (JobId::from_random(random()?), JobKind::Webhook);
        Ok(Write::PutJob(Box::new(Job { id, kind, key, payload, run_at: at, attempts: 0, last_error: None })))
    };
    webhooks(notices).into_iter().map(message).collect()
}

/// The webhooks of a method, each by a name that stays while its URL does: rows refer to it, and a URL may hold a token.
pub(super) fn webhooks(notices: &[CompiledNotice]) -> Vec<(String, &CompiledNotice)> {
    let mut named = Vec::with_capacity(notices.len());
    for (index, notice) in notices.iter().enumerate() {
        let digest = digest::digest(&digest::SHA256, notice.url.as_bytes());
        let mut name: String = hex::encode(digest).chars().take(16).collect();
        // Several may lead to one URL, with other times or secrets.
        let before = notices.iter().take(index).filter(|other| other.url == notice.url).count();
        if before > 0 {
            name.push_str(&format!("-{before}"));
        }
        named.push((name, notice));
    }
    named
}

/// What is sent. Members are added, never changed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    id: &'a JobId,
    #[serde(rename = "type")]
    kind: &'static str,
    time: String,
    method: &'a ResourceName,
    profile: &'a ResourceName,
    authority: Option<&'a ResourceName>,
    serial: &'a SerialNumber,
    subject: &'a str,
    subject_alt_names: &'a [String],
    not_after: String,
    owner: Option<String>,
    credential: Option<&'a CredentialId>,
    days_left: i64,
    /// Of REST: the order that is spoken of.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<&'a RestOrderId>,
    /// The serial number of the certificate that was renewed.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<&'a SerialNumber>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

/// Those who send.
#[derive(Debug, Default)]
pub(super) struct Webhooks {
    client: PostClient,
    /// When one was out of reach last.
    unreachable: Mutex<HashMap<String, Time>>,
}

impl Webhooks {
    /// Runs one job.
    pub(super) async fn run(&self, app: &App, job: &Job) -> Result<Done, Error> {
        let Ok(message) = serde_json::from_slice::<Message>(&job.payload) else {
            return Err(Error::Internal(format!("the payload of job {} cannot be read", job.id)));
        };
        let serving = app.serving();
        let Some(notice) = notice(&serving, &message) else { return Ok(Done::Obsolete) };
        let row = app.engine.store().certificate(message.issuer, &message.serial).await?;
        let Some(row) = row.filter(|row| !matches!(row.status, CertificateStatus::Revoked { .. })) else {
            return Ok(Done::Obsolete);
        };
        let now = app.engine.clock().now();
        if row.not_after <= now {
            return Ok(Done::GivenUp(Box::new(undelivered(&row, job, now))));
        }
        let failure = if self.is_paused(&message.webhook, now) {
            "the webhook was out of reach a moment ago".to_owned()
        } else {
            let body = body(job, &message, &row, now)?;
            let signature = signature(&notice.secret, now, &body);
            match self.client.post(&notice.url, body, &signature).await {
                Ok(()) => {
                    self.unreachable().remove(&message.webhook);
                    return Ok(Done::Obsolete);
                }
                Err(error) => {
                    if error.concerns_all() {
                        self.pause(message.webhook, now);
                    }
                    with_sources(&error)
                }
            }
        };
        let delay = delay(job.attempts, u32::from_be_bytes(random()?));
        Ok(Done::Retry { at: now.plus_seconds(delay).min(row.not_after), error: failure })
    }

    fn is_paused(&self, webhook: &str, now: Time) -> bool {
        self.unreachable().get(webhook).is_some_and(|since| is_recent(*since, now))
    }

    fn pause(&self, webhook: String, now: Time) {
        let mut unreachable = self.unreachable();
        unreachable.retain(|_, since| is_recent(*since, now));
        unreachable.insert(webhook, now);
    }

    fn unreachable(&self) -> MutexGuard<'_, HashMap<String, Time>> {
        self.unreachable.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A clock that was set back pauses nobody for longer.
fn is_recent(since: Time, now: Time) -> bool {
    (0..PAUSE_SECONDS).contains(&(now.unix() - since.unix()))
}

/// None where the method has no such webhook any more.
fn notice<'a>(serving: &'a Serving, message: &Message) -> Option<&'a CompiledNotice> {
    let notices = serving.notices.get(&message.method)?;
    webhooks(notices).into_iter().find(|(name, _)| *name == message.webhook).map(|(_, notice)| notice)
}

fn body(job: &Job, message: &Message, row: &CertificateRow, now: Time) -> Result<Vec<u8>, Error> {
    let left = row.not_after.unix() - now.unix();
    let (order, replaces, reason) = match &message.topic {
        Topic::Expiring => (None, None, None),
        Topic::Renewed { order, replaces } => (Some(order), Some(replaces), None),
        Topic::RenewalFailed { order, reason } => (Some(order), None, Some(&**reason)),
    };
    let body = Body {
        id: &job.id,
        kind: message.topic.kind(),
        time: message.at.to_string(),
        method: &row.method,
        profile: &row.profile,
        authority: row.authority.as_ref(),
        serial: &row.serial,
        subject: &row.subject,
        subject_alt_names: &row.subject_alt_names,
        not_after: row.not_after.to_string(),
        owner: row.owner.as_ref().map(ToString::to_string),
        credential: row.credential.as_ref(),
        // Begun days count: 30 days before the end it says 30, and never 0.
        days_left: (left + SECONDS_A_DAY - 1) / SECONDS_A_DAY,
        order,
        replaces,
        reason,
    };
    serde_json::to_vec(&body).map_err(|error| Error::Internal(error.to_string()))
}

/// `t=` when it is sent, Unix seconds, so that what is recorded is of no use later; `v1=` HMAC-SHA256 over that time, a dot
/// and the body.
fn signature(secret: &Secret, now: Time, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    context.update(format!("{}.", now.unix()).as_bytes());
    context.update(body);
    format!("t={},v1={}", now.unix(), hex::encode(context.sign()))
}

/// Seconds until the next try, after so many failures before this one: between half and all of a time that doubles, so that
/// what failed together does not come back together.
pub(super) fn delay(failures: u32, random: u32) -> i64 {
    let longest = (0..failures).fold(FIRST_RETRY_SECONDS, |seconds, _| (seconds * 2).min(MAX_RETRY_SECONDS));
    let half = longest / 2;
    half + i64::from(random) % (longest - half + 1)
}

fn undelivered(row: &CertificateRow, job: &Job, now: Time) -> AuditEvent {
    let mut event = AuditEvent::new(now, Action::NoticeUndelivered, AuditOutcome::Failed, Actor::Server);
    event.method = Some(row.method.clone());
    event.profile = Some(row.profile.clone());
    event.authority = row.authority.clone();
    event.issuer = Some(row.issuer);
    event.serial = Some(row.serial);
    event.subject = Some(row.subject.chars().take(500).collect());
    event.count = Some(job.attempts.into());
    event.because(
        job.last_error.as_deref().unwrap_or("the certificate ended before a server could tell of it"),
    )
}

fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

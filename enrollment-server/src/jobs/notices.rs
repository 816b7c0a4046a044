//! Finds the certificates of a method that end soon, and has webhooks told of each of them.
//!
//! For each webhook and each time before the end there is a series: certificates cross its line one after the other, and
//! the job remembers up to when it has looked. Messages and that memory are written in one commit, so that whatever happens
//! each crossing makes one message. Where a certificate has crossed several lines since the last look (the server was down,
//! or the webhook is new), only the last of them makes one.

use std::collections::{BTreeMap, HashMap};

use issuance::{
    Error,
    identity::{JobId, KeyId, ResourceName},
    ports::random,
    store::{
        CertificateFilter, CertificateRow, CertificateStatus, Commit, Cursor, Expect, Job, JobKind, Page,
        Store, Write,
    },
};
use pki::{serial::SerialNumber, time::Time};
use resolve::CompiledNotice;
use serde::{Deserialize, Serialize};

use super::{
    runner::Done,
    webhook::{Message, Topic, webhooks},
};
use crate::serving::App;

/// Messages of one commit. More are left to the next run, which follows at once.
const BATCH: usize = 1000;

/// Rows read at a time.
const PAGE: usize = 500;

/// Between two looks: 24 in the shortest of the times, as long as that is between these.
const MIN_LOOK_SECONDS: i64 = 60;
const MAX_LOOK_SECONDS: i64 = 3600;

/// Makes sure that each method that has someone to tell has a job that looks now. What it has seen already it remembers.
///
/// # Errors
/// Where the store does not answer.
pub async fn ensure_notice_jobs(app: &App) -> Result<(), Error> {
    let now = app.engine.clock().now();
    let mut commit = Commit::default();
    for method in app.serving().notices.keys() {
        commit.writes.push(put(JobKind::Notice, method.to_string(), Vec::new(), now)?);
    }
    app.engine.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    Ok(())
}

/// Runs one job: looks, and writes what it found.
pub(super) async fn run(app: &App, job: &Job, owner: &str) -> Result<Done, Error> {
    let serving = app.serving();
    let method: ResourceName =
        job.key.parse().map_err(|_| Error::Internal(format!("job {} names no method", job.id)))?;
    // A method that tells nobody any more: a later load asks for the job again.
    let Some(notices) = serving.notices.get(&method) else { return Ok(Done::Obsolete) };
    let all = series(notices);
    let mut looked = Looked::read(job);
    looked.0.retain(|key, _| all.iter().any(|series| series.key() == *key));
    let now = app.engine.clock().now();
    let mut found = Vec::new();
    for series in &all {
        let memory = looked.0.entry(series.key()).or_default();
        look(&**app.engine.store(), &method, series, memory, now, &mut found).await?;
    }
    let all_seen = looked.0.values().all(|memory| memory.pass.is_none());
    drop_renewed(&**app.engine.store(), &method, &mut found).await?;

    let mut writes = vec![Write::DeleteJob { id: job.id.clone() }];
    for found in &found {
        writes.push(found.message(&method, now)?);
    }
    // Written anew, because a job keeps its payload for as long as it lives.
    let unchanged = app.serving().generation == serving.generation;
    let again = if all_seen && unchanged { now.plus_seconds(interval(&all)) } else { now };
    writes.push(put(JobKind::Notice, job.key.clone(), looked.write()?, again)?);
    let leased = Expect::JobLeased { id: job.id.clone(), owner: owner.into(), now: app.engine.clock().now() };
    let commit = Commit { expect: vec![leased], writes, audit: Vec::new() };
    app.engine.store().commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
    if !found.is_empty() {
        tracing::info!(%method, certificates = found.len(), "certificates end soon; their webhooks will be told");
    }
    Ok(Done::Rescheduled)
}

/// One time before the end, for one webhook. Seconds.
#[derive(Debug)]
struct Series {
    webhook: String,
    before: i64,
    /// The next shorter one of the webhook; 0 where there is none.
    next: i64,
}

fn series(notices: &[CompiledNotice]) -> Vec<Series> {
    let mut all = Vec::new();
    for (webhook, notice) in webhooks(notices) {
        let seconds = notice.before.iter().map(|before| i64::try_from(before.as_secs()).unwrap_or(i64::MAX));
        let following = seconds.clone().skip(1).chain([0]);
        let webhook = &webhook;
        all.extend(seconds.zip(following).map(|(before, next)| Series {
            webhook: webhook.clone(),
            before,
            next,
        }));
    }
    all
}

impl Series {
    fn key(&self) -> String {
        format!("{}/{}", self.webhook, self.before)
    }

    /// Ends of certificates that crossed this line by `at`, and neither by `until` nor the next line.
    fn ends(&self, until: Option<Time>, at: Time) -> (Time, Time) {
        let seen = until.map_or(Time::from_unix(i64::MIN), |until| until.plus_seconds(self.before));
        (seen.max(at.plus_seconds(self.next)), at.plus_seconds(self.before))
    }

    /// A certificate that was issued beyond the line has not crossed it: who got it a moment ago needs no reminder.
    fn concerns(&self, row: &CertificateRow) -> bool {
        let crossed = row.not_after.plus_seconds(self.before.saturating_neg());
        crossed > row.issued_at && !matches!(row.status, CertificateStatus::Revoked { .. })
    }
}

fn interval(all: &[Series]) -> i64 {
    let shortest = all.iter().map(|series| series.before).min().unwrap_or(i64::MAX);
    (shortest / 24).clamp(MIN_LOOK_SECONDS, MAX_LOOK_SECONDS)
}

/// The payload of the job: what it remembers of each series.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
struct Looked(BTreeMap<String, Memory>);

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Memory {
    /// Crossings up to here have their messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Time>,
    /// A look that is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pass: Option<Pass>,
}

/// Rows up to `after` were looked at for crossings up to `at`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Pass {
    at: Time,
    after: Option<Cursor>,
}

impl Looked {
    fn read(job: &Job) -> Self {
        if job.payload.is_empty() {
            return Self::default();
        }
        serde_json::from_slice(&job.payload).unwrap_or_else(|error| {
            tracing::warn!(%error, key = job.key, "what was told already cannot be read; it is told again");
            Self::default()
        })
    }

    fn write(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(|error| Error::Internal(error.to_string()))
    }
}

/// A certificate that crossed a line.
#[derive(Debug)]
struct Found {
    series: String,
    webhook: String,
    cursor: Cursor,
    issuer: KeyId,
    serial: SerialNumber,
    not_after: Time,
    names: Names,
}

/// What a certificate is for: the one that renews it has the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Names {
    subject: String,
    subject_alt_names: Vec<String>,
}

impl Names {
    fn of(row: CertificateRow) -> Self {
        let CertificateRow { subject, mut subject_alt_names, .. } = row;
        subject_alt_names.sort_unstable();
        Self { subject, subject_alt_names }
    }
}

impl Found {
    fn message(&self, method: &ResourceName, at: Time) -> Result<Write, Error> {
        let message = Message {
            method: method.clone(),
            webhook: self.webhook.clone(),
            issuer: self.issuer,
            serial: self.serial,
            at,
            topic: Topic::Expiring,
        };
        let payload = serde_json::to_vec(&message).map_err(|error| Error::Internal(error.to_string()))?;
        put(JobKind::Webhook, format!("{}/{}/{}", self.issuer, self.serial, self.series), payload, at)
    }
}

/// Goes on with a series, until it is seen through or the batch is full.
async fn look(
    store: &dyn Store,
    method: &ResourceName,
    series: &Series,
    memory: &mut Memory,
    now: Time,
    found: &mut Vec<Found>,
) -> Result<(), Error> {
    let mut pass = memory.pass.take().unwrap_or(Pass { at: now, after: None });
    let (after, until) = series.ends(memory.until, pass.at);
    let filter = CertificateFilter {
        methods: Some(method.clone().into()),
        expires_after: Some(after),
        expires_before: Some(until.plus_seconds(1)),
        ..CertificateFilter::default()
    };
    loop {
        if found.len() >= BATCH {
            memory.pass = Some(pass);
            return Ok(());
        }
        // No more than the batch takes, so that it ends with a page.
        let limit = PAGE.min(BATCH - found.len());
        let rows = store.certificates(&filter, &Page { after: pass.after, limit }).await?;
        let last = rows.len() < limit;
        for (cursor, row) in rows {
            pass.after = Some(cursor);
            if series.concerns(&row) {
                found.push(Found {
                    series: series.key(),
                    webhook: series.webhook.clone(),
                    cursor,
                    issuer: row.issuer,
                    serial: row.serial,
                    not_after: row.not_after,
                    names: Names::of(row),
                });
            }
        }
        if last {
            // Where the clock was set back, what was seen stays seen.
            memory.until = memory.until.max(Some(pass.at));
            return Ok(());
        }
    }
}

/// Leaves those for which there is no valid certificate with the same names that was issued later and ends later. One walk
/// over what was issued since, however many there are.
async fn drop_renewed(store: &dyn Store, method: &ResourceName, found: &mut Vec<Found>) -> Result<(), Error> {
    let first = found.iter().map(|one| one.cursor).min();
    let Some(earliest) = found.iter().map(|one| one.not_after).min() else { return Ok(()) };
    let filter = CertificateFilter {
        methods: Some(method.clone().into()),
        revoked: Some(false),
        expires_after: Some(earliest),
        ..CertificateFilter::default()
    };
    let mut waiting: HashMap<Names, Vec<(Cursor, Time)>> = HashMap::new();
    for one in found.iter() {
        waiting.entry(one.names.clone()).or_default().push((one.cursor, one.not_after));
    }
    let mut after = first;
    while !waiting.is_empty() {
        let rows = store.certificates(&filter, &Page { after, limit: PAGE }).await?;
        let last = rows.len() < PAGE;
        for (cursor, row) in rows {
            after = Some(cursor);
            let end = row.not_after;
            let names = Names::of(row);
            if let Some(open) = waiting.get_mut(&names) {
                open.retain(|(older, not_after)| !(*older < cursor && *not_after < end));
                if open.is_empty() {
                    waiting.remove(&names);
                }
            }
        }
        if last {
            break;
        }
    }
    found
        .retain(|one| waiting.get(&one.names).is_some_and(|open| open.iter().any(|(c, _)| *c == one.cursor)));
    Ok(())
}

fn put(kind: JobKind, key: String, payload: Vec<u8>, run_at: Time) -> Result<Write, Error> {
    let id = JobId::from_random(random()?);
    Ok(Write::PutJob(Box::new(Job { id, kind, key, payload, run_at, attempts: 0, last_error: None })))
}

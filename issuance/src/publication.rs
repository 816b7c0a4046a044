//! What an authority publishes: certificate revocation lists (RFC 5280 §5).

#[cfg(test)]
mod tests;

use std::{collections::HashSet, time::Duration};

use pki::{
    certificate::assemble,
    crl::{RevokedEntry, TbsCertList},
    serial::SerialNumber,
    time::Time,
};

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authority::Authority,
    error::{Error, Result},
    identity::{JobId, KeyId},
    ports::random,
    store::{Commit, CrlRow, Expect, Job, JobKind, Write},
};

/// Rows read at a time: a list of a million entries does not hold up other readers.
const BATCH: usize = 1000;

/// Whatever the settings say, lists do not follow each other faster, unless something is revoked.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// CRLs kept beside the newest, for whoever asks while one is replaced.
const KEPT: u32 = 2;

/// The job that makes the next CRL of an authority.
///
/// # Errors
/// [`Error::Internal`] where the random generator fails.
pub fn crl_job(issuer: KeyId, at: Time) -> Result<Job> {
    Ok(Job {
        id: JobId::from_random(random()?),
        kind: JobKind::Crl,
        key: issuer.to_string(),
        payload: Vec::new(),
        run_at: at,
        attempts: 0,
        last_error: None,
    })
}

/// The number of the next list. Never back, even after a restored backup: it follows the clock.
pub fn next_number(last: Option<u64>, now: Time) -> u64 {
    let clock = u64::try_from(now.unix()).unwrap_or(0);
    last.map_or(clock, |last| clock.max(last.saturating_add(1)))
}

/// Signs a list, and records it nowhere.
///
/// # Errors
/// [`Error::Unavailable`] where the key does not answer.
pub async fn sign_crl(
    authority: &Authority,
    number: u64,
    entries: Vec<RevokedEntry>,
    now: Time,
) -> Result<CrlRow> {
    let issuer = authority.key_id();
    let next_update = next_update(authority, now);
    let algorithm = authority.signer.signature_algorithm();
    let subject = authority.certificate.subject().clone();
    // A million entries take a second of one core: not on a thread that serves.
    let encode = move || {
        TbsCertList {
            signature_algorithm: algorithm,
            issuer: &subject,
            this_update: now,
            next_update,
            number,
            authority_key_identifier: issuer.0,
        }
        .to_der(entries)
    };
    let tbs = tokio::task::spawn_blocking(encode)
        .await
        .map_err(|_| Error::Internal("encoding a revocation list was interrupted".into()))?;
    let signature = authority.signer.sign(&tbs).await?;
    let der = assemble(&tbs, algorithm, &signature);
    Ok(CrlRow { issuer, number, this_update: now, next_update, der })
}

impl Engine {
    /// Makes, signs and records the next CRL of an authority, and schedules the one after.
    /// `lease` is the job this is done for, with its owner: a worker that lost its lease records nothing.
    ///
    /// # Errors
    /// [`Error::Conflict`] where another worker was faster; [`Error::Unavailable`] without store or key.
    pub async fn publish_crl(&self, authority: &Authority, lease: Option<(&Job, &str)>) -> Result<CrlRow> {
        let now = self.clock().now();
        let issuer = authority.key_id();
        let last = self.store().latest_crl(issuer).await?;
        let inherited = authority.inherited();
        let numbers = [last.as_ref().map(|last| last.number), inherited.map(|list| list.number)];
        let number = next_number(numbers.into_iter().flatten().max(), now);
        // RFC 5280 §3.3: an entry stays until it was on one list made after the certificate's end.
        let expired_before = last.map_or(Time::from_unix(0), |last| last.this_update);
        let mut entries = self.revoked_entries(issuer, expired_before).await?;
        if let Some(list) = inherited {
            // Nobody here knows when these end: they stay.
            let known: HashSet<SerialNumber> = entries.iter().map(|entry| entry.serial).collect();
            entries.extend(list.entries.iter().filter(|entry| !known.contains(&entry.serial)));
        }
        let row = sign_crl(authority, number, entries, now).await?;
        let mut event = AuditEvent::new(now, Action::CrlPublished, AuditOutcome::Done, Actor::Server);
        event.authority = Some(authority.name.clone());
        event.issuer = Some(issuer);
        event = event.because(&format!("number {number}"));
        let interval =
            authority.crl.validity.saturating_sub(authority.crl.renew_before).max(SHORTEST_INTERVAL);
        let again = later(now, interval);
        let mut commit = Commit {
            expect: Vec::new(),
            writes: vec![Write::PutCrl(Box::new(row.clone())), Write::PruneCrls { issuer, keep: KEPT }],
            audit: vec![event],
        };
        match lease {
            Some((job, owner)) => {
                commit.expect.push(Expect::JobLeased { id: job.id.clone(), owner: owner.into(), now });
                commit.writes.push(Write::RescheduleJob {
                    id: job.id.clone(),
                    at: again,
                    attempts: 0,
                    error: None,
                });
            }
            None => commit.writes.push(Write::PutJob(Box::new(crl_job(issuer, again)?))),
        }
        match self.store().commit(commit).await? {
            Ok(_) => Ok(row),
            Err(conflict) => Err(Error::Conflict(conflict.to_string())),
        }
    }

    async fn revoked_entries(&self, issuer: KeyId, expired_before: Time) -> Result<Vec<RevokedEntry>> {
        let mut entries: Vec<RevokedEntry> = Vec::new();
        loop {
            let after: Option<SerialNumber> = entries.last().map(|entry| entry.serial);
            let batch = self.store().revoked(issuer, expired_before, after.as_ref(), BATCH).await?;
            let last = batch.len() < BATCH;
            entries.extend(batch);
            if last {
                return Ok(entries);
            }
        }
    }
}

/// A list promises nothing beyond the authority's own certificate, as long as that is valid.
fn next_update(authority: &Authority, now: Time) -> Time {
    let next = later(now, authority.crl.validity);
    let end = authority.certificate.not_after();
    if now < end { next.min(end) } else { next }
}

fn later(time: Time, duration: Duration) -> Time {
    time.plus_seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

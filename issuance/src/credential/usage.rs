//! How a credential has been used: by whom it was shown, when, from where, and what last went wrong.
//!
//! What a use grants (a certificate, an account) is counted in the commit that grants it, with the address. Everything else
//! that is worth knowing (requests that only read, and failures) commits nothing: it is collected in memory and written
//! now and then, so that it lags behind by that long and a crash may lose that much of it. No limit depends on it.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use pki::time::Time;
use serde::Serialize;

use crate::{error::AuthenticationFailure, identity::CredentialId};

/// Most credentials between two takings; the requests and failures of others are not counted.
const MAX_CREDENTIALS: usize = 10_000;

/// What is known of the use of one credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialUsage {
    pub credential: CredentialId,
    /// What the present value was granted: what `maximumUses` limits. Exact.
    pub uses: u64,
    /// Requests that were accepted and counted as no use by a commit: over REST all of them.
    pub requests: u64,
    pub first_used_at: Option<Time>,
    pub last_used_at: Option<Time>,
    /// From where it was used last.
    pub last_address: Option<IpAddr>,
    /// How often it was refused although it is known: shown when it may not be used, or with a wrong secret for its user name.
    pub failures: u64,
    pub last_failure: Option<UsageFailure>,
}

/// The last refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UsageFailure {
    pub at: Time,
    /// In the spelling of the audit trail: [`AuthenticationFailure::as_str`].
    pub reason: String,
    pub address: Option<IpAddr>,
}

/// Once, from somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub at: Time,
    pub address: Option<IpAddr>,
}

/// The part that commits count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantedUses {
    pub credential: CredentialId,
    pub uses: u64,
    pub first: Option<Time>,
    pub last: Option<Seen>,
}

/// The part that is collected: what came since the last note of the same credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageNote {
    pub credential: CredentialId,
    pub requests: u64,
    pub first: Option<Time>,
    pub last: Option<Seen>,
    pub failures: u64,
    pub last_failure: Option<UsageFailure>,
}

impl CredentialUsage {
    /// Both parts together.
    pub fn new(granted: GrantedUses, noted: Option<UsageNote>) -> Self {
        let noted = noted.unwrap_or_else(|| UsageNote::empty(granted.credential.clone()));
        let last = latest(granted.last, noted.last);
        Self {
            credential: granted.credential,
            uses: granted.uses,
            requests: noted.requests,
            first_used_at: earliest(granted.first, noted.first),
            last_used_at: last.map(|seen| seen.at),
            last_address: last.and_then(|seen| seen.address),
            failures: noted.failures,
            last_failure: noted.last_failure,
        }
    }
}

impl UsageNote {
    /// Nothing yet.
    pub fn empty(credential: CredentialId) -> Self {
        Self { credential, requests: 0, first: None, last: None, failures: 0, last_failure: None }
    }

    /// Adds what another note of the same credential says, whichever came first.
    pub fn add(&mut self, other: UsageNote) {
        self.requests = self.requests.saturating_add(other.requests);
        self.first = earliest(self.first, other.first);
        self.last = latest(self.last, other.last);
        self.failures = self.failures.saturating_add(other.failures);
        let time = |failure: &Option<UsageFailure>| failure.as_ref().map(|failure| failure.at);
        if time(&other.last_failure) >= time(&self.last_failure) {
            self.last_failure = other.last_failure;
        }
    }
}

/// Notes of credentials that exist, since they were last taken.
#[derive(Debug, Default)]
pub struct UsageCollector {
    notes: Mutex<BTreeMap<CredentialId, UsageNote>>,
}

impl UsageCollector {
    /// Counts a request that was accepted and that no commit counts as a use.
    pub fn accepted(&self, credential: &CredentialId, at: Time, address: Option<IpAddr>) {
        let mut note = UsageNote::empty(credential.clone());
        (note.requests, note.first, note.last) = (1, Some(at), Some(Seen { at, address }));
        self.add([note]);
    }

    /// Counts a failure against a credential that is known.
    pub fn failed(
        &self,
        credential: &CredentialId,
        reason: AuthenticationFailure,
        at: Time,
        address: Option<IpAddr>,
    ) {
        let mut note = UsageNote::empty(credential.clone());
        note.failures = 1;
        note.last_failure = Some(UsageFailure { at, reason: reason.as_str().into(), address });
        self.add([note]);
    }

    /// Everything since the last time, ordered by credential. Whoever cannot write it gives it back to
    /// [`UsageCollector::add`].
    pub fn take(&self) -> Vec<UsageNote> {
        std::mem::take(&mut *self.notes.lock().unwrap_or_else(PoisonError::into_inner))
            .into_values()
            .collect()
    }

    pub fn add(&self, notes: impl IntoIterator<Item = UsageNote>) {
        let mut collected = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        for note in notes {
            if let Some(same) = collected.get_mut(&note.credential) {
                same.add(note);
            } else if collected.len() < MAX_CREDENTIALS {
                collected.insert(note.credential.clone(), note);
            }
        }
    }
}

fn earliest(one: Option<Time>, other: Option<Time>) -> Option<Time> {
    [one, other].into_iter().flatten().min()
}

/// Of two at one time the second.
fn latest(one: Option<Seen>, other: Option<Seen>) -> Option<Seen> {
    [one, other].into_iter().flatten().max_by_key(|seen| seen.at)
}

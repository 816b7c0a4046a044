//! User name and password: HTTP Basic and whatever looks like it.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use aws_lc_rs::hmac;
use pki::time::Time;
use tokio::sync::Semaphore;

use super::{
    CredentialCache, Evidence,
    cache::{Freshness, Sought},
};
use crate::{
    authority::Method,
    credential::{CredentialRow, MAX_SECRET_LENGTH, UsageCollector, Verifier},
    error::{AuthenticationFailure, Error},
    identity::{CredentialId, ResourceName},
    ports::random,
    secret::Secret,
    store::{Expect, Store},
};

/// Most bytes of a user name; longer ones cannot belong to anybody.
pub(super) const MAX_USERNAME_LENGTH: usize = 256;

/// Slow checks at one time: each takes 19 MiB and a core for tens of milliseconds.
const SLOW_CHECKS: usize = 2;

/// Slow checks that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// Checks passwords against the rows of a method, and access keys against the row that each names.
#[derive(Debug)]
pub struct PasswordVerifier {
    cache: CredentialCache,
    slow: Arc<Semaphore>,
    remembered: Remembered,
    usage: UsageCollector,
}

/// None of the rows will do.
struct Refused {
    failure: AuthenticationFailure,
    /// Those that were meant: the one whose secret it is, or else those of the user name.
    meant: Vec<CredentialId>,
}

impl PasswordVerifier {
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn new(store: Arc<dyn Store>) -> Result<Self, Error> {
        Ok(Self {
            cache: CredentialCache::new(store),
            slow: Arc::new(Semaphore::new(SLOW_CHECKS)),
            remembered: Remembered {
                key: hmac::Key::new(hmac::HMAC_SHA256, &random::<32>()?),
                tags: Mutex::default(),
            },
            usage: UsageCollector::default(),
        })
    }

    /// What is yet to be written of how credentials were used. Failures of verification are among it; of what was accepted
    /// the caller knows what became.
    pub fn usage(&self) -> &UsageCollector {
        &self.usage
    }

    /// News of a changed credential: its method's rows are read anew. What is issued is safe without: the commit looks.
    pub fn forget(&self, method: Option<&ResourceName>) {
        self.cache.forget(method);
    }

    /// Evidence that somebody knows a secret of this method: the user's own, or one the method accepts from any
    /// user. With [`Freshness::Fresh`] the rows are read now; pass it after a commit said that a row had changed. `from` is
    /// where it was shown.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] with the reason for the log; [`Error::Unavailable`] without the store.
    pub async fn verify(
        &self,
        method: &Method,
        username: &str,
        password: &Secret,
        now: Time,
        freshness: Freshness,
        from: Option<IpAddr>,
    ) -> Result<Evidence, Error> {
        if username.len() > MAX_USERNAME_LENGTH
            || password.is_empty()
            || password.expose().len() > MAX_SECRET_LENGTH
        {
            return Err(unauthenticated(AuthenticationFailure::Unreadable));
        }
        let sought = Sought::User { method: method.name.clone(), name: username.to_owned() };
        let row = self.find_fresh_enough(&sought, password, now, freshness, from).await?;
        let name = if username.is_empty() { row.name.to_string() } else { username.to_owned() };
        Ok(evidence(&row, name, now))
    }

    /// The row whose secret it is.
    pub(super) async fn find_fresh_enough(
        &self,
        sought: &Sought,
        secret: &Secret,
        now: Time,
        freshness: Freshness,
        from: Option<IpAddr>,
    ) -> Result<CredentialRow, Error> {
        let (rows, age) = self.cache.rows(sought, freshness).await?;
        // By an access key whatever was ordered is read and fetched: that it is used up stops what would use it.
        let judge = match sought {
            Sought::User { .. } => CredentialRow::usable,
            Sought::AccessKey { .. } => CredentialRow::lasts,
        };
        let mut found = self.find(&rows, secret, now, judge).await?;
        let is_doubtful = found.as_ref().map_or(true, CredentialRow::is_used_up);
        if is_doubtful && age == Freshness::Cached {
            // What the cache says no to, the store may allow by now; the same rows say no again.
            let (fresh, _) = self.cache.rows(sought, Freshness::Fresh).await?;
            if fresh != rows {
                found = self.find(&fresh, secret, now, judge).await?;
            }
        }
        found.map_err(|Refused { failure, meant }| {
            meant.iter().for_each(|id| self.usage.failed(id, failure, now, from));
            unauthenticated(failure)
        })
    }

    async fn find(
        &self,
        rows: &[CredentialRow],
        password: &Secret,
        now: Time,
        judge: fn(&CredentialRow, Time) -> Result<(), AuthenticationFailure>,
    ) -> Result<Result<CredentialRow, Refused>, Error> {
        let mut unusable = None;
        for row in rows {
            if !self.matches(row, password, now).await? {
                continue;
            }
            match judge(row, now) {
                Ok(()) => return Ok(Ok(row.clone())),
                Err(failure) => unusable = Some(Refused { failure, meant: vec![row.id.clone()] }),
            }
        }
        // A wrong value for a secret that any user may show was meant for none in particular.
        let of_user = rows.iter().filter(|row| row.username.is_some());
        Ok(Err(unusable.unwrap_or_else(|| Refused {
            failure: AuthenticationFailure::Mismatch,
            meant: of_user.map(|row| row.id.clone()).collect(),
        })))
    }

    /// Slow checks that could begin now.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.slow.available_permits()
    }

    /// Whether it is the row's value, or the one before, which is accepted for now. Only of the value itself is a slow check
    /// remembered: that of the one before would outlive it.
    async fn matches(&self, row: &CredentialRow, password: &Secret, now: Time) -> Result<bool, Error> {
        let is_slow = row.verifier.is_slow();
        if is_slow && self.remembered.holds(row, password) {
            return Ok(true);
        }
        if self.check(&row.verifier, password).await? {
            if is_slow {
                self.remembered.insert(row, password);
            }
            return Ok(true);
        }
        match row.previous_at(now) {
            Some(previous) => self.check(&previous.verifier, password).await,
            None => Ok(false),
        }
    }

    async fn check(&self, verifier: &Verifier, password: &Secret) -> Result<bool, Error> {
        if !verifier.is_slow() {
            return verifier.matches(password);
        }
        let permit = self
            .slow
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Internal("the password checker has stopped".into()))?;
        let (verifier, secret) = (verifier.clone(), password.clone());
        // The place is the work's, not the asker's, who may go away while it goes on.
        let work = move || {
            let _permit = permit;
            verifier.matches(&secret)
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|_| Error::Internal("a password check was interrupted".into()))?
    }
}

pub(super) fn unauthenticated(failure: AuthenticationFailure) -> Error {
    Error::Unauthenticated(failure)
}

pub(super) fn evidence(row: &CredentialRow, name: String, now: Time) -> Evidence {
    Evidence {
        method: row.method.clone(),
        name,
        strength: row.strength(),
        credential: Some(row.id.clone()),
        holder: None,
        used_up: row.is_used_up(),
        owner: row.owner.clone(),
        certified: None,
        proven: Vec::new(),
        expect: vec![Expect::CredentialUsable { id: row.id.clone(), version: row.version, now }],
    }
}

/// Secrets that passed a slow check before, as MACs under a key of this process: a busy device does not pay for
/// the slow hash each time, and the value stays unguessable in memory dumps of others.
struct Remembered {
    key: hmac::Key,
    tags: Mutex<HashMap<(CredentialId, u64), hmac::Tag>>,
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Remembered(redacted)")
    }
}

impl Remembered {
    fn holds(&self, row: &CredentialRow, password: &Secret) -> bool {
        let tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        tags.get(&(row.id.clone(), row.version))
            .is_some_and(|tag| hmac::verify(&self.key, password.expose(), tag.as_ref()).is_ok())
    }

    fn insert(&self, row: &CredentialRow, password: &Secret) {
        let mut tags = self.tags.lock().unwrap_or_else(PoisonError::into_inner);
        if tags.len() >= MAX_REMEMBERED {
            tags.clear();
        }
        tags.insert((row.id.clone(), row.version), hmac::sign(&self.key, password.expose()));
    }
}

//! User name and password: HTTP Basic and whatever looks like it.

use std::{
    collections::HashMap,
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
    credential::{CredentialRow, MAX_SECRET_LENGTH},
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
        })
    }

    /// News of a changed credential: its method's rows are read anew. What is issued is safe without: the commit looks.
    pub fn forget(&self, method: Option<&ResourceName>) {
        self.cache.forget(method);
    }

    /// Evidence that somebody knows a secret of this method: the user's own, or one the method accepts from any
    /// user. With [`Freshness::Fresh`] the rows are read now; pass it after a commit said that a row had changed.
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
    ) -> Result<Evidence, Error> {
        if username.len() > MAX_USERNAME_LENGTH
            || password.is_empty()
            || password.expose().len() > MAX_SECRET_LENGTH
        {
            return Err(unauthenticated(AuthenticationFailure::Unreadable));
        }
        let sought = Sought::User { method: method.name.clone(), name: username.to_owned() };
        let row = self.find_fresh_enough(&sought, password, now, freshness).await?;
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
    ) -> Result<CredentialRow, Error> {
        let (rows, age) = self.cache.rows(sought, freshness).await?;
        match (self.find(&rows, secret, now).await, age) {
            // What the cache says no to, the store may allow by now; the same rows say no again.
            (Err(Error::Unauthenticated(failure)), Freshness::Cached) => {
                let (fresh, _) = self.cache.rows(sought, Freshness::Fresh).await?;
                if fresh == rows {
                    return Err(unauthenticated(failure));
                }
                self.find(&fresh, secret, now).await
            }
            (found, Freshness::Cached | Freshness::Fresh) => found,
        }
    }

    async fn find(
        &self,
        rows: &[CredentialRow],
        password: &Secret,
        now: Time,
    ) -> Result<CredentialRow, Error> {
        let mut failure = AuthenticationFailure::Mismatch;
        for row in rows {
            if !self.matches(row, password).await? {
                continue;
            }
            match row.usable(now) {
                Ok(()) => return Ok(row.clone()),
                Err(reason) => failure = reason,
            }
        }
        Err(unauthenticated(failure))
    }

    async fn matches(&self, row: &CredentialRow, password: &Secret) -> Result<bool, Error> {
        if !row.verifier.is_slow() {
            return row.verifier.matches(password);
        }
        if self.remembered.holds(row, password) {
            return Ok(true);
        }
        let _permit = self
            .slow
            .clone()
            .acquire_owned()
            .await
            .map_err(|_| Error::Internal("the password checker has stopped".into()))?;
        let (verifier, secret) = (row.verifier.clone(), password.clone());
        let matched = tokio::task::spawn_blocking(move || verifier.matches(&secret))
            .await
            .map_err(|_| Error::Internal("a password check was interrupted".into()))??;
        if matched {
            self.remembered.insert(row, password);
        }
        Ok(matched)
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
        owner: row.owner.clone(),
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

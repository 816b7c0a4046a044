//! Credential rows that were read a moment ago. Safe to be stale: what is issued on a cached row commits only if
//! the row is still of that version ([`Expect::CredentialUsable`](crate::store::Expect)), and a cached row is never
//! the reason for a refusal.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use crate::{credential::CredentialRow, error::Error, identity::ResourceName, store::Store};

const MAX_ENTRIES: usize = 10_000;
const MAX_AGE: Duration = Duration::from_secs(10);

type Rows = Arc<[CredentialRow]>;

/// How old a row may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A cached row will do, because a commit will check it.
    Cached,
    /// From the store, now.
    Fresh,
}

/// Whose rows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sought {
    /// What a user name may use with a method.
    User { method: ResourceName, name: String },
    /// What an access key names.
    AccessKey { name: String },
}

/// Rows that were asked for.
#[derive(Debug)]
pub struct CredentialCache {
    store: Arc<dyn Store>,
    entries: RwLock<HashMap<Sought, (Instant, Rows)>>,
}

impl CredentialCache {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store, entries: RwLock::default() }
    }

    /// Reads all rows of this method anew when they are asked for next; of all methods without one.
    pub(super) fn forget(&self, method: Option<&ResourceName>) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        match method {
            Some(method) => entries.retain(|_, (_, rows)| rows.iter().all(|row| row.method != *method)),
            None => entries.clear(),
        }
    }

    /// The rows, and whether they came from the cache.
    pub(super) async fn rows(
        &self,
        sought: &Sought,
        freshness: Freshness,
    ) -> Result<(Rows, Freshness), Error> {
        if freshness == Freshness::Cached
            && let Some((at, rows)) = self.entries.read().unwrap_or_else(PoisonError::into_inner).get(sought)
            && at.elapsed() < MAX_AGE
        {
            return Ok((rows.clone(), Freshness::Cached));
        }
        let rows: Rows = match sought {
            Sought::User { method, name } => self.store.credentials_for(method, name).await?.into(),
            Sought::AccessKey { name } => {
                self.store.credential_by_access_key(name).await?.into_iter().collect()
            }
        };
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        if rows.is_empty() {
            // A stranger can name anybody; what does not exist takes no place.
            entries.remove(sought);
        } else {
            if entries.len() >= MAX_ENTRIES && !entries.contains_key(sought) {
                entries.clear();
            }
            entries.insert(sought.clone(), (Instant::now(), rows.clone()));
        }
        Ok((rows, Freshness::Fresh))
    }
}

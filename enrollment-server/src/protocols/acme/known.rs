//! Accounts that were read a moment ago, each with the credential that it is bound to. Safe to be old: whatever an account
//! makes commits only while both rows are of the version that was read ([`ByAccount::expect`](super::auth::ByAccount::expect)),
//! and nothing is refused because of a row that was not read for it.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use issuance::{
    acme::AccountRow,
    authn::Freshness,
    credential::CredentialRow,
    identity::{AcmeAccountId, CredentialId},
};

use super::{error::AcmeError, exchange::Exchange};

/// How old rows may be. Stores that tell what others changed have it forgotten sooner.
const MAX_AGE: Duration = Duration::from_secs(5);

/// Most accounts that are kept.
const MAX_KNOWN: usize = 10_000;

/// An account and what it is bound to.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) account: Arc<AccountRow>,
    /// None where the account is bound to nothing, or the row is gone.
    pub(super) credential: Option<Arc<CredentialRow>>,
    /// Whether the rows were read for this request.
    pub(super) freshness: Freshness,
}

/// Those of this process.
#[derive(Debug, Default)]
pub(super) struct KnownAccounts(RwLock<HashMap<AcmeAccountId, (Instant, Known)>>);

impl KnownAccounts {
    /// The account of this method.
    ///
    /// # Errors
    /// [`AcmeError::AccountDoesNotExist`].
    pub(super) async fn load(
        &self,
        exchange: &Exchange,
        id: &AcmeAccountId,
        freshness: Freshness,
    ) -> Result<Known, AcmeError> {
        let of_method = |account: &AccountRow| account.method == exchange.service.method.name;
        if freshness == Freshness::Cached
            && let Some(known) = self.get(id).filter(|known| of_method(&known.account))
        {
            return Ok(known);
        }
        let store = exchange.app.engine.store();
        let account =
            store.acme_account(id).await?.filter(of_method).ok_or(AcmeError::AccountDoesNotExist)?;
        let credential = match &account.binding {
            Some(binding) => store.credential(&binding.credential).await?.map(Arc::new),
            None => None,
        };
        let known = Known { account: Arc::new(account), credential, freshness: Freshness::Fresh };
        self.put(known.clone());
        Ok(known)
    }

    fn get(&self, id: &AcmeAccountId) -> Option<Known> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let (at, known) = known.get(id)?;
        (at.elapsed() < MAX_AGE).then(|| Known { freshness: Freshness::Cached, ..known.clone() })
    }

    pub(super) fn put(&self, account: Known) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_KNOWN && !known.contains_key(&account.account.id) {
            known.clear();
        }
        known.insert(account.account.id.clone(), (Instant::now(), account));
    }

    pub(super) fn forget(&self, id: &AcmeAccountId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn forget_bound_to(&self, credential: &CredentialId) {
        let is_bound = |known: &Known| {
            known.account.binding.as_ref().is_some_and(|binding| binding.credential == *credential)
        };
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, known)| !is_bound(known));
    }

    pub(super) fn forget_all(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

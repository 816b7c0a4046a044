//! How many validations one process runs at the same time, and how many of them are one account's.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, Mutex, PoisonError},
};

use issuance::acme::ValidatedOrder;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::claim::Claimant;

/// Validations of one process at the same time.
const AT_ONCE: usize = 64;

/// Of them, those of one account: names that do not answer hold up none but the account that named them.
pub(crate) const OF_ONE_ACCOUNT: usize = 8;

/// Locks that the orders share.
const LOCKS: usize = 64;

/// The validations of one process.
#[derive(Debug)]
pub struct Validations {
    places: Arc<Semaphore>,
    /// How many places each account has that has any.
    taken: Arc<Taken>,
    /// The names of one order are often validated at the same time: their results are committed one after the other.
    orders: Vec<AsyncMutex<()>>,
}

type Taken = Mutex<HashMap<Claimant, usize>>;

/// One of the process's places.
pub(crate) type Place = OwnedSemaphorePermit;

/// One of the places that an account may have.
#[derive(Debug)]
pub(crate) struct Share {
    account: Claimant,
    taken: Arc<Taken>,
}

/// Leave to validate one challenge, for as long as it is kept.
#[derive(Debug)]
pub(crate) struct Permit {
    _place: Place,
    /// None: for what is nobody's.
    _share: Option<Share>,
}

impl Default for Validations {
    fn default() -> Self {
        let orders = std::iter::repeat_with(AsyncMutex::default).take(LOCKS).collect();
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), taken: Arc::default(), orders }
    }
}

impl Validations {
    /// None: as many as may be are running, of all or of this account.
    pub(crate) fn permit(&self, account: &Claimant) -> Option<Permit> {
        let place = self.place()?;
        Some(Permit::new(place, Some(self.share(account)?)))
    }

    /// None: all are taken.
    pub(crate) fn place(&self) -> Option<Place> {
        self.places.clone().try_acquire_owned().ok()
    }

    /// None: the account has as many as it may.
    pub(crate) fn share(&self, account: &Claimant) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(account.clone()).or_default();
        if *count >= OF_ONE_ACCOUNT {
            return None;
        }
        *count += 1;
        Some(Share { account: account.clone(), taken: self.taken.clone() })
    }

    /// Once nothing is running.
    #[cfg(test)]
    pub(crate) async fn idle(&self) {
        let all = u32::try_from(AT_ONCE).unwrap();
        drop(self.places.acquire_many(all).await.unwrap());
    }

    /// To change an order that several requests and validations of this process change at once; none where nobody else does,
    /// because it has but one name.
    pub(crate) async fn turn(&self, order: &ValidatedOrder, names: usize) -> Option<MutexGuard<'_, ()>> {
        if names < 2 {
            return None;
        }
        let mut hasher = DefaultHasher::new();
        order.hash(&mut hasher);
        let index = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        Some(self.orders.get(index)?.lock().await)
    }
}

impl Permit {
    pub(crate) fn new(place: Place, share: Option<Share>) -> Self {
        Self { _place: place, _share: share }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        match taken.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) | None => drop(taken.remove(&self.account)),
        }
    }
}

//! What all methods share for as long as the process lives: places for what takes long.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};

use super::error::RestError;

/// Keys that are encrypted at one time: each takes a core for tenths of a second.
const ENCRYPTIONS: usize = 2;

/// Those that wait for that.
const WAITING_ENCRYPTIONS: usize = 32;

/// Requests that wait for news at one time, however many may be in flight.
const MOST_WAITING: usize = 1024;

/// One per process.
#[derive(Debug)]
pub struct RestShared {
    waiting: AtomicUsize,
    encrypting: AtomicUsize,
    encryptions: Semaphore,
}

impl Default for RestShared {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            encrypting: AtomicUsize::new(0),
            encryptions: Semaphore::new(ENCRYPTIONS),
        }
    }
}

impl RestShared {
    /// A place for a request that waits for news: they take a quarter of those that may be in flight, so that others are
    /// served meanwhile. None: all are taken.
    pub(super) fn wait(&self, in_flight: usize) -> Option<Place<'_>> {
        Place::take(&self.waiting, (in_flight / 4).min(MOST_WAITING))
    }

    /// A place for an encryption that takes long, once there is one.
    ///
    /// # Errors
    /// [`RestError::Busy`] where too many wait already.
    pub(super) async fn encrypt(&self) -> Result<Encrypting<'_>, RestError> {
        let busy = RestError::Busy("too many keys are being encrypted; try again later");
        let Some(place) = Place::take(&self.encrypting, WAITING_ENCRYPTIONS) else { return Err(busy) };
        let permit = self.encryptions.acquire().await.map_err(|_| busy)?;
        Ok(Encrypting { _permit: permit, _place: place })
    }
}

/// Held while a key is encrypted.
#[derive(Debug)]
pub(super) struct Encrypting<'a> {
    _permit: SemaphorePermit<'a>,
    _place: Place<'a>,
}

/// One of so many.
#[derive(Debug)]
pub(super) struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(taken: &'a AtomicUsize, most: usize) -> Option<Self> {
        let before = taken.fetch_add(1, Ordering::Relaxed);
        // Given back where it is one too many.
        let place = Self(taken);
        (before < most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_take_a_quarter_of_the_places_and_give_them_back() {
        let shared = RestShared::default();
        let places: Vec<_> = (0..2).map(|_| shared.wait(8).unwrap()).collect();
        assert!(shared.wait(8).is_none());
        drop(places);
        assert!(shared.wait(8).is_some() && shared.wait(3).is_none());
    }

    #[tokio::test]
    async fn only_so_many_wait_for_an_encryption() {
        let shared = RestShared::default();
        let held: Vec<_> = (0..WAITING_ENCRYPTIONS).map(|_| Place::take(&shared.encrypting, 99)).collect();
        assert!(matches!(shared.encrypt().await, Err(RestError::Busy(_))));
        drop(held);
        assert!(shared.encrypt().await.is_ok());
    }
}

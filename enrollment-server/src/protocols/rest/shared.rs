//! What all methods share for as long as the process lives: places for what takes long.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use issuance::{
    Error,
    store::{StoreError, StoreResult},
};
use tokio::sync::Semaphore;
use tracing::Instrument as _;

use super::{
    super::slow::{SlowError, SlowWork},
    error::RestError,
};

/// Keys that are encrypted at one time: each takes a core for tenths of a second.
const ENCRYPTIONS: usize = 2;

/// Those that wait for that.
const WAITING_ENCRYPTIONS: usize = 32;

/// Lists that are read at one time: fewer than a store lets walk its tables, so that there is always room for the server's own
/// work, as revocation lists are.
const WALKS: usize = 2;

/// Requests that wait for news at one time, however many may be in flight.
const MOST_WAITING: usize = 1024;

/// One per process.
#[derive(Debug)]
pub struct RestShared {
    waiting: AtomicUsize,
    encryptions: SlowWork,
    walks: Walks,
}

impl Default for RestShared {
    fn default() -> Self {
        Self {
            waiting: AtomicUsize::new(0),
            encryptions: SlowWork::new(ENCRYPTIONS, WAITING_ENCRYPTIONS),
            walks: Walks::default(),
        }
    }
}

impl RestShared {
    /// A place for a request that waits for news: they take a quarter of those that may be in flight, so that others are
    /// served meanwhile. None: all are taken.
    pub(super) fn wait(&self, in_flight: usize) -> Option<Place<'_>> {
        Place::take(&self.waiting, (in_flight / 4).min(MOST_WAITING))
    }

    /// Encrypts, once there is a place.
    ///
    /// # Errors
    /// [`RestError::Busy`] where too many wait already.
    pub(super) async fn encrypt<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, RestError> {
        self.encryptions.run(work).await.map_err(|error| match error {
            SlowError::Busy => RestError::Busy("too many keys are being encrypted; try again later"),
            SlowError::Interrupted => Error::Internal("an encryption was interrupted".into()).into(),
        })
    }

    /// Places for what reads lists.
    pub(super) fn walks(&self) -> &Walks {
        &self.walks
    }
}

/// Places for reading lists. What was begun is read to its end, whether its client is there or not, and keeps its place until then.
#[derive(Clone, Debug)]
pub(super) struct Walks(Arc<Semaphore>);

impl Default for Walks {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(WALKS)))
    }
}

impl Walks {
    /// Reads, once there is a place.
    ///
    /// # Errors
    /// Those of what is read.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        let ended = |what: &str| StoreError::Unavailable(format!("a list was not read: {what}"));
        let place = self.0.clone().acquire_owned().await.map_err(|error| ended(&error.to_string()))?;
        let walk = async move {
            let _place = place;
            read.await
        };
        tokio::spawn(walk.in_current_span()).await.map_err(|error| ended(&error.to_string()))?
    }
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
impl RestShared {
    /// Encryptions that were asked for and have not ended.
    pub(super) fn encrypting(&self) -> usize {
        ENCRYPTIONS + WAITING_ENCRYPTIONS - self.encryptions.free().1
    }

    /// Whether one could begin now.
    pub(super) fn may_encrypt(&self) -> bool {
        self.encryptions.free().0 > 0
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use tokio::sync::oneshot;

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
    async fn encryptions_whose_clients_are_gone_count_until_they_end() {
        let shared = RestShared::default();
        let mut ends = Vec::new();
        for _ in 0..ENCRYPTIONS {
            let ((begun, begins), (end, ended)) = (oneshot::channel(), mpsc::channel::<()>());
            ends.push(end);
            let mut asked = Box::pin(shared.encrypt(move || {
                begun.send(()).unwrap();
                ended.recv().unwrap();
            }));
            assert!(futures::poll!(&mut asked).is_pending());
            begins.await.unwrap();
        }
        assert_eq!(shared.encrypting(), ENCRYPTIONS);
        let mut waiting: Vec<_> = (0..WAITING_ENCRYPTIONS).map(|_| Box::pin(shared.encrypt(|| ()))).collect();
        for waits in &mut waiting {
            assert!(futures::poll!(waits).is_pending());
        }
        assert!(matches!(shared.encrypt(|| ()).await, Err(RestError::Busy(_))));
        for end in ends {
            end.send(()).unwrap();
        }
        for waits in waiting {
            waits.await.unwrap();
        }
    }

    #[tokio::test]
    async fn a_list_whose_client_is_gone_keeps_its_place_until_it_is_read() {
        let walks = Walks::default();
        let mut ends = Vec::new();
        for _ in 0..WALKS {
            let (end, ended) = oneshot::channel::<()>();
            ends.push(end);
            let mut asked = Box::pin(walks.read(async move {
                ended.await.unwrap();
                Ok(())
            }));
            assert!(futures::poll!(&mut asked).is_pending());
        }
        let mut next = Box::pin(walks.read(async { Ok(1) }));
        assert!(futures::poll!(&mut next).is_pending());
        ends.pop().unwrap().send(()).unwrap();
        assert_eq!(next.await.unwrap(), 1);
    }
}

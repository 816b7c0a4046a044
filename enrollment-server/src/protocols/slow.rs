//! Work that keeps a core or a disk busy for long: so much of it at a time, whoever waits for it. A place belongs to the work and
//! not to whoever asked: a client that goes away ends its request, but not what was begun for it.

use std::sync::Arc;

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Places for work on threads that may block, and for those that wait for one.
#[derive(Clone, Debug)]
pub(super) struct SlowWork {
    at_once: Arc<Semaphore>,
    asked_for: Arc<Semaphore>,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SlowError {
    /// Too many wait already.
    #[error("too many wait for it already")]
    Busy,
    /// It panicked, or the process ends.
    #[error("it was interrupted")]
    Interrupted,
}

impl SlowWork {
    /// So much at once, and so many that wait.
    pub(super) fn new(at_once: usize, waiting: usize) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(at_once)),
            asked_for: Arc::new(Semaphore::new(at_once + waiting)),
        }
    }

    /// Does it, once there is a place.
    ///
    /// # Errors
    /// [`SlowError`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SlowError> {
        let asked = self.asked_for.clone().try_acquire_owned().map_err(|_| SlowError::Busy)?;
        let place = self.at_once.clone().acquire_owned().await.map_err(|_: AcquireError| SlowError::Busy)?;
        let held: (OwnedSemaphorePermit, OwnedSemaphorePermit) = (asked, place);
        let done = tokio::task::spawn_blocking(move || {
            let _held = held;
            work()
        });
        done.await.map_err(|_| SlowError::Interrupted)
    }
}

#[cfg(test)]
impl SlowWork {
    /// How much could begin now, and how many more may ask.
    pub(super) fn free(&self) -> (usize, usize) {
        (self.at_once.available_permits(), self.asked_for.available_permits())
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, task::Poll};

    use super::*;

    #[tokio::test]
    async fn who_goes_away_gives_no_place_back_before_the_work_has_ended() {
        let slow = SlowWork::new(1, 0);
        let (begun, begins) = tokio::sync::oneshot::channel();
        let (end, ends) = mpsc::channel::<()>();
        let mut asked = Box::pin(slow.run(move || {
            begun.send(()).unwrap();
            ends.recv().unwrap();
        }));
        assert_eq!(futures::poll!(&mut asked), Poll::Pending);
        begins.await.unwrap();
        drop(asked);
        assert_eq!((slow.free(), slow.run(|| ()).await), ((0, 0), Err(SlowError::Busy)));
        end.send(()).unwrap();
        let _all = slow.at_once.clone().acquire_owned().await.unwrap();
    }

    #[tokio::test]
    async fn only_so_many_wait_and_one_that_goes_away_waits_no_more() {
        let slow = SlowWork::new(1, 2);
        let held = slow.at_once.clone().try_acquire_owned().unwrap();
        let (mut first, mut second) = (Box::pin(slow.run(|| 1)), Box::pin(slow.run(|| 2)));
        let _asked = slow.asked_for.clone().try_acquire_owned().unwrap();
        assert!(futures::poll!(&mut first).is_pending() && futures::poll!(&mut second).is_pending());
        assert_eq!(slow.run(|| 3).await, Err(SlowError::Busy));
        drop((held, first));
        assert_eq!(second.await, Ok(2));
        assert_eq!(slow.run(|| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn work_that_panics_gives_its_place_back() {
        let slow = SlowWork::new(1, 0);
        assert_eq!(slow.run(|| panic!("of the test")).await, Err::<(), _>(SlowError::Interrupted));
        assert_eq!(slow.run(|| 1).await, Ok(1));
    }
}

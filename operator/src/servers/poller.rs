//! Asks replicas what they serve: often while something is still to be programmed, seldom else.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{Fleet, ReplicaState, ServerApi, programmed::is_settled};
use crate::publish::Published;

/// While something is still to be programmed: at first so, then after twice the pause each time up to [`FAST`].
const FIRST: Duration = Duration::from_millis(100);

const FAST: Duration = Duration::from_millis(800);

/// Where it still is not after [`PATIENCE`]: a person is needed, and asking often does not help.
const STUBBORN: Duration = Duration::from_secs(5);

const PATIENCE: Duration = Duration::from_secs(120);

/// Otherwise.
const SLOW: Duration = Duration::from_secs(30);

/// How many replicas are asked at one time.
const CONCURRENCY: usize = 16;

/// Keeps a [`Fleet`] current.
#[derive(Clone, Debug)]
pub struct Poller {
    fleet: Fleet,
    api: Arc<dyn ServerApi>,
    wanted: Arc<Mutex<BTreeMap<ResourceName, Arc<Published>>>>,
    /// Told when replicas or what they are to serve changed.
    hurry: Arc<Notify>,
    /// The loop's, told of news.
    wake: Arc<Notify>,
}

impl Poller {
    pub fn new(fleet: Fleet, api: Arc<dyn ServerApi>, wake: Arc<Notify>) -> Self {
        Self { fleet, api, wanted: Arc::default(), hurry: Arc::default(), wake }
    }

    /// What the replicas are to serve from now on; asks at once where that changed.
    pub fn expect(&self, wanted: BTreeMap<ResourceName, Arc<Published>>) {
        let mut expected = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if *expected != wanted {
            *expected = wanted;
            self.hurry.notify_one();
        }
    }

    /// Asks at once: there are other replicas than before, or some became ready.
    pub fn hurry(&self) {
        self.hurry.notify_one();
    }

    /// Asks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut usage_asked: Option<Instant> = None;
        let mut unsettled_since: Option<Instant> = None;
        let mut next = FIRST;
        loop {
            let with_usage = usage_asked.is_none_or(|asked| asked.elapsed() >= SLOW);
            if with_usage {
                usage_asked = Some(Instant::now());
            }
            if self.ask_all(with_usage).await {
                self.wake.notify_one();
            }
            let pause = if self.is_settled() {
                (unsettled_since, next) = (None, FIRST);
                SLOW
            } else if unsettled_since.get_or_insert_with(Instant::now).elapsed() < PATIENCE {
                let longer = (next * 2).min(FAST);
                std::mem::replace(&mut next, longer)
            } else {
                STUBBORN
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.hurry.notified() => (unsettled_since, next) = (None, FIRST),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Says whether there was news.
    pub(crate) async fn ask_all(&self, with_usage: bool) -> bool {
        let asked = self.fleet.all().into_iter().map(|state| self.ask(state, with_usage));
        stream::iter(asked).buffer_unordered(CONCURRENCY).fold(false, async |any, news| any | news).await
    }

    async fn ask(&self, state: ReplicaState, with_usage: bool) -> bool {
        let replica = state.replica;
        let mut news = self.fleet.heard(&replica, self.api.loaded(&replica).await);
        if with_usage && state.ready {
            match self.api.usage(&replica).await {
                Ok(usage) => news |= self.fleet.used(&replica, usage),
                Err(error) => tracing::debug!(%error, "how much was used is not known"),
            }
        }
        news
    }

    fn is_settled(&self) -> bool {
        let wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner).clone();
        wanted.iter().all(|(server, published)| is_settled(published, &self.fleet.of(server)))
    }
}

//! The process: logs and metrics, who leads, and the end.

use std::{future::pending, sync::Arc};

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::{
    api,
    context::Options,
    health::{self, Heartbeat},
    leadership::Leadership,
    metrics::Metrics,
    reconcile,
};

/// Looks after a cluster until SIGTERM or SIGINT, or until another replica leads.
///
/// # Errors
/// Where it cannot begin: no cluster, or the address is taken.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let (metrics, heartbeat, shutdown) =
        (Arc::new(Metrics::new()), Heartbeat::default(), CancellationToken::new());
    let client = api::client(metrics.clone()).await.context("there is no cluster to look after")?;
    let listener = TcpListener::bind(options.metrics_listen)
        .await
        .with_context(|| format!("cannot listen on {}", options.metrics_listen))?;
    let shown = health::serve(listener, metrics.clone(), heartbeat.clone(), shutdown.clone());
    let shown = tokio::spawn(shown);
    tracing::info!(version = env!("CARGO_PKG_VERSION"), namespace = options.namespace, "started");

    let leadership = options
        .leader_election
        .then(|| Leadership::new(client.clone(), &options.namespace, &options.identity));
    let told = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        told.cancel();
    });
    let acting = {
        let (metrics, shutdown) = (metrics.clone(), shutdown.clone());
        async move {
            metrics.leads(true);
            reconcile::run(client, Arc::new(options), metrics, heartbeat, shutdown).await
        }
    };
    let outcome = lead(leadership.as_ref(), acting, &shutdown).await;
    shutdown.cancel();
    metrics.leads(false);
    // Only now: whoever leads next finds nobody who still writes.
    if let Some(leadership) = &leadership {
        leadership.release().await;
    }
    shown.abort();
    tracing::info!("stopped");
    outcome
}

/// Acts once this replica leads, until that ends, until the lease is lost, or until a while after `shutdown`. When this returns,
/// nothing acts any more.
///
/// The lease is renewed beside what acts, not between: a pass may compute for long.
async fn lead(
    leadership: Option<&Leadership>,
    acting: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let held = match leadership {
        None => None,
        Some(leadership) => match shutdown.run_until_cancelled(leadership.acquire()).await {
            Some(held) => Some((leadership.clone(), held)),
            None => return Ok(()),
        },
    };
    let lost = async move {
        match held {
            Some((leadership, held)) => leadership.hold(held).await,
            None => pending().await,
        }
    };
    let (mut holding, mut working) = (JoinSet::new(), JoinSet::new());
    holding.spawn(lost);
    working.spawn(acting);
    let outcome = tokio::select! {
        Some(outcome) = working.join_next() => outcome.context("what acts has died").flatten(),
        Some(lost) = holding.join_next() => lost.context("what holds the lease has died"),
        () = overdue(shutdown) => Ok(()),
    };
    working.shutdown().await;
    outcome
}

/// A pass that is under way may end, if it does so soon.
async fn overdue(shutdown: &CancellationToken) {
    shutdown.cancelled().await;
    sleep(reconcile::GRACE).await;
}

#[cfg(test)]
mod tests {
    use std::{sync::Mutex, time::Duration};

    use k8s_openapi::api::coordination::v1::Lease;
    use tokio::time::{Instant, timeout};

    use super::*;
    use crate::{leadership::LEASE, testing::FakeApi};

    /// Something that acts until it is dropped, and says when that was.
    struct Acting(Arc<Mutex<Option<Instant>>>);

    impl Drop for Acting {
        fn drop(&mut self) {
            *self.0.lock().unwrap() = Some(Instant::now());
        }
    }

    fn scene() -> (FakeApi, Leadership, Arc<Mutex<Option<Instant>>>, Acting) {
        let api = FakeApi::new();
        let leadership = Leadership::new(api.client(), "system", "one");
        let dropped = Arc::new(Mutex::new(None));
        (api, leadership, dropped.clone(), Acting(dropped))
    }

    #[tokio::test(start_paused = true)]
    async fn what_acts_is_gone_when_the_lease_is_lost() {
        let (api, leadership, dropped, acting) = scene();
        let acting = async move {
            let _acting = acting;
            pending::<anyhow::Result<()>>().await
        };
        let lose = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            let mut lease: Lease = api.get(Some("system"), LEASE).unwrap();
            lease.spec.as_mut().unwrap().holder_identity = Some("two".to_owned());
            api.put(&lease);
        };
        let shutdown = CancellationToken::new();
        let (outcome, ()) = tokio::join!(lead(Some(&leadership), acting, &shutdown), lose);
        outcome.unwrap();
        assert!(dropped.lock().unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_does_not_end_by_itself_is_gone_before_the_lease_is_given_up() {
        let (api, leadership, dropped, acting) = scene();
        let acting = async move {
            let _acting = acting;
            pending::<anyhow::Result<()>>().await
        };
        let shutdown = CancellationToken::new();
        let stop = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            shutdown.cancel();
        };
        let began = Instant::now();
        let (outcome, ()) = tokio::join!(lead(Some(&leadership), acting, &shutdown), stop);
        outcome.unwrap();
        assert!(began.elapsed() >= reconcile::GRACE);
        assert!(dropped.lock().unwrap().is_some());
        // It is still held: giving it up comes after.
        let lease: Lease = api.get(Some("system"), LEASE).unwrap();
        assert_eq!(lease.spec.unwrap().holder_identity.as_deref(), Some("one"));
    }

    #[tokio::test]
    async fn what_dies_is_an_error() {
        let shutdown = CancellationToken::new();
        let dies = async { panic!("on purpose") };
        let outcome = timeout(Duration::from_secs(10), lead(None, dies, &shutdown)).await.unwrap();
        assert!(outcome.is_err());
    }

    /// Real time and threads: computing without a pause is what is tried.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn the_lease_is_renewed_while_a_pass_computes() {
        let (api, leadership, _, _) = scene();
        let renewed = |api: &FakeApi| api.get::<Lease>(Some("system"), LEASE)?.spec?.renew_time;
        let seen = api.clone();
        let computes = async move {
            let (first, deadline) = (renewed(&seen), Instant::now() + Duration::from_secs(30));
            while renewed(&seen) == first {
                anyhow::ensure!(Instant::now() < deadline, "nobody renewed the lease");
                std::thread::yield_now();
            }
            Ok(())
        };
        lead(Some(&leadership), computes, &CancellationToken::new()).await.unwrap();
        assert!(renewed(&api).is_some());
    }
}

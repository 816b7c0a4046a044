//! The process: logs and metrics, who leads, and the end.

use std::sync::Arc;

use anyhow::Context as _;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
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
    let work = async {
        if let Some(leadership) = &leadership {
            tokio::select! {
                () = leadership.acquire() => {}
                () = shutdown.cancelled() => return Ok(()),
            }
        }
        metrics.leads(true);
        let acting = reconcile::run(client, Arc::new(options), metrics.clone(), heartbeat, shutdown.clone());
        match &leadership {
            Some(leadership) => tokio::select! {
                outcome = acting => outcome,
                // Nothing more is written from here on: what acted is dropped.
                () = leadership.hold() => Ok(()),
            },
            None => acting.await,
        }
    };
    let mut work = std::pin::pin!(work);
    let outcome = tokio::select! {
        outcome = &mut work => outcome,
        _ = terminate.recv() => stop(&mut work, &shutdown).await,
        _ = interrupt.recv() => stop(&mut work, &shutdown).await,
    };
    shutdown.cancel();
    metrics.leads(false);
    if let Some(leadership) = &leadership {
        leadership.release().await;
    }
    shown.abort();
    tracing::info!("stopped");
    outcome
}

/// Lets a pass that is under way end, if it does so soon.
async fn stop(
    work: &mut (impl Future<Output = anyhow::Result<()>> + Unpin),
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    tracing::info!("stopping");
    shutdown.cancel();
    tokio::time::timeout(reconcile::GRACE, work).await.unwrap_or(Ok(()))
}

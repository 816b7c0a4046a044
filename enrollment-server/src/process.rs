//! What the life of a server process consists of, wherever its configuration comes from: sockets, checks, an orderly end.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use issuance::{
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    store::Commit,
};
use rustls::ServerConfig;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    configuration::DeviceTls,
    listeners::{Drained, Limits, Listener, Readiness, private_router},
    metrics::ListenerKind,
    protocols, publish,
    serving::App,
};

/// The audit stream of what a server does.
pub(crate) const AUDIT_STREAM: &str = "server";

/// How often the store is asked whether it can take commits.
const STORE_CHECK: Duration = Duration::from_secs(5);

/// The listeners that every server has, bound before anything else so that a taken port is known at once.
#[derive(Debug)]
pub(crate) struct Sockets {
    pub(crate) device: TcpListener,
    pub(crate) public: TcpListener,
    pub(crate) private: TcpListener,
}

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    pub(crate) device: SocketAddr,
    pub(crate) public: SocketAddr,
    pub(crate) private: SocketAddr,
}

/// Binds a socket; the error names the option that chooses another.
pub(crate) async fn bind(address: SocketAddr, flag: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with {flag}"))
}

impl Sockets {
    pub(crate) async fn bind(addresses: Addresses) -> anyhow::Result<Self> {
        Ok(Self {
            device: bind(addresses.device, "--listen").await?,
            public: bind(addresses.public, "--public-listen").await?,
            private: bind(addresses.private, "--private-listen").await?,
        })
    }

    pub(crate) fn addresses(&self) -> anyhow::Result<Addresses> {
        Ok(Addresses {
            device: self.device.local_addr()?,
            public: self.public.local_addr()?,
            private: self.private.local_addr()?,
        })
    }

    /// Serves until `shutdown`.
    pub(crate) fn serve(
        self,
        app: &Arc<App>,
        tls: &DeviceTls,
        readiness: Arc<dyn Readiness>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<JoinSet<Drained>> {
        let mut tasks = JoinSet::new();
        let mut serve = |listener: Listener| drop(tasks.spawn(listener.serve(shutdown.clone())));
        let behind_proxies = |listener: Listener| Listener { proxy: Some(app.proxy.clone()), ..listener };
        let device = protocols::router(app);
        let settings = Some(tls.settings().build()?);
        let device = listener(app, ListenerKind::Device, self.device, device, settings, &app.limits);
        serve(behind_proxies(device));
        let public = publish::router(app.clone());
        let public = listener(app, ListenerKind::Public, self.public, public, None, &app.limits);
        serve(behind_proxies(public));
        let private = private_router(app.metrics.clone(), readiness);
        serve(listener(app, ListenerKind::Private, self.private, private, None, &app.limits));
        Ok(tasks)
    }
}

/// One listener of this server.
pub(crate) fn listener(
    app: &App,
    kind: ListenerKind,
    socket: TcpListener,
    router: Router,
    tls: Option<Arc<ServerConfig>>,
    limits: &Arc<ArcSwap<Limits>>,
) -> Listener {
    Listener { kind, socket, tls, router, limits: limits.clone(), metrics: app.metrics.clone(), proxy: None }
}

/// Keeps the readiness of the store current without a probe ever waiting for it.
pub(crate) async fn check_store(
    app: Arc<App>,
    report: impl Fn(Result<(), String>) + Send + 'static,
    shutdown: CancellationToken,
) {
    let mut tick = tokio::time::interval(STORE_CHECK);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        report(app.engine.store().check().await.map_err(|error| error.to_string()));
    }
}

/// Waits until every request in flight is answered, or cut at the drain timeout.
pub(crate) async fn drain(mut listeners: JoinSet<Drained>) -> anyhow::Result<()> {
    while let Some(drained) = listeners.join_next().await {
        if let Drained::Cut(connections) = drained? {
            tracing::warn!(connections, "connections were cut at the drain timeout");
        }
    }
    Ok(())
}

/// Writes into the audit trail what the server did.
pub(crate) async fn record(app: &App, action: Action, count: Option<u64>) -> anyhow::Result<()> {
    let mut event = AuditEvent::new(app.engine.clock().now(), action, AuditOutcome::Done, Actor::Server);
    event.count = count;
    app.engine.store().commit(Commit { audit: vec![event], ..Commit::default() }).await??;
    Ok(())
}

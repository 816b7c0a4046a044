//! The server on one machine: the same resources from a folder, keys and rows in another.
//!
//! ```text
//! folder.rs ─► resolve ─► provision.rs (keys, certificates) ─► credentials.rs (rows) ─► office.rs ─► App::serve
//!     ▲            configuration.rs runs this for every change, whole or not at all
//! watch.rs
//! ```
//!
//! `data.rs` says what lies where; `status.rs` and `endpoints.rs` what the outside is told; `tls.rs` keeps the listener's
//! certificate fresh.

mod configuration;
mod credentials;
pub mod data;
pub mod endpoints;
mod folder;
mod keys;
mod office;
mod provision;
pub mod status;
mod tls;
mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Context as _;
use arc_swap::ArcSwap;
use axum::Router;
use issuance::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    ports::SystemClock,
    store::Commit,
};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use self::{
    configuration::{Applied, Configuration},
    data::DataFolder,
    status::{ListenerAddresses, LiveStatus},
    tls::DeviceTls,
    watch::FolderWatch,
};
use crate::{
    jobs::Runner,
    listeners::{Drained, Limits, Listener, private_router},
    metrics::{ListenerKind, Metrics},
    protocols, publish,
    serving::App,
    store::{DatabaseUrl, StoreLocation},
};

/// What the snapshot of the last good configuration is sealed for.
pub const CONFIGURATION_PURPOSE: &str = "configuration";

/// What the key of an authority is sealed for; `dotted` is its `namespace.name`.
pub fn authority_purpose(dotted: &str) -> String {
    format!("authority/{dotted}")
}

/// The audit stream of what this server does.
const AUDIT_STREAM: &str = "server";

/// How often the store is asked whether it can take commits.
const STORE_CHECK: Duration = Duration::from_secs(5);

/// Where the process lives.
#[derive(Clone, Debug)]
pub struct Options {
    pub resources: PathBuf,
    pub data: PathBuf,
    /// Where the rows are, if not in the data folder.
    pub database: Option<DatabaseUrl>,
    pub device: SocketAddr,
    pub public: SocketAddr,
    pub private: SocketAddr,
    pub sealing_key_file: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Where it cannot begin: the data folder, the database, a socket, or the first configuration.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // Before anything is begun: a signal is then answered in every state.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let folder = DataFolder::open(&options.data)?;
    let _lock = folder.lock()?;
    let sealing = Arc::new(folder.sealing_keys(options.sealing_key_file.as_deref())?);
    let metrics = Arc::new(Metrics::new());
    let location = StoreLocation::choose(options.database.clone(), folder.database());
    let store = location.open(AUDIT_STREAM, Some(metrics.clone())).await?;
    let limits = Arc::new(ArcSwap::from_pointee(Limits::default()));
    let app = Arc::new(App::new(
        Engine::new(store.store(), Arc::new(SystemClock)),
        metrics,
        limits,
        sealing.clone(),
    )?);
    let sockets = Sockets::bind(&options).await?;
    let live = Arc::new(LiveStatus::new(folder.clone(), sockets.addresses()?));
    let device = sockets.addresses()?.device;

    let mut configuration = Configuration::new(
        app.clone(),
        folder.clone(),
        sealing.clone(),
        live.clone(),
        &options.resources,
        device,
    );
    let mut watch = FolderWatch::new(&options.resources);
    let applied = configuration.start().await?;
    let tls = DeviceTls::new(app.engine.clone(), sealing.clone(), &folder, &applied.compiled, &app.serving())
        .await?;
    let tls = Arc::new(tls);
    let runner = Runner::new(app.clone(), tls.clone())?;
    runner.ensure_standing_jobs().await?;
    // The first revocation lists are there before anybody can ask.
    runner.run_due().await;

    record(&app, Action::ServerStarted).await?;
    let shutdown = CancellationToken::new();
    let mut listeners = sockets.serve(&app, &tls, &live, &shutdown)?;
    let background = tokio::spawn(runner.run(shutdown.clone()));
    let checks = tokio::spawn(check_store(app.clone(), live.clone(), shutdown.clone()));
    let followed = app.clone();
    let news = tokio::spawn(async move { followed.follow_news().await });
    live.serving(true);
    announce(&applied)?;

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = watch.changed() => {
                configuration.reload(&tls).await;
            }
        }
    }
    tracing::info!("stopping: requests in flight are finished");
    live.serving(false);
    shutdown.cancel();
    while let Some(drained) = listeners.join_next().await {
        if let Drained::Cut(connections) = drained? {
            tracing::warn!(connections, "connections were cut at the drain timeout");
        }
    }
    news.abort();
    background.await?;
    checks.await?;
    record(&app, Action::ServerStopped).await?;
    store.shutdown().await;
    Ok(())
}

/// The three listeners, bound before anything else so that a taken port is known at once.
struct Sockets {
    device: TcpListener,
    public: TcpListener,
    private: TcpListener,
}

impl Sockets {
    async fn bind(options: &Options) -> anyhow::Result<Self> {
        let bind = async |address: SocketAddr, flag: &str| {
            TcpListener::bind(address)
                .await
                .with_context(|| format!("cannot listen on {address}; choose another address with {flag}"))
        };
        Ok(Self {
            device: bind(options.device, "--listen").await?,
            public: bind(options.public, "--public-listen").await?,
            private: bind(options.private, "--private-listen").await?,
        })
    }

    fn addresses(&self) -> anyhow::Result<ListenerAddresses> {
        Ok(ListenerAddresses {
            device: self.device.local_addr()?,
            public: self.public.local_addr()?,
            private: self.private.local_addr()?,
        })
    }

    fn serve(
        self,
        app: &Arc<App>,
        tls: &DeviceTls,
        live: &Arc<LiveStatus>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<JoinSet<Drained>> {
        let listener = |kind, socket, router: Router, tls| Listener {
            kind,
            socket,
            tls,
            router,
            limits: app.limits.clone(),
            metrics: app.metrics.clone(),
        };
        let device = protocols::est::router(app.clone());
        let private = private_router(app.metrics.clone(), live.clone());
        let mut tasks = JoinSet::new();
        let tls = Some(tls.settings().build()?);
        tasks.spawn(listener(ListenerKind::Device, self.device, device, tls).serve(shutdown.clone()));
        let public = publish::router(app.clone());
        tasks.spawn(listener(ListenerKind::Public, self.public, public, None).serve(shutdown.clone()));
        tasks.spawn(listener(ListenerKind::Private, self.private, private, None).serve(shutdown.clone()));
        Ok(tasks)
    }
}

/// Keeps the readiness of the store current without a probe ever waiting for it.
async fn check_store(app: Arc<App>, live: Arc<LiveStatus>, shutdown: CancellationToken) {
    let mut tick = tokio::time::interval(STORE_CHECK);
    while shutdown.run_until_cancelled(tick.tick()).await.is_some() {
        live.store(app.engine.store().check().await.map_err(|error| error.to_string()));
    }
}

async fn record(app: &App, action: Action) -> anyhow::Result<()> {
    let event = AuditEvent::new(app.engine.clock().now(), action, AuditOutcome::Done, Actor::Server);
    app.engine.store().commit(Commit { audit: vec![event], ..Commit::default() }).await??;
    Ok(())
}

fn announce(applied: &Applied) -> anyhow::Result<()> {
    for line in endpoints::describe(&applied.endpoints) {
        crate::cli::output::line(line)?;
    }
    crate::cli::output::line("Chancery is ready")?;
    Ok(())
}

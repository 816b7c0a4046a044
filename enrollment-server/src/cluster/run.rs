//! The life of the process.

use std::{
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use arc_swap::ArcSwap;
use issuance::{
    Engine,
    audit::Action,
    identity::ResourceName,
    ports::{Clock, SystemClock},
    sealing::SealingKeys,
};
use kube::Client;
use tokio::{
    net::TcpListener,
    signal::unix::{Signal, SignalKind, signal},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    candidate::ManifestKey,
    configuration::{Configuration, InternalTls},
    internal::{BODY_BYTES, Internal, router},
    status::ClusterStatus,
    watch::SecretWatch,
};
use crate::{
    configuration::DeviceTls,
    jobs::Runner,
    listeners::{Drained, Limits, MutualTls, OperatorGate, ServerCertificate},
    metrics::{ListenerKind, Metrics},
    process::{AUDIT_STREAM, Addresses, Sockets, bind, check_store, drain, listener, record},
    serving::App,
    standalone::data::{DataFolder, read_secret},
    store::{DatabaseUrl, OpenStore, StoreLocation},
};

/// Where the process lives.
#[derive(Clone, Debug)]
pub struct Options {
    /// The EnrollmentServer that this is a replica of.
    pub server: ResourceName,
    pub manifest_key: ManifestKey,
    /// Where the rows are, unless in a database.
    pub data: Option<PathBuf>,
    pub database: Option<DatabaseUrl>,
    pub sealing_key_file: PathBuf,
    pub device: SocketAddr,
    pub public: SocketAddr,
    pub private: SocketAddr,
    pub internal: SocketAddr,
    /// After SIGTERM, how long new connections are still taken: until nobody sends any here.
    pub drain_delay: Duration,
}

/// Serves until SIGTERM or SIGINT, with what the operator of this cluster says.
///
/// # Errors
/// Where it cannot begin: no cluster, the data folder, the database, the sealing key, a socket.
pub async fn run(options: Options) -> anyhow::Result<()> {
    // Before anything is begun: a signal is then answered in every state.
    let mut signals = Signals::new()?;
    let config = kube::Config::infer().await.context("there is no cluster that this process could ask")?;
    let client = Client::try_from(config).context("the API server cannot be asked")?;
    let mut running = Running::start(options, &client).await?;
    running.serve(signals.received()).await?;
    // A second signal ends the wait.
    running.stop(signals.received()).await
}

/// What asks the process to stop.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> anyhow::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A process whose sockets are open.
pub(super) struct Running {
    pub(super) addresses: Addresses,
    pub(super) server: Server,
    drain_delay: Duration,
    store: OpenStore,
    configuration: Configuration,
    watch: SecretWatch,
    listeners: JoinSet<Drained>,
    shutdown: CancellationToken,
    /// Ends with the shutdown.
    checks: JoinHandle<()>,
    /// Never ends.
    news: JoinHandle<()>,
    /// Begins with the first configuration, ends with the shutdown.
    jobs: Option<JoinHandle<()>>,
    _lock: Option<File>,
}

impl Running {
    pub(super) async fn start(options: Options, client: &Client) -> anyhow::Result<Self> {
        let folder = options.data.as_deref().map(DataFolder::open).transpose()?;
        let lock = folder.as_ref().map(DataFolder::lock).transpose()?;
        let sealing = Arc::new(sealing_keys(&options.sealing_key_file)?);
        let metrics = Arc::new(Metrics::new());
        let location = location(&options, folder.as_ref())?;
        let store = location.open(AUDIT_STREAM, Some(metrics.clone())).await?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let limits = Arc::new(ArcSwap::from_pointee(Limits::default()));
        let engine = Engine::new(store.store(), clock.clone());
        let app = Arc::new(App::new(engine, metrics, limits, sealing.clone())?);
        let server = Server::new(app.clone(), sealing, clock);
        let shutdown = CancellationToken::new();
        let (addresses, listeners) = server.listen(&options, &shutdown).await?;
        record(&app, Action::ServerStarted, None).await?;
        let report = server.status.clone();
        let report = move |outcome| report.store(outcome);
        let checks = tokio::spawn(check_store(app.clone(), report, shutdown.clone()));
        let news = tokio::spawn(async move { app.follow_news().await });
        let name = options.server;
        tracing::info!(server = %name, "waiting for a configuration");
        Ok(Self {
            addresses,
            drain_delay: options.drain_delay,
            store,
            watch: SecretWatch::start(client, name.namespace(), name.name()),
            configuration: server.configuration(name, options.manifest_key),
            server,
            listeners,
            shutdown,
            checks,
            news,
            jobs: None,
            _lock: lock,
        })
    }

    /// Puts in force what the operator says, until `stop`.
    pub(super) async fn serve(&mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Addresses { device, public, private } = self.addresses;
        tracing::info!(%device, %public, %private, "listening");
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => return Ok(()),
                () = self.configuration.next(&mut self.watch) => {}
            }
            if self.jobs.is_none() && self.configuration.is_in_force() {
                let runner = Runner::new(self.server.app.clone(), self.server.tls.clone())?;
                runner.ensure_standing_jobs().await?;
                self.jobs = Some(tokio::spawn(runner.run(self.shutdown.clone())));
            }
        }
    }

    /// Says that it is not ready any more, takes connections until nobody sends any (the delay, or `at_once`), finishes
    /// what was begun, and ends.
    pub(super) async fn stop(self, at_once: impl Future<Output = ()>) -> anyhow::Result<()> {
        tracing::info!("stopping: connections are taken until nobody sends any");
        self.server.status.stopping();
        let _ = tokio::time::timeout(self.drain_delay, at_once).await;
        tracing::info!("stopping: requests in flight are finished");
        self.shutdown.cancel();
        drain(self.listeners).await?;
        self.news.abort();
        if let Some(jobs) = self.jobs {
            jobs.await?;
        }
        self.checks.await?;
        record(&self.server.app, Action::ServerStopped, None).await?;
        self.store.shutdown().await;
        Ok(())
    }
}

/// A server that serves nothing yet.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) app: Arc<App>,
    pub(super) tls: Arc<DeviceTls>,
    pub(super) status: Arc<ClusterStatus>,
    pub(super) internal: InternalTls,
}

impl Server {
    pub(super) fn new(app: Arc<App>, sealing: Arc<SealingKeys>, clock: Arc<dyn Clock>) -> Self {
        let internal = InternalTls {
            certificate: Arc::new(ServerCertificate::none()),
            gate: Arc::new(OperatorGate::new(clock)),
        };
        let tls = Arc::new(DeviceTls::new(app.engine.clone(), sealing));
        let status = Arc::new(ClusterStatus::new(app.clone()));
        Self { app, tls, status, internal }
    }

    pub(super) fn configuration(&self, server: ResourceName, key: ManifestKey) -> Configuration {
        let (app, tls, status) = (self.app.clone(), self.tls.clone(), self.status.clone());
        Configuration::new(app, tls, status, self.internal.clone(), server, key)
    }

    async fn listen(
        &self,
        options: &Options,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<(Addresses, JoinSet<Drained>)> {
        let Options { device, public, private, .. } = *options;
        let sockets = Sockets::bind(Addresses { device, public, private }).await?;
        let addresses = sockets.addresses()?;
        let internal = bind(options.internal, "--internal-listen").await?;
        let mut listeners = sockets.serve(&self.app, &self.tls, self.status.clone(), shutdown)?;
        self.serve_operator(internal, &mut listeners, shutdown)?;
        Ok((addresses, listeners))
    }

    /// Serves the internal listener. Its limits are its own, so that no configuration shuts the operator out.
    pub(super) fn serve_operator(
        &self,
        socket: TcpListener,
        listeners: &mut JoinSet<Drained>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<()> {
        let InternalTls { certificate, gate } = self.internal.clone();
        let tls = MutualTls { certificate, gate: gate.clone() }.build()?;
        let router = router(Internal { app: self.app.clone(), status: self.status.clone(), gate });
        let limits = Limits { body_bytes: BODY_BYTES, ..Limits::default() };
        let limits = Arc::new(ArcSwap::from_pointee(limits));
        let listener = listener(&self.app, ListenerKind::Internal, socket, router, Some(tls), &limits);
        listeners.spawn(listener.serve(shutdown.clone()));
        Ok(())
    }
}

fn location(options: &Options, folder: Option<&DataFolder>) -> anyhow::Result<StoreLocation> {
    match (&options.database, folder) {
        (Some(url), _) => Ok(StoreLocation::Postgres(url.clone())),
        (None, Some(folder)) => Ok(StoreLocation::Sqlite(folder.database())),
        (None, None) => anyhow::bail!("give --data, or the URL of a database in CHANCERY_DATABASE_URL"),
    }
}

fn sealing_keys(file: &Path) -> anyhow::Result<SealingKeys> {
    ensure!(file.exists(), "the sealing key {} is not there", file.display());
    Ok(SealingKeys::parse(&read_secret(file)?)?)
}

//! The server on one machine: the same resources from a folder, keys and rows in another.
//!
//! ```text
//! folder.rs ─► resolve ─► provision.rs (keys, certificates) ─► crate::configuration (rows, what is served)
//!     ▲            configuration.rs runs this for every change, whole or not at all
//! watch.rs
//! ```
//!
//! `data.rs` says what lies where; `values.rs` writes there what is made for credentials; `status.rs` and `endpoints.rs` say
//! what the outside is told.

mod configuration;
pub mod data;
pub mod endpoints;
mod folder;
mod keys;
mod provision;
pub mod status;
mod values;
mod watch;

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use arc_swap::ArcSwap;
use issuance::{Engine, audit::Action, ports::SystemClock};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use self::{
    configuration::{Applied, Configuration},
    data::DataFolder,
    status::{ListenerAddresses, LiveStatus},
    watch::FolderWatch,
};
use crate::{
    configuration::DeviceTls,
    jobs::Runner,
    listeners::Limits,
    metrics::Metrics,
    process::{AUDIT_STREAM, Addresses, Sockets, check_store, drain, record},
    serving::App,
    store::{DatabaseUrl, StoreLocation},
};

/// What the snapshot of the last good configuration is sealed for.
pub const CONFIGURATION_PURPOSE: &str = "configuration";

/// What the key of an authority is sealed for; `dotted` is its `namespace.name`.
pub fn authority_purpose(dotted: &str) -> String {
    format!("authority/{dotted}")
}

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
    let addresses = Addresses { device: options.device, public: options.public, private: options.private };
    let sockets = Sockets::bind(addresses).await?;
    let Addresses { device, public, private } = sockets.addresses()?;
    let addresses = ListenerAddresses { device, public, private };
    let live = Arc::new(LiveStatus::new(app.clone(), folder.clone(), addresses));
    let tls = Arc::new(DeviceTls::new(app.engine.clone(), sealing.clone()));

    let mut configuration = Configuration::new(
        app.clone(),
        tls.clone(),
        folder.clone(),
        sealing.clone(),
        live.clone(),
        &options.resources,
        device,
    );
    let mut watch = FolderWatch::new(&options.resources);
    let applied = configuration.start().await?;
    let runner = Runner::new(app.clone(), tls.clone())?;
    runner.ensure_standing_jobs().await?;
    // The first revocation lists are there before anybody can ask.
    runner.run_due().await;

    record(&app, Action::ServerStarted, None).await?;
    let shutdown = CancellationToken::new();
    let listeners = sockets.serve(&app, &tls, live.clone(), &shutdown)?;
    let background = tokio::spawn(runner.run(shutdown.clone()));
    let report = live.clone();
    let checks =
        tokio::spawn(check_store(app.clone(), move |outcome| report.store(outcome), shutdown.clone()));
    let followed = app.clone();
    let news = tokio::spawn(async move { followed.follow_news().await });
    live.serving(true);
    announce(&applied)?;

    loop {
        tokio::select! {
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = watch.changed() => configuration.reload().await,
        }
    }
    tracing::info!("stopping: requests in flight are finished");
    live.serving(false);
    shutdown.cancel();
    drain(listeners).await?;
    news.abort();
    background.await?;
    checks.await?;
    record(&app, Action::ServerStopped, None).await?;
    store.shutdown().await;
    Ok(())
}

fn announce(applied: &Applied) -> anyhow::Result<()> {
    for line in endpoints::describe(&applied.endpoints) {
        crate::cli::output::line(line)?;
    }
    crate::cli::output::line("Chancery is ready")?;
    Ok(())
}

//! A server, its rows, and what it answers.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::body::Body;
use client::internal::Loaded;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use issuance::{
    Engine, Error,
    authn::{Evidence, Freshness},
    authority::Method,
    credential::CredentialRow,
    identity::ResourceName,
    ports::{Clock, SystemClock},
    sealing::SealingKeys,
    secret::Secret,
    store::{CredentialFilter, Page, Store, memory::MemoryStore},
};
use tower::ServiceExt as _;

use super::{
    super::{configuration::Configuration, run::Server, watch::Found},
    operator::{FakeOperator, Publication, server},
};
use crate::{
    listeners::{Limits, Readiness as _},
    metrics::Metrics,
    publish,
    serving::App,
};

/// Only ends a test that would hang.
pub(super) const HANG: Duration = Duration::from_secs(30);

pub(super) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("it should have ended long ago")
}

/// One process. Several share a store and a sealing key.
pub(super) struct Replica {
    pub(super) app: Arc<App>,
    pub(super) server: Server,
    pub(super) configuration: Configuration,
}

/// What outlives a process.
#[derive(Clone)]
pub(super) struct Volume {
    pub(super) store: Arc<dyn Store>,
    pub(super) sealing: Arc<SealingKeys>,
}

impl Volume {
    pub(super) fn new() -> Self {
        Self::on(Arc::new(MemoryStore::default()))
    }

    pub(super) fn on(store: Arc<dyn Store>) -> Self {
        let line = SealingKeys::generate_line().unwrap();
        Self { store, sealing: Arc::new(SealingKeys::parse(&line).unwrap()) }
    }

    pub(super) fn start(&self, operator: &FakeOperator) -> Replica {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engine = Engine::new(self.store.clone(), clock.clone());
        let limits = Arc::new(ArcSwap::from_pointee(Limits::default()));
        let app = App::new(engine, Arc::new(Metrics::new()), limits, self.sealing.clone()).unwrap();
        let app = Arc::new(app);
        let process = Server::new(app.clone(), self.sealing.clone(), clock);
        let configuration = process.configuration(server(), operator.key());
        Replica { app, server: process, configuration }
    }
}

/// A server that serves what its operator says.
pub(super) struct Scene {
    pub(super) operator: FakeOperator,
    pub(super) volume: Volume,
    pub(super) replica: Replica,
    pub(super) published: Publication,
}

impl Scene {
    pub(super) async fn new() -> Self {
        let mut operator = FakeOperator::new();
        let published = operator.publish().await;
        let volume = Volume::new();
        let mut replica = volume.start(&operator);
        replica.consider(&published.found()).await;
        assert_eq!(replica.loaded().generation, 1, "{:?}", replica.loaded());
        Self { operator, volume, replica, published }
    }

    /// Publishes what the documents say now, and has the server look at it.
    pub(super) async fn publish(&mut self) {
        self.published = self.operator.publish().await;
        self.replica.consider(&self.published.found()).await;
        let loaded = self.replica.loaded();
        assert_eq!((loaded.generation, loaded.rejected), (self.operator.generation, None));
    }
}

impl Replica {
    pub(super) async fn consider(&mut self, found: &Found) {
        soon(self.configuration.consider(found)).await;
    }

    pub(super) fn loaded(&self) -> Loaded {
        self.server.status.loaded()
    }

    /// Whether probes are told that it is ready.
    pub(super) fn is_ready(&self) -> bool {
        self.server.status.report().ready
    }

    /// Why what lies there is not in force.
    pub(super) fn rejected(&self) -> String {
        self.loaded().rejected.unwrap_or_default()
    }

    pub(super) fn method(&self) -> Arc<Method> {
        self.app.serving().office.methods[&ResourceName::new("enrollment", "devices")].clone()
    }

    /// A look at a password as a device shows it.
    pub(super) async fn login(&self, user: &str, password: &Secret) -> Result<Evidence, Error> {
        let now = self.app.engine.clock().now();
        self.app.passwords.verify(&self.method(), user, password, now, Freshness::Fresh, None).await
    }

    /// Rows that resources declare.
    pub(super) async fn declared(&self) -> Vec<CredentialRow> {
        let filter = CredentialFilter { declared: Some(true), ..CredentialFilter::default() };
        let rows = self.app.engine.store().credentials(&filter, &Page::first(100)).await.unwrap();
        rows.into_iter().map(|(_, row)| row).collect()
    }

    /// What the whole world fetches.
    pub(super) async fn get(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = publish::router(self.app.clone()).oneshot(request).await.unwrap();
        let status = answer.status();
        (status, answer.into_body().collect().await.unwrap().to_bytes().to_vec())
    }

    /// The value of a series.
    pub(super) fn metric(&self, series: &str) -> u64 {
        let text = self.app.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

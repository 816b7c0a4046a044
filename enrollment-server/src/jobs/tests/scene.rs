//! A server whose clock is turned by hand, and a webhook that writes down what it is told.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use aws_lc_rs::hmac;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, Uri};
use issuance::{
    Engine, Error,
    audit::AuditEvent,
    ports::Clock,
    sealing::SealingKeys,
    secret::Secret,
    store::{
        CertificateRow, CertificateStatus, Commit, Job, JobKind, JobLease, Store, Write,
        memory::MemoryStore,
        suite::samples::{NOW, certificate, insert, method, serial},
    },
};
use pki::{extension::ReasonCode, time::Time};
use resolve::CompiledNotice;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinSet};

use crate::{
    jobs::{Renewal, Runner, ensure_notice_jobs},
    listeners::Limits,
    metrics::Metrics,
    serving::{App, Serving},
};

pub(super) const HOUR: i64 = 3600;
pub(super) const DAY: i64 = 86_400;
pub(super) const SECRET: &[u8] = b"a key that both sides have";

#[derive(Debug)]
pub(super) struct ManualClock(AtomicI64);

impl Clock for ManualClock {
    fn now(&self) -> Time {
        Time::from_unix(self.0.load(Ordering::SeqCst))
    }
}

/// The server's own certificate is not what these tests are about.
#[derive(Debug)]
struct NothingToRenew;

#[async_trait]
impl Renewal for NothingToRenew {
    async fn renew(&self) -> Result<i64, Error> {
        Ok(HOUR)
    }
}

/// A server, and the one webhook that exists.
pub(super) struct Scene {
    pub(super) store: Arc<dyn Store>,
    pub(super) app: Arc<App>,
    pub(super) runner: Runner,
    pub(super) receiver: Receiver,
    clock: Arc<ManualClock>,
}

impl Scene {
    /// Its method tells the webhook so many days before.
    pub(super) async fn new(days: &[i64]) -> Self {
        Self::on(Arc::new(MemoryStore::default()), days).await
    }

    pub(super) async fn on(store: Arc<dyn Store>, days: &[i64]) -> Self {
        Self::starting(store, Receiver::new().await, days).await
    }

    /// A process that begins to work with what others have left.
    pub(super) async fn starting(store: Arc<dyn Store>, receiver: Receiver, days: &[i64]) -> Self {
        let clock = Arc::new(ManualClock(AtomicI64::new(NOW.unix())));
        let engine = Engine::new(store.clone(), clock.clone());
        let sealing = SealingKeys::parse(&SealingKeys::generate_line().unwrap()).unwrap();
        let limits = Arc::new(ArcSwap::from_pointee(Limits::default()));
        let app = Arc::new(App::new(engine, Arc::new(Metrics::new()), limits, Arc::new(sealing)).unwrap());
        let runner = another_runner(&app);
        let scene = Self { store, app, runner, receiver, clock };
        scene.serve(vec![scene.receiver.notice(days)]).await;
        scene
    }

    /// Puts these notices in force.
    pub(super) async fn serve(&self, notices: Vec<CompiledNotice>) {
        let generation = self.app.serving().generation + 1;
        let notices = if notices.is_empty() { Vec::new() } else { vec![(method("est"), notices)] };
        self.app.serve(Serving { generation, notices: notices.into_iter().collect(), ..Serving::default() });
        ensure_notice_jobs(&self.app).await.unwrap();
    }

    pub(super) fn now(&self) -> Time {
        self.clock.now()
    }

    pub(super) fn wait(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds, Ordering::SeqCst);
    }

    /// Does what is due now.
    pub(super) async fn work(&self) {
        self.runner.look_for_notices().await;
        self.runner.tell_webhooks().await;
    }

    /// Lets time pass, working every hour.
    pub(super) async fn work_for(&self, days: i64) {
        for _ in 0..days * 24 {
            self.wait(HOUR);
            self.work().await;
        }
    }

    pub(super) async fn insert(&self, row: CertificateRow) {
        write(&*self.store, vec![insert(row)]).await;
    }

    pub(super) async fn set_status(&self, number: u32, status: CertificateStatus) {
        let issuer = certificate(number).issuer;
        write(&*self.store, vec![Write::SetCertificateStatus { issuer, serial: serial(number), status }])
            .await;
    }

    /// When the next job of this kind falls due, seconds from now.
    pub(super) async fn next(&self, kind: JobKind) -> Option<i64> {
        self.store.next_job(&[kind]).await.unwrap().map(|at| at.unix() - self.now().unix())
    }

    /// Takes all jobs of this kind that are due, as another server would.
    pub(super) async fn take(&self, kind: JobKind, owner: &str) -> Vec<Job> {
        let lease = JobLease { owner: owner.into(), until: self.now().plus_seconds(300) };
        self.store.lease_jobs(&[kind], &lease, self.now(), 10_000).await.unwrap()
    }

    pub(super) async fn events(&self) -> Vec<AuditEvent> {
        let mut events = Vec::new();
        for stream in self.store.audit_streams().await.unwrap() {
            let records = self.store.audit_records(&stream, 0, 10_000).await.unwrap();
            events.extend(records.iter().map(|record| record.event().unwrap()));
        }
        events
    }
}

pub(super) fn another_runner(app: &Arc<App>) -> Runner {
    Runner::new(app.clone(), Arc::new(NothingToRenew)).unwrap()
}

pub(super) async fn write(store: &dyn Store, writes: Vec<Write>) {
    store.commit(Commit { writes, ..Commit::default() }).await.unwrap().unwrap();
}

/// A certificate of the method that ends so many days from [`NOW`], issued now.
pub(super) fn ending(number: u32, days: i64) -> CertificateRow {
    CertificateRow { not_after: NOW.plus_seconds(days * DAY), ..certificate(number) }
}

pub(super) fn revoked() -> CertificateStatus {
    CertificateStatus::Revoked { at: NOW, reason: ReasonCode::Unspecified, invalidity_date: None }
}

/// What the webhook was told once.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Told {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The serial number as the certificates of these tests have it.
    pub(super) fn number(&self) -> u32 {
        u32::from_str_radix(self.json()["serial"].as_str().unwrap(), 16).unwrap()
    }

    /// When it was signed, if this secret signed it.
    pub(super) fn signed_at(&self, secret: &[u8]) -> Option<i64> {
        let header = self.headers.get("Chancery-Signature")?.to_str().ok()?;
        let (time, signature) = header.strip_prefix("t=")?.split_once(",v1=")?;
        let message = [time.as_bytes(), b".", &self.body].concat();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        hmac::verify(&key, &message, &hex::decode(signature).ok()?).ok()?;
        time.parse().ok()
    }
}

/// Answers with what the script says, and then with 204.
#[derive(Clone, Debug)]
pub(super) struct Receiver {
    pub(super) address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    script: Arc<Mutex<VecDeque<(StatusCode, String)>>>,
    _server: Arc<JoinSet<()>>,
}

impl Receiver {
    async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (told, script) = (Arc::default(), Arc::default());
        let mut server = JoinSet::new();
        let address = listener.local_addr().unwrap();
        let state = (Arc::clone(&told), Arc::clone(&script));
        let router = Router::new().fallback(receive).with_state(state);
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, told, script, _server: Arc::new(server) }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook?tenant=1", self.address)
    }

    pub(super) fn notice(&self, days: &[i64]) -> CompiledNotice {
        let before = days.iter().map(|days| Duration::from_secs((days * DAY).unsigned_abs()));
        CompiledNotice { before: before.collect(), url: self.url(), secret: Secret::new(SECRET) }
    }

    pub(super) fn answer(&self, status: StatusCode, body: impl Into<String>) {
        self.script.lock().unwrap().push_back((status, body.into()));
    }

    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Which certificates, in the order of their numbers.
    pub(super) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<_> = self.told().iter().map(Told::number).collect();
        numbers.sort_unstable();
        numbers
    }
}

type Shared = (Arc<Mutex<Vec<Told>>>, Arc<Mutex<VecDeque<(StatusCode, String)>>>);

async fn receive(
    State((told, script)): State<Shared>,
    uri: Uri,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    told.lock().unwrap().push(Told { method, path: uri.to_string(), headers, body });
    let (status, text) =
        script.lock().unwrap().pop_front().unwrap_or((StatusCode::NO_CONTENT, String::new()));
    match status {
        StatusCode::FOUND => (status, [("Location", "/elsewhere")], text).into_response(),
        _ => (status, text).into_response(),
    }
}

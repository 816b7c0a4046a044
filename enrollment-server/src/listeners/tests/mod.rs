//! Listeners on real loopback sockets. Every wait is for a condition; [`soon`] only ends a test that would hang.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::metrics::{ListenerKind, Metrics};

mod limits;
mod private;
mod proxy;
mod shutdown;
mod throttle;
mod tls;

/// Far above every limit the tests set.
const HANG: Duration = Duration::from_secs(20);
/// A limit that a test waits for.
const SHORT: Duration = Duration::from_millis(300);

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("it should have ended long ago")
}

/// A listener that runs until dropped.
struct Server {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
    running: JoinHandle<Drained>,
    gate: Gate,
}

impl Server {
    async fn plain(limits: Limits) -> Self {
        Self::start(None, limits).await
    }

    async fn start(tls: Option<Arc<ServerConfig>>, limits: Limits) -> Self {
        Self::behind(None, tls, limits).await
    }

    async fn behind(
        proxy: Option<Arc<ArcSwapOption<ProxyProtocol>>>,
        tls: Option<Arc<ServerConfig>>,
        limits: Limits,
    ) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (metrics, shutdown, gate) = (Arc::new(Metrics::new()), CancellationToken::new(), Gate::new());
        let listener = Listener {
            kind: ListenerKind::Device,
            socket,
            tls,
            router: router(gate.clone()),
            limits: Arc::new(ArcSwap::from_pointee(limits)),
            metrics: Arc::clone(&metrics),
            proxy,
        };
        let running = tokio::spawn(listener.serve(shutdown.clone()));
        Self { address, metrics, shutdown, running, gate }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// The value of a series, as `/metrics` gives it.
    fn metric(&self, series: &str) -> u64 {
        let text = self.metrics.encode().unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// A handler that says when it began, and ends when told.
#[derive(Clone)]
struct Gate {
    entered: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { entered: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    async fn entered(&self) {
        soon(self.entered.acquire()).await.unwrap().forget();
    }

    fn open(&self) {
        self.open.add_permits(1);
    }
}

fn router(gate: Gate) -> Router {
    Router::new()
        .route("/who", get(who))
        .route("/wait", get(wait).with_state(gate))
        .route("/read", post(read))
        .route("/extract", post(|body: Bytes| async move { format!("{} bytes", body.len()) }))
}

async fn who(Extension(peer): Extension<Peer>) -> String {
    let tls = peer.tls.map_or("none", TlsVersion::as_str);
    format!("ip={} certificates={} tls={tls}", peer.ip(), peer.certificates.len())
}

async fn wait(State(gate): State<Gate>) -> &'static str {
    gate.entered.add_permits(1);
    gate.open.acquire().await.unwrap().forget();
    "waited"
}

async fn read(body: Body) -> Response {
    match read_body(body, 1000, SHORT).await {
        Ok(bytes) => format!("{} bytes", bytes.len()).into_response(),
        Err(error) => error.into_response(),
    }
}

/// Sends `request` and reads until the server closes.
async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    to_end(stream).await
}

/// What the server sent before it closed.
async fn to_end<S: AsyncRead + Unpin>(mut stream: S) -> String {
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Sends a request that keeps the connection, and reads its answer, whose body ends with `ending`.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, path: &str, ending: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(ending.as_bytes()) {
        assert_ne!(soon(stream.read_buf(&mut answer)).await.unwrap(), 0, "closed instead of an answer");
    }
    String::from_utf8(answer).unwrap()
}

fn get_closing(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or_else(|| panic!("no HTTP answer: {answer:?}"))
}

fn certificate(name: &str) -> CertifiedKey<KeyPair> {
    generate_simple_self_signed([name.to_owned()]).unwrap()
}

fn chain(certificate: &CertifiedKey<KeyPair>) -> Vec<CertificateDer<'static>> {
    vec![certificate.cert.der().clone()]
}

fn key(certificate: &CertifiedKey<KeyPair>) -> PrivatePkcs8KeyDer<'static> {
    PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der())
}

fn server_certificate(certificate: &CertifiedKey<KeyPair>) -> Arc<ServerCertificate> {
    Arc::new(ServerCertificate::new(identity(certificate)))
}

fn identity(certificate: &CertifiedKey<KeyPair>) -> ServerIdentity {
    ServerIdentity::new(chain(certificate), key(certificate)).unwrap()
}

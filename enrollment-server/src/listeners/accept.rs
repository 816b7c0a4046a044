//! Accepting connections: the cap, the TLS handshake, and the end.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use axum::Router;
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    Limits, ProxyProtocol,
    connection::{self, Http},
    edge::Edge,
    peer::Peer,
    tls::ALPN_H2,
};
use crate::metrics::{Cut, HandshakeOutcome, ListenerKind, ListenerMetrics, Metrics, TlsVersionLabel};

/// How long to wait when the process or the host has no descriptor or memory left for a connection: nothing tells when
/// there is one again.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(200);

/// A socket and all that is needed to serve it.
#[derive(Debug)]
pub struct Listener {
    /// Which listener it is, for metrics and logs.
    pub kind: ListenerKind,
    /// The bound socket.
    pub socket: TcpListener,
    /// TLS; `None` serves plain HTTP/1.1.
    pub tls: Option<Arc<ServerConfig>>,
    /// What it serves.
    pub router: Router,
    /// Limits, replaceable while it runs.
    pub limits: Arc<ArcSwap<Limits>>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Set: whether connections begin with a header of the PROXY protocol; replaceable while it runs.
    pub proxy: Option<Arc<ArcSwapOption<ProxyProtocol>>>,
}

/// How a listener ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Completely,
    /// So many connections were cut at the drain timeout.
    Cut(usize),
}

impl Listener {
    /// Serves until `shutdown`, then closes the socket, lets requests in flight end, and returns when the last
    /// connection is gone or the drain timeout has passed.
    pub async fn serve(self, shutdown: CancellationToken) -> Drained {
        let metrics = self.metrics.listener(self.kind);
        let shared = Arc::new(Shared {
            kind: self.kind,
            tls: self.tls.map(TlsAcceptor::from),
            edge: Arc::new(Edge::new(self.router, Arc::clone(&self.limits), metrics.clone())),
            limits: self.limits,
            proxy: self.proxy,
            metrics: self.metrics,
            listener_metrics: metrics,
            places: Places::default(),
            shutdown,
            abandon: CancellationToken::new(),
        });
        shared.shutdown.run_until_cancelled(shared.accept(&self.socket)).await;
        drop(self.socket);
        shared.drain().await
    }
}

struct Shared {
    kind: ListenerKind,
    tls: Option<TlsAcceptor>,
    edge: Arc<Edge>,
    limits: Arc<ArcSwap<Limits>>,
    proxy: Option<Arc<ArcSwapOption<ProxyProtocol>>>,
    metrics: Arc<Metrics>,
    listener_metrics: ListenerMetrics,
    places: Places,
    shutdown: CancellationToken,
    abandon: CancellationToken,
}

impl Shared {
    async fn accept(self: &Arc<Self>, socket: &TcpListener) {
        loop {
            self.free_place().await;
            match socket.accept().await {
                Ok((stream, address)) => {
                    self.places.take();
                    self.listener_metrics.connections_open.inc();
                    let connection = Connection { shared: Arc::clone(self) };
                    tokio::spawn(connection.serve(stream, address));
                }
                Err(error) => self.accept_failed(&error).await,
            }
        }
    }

    /// Waits while the listener is full. A cap that is raised meanwhile holds from the next connection that ends.
    async fn free_place(&self) {
        let mut waited = false;
        while self.places.taken() >= self.limits.load().connections.max(1) {
            if !waited {
                waited = true;
                self.listener_metrics.connections_held_back.inc();
                warn!(listener = %self.kind, "connection limit reached: new connections wait");
            }
            self.places.freed.notified().await;
        }
    }

    async fn accept_failed(&self, error: &io::Error) {
        self.listener_metrics.accept_errors.inc();
        match error.kind() {
            // The peer was gone before we looked: the next one may be there already.
            io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted => debug!(listener = %self.kind, %error, "accept failed"),
            _ => {
                warn!(listener = %self.kind, %error, "accept failed: waiting for resources");
                sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }

    async fn drain(&self) -> Drained {
        let drain_timeout = self.limits.load().drain_timeout;
        if timeout(drain_timeout, self.places.all_free()).await.is_ok() {
            return Drained::Completely;
        }
        let cut = self.places.taken();
        warn!(listener = %self.kind, connections = cut, "drain timeout: cutting connections");
        self.abandon.cancel();
        self.places.all_free().await;
        Drained::Cut(cut)
    }
}

/// Counts open connections. Only the accept loop takes a place and only it waits for one.
#[derive(Debug, Default)]
struct Places {
    taken: AtomicUsize,
    freed: Notify,
}

impl Places {
    fn take(&self) {
        self.taken.fetch_add(1, Ordering::Relaxed);
    }

    fn free(&self) {
        self.taken.fetch_sub(1, Ordering::Release);
        self.freed.notify_one();
    }

    fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    async fn all_free(&self) {
        while self.taken() > 0 {
            self.freed.notified().await;
        }
    }
}

/// An accepted connection; dropping it, however it ends, gives its place back.
struct Connection {
    shared: Arc<Shared>,
}

impl Connection {
    async fn serve(self, mut stream: TcpStream, socket: SocketAddr) {
        let limits = self.shared.limits.load_full();
        if let Err(error) = stream.set_nodelay(true) {
            debug!(address = %socket, %error, "the connection ended before it began");
            return;
        }
        let Some(address) = self.origin(&mut stream, socket, &limits).await else { return };
        match &self.shared.tls {
            None => self.speak(stream, Http::One, Peer::plain(address), limits).await,
            Some(acceptor) => {
                let Some(stream) = self.handshake(acceptor, stream, address, &limits).await else { return };
                let connection = stream.get_ref().1;
                let http = if connection.alpn_protocol() == Some(ALPN_H2) { Http::Two } else { Http::One };
                let peer = Peer::secured(address, connection);
                self.speak(stream, http, peer, limits).await;
            }
        }
    }

    /// From whom the connection is. None: it does not begin as it must, and is closed without a word.
    async fn origin(
        &self,
        stream: &mut TcpStream,
        socket: SocketAddr,
        limits: &Limits,
    ) -> Option<SocketAddr> {
        let proxy = self.shared.proxy.as_ref().and_then(|proxy| proxy.load_full());
        let Some(proxy) = proxy else { return Some(socket) };
        let header = timeout(limits.handshake_timeout, proxy.read(stream, socket));
        match self.shared.shutdown.run_until_cancelled(header).await? {
            Ok(Ok(address)) => return Some(address),
            Ok(Err(error)) => debug!(address = %socket, %error, "connection closed"),
            Err(_elapsed) => debug!(address = %socket, "the header of the PROXY protocol took too long"),
        }
        self.shared.listener_metrics.cut(Cut::ProxyHeader);
        None
    }

    async fn speak<S>(&self, stream: S, http: Http, peer: Peer, limits: Arc<Limits>)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let Shared { edge, shutdown, abandon, .. } = &*self.shared;
        let address = peer.address;
        let cut = connection::serve(stream, http, peer, Arc::clone(edge), limits, shutdown, abandon).await;
        if let Some(reason) = cut {
            self.shared.listener_metrics.cut(reason);
            debug!(%address, %reason, "connection cut");
        }
    }

    /// A shutdown ends it: nothing was asked yet.
    async fn handshake(
        &self,
        acceptor: &TlsAcceptor,
        stream: TcpStream,
        address: SocketAddr,
        limits: &Limits,
    ) -> Option<TlsStream<TcpStream>> {
        let handshake = timeout(limits.handshake_timeout, acceptor.accept(stream));
        let ended = self.shared.shutdown.run_until_cancelled(handshake).await?;
        let (version, outcome, stream) = match ended {
            Ok(Ok(stream)) => {
                let version = Peer::secured(address, stream.get_ref().1).tls;
                let version = version.map_or(TlsVersionLabel::Unknown, |version| version.label());
                (version, HandshakeOutcome::Completed, Some(stream))
            }
            Ok(Err(error)) => {
                debug!(%address, %error, "TLS handshake failed");
                (TlsVersionLabel::Unknown, HandshakeOutcome::Failed, None)
            }
            Err(_elapsed) => {
                debug!(%address, "TLS handshake took too long");
                (TlsVersionLabel::Unknown, HandshakeOutcome::TimedOut, None)
            }
        };
        self.shared.metrics.handshake(version, outcome);
        stream
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.listener_metrics.connections_open.dec();
        self.shared.places.free();
    }
}

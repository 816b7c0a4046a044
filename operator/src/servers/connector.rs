//! Connections to replicas: TCP to the pod, TLS under the name of its server.

use std::{
    collections::BTreeMap,
    fmt, io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    task::{Context, Poll},
    time::Duration,
};

use ::client::internal::server_dns_name;
use arc_swap::ArcSwapOption;
use futures::future::BoxFuture;
use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::Replica;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens connections. A request names a replica by the UID of its pod, so that no two share a connection, whatever address
/// they have or had.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Arc<ArcSwapOption<ClientConfig>>,
    targets: Arc<RwLock<BTreeMap<String, Replica>>>,
    port: u16,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Connector {
    pub(super) fn new(port: u16) -> Self {
        Self { tls: Arc::default(), targets: Arc::default(), port }
    }

    /// Connections that are opened from now on show this identity.
    pub(super) fn identify(&self, config: Arc<ClientConfig>) {
        self.tls.store(Some(config));
    }

    pub(super) fn is_identified(&self) -> bool {
        self.tls.load().is_some()
    }

    /// The authority of URIs that lead to the replica.
    pub(super) fn authority(&self, replica: &Replica) -> String {
        let mut targets = self.targets.write().unwrap_or_else(PoisonError::into_inner);
        if targets.get(&replica.uid) != Some(replica) {
            targets.insert(replica.uid.clone(), replica.clone());
        }
        replica.uid.clone()
    }

    /// Forgets all replicas but these.
    pub(super) fn retain(&self, kept: impl Fn(&str) -> bool) {
        self.targets.write().unwrap_or_else(PoisonError::into_inner).retain(|uid, _| kept(uid));
    }

    async fn connect(self, uri: Uri) -> io::Result<TlsConnection> {
        let target = {
            let targets = self.targets.read().unwrap_or_else(PoisonError::into_inner);
            targets.get(uri.host().unwrap_or_default()).cloned()
        };
        let target = target.ok_or_else(|| io::Error::other("the replica is gone"))?;
        let config =
            self.tls.load_full().ok_or_else(|| io::Error::other("the operator has no identity yet"))?;
        let name = server_dns_name(target.server.namespace(), target.server.name());
        let name = ServerName::try_from(name).map_err(io::Error::other)?;
        let address = SocketAddr::new(target.address, self.port);
        let connect = async {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            TlsConnector::from(config).connect(name, stream).await
        };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, connect).await??;
        Ok(TlsConnection(TokioIo::new(stream)))
    }
}

impl tower::Service<Uri> for Connector {
    type Response = TlsConnection;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TlsConnection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(self.clone().connect(uri))
    }
}

/// A connection to one replica.
pub(super) struct TlsConnection(TokioIo<TlsStream<TcpStream>>);

impl Connection for TlsConnection {
    fn connected(&self) -> Connected {
        let (_, session) = self.0.inner().get_ref();
        if session.alpn_protocol() == Some(b"h2") {
            Connected::new().negotiated_h2()
        } else {
            Connected::new()
        }
    }
}

impl Read for TlsConnection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl Write for TlsConnection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(context, buffers)
    }
}

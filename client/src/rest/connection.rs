//! How a server is reached: a connection of our own, or one that somebody else opens (through an API server, say).

use std::{fmt, io, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::{Endpoint, error::ClientError};

/// How long a connection may take, and the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Octets both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Opens connections to one server. TLS comes on top: whoever carries the octets cannot read them.
#[async_trait]
pub trait Connect: fmt::Debug + Send + Sync {
    /// # Errors
    /// Why there is none.
    async fn connect(&self) -> io::Result<Box<dyn Stream>>;
}

/// Over TCP.
#[derive(Clone, Debug)]
pub struct Direct {
    host: String,
    port: u16,
}

impl Direct {
    /// To the host and port of its URL.
    pub fn to(endpoint: &Endpoint) -> Self {
        Self { host: endpoint.host().to_owned(), port: endpoint.port() }
    }
}

#[async_trait]
impl Connect for Direct {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// Sends requests, one after the other.
pub(super) type Sender = http1::SendRequest<Full<Bytes>>;

/// A connection on which nothing was asked yet.
pub(super) async fn open(
    connect: &dyn Connect,
    tls: &TlsConnector,
    name: ServerName<'static>,
) -> Result<Sender, ClientError> {
    let handshakes = async {
        let stream = connect.connect().await.map_err(ClientError::Connect)?;
        let stream = tls.connect(name, stream).await.map_err(ClientError::Tls)?;
        http1::handshake(TokioIo::new(stream)).await.map_err(ClientError::Http)
    };
    let (sender, connection) = tokio::time::timeout(CONNECT_TIMEOUT, handshakes)
        .await
        .map_err(|_| ClientError::ConnectTimeout)??;
    // It ends with the sender; what goes wrong with it, the request that waits is told.
    tokio::spawn(connection);
    Ok(sender)
}

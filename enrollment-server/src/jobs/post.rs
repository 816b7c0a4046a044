//! One POST to a webhook: a connection of its own, bounded in time and size, that follows nothing.

use std::{io, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri::Scheme};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, lookup_host},
    sync::OnceCell,
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// To find the address and connect to it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// From the name to the end of the answer.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(15);

/// The head of an answer.
const HEAD_BYTES: usize = 16 * 1024;

/// What is read of a body that explains a refusal, and what is kept of that.
const BODY_BYTES: usize = 4096;
const SAID_CHARACTERS: usize = 200;

/// Carries the signature.
pub(super) const SIGNATURE: &str = "Chancery-Signature";

/// Why a webhook did not take what was sent. Never holds the URL, which may hold a token.
#[derive(Debug, thiserror::Error)]
pub(super) enum PostError {
    #[error("the URL of the webhook cannot be used")]
    Url,
    #[error("http is for this machine only, and the host of the URL is another")]
    NotThisMachine,
    #[error("the host of the webhook cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("the system has no certificates of authorities to trust: {0}")]
    NoTrustAnchors(String),
    #[error("TLS with the webhook failed")]
    Tls(#[source] io::Error),
    #[error("the webhook did not answer as HTTP says")]
    Http(#[source] hyper::Error),
    #[error("the webhook did not answer within {} seconds", .0.as_secs())]
    TimedOut(Duration),
    /// Not 2xx. `said` is printable and bounded.
    #[error("the webhook answered {status}: {said:?}")]
    Refused { status: StatusCode, said: String },
}

impl PostError {
    /// Whether another message to the same webhook would fare no better now.
    pub(super) fn concerns_all(&self) -> bool {
        match self {
            Self::Url
            | Self::NotThisMachine
            | Self::Unreachable(_)
            | Self::NoTrustAnchors(_)
            | Self::Tls(_)
            | Self::TimedOut(_) => true,
            Self::Http(_) | Self::Refused { .. } => false,
        }
    }
}

/// Sends, over TLS that trusts the authorities of the system, or those that it was given.
#[derive(Debug)]
pub(super) struct PostClient {
    tls: OnceCell<Arc<ClientConfig>>,
    patience: Duration,
}

impl Default for PostClient {
    fn default() -> Self {
        Self { tls: OnceCell::new(), patience: TOTAL_TIMEOUT }
    }
}

impl PostClient {
    /// Trusts these and not the system's.
    #[cfg(test)]
    pub(super) fn trusting(roots: RootCertStore) -> Self {
        Self { tls: OnceCell::new_with(Some(configuration(roots).unwrap())), ..Self::default() }
    }

    /// Waits no longer than this.
    #[cfg(test)]
    pub(super) fn impatient(patience: Duration) -> Self {
        Self { patience, ..Self::default() }
    }

    /// Returns once the webhook has taken the message: any 2xx.
    pub(super) async fn post(&self, url: &str, body: Vec<u8>, signature: &str) -> Result<(), PostError> {
        let url: Uri = url.parse().map_err(|_| PostError::Url)?;
        let request = request(&url, body, signature)?;
        let sent = timeout(self.patience, self.send(&url, request)).await;
        sent.map_err(|_| PostError::TimedOut(self.patience))?
    }

    async fn send(&self, url: &Uri, request: Request<Full<Bytes>>) -> Result<(), PostError> {
        let host = url.host().ok_or(PostError::Url)?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if url.scheme() == Some(&Scheme::HTTPS) {
            let tcp = connect((host, url.port_u16().unwrap_or(443)), Reach::Anywhere).await?;
            let name = ServerName::try_from(host.to_owned()).map_err(|_| PostError::Url)?;
            let tls = TlsConnector::from(self.tls().await?).connect(name, tcp);
            exchange(tls.await.map_err(PostError::Tls)?, request).await
        } else {
            let tcp = connect((host, url.port_u16().unwrap_or(80)), Reach::ThisMachine).await?;
            exchange(tcp, request).await
        }
    }

    async fn tls(&self) -> Result<Arc<ClientConfig>, PostError> {
        self.tls.get_or_try_init(system_configuration).await.cloned()
    }
}

fn request(url: &Uri, body: Vec<u8>, signature: &str) -> Result<Request<Full<Bytes>>, PostError> {
    let host = url.authority().ok_or(PostError::Url)?;
    // Displayed, a path that is not there is `/`.
    let path = url.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string);
    Request::post(path)
        .header(header::HOST, host.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("chancery/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close")
        .header(SIGNATURE, signature)
        .body(Full::from(body))
        .map_err(|_| PostError::Url)
}

/// Where a name may lead.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    Anywhere,
    /// Whatever a resolver says of `localhost`.
    ThisMachine,
}

async fn connect(to: (&str, u16), reach: Reach) -> Result<TcpStream, PostError> {
    let connecting = async {
        let mut addresses: Vec<_> = lookup_host(to).await.map_err(PostError::Unreachable)?.collect();
        if reach == Reach::ThisMachine {
            addresses.retain(|address| address.ip().is_loopback());
            if addresses.is_empty() {
                return Err(PostError::NotThisMachine);
            }
        }
        TcpStream::connect(addresses.as_slice()).await.map_err(PostError::Unreachable)
    };
    timeout(CONNECT_TIMEOUT, connecting).await.map_err(|_| PostError::TimedOut(CONNECT_TIMEOUT))?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    request: Request<Full<Bytes>>,
) -> Result<(), PostError> {
    let mut http = http1::Builder::new();
    http.max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = http.handshake(TokioIo::new(stream)).await.map_err(PostError::Http)?;
    // Ends with this function, whatever the other side does.
    let mut driver = JoinSet::new();
    driver.spawn(connection);
    let answer = sender.send_request(request).await.map_err(PostError::Http)?;
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    Err(PostError::Refused { status, said: beginning(answer.into_body()).await })
}

/// What a webhook says about its refusal, as far as a person can read it.
async fn beginning(mut body: Incoming) -> String {
    let mut read = Vec::new();
    while let Some(Ok(frame)) = body.frame().await {
        read.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
        if read.len() >= BODY_BYTES {
            break;
        }
    }
    let text = String::from_utf8_lossy(&read);
    text.chars().filter(|character| !character.is_control()).take(SAID_CHARACTERS).collect()
}

async fn system_configuration() -> Result<Arc<ClientConfig>, PostError> {
    let loading = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs);
    let loaded = loading.await.map_err(|error| PostError::NoTrustAnchors(error.to_string()))?;
    let mut roots = RootCertStore::empty();
    // One that cannot be read is no reason to trust none of the others.
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let errors: Vec<_> = loaded.errors.iter().map(ToString::to_string).collect();
        return Err(PostError::NoTrustAnchors(errors.join("; ")));
    }
    configuration(roots)
}

fn configuration(roots: RootCertStore) -> Result<Arc<ClientConfig>, PostError> {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| PostError::Tls(io::Error::other(error)))?;
    Ok(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
}

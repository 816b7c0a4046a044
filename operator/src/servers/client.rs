//! The internal interface of servers over mutual TLS.

use std::{
    error::Error as _,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use ::client::internal::{
    IssueOutcome, IssueRequest, Loaded, Problem, ROOT, Renewals, RenewalsRequest, RevokeOutcome,
    RevokeRequest, Usage,
};
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use issuance::{identity::ResourceName, secret::Secret};
use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde::{Serialize, de::DeserializeOwned};

use super::{CallError, Fleet, Replica, ServerApi, connector::Connector};

/// How long an answer about the replica itself may take.
const STATE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an answer may take that something is committed for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How many replicas are tried for one request.
const ATTEMPTS: usize = 3;

/// Longest answer, in bytes: `loaded` names every part.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// How long a connection that nobody uses is kept.
const IDLE: Duration = Duration::from_secs(90);

/// What the operator shows to servers, and what it knows them by.
#[derive(Clone, PartialEq, Eq)]
pub struct OperatorIdentity {
    /// DER: the operator's certificate, then those above it, without the root.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Secret,
    /// DER: the root of the internal authority.
    pub authority: Vec<u8>,
}

impl fmt::Debug for OperatorIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OperatorIdentity").field("certificates", &self.chain.len()).finish_non_exhaustive()
    }
}

/// An identity that TLS cannot use.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("the internal authority's certificate cannot be read")]
    Authority(#[source] rustls::Error),
    #[error("the key and the certificate cannot be used for TLS")]
    Key(#[source] rustls::Error),
}

/// Asks servers over mutual TLS. Clones share connections.
#[derive(Clone)]
pub struct InternalClient {
    connector: Connector,
    http: Arc<ArcSwap<Client<Connector, Full<Bytes>>>>,
    fleet: Fleet,
    next: Arc<AtomicUsize>,
}

impl fmt::Debug for InternalClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternalClient").field("connector", &self.connector).finish_non_exhaustive()
    }
}

impl InternalClient {
    /// A client of these replicas, which have no answer before there is an [identity](Self::identify). `port` is that of the
    /// internal listener.
    pub fn new(fleet: Fleet, port: u16) -> Self {
        let connector = Connector::new(port);
        let http = Arc::new(ArcSwap::from_pointee(http(&connector)));
        Self { connector, http, fleet, next: Arc::default() }
    }

    /// From now on this is who asks; connections of before are not used for what is asked afterwards.
    ///
    /// # Errors
    /// [`IdentityError`]; the identity of before stays.
    pub fn identify(&self, identity: &OperatorIdentity) -> Result<(), IdentityError> {
        self.connector.identify(Arc::new(tls(identity)?));
        self.http.store(Arc::new(http(&self.connector)));
        Ok(())
    }

    /// Whether it can ask at all.
    pub fn is_identified(&self) -> bool {
        self.connector.is_identified()
    }

    /// Forgets replicas that are gone.
    pub fn forget_others(&self, kept: impl Fn(&str) -> bool) {
        self.connector.retain(kept);
    }

    async fn ask<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        replica: &Replica,
        (method, path): (Method, &str),
        question: Option<&Q>,
        timeout: Duration,
    ) -> Result<A, CallError> {
        let name = || format!("{} of {}", replica.pod, replica.server);
        let unreachable = |detail: String| CallError::Unreachable { replica: name(), detail };
        let body =
            question.map(serde_json::to_vec).transpose().map_err(|error| unreachable(error.to_string()))?;
        let uri = format!("https://{}{ROOT}/{path}", self.connector.authority(replica));
        let request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| unreachable(error.to_string()))?;
        let http = self.http.load_full();
        let exchange = async {
            let answer = http.request(request).await.map_err(|error| unreachable(causes(&error)))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| unreachable(error.to_string()))?.to_bytes();
            Ok(Response::from_parts(head, body))
        };
        let answer = tokio::time::timeout(timeout, exchange)
            .await
            .unwrap_or_else(|_| Err(unreachable("no answer in time".to_owned())))?;
        read(&answer, name())
    }

    /// Asks one ready replica after the other until one answers. They take turns.
    async fn ask_any<Q: Serialize + Sync, A: DeserializeOwned>(
        &self,
        server: &ResourceName,
        path: &str,
        question: &Q,
    ) -> Result<A, CallError> {
        let mut ready = self.fleet.ready(server);
        if ready.is_empty() {
            return Err(CallError::NoReplica(server.clone()));
        }
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % ready.len();
        ready.rotate_left(turn);
        let mut failure = CallError::NoReplica(server.clone());
        for replica in ready.iter().take(ATTEMPTS) {
            match self.ask(replica, (Method::POST, path), Some(question), REQUEST_TIMEOUT).await {
                Ok(answer) => return Ok(answer),
                // Asking another one is safe: the same request gets the same answer.
                Err(error @ (CallError::Unreachable { .. } | CallError::Unavailable { .. })) => {
                    failure = error
                }
                Err(error @ (CallError::NoReplica(_) | CallError::Unexpected { .. })) => return Err(error),
            }
        }
        Err(failure)
    }
}

#[async_trait]
impl ServerApi for InternalClient {
    async fn loaded(&self, replica: &Replica) -> Result<Loaded, CallError> {
        self.ask(replica, (Method::GET, "loaded"), None::<&()>, STATE_TIMEOUT).await
    }

    async fn usage(&self, replica: &Replica) -> Result<Usage, CallError> {
        self.ask(replica, (Method::GET, "usage"), None::<&()>, STATE_TIMEOUT).await
    }

    async fn issue(&self, server: &ResourceName, request: &IssueRequest) -> Result<IssueOutcome, CallError> {
        self.ask_any(server, "issue", request).await
    }

    async fn revoke(
        &self,
        server: &ResourceName,
        request: &RevokeRequest,
    ) -> Result<RevokeOutcome, CallError> {
        self.ask_any(server, "revoke", request).await
    }

    async fn renewals(
        &self,
        server: &ResourceName,
        request: &RenewalsRequest,
    ) -> Result<Renewals, CallError> {
        self.ask_any(server, "renewals", request).await
    }
}

fn read<A: DeserializeOwned>(answer: &Response<Bytes>, replica: String) -> Result<A, CallError> {
    let detail = || match serde_json::from_slice::<Problem>(answer.body()) {
        Ok(problem) => problem.detail,
        Err(_) => "no reason given".to_owned(),
    };
    match answer.status() {
        StatusCode::OK => serde_json::from_slice(answer.body()).map_err(|error| CallError::Unexpected {
            replica,
            status: StatusCode::OK.as_u16(),
            // The place alone: the answer may hold what does not belong into a log.
            detail: format!("the answer cannot be read (line {}, column {})", error.line(), error.column()),
        }),
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            let retry_after = answer.headers().get(header::RETRY_AFTER);
            let seconds =
                retry_after.and_then(|value| value.to_str().ok()).and_then(|text| text.parse().ok());
            Err(CallError::Unavailable {
                replica,
                detail: detail(),
                retry_after: seconds.map(Duration::from_secs),
            })
        }
        other => Err(CallError::Unexpected { replica, status: other.as_u16(), detail: detail() }),
    }
}

fn http(connector: &Connector) -> Client<Connector, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .pool_idle_timeout(IDLE)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(Duration::from_secs(20))
        .build(connector.clone())
}

fn tls(identity: &OperatorIdentity) -> Result<ClientConfig, IdentityError> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(identity.authority.clone())).map_err(IdentityError::Authority)?;
    let chain = identity.chain.iter().cloned().map(CertificateDer::from).collect();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.expose().to_vec()));
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(IdentityError::Key)?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(IdentityError::Key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// An error of the HTTP client says little by itself.
fn causes(error: &hyper_util::client::legacy::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

//! The client against real TLS.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use ::client::internal::{IssueOutcome, IssueRequest, Loaded, OPERATOR_DNS_NAME, Problem, server_dns_name};
use axum::{
    Json, Router,
    http::StatusCode,
    response::IntoResponse as _,
    routing::{get, post},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use issuance::{identity::ResourceName, secret::Secret};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, server::WebPkiClientVerifier};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{CallError, Fleet, InternalClient, OperatorIdentity, Replica, ReplicaState, ServerApi as _};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: Vec<u8>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (Vec<u8>, Vec<u8>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.der().to_vec(), key.serialize_der())
    }

    fn operator(&self) -> OperatorIdentity {
        let (certificate, key) = self.issue(OPERATOR_DNS_NAME, ExtendedKeyUsagePurpose::ClientAuth);
        OperatorIdentity { chain: vec![certificate], key: Secret::new(key), authority: self.der.clone() }
    }
}

/// A replica that counts what it is asked.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    async fn start(authority: &Authority, name: &str, address: SocketAddr, router: Router) -> Self {
        let (certificate, key) = authority.issue(name, ExtendedKeyUsagePurpose::ServerAuth);
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(authority.der.clone())).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build().unwrap();
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_client_cert_verifier(clients)
            .with_single_cert(vec![CertificateDer::from(certificate)], PrivatePkcs8KeyDer::from(key).into())
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, asked) = (TlsAcceptor::from(Arc::new(config)), Arc::new(AtomicUsize::new(0)));
        let counted = asked.clone();
        let router = router.layer(axum::middleware::from_fn(move |request, next: axum::middleware::Next| {
            counted.fetch_add(1, Ordering::Relaxed);
            next.run(request)
        }));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    let connection = auto::Builder::new(TokioExecutor::new());
                    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn server() -> ResourceName {
    ResourceName::new("pki", "devices")
}

fn dns_name() -> String {
    server_dns_name("pki", "devices")
}

fn any(last: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), 0).into()
}

fn replica(pod: &str, address: IpAddr) -> ReplicaState {
    let replica = Replica { server: server(), pod: pod.to_owned(), uid: format!("uid-{pod}"), address };
    ReplicaState { replica, ready: true, loaded: None, usage: None, error: None }
}

fn client_of(replicas: Vec<ReplicaState>, port: u16) -> InternalClient {
    let fleet = Fleet::default();
    fleet.update(BTreeMap::from([(server(), replicas)]));
    InternalClient::new(fleet, port)
}

fn loads() -> Router {
    Router::new()
        .route("/internal/v1/loaded", get(async || Json(Loaded { generation: 7, ..Loaded::default() })))
}

fn issues() -> Router {
    let issued = async || Json(IssueOutcome::Issued { chain: vec![vec![1]], root: vec![2] });
    Router::new().route("/internal/v1/issue", post(issued))
}

fn busy() -> Router {
    let busy = async || {
        let problem = Problem { detail: "the store takes nothing".to_owned() };
        (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "9")], Json(problem)).into_response()
    };
    Router::new().route("/internal/v1/issue", post(busy))
}

fn request() -> IssueRequest {
    IssueRequest {
        method: "shop/issuer:web".to_owned(),
        namespace: Some("shop".to_owned()),
        requester: "CertificateRequest shop/web-1".to_owned(),
        uid: "1".to_owned(),
        spec_sha256: "00".to_owned(),
        csr: vec![0x30, 0x00],
        duration_seconds: None,
        is_ca: false,
        usages: Vec::new(),
    }
}

#[tokio::test]
async fn nothing_is_asked_before_there_is_an_identity() {
    let authority = Authority::new();
    let server = Server::start(&authority, &dns_name(), any(1), loads()).await;
    let state = replica("a", server.address.ip());
    let client = client_of(vec![state.clone()], server.address.port());
    let error = client.loaded(&state.replica).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { detail, .. } if detail.contains("no identity")));
    client.identify(&authority.operator()).unwrap();
    assert_eq!(client.loaded(&state.replica).await.unwrap().generation, 7);
}

#[tokio::test]
async fn a_replica_with_the_name_of_another_server_or_of_another_authority_is_not_asked() {
    let (authority, foreign) = (Authority::new(), Authority::new());
    for (signer, name) in [(&authority, server_dns_name("pki", "other")), (&foreign, dns_name())] {
        let server = Server::start(signer, &name, any(1), loads()).await;
        let state = replica("a", server.address.ip());
        let client = client_of(vec![state.clone()], server.address.port());
        client.identify(&authority.operator()).unwrap();
        assert!(matches!(client.loaded(&state.replica).await, Err(CallError::Unreachable { .. })));
        assert_eq!(server.asked(), 0);
    }
}

#[tokio::test]
async fn another_replica_is_asked_where_the_first_cannot_answer() {
    let authority = Authority::new();
    let good = Server::start(&authority, &dns_name(), any(1), issues()).await;
    let port = good.address.port();
    let bad =
        Server::start(&authority, &dns_name(), (Ipv4Addr::new(127, 0, 0, 2), port).into(), busy()).await;
    // Nobody listens at the third address.
    let gone = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
    let replicas = vec![replica("a", good.address.ip()), replica("b", bad.address.ip()), replica("c", gone)];
    let client = client_of(replicas, port);
    client.identify(&authority.operator()).unwrap();
    for _ in 0..6 {
        let outcome = client.issue(&server(), &request()).await.unwrap();
        assert!(matches!(outcome, IssueOutcome::Issued { .. }));
    }
    assert!(good.asked() == 6 && bad.asked() >= 2, "they do not take turns");
}

#[tokio::test]
async fn what_a_busy_server_says_is_told() {
    let authority = Authority::new();
    let busy = Server::start(&authority, &dns_name(), any(1), busy()).await;
    let client = client_of(vec![replica("a", busy.address.ip())], busy.address.port());
    client.identify(&authority.operator()).unwrap();
    let error = client.issue(&server(), &request()).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(9)));
    assert!(error.to_string().contains("the store takes nothing"), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_no_answer_says_nothing_about_the_request() {
    let authority = Authority::new();
    let odd = Router::new()
        .route("/internal/v1/issue", post(async || "{\"issued\": \"secret text\"}"))
        .route("/internal/v1/loaded", get(async || StatusCode::FORBIDDEN));
    let odd = Server::start(&authority, &dns_name(), any(1), odd).await;
    let state = replica("a", odd.address.ip());
    let client = client_of(vec![state.clone()], odd.address.port());
    client.identify(&authority.operator()).unwrap();
    let error = client.issue(&server(), &request()).await.unwrap_err();
    assert!(matches!(&error, CallError::Unexpected { status: 200, .. }), "{error}");
    assert!(!error.to_string().contains("secret text"));
    let error = client.loaded(&state.replica).await.unwrap_err();
    assert!(matches!(error, CallError::Unexpected { status: 403, .. }));
}

#[tokio::test]
async fn a_server_without_ready_replicas_is_not_asked() {
    let authority = Authority::new();
    let server_of = Server::start(&authority, &dns_name(), any(1), issues()).await;
    let mut state = replica("a", server_of.address.ip());
    state.ready = false;
    let client = client_of(vec![state], server_of.address.port());
    client.identify(&authority.operator()).unwrap();
    assert_eq!(client.issue(&server(), &request()).await, Err(CallError::NoReplica(server())));
    assert_eq!(server_of.asked(), 0);
}

#[tokio::test]
async fn many_requests_share_a_connection_and_a_new_identity_takes_another() {
    let authority = Authority::new();
    let server_of = Server::start(&authority, &dns_name(), any(1), issues()).await;
    let client = client_of(vec![replica("a", server_of.address.ip())], server_of.address.port());
    client.identify(&authority.operator()).unwrap();
    let requests = (0..300).map(|_| {
        let client = client.clone();
        async move { client.issue(&server(), &request()).await.is_ok() }
    });
    let answered = futures::future::join_all(requests).await;
    assert_eq!(answered.iter().filter(|answered| **answered).count(), 300);
    client.identify(&authority.operator()).unwrap();
    assert!(client.issue(&server(), &request()).await.is_ok());
    assert_eq!(server_of.asked(), 301);
}

//! Who is let in at the internal listener.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use client::internal::{Loaded, OPERATOR_DNS_NAME, ROOT, server_dns_name};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::{
    ClientConfig, RootCertStore, SignatureScheme, client::ResolvesClientCert, crypto::aws_lc_rs,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

use super::{
    operator::{InternalAuthority, server},
    scene::{Replica, Scene, soon},
};

/// The internal listener of a replica, until dropped.
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    _tasks: JoinSet<crate::listeners::Drained>,
}

impl Listening {
    pub(super) async fn start(replica: &Replica) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let mut tasks = JoinSet::new();
        replica.server.serve_operator(socket, &mut tasks, &CancellationToken::new()).unwrap();
        Self { address, _tasks: tasks }
    }

    /// Asks as whoever holds this certificate (none: nobody), trusting the server by its internal name.
    pub(super) async fn ask(
        &self,
        trusted: &InternalAuthority,
        shown: Option<(Vec<u8>, Vec<u8>)>,
        request: Request<Full<Bytes>>,
    ) -> std::io::Result<(StatusCode, Bytes)> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(trusted.der.clone())).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => builder.with_client_cert_resolver(Arc::new(Shown::new(shown))),
        };
        let name = ServerName::try_from(server_dns_name(server().namespace(), server().name())).unwrap();
        let socket = TcpStream::connect(self.address).await?;
        let stream = soon(TlsConnector::from(Arc::new(config)).connect(name, socket)).await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(std::io::Error::other)?;
        let driver = tokio::spawn(connection);
        let answer = soon(sender.send_request(request)).await.map_err(std::io::Error::other)?;
        let status = answer.status();
        let body = soon(answer.into_body().collect()).await.map_err(std::io::Error::other)?.to_bytes();
        driver.abort();
        Ok((status, body))
    }
}

/// Shows a certificate whoever is asked for, and signs with whatever key it has.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl Shown {
    fn new((certificate, key): (Vec<u8>, Vec<u8>)) -> Self {
        let key = PrivatePkcs8KeyDer::from(key).into();
        let key = aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Self(Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], key)))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

pub(super) fn get(path: &str) -> Request<Full<Bytes>> {
    ask(Method::GET, path, Bytes::new())
}

pub(super) fn ask(method: Method, path: &str, body: Bytes) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(format!("{ROOT}/{path}")).header("host", "x");
    request.body(Full::new(body)).unwrap()
}

/// Shows this certificate at every endpoint; the handshake must fail, or else each answer be 403.
async fn refuses(scene: &Scene, what: &str, shown: Option<(Vec<u8>, Vec<u8>)>) {
    let listening = Listening::start(&scene.replica).await;
    for request in [
        get("loaded"),
        get("usage"),
        get("nothing"),
        ask(Method::POST, "issue", Bytes::from_static(b"{}")),
        ask(Method::POST, "revoke", Bytes::from_static(b"{}")),
        ask(Method::POST, "renewals", Bytes::from_static(b"{}")),
    ] {
        let path = request.uri().path().to_owned();
        let outcome = listening.ask(&scene.operator.internal, shown.clone(), request).await;
        assert!(
            !matches!(&outcome, Ok((status, _)) if *status != StatusCode::FORBIDDEN),
            "{what} {path}: {outcome:?}"
        );
    }
}

fn client(authority: &InternalAuthority, name: &str) -> (Vec<u8>, Vec<u8>) {
    authority.issue(name, ExtendedKeyUsagePurpose::ClientAuth, |_| {})
}

#[tokio::test]
async fn nobody_else_is_the_operator() {
    let scene = Scene::new().await;
    let (own, foreign) = (&scene.operator.internal, InternalAuthority::new());
    let aged = |change: fn(&mut CertificateParams)| {
        own.issue(OPERATOR_DNS_NAME, ExtendedKeyUsagePurpose::ClientAuth, change)
    };
    let server_name = server_dns_name(server().namespace(), server().name());
    let cases = [
        ("no certificate", None),
        ("a foreign authority", Some(client(&foreign, OPERATOR_DNS_NAME))),
        ("the server's own name", Some(client(own, &server_name))),
        (
            "another server's certificate",
            Some(own.issue(&server_name, ExtendedKeyUsagePurpose::ServerAuth, |_| {})),
        ),
        (
            "the operator's name, for servers",
            Some(own.issue(OPERATOR_DNS_NAME, ExtendedKeyUsagePurpose::ServerAuth, |_| {})),
        ),
        ("a name below the operator's", Some(client(own, &format!("x.{OPERATOR_DNS_NAME}")))),
        ("a wildcard of somebody else", Some(client(own, "*.servers.internal.chancery.dev"))),
        ("one that has ended", Some(aged(|params| params.not_after = date_time_ymd(2020, 1, 1)))),
        ("one that has not begun", Some(aged(|params| params.not_before = date_time_ymd(2090, 1, 1)))),
    ];
    for (what, shown) in cases {
        refuses(&scene, what, shown).await;
    }
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_is_refused() {
    let scene = Scene::new().await;
    let (certificate, _) = client(&scene.operator.internal, OPERATOR_DNS_NAME);
    let (_, other_key) = client(&scene.operator.internal, OPERATOR_DNS_NAME);
    refuses(&scene, "a stolen certificate", Some((certificate, other_key))).await;
}

#[tokio::test]
async fn the_operator_is_told_what_is_served() {
    let scene = Scene::new().await;
    let listening = Listening::start(&scene.replica).await;
    let own = &scene.operator.internal;
    let shown = Some(client(own, OPERATOR_DNS_NAME));
    let (status, body) = listening.ask(own, shown.clone(), get("loaded")).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    assert_eq!(serde_json::from_slice::<Loaded>(&body).unwrap(), scene.replica.loaded());
    let (status, body) = listening.ask(own, shown.clone(), get("nothing")).await.unwrap();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(String::from_utf8_lossy(&body).contains("detail"));
    let (status, _) =
        listening.ask(own, shown, ask(Method::POST, "issue", Bytes::from_static(b"{"))).await.unwrap();
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn before_the_first_configuration_nobody_is_let_in() {
    let scene = Scene::new().await;
    let fresh = super::scene::Volume::new().start(&scene.operator);
    let listening = Listening::start(&fresh).await;
    let own = &scene.operator.internal;
    let outcome = listening.ask(own, Some(client(own, OPERATOR_DNS_NAME)), get("loaded")).await;
    assert!(outcome.is_err(), "{outcome:?}");
}

#[tokio::test]
async fn another_internal_authority_takes_over_with_its_configuration() {
    let mut scene = Scene::new().await;
    let listening = Listening::start(&scene.replica).await;
    let old = std::mem::replace(&mut scene.operator.internal, InternalAuthority::new());
    scene.publish().await;
    let own = &scene.operator.internal;
    let (status, _) = listening.ask(own, Some(client(own, OPERATOR_DNS_NAME)), get("loaded")).await.unwrap();
    assert_eq!(status, StatusCode::OK);
    refuses(&scene, "the authority of before", Some(client(&old, OPERATOR_DNS_NAME))).await;
}

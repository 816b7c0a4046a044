use std::time::Instant;

use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::ResolvesClientCert,
    crypto::aws_lc_rs,
    sign::{self, CertifiedKey as RustlsKey},
    version::{TLS12, TLS13},
};
use rustls_pki_types::ServerName;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::*;

struct Tls {
    server: Server,
    certificate: CertifiedKey<KeyPair>,
    shown: Arc<ServerCertificate>,
}

impl Tls {
    async fn start(limits: Limits) -> Self {
        let certificate = certificate("localhost");
        let shown = server_certificate(&certificate);
        let tls = TlsSettings { certificate: Arc::clone(&shown) }.build().unwrap();
        Self { server: Server::start(Some(tls), limits).await, certificate, shown }
    }

    async fn connect(&self, client: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from("localhost").unwrap();
        soon(TlsConnector::from(Arc::new(client)).connect(name, self.server.connect().await)).await
    }

    /// A client that trusts `root` and shows what `resolver` gives.
    fn client(
        root: &CertifiedKey<KeyPair>,
        version: &'static SupportedProtocolVersion,
        resolver: Option<ClientKey>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(root.cert.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match resolver {
            None => builder.with_no_client_auth(),
            Some(resolver) => builder.with_client_cert_resolver(Arc::new(resolver)),
        }
    }
}

/// Shows a certificate whoever is asked for, and signs with whatever key it has.
#[derive(Debug)]
struct ClientKey(Arc<RustlsKey>);

impl ClientKey {
    fn new(shown: &CertifiedKey<KeyPair>, signs_with: &CertifiedKey<KeyPair>) -> Self {
        let key = aws_lc_rs::sign::any_supported_type(&key(signs_with).into()).unwrap();
        Self(Arc::new(RustlsKey::new(chain(shown), key)))
    }
}

impl ResolvesClientCert for ClientKey {
    fn resolve(&self, hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        assert!(hints.is_empty(), "the server must not tell whom it trusts");
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[tokio::test]
async fn both_versions_serve_with_and_without_a_client_certificate() {
    let tls = Tls::start(Limits::default()).await;
    let device = certificate("device");
    for (version, name) in [(&TLS12, "1.2"), (&TLS13, "1.3")] {
        for certificates in [0, 1] {
            let resolver = (certificates == 1).then(|| ClientKey::new(&device, &device));
            let client = Tls::client(&tls.certificate, version, resolver);
            let answer = exchange(tls.connect(client).await.unwrap(), &get_closing("/who")).await;
            let expected = format!("ip=127.0.0.1 certificates={certificates} tls={name}");
            assert!(answer.ends_with(&expected), "{answer}");
        }
        let series = format!(r#"chancery_tls_handshakes_total{{version="{name}",outcome="completed"}}"#);
        assert_eq!(tls.server.metric(&series), 2);
    }
}

#[tokio::test]
async fn a_certificate_shown_without_its_key_is_refused() {
    let tls = Tls::start(Limits::default()).await;
    let (stolen, own) = (certificate("victim"), certificate("thief"));
    for version in [&TLS12, &TLS13] {
        let client = Tls::client(&tls.certificate, version, Some(ClientKey::new(&stolen, &own)));
        // In TLS 1.3 the client is done before the server has judged it: the refusal shows at the first read.
        let Ok(mut stream) = tls.connect(client).await else { continue };
        let _sent = stream.write_all(get_closing("/who").as_bytes()).await;
        let refusal = soon(stream.read_to_end(&mut Vec::new())).await;
        assert!(refusal.is_err(), "{refusal:?}");
    }
    let refused = tls.server.metric(r#"chancery_tls_handshakes_total{version="unknown",outcome="failed"}"#);
    assert_eq!(refused, 2);
}

/// Shown by the library's client, which keeps whatever it could resume with.
#[tokio::test]
async fn sessions_do_not_resume() {
    let tls = Tls::start(Limits::default()).await;
    for version in [&TLS12, &TLS13] {
        let client = Tls::client(&tls.certificate, version, None);
        for _ in 0..2 {
            let stream = tls.connect(client.clone()).await.unwrap();
            assert_eq!(stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
            let answer = exchange(stream, &get_closing("/who")).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }
}

#[tokio::test]
async fn http_2_is_served_where_it_is_agreed() {
    let tls = Tls::start(Limits::default()).await;
    let mut client = Tls::client(&tls.certificate, &TLS13, None);
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let stream = tls.connect(client).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    for _ in 0..2 {
        let request = http::Request::get("https://localhost/who").body(Empty::<Bytes>::new()).unwrap();
        let response = soon(sender.send_request(request)).await.unwrap();
        assert_eq!(response.version(), http::Version::HTTP_2);
        let body = soon(response.into_body().collect()).await.unwrap().to_bytes();
        assert_eq!(body, "ip=127.0.0.1 certificates=0 tls=1.3");
    }
    driver.abort();
}

#[tokio::test]
async fn an_http_2_connection_without_requests_is_closed() {
    let tls = Tls::start(Limits { idle_timeout: SHORT, ..Limits::default() }).await;
    let mut client = Tls::client(&tls.certificate, &TLS13, None);
    client.alpn_protocols = vec![b"h2".to_vec()];
    let stream = tls.connect(client).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let driver = tokio::spawn(connection);
    let request = http::Request::get("https://localhost/who").body(Empty::<Bytes>::new()).unwrap();
    soon(sender.send_request(request)).await.unwrap();
    soon(driver).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_is_not_tls_is_dropped() {
    let tls = Tls::start(Limits::default()).await;
    let mut stream = tls.server.connect().await;
    stream.write_all(get_closing("/who").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon(stream.read_to_end(&mut answer)).await.unwrap();
    // At most a TLS alert record (RFC 8446 §6), never a page.
    assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    assert_eq!(tls.server.metric(r#"chancery_tls_handshakes_total{version="unknown",outcome="failed"}"#), 1);
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut() {
    let tls = Tls::start(Limits { handshake_timeout: SHORT, ..Limits::default() }).await;
    let mut stream = tls.server.connect().await;
    let began = Instant::now();
    // The header of a handshake record of 512 bytes that never come.
    stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00]).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 64])).await.unwrap(), 0);
    assert!(began.elapsed() >= SHORT);
    assert_eq!(
        tls.server.metric(r#"chancery_tls_handshakes_total{version="unknown",outcome="timed_out"}"#),
        1
    );
}

#[tokio::test]
async fn a_replaced_certificate_is_shown_to_new_connections() {
    let tls = Tls::start(Limits::default()).await;
    let mut old = tls.connect(Tls::client(&tls.certificate, &TLS13, None)).await.unwrap();
    let renewed = certificate("localhost");

    tls.shown.show(Some(identity(&renewed)));

    let new = tls.connect(Tls::client(&renewed, &TLS13, None)).await.unwrap();
    assert_eq!(new.get_ref().1.peer_certificates().unwrap(), &chain(&renewed)[..]);
    ask(&mut old, "/who", "tls=1.3").await;
}

#[tokio::test]
async fn while_there_is_no_certificate_handshakes_fail() {
    let tls = Tls::start(Limits::default()).await;
    tls.shown.show(None);
    let refused = tls.connect(Tls::client(&tls.certificate, &TLS13, None)).await;
    assert!(refused.is_err(), "{refused:?}");
    tls.shown.show(Some(identity(&tls.certificate)));
    tls.connect(Tls::client(&tls.certificate, &TLS13, None)).await.unwrap();
}

#[test]
fn a_certificate_without_a_chain_or_a_usable_key_is_refused() {
    let (one, other) = (certificate("a"), certificate("b"));
    let garbage = PrivatePkcs8KeyDer::from(vec![0x30, 0x00]);
    assert!(matches!(ServerIdentity::new(Vec::new(), key(&one)), Err(TlsError::EmptyChain)));
    assert!(matches!(ServerIdentity::new(chain(&one), garbage), Err(TlsError::Key(_))));
    assert!(matches!(ServerIdentity::new(chain(&one), key(&other)), Err(TlsError::Mismatch(_))));
    let unreadable = vec![CertificateDer::from(vec![0x30, 0x00])];
    assert!(matches!(ServerIdentity::new(unreadable, key(&one)), Err(TlsError::Mismatch(_))));
}

#[test]
fn debug_shows_no_key() {
    let one = certificate("a");
    let text = format!("{:?}", server_certificate(&one));
    assert_eq!(text, r#"ServerCertificate { certificates: 1, key: "<redacted>" }"#);
    assert_eq!(format!("{:?}", identity(&one)), r#"ServerIdentity { certificates: 1, key: "<redacted>" }"#);
}

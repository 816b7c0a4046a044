use super::*;

const CUT: &str = r#"chancery_connections_cut_total{listener="device",reason="proxy_header"}"#;

/// A server that takes connections of load balancers in this network.
async fn behind(trusted: &str, tls: Option<Arc<ServerConfig>>, limits: Limits) -> Server {
    let proxy = ProxyProtocol { trusted: vec![trusted.parse().unwrap()] };
    Server::behind(Some(Arc::new(ArcSwapOption::from_pointee(proxy))), tls, limits).await
}

fn with_header() -> String {
    format!("PROXY TCP4 192.0.2.1 127.0.0.1 4711 8443\r\n{}", get_closing("/who"))
}

#[tokio::test]
async fn a_trusted_header_says_whom_a_connection_is_from() {
    let server = behind("127.0.0.0/8", None, Limits::default()).await;
    let answer = exchange(server.connect().await, &with_header()).await;
    assert!(answer.ends_with("ip=192.0.2.1 certificates=0 tls=none"), "{answer}");
    assert_eq!(server.metric(CUT), 0);
}

#[tokio::test]
async fn a_header_comes_before_tls() {
    use rustls::{ClientConfig, RootCertStore, crypto::aws_lc_rs};
    let own = certificate("localhost");
    let tls = TlsSettings { certificate: server_certificate(&own) }.build().unwrap();
    let server = behind("127.0.0.0/8", Some(tls), Limits::default()).await;
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 192.0.2.1 127.0.0.1 4711 8443\r\n").await.unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let name = rustls_pki_types::ServerName::try_from("localhost").unwrap();
    let stream = soon(connector.connect(name, stream)).await.unwrap();
    let answer = exchange(stream, &get_closing("/who")).await;
    assert!(answer.contains("ip=192.0.2.1 "), "{answer}");
}

#[tokio::test]
async fn whoever_is_not_trusted_or_sends_no_header_is_closed_without_a_word() {
    let server = behind("10.0.0.0/8", None, Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(with_header().as_bytes()).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
    let server = behind("127.0.0.0/8", None, Limits::default()).await;
    let mut stream = server.connect().await;
    stream.write_all(get_closing("/who").as_bytes()).await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
    assert_eq!(server.metric(CUT), 1);
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for() {
    let limits = Limits { handshake_timeout: SHORT, ..Limits::default() };
    let server = behind("127.0.0.0/8", None, limits).await;
    let mut stream = server.connect().await;
    stream.write_all(b"PROXY TCP4 ").await.unwrap();
    assert_eq!(soon(stream.read(&mut [0; 16])).await.unwrap_or(0), 0);
    assert_eq!(server.metric(CUT), 1);
}

#[tokio::test]
async fn where_no_header_is_asked_for_none_is_believed() {
    let server = Server::behind(Some(Arc::default()), None, Limits::default()).await;
    let answer = exchange(server.connect().await, &get_closing("/who")).await;
    assert!(answer.ends_with("ip=127.0.0.1 certificates=0 tls=none"), "{answer}");
    let answer = exchange(server.connect().await, &with_header()).await;
    assert!(!answer.contains("192.0.2.1"), "{answer}");
}

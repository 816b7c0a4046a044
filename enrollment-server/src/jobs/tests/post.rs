//! The connection to a webhook.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use rcgen::{CertificateParams, KeyPair};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::{
    super::post::{PostClient, PostError},
    scene::Scene,
};

async fn post(url: &str) -> Result<(), PostError> {
    PostClient::default().post(url, b"{}".to_vec(), "t=1,v1=00").await
}

/// Answers one connection with these bytes, and hands out what came before the answer.
async fn answering(answer: Vec<u8>) -> (String, JoinHandle<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}?a=b", listener.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; 4096];
        let length = stream.read(&mut heard).await.unwrap();
        heard.truncate(length);
        // The client may go before it has read all.
        drop(stream.write_all(&answer).await);
        heard
    });
    (url, heard)
}

#[tokio::test]
async fn http_leads_to_this_machine_only() {
    for url in ["http://192.0.2.1/", "http://[2001:db8::1]:80/", "http://0.0.0.0:1/"] {
        let error = post(url).await.unwrap_err();
        assert!(matches!(error, PostError::NotThisMachine), "{url}: {error:?}");
    }
    for url in ["", "/path", "http://", "not a url"] {
        let error = post(url).await.unwrap_err();
        assert!(matches!(error, PostError::Url), "{url}: {error:?}");
    }
}

#[tokio::test]
async fn every_2xx_is_success_and_nothing_else() {
    let scene = Scene::new(&[30]).await;
    let url = scene.receiver.url();
    for status in [StatusCode::OK, StatusCode::ACCEPTED, StatusCode::NO_CONTENT] {
        scene.receiver.answer(status, "");
        post(&url).await.unwrap();
    }
    for expected in [
        StatusCode::FOUND,
        StatusCode::NOT_MODIFIED,
        StatusCode::UNAUTHORIZED,
        StatusCode::GONE,
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::BAD_GATEWAY,
    ] {
        scene.receiver.answer(expected, "");
        let error = post(&url).await.unwrap_err();
        assert!(matches!(error, PostError::Refused { status, .. } if status == expected), "{error:?}");
    }
    // A redirect was not followed.
    assert!(scene.receiver.told().iter().all(|told| told.path == "/hook?tenant=1"));
}

#[tokio::test]
async fn a_url_without_a_path_asks_for_the_root() {
    let (url, heard) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    post(&url).await.unwrap();
    let heard = String::from_utf8(heard.await.unwrap()).unwrap();
    assert!(heard.starts_with("POST /?a=b HTTP/1.1\r\n"), "{heard}");
}

#[tokio::test]
async fn a_long_explanation_is_cut_and_made_printable() {
    let scene = Scene::new(&[30]).await;
    scene.receiver.answer(StatusCode::BAD_REQUEST, "no\r\n\u{1b}[31m".to_owned() + &"x".repeat(100_000));
    let error = post(&scene.receiver.url()).await.unwrap_err();
    let PostError::Refused { said, .. } = &error else { panic!("{error:?}") };
    assert_eq!(said, &("no[31m".to_owned() + &"x".repeat(194)));
}

#[tokio::test]
async fn what_is_no_http_or_too_long_fails() {
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".as_slice(), &[b'x'; 1 << 20]].concat();
    for answer in [b"220 mail.example ESMTP\r\n".to_vec(), Vec::new(), endless] {
        let (url, heard) = answering(answer).await;
        let error = post(&url).await.unwrap_err();
        assert!(matches!(error, PostError::Http(_)), "{error:?}");
        heard.await.unwrap();
    }
}

#[tokio::test]
async fn a_webhook_that_says_nothing_is_not_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let client = PostClient::impatient(Duration::from_millis(20));
    let error = client.post(&url, Vec::new(), "").await.unwrap_err();
    assert!(matches!(error, PostError::TimedOut(_)), "{error:?}");
}

/// A server with a certificate of its own for `localhost`, which answers one request.
async fn encrypted() -> (u16, CertificateDer<'static>, JoinHandle<()>) {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let chain = vec![certificate.der().clone()];
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = TlsAcceptor::from(Arc::new(config)).accept(stream).await else { return };
        let mut heard = vec![0; 4096];
        assert!(stream.read(&mut heard).await.unwrap() > 0);
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        drop(stream.shutdown().await);
    });
    (port, certificate.der().clone(), serving)
}

fn trusting(certificate: CertificateDer<'static>) -> PostClient {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    PostClient::trusting(roots)
}

#[tokio::test]
async fn https_is_sent_to_whom_an_authority_vouches_for() {
    let (port, certificate, serving) = encrypted().await;
    let client = trusting(certificate);
    client.post(&format!("https://localhost:{port}/hook"), b"{}".to_vec(), "t=1,v1=00").await.unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn https_is_not_sent_to_anybody_else() {
    let (_, stranger, unused) = encrypted().await;
    unused.abort();
    let (port, _, serving) = encrypted().await;
    let error = trusting(stranger).post(&format!("https://localhost:{port}/"), Vec::new(), "").await;
    assert!(matches!(error, Err(PostError::Tls(_))), "{error:?}");
    serving.await.unwrap();
    // The certificate is trusted, and is of another host.
    let (port, certificate, serving) = encrypted().await;
    let error = trusting(certificate).post(&format!("https://127.0.0.1:{port}/"), Vec::new(), "").await;
    assert!(matches!(error, Err(PostError::Tls(_))), "{error:?}");
    serving.await.unwrap();
}

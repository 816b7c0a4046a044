//! A client against a server of the tests' own: what is sent, and what is made of each answer.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers everything with the same, and remembers what was asked.
struct Office {
    port: u16,
    /// PEM.
    authority: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

#[derive(Clone, Debug)]
struct Asked {
    line: String,
    authorization: Option<String>,
    idempotency_key: Option<String>,
    prefer: Option<String>,
    host: Option<String>,
    body: Bytes,
    connection: usize,
}

impl Office {
    async fn answering(status: u16, kind: &'static str, body: &'static str) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap().pem();
        let issuer = Issuer::new(parameters, authority_key);
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["localhost".into(), "127.0.0.1".into()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::default();
        tokio::spawn(serve(
            listener,
            TlsAcceptor::from(Arc::new(tls)),
            (status, kind, body),
            Arc::clone(&asked),
        ));
        Self { port, authority, asked }
    }

    fn client(&self, host: &str) -> Client {
        let endpoint = format!("https://{host}:{}/api/v1", self.port).parse().unwrap();
        Client::new(endpoint, &Trust::Authorities(self.authority.clone().into()), None).unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    listener: TcpListener,
    tls: TlsAcceptor,
    (status, kind, body): (u16, &'static str, &'static str),
    asked: Arc<Mutex<Vec<Asked>>>,
) {
    for connection in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        // A client that does not trust the certificate ends the handshake.
        let Ok(stream) = tls.accept(stream).await else { continue };
        let asked = Arc::clone(&asked);
        let service = service_fn(move |request: Request<Incoming>| {
            let asked = Arc::clone(&asked);
            async move {
                let (head, content) = request.into_parts();
                let text =
                    |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
                let (authorization, host) = (text("authorization"), text("host"));
                let content = content.collect().await?.to_bytes();
                asked.lock().unwrap().push(Asked {
                    line: format!("{} {}", head.method, head.uri),
                    authorization,
                    idempotency_key: text("idempotency-key"),
                    prefer: text("prefer"),
                    host,
                    body: content,
                    connection,
                });
                let mut answer = Response::new(Full::new(Bytes::from(body)));
                *answer.status_mut() = status.try_into().unwrap();
                answer.headers_mut().insert(CONTENT_TYPE, kind.parse().unwrap());
                answer.headers_mut().insert("retry-after", "7".parse().unwrap());
                answer.headers_mut().insert("preference-applied", "wait=20".parse().unwrap());
                Ok::<_, hyper::Error>(answer)
            }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

const ORDERED: &str = r#"{"order": {"id": "7", "status": "pending", "product": "default", "requester": "ci",
    "createdAt": "2027-01-01T00:00:00Z"}}"#;

const ORDER: &str = r#"{"id": "7", "status": "pending", "product": "default", "requester": "ci",
    "createdAt": "2027-01-01T00:00:00Z"}"#;

const NOTHING: &str = r#"{"items": []}"#;

#[tokio::test]
async fn a_server_of_another_authority_is_told_nothing() {
    let office = Office::answering(200, "application/json", NOTHING).await;
    let other = Office::answering(200, "application/json", NOTHING).await;
    let endpoint = format!("https://localhost:{}", office.port).parse().unwrap();
    let client = Client::new(endpoint, &Trust::Authorities(other.authority.clone().into()), None).unwrap();
    let client = client.with_token(BearerToken::parse(b"chancery_secret").unwrap());
    let refused = client.requests(Query::default()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Tls(_)), "{refused:?}");
    assert!(office.asked().is_empty());
}

#[tokio::test]
async fn a_server_with_a_certificate_for_another_name_is_told_nothing() {
    let office = Office::answering(200, "application/json", NOTHING).await;
    // Another address of the same machine.
    #[derive(Debug)]
    struct There(u16);
    #[async_trait::async_trait]
    impl Connect for There {
        async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
            Ok(Box::new(tokio::net::TcpStream::connect(("127.0.0.1", self.0)).await?))
        }
    }
    let client = office.client("enroll.example").through(There(office.port));
    let refused = client.requests(Query::default()).await.unwrap_err();
    assert!(matches!(refused, ClientError::Tls(_)), "{refused:?}");
    assert!(office.asked().is_empty());
}

#[tokio::test]
async fn nobody_there_is_said_so() {
    let office = Office::answering(200, "application/json", NOTHING).await;
    let unused = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let endpoint = format!("https://127.0.0.1:{unused}").parse().unwrap();
    let client = Client::new(endpoint, &Trust::Authorities(office.authority.into()), None).unwrap();
    assert!(matches!(client.requests(Query::default()).await.unwrap_err(), ClientError::Connect(_)));
}

#[tokio::test]
async fn nothing_to_trust_is_an_error_before_anything_is_sent() {
    for pem in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let endpoint = "https://localhost".parse().unwrap();
        let refused = Client::new(endpoint, &Trust::Authorities(pem.into()), None).unwrap_err();
        assert!(matches!(refused, ClientError::Trust(_)), "{pem:?}: {refused:?}");
    }
}

#[tokio::test]
async fn requests_go_to_the_method_with_the_token_on_one_connection() {
    let office = Office::answering(200, "application/json", NOTHING).await;
    let token = BearerToken::parse(b"chancery_0123456789abcdef_abc").unwrap();
    let client = office.client("localhost").with_token(token).with_method("lab/api");
    client.requests(Query::default().with("state", "pending")).await.unwrap();
    client.certificates(Query::default()).await.unwrap();
    let asked = office.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        ["GET /api/v1/requests?state=pending&method=lab%2Fapi", "GET /api/v1/certificates?method=lab%2Fapi"]
    );
    for one in &asked {
        assert_eq!(one.authorization.as_deref(), Some("Bearer chancery_0123456789abcdef_abc"));
        assert_eq!(one.host.as_deref(), Some(format!("localhost:{}", office.port).as_str()));
        assert_eq!(one.connection, 0);
    }
}

#[tokio::test]
async fn an_object_is_sent_as_json() {
    let office = Office::answering(202, "application/json", ORDERED).await;
    let renewal = Renewal { format: Some("pkcs8".into()), passphrase: Some("hunter2".to_owned().into()) };
    let issued = office.client("localhost").renew_certificate("ab.5C", &renewal).await.unwrap();
    assert_eq!((issued.order.status.as_str(), issued.certificate), ("pending", None));
    let asked = office.asked();
    assert_eq!(asked[0].line, "POST /api/v1/certificates/ab.5C/renew");
    assert_eq!(&asked[0].body[..], br#"{"format":"pkcs8","passphrase":"hunter2"}"#);
}

#[tokio::test]
async fn an_order_is_made_under_a_key_waited_for_and_cancelled() {
    let office = Office::answering(200, "application/json", ORDER).await;
    let client = office.client("localhost");
    let order = NewOrder { domains: vec!["a.example".into()], ..NewOrder::default() };
    assert_eq!(client.create_order(&order, "mine").await.unwrap().status, OrderStatus::Pending);
    let waited = client.order_within("7", Duration::from_secs(20)).await.unwrap();
    assert!(waited.applied && waited.retry_after == Some(Duration::from_secs(7)), "{waited:?}");
    client.cancel_order("../7").await.unwrap();
    let refused = client.create_order(&order, "two\r\nlines").await.unwrap_err();
    assert!(matches!(refused, ClientError::Request(_)), "{refused:?}");
    let asked = office.asked();
    let lines: Vec<&str> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(lines, ["POST /api/v1/orders", "GET /api/v1/orders/7", "DELETE /api/v1/orders/..%2F7"]);
    assert_eq!(
        (asked[0].idempotency_key.as_deref(), &asked[0].body[..]),
        (Some("mine"), &br#"{"domains":["a.example"]}"#[..])
    );
    assert_eq!(asked[1].prefer.as_deref(), Some("wait=20"));
}

#[tokio::test]
async fn a_request_is_put_where_an_order_waits_for_it() {
    let office = Office::answering(200, "application/json", ORDER).await;
    let client = office.client("localhost").with_method("lab/api");
    assert_eq!(client.submit_csr("../7", "MAM=").await.unwrap().id, "7");
    let asked = office.asked();
    assert_eq!(asked[0].line, "PUT /api/v1/orders/..%2F7/csr?method=lab%2Fapi");
    assert_eq!(&asked[0].body[..], br#"{"csr":"MAM="}"#);
}

#[tokio::test]
async fn a_problem_document_is_the_error() {
    let body = r#"{"type":"https://chancery.dev/problems/rate-limited","title":"Too many requests","status":429,
        "detail":"wait"}"#;
    let office = Office::answering(429, "application/problem+json", body).await;
    let refused = office.client("localhost").requests(Query::default()).await.unwrap_err();
    assert_eq!(refused.problem().unwrap().name(), "rate-limited");
    assert!(refused.to_string().ends_with("try again in 7 s"), "{refused}");
}

#[tokio::test]
async fn an_error_page_of_somebody_else_is_told_from_a_problem() {
    for (status, kind) in [(502, "text/html"), (302, "text/html"), (404, "application/json")] {
        let office = Office::answering(status, kind, "<h1>no</h1>").await;
        let refused = office.client("localhost").requests(Query::default()).await.unwrap_err();
        assert!(matches!(refused, ClientError::Status(found) if found == status), "{refused:?}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_object_is_an_error_and_no_panic() {
    for body in ["", "[]", "{", "null", r#"{"items": [{}]}"#] {
        let office = Office::answering(200, "application/json", body).await;
        let refused = office.client("localhost").requests(Query::default()).await.unwrap_err();
        assert!(matches!(refused, ClientError::Body(_)), "{body}: {refused:?}");
    }
}

#[tokio::test]
async fn a_long_answer_is_written_as_it_comes() {
    let office = Office::answering(200, "text/csv", "id,name\r\n1,a\r\n").await;
    let client = office.client("127.0.0.1");
    let mut sink = Vec::new();
    let answer = client.export_credentials(Query::default(), ReportForm::Csv).await.unwrap();
    assert_eq!(answer.write_to(&mut sink).await.unwrap(), 14);
    assert_eq!(sink, b"id,name\r\n1,a\r\n");
    assert_eq!(office.asked()[0].line, "GET /api/v1/credentials/export?format=csv");
}

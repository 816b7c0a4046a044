//! A server in memory, which does to one connection after the other what a test says.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use client::rest::{BearerToken, Client, Connect, Stream, Trust};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::TlsAcceptor;

/// What happens to a connection.
#[derive(Clone, Debug)]
pub(super) enum Deed {
    /// Nobody listens.
    Refuse,
    /// The request is taken, and nothing comes back.
    Break,
    /// The request is taken, and nothing comes back, not even an end.
    Hang,
    /// Status, further headers, body.
    Answer(u16, &'static str, String),
}

impl Deed {
    pub(super) fn object(status: u16, object: &Value) -> Self {
        Self::Answer(status, "content-type: application/json\r\n", object.to_string())
    }

    /// A problem document of this status.
    pub(super) fn problem(status: u16, more: &'static str) -> Self {
        let problem = serde_json::json!({
            "type": "https://chancery.dev/problems/some", "title": "Some problem", "status": status, "detail": "it is so",
        });
        Self::Answer(status, more, problem.to_string())
    }
}

/// For [`Deed::problem`].
pub(super) const PROBLEM: &str = "content-type: application/problem+json\r\n";

/// What was asked on one connection; nothing where it was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Method and target.
    pub(super) line: String,
    pub(super) idempotency_key: Option<String>,
    pub(super) body: String,
}

/// Where nothing is left to do, nobody listens any more.
#[derive(Clone)]
pub(super) struct Desk {
    deeds: Arc<Mutex<VecDeque<Deed>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    tls: TlsAcceptor,
    /// PEM.
    authority: String,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("deeds", &self.deeds).finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn that_does(deeds: impl IntoIterator<Item = Deed>) -> Self {
        let authority_key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = parameters.self_signed(&authority_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(["desk.example".into()]).unwrap();
        let leaf = leaf.signed_by(&key, &Issuer::new(parameters, authority_key)).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let tls = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let deeds = Arc::new(Mutex::new(deeds.into_iter().collect()));
        Self { deeds, asked: Arc::default(), tls: Arc::new(tls).into(), authority }
    }

    pub(super) fn client(&self) -> Client {
        let authority = Trust::Authorities(self.authority.clone().into());
        let client = Client::new("https://desk.example".parse().unwrap(), &authority, None).unwrap();
        client.with_token(BearerToken::parse(b"chancery_secret").unwrap()).through(self.clone())
    }

    /// One for each connection, refused or not.
    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }

    async fn serve(self, deed: Deed, stream: DuplexStream) -> io::Result<()> {
        let mut stream = self.tls.accept(stream).await?;
        let asked = read(&mut stream).await?;
        self.asked.lock().unwrap().push(asked);
        match deed {
            Deed::Refuse | Deed::Break => Ok(()),
            Deed::Hang => std::future::pending().await,
            Deed::Answer(status, headers, body) => {
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status} .\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
                );
                stream.write_all(format!("{head}{body}").as_bytes()).await?;
                stream.shutdown().await
            }
        }
    }
}

#[async_trait]
impl Connect for Desk {
    async fn connect(&self) -> io::Result<Box<dyn Stream>> {
        let deed = self.deeds.lock().unwrap().pop_front().unwrap_or(Deed::Refuse);
        if matches!(deed, Deed::Refuse) {
            self.asked.lock().unwrap().push(Asked::default());
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        tokio::spawn(self.clone().serve(deed, theirs));
        Ok(Box::new(ours))
    }
}

/// One request, as the client writes it.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Asked> {
    let mut octets = Vec::new();
    let (head, begun) = loop {
        if let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") {
            break (String::from_utf8(octets[..end].to_vec()).unwrap(), octets[end + 4..].to_vec());
        }
        stream.read_buf(&mut octets).await?;
    };
    let header = |name: &str| {
        let mut headers = head.lines().skip(1).filter_map(|line| line.split_once(": "));
        headers.find_map(|(found, value)| found.eq_ignore_ascii_case(name).then(|| value.to_owned()))
    };
    let mut body = begun;
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    while body.len() < length {
        stream.read_buf(&mut body).await?;
    }
    let line = head.lines().next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
    Ok(Asked { line, idempotency_key: header("idempotency-key"), body: String::from_utf8(body).unwrap() })
}

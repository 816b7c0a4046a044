//! An EST client in this process: one kept-alive TLS connection, no process a request, so that a test can load a server.
//!
//! It knows just enough HTTP/1.1 to talk to a server that sends `Content-Length`, and nothing of Chancery's own code
//! but the readers of PKCS#7 and certificates.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pki::certificate::Certificate;
use pki::serial::SerialNumber;
use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::Endpoint;

/// What a method is asked with: everything a [`Client`] needs to connect and be let in.
#[derive(Clone)]
pub struct Target {
    address: SocketAddr,
    /// What the server's certificate is for.
    name: ServerName<'static>,
    path: String,
    authorization: String,
    tls: Arc<ClientConfig>,
}

/// A connection that is opened when first used and again after an error.
pub struct Client {
    target: Target,
    stream: Option<StreamOwned<ClientConnection, TcpStream>>,
}

/// A certificate as received.
#[derive(Clone, Debug)]
pub struct Received {
    /// The serial number, for looking it up in the store.
    pub serial: SerialNumber,
    /// The certificate in DER.
    pub der: Vec<u8>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The authorization is a secret, the rest of the TLS configuration is noise.
        formatter.debug_struct("Target").field("address", &self.address).field("path", &self.path).finish()
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Client").field("target", &self.target).finish()
    }
}

impl Target {
    /// An endpoint with a user name and password.
    pub fn new(endpoint: &Endpoint, username: &str, password: &str) -> Result<Self> {
        let url = endpoint.url("simpleenroll")?;
        let authority = endpoint.authority()?;
        let address: SocketAddr =
            authority.parse().with_context(|| format!("{authority} is not an address and port"))?;
        Self::at(address, &url, &endpoint.ca, username, password)
    }

    /// The URL of a `simpleenroll`, whose host is found at `address`; `ca` is the PEM file with what its certificate chains to.
    pub fn at(address: SocketAddr, url: &str, ca: &Path, username: &str, password: &str) -> Result<Self> {
        let (_, rest) = url.split_once("://").context("no scheme in the URL")?;
        let (authority, path) = rest.split_at(rest.find('/').context("no path in the URL")?);
        let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
        let name = ServerName::try_from(host.to_owned()).with_context(|| format!("{host} is no host"))?;
        Ok(Self {
            address,
            name,
            path: path.to_owned(),
            authorization: STANDARD.encode(format!("{username}:{password}")),
            tls: Arc::new(client_config(ca)?),
        })
    }
}

impl Client {
    /// Connects with the first request.
    pub fn new(target: Target) -> Self {
        Self { target, stream: None }
    }

    /// Sends a PKCS#10 in DER and answers the certificate. After an error the next call connects anew.
    pub fn enroll(&mut self, csr: &[u8]) -> Result<Received> {
        let (status, body) = self.exchange(csr)?;
        if status != 200 {
            bail!("status {status}: {}", String::from_utf8_lossy(&body));
        }
        let text: Vec<u8> = body.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let bundle = STANDARD.decode(text).context("the answer is not base64")?;
        let certificates =
            pki::cms::certs_only_certificates(&bundle).context("the answer is not a PKCS#7")?;
        let der = certificates.into_iter().next().context("the answer holds no certificate")?;
        let certificate = Certificate::from_der(&der).context("the answer holds a bad certificate")?;
        Ok(Received { serial: *certificate.serial(), der })
    }

    fn exchange(&mut self, csr: &[u8]) -> Result<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => self.target.connect()?,
        };
        let body = STANDARD.encode(csr);
        let head = format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {}\r\nContent-Type: application/pkcs10\r\n\
             Content-Transfer-Encoding: base64\r\nContent-Length: {}\r\n\r\n",
            self.target.path,
            self.target.name.to_str(),
            self.target.authorization,
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).context("cannot send")?;
        stream.flush().context("cannot send")?;
        let answer = read_answer(&mut stream)?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

impl Target {
    fn connect(&self) -> Result<StreamOwned<ClientConnection, TcpStream>> {
        let tcp =
            TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).context("cannot connect")?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(Duration::from_secs(20)))?;
        let tls = ClientConnection::new(Arc::clone(&self.tls), self.name.clone())?;
        Ok(StreamOwned::new(tls, tcp))
    }
}

/// A PKCS#10 in DER for a fresh ECDSA P-256 key.
pub fn csr(common_name: &str, dns_names: &[String]) -> Result<Vec<u8>> {
    let mut params = CertificateParams::new(dns_names)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    Ok(params.serialize_request(&key)?.der().to_vec())
}

fn client_config(ca: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(ca).with_context(|| format!("cannot read {}", ca.display()))?
    {
        roots.add(certificate?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Reads one answer: a head, then as many bytes as `Content-Length` says.
fn read_answer(stream: &mut impl Read) -> Result<(u16, Vec<u8>)> {
    let mut bytes = Vec::with_capacity(4096);
    let mut chunk = [0u8; 4096];
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, &mut chunk, &mut bytes)?;
    };
    let mut body = bytes.split_off(end);
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let status =
        head.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status in the answer")?;
    let length: usize = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"))
        .and_then(|value| value.trim().parse().ok())
        .context("no Content-Length in the answer")?;
    while body.len() < length {
        read_more(stream, &mut chunk, &mut body)?;
    }
    if body.len() > length {
        bail!("the answer is longer than its Content-Length");
    }
    Ok((status, body))
}

fn read_more(stream: &mut impl Read, chunk: &mut [u8], bytes: &mut Vec<u8>) -> Result<()> {
    let read = stream.read(chunk).context("the connection broke")?;
    if read == 0 {
        bail!("the connection ended within an answer");
    }
    bytes.extend(chunk.iter().take(read));
    Ok(())
}

//! What stands in front of the servers for clients of ACME: it ends TLS, reads each request, and hands one request after the
//! other to the next server, so that both have a part in every order. It writes down what clients send where that is asked for.
//!
//! A client sees one address; servers make their URLs of the `Host` that it names, and so does the signature of a request.

use std::collections::HashMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::http::{Message, read_message};
use crate::{Endpoint, Scene};

/// Names a folder for what clients send: a file for each request, named by what it was sent to.
const RECORD: &str = "CHANCERY_RECORD";

/// Where what clients send is to be written down, if it is.
pub fn recorded_in() -> Option<PathBuf> {
    std::env::var_os(RECORD).map(PathBuf::from)
}

type FromClient = StreamOwned<ServerConnection, TcpStream>;
type ToServer = StreamOwned<ClientConnection, TcpStream>;

/// A listener and its threads. Dropping it ends them.
#[derive(Debug)]
pub struct Front {
    address: SocketAddr,
    direct: String,
    ca: PathBuf,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    backends: Vec<SocketAddr>,
    to_clients: Arc<ServerConfig>,
    to_servers: Arc<ClientConfig>,
    turn: AtomicUsize,
    record: Option<Record>,
}

/// Requests are numbered by what was asked for, so that the same test makes the same names.
struct Record {
    folder: PathBuf,
    counts: Mutex<HashMap<String, usize>>,
}

impl Front {
    /// One in front of the servers of a scene, if there are two, or if it is to be recorded what clients send.
    pub fn wanted(scene: &Scene) -> Result<Option<Self>> {
        let folder = recorded_in();
        let mut backends = vec![scene.server.status()?.listeners.device];
        if let Some(replicas) = &scene.replicas {
            backends.push(replicas.second()?);
        } else if folder.is_none() {
            return Ok(None);
        }
        let endpoints = scene.server.endpoints()?;
        let direct = endpoints.0.first().context("the server has no method")?;
        let front = Self::start(scene.workspace.path(), direct, backends, folder)?;
        Ok(Some(front))
    }

    fn start(
        workspace: &Path,
        direct: &Endpoint,
        backends: Vec<SocketAddr>,
        folder: Option<PathBuf>,
    ) -> Result<Self> {
        let ca = workspace.join("front.pem");
        let record = folder.map(|folder| Record { folder, counts: Mutex::default() });
        let shared = Arc::new(Shared {
            backends,
            to_clients: Arc::new(server_config(&ca)?),
            to_servers: Arc::new(client_config(&direct.ca)?),
            turn: AtomicUsize::new(0),
            record,
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let accepting = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let shared = shared.clone();
                // A client that goes away in the middle is its own affair; what it misses it says itself.
                thread::spawn(move || drop(serve(&shared, client)));
            }
        });
        let direct = format!("https://{}/", direct.authority()?);
        Ok(Self { address, direct, ca, stopped, accepting: Some(accepting) })
    }

    /// The endpoint as clients are to see it.
    pub fn endpoint(&self, endpoint: &Endpoint) -> Result<Endpoint> {
        let here = format!("https://{}/", self.address);
        let mut endpoint = endpoint.clone();
        for url in &mut endpoint.urls {
            ensure!(url.starts_with(&self.direct), "{url} is not at {}", self.direct);
            *url = url.replacen(&self.direct, &here, 1);
        }
        endpoint.ca.clone_from(&self.ca);
        Ok(endpoint)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

/// One connection of a client until it ends.
fn serve(shared: &Shared, client: TcpStream) -> Result<()> {
    client.set_nodelay(true)?;
    let mut client = FromClient::new(ServerConnection::new(shared.to_clients.clone())?, client);
    let mut servers: HashMap<usize, ToServer> = HashMap::new();
    while let Some(request) = read_message(&mut client, None)? {
        if let Some(record) = &shared.record {
            record.write(&request)?;
        }
        let which = shared.turn.fetch_add(1, Ordering::Relaxed) % shared.backends.len();
        let mut server = match servers.remove(&which) {
            Some(server) => server,
            None => connect(shared, which)?,
        };
        let answer = match exchange(&mut server, &request) {
            Ok(answer) => answer,
            // The server closes connections that nobody used for a while.
            Err(_) => {
                server = connect(shared, which)?;
                exchange(&mut server, &request)?
            }
        };
        client.write_all(&answer.head)?;
        client.write_all(&answer.body)?;
        client.flush()?;
        if request.closes() || answer.closes() {
            break;
        }
        servers.insert(which, server);
    }
    client.conn.send_close_notify();
    client.flush()?;
    Ok(())
}

fn exchange(server: &mut ToServer, request: &Message) -> Result<Message> {
    server.write_all(&request.head)?;
    server.write_all(&request.body)?;
    server.flush()?;
    read_message(server, Some(request))?.context("the server closed the connection")
}

fn connect(shared: &Shared, which: usize) -> Result<ToServer> {
    let address = shared.backends.get(which).context("no such server")?;
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let tls = ClientConnection::new(shared.to_servers.clone(), ServerName::from(address.ip()))?;
    Ok(StreamOwned::new(tls, stream))
}

impl Record {
    /// The signed ones: `new-order-2.json`.
    fn write(&self, request: &Message) -> Result<()> {
        if request.body.is_empty() {
            return Ok(());
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        std::fs::create_dir_all(&self.folder)?;
        let number = counts.values().sum::<usize>() + 1;
        let count = counts.entry(request.operation()).or_default();
        *count += 1;
        let name = format!("{number:02}-{}-{count}.json", request.operation());
        std::fs::write(self.folder.join(name), &request.body).context("cannot write down a request")
    }
}

/// A certificate for loopback under a root of its own, which clients are told to trust.
fn server_config(ca: &Path) -> Result<ServerConfig> {
    let root_key = KeyPair::generate()?;
    let mut root = CertificateParams::new(Vec::<String>::new())?;
    root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Different from the other one's: clients take a certificate whose issuer has its own name for self-signed.
    root.distinguished_name.push(DnType::CommonName, "Front Root");
    std::fs::write(ca, root.self_signed(&root_key)?.pem())?;
    let key = KeyPair::generate()?;
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let certificate =
        CertificateParams::new(names)?.signed_by(&key, &Issuer::from_params(&root, &root_key))?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], key)?)
}

fn client_config(ca: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).with_context(|| ca.display().to_string())? {
        roots.add(certificate?)?;
    }
    let builder = ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

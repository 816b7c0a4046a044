//! A second server on the same PostgreSQL, and one address in front of both: what a protocol must not notice.
//!
//! With `CHANCERY_REPLICAS=2` in the environment every [`Scene`](crate::Scene) is of this kind, and the tests of a
//! protocol run a second time without a change. Connections take turns.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use anyhow::{Context, Result};
use chancery_postgres::Postgres;

use crate::{Endpoint, Server, Settings};

/// Whether scenes are to have two servers.
pub fn wanted() -> bool {
    std::env::var("CHANCERY_REPLICAS").is_ok_and(|replicas| replicas == "2")
}

/// What stands beside the first server. Dropped after it, the database last.
#[derive(Debug)]
pub struct Replicas {
    spread: Spread,
    second: Server,
    _postgres: Arc<Postgres>,
}

/// A database of its own for one scene, on the server that all tests of a program share.
#[derive(Debug)]
pub struct Database {
    postgres: Arc<Postgres>,
    pub url: String,
}

impl Database {
    pub fn new() -> Result<Self> {
        let postgres = Postgres::shared()?;
        let url = postgres.create_database()?;
        Ok(Self { postgres, url })
    }
}

impl Replicas {
    /// Starts the second server, on the keys and files of the first and the same rows.
    pub fn beside(first: &Server, database: Database, data: &Path) -> Result<Self> {
        let from = first.settings().data();
        for part in ["sealing.key", "authorities", "credentials"] {
            copy(&from.join(part), &data.join(part)).with_context(|| format!("cannot copy {part}"))?;
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = Settings::new(first.settings().resources(), data)?
            .listen(any, any, any)
            .environment("CHANCERY_DATABASE_URL", &database.url);
        let second = Server::start(settings)?;
        let backends = vec![first.status()?.listeners.device, second.status()?.listeners.device];
        Ok(Self { spread: Spread::new(backends)?, second, _postgres: database.postgres })
    }

    /// Where the second server listens.
    pub fn second(&self) -> Result<SocketAddr> {
        Ok(self.second.status()?.listeners.device)
    }

    /// The endpoint, by the address in front of both servers.
    pub fn in_front(&self, endpoint: &Endpoint) -> Result<Endpoint> {
        let direct = format!("https://{}/", endpoint.authority()?);
        let spread = format!("https://{}/", self.spread.address);
        let base =
            |url: &String| format!("{url}/").replacen(&direct, &spread, 1).trim_end_matches('/').to_owned();
        let mut endpoint = endpoint.clone();
        endpoint.urls = endpoint.urls.iter().map(base).collect();
        Ok(endpoint)
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    if from.is_file() {
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Hands each connection to the next of several addresses, octets untouched.
#[derive(Debug)]
struct Spread {
    address: SocketAddr,
    stopped: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

impl Spread {
    fn new(backends: Vec<SocketAddr>) -> Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let turn = AtomicUsize::new(0);
        let accepting = thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let next = turn.fetch_add(1, Ordering::Relaxed) % backends.len();
                let Some(server) = backends.get(next).and_then(|backend| TcpStream::connect(backend).ok())
                else {
                    continue;
                };
                relay(client, server);
            }
        });
        Ok(Self { address, stopped, accepting: Some(accepting) })
    }
}

impl Drop for Spread {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            drop(accepting.join());
        }
    }
}

/// Both directions until each has ended.
fn relay(client: TcpStream, server: TcpStream) {
    let (Ok(client_copy), Ok(server_copy)) = (client.try_clone(), server.try_clone()) else { return };
    thread::spawn(move || one_way(client_copy, server));
    thread::spawn(move || one_way(server_copy, client));
}

fn one_way(mut from: TcpStream, mut to: TcpStream) {
    // Whichever side ends, the other hears of it; errors are ends too.
    drop(io::copy(&mut from, &mut to));
    drop(to.shutdown(Shutdown::Write));
}

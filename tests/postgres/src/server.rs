//! A running server.

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::programs::{User, command, succeed};

/// What the server logs when it is ready.
const READY: &str = "database system is ready to accept connections";

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// The name and the password of the one user there is.
const USER: &str = "chancery";
const PASSWORD: &str = "test:p@ss/word?";
const PASSWORD_IN_URL: &str = "test%3Ap%40ss%2Fword%3F";

/// How a server runs.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// PEM: TLS on, with this certificate chain and key.
    pub tls: Option<Tls>,
    /// `name=value` of postgresql.conf.
    pub options: Vec<String>,
    /// Not only on loopback but here as well, for whoever speaks TLS and knows the password.
    pub address: Option<IpAddr>,
}

/// A server's certificate chain and key, PEM.
#[derive(Clone, Debug)]
pub struct Tls {
    pub chain: String,
    pub key: String,
    /// The authority of client certificates, which are then looked at.
    pub client_authority: Option<String>,
}

/// A server on a free port of loopback and on a socket, and on another address if one is given, with `fsync` on, as it would run in earnest. Dropping it stops
/// it and removes its data.
#[derive(Debug)]
pub struct Postgres {
    directory: TempDir,
    user: Option<User>,
    port: u16,
    options: Vec<String>,
    address: Option<IpAddr>,
    process: Mutex<Option<Child>>,
    log: Arc<Mutex<Vec<String>>>,
    databases: AtomicU32,
}

impl Postgres {
    /// One server for all tests of a program that run at once: each should make a database of its own.
    pub fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
        let mut shared = lock(&SHARED);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start(&Settings::default())?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Makes the data of a new server and runs it.
    pub fn start(settings: &Settings) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("pg").tempdir().context("cannot make a directory")?;
        let user = User::for_this_process()?;
        if let Some(user) = user {
            user.own(directory.path())?;
        }
        let password = write(directory.path(), user, "password", PASSWORD)?;
        let mut initdb = command("initdb", user, directory.path())?;
        initdb.args(["--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256"]);
        initdb.arg(format!("--username={USER}")).arg("--pwfile").arg(password).arg("--pgdata=data");
        succeed(&mut initdb)?;
        if settings.address.is_some() {
            let rules = directory.path().join("data/pg_hba.conf");
            let mut rules =
                fs::File::options().append(true).open(rules).context("cannot open pg_hba.conf")?;
            writeln!(rules, "hostssl all all all scram-sha-256")?;
        }
        let mut options = settings.options.clone();
        if let Some(tls) = &settings.tls {
            let chain = write(directory.path(), user, "server.pem", &tls.chain)?;
            let key = write(directory.path(), user, "server.key", &tls.key)?;
            options.push("ssl=on".into());
            options.push(format!("ssl_cert_file={}", chain.display()));
            options.push(format!("ssl_key_file={}", key.display()));
            if let Some(authority) = &tls.client_authority {
                let file = write(directory.path(), user, "clients.pem", authority)?;
                options.push(format!("ssl_ca_file={}", file.display()));
            }
        }
        let server = Self {
            port: free_port()?,
            directory,
            user,
            options,
            address: settings.address,
            process: Mutex::new(None),
            log: Arc::default(),
            databases: AtomicU32::new(0),
        };
        server.run()?;
        Ok(server)
    }

    /// Makes an empty database and answers its URL.
    pub fn create_database(&self) -> Result<String> {
        let name = format!("db{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.execute(&self.url("postgres"), &format!("CREATE DATABASE {name}"))?;
        Ok(self.url(&name))
    }

    /// By TCP, with the password.
    pub fn url(&self, database: &str) -> String {
        self.url_at(IpAddr::V4(Ipv4Addr::LOCALHOST), database)
    }

    /// By TCP to one of its addresses, with the password.
    pub fn url_at(&self, address: IpAddr, database: &str) -> String {
        let host = match address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("[{address}]"),
        };
        format!("postgres://{USER}:{PASSWORD_IN_URL}@{host}:{}/{database}", self.port)
    }

    /// By the socket, with the password.
    pub fn socket_url(&self, database: &str) -> String {
        let directory = self.directory.path().display().to_string().replace('/', "%2F");
        format!("postgres://{USER}:{PASSWORD_IN_URL}@{directory}:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What nobody may find in a log: the password as it is.
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// Runs statements in the database of this URL by psql, and answers what they print, without decoration.
    pub fn execute(&self, url: &str, sql: &str) -> Result<String> {
        let mut psql = command("psql", self.user, self.directory.path())?;
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        let output = succeed(psql.arg(format!("--command={sql}")).arg(url))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Stops it as an administrator would: sessions are ended, what was committed is kept.
    pub fn stop(&self) -> Result<()> {
        self.end(Signal::INT)
    }

    /// Stops it as a crash would.
    pub fn crash(&self) -> Result<()> {
        self.end(Signal::QUIT)
    }

    /// Runs it again, on the same data and port.
    pub fn run(&self) -> Result<()> {
        let mut postgres = command("postgres", self.user, self.directory.path())?;
        let addresses: Vec<String> = std::iter::once(IpAddr::V4(Ipv4Addr::LOCALHOST))
            .chain(self.address)
            .map(|address| address.to_string())
            .collect();
        postgres.args(["-D", "data", "-c", "max_connections=300"]);
        postgres.arg("-c").arg(format!("listen_addresses={}", addresses.join(",")));
        postgres.arg("-c").arg(format!("port={}", self.port));
        postgres.arg("-c").arg(format!("unix_socket_directories={}", self.directory.path().display()));
        for option in &self.options {
            postgres.arg("-c").arg(option);
        }
        postgres.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = postgres.spawn().context("cannot run postgres")?;
        let lines = process.stderr.take().context("postgres has no standard error")?;
        *lock(&self.process) = Some(process);
        if self.read_log(lines).recv_timeout(START_LIMIT).is_err() {
            bail!("postgres did not start:\n{}", lock(&self.log).join("\n"));
        }
        Ok(())
    }

    /// Everything the server has logged.
    pub fn log(&self) -> String {
        lock(&self.log).join("\n")
    }

    /// Keeps the log, and tells once that the server is ready; hangs up if it ends before.
    fn read_log(&self, lines: ChildStderr) -> mpsc::Receiver<()> {
        let (ready, receiver) = mpsc::sync_channel(1);
        let log = self.log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if line.contains(READY) {
                    let _ = ready.try_send(());
                }
                lock(&log).push(line);
            }
        });
        receiver
    }

    fn end(&self, signal: Signal) -> Result<()> {
        let Some(mut process) = lock(&self.process).take() else { return Ok(()) };
        let pid =
            i32::try_from(process.id()).ok().and_then(Pid::from_raw).context("postgres has no number")?;
        kill_process(pid, signal).context("postgres cannot be stopped")?;
        let deadline = Instant::now() + STOP_LIMIT;
        while process.try_wait()?.is_none() {
            if Instant::now() > deadline {
                process.kill()?;
                process.wait()?;
                bail!("postgres did not stop");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // The data goes anyway.
        let stopped = self.crash();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            #[expect(clippy::print_stderr, reason = "shown by the test runner where a test failed")]
            for line in tail.iter().rev() {
                eprintln!("postgres: {line}");
            }
        }
        drop(stopped);
    }
}

/// A file that only the server reads.
fn write(directory: &Path, user: Option<User>, name: &str, contents: &str) -> Result<PathBuf> {
    let path = directory.join(name);
    fs::write(&path, contents).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    if let Some(user) = user {
        user.own(&path)?;
    }
    Ok(path)
}

/// One that is free now. PostgreSQL cannot choose for itself.
fn free_port() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
    Ok(listener.local_addr()?.port())
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

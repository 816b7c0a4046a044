//! A running `chancery-server standalone`, owned by the test that started it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::plain_http;
use crate::program;
use crate::{Endpoints, Status};

/// What the server's standard output begins its last line of start-up with.
const READY: &str = "Chancery is ready";

/// A debug build under load from the rest of a test run still starts well within this.
const START_LIMIT: Duration = Duration::from_secs(60);

/// Longer than the server's own drain timeout.
const STOP_LIMIT: Duration = Duration::from_secs(40);

/// Where a server lives. Starting twice with the same settings is a restart on the same data.
#[derive(Clone, Debug)]
pub struct Settings {
    binary: PathBuf,
    resources: PathBuf,
    data: PathBuf,
    listen: SocketAddr,
    public_listen: SocketAddr,
    private_listen: SocketAddr,
    options: Vec<String>,
    environment: Vec<(String, String)>,
    shows_log: bool,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    process: Child,
    settings: Settings,
    stdout: Vec<String>,
}

impl Settings {
    /// For a test: any free ports on loopback, the binary that [`binary`] finds, and the log printed at the end, which
    /// the test runner shows if the test fails.
    pub fn new(resources: &Path, data: &Path) -> Result<Self> {
        Ok(Self { shows_log: true, ..Self::with_binary(binary()?, resources, data) })
    }

    /// Any free ports on loopback, a binary of the caller's choice; the log is printed only if it does not start.
    pub fn with_binary(binary: PathBuf, resources: &Path, data: &Path) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            binary,
            resources: resources.to_owned(),
            data: data.to_owned(),
            listen: any,
            public_listen: any,
            private_listen: any,
            options: Vec::new(),
            environment: Vec::new(),
            shows_log: false,
        }
    }

    /// Fixed addresses: device (TLS), public, private.
    pub fn listen(mut self, device: SocketAddr, public: SocketAddr, private: SocketAddr) -> Self {
        (self.listen, self.public_listen, self.private_listen) = (device, public, private);
        self
    }

    /// One more command-line argument.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// One more environment variable.
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The folder of resources.
    pub fn resources(&self) -> &Path {
        &self.resources
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The file the server's log goes to, over all its starts.
    pub fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    /// A command line of the same binary on the same data, such as `audit verify`. Works while no server runs, too.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data").arg(&self.data);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Runs [`Settings::command`] and answers its standard output; a status other than 0 is an error.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let answer = program::output(&mut self.command(arguments), None)?;
        if !answer.status.success() {
            let text = program::printed(&answer);
            bail!("`chancery-server {}` failed ({}):\n{text}", arguments.join(" "), answer.status);
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }
}

impl Server {
    /// Starts a server and returns when it says that it is ready.
    pub fn start(settings: Settings) -> Result<Self> {
        let log =
            File::options().create(true).append(true).open(settings.log()).context("cannot open the log")?;
        let mut process = Command::new(&settings.binary)
            .arg("standalone")
            .arg("--resources")
            .arg(&settings.resources)
            .arg("--data")
            .arg(&settings.data)
            .args(["--listen", &settings.listen.to_string()])
            .args(["--public-listen", &settings.public_listen.to_string()])
            .args(["--private-listen", &settings.private_listen.to_string()])
            .args(&settings.options)
            .envs(settings.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot run {}", settings.binary.display()))?;
        let lines = lines_of(process.stdout.take().context("no standard output")?);
        let mut server = Self { process, settings, stdout: Vec::new() };
        if let Err(error) = server.wait_until_ready(&lines) {
            server.settings.shows_log = true;
            return Err(error);
        }
        // Later starts take the addresses of the first: URLs inside certificates and test variables stay true.
        let listeners = server.status()?.listeners;
        server.settings =
            server.settings.clone().listen(listeners.device, listeners.public, listeners.private);
        Ok(server)
    }

    /// What it is run with, with the addresses it got.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Process ID.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The lines printed up to and including the one that says it is ready.
    pub fn stdout(&self) -> &[String] {
        &self.stdout
    }

    /// `DATA/endpoints.json`, as it is now.
    pub fn endpoints(&self) -> Result<Endpoints> {
        Endpoints::read(&self.settings.data)
    }

    /// `DATA/status.json`, as it is now.
    pub fn status(&self) -> Result<Status> {
        Status::read(&self.settings.data)
    }

    /// GET on the private listener: `/healthz`, `/readyz`, `/metrics`.
    pub fn private(&self, path: &str) -> Result<plain_http::Answer> {
        plain_http::get(&format!("http://{}{path}", self.settings.private_listen))
    }

    /// GET on the public listener.
    pub fn public(&self, path: &str) -> Result<plain_http::Answer> {
        plain_http::get(&format!("http://{}{path}", self.settings.public_listen))
    }

    /// The whole log so far.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.settings.log()).context("cannot read the log")
    }

    /// Returns as soon as `holds` answers true; an error after `limit`.
    pub fn wait_until(
        &self,
        what: &str,
        limit: Duration,
        holds: impl Fn(&Self) -> Result<bool>,
    ) -> Result<()> {
        wait_until(what, limit, || holds(self))
    }

    /// `kill -9`: no destructor, no flush. Returns what it takes to start again on the same data.
    pub fn kill9(mut self) -> Result<Settings> {
        self.process.kill().context("cannot kill the server")?;
        self.process.wait().context("cannot wait for the server")?;
        Ok(self.settings.clone())
    }

    /// Asks the server to stop (SIGTERM) and waits for it.
    pub fn stop(mut self) -> Result<(Settings, ExitStatus)> {
        self.signal(Signal::TERM)?;
        let status = self.wait()?;
        Ok((self.settings.clone(), status))
    }

    /// Asks the server to stop without waiting; [`Server::wait`] does that.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("no process ID")?;
        kill_process(pid, signal).context("cannot signal the server")
    }

    /// Waits until the process has ended by itself.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let ended = std::cell::Cell::new(None);
        let process = std::cell::RefCell::new(&mut self.process);
        wait_until("the server to stop", STOP_LIMIT, || {
            ended.set(process.borrow_mut().try_wait()?);
            Ok(ended.get().is_some())
        })?;
        ended.get().context("the server did not stop")
    }

    fn wait_until_ready(&mut self, lines: &mpsc::Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let ready = line.starts_with(READY);
                    self.stdout.push(line);
                    if ready {
                        return Ok(());
                    }
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    bail!("the server was not ready after {START_LIMIT:?}")
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let status = self.process.wait()?;
                    bail!(
                        "the server ended before it was ready: {status}\n{}",
                        self.log().unwrap_or_default()
                    );
                }
            }
        }
    }

    /// By `eprintln`, which the test runner holds back while a test passes.
    #[allow(clippy::print_stderr, reason = "see above")]
    fn show_log(&self) {
        let (stdout, log) = (self.stdout.join("\n"), self.log().unwrap_or_default());
        eprintln!("--- the server printed\n{stdout}\n--- it logged\n{log}---");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.settings.shows_log {
            self.show_log();
        }
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The server binary: `CHANCERY_SERVER_BIN`, or the debug build, brought up to date once in each test process.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(path) = given_binary() {
        return Ok(path);
    }
    let built = BUILT.get_or_init(|| build(&[]).map_err(|error| format!("{error:#}")));
    built.clone().map_err(anyhow::Error::msg)
}

/// The release build of the server: `CHANCERY_SERVER_BIN`, or brought up to date now.
pub fn release_binary() -> Result<PathBuf> {
    given_binary().map_or_else(|| build(&["--release"]), Ok)
}

/// Builds the server and answers the path of the binary. `options`: `--release`, or nothing.
pub fn build(options: &[&str]) -> Result<PathBuf> {
    build_program("chancery-server", options)
}

/// The same for any program of ours; its package has its name.
pub fn build_program(name: &str, options: &[&str]) -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("Cargo.toml");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--package", name, "--bin", name]).args(options);
    cargo.arg("--manifest-path").arg(manifest).arg("--message-format=json-render-diagnostics");
    // Progress and errors go straight to the terminal; only the artifact messages are read.
    let answer = cargo.stderr(Stdio::inherit()).stdin(Stdio::null()).output().context("cannot run cargo")?;
    if !answer.status.success() {
        bail!("{name} does not build ({})", answer.status);
    }
    let messages = String::from_utf8_lossy(&answer.stdout).into_owned();
    let executable = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back();
    executable.context("cargo named no executable")
}

fn given_binary() -> Option<PathBuf> {
    std::env::var_os("CHANCERY_SERVER_BIN").map(PathBuf::from)
}

/// Polls until `holds` answers true; an error that names `what` after `limit`.
///
/// For conditions in other processes, which nothing here can be woken by.
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !holds()? {
        if Instant::now() >= deadline {
            bail!("waited {limit:?} in vain for {what}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Reads lines on a thread of its own, so that waiting for one can have a limit. The thread goes on reading for as long
/// as the pipe is open: a server must never block on what it prints.
fn lines_of(pipe: impl std::io::Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    receiver
}

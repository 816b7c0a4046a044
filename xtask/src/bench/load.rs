//! One measurement by the load tool.

use std::fmt;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use chancery_tests::program;
use serde::{Deserialize, Serialize};

use crate::{peers, shell};

/// The name that every request of the load tool asks for. The full store's certificates are made after one of them.
pub(super) const DEVICE: &str = "bench-device.devices.example";

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Operation {
    /// simpleenroll with a password.
    Enroll,
    /// simplereenroll with the certificate of an earlier enrolment.
    Reenroll,
}

/// Whether connections are kept, which is what decides the cost of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Connection {
    /// Few connections, many requests on each.
    Keepalive,
    /// A connection and a full handshake for each request.
    Handshake,
}

/// One way to load a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Case {
    pub(super) operation: Operation,
    pub(super) connection: Connection,
    pub(super) clients: u32,
}

impl Case {
    /// Each operation with each kind of connection and each number of clients.
    pub(super) fn all(clients: &[u32]) -> Vec<Self> {
        let operations = [Operation::Enroll, Operation::Reenroll];
        let connections = [Connection::Keepalive, Connection::Handshake];
        let kinds = operations.into_iter().flat_map(|one| connections.map(|other| (one, other)));
        let cases = kinds.flat_map(|(operation, connection)| {
            clients.iter().map(move |&clients| Self { operation, connection, clients })
        });
        cases.collect()
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operation = match self.operation {
            Operation::Enroll => "simpleenroll",
            Operation::Reenroll => "simplereenroll",
        };
        let clients = self.clients;
        let plural = if clients == 1 { "" } else { "s" };
        write!(f, "{operation}, {}, {clients} client{plural}", self.connection.name())
    }
}

impl Connection {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Handshake => "handshake",
        }
    }
}

/// What is measured: a server's process and how it is asked.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) pid: u32,
    /// The first process of the database server behind it.
    pub(super) database: Option<u32>,
    /// URL of simpleenroll.
    pub(super) enroll: String,
    /// URL of simplereenroll, where it has that.
    pub(super) reenroll: Option<String>,
    /// `name:password`, or nothing for a server that asks nobody.
    pub(super) user: Option<String>,
}

impl Target {
    pub(super) fn answers(&self, operation: Operation) -> bool {
        match operation {
            Operation::Enroll => true,
            Operation::Reenroll => self.reenroll.is_some(),
        }
    }
}

/// What one run of the load tool found; times in milliseconds, CPU time per operation.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Measurement {
    pub(super) per_second: f64,
    #[serde(rename = "p50Ms")]
    pub(super) p50: f64,
    #[serde(rename = "p99Ms")]
    pub(super) p99: f64,
    #[serde(rename = "maxMs")]
    pub(super) longest: f64,
    #[serde(rename = "serverCpuMs")]
    pub(super) server_cpu: f64,
    #[serde(rename = "clientCpuMs")]
    pub(super) client_cpu: f64,
    #[serde(rename = "databaseCpuMs")]
    pub(super) database_cpu: f64,
    /// What else ran on the machine, in cores.
    #[serde(rename = "othersCores")]
    pub(super) others: f64,
    #[serde(rename = "serverPeakRssMib")]
    pub(super) server_peak: f64,
}

/// The load tool with what every protocol tells it.
#[derive(Debug)]
pub(super) struct Tool(Command);

impl Tool {
    /// Each operation asks for the certificate of a key of its own.
    pub(super) fn new(pid: u32, connection: Connection, clients: u32, operations: u32) -> Result<Self> {
        let mut load = Command::new(peers::directory()?.join("httpload"));
        load.args(["-pid", &pid.to_string(), "-csr", DEVICE]);
        // The curve that the peer's server offers as well, so that the handshakes are the same work.
        load.args(["-curve", "p256", "-connection", connection.name()]);
        load.args(["-n", &operations.to_string(), "-c", &clients.to_string()]);
        Ok(Self(load))
    }

    pub(super) fn argument(&mut self, option: &str, value: &str) -> &mut Self {
        self.0.args([option, value]);
        self
    }

    /// One load from its beginning to its end.
    pub(super) fn measure(self, what: &dyn fmt::Display) -> Result<Measurement> {
        self.start(what)?.finish()
    }

    fn start(mut self, what: &dyn fmt::Display) -> Result<Load> {
        self.0.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Load { process: self.0.spawn().context("cannot run the load tool")?, what: what.to_string() })
    }
}

/// A load that runs.
#[derive(Debug)]
pub(super) struct Load {
    process: Child,
    what: String,
}

impl Load {
    /// Sends EST requests, each for a key of its own.
    pub(super) fn start(target: &Target, case: Case, operations: u32) -> Result<Self> {
        let mut load = Tool::new(target.pid, case.connection, case.clients, operations)?;
        load.argument("-H", "Content-Type: application/pkcs10");
        load.argument("-H", "Content-Transfer-Encoding: base64");
        match case.operation {
            Operation::Enroll => load.argument("-url", &target.enroll),
            Operation::Reenroll => {
                let url = target.reenroll.as_ref().context("this server does not renew")?;
                load.argument("-url", url).argument("-first", &target.enroll)
            }
        };
        if let Some(user) = &target.user {
            load.argument("-user", user);
        }
        if let Some(database) = target.database {
            load.argument("-database", &database.to_string());
        }
        load.start(&case)
    }

    /// Waits for its end. Any failed operation is an error: a server that refuses is fast, and would win.
    pub(super) fn finish(self) -> Result<Measurement> {
        let answer = self.process.wait_with_output()?;
        if !answer.status.success() {
            bail!("the load tool failed on {}: {}", self.what, program::printed(&answer));
        }
        serde_json::from_slice(&answer.stdout).context("the load tool printed something unexpected")
    }
}

/// Builds the load tool.
pub(super) fn build() -> Result<()> {
    peers::build_commands(&shell::repository().join("tests/bench"), &["./httpload"])
}

/// One load from its beginning to its end.
pub(super) fn measure(target: &Target, case: Case, operations: u32) -> Result<Measurement> {
    Load::start(target, case, operations)?.finish()
}

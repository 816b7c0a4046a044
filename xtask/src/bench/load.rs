//! One measurement by the load tool.

use std::process::Command;

use anyhow::{Context, Result, bail};
use chancery_tests::program;
use serde::{Deserialize, Serialize};

use crate::{peers, shell};

/// Whether connections are kept, which is what decides the cost of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Connection {
    /// Few connections, many requests on each.
    Keepalive,
    /// A connection and a full handshake for each request.
    Handshake,
}

impl Connection {
    pub(super) const ALL: [Self; 2] = [Self::Keepalive, Self::Handshake];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Keepalive => "keepalive",
            Self::Handshake => "handshake",
        }
    }
}

/// What is measured: a server's process and the request it is sent.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) pid: u32,
    pub(super) url: String,
    /// `name:password`, or nothing for a server that asks nobody.
    pub(super) user: Option<String>,
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
    #[serde(rename = "serverCpuMs")]
    pub(super) server_cpu: f64,
    #[serde(rename = "clientCpuMs")]
    pub(super) client_cpu: f64,
    #[serde(rename = "serverPeakRssMib")]
    pub(super) server_peak: f64,
}

/// Builds the load tool.
pub(super) fn build() -> Result<()> {
    peers::build_commands(&shell::repository().join("tests/bench"), &["./httpload"])
}

/// Sends `operations` EST requests, each for a key of its own, from `clients` workers. Any failed operation is an error: a
/// server that refuses is fast, and would win.
pub(super) fn measure(target: &Target, connection: Connection, run: &super::Run) -> Result<Measurement> {
    let mut load = Command::new(peers::directory()?.join("httpload"));
    load.args(["-url", &target.url, "-pid", &target.pid.to_string(), "-csr", "bench.devices.example"]);
    load.args(["-H", "Content-Type: application/pkcs10", "-H", "Content-Transfer-Encoding: base64"]);
    // The curve that the peer's server offers as well, so that the handshakes are the same work.
    load.args(["-curve", "p256", "-connection", connection.name()]);
    load.args(["-n", &run.operations.to_string(), "-c", &run.clients.to_string()]);
    if let Some(user) = &target.user {
        load.args(["-user", user]);
    }
    let answer = program::output(&mut load, None)?;
    if !answer.status.success() {
        bail!("the load tool failed on {}: {}", target.url, program::printed(&answer));
    }
    serde_json::from_slice(&answer.stdout).context("the load tool printed something unexpected")
}

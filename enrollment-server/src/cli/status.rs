//! `chancery-server status`: how a standalone server is doing.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use super::{DataArgs, Format, output};
use crate::standalone::{data::DataFolder, status::StatusFile};

const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_ANSWER: u64 = 1024 * 1024;

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    data: DataArgs,
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl StatusArgs {
    /// Ends with status 1 unless the server runs and is ready.
    pub(super) fn run(self) -> anyhow::Result<()> {
        let folder = DataFolder::open(&self.data.data)?;
        let status = StatusFile::read(&folder)?
            .with_context(|| format!("no server has run with the data folder {}", folder.root().display()))?;
        // The lock is free when nobody holds it, whatever the file says.
        let running = folder.lock().is_err();
        let readiness = if running { Some(probe(status.listeners.private)?) } else { None };
        let ready = readiness.as_ref().is_some_and(|detail| detail["ready"] == json!(true));
        match self.format {
            Format::Json => {
                output::json(&json!({"running": running, "status": status, "readiness": readiness}))?
            }
            Format::Text => print(&status, running, readiness.as_ref())?,
        }
        if !running {
            bail!("the server is not running");
        }
        if !ready {
            bail!("the server is not ready");
        }
        Ok(())
    }
}

fn print(status: &StatusFile, running: bool, readiness: Option<&Value>) -> anyhow::Result<()> {
    let state = if running { "running" } else { "stopped" };
    output::line(format_args!("{state}, process {}, configuration {}", status.pid, status.generation))?;
    let listeners = &status.listeners;
    output::line(format_args!(
        "listening on {} (devices), {} (public), {} (private)",
        listeners.device, listeners.public, listeners.private
    ))?;
    if let Some(error) = &status.last_error {
        output::line(format_args!(
            "the folder was not taken; the last good configuration is in force: {error}"
        ))?;
    }
    for resource in &status.resources {
        output::line(format_args!(
            "{:8} {} {}  {}",
            resource.state, resource.kind, resource.name, resource.message
        ))?;
    }
    for check in readiness.and_then(|detail| detail["checks"].as_array()).into_iter().flatten() {
        let mark = if check["ok"] == json!(true) { "ok" } else { "NOT OK" };
        let text = |name: &str| check[name].as_str().unwrap_or_default().to_owned();
        output::line(format_args!("{mark:8} {}  {}", text("name"), text("detail")))?;
    }
    Ok(())
}

/// `GET /readyz`, whose body says what is the matter whatever the status code.
fn probe(private: SocketAddr) -> anyhow::Result<Value> {
    let mut stream = TcpStream::connect_timeout(&private, PROBE_TIMEOUT)
        .with_context(|| format!("the private listener {private} does not answer"))?;
    stream.set_read_timeout(Some(PROBE_TIMEOUT))?;
    stream.set_write_timeout(Some(PROBE_TIMEOUT))?;
    write!(stream, "GET /readyz HTTP/1.1\r\nHost: {private}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let body =
        text.split_once("\r\n\r\n").map(|(_, body)| body).context("the answer of /readyz is not HTTP")?;
    serde_json::from_str(body.trim()).context("the answer of /readyz is not JSON")
}

//! The servers that Chancery is measured beside.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_tests::program::{self, cache_directory};
use chancery_tests::server::wait_until;

use super::load::Target;
use crate::cargo::cargo;
use crate::{peers, shell};

/// A process that ends with its owner.
#[derive(Debug)]
pub(super) struct Peer {
    process: Child,
    pub(super) target: Target,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// globalsign estserver with its mock authority: signs, stores nothing, lets everybody in.
pub(super) fn estserver(directory: &Path) -> Result<Peer> {
    let tls = TlsFiles::make(directory)?;
    // It does not say which port it got, so one that is free a moment before is named.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let configuration = serde_json::json!({
        "mock_ca": {"certificates": tls.certificate, "private_key": tls.key},
        "tls": {"listen_address": address.to_string(), "certificates": tls.certificate, "private_key": tls.key,
                // What it issues renews itself.
                "client_cas": [tls.certificate]},
        "timeout": 30,
        "log_file": directory.join("estserver.log"),
    });
    let file = directory.join("estserver.json");
    fs::write(&file, configuration.to_string())?;
    let process = Command::new(peers::directory()?.join("estserver"))
        .arg("-config")
        .arg(&file)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .context("cannot run estserver")?;
    let target = Target {
        pid: process.id(),
        database: None,
        enroll: format!("https://{address}/.well-known/est/simpleenroll"),
        reenroll: Some(format!("https://{address}/.well-known/est/simplereenroll")),
        user: None,
    };
    let peer = Peer { target, process };
    wait_until("estserver to listen", Duration::from_secs(10), || Ok(TcpStream::connect(address).is_ok()))?;
    Ok(peer)
}

/// `tests/bench/tlsfloor`: TLS and one signature a request, nothing else.
pub(super) fn tlsfloor(directory: &Path, clients: u32) -> Result<Peer> {
    let binary = build_tlsfloor()?;
    let tls = TlsFiles::make(directory)?;
    let mut process = Command::new(binary)
        .arg(&tls.certificate)
        .arg(&tls.key)
        // Connections close a little after the client opens the next: room for both.
        .arg((clients * 2).to_string())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tlsfloor")?;
    let mut line = String::new();
    let pipe = process.stdout.take().context("no standard output")?;
    let pid = process.id();
    let target = Target { pid, database: None, enroll: String::new(), reenroll: None, user: None };
    let mut peer = Peer { process, target };
    BufReader::new(pipe).read_line(&mut line).context("tlsfloor printed no address")?;
    let address: SocketAddr = line.trim().parse().context("tlsfloor printed no address")?;
    peer.target.enroll = format!("https://{address}/.well-known/est/simpleenroll");
    Ok(peer)
}

fn build_tlsfloor() -> Result<PathBuf> {
    let target = cache_directory()?.join("tlsfloor-target");
    let manifest = shell::repository().join("tests/bench/tlsfloor/Cargo.toml");
    let mut build = cargo(&["build", "--release", "--locked"]);
    shell::run(build.arg("--manifest-path").arg(manifest).arg("--target-dir").arg(&target))?;
    Ok(target.join("release/tlsfloor"))
}

/// A self-signed P-256 certificate that serves as authority and server certificate alike.
pub(super) struct TlsFiles {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl TlsFiles {
    pub(super) fn make(directory: &Path) -> Result<Self> {
        let files = Self { certificate: directory.join("peer.pem"), key: directory.join("peer.key") };
        let mut openssl = Command::new(program::find("openssl")?);
        openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
        openssl.args(["-days", "2", "-subj", "/CN=peer", "-addext", "subjectAltName=IP:127.0.0.1"]);
        openssl.arg("-keyout").arg(&files.key).arg("-out").arg(&files.certificate);
        shell::capture(&mut openssl)?;
        Ok(files)
    }
}

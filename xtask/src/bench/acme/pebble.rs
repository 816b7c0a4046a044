//! pebble, the server that authors of ACME clients test with: everything in memory.

use std::fs::File;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_tests::server::wait_until;

use super::load::Target;
use super::{Answers, Proof, free_address};
use crate::bench::peer::TlsFiles;
use crate::peers;

/// A process that ends with its owner.
#[derive(Debug)]
pub(super) struct Pebble {
    process: Child,
    directory: String,
}

impl Pebble {
    /// Starts one with keys on the same curve, and without what it does to try clients out: waiting before it validates, and
    /// refusing good nonces.
    pub(super) fn start(directory: &Path, proof: Proof, answers: &Answers) -> Result<Self> {
        let tls = TlsFiles::make(directory)?;
        let address = free_address()?;
        let configuration = serde_json::json!({"pebble": {
            "listenAddress": address.to_string(),
            "managementListenAddress": "",
            "certificate": tls.certificate, "privateKey": tls.key,
            "httpPort": answers.http.port(), "tlsPort": free_address()?.port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "domainBlocklist": [],
            "retryAfter": {"authz": 0, "order": 0},
            "keyAlgorithm": "ecdsa",
        }});
        let file = directory.join("pebble.json");
        std::fs::write(&file, configuration.to_string())?;
        let reuse = match proof {
            Proof::Http01Name | Proof::Http01Address => "0",
            Proof::None => "100",
        };
        let log = File::create(directory.join("pebble.log"))?;
        let process = Command::new(peers::directory()?.join("pebble"))
            .arg("-config")
            .arg(&file)
            .args(["-dnsserver", &answers.dns.to_string()])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_WFE_NONCEREJECT", "0")
            .env("PEBBLE_AUTHZREUSE", reuse)
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .context("cannot run pebble")?;
        let pebble = Self { process, directory: format!("https://{address}/dir") };
        let listens = || Ok(TcpStream::connect(address).is_ok());
        wait_until("pebble to listen", Duration::from_secs(10), listens)?;
        Ok(pebble)
    }

    pub(super) fn target(&self) -> Target {
        Target { pid: self.process.id(), directory: self.directory.clone(), binding: None, remembers: true }
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

//! strongSwan's `pki --est` and `--estca`: an EST client that we did not write, on a TLS that is its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::curl::TlsVersion;
use crate::program;
use crate::{Endpoint, Workspace};

/// One way of calling `pki` against one server. It knows no labels: the server's default method answers.
#[derive(Clone, Debug)]
pub struct Pki<'a> {
    endpoint: &'a Endpoint,
    workspace: &'a Workspace,
    tls: TlsVersion,
    options: Vec<String>,
}

impl<'a> Pki<'a> {
    /// Speaks at most this version.
    pub fn new(endpoint: &'a Endpoint, workspace: &'a Workspace, tls: TlsVersion) -> Self {
        Self { endpoint, workspace, tls, options: Vec::new() }
    }

    /// HTTP Basic user name and password.
    pub fn user(mut self, name: &str, password: &str) -> Self {
        self.options.extend(["--userpass".to_owned(), format!("{name}:{password}")]);
        self
    }

    /// The certificate that is to be renewed; `pki` then asks for simplereenroll.
    pub fn renewing(mut self, certificate: &Path, key: &Path) -> Self {
        for (option, path) in [("--cert", certificate), ("--key", key)] {
            self.options.extend([option.to_owned(), path.to_string_lossy().into_owned()]);
        }
        self
    }

    /// Fetches the authority's certificates: a PEM file for each, named after `out`.
    pub fn cacerts(&self, out: &Path) -> Result<()> {
        self.run("--estca", &["--caout", &out.to_string_lossy()]).map(drop)
    }

    /// Sends a PKCS#10 in DER; the certificate goes to a PEM file.
    pub fn enroll(&self, csr: &[u8], out: &Path) -> Result<()> {
        let request = self.workspace.write("strongswan.csr", csr)?;
        let mut options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let request = request.to_string_lossy();
        // It would otherwise poll for ever.
        options.extend(["--in", &request, "--interval", "1", "--maxpolltime", "5"]);
        let pem = self.run("--est", &options)?;
        std::fs::write(out, pem).with_context(|| format!("cannot write {}", out.display()))
    }

    fn run(&self, operation: &str, options: &[&str]) -> Result<Vec<u8>> {
        let version = match self.tls {
            TlsVersion::Tls12 => "1.2",
            TlsVersion::Tls13 => "1.3",
        };
        let settings = format!("pki {{ tls {{ version_max = {version} }} }}\n");
        let settings = self.workspace.write("strongswan.conf", settings)?;
        let mut command = Command::new(program::find("pki")?);
        command.args([operation, "--url", &format!("https://{}", self.endpoint.authority()?), "--cacert"]);
        command.arg(&self.endpoint.ca).args(options).args(["--outform", "pem"]);
        let answer = program::output(command.env("STRONGSWAN_CONF", settings), None)?;
        let text = program::printed(&answer);
        if !answer.status.success() {
            bail!("pki {operation} failed ({}):\n{text}", answer.status);
        }
        // What was asked for, or a test of both versions would test one twice.
        if !text.contains(&format!("negotiated TLS {version}")) {
            bail!("pki {operation} did not speak TLS {version}:\n{text}");
        }
        Ok(answer.stdout)
    }
}

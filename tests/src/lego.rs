//! lego: an ACME client that we did not write, in Go.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::acme::{Challenge, Client, Issued};
use crate::endpoints::Binding;
use crate::{Endpoint, program};

/// lego with one folder, which holds its account and its certificates.
#[derive(Debug)]
pub struct Lego {
    directory: String,
    ca: PathBuf,
    binding: Option<Binding>,
    folder: PathBuf,
    options: Vec<String>,
}

impl Lego {
    /// For the method behind `endpoint`; `folder` is empty or an earlier one's. It makes its account with the first order.
    pub fn new(endpoint: &Endpoint, folder: &Path, binding: Option<Binding>) -> Result<Self> {
        let (directory, ca) = (endpoint.directory()?.to_owned(), endpoint.ca.clone());
        Ok(Self { directory, ca, binding, folder: folder.to_owned(), options: Vec::new() })
    }

    /// One more option of `run` and `renew`: `--profile=short`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Renews if the server says that it is time (RFC 9773), whatever time the certificate has left. Answers what lego said.
    pub fn renew_if_asked(&self, names: &[&str], challenge: Challenge<'_>) -> Result<String> {
        self.order("renew", &["--no-random-sleep", "--days=0"], names, challenge)
    }

    fn order(
        &self,
        command: &str,
        options: &[&str],
        names: &[&str],
        challenge: Challenge<'_>,
    ) -> Result<String> {
        let mut lego = self.command()?;
        for name in names {
            lego.args(["--domains", name]);
        }
        match challenge {
            Challenge::Http01(port) => {
                lego.args(["--http", "--http.port", &format!("127.0.0.1:{port}")]);
            }
            Challenge::TlsAlpn01(port) => {
                lego.args(["--tls", "--tls.port", &format!("127.0.0.1:{port}")]);
            }
            Challenge::Dns01(bind) => {
                let address = bind.address().to_string();
                // It would ask the zone's name server, on port 53.
                lego.args(["--dns", "rfc2136", "--dns.propagation-disable-ans", "--dns.resolvers", &address]);
                lego.env("RFC2136_NAMESERVER", &address).env("RFC2136_TSIG_FILE", bind.key_file());
                lego.env("RFC2136_POLLING_INTERVAL", "1").env("RFC2136_SEQUENCE_INTERVAL", "1");
                lego.env("RFC2136_TTL", "1");
            }
        }
        lego.arg(command).args(options).args(&self.options);
        run(&mut lego)
    }

    fn command(&self) -> Result<Command> {
        let mut lego = Command::new(program::find("lego")?);
        lego.env("LEGO_CA_CERTIFICATES", &self.ca).arg("--path").arg(&self.folder);
        lego.args(["--server", &self.directory, "--accept-tos", "--email", "tester@acme.test"]);
        // It wants to be told with each command, not only where it makes the account.
        if let Some(Binding { kid, hmac }) = &self.binding {
            lego.args(["--eab", "--kid", kid, "--hmac", hmac]);
        }
        Ok(lego)
    }

    fn issued(&self, names: &[&str]) -> Result<Issued> {
        let name = names.first().copied().unwrap_or_default().replace('*', "_");
        let file = |ending: &str| self.folder.join("certificates").join(format!("{name}.{ending}"));
        Issued::at(file("crt"), file("key"))
    }
}

impl Client for Lego {
    fn issue(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        self.order("run", &[], names, challenge)?;
        self.issued(names)
    }

    fn renew(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        self.order("renew", &["--no-random-sleep", "--days=-1"], names, challenge)?;
        self.issued(names)
    }

    fn revoke(&self, issued: &Issued) -> Result<()> {
        let name = issued.chain.file_stem().unwrap_or_default().to_string_lossy().replace('_', "*");
        let mut lego = self.command()?;
        lego.args(["--domains", &name, "revoke", "--keep", "--reason", "4"]);
        run(&mut lego).map(drop)
    }
}

fn run(lego: &mut Command) -> Result<String> {
    let answer = program::output(lego, None)?;
    let said = program::printed(&answer);
    if !answer.status.success() {
        bail!("lego failed ({}):\n{said}", answer.status);
    }
    Ok(said)
}

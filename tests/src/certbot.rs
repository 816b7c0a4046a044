//! certbot: an ACME client that we did not write, in Python. Debian has an older one, its authors publish a newer one.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::acme::{Challenge, Client, Issued};
use crate::bind::{Bind, KEY_NAME, KEY_SECRET};
use crate::endpoints::Binding;
use crate::{Endpoint, program};

/// certbot with one folder, which holds its accounts and its certificates.
#[derive(Debug)]
pub struct Certbot {
    program: &'static str,
    directory: String,
    ca: PathBuf,
    binding: Option<Binding>,
    folder: PathBuf,
    options: Vec<String>,
}

impl Certbot {
    /// `program` is `certbot`, Debian's, or `certbot-pypi`; `folder` is empty or an earlier one's.
    pub fn new(
        program: &'static str,
        endpoint: &Endpoint,
        folder: &Path,
        binding: Option<Binding>,
    ) -> Result<Self> {
        let (directory, ca) = (endpoint.directory()?.to_owned(), endpoint.ca.clone());
        Ok(Self { program, directory, ca, binding, folder: folder.to_owned(), options: Vec::new() })
    }

    /// One more option of every order: `--preferred-profile=short`.
    pub fn option(mut self, option: &str) -> Self {
        self.options.push(option.to_owned());
        self
    }

    /// Makes the account without ordering anything.
    pub fn register(&self) -> Result<()> {
        let mut certbot = self.command("register")?;
        self.bind(&mut certbot);
        run(&mut certbot).map(drop)
    }

    /// Changes the address at which the account's owner is told things.
    pub fn update_contact(&self, address: &str) -> Result<String> {
        run(self.command("update_account")?.args(["--email", address]))
    }

    /// What the server says about the account.
    pub fn show_account(&self) -> Result<String> {
        run(&mut self.command("show_account")?)
    }

    /// Deactivates the account.
    pub fn unregister(&self) -> Result<()> {
        run(&mut self.command("unregister")?).map(drop)
    }

    /// Revokes a certificate as whoever holds its key, and not as an account (RFC 8555 §7.6).
    pub fn revoke_by_key(&self, issued: &Issued) -> Result<()> {
        let mut certbot = self.command("revoke")?;
        certbot.arg("--cert-path").arg(&issued.chain).arg("--key-path").arg(&issued.key);
        run(certbot.args(["--reason", "keycompromise", "--no-delete-after-revoke"])).map(drop)
    }

    /// Renews what is due: by the server's advice (RFC 9773) where this certbot asks for it, else by the time that is left.
    /// Answers what it said.
    pub fn renew_what_is_due(&self) -> Result<String> {
        run(self.command("renew")?.arg("--no-random-sleep-on-renew"))
    }

    fn command(&self, command: &str) -> Result<Command> {
        let mut certbot = Command::new(program::find(self.program)?);
        certbot.arg(command).args(["--non-interactive", "--agree-tos", "--server", &self.directory]);
        for (option, name) in [("--config-dir", "config"), ("--work-dir", "work"), ("--logs-dir", "logs")] {
            certbot.arg(option).arg(self.folder.join(name));
        }
        if matches!(command, "register" | "certonly") {
            certbot.arg("--register-unsafely-without-email");
        }
        // What its HTTP library trusts.
        certbot.env("REQUESTS_CA_BUNDLE", &self.ca);
        Ok(certbot)
    }

    fn bind(&self, certbot: &mut Command) {
        if let Some(Binding { kid, hmac }) = &self.binding {
            certbot.args(["--eab-kid", kid, "--eab-hmac-key", hmac]);
        }
    }

    fn order(&self, names: &[&str], challenge: Challenge<'_>, options: &[&str]) -> Result<Issued> {
        let mut certbot = self.command("certonly")?;
        self.bind(&mut certbot);
        certbot.args(["--cert-name", NAME, "--key-type", "ecdsa"]).args(options).args(&self.options);
        for name in names {
            let option = if name.parse::<std::net::IpAddr>().is_ok() { "--ip-address" } else { "--domain" };
            certbot.args([option, name]);
        }
        match challenge {
            Challenge::Http01(port) => {
                certbot.args(["--standalone", "--http-01-address", "127.0.0.1"]);
                certbot.args(["--http-01-port", &port.to_string()]);
            }
            Challenge::Dns01(bind) => {
                certbot.args(["--dns-rfc2136", "--dns-rfc2136-propagation-seconds", "0"]);
                certbot.arg("--dns-rfc2136-credentials").arg(self.zone_key(bind)?);
            }
            Challenge::TlsAlpn01(_) => bail!("certbot does not know tls-alpn-01"),
        }
        run(&mut certbot)?;
        let live = self.folder.join("config/live").join(NAME);
        Issued::at(live.join("fullchain.pem"), live.join("privkey.pem"))
    }

    fn zone_key(&self, bind: &Bind) -> Result<PathBuf> {
        let address = bind.address();
        let settings = [
            ("server", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("name", format!("{KEY_NAME}.")),
            ("secret", KEY_SECRET.to_owned()),
            ("algorithm", "HMAC-SHA256".to_owned()),
        ];
        let lines = settings.map(|(name, value)| format!("dns_rfc2136_{name} = {value}\n"));
        let file = self.folder.join("zone.ini");
        std::fs::write(&file, lines.concat())?;
        // It warns about files that others could read.
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        Ok(file)
    }
}

/// What the one certificate of a folder is called.
const NAME: &str = "issued";

impl Client for Certbot {
    fn issue(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        self.order(names, challenge, &[])
    }

    fn renew(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued> {
        self.order(names, challenge, &["--force-renewal"])
    }

    fn revoke(&self, issued: &Issued) -> Result<()> {
        let mut certbot = self.command("revoke")?;
        certbot.arg("--cert-path").arg(&issued.chain);
        run(certbot.args(["--reason", "superseded", "--no-delete-after-revoke"])).map(drop)
    }
}

fn run(certbot: &mut Command) -> Result<String> {
    let answer = program::output(certbot, None)?;
    let said = program::printed(&answer);
    if !answer.status.success() {
        let shown = certbot.get_program().to_string_lossy().into_owned();
        bail!("{shown} failed ({}):\n{said}", answer.status);
    }
    Ok(said)
}

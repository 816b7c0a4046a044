//! Caddy: a web server that gets its certificates by ACME, which we did not write, in Go.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::acme::Issued;
use crate::curl::Request;
use crate::endpoints::Binding;
use crate::server::wait_until;
use crate::{Endpoint, program};

/// Which challenge it is to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Only {
    Http01,
    TlsAlpn01,
}

/// Where a Caddy lives, and whom it asks.
#[derive(Debug)]
pub struct Settings<'a> {
    pub endpoint: &'a Endpoint,
    pub binding: Option<Binding>,
    /// Empty, or an earlier one's.
    pub folder: &'a Path,
    /// What it serves.
    pub names: &'a [&'a str],
    pub challenge: Only,
    /// Where http-01 is asked for.
    pub http: u16,
    /// Where it serves, and tls-alpn-01 is asked for.
    pub https: u16,
}

/// A running Caddy. Dropping it kills it.
#[derive(Debug)]
pub struct Caddy {
    process: Child,
    folder: PathBuf,
    https: u16,
}

/// It asks for certificates as it starts, and again within seconds where something failed.
const LIMIT: Duration = Duration::from_secs(90);

impl Caddy {
    /// Starts it; certificates come later.
    pub fn start(settings: &Settings<'_>) -> Result<Self> {
        let Settings { folder, https, .. } = settings;
        let configuration = folder.join("caddy.json");
        std::fs::write(&configuration, settings.configuration().to_string())?;
        let log = File::options().create(true).append(true).open(folder.join("log"))?;
        let process = Command::new(program::find("caddy")?)
            .args(["run", "--config"])
            .arg(configuration)
            // Nothing of its own outside the folder.
            .env("HOME", folder)
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_DATA_HOME")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("cannot run caddy")?;
        Ok(Self { process, folder: (*folder).to_owned(), https: *https })
    }

    /// Waits until it serves a name with a certificate that leads to `root`, other than `before`, and answers that.
    pub fn wait_for_certificate(
        &mut self,
        name: &str,
        root: &Path,
        before: Option<&Issued>,
    ) -> Result<Issued> {
        let before = before.map(|issued| std::fs::read(&issued.chain)).transpose()?;
        let process = std::cell::RefCell::new(&mut self.process);
        let waited = wait_until("a certificate in Caddy", LIMIT, || {
            if let Some(status) = process.borrow_mut().try_wait()? {
                bail!("caddy ended: {status}");
            }
            let Some(issued) = find(&self.folder.join("data"), name) else { return Ok(false) };
            Ok(std::fs::read(&issued.chain).ok() != before)
        });
        waited.with_context(|| self.log())?;
        let host = format!("{name}:{}", self.https);
        let request = Request::get(&format!("https://{host}/")).ca(root);
        let request = request.option("--resolve").option(&format!("{host}:127.0.0.1"));
        wait_until("Caddy to serve", LIMIT, || Ok(request.send().is_ok_and(|answer| answer.status == 200)))
            .with_context(|| self.log())?;
        find(&self.folder.join("data"), name).context("the certificate has gone")
    }

    /// What it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Caddy {
    fn drop(&mut self) {
        // Fails where it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Settings<'_> {
    fn configuration(&self) -> Value {
        let Self { endpoint, binding, folder, names, challenge, http, https } = self;
        let mut issuer = json!({
            "module": "acme",
            "ca": endpoint.directory().unwrap_or_default(),
            "trusted_roots_pem_files": [endpoint.ca],
            "challenges": {
                "bind_host": "127.0.0.1",
                "http": {"disabled": *challenge != Only::Http01, "alternate_port": http},
                "tls-alpn": {"disabled": *challenge != Only::TlsAlpn01, "alternate_port": https},
            },
        });
        if let (Some(Binding { kid, hmac }), Some(issuer)) = (binding, issuer.as_object_mut()) {
            issuer.insert("external_account".into(), json!({"key_id": kid, "mac_key": hmac}));
        }
        let server = json!({
            "listen": [format!("127.0.0.1:{https}")],
            "routes": [{
                "match": [{"host": names}],
                "handle": [{"handler": "static_response", "body": "served\n"}],
            }],
            "automatic_https": {"disable_redirects": true},
            "protocols": ["h1", "h2"],
        });
        // It looks every ten minutes whether something is to be renewed, unless it is told otherwise.
        let automation = json!({
            "renew_interval": "1s",
            "policies": [{"subjects": names, "issuers": [issuer], "key_type": "p256"}],
        });
        json!({
            "admin": {"disabled": true, "config": {"persist": false}},
            "storage": {"module": "file_system", "root": folder.join("data")},
            "apps": {
                "http": {"http_port": http, "https_port": https, "servers": {"web": server}},
                "tls": {"automation": automation},
            },
        })
    }
}

/// `data/certificates/ISSUER/NAME/NAME.crt`
fn find(data: &Path, name: &str) -> Option<Issued> {
    let issuers = std::fs::read_dir(data.join("certificates")).ok()?;
    let mut folders = issuers.filter_map(|entry| Some(entry.ok()?.path().join(name)));
    folders.find_map(|folder| {
        Issued::at(folder.join(format!("{name}.crt")), folder.join(format!("{name}.key"))).ok()
    })
}

//! A workspace, its resources and a server on them: what most tests begin with, and what a device does there.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::curl::{Answer, Request, TlsVersion};
use crate::openssl::{self, Csr};
use crate::replicas::{self, Database, Replicas};
use crate::{Endpoint, Resources, Server, Settings, Workspace, zlint};

/// How long a change of the resources may take to come into force.
const RELOAD_LIMIT: Duration = Duration::from_secs(20);

/// A running server with everything it lives on. The fields are dropped in this order: the server ends first.
#[derive(Debug)]
pub struct Scene {
    /// The server; the first, where there are two.
    pub server: Server,
    /// The second server and what is in front of both, where there are two.
    pub replicas: Option<Replicas>,
    /// The folder it reads.
    pub resources: Resources,
    /// Where everything lies.
    pub workspace: Workspace,
}

impl Scene {
    /// A server on a copy of `examples/quickstart`.
    pub fn quickstart() -> Result<Self> {
        let workspace = Workspace::new()?;
        let resources = Resources::quickstart(workspace.path())?;
        Self::start(workspace, resources)
    }

    /// A server on [`Resources::base`] and what `add` puts beside it.
    pub fn with(add: impl FnOnce(&Resources) -> Result<()>) -> Result<Self> {
        let workspace = Workspace::new()?;
        let resources = Resources::base(workspace.path())?;
        add(&resources)?;
        Self::start(workspace, resources)
    }

    /// Starts a server. Its public port is chosen before it starts, because certificates carry it.
    pub fn start(workspace: Workspace, resources: Resources) -> Result<Self> {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let public = TcpListener::bind(any)?.local_addr()?;
        resources.public_base_url(&format!("http://{public}"))?;
        let settings = Settings::new(resources.path(), &workspace.file("data"))?.listen(any, public, any);
        if !replicas::wanted() {
            return Ok(Self { server: Server::start(settings)?, replicas: None, resources, workspace });
        }
        let database = Database::new()?;
        let server = Server::start(settings.environment("CHANCERY_DATABASE_URL", &database.url))?;
        let replicas = Some(Replicas::beside(&server, database, &workspace.file("second"))?);
        Ok(Self { server, replicas, resources, workspace })
    }

    /// The EST endpoint of a method, `namespace/name`.
    pub fn est(&self, method: &str) -> Result<Endpoint> {
        self.in_front(self.server.endpoints()?.est(method)?)
    }

    /// The endpoint of a method of REST, `namespace/name`.
    pub fn rest(&self, method: &str) -> Result<Endpoint> {
        self.in_front(self.server.endpoints()?.rest(method)?)
    }

    /// Where each server listens for devices: one, or two.
    pub fn servers(&self) -> Result<Vec<SocketAddr>> {
        let mut servers = vec![self.server.status()?.listeners.device];
        if let Some(replicas) = &self.replicas {
            servers.push(replicas.second()?);
        }
        Ok(servers)
    }

    fn in_front(&self, endpoint: &Endpoint) -> Result<Endpoint> {
        match &self.replicas {
            Some(replicas) => replicas.in_front(endpoint),
            None => Ok(endpoint.clone()),
        }
    }

    /// Waits until a changed resource is in force; `generation` is the one before the change.
    pub fn wait_for_reload(&self, generation: u64) -> Result<()> {
        self.server.wait_until("a new generation", RELOAD_LIMIT, |server| {
            Ok(server.status()?.generation > generation)
        })
    }

    /// Waits until the server says that the newest resources are not in force, and answers why.
    pub fn wait_for_bad_configuration(&self) -> Result<String> {
        self.server.wait_until("a rejected configuration", RELOAD_LIMIT, |server| {
            Ok(server.status()?.last_error.is_some())
        })?;
        Ok(self.server.status()?.last_error.unwrap_or_default())
    }

    /// The authority's certificates by `cacerts`, as a PEM file.
    pub fn cacerts(&self, endpoint: &Endpoint, url: &str, tls: TlsVersion) -> Result<PathBuf> {
        let answer = Request::get(url).ca(&endpoint.ca).tls(tls).send()?.expect(200)?;
        check_certs_only(&answer)?;
        self.workspace.write("cacerts.pem", openssl::certificates_of_answer(&answer.body)?)
    }

    /// The certificate out of an answer to `simpleenroll`, as a PEM file named after the request.
    pub fn certificate(&self, answer: Answer, csr: &Csr) -> Result<PathBuf> {
        let answer = answer.expect(200)?;
        check_certs_only(&answer)?;
        let path = csr.key.with_extension("pem");
        std::fs::write(&path, openssl::certificates_of_answer(&answer.body)?)?;
        Ok(path)
    }

    /// Judges an issued certificate as strangers would: `openssl verify` with chain and CRL, zlint, the key asked for.
    pub fn judge(&self, certificate: &Path, csr: &Csr, cacerts: &Path) -> Result<()> {
        openssl::verify(&self.workspace, certificate, cacerts)?;
        zlint::lint(certificate)?;
        ensure!(openssl::is_for_key(certificate, &csr.key)?, "the certificate is for another key");
        Ok(())
    }
}

/// The URL of an operation without a label: the default method of the server of this endpoint.
pub fn default_url(endpoint: &Endpoint, operation: &str) -> Result<String> {
    Ok(format!("https://{}/.well-known/est/{operation}", endpoint.authority()?))
}

/// RFC 7030 §4.1.3, §4.2.3.
fn check_certs_only(answer: &Answer) -> Result<()> {
    let kind = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    ensure!(kind.starts_with("application/pkcs7-mime"), "the answer is of type {kind:?}");
    Ok(())
}

//! A server with ACME methods, the name server that its names are in, and what is common to all clients.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::bind::Bind;
use crate::endpoints::Binding;
use crate::front::{Front, recorded_in};
use crate::resources::NAMESPACE;
use crate::{Endpoint, Resources, Scene, Workspace, openssl, zlint};

/// The methods that every [`AcmeScene`] has, all in [`NAMESPACE`].
///
/// | name | binding | names |
/// | --- | --- | --- |
/// | `web` | required | by any challenge; the profile `short` may be chosen |
/// | `brief` | required | as `web`, for half a minute |
/// | `vouched` | required | below `vouched.acme.test`, without a challenge |
/// | `open` | none | by any challenge |
/// | `guarded` | none | CAA records have to allow `ca.test` |
/// | `manual` | none | by any challenge, and when somebody approves |
pub const METHODS: [&str; 6] = ["web", "brief", "vouched", "open", "guarded", "manual"];

/// What servers on the web are issued, and wildcards.
const PROFILE: &str = "\
    {authorityRef: {name: issuing}, preset: TLSServer, \
    protocols: [{protocol: acme, minimumAuthentication: Anonymous}], \
    subjectAltNames: {maximum: 10, dns: {wildcards: Allowed}, ip: {}}";

/// How a client shows that it controls a name.
#[derive(Clone, Copy, Debug)]
pub enum Challenge<'a> {
    /// It answers by HTTP on this port.
    Http01(u16),
    /// It changes the zone of this server.
    Dns01(&'a Bind),
    /// It answers by TLS on this port.
    TlsAlpn01(u16),
}

/// A client that we did not write: what each test of interoperability makes it do. It makes an account before its first order.
pub trait Client {
    /// Orders a certificate for these names.
    fn issue(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued>;
    /// Renews it, before its time.
    fn renew(&self, names: &[&str], challenge: Challenge<'_>) -> Result<Issued>;
    /// Revokes it.
    fn revoke(&self, issued: &Issued) -> Result<()>;
}

/// What a client wrote down.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM: the certificate, and those above it without the root.
    pub chain: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

/// A running server with everything it lives on.
#[derive(Debug)]
pub struct AcmeScene {
    pub scene: Scene,
    pub bind: Bind,
    /// Where http-01 is asked for.
    pub http: u16,
    /// Where tls-alpn-01 is asked for.
    pub tls: u16,
    front: Option<Front>,
}

impl AcmeScene {
    /// Starts it. Where two servers are wanted, or what clients send is to be recorded, something that reads every request
    /// stands in front.
    pub fn start() -> Result<Self> {
        let bind = Bind::start()?;
        let (http, tls) = (free_port()?, free_port()?);
        let validation = format!(
            "validation: {{httpPort: {http}, tlsAlpnPort: {tls}, resolvers: ['{}'], allowedNetworks: [127.0.0.0/8]}}",
            bind.address()
        );
        let scene = Scene::with(|resources| write_methods(resources, &validation))?;
        let front = Front::wanted(&scene)?;
        let acme = Self { scene, bind, http, tls, front };
        if let Some(folder) = recorded_in() {
            // What it takes to verify the bindings that are recorded.
            let Binding { kid, hmac } = acme.binding("web")?;
            std::fs::create_dir_all(&folder)?;
            std::fs::write(
                folder.join("binding.json"),
                format!("{{\"kid\":\"{kid}\",\"hmac\":\"{hmac}\"}}\n"),
            )?;
        }
        Ok(acme)
    }

    /// The endpoint of one of [`METHODS`].
    pub fn endpoint(&self, method: &str) -> Result<Endpoint> {
        let endpoints = self.scene.server.endpoints()?;
        let endpoint = endpoints.acme(&format!("{NAMESPACE}/{method}"))?;
        match &self.front {
            Some(front) => front.endpoint(endpoint),
            None => Ok(endpoint.clone()),
        }
    }

    /// The key that accounts of one of the bound methods are bound to.
    pub fn binding(&self, method: &str) -> Result<Binding> {
        self.endpoint(method)?.binding(&format!("{NAMESPACE}/{method}"))
    }

    /// Judges what a client got as a stranger would: the chain as it was served, up to the root, with the revocation list;
    /// zlint; the key; the names, each as `openssl` shows it: `DNS:www.acme.test`, `IP Address:127.0.0.1`.
    pub fn judge(&self, issued: &Issued, names: &[&str]) -> Result<()> {
        let workspace = &self.scene.workspace;
        let trusted = self.trusted(issued)?;
        openssl::verify(workspace, &issued.chain, &trusted)?;
        zlint::lint(&issued.chain)?;
        ensure!(openssl::is_for_key(&issued.chain, &issued.key)?, "the certificate is for another key");
        let text = openssl::describe(&issued.chain, &["-ext", "subjectAltName"])?;
        let mut found: Vec<&str> =
            text.lines().skip(1).flat_map(|line| line.split(", ")).map(str::trim).collect();
        let mut wanted = names.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        ensure!(found == wanted, "the certificate is for {found:?}, wanted were {wanted:?}");
        Ok(())
    }

    /// Whether it is on the list that its issuer publishes.
    pub fn is_revoked(&self, issued: &Issued) -> Result<bool> {
        openssl::is_revoked(&self.scene.workspace, &issued.chain, &self.trusted(issued)?)
    }

    /// The root, and what the client was handed beside its certificate.
    fn trusted(&self, issued: &Issued) -> Result<PathBuf> {
        let chain = read(&issued.chain)?;
        let root = read(&self.root())?;
        ensure!(chain.matches("BEGIN CERTIFICATE").count() >= 2, "the client got no chain");
        self.scene.workspace.write("trusted.pem", format!("{chain}\n{root}"))
    }

    /// The root that certificates of every method lead to, PEM.
    pub fn root(&self) -> PathBuf {
        self.scene.server.settings().data().join("authorities").join(format!("{NAMESPACE}.issuing/root.pem"))
    }

    /// An empty folder for one client.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.scene.workspace.file(name);
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }

    /// Where files of the test lie.
    pub fn workspace(&self) -> &Workspace {
        &self.scene.workspace
    }
}

impl Issued {
    /// What was written below a folder, if it was.
    pub fn at(chain: PathBuf, key: PathBuf) -> Result<Self> {
        for path in [&chain, &key] {
            ensure!(path.is_file(), "the client wrote no {}", path.display());
        }
        Ok(Self { chain, key })
    }

    /// A copy that stays what it is when the client replaces its files.
    pub fn keep(&self, folder: &Path, name: &str) -> Result<Self> {
        let copy = |from: &Path, ending: &str| {
            let to = folder.join(format!("{name}.{ending}"));
            std::fs::copy(from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
            Ok::<_, anyhow::Error>(to)
        };
        Ok(Self { chain: copy(&self.chain, "pem")?, key: copy(&self.key, "key")? })
    }
}

fn write_methods(resources: &Resources, validation: &str) -> Result<()> {
    let ordinary = format!("{PROFILE}, validity: {{default: 90d}}}}");
    // Without this it would begin before the authority's own.
    let brief = format!("{PROFILE}, validity: {{default: 30s, backdate: 0s}}}}");
    let short = "profiles: [{name: short, description: Half a minute, profileRef: {name: brief}}]";
    resources.acme_method("web", &ordinary, &format!("{{{validation}, {short}}}"), Some("{}"))?;
    resources.acme_method("brief", &brief, &format!("{{{validation}}}"), Some("{}"))?;
    let vouched = format!("{{{validation}, challenges: [], preAuthorizedNames: Enabled}}");
    let names = "{identifiers: {dns: ['*.vouched.acme.test']}}";
    resources.acme_method("vouched", &ordinary, &vouched, Some(names))?;
    let open = format!("{{{validation}, externalAccountBinding: Disabled}}");
    resources.acme_method("open", &ordinary, &open, None)?;
    let caa = "caa: {issuerDomainNames: [ca.test]}";
    let guarded = format!("{{{validation}, externalAccountBinding: Disabled, {caa}}}");
    resources.acme_method("guarded", &ordinary, &guarded, None)?;
    let manual = format!("{{{validation}, externalAccountBinding: Disabled, pendingRetryAfter: 1s}}");
    resources.acme_method("manual", &format!("{PROFILE}, approval: Manual}}"), &manual, None)
}

/// A port that was free a moment ago. Nothing else on this machine is given a port that was just closed, as long as there are others.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

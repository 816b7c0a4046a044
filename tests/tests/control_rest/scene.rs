//! Methods whose certificates are for proved names only, who orders of them, and where their names lead.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::bind::Bind;
use chancery_tests::curl::Answer;
use chancery_tests::openssl::{self, Csr, CsrOptions};
use chancery_tests::rest::{Client, object, text};
use chancery_tests::server::wait_until;
use chancery_tests::web::Web;
use chancery_tests::{Scene, Workspace, zlint};
use serde_json::{Value, json};

/// A validation that was killed is another process's once its lease has ended.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever waits is answered by then, with what has become of it so far.
const WAIT: &str = "wait=20";

/// What an order is while something can become of it.
const OPEN: [&str; 3] = ["awaitingProof", "awaitingCsr", "pending"];

const PROFILE: &str = r#"
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: proved, namespace: test}
spec:
  authorityRef: {name: issuing}
  preset: TLSServer
  proofOfControl: Required
  subjectAltNames: {maximum: 10, dns: {wildcards: Allowed}, ip: {}, commonNameToDns: Copy}
  protocols: [{protocol: rest}]
"#;

/// A method, and two credentials that may order of it. It looks for names at two addresses of this machine, and at no others.
const METHOD: &str = r#"
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: NAME, namespace: test}
spec:
  profileRef: {name: proved}
  rest:
    serverKeys: {algorithm: ECDSA-P256}
    domainValidation:
      challenges: [http-01, dns-01]
      validation:
        httpPort: PORT
        resolvers: ['RESOLVER']
        allowedNetworks: [127.0.0.1/32, 127.0.0.3/32]
        timeout: 4s
        attempts: ATTEMPTS
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: NAME-program, namespace: test}
spec: {methodRef: {name: NAME}, rest: {actions: [request, read]}, owner: {user: program}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: NAME-clerk, namespace: test}
spec: {methodRef: {name: NAME}, rest: {actions: [request, read]}, owner: {user: clerk}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: NAME-reader, namespace: test}
spec: {methodRef: {name: NAME}, rest: {actions: [read]}, owner: {user: reader}}
"#;

/// The methods are `api`, which looks again and again, and `strict`, which looks once.
#[derive(Debug)]
pub(crate) struct Proving {
    pub(crate) scene: Scene,
    /// Of the zone in which every name below `acme.test` leads here.
    pub(crate) bind: Bind,
    pub(crate) web: Web,
}

/// A way to prove control, as an order shows it.
#[derive(Debug)]
pub(crate) struct Challenge {
    /// Where to say that it can be looked at, below the base.
    pub(crate) answer: String,
    pub(crate) token: String,
    pub(crate) key_authorization: String,
    pub(crate) place: Place,
}

/// Where the answer belongs.
#[derive(Debug)]
pub(crate) enum Place {
    File { port: u16, path: String },
    Record { name: String, value: String },
}

impl Proving {
    pub(crate) fn new() -> Result<Self> {
        let bind = Bind::start()?;
        let web = Web::serve((Ipv4Addr::LOCALHOST, 0).into())?;
        let method = |name: &str, attempts: &str| {
            let method = METHOD.replace("NAME", name).replace("ATTEMPTS", attempts);
            let method = method.replace("PORT", &web.port().to_string());
            method.replace("RESOLVER", &bind.address().to_string())
        };
        let resources = format!("{PROFILE}{}{}", method("api", "10"), method("strict", "1"));
        let scene = Scene::with(|folder| folder.write("rest.yaml", &resources))?;
        Ok(Self { scene, bind, web })
    }

    /// Whoever has this key of a method, at one address in front of all servers.
    pub(crate) fn client(&self, method: &str, who: &str) -> Result<Client> {
        Client::new(&self.scene.rest(&format!("test/{method}"))?, &format!("test/{method}-{who}"))
    }

    /// The same at one server, and at another where there are two.
    pub(crate) fn both(&self, client: &Client) -> Result<(Client, Client)> {
        let servers = self.scene.servers()?;
        let (first, last) = (servers.first().context("no server")?, servers.last().context("no server")?);
        Ok((client.at(*first)?, client.at(*last)?))
    }

    pub(crate) fn workspace(&self) -> &Workspace {
        &self.scene.workspace
    }

    /// A request for these names, made by `openssl`.
    pub(crate) fn csr(&self, file: &str, names: &[&str]) -> Result<Csr> {
        self.csr_with(file, "/", names)
    }

    /// The same with a subject.
    pub(crate) fn csr_with(&self, file: &str, subject: &str, names: &[&str]) -> Result<Csr> {
        let entries: Vec<String> = names.iter().map(|name| entry(name)).collect();
        let extension = format!("subjectAltName={}", entries.join(","));
        CsrOptions::new(subject).extensions(&[&extension]).make(self.workspace(), file)
    }

    /// Puts everything in place that proves the names of an order, each by http-01 where that is offered, and says so.
    pub(crate) fn prove(&self, client: &Client, order: &Value) -> Result<()> {
        for authorization in authorizations(order)? {
            let challenge = Challenge::of(authorization, "http-01")
                .or_else(|_| Challenge::of(authorization, "dns-01"))?;
            self.put(&challenge, &challenge.place)?;
            client.request("POST", &challenge.answer).send()?.expect(200)?;
        }
        Ok(())
    }

    /// Puts what proves a name where another challenge asks for its own.
    pub(crate) fn put(&self, challenge: &Challenge, place: &Place) -> Result<()> {
        match place {
            Place::File { port, path } => {
                ensure!(*port == self.web.port(), "the file is wanted at port {port}");
                self.web.offer(path, &challenge.key_authorization);
            }
            Place::Record { name, .. } => {
                let Place::Record { value, .. } = &challenge.place else { anyhow::bail!("it is no record") };
                self.bind.update(&[&format!("add {name} 1 TXT \"{value}\"")])?;
            }
        }
        Ok(())
    }

    /// Downloads the certificate of an order that was issued, and judges it as a stranger would.
    pub(crate) fn judge(&self, client: &Client, order: &Value, key: &Path, names: &[&str]) -> Result<()> {
        check_status(order, "issued")?;
        let download = format!("/certificates/{}/download?format=fullchain", text(order, "/certificateId")?);
        let chain = client.request("GET", &download).send()?.expect(200)?.body;
        let data = self.scene.server.settings().data();
        let root = std::fs::read(data.join("authorities/test.issuing/root.pem"))?;
        let trusted = self.workspace().write("trusted.pem", [&*chain, b"\n", &*root].concat())?;
        let certificate = self.workspace().write("issued.pem", chain)?;
        openssl::verify(self.workspace(), &certificate, &trusted)?;
        zlint::lint(&certificate)?;
        ensure!(openssl::is_for_key(&certificate, key)?, "the certificate is for another key");
        let shown = openssl::describe(&certificate, &["-ext", "subjectAltName"])?;
        let mut found: Vec<&str> =
            shown.lines().skip(1).flat_map(|line| line.split(", ")).map(str::trim).collect();
        let mut wanted: Vec<String> =
            names.iter().map(|name| entry(name).replace("IP:", "IP Address:")).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        ensure!(found == wanted, "the certificate is for {found:?}, wanted were {wanted:?}");
        Ok(())
    }
}

impl Challenge {
    /// Of an authorization as it is shown.
    pub(crate) fn of(authorization: &Value, kind: &str) -> Result<Self> {
        let challenges =
            authorization.get("challenges").and_then(Value::as_array).context("no challenges")?;
        let challenge =
            challenges.iter().find(|challenge| text(challenge, "/type").is_ok_and(|found| found == kind));
        let challenge = challenge.with_context(|| format!("no {kind} in {authorization}"))?;
        let place = match kind {
            "http-01" => file(&text(challenge, "/url")?)?,
            _ => Place::Record {
                name: text(challenge, "/recordName")?,
                value: text(challenge, "/recordValue")?,
            },
        };
        let answer = text(challenge, "/answer")?;
        let answer = answer.strip_prefix("/api/v1").context("the answer is elsewhere")?.to_owned();
        let (token, key_authorization) = (text(challenge, "/token")?, text(challenge, "/keyAuthorization")?);
        Ok(Self { answer, token, key_authorization, place })
    }

    /// Of the name at this place in an order.
    pub(crate) fn at(order: &Value, place: usize, kind: &str) -> Result<Self> {
        let authorization = authorizations(order)?.get(place).with_context(|| format!("no {place}"))?;
        Self::of(authorization, kind)
    }
}

/// A new order with its request: it waits for proofs.
pub(crate) fn ordered(client: &Client, csr: &Csr) -> Result<Value> {
    let order = client.post("/orders", &json!({"csr": std::fs::read_to_string(&csr.pem)?}), 201)?;
    check_status(&order, "awaitingProof")?;
    Ok(order)
}

/// The order once something has become of it.
pub(crate) fn ended(client: &Client, order: &Value) -> Result<Value> {
    let path = path(order)?;
    until_ended(PATIENCE, || {
        object(&client.request("GET", &path).header("Prefer", WAIT).send()?.expect(200)?)
    })
}

/// Asks again and again, as clients do: one answer need not be the last.
pub(crate) fn until_ended(limit: Duration, mut ask: impl FnMut() -> Result<Value>) -> Result<Value> {
    let mut found = Value::Null;
    wait_until("an order to end", limit, || {
        found = ask()?;
        Ok(!OPEN.contains(&text(&found, "/status")?.as_str()))
    })?;
    Ok(found)
}

/// Whoever connects within `limit`; a listener by itself waits without end.
pub(crate) fn accepted(listener: &TcpListener, limit: Duration) -> Result<TcpStream> {
    listener.set_nonblocking(true)?;
    let mut connected = None;
    wait_until("somebody to connect", limit, || match listener.accept() {
        Ok((stream, _)) => {
            connected = Some(stream);
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    })?;
    connected.context("nobody has connected")
}

/// How far an order has come.
pub(crate) fn check_status(order: &Value, status: &str) -> Result<()> {
    ensure!(text(order, "/status")? == status, "expected {status}: {order}");
    Ok(())
}

/// Where an order is, below the base.
pub(crate) fn path(order: &Value) -> Result<String> {
    Ok(format!("/orders/{}", text(order, "/id")?))
}

pub(crate) fn authorizations(order: &Value) -> Result<&Vec<Value>> {
    let found = order.get("authorizations").and_then(Value::as_array);
    found.with_context(|| format!("nothing is to be proved: {order}"))
}

/// A problem document of this kind.
pub(crate) fn check_refused(what: &str, answer: &Answer, status: u16, kind: &str) -> Result<()> {
    let problem = object(answer)?;
    let said = (answer.status, text(&problem, "/type")?);
    ensure!(said == (status, format!("https://chancery.dev/problems/{kind}")), "{what}: {problem}");
    Ok(())
}

/// That nothing was issued by a method.
pub(crate) fn check_nothing_issued(client: &Client) -> Result<()> {
    let listed = client.get("/certificates")?;
    ensure!(listed.get("items") == Some(&json!([])), "{listed}");
    Ok(())
}

/// As `openssl` names it.
fn entry(name: &str) -> String {
    let kind = if name.parse::<Ipv4Addr>().is_ok() { "IP" } else { "DNS" };
    format!("{kind}:{name}")
}

/// The port and the path of an URL of plain HTTP.
fn file(url: &str) -> Result<Place> {
    let rest = url.strip_prefix("http://").with_context(|| format!("{url} is not plain HTTP"))?;
    let (authority, path) = rest.split_once('/').context("no path")?;
    let port = authority.split_once(':').map_or(Ok(80), |(_, port)| port.parse())?;
    Ok(Place::File { port, path: format!("/{path}") })
}

/// An address of this machine that is not the one most names lead to, at the port that is looked at.
pub(crate) fn elsewhere(proving: &Proving, last: u8) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), proving.web.port()).into()
}

//! The desk of one method gives out the credentials of others: programs that we did not write get certificates with them, for as long
//! as the desk lets them.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::acme::{Challenge, Client as _, free_port};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::endpoints::Binding;
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::lego::Lego;
use chancery_tests::openssl::{Csr, CsrOptions, base64_lines};
use chancery_tests::program::declared_absent;
use chancery_tests::rest::{Client, object, text};
use chancery_tests::{Endpoint, Scene};
use serde_json::{Value, json};

/// Guesses are what the tests are made of.
const LIMITS: &str = "  limits: {failedAuthentications: {state: Disabled}}\n  tls:";

const DEVICES: &str = "{authorityRef: {name: issuing}, preset: Device, protocols: [{protocol: est}]}";

const WEB: &str = "{authorityRef: {name: issuing}, preset: TLSServer, protocols: [{protocol: acme}], \
    subjectAltNames: {dns: {}, ip: {}}}";

const DESK: &str = r#"
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: desk, namespace: test}
spec:
  authorityRef: {name: issuing}
  preset: TLSServer
  protocols: [{protocol: rest}]
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: desk, namespace: test}
spec:
  profileRef: {name: desk}
  rest: {administers: {methods: [devices, web]}}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: desk, namespace: test}
spec:
  methodRef: {name: desk}
  rest: {actions: [credentials, report]}
  owner: {user: desk}
"#;

/// The fields are dropped in this order: what runs ends last.
struct Office {
    desk: Client,
    /// One, or two on the same rows.
    servers: Vec<SocketAddr>,
    /// Where http-01 is asked for.
    http: u16,
    scene: Scene,
}

impl Office {
    fn new() -> Result<Self> {
        let http = free_port()?;
        // Nobody is asked for a challenge whose key a resource declares with the names.
        let web = format!(
            "{{challenges: [http-01], preAuthorizedNames: Enabled, \
             validation: {{httpPort: {http}, allowedNetworks: [127.0.0.0/8]}}}}"
        );
        let scene = Scene::with(|resources| {
            resources.replace("base.yaml", "  tls:", LIMITS)?;
            resources.est_method("devices", DEVICES)?;
            resources.est_method("apart", DEVICES)?;
            resources.acme_method("web", WEB, &web, None)?;
            resources.write("desk.yaml", DESK)
        })?;
        let desk = Client::new(&scene.rest("test/desk")?, "test/desk")?;
        Ok(Self { desk, servers: scene.servers()?, http, scene })
    }

    /// The one that is asked in this round, and one that hears of it by the rows alone, where there is one.
    fn both(&self, round: usize) -> Result<(Client, SocketAddr)> {
        let of_round = |round: usize| self.servers.get(round % self.servers.len()).context("no server");
        Ok((self.desk.at(*of_round(round)?)?, *of_round(round + 1)?))
    }

    fn created(&self, wanted: &Value) -> Result<Value> {
        self.desk.post("/credentials", wanted, 201)
    }

    /// Asks a server for a certificate, with the password as it was handed out.
    fn enroll(&self, server: SocketAddr, csr: &Csr, handed: &Value) -> Result<Answer> {
        let (username, password) = (text(handed, "/username")?, text(handed, "/password")?);
        let ca = self.scene.est("test/devices")?.ca;
        let url = format!("https://{server}/.well-known/est/test.devices/simpleenroll");
        Request::post(&url, base64_lines(&csr.der)?).ca(&ca).user(&username, &password).send()
    }

    fn lego(&self, folder: &str, handed: &Value) -> Result<Lego> {
        let binding = Binding { kid: text(handed, "/kid")?, hmac: text(handed, "/hmac")? };
        let folder = self.scene.workspace.file(folder);
        std::fs::create_dir_all(&folder)?;
        Lego::new(&self.web()?, &folder, Some(binding))
    }

    fn web(&self) -> Result<Endpoint> {
        Ok(self.scene.server.endpoints()?.acme("test/web")?.clone())
    }
}

fn change(client: &Client, made: &Value, change: &str) -> Result<Value> {
    let path = format!("/credentials/{}/{change}", text(made, "/credential/id")?);
    object(&client.request("POST", &path).send()?.expect(200)?)
}

/// With two servers the one that changes it is never the one that is asked next.
#[test]
fn a_password_that_a_desk_gives_out_enrols_until_the_desk_says_otherwise() -> Result<()> {
    let office = Office::new()?;
    for round in 0..4 {
        let (desk, there) = office.both(round)?;
        let name = format!("device-{round}");
        let csr = CsrOptions::new(&format!("/CN={name}")).make(&office.scene.workspace, &name)?;
        let first = desk.post("/credentials", &wanted("test/devices", &name), 201)?;
        ensure!(first["username"] == name.as_str(), "{}", first["credential"]);
        // Twice: so that the other server has it at hand.
        for _ in 0..2 {
            office.enroll(there, &csr, &first)?.expect(200)?;
        }
        let second = change(&desk, &first, "regenerate")?;
        refused(&office.enroll(there, &csr, &first)?)?;
        for _ in 0..2 {
            office.enroll(there, &csr, &second)?.expect(200)?;
        }
        change(&desk, &first, ["revoke", "expire"][round % 2])?;
        refused(&office.enroll(there, &csr, &second)?)?;
    }
    // What was issued is on record with the credential that the desk made; who made that is too.
    let done = office.desk.get("/audit?action=credentialCreated&limit=10")?;
    let records = done["items"].as_array().context("no records")?;
    let by_desk = records.iter().filter(|record| record["actor"]["name"] == "test/desk");
    ensure!(by_desk.filter(|record| record["method"] == "test/devices").count() == 4, "{done}");
    Ok(())
}

#[test]
fn an_account_with_the_key_of_a_desk_proves_its_names_and_orders_until_the_desk_revokes_the_key() -> Result<()>
{
    if declared_absent("lego")? {
        return Ok(());
    }
    let office = Office::new()?;
    let identifiers = json!({"ip": ["127.0.0.1/32"]});
    let mut wanted = wanted("test/web", "shop");
    wanted["identifiers"] = identifiers.clone();
    let made = office.created(&wanted)?;
    ensure!(made["credential"]["identifiers"]["ip"] == identifiers["ip"], "{}", made["credential"]);
    let done = office.desk.get("/audit?action=credentialCreated&method=test/web")?;
    ensure!(text(&done, "/items/0/reason")?.contains("127.0.0.1/32"), "{done}");
    let (names, foreign) = (["127.0.0.1"], ["127.0.0.2"]);
    let (challenge, elsewhere) = (Challenge::Http01(office.http), Challenge::Http01(free_port()?));
    let lego = office.lego("first", &made)?;
    // The desk vouches for nothing.
    fails(lego.issue(&names, elsewhere), "connection")?;
    lego.issue(&names, challenge)?;
    fails(lego.issue(&foreign, challenge), "rejectedIdentifier")?;

    let (desk, _) = office.both(1)?;
    let again = change(&desk, &made, "regenerate")?;
    fails(
        office.lego("old", &made)?.issue(&names, challenge),
        "unauthorized :: the external account binding is not accepted",
    )?;
    // The account was bound by the key before.
    fails(lego.issue(&names, challenge), "unauthorized :: the account's external account binding")?;
    let lego = office.lego("second", &again)?;
    lego.issue(&names, challenge)?;

    change(&desk, &made, "revoke")?;
    fails(
        office.lego("third", &again)?.issue(&names, challenge),
        "unauthorized :: the external account binding is not accepted",
    )?;
    fails(lego.issue(&names, challenge), "unauthorized :: the account's external account binding")
}

#[test]
fn a_desk_on_the_command_line_makes_secrets_of_each_kind_and_shows_all_their_values_once() -> Result<()> {
    let office = Office::new()?;
    let endpoint = office.scene.rest("test/desk")?;
    let desk = Plugin::at(&endpoint, endpoint.access_key_file("test/desk")?)?;
    let of = |method| ["--of", method, "credentials", "create", "--owner", "group:factory"];
    let create = |method, more: &[&str]| desk.json::<Value>(&[&of(method), more].concat());
    let password = create("test/devices", &["press", "--username", "press-3"])?;
    ensure!(password["credential"]["method"] == "test/devices", "{}", password["credential"]);
    let key =
        create("test/web", &["shop", "--kid", "shop-1", "--dns", "*.shop.example", "--ip", "192.0.2.0/24"])?;
    let identifiers = json!({"dns": ["*.shop.example"], "ip": ["192.0.2.0/24"]});
    ensure!(key["credential"]["identifiers"] == identifiers, "{}", key["credential"]);
    for (made, [first, second]) in [(&password, ["password", "username"]), (&key, ["hmac", "kid"])] {
        let id = text(made, "/credential/id")?;
        let shown = desk.succeed(&["credentials", "regenerate", &id])?;
        let values: Vec<_> = shown.lines().filter_map(|line| line.split_once('=')).collect();
        let [(of_first, secret), (of_second, name)] = values[..] else { bail!("{shown}") };
        ensure!(
            [of_first, of_second] == [first, second] && name == text(made, &format!("/{second}"))?,
            "{shown}"
        );
        ensure!(secret != text(made, &format!("/{first}"))?, "it is the old one");
        let listed = desk.succeed(&["credentials", "list", "--name", &text(made, "/credential/name")?])?;
        ensure!(listed.contains(&id) && !listed.contains(secret), "{listed}");
        desk.succeed(&["credentials", "revoke", &id])?;
    }
    // What is said for another protocol is refused.
    let said = desk.refused(1, &[&of("test/web")[..], &["other", "--username", "press-3"]].concat())?;
    ensure!(said.contains("/username"), "{said}");
    Ok(())
}

#[test]
fn a_desk_gives_out_nothing_of_a_method_that_it_does_not_administer() -> Result<()> {
    let office = Office::new()?;
    for method in ["test/apart", "test/gone", "other/devices"] {
        let answer =
            office.desk.with_json("POST", "/credentials", &wanted(method, "ci")).send()?.expect(404)?;
        ensure!(object(&answer)?["type"] == "https://chancery.dev/problems/not-found", "{}", answer.text());
    }
    // Nor to the clerk who only reads reports: the action is asked for first.
    let clerk = json!({"name": "clerk", "owner": "user:clerk", "actions": ["report"]});
    let clerk = office.desk.with_key(&text(&office.created(&clerk)?, "/accessKey")?);
    let answer =
        clerk.with_json("POST", "/credentials", &wanted("test/devices", "ci")).send()?.expect(403)?;
    ensure!(object(&answer)?["action"] == "credentials", "{}", answer.text());
    // One that a resource declares is changed there.
    let listed = office.desk.get("/credentials?name=devices-passphrase")?;
    let declared = text(&listed, "/items/0/id")?;
    let answer =
        office.desk.request("POST", &format!("/credentials/{declared}/regenerate")).send()?.expect(409)?;
    ensure!(answer.text().contains("spec.regeneration"), "{}", answer.text());
    Ok(())
}

fn wanted(method: &str, name: &str) -> Value {
    json!({"name": name, "owner": "group:devices", "method": method})
}

fn refused(answer: &Answer) -> Result<()> {
    ensure!(answer.status == 401, "expected 401, got {}: {}", answer.status, answer.text());
    Ok(())
}

fn fails<T>(outcome: Result<T>, kind: &str) -> Result<()> {
    let Err(error) = outcome else { bail!("it went well, in place of {kind}") };
    ensure!(format!("{error:#}").contains(&format!("urn:ietf:params:acme:error:{kind}")), "{error:#}");
    Ok(())
}

//! Three methods of REST, whoever may and may not ask them, and one of each thing that there can be.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::Scene;
use chancery_tests::curl::Answer;
use chancery_tests::rest::{Client, object, text};
use chancery_tests::server::wait_until;
use serde_json::{Value, json};

pub(crate) const ACTIONS: [&str; 6] = ["request", "read", "revoke", "approve", "report", "credentials"];

/// Guesses are what the tests are made of.
const LIMITS: &str = "  limits: {failedAuthentications: {state: Disabled}}\n  tls:";

const RESOURCES: &str = r#"
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: web, namespace: test}
spec:
  authorityRef: {name: issuing}
  preset: TLSServer
  subjectAltNames: {dns: {patterns: ["**.rest.example"]}, commonNameToDns: Copy}
  protocols: [{protocol: rest}]
---
apiVersion: chancery.dev/v1alpha1
kind: CertificateProfile
metadata: {name: reviewed, namespace: test}
spec:
  authorityRef: {name: issuing}
  preset: TLSServer
  subjectAltNames: {dns: {patterns: ["**.rest.example"]}, commonNameToDns: Copy}
  approval: Manual
  protocols: [{protocol: rest}]
"#;

/// A method, and an access key for each of its credentials.
const METHOD: &str = r#"
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentMethod
metadata: {name: NAME, namespace: test}
spec:
  profileRef: {name: web}
  rest:
    products: [{name: reviewed, profileRef: {name: reviewed}}]
    serverKeys: {algorithm: ECDSA-P256}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: NAME-all, namespace: test}
spec:
  methodRef: {name: NAME}
  rest: {actions: [request, read, revoke, approve, report, credentials]}
  owner: {user: NAME}
---
apiVersion: chancery.dev/v1alpha1
kind: EnrollmentCredential
metadata: {name: NAME-clerk, namespace: test}
spec:
  methodRef: {name: NAME}
  rest: {actions: [request, read]}
  owner: {user: clerk}
"#;

/// The fields are dropped in this order: what runs ends last.
pub(crate) struct Laboratory {
    /// Has all actions of `test/api`.
    pub(crate) all: Client,
    /// Has all actions of `test/other`.
    pub(crate) other: Client,
    /// Has all actions of `test/desk`, which administers `test/api`.
    pub(crate) desk: Client,
    without: Vec<(&'static str, Client)>,
    /// Waits for a request.
    waiting: String,
    /// Its key has not been fetched.
    held: String,
    certificate: String,
    request: String,
    credential: String,
    pub(crate) scene: Scene,
}

impl Laboratory {
    pub(crate) fn new() -> Result<Self> {
        let scene = Scene::with(|resources| {
            resources.replace("base.yaml", "  tls:", LIMITS)?;
            let [api, other, desk] = ["api", "other", "desk"].map(|name| METHOD.replace("NAME", name));
            let desk = desk.replace("    serverKeys:", "    administers: {methods: [api]}\n    serverKeys:");
            let methods = [api, other, desk];
            resources.write("rest.yaml", &format!("{RESOURCES}{}", methods.concat()))
        })?;
        let all = Client::new(&scene.rest("test/api")?, "test/api-all")?;
        let other = Client::new(&scene.rest("test/other")?, "test/other-all")?;
        let desk = Client::new(&scene.rest("test/desk")?, "test/desk-all")?;
        let waiting = all.post("/orders", &json!({"domains": ["waiting.rest.example"]}), 201)?;
        let issued = all.post("/certificates", &json!({"domains": ["issued.rest.example"]}), 201)?;
        let mut laboratory = Self {
            all,
            other,
            desk,
            without: Vec::new(),
            waiting: text(&waiting, "/id")?,
            held: text(&issued, "/order/id")?,
            certificate: text(&issued, "/certificate/id")?,
            request: String::new(),
            credential: String::new(),
            scene,
        };
        laboratory.credential = laboratory.another_key("changed", &ACTIONS, &json!({}))?.0;
        // Nobody decides on what they asked for themselves, or could have with a credential that they made.
        let clerk = Client::new(&laboratory.scene.rest("test/api")?, "test/api-clerk")?;
        let reviewed = json!({"product": "reviewed", "domains": ["pending.rest.example"], "serverKey": true});
        let asked = clerk.post("/orders", &reviewed, 201)?;
        laboratory.request = text(&asked, "/requestId")?;
        for action in ACTIONS {
            let others: Vec<_> = ACTIONS.into_iter().filter(|other| *other != action).collect();
            let (_, key) = laboratory.another_key(&format!("without-{action}"), &others, &json!({}))?;
            laboratory.without.push((action, laboratory.all.with_key(&key)));
        }
        Ok(laboratory)
    }

    /// A new credential of `test/api`: its identifier and its key. `more` goes into the request.
    pub(crate) fn another_key(&self, name: &str, actions: &[&str], more: &Value) -> Result<(String, String)> {
        let mut wanted = json!({"name": name, "owner": "group:testers", "actions": actions});
        let more = more.as_object().context("no object")?.clone();
        wanted.as_object_mut().context("no object")?.extend(more);
        let made = self.all.post("/credentials", &wanted, 201)?;
        Ok((text(&made, "/credential/id")?, text(&made, "/accessKey")?))
    }

    /// Whoever has all actions but this one.
    pub(crate) fn without(&self, action: &str) -> Result<&Client> {
        let found = self.without.iter().find(|(without, _)| *without == action);
        Ok(&found.with_context(|| format!("there is no action {action}"))?.1)
    }

    /// Those who must not be let in at all, and why.
    pub(crate) fn strangers(&self) -> Result<Vec<(&'static str, Client)>> {
        let key = self.all.key();
        let wrong = if key.ends_with('A') { 'B' } else { 'A' };
        let wrong = format!("{}{wrong}", key.get(..key.len() - 1).context("an empty key")?);
        let unknown = format!("chancery_{}_{}", "0".repeat(16), "a".repeat(27));
        let mut strangers = vec![
            ("no credential", String::new()),
            ("a wrong key", wrong),
            ("a key that nobody has", unknown),
            ("something else than a key", "chancery_".to_owned()),
            ("something like a token", "e30.e30.e30".to_owned()),
        ];
        for (what, change) in
            [("a revoked key", "revoke"), ("an expired key", "expire"), ("a regenerated key", "regenerate")]
        {
            let (id, key) = self.another_key(change, &ACTIONS, &json!({}))?;
            self.all.with_key(&key).get("/orders")?;
            let path = format!("/credentials/{id}/{change}");
            self.all.request("POST", &path).send()?.expect(200)?;
            strangers.push((what, key));
        }
        // The server judges by its own clock.
        let (_, short) = self.another_key("short", &ACTIONS, &json!({"expiresAt": soon()?}))?;
        let client = self.all.with_key(&short);
        wait_until("a key to run out", Duration::from_secs(20), || {
            Ok(client.request("GET", "/orders").send()?.status == 401)
        })?;
        strangers.push(("a key that has run out", short));
        Ok(strangers.into_iter().map(|(what, key)| (what, self.all.with_key(&key))).collect())
    }

    /// A path of the document, with what there is of its kind.
    pub(crate) fn filled(&self, path: &str) -> String {
        let id = match path.split('/').nth(1).unwrap_or_default() {
            "orders" if path.ends_with("/key") => &self.held,
            "orders" => &self.waiting,
            "certificates" => &self.certificate,
            "requests" => &self.request,
            _ => &self.credential,
        };
        path.replace("{id}", id).replace("{place}", "0").replace("{type}", "http-01")
    }

    /// What only `test/api` may know of.
    pub(crate) fn identifiers(&self) -> [&str; 5] {
        [&self.waiting, &self.held, &self.certificate, &self.request, &self.credential]
    }
}

/// Some seconds from now, in RFC 3339.
fn soon() -> Result<String> {
    let answer =
        chancery_tests::program::succeed("date", &["-u", "-d", "+4 seconds", "+%Y-%m-%dT%H:%M:%SZ"], None)?;
    Ok(String::from_utf8(answer)?.trim().to_owned())
}

/// A problem document that says of what kind it is, and nothing about the server's inside.
pub(crate) fn check_refusal(what: &str, answer: &Answer, status: u16, kind: &str) -> Result<()> {
    let text = answer.text();
    ensure!(answer.status == status, "{what}: expected {status}, got {}: {text}", answer.status);
    ensure!(text.len() < 1000, "{what}: the answer is {} bytes long", text.len());
    for inside in [".rs", "panicked", "/tmp/", "sqlite", "SELECT ", "Error {", "0x", "backtrace", "chancery_"]
    {
        ensure!(!text.contains(inside), "{what}: the answer tells about the inside ({inside}): {text}");
    }
    let media_type = answer.header("content-type").unwrap_or_default();
    ensure!(media_type == "application/problem+json", "{what}: the answer is of type {media_type:?}: {text}");
    let problem = object(answer)?;
    let said = (problem.get("type"), problem.get("status"));
    let expected = (json!(format!("https://chancery.dev/problems/{kind}")), json!(status));
    ensure!(said == (Some(&expected.0), Some(&expected.1)), "{what}: {text}");
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    let challenged = challenge.starts_with("Bearer realm=");
    ensure!(challenged == (status == 401), "{what}: WWW-Authenticate is {challenge:?} (RFC 6750 §3)");
    Ok(())
}

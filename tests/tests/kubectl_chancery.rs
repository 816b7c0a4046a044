//! `kubectl chancery` against a server without a cluster, on `examples/rest`: the desk, from the command line.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::openssl::{self, openssl};
use chancery_tests::{Endpoint, Resources, Scene, Workspace};
use serde_json::{Value, json};

/// A server, its REST method, and the files of two access keys.
struct Office {
    scene: Scene,
    endpoint: Endpoint,
}

impl Office {
    fn open() -> Result<Self> {
        let workspace = Workspace::new()?;
        let resources = Resources::example(workspace.path(), "rest")?;
        let scene = Scene::start(workspace, resources)?;
        let endpoints = scene.server.endpoints()?.0;
        let endpoint = endpoints.into_iter().find(|endpoint| endpoint.method == "pki/rest");
        Ok(Self { scene, endpoint: endpoint.context("no REST method")? })
    }

    fn key_file(&self, credential: &str) -> PathBuf {
        self.scene.server.settings().data().join("credentials").join(format!("pki.{credential}/accessKey"))
    }

    /// The plugin of whoever has this key: `desk`, `pipeline`.
    fn plugin(&self, credential: &str) -> Result<Plugin> {
        Plugin::at(&self.endpoint, &self.key_file(credential))
    }

    /// What a program does, by curl: the pipeline's key.
    fn ask(&self, path: &str, body: &Value) -> Result<Answer> {
        let key = std::fs::read_to_string(self.key_file("pipeline"))?;
        let request = Request::post(
            &self.endpoint.url("")?.replace("/api/v1/", &format!("/api/v1{path}")),
            body.to_string(),
        );
        let request = request.ca(&self.endpoint.ca).header("Content-Type", "application/json");
        request.header("Authorization", &format!("Bearer {}", key.trim())).send()
    }

    /// A certificate with a key that the server makes: its identifier.
    fn issue(&self, domain: &str) -> Result<String> {
        let answer = self.ask("/certificates", &json!({ "domains": [domain] }))?.expect(201)?;
        let issued: Value = serde_json::from_slice(&answer.body)?;
        Ok(issued.pointer("/certificate/id").and_then(Value::as_str).context("no certificate")?.to_owned())
    }

    fn file(&self, name: &str) -> Result<String> {
        self.scene.workspace.file(name).to_str().map(str::to_owned).context("a path is not UTF-8")
    }
}

fn text(value: &Value, name: &str) -> Result<String> {
    value[name].as_str().map(str::to_owned).with_context(|| format!("no {name} in {value}"))
}

#[test]
fn whoever_may_not_is_told_why_and_how_it_failed_is_in_the_status() -> Result<()> {
    let office = Office::open()?;
    let wrong =
        office.scene.workspace.write("wrong", "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0")?;
    let wrong = Plugin::at(&office.endpoint, &wrong)?;
    let unknown = wrong.refused(1, &["requests", "list"])?;
    ensure!(unknown.contains("https://chancery.dev/problems/unauthenticated"), "{unknown}");
    ensure!(!unknown.contains("abcdefghijkl"), "{unknown}");

    let pipeline = office.plugin("pipeline")?;
    let lacking = pipeline.refused(1, &["requests", "list"])?;
    ensure!(lacking.contains("action-not-allowed") && lacking.contains("approve"), "{lacking}");
    let missing =
        office.plugin("desk")?.refused(1, &["requests", "get", "0123456789abcdef0123456789abcdef"])?;
    ensure!(missing.contains("problems/not-found"), "{missing}");

    let other = office.scene.workspace.file("other.pem");
    let (key, path) = (office.file("other.key")?, other.to_str().context("a path is not UTF-8")?);
    let subject = ["-subj", "/CN=Other", "-keyout", &key, "-out", path];
    openssl(
        &[&["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"][..], &subject]
            .concat(),
        None,
    )?;
    let stranger = Endpoint { ca: other, ..office.endpoint.clone() };
    let stranger = Plugin::at(&stranger, &office.key_file("desk"))?.refused(1, &["requests", "list"])?;
    ensure!(stranger.contains("TLS"), "{stranger}");

    for arguments in
        [&["requests", "list"][..], &["requests"], &["requests", "list", "--insecure"], &["what"]]
    {
        Plugin::new()?.refused(2, arguments)?;
    }
    Ok(())
}

#[test]
fn certificates_are_found_downloaded_renewed_held_released_and_revoked() -> Result<()> {
    let office = Office::open()?;
    let (desk, pipeline) = (office.plugin("desk")?, office.plugin("pipeline")?);
    let ids = ["a.example.internal", "b.example.internal"].map(|domain| office.issue(domain));
    let [first, second] = ids;
    let (first, second) = (first?, second?);
    ensure!(
        desk.succeed(&["certificates", "list", "-o", "name"])?
            == format!("certificate/{first}\ncertificate/{second}\n")
    );
    let found: Vec<Value> =
        desk.json(&["certificates", "list", "--name", "b.example", "--status", "valid"])?;
    ensure!(found.len() == 1 && found[0]["id"] == second.as_str(), "{found:?}");
    let shown: Value = desk.json(&["certificates", "get", &text(&found[0], "serial")?])?;
    ensure!(
        shown["id"] == second.as_str() && text(&shown, "certificate")?.starts_with("-----BEGIN"),
        "{shown}"
    );

    let chain = office.file("chain.pem")?;
    desk.succeed(&["certificates", "download", &second, "--format", "fullchain", "--output-file", &chain])?;
    let trusted =
        format!("{}{}", std::fs::read_to_string(&chain)?, std::fs::read_to_string(&office.endpoint.ca)?);
    let trusted = office.scene.workspace.write("trusted.pem", trusted)?;
    openssl::verify(&office.scene.workspace, chain.as_ref(), &trusted)?;
    let inspected: Vec<Value> = Plugin::new()?.json(&["inspect", &chain])?;
    ensure!(inspected[0]["names"] == json!(["dns:b.example.internal"]), "{inspected:?}");

    office.scene.workspace.write("passphrase", "correct horse\n")?;
    let (passphrase, renewed) = (office.file("passphrase")?, office.file("renewed.pem")?);
    pipeline.succeed(&["renew", &first, "--passphrase-file", &passphrase, "--output-file", &renewed])?;
    ensure!(std::fs::metadata(&renewed)?.permissions().mode() & 0o777 == 0o600);
    openssl(&["pkey", "-in", &renewed, "-passin", "pass:correct horse", "-noout"], None)?;
    let names = openssl::describe(renewed.as_ref(), &["-ext", "subjectAltName"])?;
    ensure!(names.contains("a.example.internal"), "{names}");
    let again = pipeline.refused(1, &["renew", &first])?;
    ensure!(again.contains("not-renewable"), "{again}");

    let status = |arguments: &[&str]| desk.json::<Value>(arguments).and_then(|shown| text(&shown, "status"));
    ensure!(status(&["certificates", "hold", &second])? == "held");
    ensure!(status(&["certificates", "release", &second])? == "valid");
    ensure!(status(&["revoke", &second, "--reason", "keyCompromise"])? == "revoked");
    let reason: Value = desk.json(&["certificates", "get", &second])?;
    ensure!(reason["revocation"]["reason"] == "keyCompromise", "{reason}");
    let back = desk.refused(1, &["certificates", "release", &second])?;
    ensure!(back.contains("problems/conflict"), "{back}");
    Ok(())
}

#[test]
fn what_waits_is_approved_or_denied() -> Result<()> {
    let office = Office::open()?;
    let desk = office.plugin("desk")?;
    for domain in ["one.example", "two.example"] {
        let order = json!({ "product": "reviewed", "domains": [domain], "serverKey": true });
        office.ask("/orders", &order)?.expect(201)?;
    }
    let waiting: Vec<Value> = desk.json(&["requests", "list"])?;
    ensure!(waiting.len() == 2, "{waiting:?}");
    let (first, second) = (text(&waiting[0], "id")?, text(&waiting[1], "id")?);
    let approved: Value = desk.json(&["approve", &first])?;
    ensure!(approved["state"] == "approved", "{approved}");
    let denied: Value = desk.json(&["deny", &second, "--reason", "not ours"])?;
    ensure!(denied["decision"]["reason"] == "not ours", "{denied}");
    ensure!(desk.json::<Vec<Value>>(&["requests", "list"])?.is_empty());
    let table = desk.succeed(&["requests", "list", "--all"])?;
    let states: Vec<_> = table.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    ensure!(states == ["STATE", "approved", "denied"], "{table}");
    let late = desk.refused(1, &["approve", &second])?;
    ensure!(late.contains("problems/conflict"), "{late}");
    Ok(())
}

#[test]
fn a_credential_is_made_regenerated_and_revoked_and_its_secret_is_shown_once() -> Result<()> {
    let office = Office::open()?;
    let desk = office.plugin("desk")?;
    let key = office.file("auditor.key")?;
    let create = ["credentials", "create", "auditor", "--owner", "user:ann", "--actions", "read,report"];
    let made: Value = desk.json(&[&create[..], &["--expires-at", "30d", "--output-file", &key]].concat())?;
    let id = text(&made, "id")?;
    let secret = std::fs::read_to_string(&key)?;
    ensure!(std::fs::metadata(&key)?.permissions().mode() & 0o777 == 0o600);
    ensure!(secret.starts_with("chancery_") && !made.to_string().contains(secret.trim()), "{made}");
    let auditor = Plugin::at(&office.endpoint, key.as_ref())?;
    auditor.succeed(&["certificates", "list"])?;
    // A secret that was made in vain would be lost.
    let there = desk.refused(1, &["credentials", "regenerate", &id, "--output-file", &key])?;
    ensure!(there.contains("is there already"), "{there}");
    auditor.succeed(&["certificates", "list"])?;

    let next = desk.succeed(&["credentials", "regenerate", &id])?;
    let next = office.scene.workspace.write("next.key", &next)?;
    auditor.refused(1, &["certificates", "list"])?;
    let auditor = Plugin::at(&office.endpoint, &next)?;
    auditor.succeed(&["reports", "summary"])?;
    let beyond = auditor.refused(1, &["credentials", "list"])?;
    ensure!(beyond.contains("action-not-allowed"), "{beyond}");

    let export = desk.succeed(&["credentials", "export"])?;
    ensure!(export.lines().count() == 4 && export.contains(",auditor,"), "{export}");
    for file in [&key, next.to_str().context("a path is not UTF-8")?] {
        let secret = std::fs::read_to_string(file)?;
        let (_, hidden) = secret.trim().rsplit_once('_').context("no secret part")?;
        ensure!(!export.contains(hidden), "{export}");
    }
    let revoked: Value = desk.json(&["credentials", "revoke", &id, "--reason", "left"])?;
    ensure!(revoked["status"] == "revoked", "{revoked}");
    auditor.refused(1, &["certificates", "list"])?;

    let declared: Vec<Value> = desk.json(&["credentials", "list", "--name", "pipeline"])?;
    let declared = desk.refused(1, &["credentials", "regenerate", &text(&declared[0], "id")?])?;
    ensure!(declared.contains("declared-by-resource") && declared.contains("pki/pipeline"), "{declared}");
    Ok(())
}

#[test]
fn the_audit_trail_and_reports_are_read_and_exported() -> Result<()> {
    let office = Office::open()?;
    let desk = office.plugin("desk")?;
    let id = office.issue("a.example.internal")?;
    let (_, serial) = id.split_once('.').context("no serial number")?;
    let records: Vec<Value> = desk.json(&["audit", "list", "--serial", serial])?;
    ensure!(records.len() == 1 && records[0]["action"] == "certificateIssued", "{records:?}");
    let lines = desk.succeed(&["audit", "export", "--serial", serial])?;
    ensure!(lines.lines().count() == 1 && serde_json::from_str::<Value>(lines.trim()).is_ok(), "{lines}");
    let syslog = desk.succeed(&["audit", "export", "--serial", serial, "--format", "syslog"])?;
    ensure!(syslog.starts_with('<') && syslog.contains(" certificateIssued "), "{syslog}");

    let file = office.file("inventory.csv")?;
    desk.succeed(&["reports", "inventory", "--output-file", &file])?;
    let inventory = std::fs::read_to_string(&file)?;
    ensure!(inventory.lines().count() == 2 && inventory.contains(&id), "{inventory}");
    let expiring = desk.succeed(&["reports", "expiring", "--format", "json"])?;
    ensure!(expiring.trim() == "[]", "{expiring}");
    let summary: Value =
        serde_json::from_str(&desk.succeed(&["reports", "summary", "--from", "1d", "--format", "json"])?)?;
    ensure!(summary["total"] == 1, "{summary}");
    Ok(())
}

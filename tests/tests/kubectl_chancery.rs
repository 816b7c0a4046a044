//! `kubectl chancery` against a server without a cluster, on `examples/rest`: the desk, from the command line.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request};
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::openssl::{self, Csr, CsrOptions, openssl};
use chancery_tests::server::wait_until;
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
fn an_order_with_a_request_gets_its_chain_and_the_same_key_the_same_order() -> Result<()> {
    let office = Office::open()?;
    let pipeline = office.plugin("pipeline")?;
    let csr = CsrOptions::new("/CN=www.example.internal").make(&office.scene.workspace, "www")?;
    let request = office.scene.workspace.write("www.csr.der", &csr.der)?;
    let request = request.to_str().context("a path is not UTF-8")?;
    let chain = office.file("www.pem")?;
    let create =
        ["orders", "create", "--csr-file", request, "--validity-days", "30", "--idempotency-key", "www-1"];
    let order: Value = pipeline.json(&[&create[..], &["--wait", "--output-file", &chain]].concat())?;
    ensure!(order["status"] == "issued" && order["validityDays"] == 30, "{order}");
    let trusted =
        format!("{}{}", std::fs::read_to_string(&chain)?, std::fs::read_to_string(&office.endpoint.ca)?);
    let trusted = office.scene.workspace.write("trusted.pem", trusted)?;
    openssl::verify(&office.scene.workspace, chain.as_ref(), &trusted)?;
    ensure!(openssl::is_for_key(chain.as_ref(), &csr.key)?, "the certificate is for another key");
    // What is there already is not ordered in vain.
    let there = pipeline.refused(1, &[&create[..], &["--output-file", &chain]].concat())?;
    ensure!(there.contains("is there already"), "{there}");

    let again: Value = pipeline.json(&create)?;
    ensure!(again["id"] == order["id"], "{again}");
    let other = pipeline.refused(1, &[&create[..], &["--subject", "CN=www.example.internal"]].concat())?;
    ensure!(other.contains("idempotency-conflict"), "{other}");
    let listed: Vec<Value> = pipeline.json(&["orders", "list", "--status", "issued"])?;
    ensure!(listed.len() == 1 && listed[0]["id"] == order["id"], "{listed:?}");
    let late = pipeline.refused(1, &["orders", "cancel", &text(&order, "id")?])?;
    ensure!(late.contains("problems/conflict"), "{late}");
    let der = pipeline.run(&["orders", "download", &text(&order, "id")?, "--format", "der"])?;
    ensure!(der.stdout.first() == Some(&0x30), "{der:?}");
    Ok(())
}

#[test]
fn an_order_with_a_key_of_the_server_waits_for_a_person_and_gives_the_key_once() -> Result<()> {
    let office = Office::open()?;
    let (desk, pipeline) = (office.plugin("desk")?, office.plugin("pipeline")?);
    office.scene.workspace.write("passphrase", "correct horse\n")?;
    let (passphrase, file) = (office.file("passphrase")?, office.file("shop.p12")?);
    let create =
        ["orders", "create", "--product", "reviewed", "--domain", "shop.example", "--renew-before", "7d"];
    let take = ["--passphrase-file", &passphrase, "--output-file", &file];
    let order: Value = pipeline.json(&[&create[..], &take].concat())?;
    let id = text(&order, "id")?;
    ensure!(order["status"] == "pending" && order["renewal"]["renewBefore"] == "7d", "{order}");
    ensure!(!std::fs::exists(&file)?, "nothing has come of it");
    let waits = pipeline.run(&["orders", "get", &id, "--wait=1s"])?;
    let said = String::from_utf8_lossy(&waits.stderr);
    ensure!(waits.status.code() == Some(1) && said.contains("is still pending"), "{waits:?}");
    let early = pipeline.refused(1, &["orders", "download", &id])?;
    ensure!(early.contains("is still pending"), "{early}");

    desk.succeed(&["approve", &text(&order, "requestId")?])?;
    let issued: Value = pipeline.json(&["orders", "get", &id, "--wait"])?;
    ensure!(issued["status"] == "issued" && issued["key"] == "held", "{issued}");
    let stranger =
        desk.refused(1, &[&["orders", "download", &id, "--format", "pkcs12"][..], &take].concat())?;
    ensure!(stranger.contains("action-not-allowed"), "{stranger}");
    pipeline.succeed(&[&["orders", "download", &id, "--format", "pkcs12"][..], &take].concat())?;
    ensure!(std::fs::metadata(&file)?.permissions().mode() & 0o777 == 0o600);
    let opened = openssl(&["pkcs12", "-in", &file, "-passin", "pass:correct horse", "-nodes"], None)?;
    let opened = String::from_utf8(opened)?;
    ensure!(opened.matches("BEGIN CERTIFICATE").count() == 3 && opened.contains("PRIVATE KEY"), "{opened}");
    std::fs::remove_file(&file)?;
    let again = pipeline.refused(1, &[&["orders", "download", &id][..], &take].concat())?;
    ensure!(again.contains("problems/key-gone"), "{again}");
    ensure!(!std::fs::exists(&file)?, "there is no key to be written");
    Ok(())
}

#[test]
fn an_order_waits_for_its_request_and_takes_the_one_for_what_was_ordered() -> Result<()> {
    let office = Office::open()?;
    let pipeline = office.plugin("pipeline")?;
    let create = ["orders", "create", "--csr-later", "--domain", "www.example.internal"];
    pipeline.refused(2, &["orders", "create", "--domain", "www.example.internal"])?;
    pipeline.refused(2, &[&create[..], &["--csr-file", "www.csr"]].concat())?;
    let order: Value = pipeline.json(&create)?;
    let id = text(&order, "id")?;
    ensure!(order["status"] == "awaitingCsr", "{order}");
    let request = |name: &str, domain: &str| -> Result<(Csr, String)> {
        let (subject, names) = (format!("/CN={domain}"), format!("subjectAltName=DNS:{domain}"));
        let csr = CsrOptions::new(&subject).extensions(&[&names]).make(&office.scene.workspace, name)?;
        let file = office.scene.workspace.write(&format!("{name}.csr.der"), &csr.der)?;
        Ok((csr, file.to_str().context("a path is not UTF-8")?.to_owned()))
    };
    let (_, other) = request("other", "other.example.internal")?;
    let refused = pipeline.refused(1, &["orders", "submit", &id, "--csr-file", &other, "--wait"])?;
    ensure!(refused.contains("/domains"), "{refused}");
    let (csr, right) = request("www", "www.example.internal")?;
    let submit = ["orders", "submit", &id, "--csr-file", &right];
    let stranger = office.plugin("desk")?.refused(1, &submit)?;
    ensure!(stranger.contains("action-not-allowed"), "{stranger}");

    let issued: Value = pipeline.json(&[&submit[..], &["--wait=1m"]].concat())?;
    ensure!(issued["id"] == id.as_str() && issued["status"] == "issued", "{issued}");
    let again: Value = pipeline.json(&submit)?;
    ensure!(again["certificateId"] == issued["certificateId"], "{again}");
    let file = office.file("www.pem")?;
    pipeline.succeed(&["orders", "download", &id, "--output-file", &file])?;
    ensure!(openssl::is_for_key(file.as_ref(), &csr.key)?, "the certificate is for another key");
    let late = pipeline.refused(1, &["orders", "submit", &id, "--csr-file", &other])?;
    ensure!(late.contains("problems/conflict"), "{late}");
    Ok(())
}

#[test]
fn whoever_waits_knows_before_for_which_order_and_what_is_to_be_proved() -> Result<()> {
    let office = Office::open()?;
    let pipeline = office.plugin("pipeline")?;
    office.scene.workspace.write("passphrase", "correct horse\n")?;
    let (passphrase, file) = (office.file("passphrase")?, office.file("proved.pem")?);
    let create =
        ["orders", "create", "--product", "proved", "--domain", "www.chancery.invalid", "-o", "json"];
    let take = ["--passphrase-file", &passphrase, "--output-file", &file, "--wait=1s"];
    let waited = pipeline.run(&[&create[..], &take].concat())?;
    let order: Value = serde_json::from_slice(&waited.stdout)?;
    let said = String::from_utf8_lossy(&waited.stderr);
    let id = text(&order, "id")?;
    let before = format!("the order {id} is awaitingProof; `orders get {id} --wait` waits for it too");
    let after = format!("the order {id} is still awaitingProof");
    let (before, after) = (said.find(&before), said.rfind(&after));
    ensure!(waited.status.code() == Some(1) && before.is_some() && before < after, "{said}");
    let challenges = &order["authorizations"][0]["challenges"];
    for member in ["url", "keyAuthorization", "recordName", "recordValue"] {
        let of =
            |all: &Vec<Value>| all.iter().find_map(|one| one[member].as_str()).map(|text| said.find(text));
        let place = challenges.as_array().and_then(of).flatten();
        ensure!(place.is_some() && place < after, "{member}: {said}");
    }
    Ok(())
}

#[test]
fn an_order_of_which_nothing_comes_is_a_failure_and_one_that_is_open_says_how_it_is_fetched() -> Result<()> {
    let office = Office::open()?;
    let (desk, pipeline) = (office.plugin("desk")?, office.plugin("pipeline")?);
    office.scene.workspace.write("passphrase", "correct horse\n")?;
    let (passphrase, file) = (office.file("passphrase")?, office.file("shop.p12")?);
    let create = ["orders", "create", "--product", "reviewed", "--domain", "shop.example", "-o", "json"];
    let take = ["--passphrase-file", &passphrase, "--format", "pkcs12", "--output-file", &file];
    let create = [&create[..], &take, &["--idempotency-key", "shop-1"]].concat();
    let open = pipeline.run(&create)?;
    let order: Value = serde_json::from_slice(&open.stdout)?;
    let said = String::from_utf8_lossy(&open.stderr);
    let id = text(&order, "id")?;
    let fetching =
        format!("orders download {id} --format pkcs12 --passphrase-file {passphrase} --output-file {file}");
    ensure!(open.status.success() && said.contains(&format!("`{fetching}`")), "{said}");

    desk.succeed(&["deny", &text(&order, "requestId")?, "--reason", "not ours"])?;
    let denied = pipeline.run(&create)?;
    let said = String::from_utf8_lossy(&denied.stderr);
    ensure!(denied.status.code() == Some(1), "{denied:?}");
    ensure!(said.contains(&format!("the order {id} is denied: not ours")) && !said.contains("yet"), "{said}");
    ensure!(!std::fs::exists(&file)?, "nothing has come of it");
    Ok(())
}

#[test]
fn an_order_shows_what_is_to_be_proved_and_is_cancelled() -> Result<()> {
    let office = Office::open()?;
    let pipeline = office.plugin("pipeline")?;
    office.scene.workspace.write("passphrase", "correct horse\n")?;
    let (passphrase, file) = (office.file("passphrase")?, office.file("proved.pem")?);
    let create = ["orders", "create", "--product", "proved", "--domain", "www.chancery.invalid"];
    let take = ["--passphrase-file", &passphrase, "--output-file", &file];
    let name = pipeline.succeed(&[&create[..], &take, &["-o", "name"]].concat())?;
    let id = name.trim().strip_prefix("order/").with_context(|| name.clone())?;
    let shown = pipeline.succeed(&["orders", "get", id])?;
    let awaited: Value = pipeline.json(&["orders", "get", id])?;
    let challenges = &awaited["authorizations"][0]["challenges"];
    for (place, member) in [("url", "keyAuthorization"), ("recordName", "recordValue")] {
        let of =
            |name: &str| challenges.as_array().and_then(|all| all.iter().find_map(|one| one[name].as_str()));
        let (Some(place), Some(value)) = (of(place), of(member)) else { anyhow::bail!("{awaited}") };
        ensure!(shown.contains(place) && shown.contains(value), "{place}, {value}: {shown}");
    }
    // Nobody is there: what becomes of it is the server's to find out.
    let answered: Value = pipeline.json(&["orders", "challenge", id, "0", "http-01"])?;
    ensure!(answered["name"] == "www.chancery.invalid", "{answered}");
    let missing = pipeline.refused(1, &["orders", "challenge", id, "7", "http-01"])?;
    ensure!(missing.contains("problems/not-found"), "{missing}");
    pipeline.refused(2, &["orders", "challenge", id, "0", "carrier-pigeon"])?;

    let order: Value = pipeline.json(&[&create[..], &take].concat())?;
    let cancelled: Value = pipeline.json(&["orders", "cancel", &text(&order, "id")?])?;
    ensure!(cancelled["status"] == "cancelled", "{cancelled}");
    let ended = pipeline.run(&["orders", "get", &text(&order, "id")?, "--wait"])?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.code() == Some(1) && said.contains("is cancelled"), "{ended:?}");
    Ok(())
}

#[test]
fn a_server_without_a_cluster_says_how_it_is_doing() -> Result<()> {
    let office = Office::open()?;
    let desk = office.plugin("desk")?;
    office
        .ask("/orders", &json!({ "product": "reviewed", "domains": ["one.example"], "serverKey": true }))?
        .expect(201)?;
    let mut status = Value::Null;
    wait_until("the first revocation list", Duration::from_secs(20), || {
        status = desk.json(&["status"])?;
        Ok(status["authorities"][0]["crl"].is_object())
    })?;
    let method = &status["methods"][0];
    ensure!(method["name"] == "pki/rest" && method["urls"] == json!(office.endpoint.urls), "{status}");
    ensure!(method["pendingRequests"] == json!({"count": 1, "atLeast": false}), "{status}");
    let default = &method["profiles"][0];
    let reviewed = json!({"name": "reviewed", "profile": "pki/reviewed", "authority": "pki/issuing",
        "description": "Any name, after somebody has looked at it"});
    ensure!(default["name"] == "default" && default["profile"] == "pki/server", "{status}");
    ensure!(method["profiles"].as_array().is_some_and(|all| all.contains(&reviewed)), "{status}");
    let authority = &status["authorities"][0];
    ensure!(
        authority["name"] == "pki/issuing" && authority["subject"] == "CN=Example Issuing,O=Example",
        "{status}"
    );
    ensure!(authority["crl"]["number"].is_u64() && authority["crl"]["nextUpdate"].is_string(), "{status}");
    let table = desk.succeed(&["status"])?;
    for shown in ["chancery-server ", "METHOD ", "pki/rest ", "AUTHORITY ", "pki/issuing "] {
        ensure!(table.contains(shown), "{shown}: {table}");
    }
    let names = desk.succeed(&["status", "-o", "name"])?;
    ensure!(names == "enrollmentmethod/pki/rest\ncertificateauthority/pki/issuing\n", "{names}");
    desk.refused(2, &["status", "--all-namespaces"])?;
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

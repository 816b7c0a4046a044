//! The life of a standalone server: change, bad change, stop, start again, approval.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request, TlsVersion};
use chancery_tests::openssl::{self, CsrOptions};
use chancery_tests::server::Server;
use chancery_tests::{Endpoint, Scene};

const DEVICE_PROFILE: &str = "{authorityRef: {name: issuing}, preset: Device}";

fn enroll(endpoint: &Endpoint, csr: &[u8]) -> Result<Answer> {
    let request = Request::post(&endpoint.url("simpleenroll")?, csr).ca(&endpoint.ca);
    request.user("anybody", &endpoint.passphrase()?).send()
}

#[test]
fn a_changed_profile_is_in_force_without_a_restart() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("devices", DEVICE_PROFILE))?;
    let endpoint = scene.est("test/devices")?;
    let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "a")?;
    enroll(&endpoint, &csr.der)?.expect(200)?;

    let before = scene.server.status()?;
    scene.resources.replace(
        "devices.yaml",
        "preset: Device",
        "preset: Device, keys: {allowed: [RSA-3072]}",
    )?;
    scene.wait_for_reload(before.generation)?;
    let other = CsrOptions::new("/CN=b").make(&scene.workspace, "b")?;
    let refused = enroll(&endpoint, &other.der)?;
    ensure!(refused.text().starts_with("keys.allowed"), "got {}: {}", refused.status, refused.text());
    ensure!(scene.server.status()?.pid == before.pid, "the server was restarted");
    Ok(())
}

#[test]
fn a_bad_file_leaves_the_last_good_configuration_in_force() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("devices", DEVICE_PROFILE))?;
    let endpoint = scene.est("test/devices")?;
    let good = scene.resources.read("devices.yaml")?;
    ensure!(scene.server.private("/readyz")?.status == 200);

    for (what, bad) in [
        ("not YAML", "kind: [".to_owned()),
        ("an unknown field", good.replace("preset:", "prest:")),
        ("an impossible value", good.replace("preset: Device", "preset: Toaster")),
    ] {
        scene.resources.write("devices.yaml", &bad)?;
        let reason = scene.wait_for_bad_configuration().with_context(|| format!("after {what}"))?;
        ensure!(reason.contains("devices.yaml"), "{what}: the reason does not name the file: {reason}");
        let readiness = scene.server.private("/readyz")?;
        ensure!(readiness.status == 200, "{what}: a server that serves is ready: {}", readiness.text());
        ensure!(
            readiness.text().contains("devices.yaml"),
            "{what}: /readyz does not say: {}",
            readiness.text()
        );
        let status = scene.server.settings().run(&["status"])?;
        ensure!(status.contains("devices.yaml"), "{what}: `status` does not say: {status}");
        ensure!(scene.server.log()?.contains("devices.yaml"), "{what}: the log does not say");
        let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "a")?;
        enroll(&endpoint, &csr.der)?.expect(200).with_context(|| format!("with {what}"))?;

        let before = scene.server.status()?.generation;
        scene.resources.write("devices.yaml", &good)?;
        scene.server.wait_until("the good file to count again", Duration::from_secs(20), |server| {
            let status = server.status()?;
            Ok(status.last_error.is_none() && status.generation >= before)
        })?;
    }
    Ok(())
}

#[test]
fn a_resource_that_does_not_resolve_takes_nothing_else_down() -> Result<()> {
    let scene = Scene::with(|resources| {
        resources.est_method("good", DEVICE_PROFILE)?;
        resources.est_method("lost", "{authorityRef: {name: nobody}, preset: Device}")
    })?;
    let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "a")?;
    enroll(&scene.est("test/good")?, &csr.der)?.expect(200)?;
    ensure!(scene.est("test/lost").is_err(), "a method without an authority has no URL to hand out");
    let status = scene.server.settings().run(&["status"])?;
    ensure!(
        status.contains("lost") && status.contains("nobody"),
        "`status` does not say what is wrong: {status}"
    );
    Ok(())
}

#[test]
fn a_server_that_is_asked_to_stop_stops_and_comes_back_with_the_same_keys() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("devices", DEVICE_PROFILE))?;
    let endpoint = scene.est("test/devices")?;
    let cacerts_url = endpoint.url("cacerts")?;
    let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "a")?;
    let certificate = scene.certificate(enroll(&endpoint, &csr.der)?, &csr)?;
    let cacerts = std::fs::read(scene.cacerts(&endpoint, &cacerts_url, TlsVersion::Tls13)?)?;

    let Scene { server, replicas, resources, workspace } = scene;
    let (settings, status) = server.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    settings.run(&["audit", "verify"])?;

    let scene = Scene { server: Server::start(settings)?, replicas, resources, workspace };
    let path = scene.cacerts(&endpoint, &cacerts_url, TlsVersion::Tls13)?;
    ensure!(std::fs::read(&path)? == cacerts, "the authorities have changed");
    ensure!(scene.est("test/devices")?.passphrase()? == endpoint.passphrase()?, "the passphrase has changed");
    scene.judge(&certificate, &csr, &path)?;
    let listed = scene.server.settings().run(&["certificates", "list", "--format", "json"])?;
    let serial = openssl::serial(&certificate)?;
    ensure!(listed.to_ascii_uppercase().contains(&serial), "{serial} is not among {listed}");
    let shown = scene.server.settings().run(&["certificates", "show", &serial, "--format", "json"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    let credential = shown["credential"].as_str().context("no credential is named")?;
    let by =
        |credential: &str| scene.server.settings().run(&["certificates", "list", "--credential", credential]);
    ensure!(by(credential)?.contains(&serial), "{serial} is not listed by its credential");
    ensure!(by(&"0".repeat(32))?.is_empty(), "another credential's list holds something");
    Ok(())
}

#[test]
fn a_request_waits_for_approval_and_then_gets_its_certificate() -> Result<()> {
    let scene = Scene::with(|resources| {
        resources
            .est_method("devices", "{authorityRef: {name: issuing}, preset: Device, approval: Manual}")?;
        resources.replace("devices.yaml", "est: {}}\n---", "est: {pendingRetryAfter: 7s}}\n---")
    })?;
    let endpoint = scene.est("test/devices")?;
    let settings = scene.server.settings();
    let csr = CsrOptions::new("/CN=patient").make(&scene.workspace, "patient")?;
    for attempt in 1..=2 {
        let answer = enroll(&endpoint, &csr.der)?.expect(202)?;
        ensure!(answer.header("retry-after") == Some("7"), "attempt {attempt}: {:?}", answer.headers);
    }
    let ids = pending_ids(&settings.run(&["requests", "list", "--format", "json"])?)?;
    let [id] = ids.as_slice() else { anyhow::bail!("one waiting request was expected, not {ids:?}") };
    settings.run(&["requests", "approve", id])?;
    let certificate = scene.certificate(enroll(&endpoint, &csr.der)?, &csr)?;
    ensure!(openssl::is_for_key(&certificate, &csr.key)?);

    let unlucky = CsrOptions::new("/CN=unlucky").make(&scene.workspace, "unlucky")?;
    enroll(&endpoint, &unlucky.der)?.expect(202)?;
    let ids = pending_ids(&settings.run(&["requests", "list", "--format", "json"])?)?;
    let [id] = ids.as_slice() else { anyhow::bail!("one waiting request was expected, not {ids:?}") };
    settings.run(&["requests", "deny", id, "--reason", "not one of ours"])?;
    enroll(&endpoint, &unlucky.der)?.expect(403)?;
    Ok(())
}

#[test]
fn health_and_metrics_are_on_the_private_listener_only() -> Result<()> {
    let scene = Scene::with(|resources| resources.est_method("devices", DEVICE_PROFILE))?;
    let endpoint = scene.est("test/devices")?;
    let csr = CsrOptions::new("/CN=a").make(&scene.workspace, "a")?;
    enroll(&endpoint, &csr.der)?.expect(200)?;
    ensure!(scene.server.private("/healthz")?.status == 200);
    let metrics = scene.server.private("/metrics")?.text();
    ensure!(metrics.contains("# EOF"), "not OpenMetrics: {metrics}");
    ensure!(metrics.contains("protocol=\"est\""), "nothing is said about EST: {metrics}");
    for secret in ["devices", "/CN=a", "test/"] {
        ensure!(!metrics.contains(secret), "a metric carries a name: {secret}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        ensure!(scene.server.public(path)?.status == 404, "{path} answers on the public listener");
        let url = format!("https://{}{path}", endpoint.authority()?);
        ensure!(Request::get(&url).ca(&endpoint.ca).send()?.status == 404, "{path} answers devices");
    }
    Ok(())
}

fn pending_ids(json: &str) -> Result<Vec<String>> {
    let requests: Vec<serde_json::Value> =
        serde_json::from_str(json).with_context(|| format!("not JSON: {json}"))?;
    let pending = requests.iter().filter(|request| request["state"] == "pending");
    pending
        .map(|request| request["id"].as_str().map(str::to_owned).context("a request without an id"))
        .collect()
}

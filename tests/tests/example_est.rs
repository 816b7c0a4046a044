//! `examples/est` as it lies there: a maker of devices, approval by hand, renewal with a new key each time, keys that the
//! server makes.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Answer, Request, TlsVersion};
use chancery_tests::openssl::{Csr, CsrOptions, openssl};
use chancery_tests::{Endpoint, Resources, Scene, Workspace};

/// The subject as the profile makes it: a renewal asks for the very same, in the same order.
const SUBJECT: &str = "/serialNumber=4711/CN=sensor-1/O=Example Devices";

fn scene() -> Result<Scene> {
    let workspace = Workspace::new()?;
    let resources = Resources::example(workspace.path(), "est")?;
    Scene::start(workspace, resources)
}

fn request(endpoint: &Endpoint, operation: &str, csr: &Csr) -> Result<Request> {
    Ok(Request::post(&endpoint.url(operation)?, csr.der.clone()).ca(&endpoint.ca))
}

/// Sends a request that has to wait, approves it, and sends it again.
fn approved(scene: &Scene, request: &Request) -> Result<Answer> {
    let waits = request.send()?.expect(202)?;
    ensure!(waits.header("retry-after") == Some("300"), "Retry-After is {:?}", waits.headers);
    let settings = scene.server.settings();
    let listed = settings.run(&["requests", "list"])?;
    let id = listed.split_whitespace().next().context("nothing waits")?;
    settings.run(&["certificates", "approve", id])?;
    request.send()?.expect(200)
}

fn enrolled(scene: &Scene, endpoint: &Endpoint) -> Result<(PathBuf, Csr)> {
    let csr = CsrOptions::new(SUBJECT).make(&scene.workspace, "first")?;
    let password = endpoint.password_of("retrofit")?;
    let request = request(endpoint, "simpleenroll", &csr)?.user("retrofit", &password);
    Ok((scene.certificate(approved(scene, &request)?, &csr)?, csr))
}

#[test]
fn a_sensor_enrols_after_approval_and_renews_with_a_new_key_only() -> Result<()> {
    let scene = scene()?;
    let endpoint = scene.est("devices/sensors")?;
    ensure!(endpoint.label.as_deref() == Some("sensors"), "the label is {:?}", endpoint.label);
    let (certificate, first) = enrolled(&scene, &endpoint)?;
    let cacerts = scene.cacerts(&endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    let roots = std::fs::read_to_string(&cacerts)?.matches("BEGIN CERTIFICATE").count();
    ensure!(roots == 2, "the authority of today and the one of tomorrow were expected, {roots} came");
    scene.judge(&certificate, &first, &cacerts)?;

    let same = request(&endpoint, "simplereenroll", &first)?.certificate(&certificate, &first.key);
    let answer = same.send()?.expect(403)?;
    ensure!(answer.text().contains("est.reenroll.keys"), "{}", answer.text());
    let next = CsrOptions::new(SUBJECT).make(&scene.workspace, "next")?;
    let renewal = request(&endpoint, "simplereenroll", &next)?.certificate(&certificate, &first.key);
    let renewed = scene.certificate(approved(&scene, &renewal)?, &next)?;
    scene.judge(&renewed, &next, &cacerts)
}

#[test]
fn a_sensor_is_told_what_its_request_should_have() -> Result<()> {
    let scene = scene()?;
    let endpoint = scene.est("devices/sensors")?;
    let answer = Request::get(&endpoint.url("csrattrs")?).ca(&endpoint.ca).send()?.expect(200)?;
    let der = openssl(&["base64", "-d"], Some(&answer.body))?;
    let text = String::from_utf8_lossy(&openssl(&["asn1parse", "-inform", "DER"], Some(&der))?).into_owned();
    for wanted in ["commonName", "serialNumber", "prime256v1", "ecdsa-with-SHA256"] {
        ensure!(text.contains(wanted), "{wanted} is not in {text}");
    }
    Ok(())
}

#[test]
fn a_sensor_without_a_key_of_its_own_gets_none_in_the_clear() -> Result<()> {
    let scene = scene()?;
    let endpoint = scene.est("devices/sensors")?;
    let csr = CsrOptions::new(SUBJECT).make(&scene.workspace, "keyless")?;
    let password = endpoint.password_of("retrofit")?;
    let refused =
        request(&endpoint, "serverkeygen", &csr)?.user("retrofit", &password).send()?.expect(403)?;
    ensure!(refused.text().contains("encrypted only"), "{}", refused.text());

    let (certificate, first) = enrolled(&scene, &endpoint)?;
    let request = request(&endpoint, "serverkeygen", &csr)?.user("retrofit", &password);
    let answer = approved(&scene, &request.certificate(&certificate, &first.key))?;
    ensure!(answer.text().contains("smime-type=server-generated-key"), "{}", answer.text());
    Ok(())
}

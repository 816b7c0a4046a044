//! `chancery-server credentials` shows how credentials were used, and ends those that no resource declares.

use anyhow::{Context, Result, ensure};
use chancery_tests::Scene;
use chancery_tests::curl::Request;
use chancery_tests::openssl::CsrOptions;
use serde_json::Value;

fn scene() -> Result<Scene> {
    Scene::with(|resources| {
        let profile = "{authorityRef: {name: issuing}, preset: Device}";
        ["used", "unused"].into_iter().try_for_each(|name| resources.est_method(name, profile))
    })
}

fn run(scene: &Scene, arguments: &[&str]) -> Result<String> {
    scene.server.settings().run(arguments)
}

fn json(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&run(scene, &[arguments, &["--format", "json"]].concat())?)?)
}

fn enroll(scene: &Scene, name: &str) -> Result<()> {
    let endpoint = scene.est("test/used")?;
    let csr = CsrOptions::new(&format!("/CN={name}")).make(&scene.workspace, name)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der).ca(&endpoint.ca);
    request.user("x", &endpoint.passphrase()?).send()?.expect(200)?;
    Ok(())
}

/// The only credential of a method.
fn of_method(scene: &Scene, method: &str) -> Result<Value> {
    let listed = json(scene, &["credentials", "list", "--method", method])?;
    let rows = listed.as_array().context("no array")?;
    ensure!(rows.len() == 1, "{method}: {listed}");
    rows.first().cloned().context("no row")
}

#[test]
fn a_credential_says_how_often_it_was_used_and_from_where_and_no_secret_is_shown() -> Result<()> {
    let scene = scene()?;
    enroll(&scene, "device-1")?;
    let once = of_method(&scene, "test/used")?;
    enroll(&scene, "device-2")?;
    let twice = of_method(&scene, "test/used")?;
    ensure!((&once["usage"]["uses"], &twice["usage"]["uses"]) == (&1.into(), &2.into()), "{once} {twice}");
    ensure!(once["usage"]["firstUsedAt"] == twice["usage"]["firstUsedAt"], "{once} {twice}");
    ensure!(twice["usage"]["lastAddress"] == "127.0.0.1", "{twice}");
    let unused = of_method(&scene, "test/unused")?;
    ensure!(unused["usage"]["uses"] == 0 && unused["usage"]["lastUsedAt"].is_null(), "{unused}");
    let listed = run(&scene, &["credentials", "list", "--unused"])?;
    ensure!(listed.contains("test/unused") && !listed.contains("test/used"), "{listed}");

    let id = twice["id"].as_str().context("no id")?;
    let shown = run(&scene, &["credentials", "show", id])?;
    ensure!(shown.contains("uses          2") && shown.contains("from          127.0.0.1"), "{shown}");
    let csv = run(&scene, &["credentials", "export"])?;
    ensure!(csv.matches("\r\n").count() == 3 && csv.starts_with("id,name,method,"), "{csv}");
    let exported = run(&scene, &["credentials", "export", "--format", "json"])?;
    let passphrase = scene.est("test/used")?.passphrase()?;
    for text in [shown, csv, exported, twice.to_string()] {
        ensure!(!text.contains(&passphrase) && !text.contains("sha256"), "a secret is shown: {text}");
    }
    Ok(())
}

#[test]
fn a_credential_that_a_resource_declares_is_revoked_by_the_resource_alone() -> Result<()> {
    let scene = scene()?;
    let id = of_method(&scene, "test/used")?["id"].as_str().context("no id")?.to_owned();
    let refused = run(&scene, &["credentials", "revoke", &id]).err().context("it was revoked")?;
    ensure!(format!("{refused:#}").contains("declares it"), "{refused:#}");
    enroll(&scene, "device-1")?;
    let unknown =
        run(&scene, &["credentials", "show", &"0".repeat(32)]).err().context("nobody's was shown")?;
    ensure!(format!("{unknown:#}").contains("no credential has the identifier"), "{unknown:#}");
    Ok(())
}

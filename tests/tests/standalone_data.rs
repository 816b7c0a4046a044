//! The data folder of a standalone server: who may have it, what a restart finds in it, how its sealing key is replaced.

use anyhow::{Context, Result, ensure};
use chancery_tests::curl::{Request, TlsVersion};
use chancery_tests::openssl::CsrOptions;
use chancery_tests::server::Server;
use chancery_tests::{Endpoint, Resources, Scene, Settings, Workspace};

const DEVICE_PROFILE: &str = "{authorityRef: {name: issuing}, preset: Device}";

fn scene() -> Result<Scene> {
    Scene::with(|resources| resources.est_method("devices", DEVICE_PROFILE))
}

fn enroll(scene: &Scene, endpoint: &Endpoint, name: &str) -> Result<()> {
    let csr = CsrOptions::new(&format!("/CN={name}")).make(&scene.workspace, name)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der.clone()).ca(&endpoint.ca);
    let answer = request.user("anybody", &endpoint.passphrase()?).send()?;
    let certificate = scene.certificate(answer, &csr)?;
    let cacerts = scene.cacerts(endpoint, &endpoint.url("cacerts")?, TlsVersion::Tls13)?;
    scene.judge(&certificate, &csr, &cacerts)
}

/// Stops the server, does something to what it lives on, and starts it again.
fn restart_after(scene: Scene, between: impl FnOnce(&Settings, &Resources) -> Result<()>) -> Result<Scene> {
    let Scene { server, replicas, resources, workspace } = scene;
    let (settings, status) = server.stop()?;
    ensure!(status.success(), "it stopped with {status}");
    between(&settings, &resources)?;
    Ok(Scene { server: Server::start(settings)?, replicas, resources, workspace })
}

#[test]
fn a_second_server_on_the_same_data_is_refused() -> Result<()> {
    let scene = scene()?;
    let second = Settings::new(scene.resources.path(), scene.server.settings().data())?;
    let error = Server::start(second).err().context("two servers have the same data")?;
    ensure!(format!("{error:#}").contains("ended before it was ready"), "{error:#}");
    ensure!(scene.server.log()?.contains("in use by another"), "the log does not say why");
    ensure!(scene.server.private("/readyz")?.status == 200, "the first server has suffered");
    enroll(&scene, &scene.est("test/devices")?, "a")
}

#[test]
fn a_restart_with_a_bad_file_serves_the_last_good_configuration() -> Result<()> {
    let scene = scene()?;
    let endpoint = scene.est("test/devices")?;
    let scene = restart_after(scene, |_, resources| resources.write("devices.yaml", "kind: ["))?;
    enroll(&scene, &endpoint, "a")?;
    let status = scene.server.status()?;
    let error = status.last_error.context("the status does not say that the newest files are bad")?;
    ensure!(error.contains("devices.yaml"), "{error}");
    let metrics = scene.server.private("/metrics")?.text();
    ensure!(metrics.lines().any(|line| line == "chancery_configuration_rejected 1"), "{metrics}");
    Ok(())
}

#[test]
fn a_first_start_with_a_bad_file_says_which() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = Resources::base(workspace.path())?;
    resources.write("devices.yaml", "kind: [")?;
    let settings = Settings::new(resources.path(), &workspace.file("data"))?;
    let log = settings.log();
    ensure!(Server::start(settings).is_err(), "it started on nothing");
    let log = std::fs::read_to_string(log)?;
    ensure!(log.contains("devices.yaml"), "the log does not name the file: {log}");
    Ok(())
}

#[test]
fn a_replaced_sealing_key_opens_everything_and_the_old_one_is_gone() -> Result<()> {
    let scene = scene()?;
    let endpoint = scene.est("test/devices")?;
    let key = scene.server.settings().data().join("sealing.key");
    let old = std::fs::read_to_string(&key)?;
    let refused = scene.server.settings().run(&["sealing", "rotate"]);
    ensure!(refused.is_err(), "the key was replaced under a running server");
    let scene = restart_after(scene, |settings, _| settings.run(&["sealing", "rotate"]).map(drop))?;
    let new = std::fs::read_to_string(&key)?;
    ensure!(!new.contains(old.trim()), "the old key is still there");
    enroll(&scene, &endpoint, "a")?;

    let Scene { server, resources: _resources, workspace: _workspace, .. } = scene;
    let (settings, _) = server.stop()?;
    std::fs::write(&key, old)?;
    ensure!(Server::start(settings).is_err(), "what is sealed with the new key was opened with the old one");
    Ok(())
}

#[test]
fn the_audit_trail_shows_what_was_done_and_notices_what_was_changed() -> Result<()> {
    let scene = scene()?;
    enroll(&scene, &scene.est("test/devices")?, "a")?;
    let settings = scene.server.settings();
    let checkpoint = scene.workspace.file("checkpoint.json");
    let file = checkpoint.to_str().context("a path that is not UTF-8")?;
    settings.run(&["audit", "checkpoint", "--out", file])?;
    enroll(&scene, &scene.est("test/devices")?, "b")?;
    settings.run(&["audit", "verify", "--checkpoint", file])?;
    let trail = settings.run(&["audit", "export"])?;
    ensure!(
        trail.matches("CN=a").count() + trail.matches("CN=b").count() >= 2,
        "who got what is not in it: {trail}"
    );

    // A trail that is not the one the checkpoint was made of: another server's.
    let other = self::scene()?;
    let refused = other.server.settings().run(&["audit", "verify", "--checkpoint", file]);
    ensure!(refused.is_err(), "a checkpoint of another trail was accepted");
    Ok(())
}

//! `chancery-server certificates list` shows those that are asked for.

use anyhow::{Context, Result, ensure};
use chancery_tests::Scene;
use chancery_tests::curl::Request;
use chancery_tests::openssl::CsrOptions;

fn scene() -> Result<Scene> {
    Scene::with(|resources| {
        for (name, days) in [("short", 1), ("long", 200)] {
            let profile = format!(
                "{{authorityRef: {{name: issuing}}, preset: Device, validity: {{default: {days}d}}}}"
            );
            resources.est_method(name, &profile)?;
        }
        resources.replace("long.yaml", "group: testers", "user: ann")
    })
}

fn enroll(scene: &Scene, method: &str, name: &str) -> Result<()> {
    let endpoint = scene.est(&format!("test/{method}"))?;
    let csr = CsrOptions::new(&format!("/CN={name}")).make(&scene.workspace, name)?;
    let request = Request::post(&endpoint.url("simpleenroll")?, csr.der).ca(&endpoint.ca);
    request.user("x", &endpoint.passphrase()?).send()?.expect(200)?;
    Ok(())
}

/// The common names of devices in the list, in its order.
fn listed(scene: &Scene, filter: &[&str]) -> Result<Vec<String>> {
    let text = scene.server.settings().run(&[&["certificates", "list"], filter].concat())?;
    let names = text.lines().filter_map(|line| line.split_once("CN=device-"));
    Ok(names.map(|(_, rest)| format!("device-{}", rest.trim())).collect())
}

#[test]
fn each_filter_shows_what_it_says_and_together_they_must_all_hold() -> Result<()> {
    let scene = scene()?;
    enroll(&scene, "short", "device-1")?;
    enroll(&scene, "long", "device-2")?;
    enroll(&scene, "long", "device-3")?;
    let all = scene.server.settings().run(&["certificates", "list"])?;
    let line = all.lines().find(|line| line.contains("CN=device-3")).context("no device-3")?;
    let serial = line.split_whitespace().next().context("no serial number")?;
    scene.server.settings().run(&["certificates", "revoke", serial])?;

    let (one, two, three) = ("device-1", "device-2", "device-3");
    let table: [(&[&str], &[&str]); 14] = [
        (&[], &[one, two, three]),
        (&["--method", "test/short"], &[one]),
        (&["--method", "test/nothing"], &[]),
        (&["--profile", "test/long"], &[two, three]),
        (&["--owner", "group:testers"], &[one]),
        (&["--owner", "user:ann"], &[two, three]),
        (&["--owner", "user:bob"], &[]),
        (&["--namespace", "test"], &[one, two, three]),
        (&["--namespace", "other"], &[]),
        (&["--expires-before", "30d"], &[one]),
        (&["--expires-before", "2099-01-01"], &[one, two, three]),
        (&["--expires-before", "2026-01-01T00:00:00Z"], &[]),
        (&["--revoked"], &[three]),
        (&["--revoked", "--owner", "group:testers"], &[]),
    ];
    for (filter, expected) in table {
        let found = listed(&scene, filter)?;
        ensure!(found == expected, "{filter:?} shows {found:?}");
    }
    let json = scene.server.settings().run(&["certificates", "list", "--revoked", "--format", "json"])?;
    let rows: serde_json::Value = serde_json::from_str(&json)?;
    ensure!(rows.as_array().is_some_and(|rows| rows.len() == 1), "{json}");
    Ok(())
}

#[test]
fn a_filter_that_cannot_be_read_says_how_it_is_written() -> Result<()> {
    let scene = scene()?;
    for (filter, hint) in [
        (["--expires-before", "tomorrow"], "2027-01-31"),
        (["--method", "short"], "short"),
        (["--owner", "ann"], "ann"),
    ] {
        let refused = scene.server.settings().run(&[&["certificates", "list"][..], &filter].concat());
        let error = refused.err().with_context(|| format!("{filter:?} was taken"))?;
        ensure!(format!("{error:#}").contains(hint), "{error:#}");
    }
    Ok(())
}

//! The commands of `docs/est.md` and of the README, run as they stand there.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use chancery_tests::page::blocks;
use chancery_tests::program::{cache_directory, declared_absent, output, printed};
use chancery_tests::{Scene, openssl};

#[test]
fn the_commands_of_the_page_on_est_do_what_it_says() -> Result<()> {
    let mut script = "set -eu\n".to_owned();
    let mut variables = String::new();
    for block in blocks("est.md")? {
        match block.mark.as_str() {
            "variables" => variables = block.commands,
            "run: estclient" if declared_absent("estclient")? => {}
            "run: pki" if declared_absent("pki")? => {}
            "run" | "run: estclient" | "run: pki" => script.push_str(&block.commands),
            mark => anyhow::bail!("unknown mark {mark}"),
        }
    }

    let scene = Scene::quickstart()?;
    let endpoint = scene.est("quickstart/devices")?;
    // The page says where the quickstart's files lie; here they lie elsewhere, and the port is another one.
    let data = scene.server.settings().data().display().to_string();
    let variables = variables.replace("target/quickstart/data", &data);
    let resources = scene.resources.path().display().to_string();
    let variables = variables.replace("target/quickstart/resources", &resources);
    let variables = variables.replace("127.0.0.1:8443", endpoint.authority()?);
    let script = format!("{variables}{script}");
    let path = std::env::var("PATH").unwrap_or_default();
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    shell.env("PATH", format!("{}:{path}", cache_directory()?.join("bin").display()));
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the page fails:\n{script}\n{}", printed(&answer));
    let certificate = scene.workspace.file("device.pem");
    ensure!(openssl::is_for_key(&certificate, &scene.workspace.file("device.key"))?);
    Ok(())
}

#[test]
fn the_commands_of_the_readme_do_what_it_says() -> Result<()> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("README.md");
    let page = std::fs::read_to_string(page)?;
    let (_, rest) =
        page.split_once("with curl and openssl only:\n").context("the README has no commands to enrol")?;
    let commands = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    let script: String = commands.map(|line| format!("{}\n", line.trim_start())).collect();

    let scene = Scene::quickstart()?;
    let data = scene.server.settings().data().display().to_string();
    let script = script.replace("target/demo", &data);
    let script = script.replace("127.0.0.1:8443", scene.est("quickstart/devices")?.authority()?);
    let mut shell = Command::new("bash");
    shell.args(["-e", "-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the README fails:\n{script}\n{}", printed(&answer));
    ensure!(openssl::is_for_key(&scene.workspace.file("device.pem"), &scene.workspace.file("device.key"))?);
    Ok(())
}

//! The commands of `docs/rest.md`, run as they stand there, against a server on `examples/rest`.

use std::process::Command;

use anyhow::{Result, bail, ensure};
use chancery_tests::page::{assigned, blocks};
use chancery_tests::program::{output, printed};
use chancery_tests::{Endpoint, Resources, Scene, Workspace};

/// The same variables as the page has, with what they are here.
fn variables(endpoint: &Endpoint) -> Result<String> {
    Ok(format!(
        "API={}\nCA={}\nPIPELINE={}\nDESK={}\n",
        endpoint.urls.first().map_or("", String::as_str),
        endpoint.ca.display(),
        endpoint.access_key_file("pki/pipeline")?.display(),
        endpoint.access_key_file("pki/desk")?.display()
    ))
}

#[test]
fn the_commands_of_the_page_on_rest_do_what_it_says() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = Resources::example(workspace.path(), "rest")?;
    let scene = Scene::start(workspace, resources)?;
    let endpoint = scene.server.endpoints()?.rest("pki/rest").cloned()?;
    ensure!(endpoint.urls.iter().all(|url| url.ends_with("/api/v1")), "{:?}", endpoint.urls);

    let variables = variables(&endpoint)?;
    let mut script = format!("set -eu\n{variables}");
    let mut said = String::new();
    for block in blocks("rest.md")? {
        match block.mark.as_str() {
            "variables" => said = block.commands,
            "run" => script.push_str(&block.commands),
            mark => bail!("unknown mark {mark}"),
        }
    }
    ensure!(assigned(&said) == assigned(&variables), "the page has other variables than this test:\n{said}");
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the page fails:\n{script}\n{}", printed(&answer));
    Ok(())
}

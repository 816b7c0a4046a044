//! The commands of `docs/kubectl.md` that need no cluster, run as they stand there, against a server on `examples/rest`.

use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::kubectl_chancery::Plugin;
use chancery_tests::page::{assigned, blocks};
use chancery_tests::program::{output, printed};
use chancery_tests::{Endpoint, Resources, Scene, Workspace};

/// kubectl runs the plugin as this does; it is not needed itself.
const KUBECTL: &str = "kubectl() { test \"$1\" = chancery; shift; \"$PLUGIN\" \"$@\"; }\n";

/// The same variables as the page has, with what they are here.
fn variables(endpoint: &Endpoint) -> Result<String> {
    let url = endpoint.urls.first().context("the method has no URL")?;
    Ok(format!(
        "export CHANCERY_URL={}\nexport CHANCERY_CA_FILE={}\nexport CHANCERY_ACCESS_KEY_FILE={}\nPIPELINE={}\n",
        url.strip_suffix("/api/v1").context("the URL is not that of REST")?,
        endpoint.ca.display(),
        endpoint.access_key_file("pki/desk")?.display(),
        endpoint.access_key_file("pki/pipeline")?.display()
    ))
}

#[test]
fn the_commands_of_the_page_on_kubectl_do_what_it_says() -> Result<()> {
    let workspace = Workspace::new()?;
    let resources = Resources::example(workspace.path(), "rest")?;
    let scene = Scene::start(workspace, resources)?;
    let endpoint = scene.server.endpoints()?.rest("pki/rest").cloned()?;

    let variables = variables(&endpoint)?;
    let mut script = format!("set -eu\n{KUBECTL}{variables}");
    let mut said = String::new();
    for block in blocks("kubectl.md")? {
        match block.mark.as_str() {
            "variables" => said = block.commands,
            "run" => script.push_str(&block.commands),
            mark if mark.starts_with("not run: ") => {}
            mark => bail!("unknown mark {mark}"),
        }
    }
    ensure!(assigned(&said) == assigned(&variables), "the page has other variables than this test:\n{said}");
    let plugin = Plugin::new()?;
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    shell.env("PLUGIN", plugin.binary());
    for name in ["ACCESS_KEY", "METHOD", "CREDENTIAL"] {
        shell.env_remove(format!("CHANCERY_{name}"));
    }
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the page fails:\n{script}\n{}", printed(&answer));
    Ok(())
}

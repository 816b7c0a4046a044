//! The commands of `docs/acme.md`, run as they stand there, against a server on `examples/acme`.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use chancery_tests::bind::Bind;
use chancery_tests::page::{assigned, blocks};
use chancery_tests::program::{cache_directory, declared_absent, output, printed};
use chancery_tests::{Endpoint, Resources, Scene, Workspace};

/// Ends what a block left running, however the script ends.
const BEGINNING: &str = "set -eu\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";

/// Free a moment ago: clients do not say which port they got, and the server has to know.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The same variables as the page has, with what they are here.
fn variables(endpoint: &Endpoint, bind: &Bind, [http, tls]: [u16; 2]) -> Result<String> {
    let binding = endpoint.binding("web/web-servers")?;
    let address = bind.address();
    Ok(format!(
        "DIRECTORY={}\nCA={}\nKID={}\nHMAC={}\nNAME=www.acme.test\nADDRESS=127.0.0.1\nHTTP_PORT={http}\nTLS_PORT={tls}\n\
         NAME_SERVER={}\nNAME_SERVER_PORT={}\nTSIG_FILE={}\n",
        endpoint.directory()?,
        endpoint.ca.display(),
        binding.kid,
        binding.hmac,
        address.ip(),
        address.port(),
        bind.key_file().display()
    ))
}

#[test]
fn the_commands_of_the_page_on_acme_do_what_it_says() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let (bind, ports) = (Bind::start()?, [free_port()?, free_port()?]);
    let workspace = Workspace::new()?;
    let resources = Resources::example(workspace.path(), "acme")?;
    let [http, tls] = ports;
    let here = format!(
        "validation:\n      httpPort: {http}\n      tlsAlpnPort: {tls}\n      resolvers: ['{}']\n",
        bind.address()
    );
    resources.replace("04-methods.yaml", "validation:\n", &here)?;
    let scene = Scene::start(workspace, resources)?;
    let endpoint = scene.server.endpoints()?.acme("web/web").cloned()?;
    ensure!(endpoint.directory()?.ends_with("/acme/web/directory"), "{:?}", endpoint.urls);

    let variables = variables(&endpoint, &bind, ports)?;
    let mut script = format!("{BEGINNING}{variables}");
    let mut said = String::new();
    for block in blocks("acme.md")? {
        match block.mark.as_str() {
            "variables" => said = block.commands,
            mark => match mark.strip_prefix("run: ") {
                Some(client) if declared_absent(client)? => {}
                Some(_) => script.push_str(&block.commands),
                None => bail!("unknown mark {mark}"),
            },
        }
    }
    ensure!(assigned(&said) == assigned(&variables), "the page has other variables than this test:\n{said}");
    let path = std::env::var("PATH").context("no PATH")?;
    let mut shell = Command::new("bash");
    shell.args(["-o", "pipefail", "-c", &script]).current_dir(scene.workspace.path());
    shell.env("PATH", format!("{}:{path}", cache_directory()?.join("bin").display()));
    // Caddy writes there.
    shell.env("HOME", scene.workspace.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_DATA_HOME");
    let answer = output(&mut shell, None)?;
    ensure!(answer.status.success(), "the page fails:\n{script}\n{}", printed(&answer));
    Ok(())
}

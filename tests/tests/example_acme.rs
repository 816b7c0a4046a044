//! `examples/acme` as it lies there: names that have to be proven, names that a key vouches for, and a key for one account.

use anyhow::{Context, Result, ensure};
use chancery_tests::acme::{Challenge, Client, Issued};
use chancery_tests::instant_acme::InstantAcme;
use chancery_tests::{Endpoint, Resources, Scene, Workspace, openssl, zlint};

/// Any port: nobody asks there.
const NO_CHALLENGE: Challenge<'_> = Challenge::Http01(0);

fn scene() -> Result<(Scene, Endpoint)> {
    let workspace = Workspace::new()?;
    let resources = Resources::example(workspace.path(), "acme")?;
    let scene = Scene::start(workspace, resources)?;
    let endpoint = scene.server.endpoints()?.acme("web/intranet").cloned()?;
    Ok((scene, endpoint))
}

fn refusal<T>(result: Result<T>) -> Result<String> {
    let error = result.err().context("it was not refused")?;
    Ok(format!("{error:#}"))
}

fn judge(scene: &Scene, endpoint: &Endpoint, issued: &Issued) -> Result<()> {
    let chain = std::fs::read_to_string(&issued.chain)?;
    let root = std::fs::read_to_string(&endpoint.ca)?;
    let trusted = scene.workspace.write("trusted.pem", format!("{chain}\n{root}"))?;
    openssl::verify(&scene.workspace, &issued.chain, &trusted)?;
    zlint::lint(&issued.chain)
}

#[test]
fn a_key_vouches_for_its_own_names_and_for_no_others() -> Result<()> {
    let (scene, endpoint) = scene()?;
    let binding = endpoint.binding("web/shop")?;
    ensure!(binding.kid == "shop", "{}", binding.kid);
    let client = InstantAcme::register(&endpoint, scene.workspace.path(), Some(&binding))?;
    let names = ["shop.intranet.example", "*.shop.intranet.example", "10.1.2.3"];
    let issued = client.issue(&names, NO_CHALLENGE)?;
    judge(&scene, &endpoint, &issued)?;
    for name in ["intranet.example", "a.b.shop.intranet.example", "10.1.3.1"] {
        let refused = refusal(client.issue(&[name], NO_CHALLENGE))?;
        ensure!(refused.contains("rejectedIdentifier"), "{name}: {refused}");
    }
    Ok(())
}

#[test]
fn a_key_for_one_account_binds_no_second_and_its_account_stops_when_it_is_replaced() -> Result<()> {
    let (scene, endpoint) = scene()?;
    let binding = endpoint.binding("web/shop")?;
    let client = InstantAcme::register(&endpoint, scene.workspace.path(), Some(&binding))?;
    let second = refusal(InstantAcme::register(&endpoint, scene.workspace.path(), Some(&binding)))?;
    ensure!(second.contains("unauthorized"), "{second}");
    client.issue(&["shop.intranet.example"], NO_CHALLENGE)?;

    let before = scene.server.status()?.generation;
    scene.resources.replace("05-credentials.yaml", "regeneration: 0", "regeneration: 1")?;
    scene.wait_for_reload(before)?;
    let stopped = refusal(client.issue(&["shop.intranet.example"], NO_CHALLENGE))?;
    ensure!(stopped.contains("unauthorized"), "{stopped}");

    let endpoint = scene.server.endpoints()?.acme("web/intranet").cloned()?;
    let next = endpoint.binding("web/shop")?;
    ensure!(next.hmac != binding.hmac, "the key was not replaced");
    let client = InstantAcme::register(&endpoint, scene.workspace.path(), Some(&next))?;
    let issued = client.issue(&["shop.intranet.example"], NO_CHALLENGE)?;
    judge(&scene, &endpoint, &issued)
}

//! `chancery-server accounts` shows who asks by ACME, and ends whoever is to ask no more.

use anyhow::{Context, Result, ensure};
use chancery_tests::Scene;
use chancery_tests::acme::{Challenge, Client};
use chancery_tests::instant_acme::InstantAcme;
use serde_json::Value;

/// Needed by the client, asked by nobody: the key of an account vouches for its names.
const NOWHERE: Challenge<'_> = Challenge::Http01(0);

/// The method `vouched`, whose accounts are bound to a key that vouches for their names, and `open`, whose are not bound.
fn scene() -> Result<Scene> {
    let profile = "{authorityRef: {name: issuing}, preset: TLSServer, \
                   protocols: [{protocol: acme, minimumAuthentication: Anonymous}]}";
    Scene::with(|resources| {
        let vouched = "{challenges: [], preAuthorizedNames: Enabled}";
        let names = "{identifiers: {dns: ['*.vouched.test']}}";
        resources.acme_method("vouched", profile, vouched, Some(names))?;
        resources.acme_method("open", profile, "{externalAccountBinding: Disabled}", None)
    })
}

fn register(scene: &Scene, method: &str, folder: &str) -> Result<InstantAcme> {
    let endpoint = scene.server.endpoints()?.acme(&format!("test/{method}"))?.clone();
    let binding = match method {
        "open" => None,
        bound => Some(endpoint.binding(&format!("test/{bound}"))?),
    };
    let folder = scene.workspace.file(folder);
    std::fs::create_dir_all(&folder)?;
    InstantAcme::register(&endpoint, &folder, binding.as_ref())
}

fn id(client: &InstantAcme) -> Result<&str> {
    client.account().rsplit('/').next().context("the URL of the account has no last part")
}

fn run(scene: &Scene, arguments: &[&str]) -> Result<String> {
    scene.server.settings().run(arguments)
}

fn json(scene: &Scene, arguments: &[&str]) -> Result<Value> {
    Ok(serde_json::from_str(&run(scene, &[arguments, &["--format", "json"]].concat())?)?)
}

fn check_refused<T>(what: &str, outcome: Result<T>) -> Result<()> {
    let error = outcome.err().with_context(|| format!("a revoked account was let: {what}"))?;
    ensure!(format!("{error:#}").contains("urn:ietf:params:acme:error:unauthorized"), "{what}: {error:#}");
    Ok(())
}

#[test]
fn a_revoked_account_is_refused_at_once_while_another_of_the_same_key_goes_on() -> Result<()> {
    let scene = scene()?;
    let (revoked, other) = (register(&scene, "vouched", "revoked")?, register(&scene, "vouched", "other")?);
    let issued = revoked.issue(&["a.vouched.test"], NOWHERE)?;
    other.issue(&["b.vouched.test"], NOWHERE)?;

    let said = run(&scene, &["accounts", "revoke", id(&revoked)?, "--reason", "the machine was stolen"])?;
    ensure!(said.trim_end() == format!("account {} of test/vouched is revoked", id(&revoked)?), "{said}");
    check_refused("an order", revoked.issue(&["a.vouched.test"], NOWHERE))?;
    check_refused("other contacts", revoked.change_contacts(&["mailto:new@vouched.test"]))?;
    check_refused("a revocation", revoked.revoke(&issued))?;
    other.issue(&["b.vouched.test"], NOWHERE)?;
    other.change_contacts(&["mailto:new@vouched.test"])?;

    // A retry is not recorded again.
    run(&scene, &["accounts", "revoke", id(&revoked)?])?;
    let events = json(&scene, &["audit", "list", "--action", "accountRevoked"])?;
    let [event] = events.as_array().map(Vec::as_slice).unwrap_or_default() else {
        anyhow::bail!("not one event: {events}")
    };
    ensure!(event["subject"] == format!("acme:{}", id(&revoked)?), "{event}");
    ensure!(event["reason"] == "the machine was stolen" && event["method"] == "test/vouched", "{event}");
    ensure!(event["actor"]["name"].as_str().is_some_and(|name| name.ends_with("(command line)")), "{event}");
    run(&scene, &["audit", "verify"]).map(drop)
}

#[test]
fn a_revocation_is_refused_where_the_server_kept_what_it_read_a_moment_ago() -> Result<()> {
    let scene = scene()?;
    let client = register(&scene, "vouched", "client")?;
    // The last that the server hears of the account before, so that what it knows of it is kept.
    let issued = client.issue(&["a.vouched.test"], NOWHERE)?;
    run(&scene, &["accounts", "revoke", id(&client)?])?;
    check_refused("a revocation", client.revoke(&issued))
}

#[test]
fn accounts_are_listed_as_asked_for_and_shown_with_their_orders_and_without_their_keys() -> Result<()> {
    let scene = scene()?;
    let (bound, open) = (register(&scene, "vouched", "bound")?, register(&scene, "open", "open")?);
    let third = register(&scene, "open", "third")?;
    bound.issue(&["a.vouched.test"], NOWHERE)?;
    run(&scene, &["accounts", "revoke", id(&third)?])?;
    let endpoint = scene.server.endpoints()?.acme("test/vouched")?.clone();
    let binding = endpoint.binding("test/vouched")?;

    let shown = json(&scene, &["accounts", "show", id(&bound)?])?;
    ensure!(shown["status"] == "valid" && shown["binding"]["kid"] == binding.kid.as_str(), "{shown}");
    ensure!(shown["owner"].to_string().contains("testers"), "{shown}");
    let order = &shown["orders"][0];
    ensure!(order["names"][0] == "a.vouched.test" && order["status"] == "valid", "{shown}");
    let serial = order["certificate"]["serial"].as_str().context("the order has no certificate")?;
    run(&scene, &["certificates", "show", serial])?;
    let text = run(&scene, &["accounts", "show", id(&bound)?])?;
    ensure!(text.contains(&binding.kid) && text.contains(serial), "{text}");
    for secret in [binding.hmac.as_str(), "\"jwk\"", "signature"] {
        ensure!(!text.contains(secret) && !shown.to_string().contains(secret), "{secret} is shown: {shown}");
    }

    let credential = shown["binding"]["credential"].as_str().context("no credential")?;
    let table: [(&[&str], Vec<&str>); 6] = [
        (&[], vec![id(&bound)?, id(&open)?, id(&third)?]),
        (&["--method", "test/open"], vec![id(&open)?, id(&third)?]),
        (&["--status", "revoked"], vec![id(&third)?]),
        (&["--method", "test/open", "--status", "valid"], vec![id(&open)?]),
        (&["--credential", credential], vec![id(&bound)?]),
        (&["--status", "deactivated"], vec![]),
    ];
    for (filter, expected) in table {
        let listed = run(&scene, &[&["accounts", "list"], filter].concat())?;
        let found: Vec<&str> = listed.lines().filter_map(|line| line.split(' ').next()).collect();
        ensure!(found == expected, "{filter:?} lists {listed}");
        let listed = json(&scene, &[&["accounts", "list"], filter].concat())?;
        let rows = listed.as_array().context("not a list")?;
        let found: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
        ensure!(found == expected, "{filter:?} lists {listed}");
    }
    Ok(())
}

#[test]
fn what_is_no_account_is_said_to_be_none() -> Result<()> {
    let scene = scene()?;
    let ended = register(&scene, "open", "ended")?;
    let ended_id = id(&ended)?.to_owned();
    ended.deactivate()?;
    let nobody = "00000000000000000000000000000000";
    let table: [(&[&str], &str); 5] = [
        (&["show", nobody], nobody),
        (&["revoke", nobody], "account not found"),
        (&["revoke", &ended_id], "its owner has deactivated it"),
        (&["show", "https://ca.test/account/1"], "32 lower-case hexadecimal digits"),
        (&["list", "--status", "gone"], "valid, deactivated or revoked"),
    ];
    for (arguments, hint) in table {
        let refused = run(&scene, &[&["accounts"], arguments].concat()).err();
        let error = refused.with_context(|| format!("{arguments:?} was taken"))?;
        ensure!(format!("{error:#}").contains(hint), "{arguments:?}: {error:#}");
    }
    Ok(())
}

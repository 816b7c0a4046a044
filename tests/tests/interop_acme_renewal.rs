//! When to renew, as the server says it (RFC 9773) and as clients that we did not write understand it; and which profile.

use std::time::{Duration, SystemTime};

use anyhow::{Result, ensure};
use chancery_tests::acme::{Challenge, Client, Issued};
use chancery_tests::caddy::{self, Caddy, Only};
use chancery_tests::certbot::Certbot;
use chancery_tests::instant_acme::InstantAcme;
use chancery_tests::lego::Lego;
use chancery_tests::program::{declared_absent, succeed};
use chancery_tests::{AcmeScene, openssl};

/// As the server's owner would, at the command line.
fn revoke_by_hand(scene: &AcmeScene, issued: &Issued) -> Result<()> {
    let serial = openssl::serial(&issued.chain)?;
    scene.scene.server.settings().run(&["certificates", "revoke", &serial, "--reason", "superseded"])?;
    Ok(())
}

fn is_same(one: &Issued, other: &Issued) -> Result<bool> {
    Ok(std::fs::read(&one.chain)? == std::fs::read(&other.chain)?)
}

#[test]
fn lego_renews_when_the_certificate_is_revoked_and_not_before() -> Result<()> {
    if declared_absent("lego")? || declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let lego = Lego::new(&scene.endpoint("open")?, &scene.folder("lego")?, None)?;
    let (names, challenge) = (["www.acme.test"], Challenge::Http01(scene.http));
    let issued = lego.issue(&names, challenge)?;
    let first = issued.keep(scene.workspace().path(), "first")?;
    lego.renew_if_asked(&names, challenge)?;
    ensure!(is_same(&first, &issued)?, "it was renewed before its time");

    revoke_by_hand(&scene, &first)?;
    let said = lego.renew_if_asked(&names, challenge)?;
    ensure!(!is_same(&first, &issued)?, "a revoked certificate was not renewed: {said}");
    scene.judge(&issued, &["DNS:www.acme.test"])
}

#[test]
fn certbot_renews_when_the_certificate_is_revoked_and_not_before() -> Result<()> {
    if declared_absent("certbot-pypi")? || declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let endpoint = scene.endpoint("open")?;
    let by_http = Challenge::Http01(scene.http);
    // Two of them, because it does not ask again before it is told to (§4.3.2).
    for (name, revoked) in [("good.acme.test", false), ("bad.acme.test", true)] {
        let certbot = Certbot::new("certbot-pypi", &endpoint, &scene.folder(name)?, None)?;
        let issued = certbot.issue(&[name], by_http)?;
        let first = issued.keep(scene.workspace().path(), "first")?;
        if revoked {
            revoke_by_hand(&scene, &first)?;
        }
        let said = certbot.renew_what_is_due()?;
        let renewed = !is_same(&first, &issued)?;
        ensure!(renewed == revoked, "{name} was renewed: {renewed}. {said}");
        scene.judge(&issued, &[&format!("DNS:{name}")])?;
    }
    Ok(())
}

#[test]
fn caddy_renews_by_itself_when_the_window_opens() -> Result<()> {
    if declared_absent("caddy")? || declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let name = "brief.acme.test";
    let settings = caddy::Settings {
        endpoint: &scene.endpoint("brief")?,
        binding: Some(scene.binding("brief")?),
        folder: &scene.folder("caddy")?,
        names: &[name],
        challenge: Only::Http01,
        http: scene.http,
        https: scene.tls,
    };
    let mut caddy = Caddy::start(&settings)?;
    let issued = caddy.wait_for_certificate(name, &scene.root(), None)?;
    let first = issued.keep(scene.workspace().path(), "first")?;
    let renewed = caddy.wait_for_certificate(name, &scene.root(), Some(&first))?;
    ensure!(openssl::is_for_key(&renewed.chain, &renewed.key)?);
    let log = caddy.log();
    ensure!(log.contains("got renewal info"), "Caddy did not ask when to renew:\n{log}");
    Ok(())
}

#[test]
fn the_window_lies_in_the_last_third_and_at_once_after_a_revocation() -> Result<()> {
    if declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let client = InstantAcme::register(&scene.endpoint("open")?, &scene.folder("instant")?, None)?;
    let challenge = Challenge::Http01(scene.http);
    let issued = client.issue(&["www.acme.test"], challenge)?;
    let first = issued.keep(scene.workspace().path(), "first")?;
    let now = SystemTime::now();
    let (info, again) = client.renewal_info(&first)?;
    let days = |days: u64| now + Duration::from_secs(days * 86_400);
    let window = &info.suggested_window;
    ensure!(window.start > days(55) && window.start < window.end && window.end < days(80), "{window:?}");
    ensure!(again >= Duration::from_secs(60), "asking again after {again:?} is too soon");

    revoke_by_hand(&scene, &first)?;
    let (info, _) = client.renewal_info(&first)?;
    ensure!(info.suggested_window.end <= SystemTime::now(), "{:?}", info.suggested_window);

    let renewed = client.order(&["www.acme.test"], challenge, None, Some(&first))?;
    scene.judge(&renewed, &["DNS:www.acme.test"])?;
    let twice = client.order(&["www.acme.test"], challenge, None, Some(&first)).err();
    let twice = twice.map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(twice.contains("alreadyReplaced"), "one certificate was replaced twice: {twice:?}");
    Ok(())
}

#[test]
fn a_certificate_lasts_as_long_as_the_order_asks_for() -> Result<()> {
    if declared_absent("lego")? || declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let ten_days = succeed("date", &["--utc", "--date", "10 days", "+%FT%TZ"], None)?;
    let until = String::from_utf8(ten_days)?;
    let lego = Lego::new(&scene.endpoint("open")?, &scene.folder("lego")?, None)?;
    let lego = lego.option(&format!("--not-after={}", until.trim()));
    let issued = lego.issue(&["www.acme.test"], Challenge::Http01(scene.http))?;
    scene.judge(&issued, &["DNS:www.acme.test"])?;
    // `-checkend` fails where it will have expired by then: between nine days and ten.
    let day = 86_400;
    openssl::describe(&issued.chain, &["-checkend", &(9 * day).to_string()])?;
    ensure!(openssl::describe(&issued.chain, &["-checkend", &(10 * day).to_string()]).is_err());
    Ok(())
}

#[test]
fn an_order_gets_the_profile_that_it_names() -> Result<()> {
    if declared_absent("lego")? || declared_absent("certbot-pypi")? || declared_absent("named")? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let endpoint = scene.endpoint("web")?;
    let by_http = Challenge::Http01(scene.http);
    let client = InstantAcme::register(&endpoint, &scene.folder("instant")?, Some(&scene.binding("web")?))?;
    let mut profiles = client.profiles();
    profiles.sort();
    ensure!(profiles == ["default", "short"], "the directory lists {profiles:?}");
    let refused = client.order(&["www.acme.test"], by_http, Some("long"), None).err();
    let refused = refused.map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refused.contains("invalidProfile"), "an unknown profile: {refused:?}");

    let lego = Lego::new(&endpoint, &scene.folder("lego")?, Some(scene.binding("web")?))?;
    let certbot_folder = scene.folder("certbot")?;
    let certbot = Certbot::new("certbot-pypi", &endpoint, &certbot_folder, Some(scene.binding("web")?))?;
    let lego = lego.option("--profile=short");
    let certbot = certbot.option("--required-profile=short");
    let orders = [
        client.order(&["a.acme.test"], by_http, Some("short"), None)?,
        lego.issue(&["b.acme.test"], by_http)?,
        certbot.issue(&["c.acme.test"], by_http)?,
    ];
    for issued in orders {
        // `openssl x509 -checkend` fails where it will have expired by then.
        ensure!(openssl::describe(&issued.chain, &["-checkend", "45"]).is_err(), "it lasts too long");
    }
    Ok(())
}

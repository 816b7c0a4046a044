//! Programs that we did not write get certificates by ACME; openssl and zlint judge what they get.

use std::time::Duration;

use anyhow::{Result, ensure};
use chancery_tests::AcmeScene;
use chancery_tests::acme::{Challenge, Client};
use chancery_tests::caddy::{self, Caddy, Only};
use chancery_tests::certbot::Certbot;
use chancery_tests::instant_acme::InstantAcme;
use chancery_tests::lego::Lego;
use chancery_tests::program::declared_absent;

/// How long a revoked certificate may be missing from the list.
const LIST_LIMIT: Duration = Duration::from_secs(20);

/// What is ordered, and how it is shown that it may be.
struct Order<'a> {
    challenge: Challenge<'a>,
    names: &'a [&'a str],
    /// As `openssl` shows them.
    shown: &'a [&'a str],
}

/// Whether a program that this file cannot do without could not be provided.
fn absent(programs: &[&str]) -> Result<bool> {
    let answers: Vec<bool> = programs.iter().map(|name| declared_absent(name)).collect::<Result<_>>()?;
    Ok(answers.contains(&true))
}

/// Orders, renews and revokes; what came is judged each time.
fn order_renew_and_revoke(scene: &AcmeScene, client: &dyn Client, order: &Order<'_>) -> Result<()> {
    let Order { challenge, names, shown } = order;
    let issued = client.issue(names, *challenge)?;
    scene.judge(&issued, shown)?;
    let first = issued.keep(scene.workspace().path(), "first")?;

    let renewed = client.renew(names, *challenge)?;
    scene.judge(&renewed, shown)?;
    ensure!(std::fs::read(&first.chain)? != std::fs::read(&renewed.chain)?, "nothing was renewed");

    client.revoke(&renewed)?;
    scene.scene.server.wait_until("the new list", LIST_LIMIT, |_| scene.is_revoked(&renewed))?;
    ensure!(!scene.is_revoked(&first)?, "the one that was renewed was not to be revoked");
    Ok(())
}

#[test]
fn certbot_of_debian_registers_orders_renews_and_revokes() -> Result<()> {
    if absent(&["certbot", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let folder = scene.folder("certbot")?;
    let binding = Some(scene.binding("web")?);
    let certbot = Certbot::new("certbot", &scene.endpoint("web")?, &folder, binding)?;
    certbot.register()?;
    let by_http = Order {
        challenge: Challenge::Http01(scene.http),
        names: &["www.acme.test", "shop.acme.test"],
        shown: &["DNS:shop.acme.test", "DNS:www.acme.test"],
    };
    order_renew_and_revoke(&scene, &certbot, &by_http)?;
    let by_name_server = Order {
        challenge: Challenge::Dns01(&scene.bind),
        names: &["*.wild.acme.test", "wild.acme.test"],
        shown: &["DNS:*.wild.acme.test", "DNS:wild.acme.test"],
    };
    order_renew_and_revoke(&scene, &certbot, &by_name_server)?;

    certbot.update_contact("owner@acme.test")?;
    let account = certbot.show_account()?;
    ensure!(account.contains("owner@acme.test"), "the account does not say whom to tell: {account}");
    certbot.unregister()
}

#[test]
fn certbot_of_its_authors_orders_renews_and_revokes() -> Result<()> {
    if absent(&["certbot-pypi", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let folder = scene.folder("certbot")?;
    let binding = Some(scene.binding("web")?);
    let certbot = Certbot::new("certbot-pypi", &scene.endpoint("web")?, &folder, binding)?;
    let orders = [
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["www.acme.test"],
            shown: &["DNS:www.acme.test"],
        },
        Order {
            challenge: Challenge::Dns01(&scene.bind),
            names: &["*.wild.acme.test"],
            shown: &["DNS:*.wild.acme.test"],
        },
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["127.0.0.1"],
            shown: &["IP Address:127.0.0.1"],
        },
    ];
    orders.iter().try_for_each(|order| order_renew_and_revoke(&scene, &certbot, order))
}

#[test]
fn lego_orders_renews_and_revokes_by_every_challenge() -> Result<()> {
    if absent(&["lego", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let folder = scene.folder("lego")?;
    let lego = Lego::new(&scene.endpoint("web")?, &folder, Some(scene.binding("web")?))?;
    let orders = [
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["www.acme.test", "shop.acme.test"],
            shown: &["DNS:shop.acme.test", "DNS:www.acme.test"],
        },
        Order {
            challenge: Challenge::TlsAlpn01(scene.tls),
            names: &["alpn.acme.test"],
            shown: &["DNS:alpn.acme.test"],
        },
        Order {
            challenge: Challenge::Dns01(&scene.bind),
            names: &["*.wild.acme.test", "wild.acme.test"],
            shown: &["DNS:*.wild.acme.test", "DNS:wild.acme.test"],
        },
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["127.0.0.1"],
            shown: &["IP Address:127.0.0.1"],
        },
        Order {
            challenge: Challenge::TlsAlpn01(scene.tls),
            names: &["127.0.0.1"],
            shown: &["IP Address:127.0.0.1"],
        },
    ];
    orders.iter().try_for_each(|order| order_renew_and_revoke(&scene, &lego, order))
}

#[test]
fn an_answer_in_the_name_server_may_stand_where_an_alias_leads_to() -> Result<()> {
    if absent(&["lego", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    scene.bind.update(&["add _acme-challenge.alias.acme.test 1 CNAME alias.challenges.test"])?;
    let lego = Lego::new(&scene.endpoint("open")?, &scene.folder("lego")?, None)?;
    let issued = lego.issue(&["alias.acme.test"], Challenge::Dns01(&scene.bind))?;
    scene.judge(&issued, &["DNS:alias.acme.test"])
}

#[test]
fn instant_acme_orders_renews_and_revokes() -> Result<()> {
    if absent(&["named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let binding = scene.binding("web")?;
    let client = InstantAcme::register(&scene.endpoint("web")?, &scene.folder("instant")?, Some(&binding))?;
    let orders = [
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["www.acme.test", "shop.acme.test"],
            shown: &["DNS:shop.acme.test", "DNS:www.acme.test"],
        },
        Order {
            challenge: Challenge::Dns01(&scene.bind),
            names: &["*.wild.acme.test"],
            shown: &["DNS:*.wild.acme.test"],
        },
        Order {
            challenge: Challenge::Http01(scene.http),
            names: &["127.0.0.1", "local.acme.test"],
            shown: &["DNS:local.acme.test", "IP Address:127.0.0.1"],
        },
    ];
    orders.iter().try_for_each(|order| order_renew_and_revoke(&scene, &client, order))
}

#[test]
fn an_account_changes_its_key_and_its_contacts_gives_up_an_authorization_and_ends() -> Result<()> {
    if absent(&["named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let folder = scene.folder("instant")?;
    let mut client = InstantAcme::register(&scene.endpoint("open")?, &folder, None)?;
    let account = client.account().to_owned();
    client.change_key()?;
    ensure!(client.account() == account, "a new key made a new account");
    client.change_contacts(&["mailto:new@acme.test", "mailto:other@acme.test"])?;
    client.give_up_authorization("www.acme.test")?;
    // With the new key.
    let issued = client.issue(&["www.acme.test"], Challenge::Http01(scene.http))?;
    scene.judge(&issued, &["DNS:www.acme.test"])?;
    client.deactivate()
}

#[test]
fn caddy_gets_its_certificates_by_http_and_by_tls() -> Result<()> {
    if absent(&["caddy", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let endpoint = scene.endpoint("web")?;
    for (challenge, name) in [(Only::Http01, "http.acme.test"), (Only::TlsAlpn01, "tls.acme.test")] {
        let settings = caddy::Settings {
            endpoint: &endpoint,
            binding: Some(scene.binding("web")?),
            folder: &scene.folder(name)?,
            names: &[name],
            challenge,
            http: scene.http,
            https: scene.tls,
        };
        let mut caddy = Caddy::start(&settings)?;
        let issued = caddy.wait_for_certificate(name, &scene.root(), None)?;
        scene.judge(&issued, &[&format!("DNS:{name}")])?;
    }
    Ok(())
}

#[test]
fn names_that_the_key_of_an_account_vouches_for_need_no_challenge() -> Result<()> {
    if absent(&["lego", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let (endpoint, binding) = (scene.endpoint("vouched")?, scene.binding("vouched")?);
    let client = InstantAcme::register(&endpoint, &scene.folder("instant")?, Some(&binding))?;
    let nowhere = Challenge::Http01(scene.http);
    let issued = client.issue(&["a.vouched.acme.test"], nowhere)?;
    scene.judge(&issued, &["DNS:a.vouched.acme.test"])?;

    let lego = Lego::new(&endpoint, &scene.folder("lego")?, Some(binding))?;
    let issued = lego.issue(&["b.vouched.acme.test"], nowhere)?;
    scene.judge(&issued, &["DNS:b.vouched.acme.test"])?;
    let refused = lego.issue(&["www.acme.test"], nowhere).err().map(|error| error.to_string());
    let refused = refused.unwrap_or_default();
    ensure!(refused.contains("rejectedIdentifier"), "a name that nobody vouched for: {refused}");
    Ok(())
}

#[test]
fn whoever_holds_the_key_of_a_certificate_may_revoke_it() -> Result<()> {
    if absent(&["certbot", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let endpoint = scene.endpoint("open")?;
    let client = InstantAcme::register(&endpoint, &scene.folder("instant")?, None)?;
    let issued = client.issue(&["www.acme.test"], Challenge::Http01(scene.http))?;
    // With no account, and so with nothing else to show.
    let certbot = Certbot::new("certbot", &endpoint, &scene.folder("certbot")?, None)?;
    certbot.revoke_by_key(&issued)?;
    scene.scene.server.wait_until("the new list", LIST_LIMIT, |_| scene.is_revoked(&issued))
}

#[test]
fn an_order_that_somebody_has_to_approve_is_waited_for() -> Result<()> {
    if absent(&["named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let folder = scene.folder("instant")?;
    let client = InstantAcme::register(&scene.endpoint("manual")?, &folder, None)?;
    let by_http = Challenge::Http01(scene.http);
    let settings = scene.scene.server.settings();
    let issued = std::thread::scope(|scope| {
        let waiting = scope.spawn(move || client.issue(&["www.acme.test"], by_http));
        scene.scene.server.wait_until("a request", LIST_LIMIT, |_| {
            let listed = settings.run(&["requests", "list"])?;
            let Some(id) = listed.split_whitespace().next() else { return Ok(false) };
            settings.run(&["certificates", "approve", id]).map(|_| true)
        })?;
        waiting.join().map_err(|_| anyhow::anyhow!("the client panicked"))?
    })?;
    scene.judge(&issued, &["DNS:www.acme.test"])
}

#[test]
fn caa_records_say_whether_a_name_is_ours_to_certify() -> Result<()> {
    if absent(&["lego", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let lego = Lego::new(&scene.endpoint("guarded")?, &scene.folder("lego")?, None)?;
    let by_http = Challenge::Http01(scene.http);
    // Without any such record, and with one that names this authority.
    for name in ["www.acme.test", "allowed.caa.test"] {
        let issued = lego.issue(&[name], by_http)?;
        scene.judge(&issued, &[&format!("DNS:{name}")])?;
    }
    let refused = lego.issue(&["foreign.caa.test"], by_http).err().map(|error| error.to_string());
    let refused = refused.unwrap_or_default();
    ensure!(refused.contains("error:caa"), "another authority's name: {refused}");
    Ok(())
}

#[test]
fn an_account_without_a_binding_is_refused_where_one_is_required() -> Result<()> {
    if absent(&["certbot", "lego", "named"])? {
        return Ok(());
    }
    let scene = AcmeScene::start()?;
    let endpoint = scene.endpoint("web")?;
    let refused = InstantAcme::register(&endpoint, &scene.folder("instant")?, None).err();
    let refused = refused.map(|error| format!("{error:#}")).unwrap_or_default();
    ensure!(refused.contains("externalAccountRequired"), "it was not told: {refused:?}");
    // lego reads that in the directory, and does not even ask.
    let lego = Lego::new(&endpoint, &scene.folder("lego")?, None)?;
    let refused = lego.issue(&["www.acme.test"], Challenge::Http01(scene.http)).err();
    let refused = refused.map(|error| error.to_string()).unwrap_or_default();
    ensure!(
        refused.contains("requires External Account Binding"),
        "the directory does not say so: {refused}"
    );

    let mut binding = scene.binding("web")?;
    // Another key under the same name.
    binding.hmac = binding.hmac.chars().rev().collect();
    let certbot = Certbot::new("certbot", &endpoint, &scene.folder("certbot")?, Some(binding))?;
    ensure!(certbot.register().is_err(), "a wrong key was taken");
    Ok(())
}

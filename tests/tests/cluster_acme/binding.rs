//! The key that binds cert-manager's account to a team, made again because somebody saw it.

use anyhow::{Result, ensure};
use chancery_tests::cluster::cert_manager::renew;
use chancery_tests::cluster::office::text;
use serde_json::{Value, json};

use crate::office::{LIMIT, sqlite, with_office};
use crate::web::{SECRET, Web};

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn an_account_ends_with_the_key_that_it_is_bound_to_and_another_is_bound_to_the_new_one() -> Result<()> {
    with_office("acme-binding", sqlite, |office, team| {
        let kubectl = team.kubectl();
        let desk = office.desk(team.kubectl(), "acme", &team.cluster().networks)?;
        kubectl.apply(&desk.issuer("Issuer", "acme", &json!({}))?.to_string())?;
        let issuer = kubectl.wait_condition("issuer/acme", "Ready", LIMIT)?;
        let account = text(&issuer, "/status/acme/uri");
        ensure!(account.contains("/acct/"), "{}", issuer["status"]);
        let web = Web::open(team, &json!({"cert-manager.io/issuer": "acme"}), &office.root()?)?;
        kubectl.wait_condition(&web.certificate(), "Ready", LIMIT)?;
        let first = web.held(None)?;

        desk.regenerate()?;
        renew(&kubectl, SECRET)?;
        kubectl.wait_condition_is(&web.certificate(), "Issuing", "False", Some("Failed"), LIMIT)?;
        let orders = kubectl.list("orders.acme.cert-manager.io", "")?;
        let refused = orders.iter().filter(|order| text(order, "/status/state") == "errored");
        let reasons: Vec<&str> = refused.map(|order| text(order, "/status/reason")).collect();
        ensure!(
            matches!(reasons.as_slice(), [reason] if reason.contains("urn:ietf:params:acme:error:unauthorized")),
            "{reasons:?}"
        );

        // cert-manager makes another account where it has no key, and binds it by what is in the Secret now.
        kubectl.delete("secret/acme-account", LIMIT)?;
        let is_another = |issuer: &Value| ![account, ""].contains(&text(issuer, "/status/acme/uri"));
        kubectl.wait_until("issuer/acme", "has another account", LIMIT, is_another)?;
        kubectl.wait_condition("issuer/acme", "Ready", LIMIT)?;
        renew(&kubectl, SECRET)?;
        web.held(Some(&first))?;
        web.is_served()
    })
}

//! Whoever may order could otherwise have the server send requests into networks that they do not reach themselves.

use anyhow::{Result, ensure};
use chancery_tests::cluster::cert_manager::renew;
use chancery_tests::cluster::office::text;
use serde_json::json;

use crate::office::{LIMIT, sqlite, with_office};
use crate::web::{SECRET, Web, only};

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_network_that_the_method_does_not_allow_is_not_contacted_and_the_challenge_says_so() -> Result<()> {
    with_office("acme-guard", sqlite, |office, team| {
        let (kubectl, networks) = (team.kubectl(), &team.cluster().networks);
        let desk = office.desk(team.kubectl(), "acme", &[])?;
        kubectl.apply(&desk.issuer("Issuer", "acme", &json!({}))?.to_string())?;
        kubectl.wait_condition("issuer/acme", "Ready", LIMIT)?;
        let web = Web::open(team, &json!({"cert-manager.io/issuer": "acme"}), &office.root()?)?;

        kubectl.wait_condition_is(&web.certificate(), "Issuing", "False", Some("Failed"), LIMIT)?;
        let challenge = only(&kubectl, "challenges.acme.cert-manager.io")?;
        let reason = text(&challenge, "/status/reason");
        ensure!(text(&challenge, "/status/state") == "invalid", "{}", challenge["status"]);
        let refused = format!("{} has no address that may be contacted", web.host);
        ensure!(reason.contains(&refused) && reason.contains("is not public"), "{reason}");
        let order = only(&kubectl, "orders.acme.cert-manager.io")?;
        ensure!(text(&order, "/status/state") == "invalid", "{}", order["status"]);

        // It was that, and nothing else.
        desk.allow(networks)?;
        renew(&kubectl, SECRET)?;
        web.held(None)?;
        web.is_served()
    })
}

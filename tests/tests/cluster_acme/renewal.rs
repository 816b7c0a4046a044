//! From the annotation of an Ingress to a page under our root, and on to the next certificate.

use anyhow::{Result, ensure};
use chancery_tests::cluster::office::text;
use chancery_tests::conformance::subject_alt_names;
use serde_json::json;

use crate::office::{LIMIT, RENEW_BEFORE, SHORT, sqlite, with_office};
use crate::web::{Web, only};

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn an_annotated_ingress_is_served_under_our_root_and_renewed_by_itself() -> Result<()> {
    with_office("acme", sqlite, |office, team| {
        let (kubectl, networks) = (team.kubectl(), &team.cluster().networks);
        let desk = office.desk(team.kubectl(), "acme", networks)?;
        // The short profile by its name, as the directory has it.
        let issuer = desk.issuer("Issuer", "acme", &json!({"profile": "short"}))?;
        kubectl.apply(&issuer.to_string())?;
        kubectl.wait_condition("issuer/acme", "Ready", LIMIT)?;

        let renew_before = format!("{}s", RENEW_BEFORE.as_secs());
        let annotations =
            json!({"cert-manager.io/issuer": "acme", "cert-manager.io/renew-before": renew_before});
        let web = Web::open(team, &annotations, &office.root()?)?;
        kubectl.wait_condition(&web.certificate(), "Ready", LIMIT)?;
        let first = web.held(None)?;
        web.is_served()?;
        let names = subject_alt_names(&first)?;
        ensure!(names == [format!("dns:{}", web.host)].into(), "{names:?}");
        let seconds = first.not_after().unix() - first.not_before().unix();
        ensure!(seconds.unsigned_abs() == SHORT.as_secs(), "it is good for {seconds} s");
        let order = only(&kubectl, "orders.acme.cert-manager.io")?;
        ensure!(text(&order, "/spec/profile") == "short", "{}", order["spec"]);

        // Nobody does anything here: cert-manager renews half a minute after it got it.
        let second = web.held(Some(&first))?;
        web.is_served()?;
        ensure!(second.serial() != first.serial(), "the same certificate");
        ensure!(second.public_key() != first.public_key(), "the same key");
        Ok(())
    })
}

//! Two replicas on PostgreSQL, a ClusterIssuer, and certificates that are revoked before their time.
//!
//! cert-manager does not look at revocation lists. It replaces what was revoked when somebody says so (`cmctl renew`), or, with its
//! feature `ACMEUseARI`, when it next asks for renewal information (RFC 9773).

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use chancery_postgres::Postgres;
use chancery_tests::cluster::cert_manager::{patch_status, renew};
use chancery_tests::cluster::office::{resource, text};
use chancery_tests::cluster::{Kubectl, condition, database};
use chancery_tests::server::wait_until;
use pki::certificate::Certificate;
use serde_json::{Value, json};

use crate::office::{LIMIT, Office, with_office};
use crate::web::{SECRET, Web};

/// A moment that is over: cert-manager asks at once.
const DUE: &str = "2020-01-01T00:00:00Z";

/// What the Ingress asks for, which is less than the profile gives.
const DURATION: &str = "720h";

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_was_revoked_is_replaced_when_somebody_says_so_and_when_cert_manager_asks() -> Result<()> {
    let mut running: Option<Postgres> = None;
    let storage = |namespace: &_| {
        let (postgres, storage) = database::start(namespace)?;
        running = Some(postgres);
        Ok(storage)
    };
    with_office("acme-revoke", storage, |office, team| {
        // cert-manager reads the Secrets of a ClusterIssuer in its own namespace, so the key is made there.
        let (cluster, name) = (team.cluster(), team.name());
        let shared = cluster.kubectl().in_namespace(cluster.cert_manager_namespace());
        let desk = office.desk(shared.clone(), name, &cluster.networks)?;
        let outcome = (|| {
            let durations = json!({"enableDurationFeature": true});
            shared.apply(&desk.issuer("ClusterIssuer", name, &durations)?.to_string())?;
            shared.wait_condition(&format!("clusterissuer/{name}"), "Ready", LIMIT)?;
            let annotations =
                json!({"cert-manager.io/cluster-issuer": name, "cert-manager.io/duration": DURATION});
            let web = Web::open(team, &annotations, &office.root()?)?;
            replaced_when_told(office, &web, &shared)?;
            cluster.with_feature_of_cert_manager("ACMEUseARI", || {
                shared.wait_condition(&format!("clusterissuer/{name}"), "Ready", LIMIT)?;
                replaced_when_asked(office, &web)
            })
        })();
        let cleared = shared
            .delete(&format!("clusterissuer/{name}"), LIMIT)
            .and_then(|()| shared.delete(&format!("secret/{name}-account"), LIMIT))
            .and_then(|()| desk.close());
        outcome.and(cleared)
    })
}

/// As a person does it who has only the Certificate.
fn replaced_when_told(office: &Office<'_>, web: &Web, shared: &Kubectl) -> Result<()> {
    web.kubectl.wait_condition(&web.certificate(), "Ready", LIMIT)?;
    let first = web.held(None)?;
    web.is_served()?;
    let left = first.not_after().unix() - now()?;
    ensure!((719 * 3600..=720 * 3600).contains(&left), "it is good for another {left} s");
    let (namespace, name) = (office.namespace.cluster().cert_manager_namespace(), web.namespace());
    let rows = issued(office, &format!("{namespace}/{name}"))?;
    ensure!(rows.len() == 1, "two replicas issued {} certificates for one order: {rows:?}", rows.len());

    revoke(office, "first", &first)?;
    let found: Value = web.kubectl.get(&web.certificate())?;
    ensure!(condition(&found, "Issuing").is_none(), "it noticed by itself: {}", found["status"]);
    renew(&web.kubectl, SECRET)?;
    web.held(Some(&first))?;
    web.is_served()?;
    web.kubectl.wait_condition(&web.certificate(), "Ready", LIMIT)?;
    let account = shared.get::<Value>(&format!("clusterissuer/{name}"))?;
    ensure!(text(&account, "/status/acme/uri").contains("/acct/"), "{}", account["status"]);
    Ok(())
}

/// By renewal information alone.
fn replaced_when_asked(office: &Office<'_>, web: &Web) -> Result<()> {
    let second = web.held(None)?;
    let window = told(web, &second)?;
    ensure!(window.0 > now()?, "it is to be renewed at once: {window:?}");

    revoke(office, "second", &second)?;
    let window = told(web, &second)?;
    ensure!(window.1 <= now()?, "it is revoked and need not be renewed: {window:?}");
    let third = web.held(Some(&second))?;
    web.is_served()?;
    web.kubectl.wait_condition(&web.certificate(), "Ready", LIMIT)?;

    // The order named what it replaces, and its successor is left alone.
    let orders = web.kubectl.list("orders.acme.cert-manager.io", "")?;
    let replacing = orders.iter().filter(|order| !text(order, "/spec/replaces").is_empty());
    ensure!(replacing.count() == 1, "{orders:?}");
    let window = told(web, &third)?;
    ensure!(window.0 > now()?, "its successor is to be renewed at once: {window:?}");
    let found: Value = web.kubectl.get(&web.certificate())?;
    ensure!(found["status"]["revision"] == 3, "{}", found["status"]);
    ensure!(condition(&found, "Issuing").is_none(), "it is replaced again: {}", found["status"]);
    Ok(())
}

/// Has cert-manager ask now and not in some hours; answers the window that it was told for this certificate, as seconds since
/// 1970.
fn told(web: &Web, certificate: &Certificate) -> Result<(i64, i64)> {
    let due = json!({"status": {"acme": {"ari": {"nextCheck": DUE}}}});
    let mut heard = None;
    wait_until("renewal information", LIMIT, || {
        patch_status(&web.kubectl, &web.certificate(), &due)?;
        let has_asked = |found: &Value| {
            let next = text(found, "/status/acme/ari/nextCheck");
            !next.is_empty() && next != DUE
        };
        let found =
            web.kubectl.wait_until(&web.certificate(), "has asked", Duration::from_secs(30), has_asked)?;
        let ari = &found["status"]["acme"]["ari"];
        // Right after its start cert-manager has no account yet, says so, and would ask again in some hours.
        if text(ari, "/lastError").is_empty() {
            let moment = |member: &str| moment(text(ari, &format!("/suggestedWindow/{member}")));
            heard = Some((moment("start")?, moment("end")?));
        }
        Ok(heard.is_some())
    })?;
    let (start, end) = heard.context("no window")?;
    let lifetime = certificate.not_before().unix()..certificate.not_after().unix();
    ensure!(lifetime.contains(&start) && start < end, "{start}..{end} of {lifetime:?}");
    Ok((start, end))
}

/// Seconds since 1970.
fn now() -> Result<i64> {
    Ok(i64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs())?)
}

/// RFC 3339 as Kubernetes writes it, as seconds since 1970.
fn moment(text: &str) -> Result<i64> {
    let time: k8s_openapi::jiff::Timestamp =
        text.parse().with_context(|| format!("{text:?} is no moment"))?;
    Ok(time.as_second())
}

/// By whoever is in the namespace of the authority.
fn revoke(office: &Office<'_>, name: &str, certificate: &Certificate) -> Result<()> {
    let pem = pki::pem::encode("CERTIFICATE", certificate.der());
    let spec = json!({"certificate": pem, "reason": "superseded"});
    let kubectl = office.namespace.kubectl();
    kubectl.apply(&resource("CertificateRevocation", name, spec).to_string())?;
    kubectl.wait_condition(&format!("certificaterevocation/{name}"), "Ready", LIMIT).map(drop)
}

/// What the server's own command says a method has issued.
fn issued(office: &Office<'_>, method: &str) -> Result<Vec<Value>> {
    let words = [
        "/usr/bin/chancery-server",
        "certificates",
        "list",
        "--data=/tmp",
        "--format=json",
        "--method",
        method,
    ];
    let answer = office.namespace.kubectl().exec("deployment/enroll", &words)?;
    ensure!(answer.status.success(), "{}", chancery_tests::program::printed(&answer));
    serde_json::from_slice(&answer.stdout).context("the list is not JSON")
}

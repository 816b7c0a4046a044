//! Every pod is replaced and replaced again while devices enrol: what was answered is known to the server afterwards, once.

use anyhow::{Result, ensure};
use chancery_tests::Workspace;
use chancery_tests::cluster::{Cluster, Helm, Namespace, database, in_namespace};
use serde_json::{Value, json};

use crate::load::{Load, Outcome};
use crate::office::{Office, READY};

/// Certificates that have to come after each change: whoever asks then is served.
const SERVED: usize = 20;

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn with_sqlite_nothing_that_was_answered_is_lost() -> Result<()> {
    in_namespace("upgrade-sqlite", |namespace| {
        let outcome = upgrade_and_roll_back(namespace, &json!({"sqlite": {"size": "256Mi"}}))?;
        println!("SQLite: {outcome}");
        // One replica cannot be in two pods: devices that come meanwhile try again.
        ensure!(!outcome.answered.is_empty(), "{outcome}");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn with_postgresql_no_device_notices() -> Result<()> {
    in_namespace("upgrade-pg", |namespace| {
        let (_postgres, storage) = database::start(namespace)?;
        let outcome = upgrade_and_roll_back(namespace, &storage)?;
        println!("PostgreSQL, two replicas: {outcome}");
        ensure!(outcome.failures.is_empty(), "{outcome}: {:?}", outcome.failures);
        Ok(())
    })
}

/// Upgrades to values that change every pod, of the operator and of servers, and goes back; under load.
fn upgrade_and_roll_back(namespace: &Namespace, storage: &Value) -> Result<Outcome> {
    let (helm, workspace) = (Helm::chancery(), Workspace::new()?);
    let before = helm.upgrade_or_install(&values(namespace.cluster(), false)?, READY)?;
    let office = Office::open(namespace, storage)?;
    let load = Load::start(&office.target(namespace, &workspace)?)?;

    let first = office.template()?;
    let after = helm.upgrade_or_install(&values(namespace.cluster(), true)?, READY)?;
    ensure!(after.revision > before.revision, "nothing was upgraded");
    let second = office.wait_replaced(first)?;
    load.wait_for_more(SERVED)?;

    helm.rollback(before, READY)?;
    office.wait_replaced(second)?;
    load.wait_for_more(SERVED)?;

    let outcome = load.stop()?;
    outcome.check(&office.inventory()?)?;
    Ok(outcome)
}

/// Another label on the operator's pods, and a Secret to pull images with that does not exist: the kubelet warns, and uses the
/// image that is there.
fn values(cluster: &Cluster, changed: bool) -> Result<Value> {
    let mut values = cluster.chancery_values()?;
    if changed {
        values["imagePullSecrets"] = json!(["of-another-revision"]);
        values["operator"]["podLabels"] = json!({"example.com/revision": "another"});
    }
    Ok(values)
}

//! The volumes that a server keeps its rows on: the cluster's default storage class, for a pod that is an ordinary user.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chancery_tests::cluster::{Namespace, ToolboxPod, Volume, condition, in_namespace};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(60);

/// As the operator asks for one: no second pod may ever write to the same SQLite database.
fn claim(namespace: &Namespace) -> Result<()> {
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"}, "spec": {
        "accessModes": ["ReadWriteOncePod"],
        "resources": {"requests": {"storage": "10Mi"}},
    }});
    namespace.kubectl().apply(&claim.to_string())
}

fn pod(namespace: &Namespace, name: &str) -> Result<ToolboxPod> {
    ToolboxPod::start(namespace, name, "default", &[Volume::claim("data", "data")])
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn what_a_pod_without_root_writes_is_there_for_the_next_one() -> Result<()> {
    in_namespace("storage", |namespace| {
        claim(namespace)?;
        let first = pod(namespace, "first")?;
        first.run(&["put", "/data/rows", "kept"])?;
        ensure!(first.run(&["put", "/elsewhere", "x"]).is_err(), "the root file system is writable");
        first.delete()?;
        let kept = pod(namespace, "second")?.run(&["cat", "/data/rows"])?;
        ensure!(kept == "kept", "{kept:?}");
        Ok(())
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_volume_for_one_pod_is_refused_to_a_second() -> Result<()> {
    in_namespace("storage-one", |namespace| {
        claim(namespace)?;
        let first = pod(namespace, "first")?;
        let second = ToolboxPod::document(namespace, "second", "default", &[Volume::claim("data", "data")]);
        let kubectl = namespace.kubectl();
        kubectl.apply(&second.to_string())?;
        let waiting =
            kubectl.wait_condition_is("pod/second", "PodScheduled", "False", Some("Unschedulable"), LIMIT)?;
        let condition = condition(&waiting, "PodScheduled").context("no condition")?;
        let message = condition.get("message").and_then(Value::as_str).unwrap_or_default();
        ensure!(message.contains("ReadWriteOncePod"), "{message}");
        first.delete()?;
        kubectl.wait_condition("pod/second", "Ready", LIMIT).map(drop)
    })
}

#[test]
#[ignore = "needs a cluster: cargo xtask cluster test"]
fn a_volume_goes_with_its_claim() -> Result<()> {
    in_namespace("storage-gone", |namespace| {
        claim(namespace)?;
        let pod = pod(namespace, "first")?;
        let kubectl = namespace.kubectl();
        let claim: Value = kubectl.get("persistentvolumeclaim/data")?;
        let volume = claim.pointer("/spec/volumeName").and_then(Value::as_str).context("no volume")?;
        let volume = format!("persistentvolume/{volume}");
        ensure!(kubectl.find(&volume)?.is_some(), "there is no {volume}");
        pod.delete()?;
        kubectl.delete("persistentvolumeclaim/data", LIMIT)?;
        let limit = format!("--timeout={}s", LIMIT.as_secs());
        kubectl.succeed(&["wait", "--for=delete", &volume, &limit], None).map(drop)
    })
}

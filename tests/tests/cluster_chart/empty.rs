//! A cluster without anything of Chancery.

use std::time::Duration;

use anyhow::{Result, ensure};
use chancery_tests::cluster::{Cluster, Helm, Kubectl, dump};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(180);

/// The namespaces that the chart and `examples/cluster` make.
const OURS: [&str; 4] = ["chancery-system", "chancery-server", "enrollment", "shop"];

/// Runs a test on a cluster that holds nothing of Chancery, and removes what it left. If it fails, our namespaces are printed.
pub(crate) fn from_empty(test: impl FnOnce(&Cluster) -> Result<()>) -> Result<()> {
    let cluster = Cluster::current()?;
    empty(&cluster)?;
    let outcome = test(&cluster);
    if outcome.is_err() {
        for namespace in OURS {
            dump(&cluster.kubectl().in_namespace(namespace), namespace);
        }
    }
    let emptied = empty(&cluster);
    outcome.and(emptied)
}

/// Removes Chancery, its namespaces and its resource definitions.
fn empty(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.kubectl();
    let definitions = definitions(&kubectl)?;
    for definition in &definitions {
        refuse_to_remove_what_is_not_ours(&kubectl, definition)?;
    }
    Helm::chancery().uninstall(LIMIT)?;
    for definition in &definitions {
        kubectl.delete(&format!("crd/{definition}"), LIMIT)?;
    }
    for namespace in OURS {
        kubectl.delete(&format!("namespace/{namespace}"), LIMIT)?;
    }
    Ok(())
}

/// The names of our resource definitions that the cluster has.
pub(crate) fn definitions(kubectl: &Kubectl) -> Result<Vec<String>> {
    let all = kubectl.list("customresourcedefinitions", "")?;
    let ours = all.iter().filter(|definition| definition["spec"]["group"] == "chancery.dev");
    Ok(ours.filter_map(|definition| definition["metadata"]["name"].as_str().map(ToOwned::to_owned)).collect())
}

fn refuse_to_remove_what_is_not_ours(kubectl: &Kubectl, definition: &str) -> Result<()> {
    let listed = kubectl.succeed(&["get", definition, "--all-namespaces", "--output=json"], None)?;
    let listed: Value = serde_json::from_str(&listed)?;
    for object in listed["items"].as_array().into_iter().flatten() {
        // A cluster-scoped one is not asked: only a few tests make them, and none of a user's works without a server.
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or(OURS[0]);
        ensure!(
            OURS.contains(&namespace) || namespace.starts_with("test-"),
            "{definition} {namespace}/{} was not made by a test: this cluster is in use",
            object["metadata"]["name"]
        );
    }
    Ok(())
}

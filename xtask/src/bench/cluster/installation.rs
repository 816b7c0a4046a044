//! From nothing to everything Ready, as a person would do it.

use std::time::{Duration, Instant};

use anyhow::Result;
use chancery_tests::cluster::{Cluster, Helm, Kubectl};
use serde::Serialize;

use crate::shell;

const LIMIT: Duration = Duration::from_secs(300);

/// What `examples/cluster` makes, but for the namespaces.
const EXAMPLE: [(&str, &str); 10] = [
    ("enrollment", "certificateauthority/root"),
    ("enrollment", "certificateauthority/issuing"),
    ("enrollment", "enrollmentserver/enroll"),
    ("enrollment", "certificateprofile/device"),
    ("enrollment", "certificateprofile/service"),
    ("enrollment", "enrollmentmethod/devices"),
    ("enrollment", "enrollmentcredential/factory"),
    ("enrollment", "chanceryclusterissuer/services"),
    ("shop", "chanceryissuer/services"),
    ("shop", "certificate/web"),
];

/// Seconds, each from the end of the one before.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Installation {
    /// `helm install --wait`: definitions, the operator.
    pub(super) helm_seconds: f64,
    /// Until the chart's own server, with its two authorities, is Ready.
    pub(super) server_seconds: f64,
    /// From `kubectl apply` until all of `examples/cluster` is Ready: another server, two authorities, and a certificate of
    /// cert-manager.
    pub(super) example_seconds: f64,
}

/// Installs the chart and the example. Nothing where Chancery is installed already: then it is brought to the images that were
/// loaded, and nothing is measured.
pub(super) fn measure(cluster: &Cluster) -> Result<Option<Installation>> {
    let (kubectl, helm) = (cluster.kubectl(), Helm::chancery());
    let definitions = kubectl.list("customresourcedefinitions", "")?;
    let is_ours = |definition: &serde_json::Value| {
        definition.pointer("/spec/group").is_some_and(|group| group == "chancery.dev")
    };
    let is_new = !definitions.iter().any(is_ours);
    if !is_new {
        eprintln!("Chancery is installed already: how long that takes is not measured");
    }

    let begun = Instant::now();
    helm.upgrade_or_install(&Helm::image_values(cluster)?, LIMIT)?;
    let installed = Instant::now();
    ready(&kubectl, &[("chancery-server", "enrollmentserver/server")])?;
    let served = Instant::now();
    kubectl.apply_path(&shell::repository().join("examples/cluster"))?;
    ready(&kubectl, &EXAMPLE)?;
    let shown = Instant::now();
    if !is_new {
        let enroll = kubectl.in_namespace("enrollment");
        enroll.wait_rollout("statefulset/enroll", LIMIT)?;
        return Ok(None);
    }
    let seconds = |from: Instant, to: Instant| to.duration_since(from).as_secs_f64();
    let installation = Installation {
        helm_seconds: seconds(begun, installed),
        server_seconds: seconds(installed, served),
        example_seconds: seconds(served, shown),
    };
    eprintln!("installation: {installation:?}");
    Ok(Some(installation))
}

fn ready(kubectl: &Kubectl, objects: &[(&str, &str)]) -> Result<()> {
    for (namespace, object) in objects {
        kubectl.in_namespace(namespace).wait_condition(object, "Ready", LIMIT)?;
    }
    Ok(())
}

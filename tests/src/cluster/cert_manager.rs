//! cert-manager, as far as tests have to do something with it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Cluster, Kubectl, office::text};
use crate::{program, server};

/// How long its controller may take to be another one.
const LIMIT: Duration = Duration::from_secs(120);

/// The argument of the controller that lists feature gates.
const GATES: &str = "--feature-gates=";

/// Has a Certificate issued again now, whether that is due or not: what `cmctl renew` does.
pub fn renew(kubectl: &Kubectl, certificate: &str) -> Result<()> {
    let object = format!("certificate/{certificate}");
    server::wait_until(&format!("{object} to be marked"), LIMIT, || {
        let found: Value = kubectl.get(&object)?;
        let mut conditions: Vec<Value> = super::conditions(&found).cloned().collect();
        conditions.retain(|condition| text(condition, "/type") != "Issuing");
        conditions.push(json!({"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
            "message": "a test wants another one", "lastTransitionTime": next_second()?}));
        // Not over what a controller has written in the meantime.
        let version = text(&found, "/metadata/resourceVersion");
        let patch = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": conditions}});
        Ok(patch_status(kubectl, &object, &patch).is_ok())
    })
}

/// cert-manager takes a request that failed in this second or later for what has become of the new one.
fn next_second() -> Result<String> {
    let printed = program::succeed("date", &["--utc", "--date=1 second", "+%FT%TZ"], None)?;
    Ok(String::from_utf8(printed)?.trim().to_owned())
}

/// A JSON merge patch (RFC 7386) of an object's status.
pub fn patch_status(kubectl: &Kubectl, object: &str, patch: &Value) -> Result<()> {
    let words = ["patch", object, "--subresource=status", "--type=merge", "--patch", &patch.to_string()];
    kubectl.succeed(&words, None).map(drop)
}

impl Cluster {
    /// The namespace where cert-manager looks for the Secrets of its ClusterIssuers: its own.
    pub fn cert_manager_namespace(&self) -> &str {
        let own = self.cert_manager.as_deref().and_then(|name| name.split_once('/'));
        own.map_or("cert-manager", |(namespace, _)| namespace)
    }

    /// Runs a test while cert-manager's controller has a feature on that is off by default. An error where the cluster's
    /// cert-manager is not ours to change.
    pub fn with_feature_of_cert_manager(&self, gate: &str, test: impl FnOnce() -> Result<()>) -> Result<()> {
        let (namespace, name) = self
            .cert_manager
            .as_deref()
            .and_then(|name| name.split_once('/'))
            .context("CHANCERY_CLUSTER_CERT_MANAGER does not say which Deployment tests may change")?;
        let kubectl = self.kubectl().in_namespace(namespace);
        let deployment = format!("deployment/{name}");
        let before = arguments(&kubectl.get(&deployment)?)?;
        let outcome = run_with(&kubectl, &deployment, &with_gate(&before, gate)).and_then(|()| test());
        // Whatever became of the test; what happened first is what is told.
        let restored = run_with(&kubectl, &deployment, &before);
        outcome.and(restored)
    }
}

fn arguments(deployment: &Value) -> Result<Vec<String>> {
    let found = deployment.pointer("/spec/template/spec/containers/0/args").cloned();
    let found: Vec<String> = serde_json::from_value(found.context("cert-manager runs without arguments")?)?;
    ensure!(!found.is_empty(), "cert-manager runs without arguments");
    Ok(found)
}

fn with_gate(arguments: &[String], gate: &str) -> Vec<String> {
    let (gates, mut others): (Vec<_>, Vec<_>) =
        arguments.iter().cloned().partition(|argument| argument.starts_with(GATES));
    let given = gates.iter().filter_map(|argument| argument.strip_prefix(GATES)).map(str::to_owned);
    let all: Vec<String> = given.chain([format!("{gate}=true")]).collect();
    others.push(format!("{GATES}{}", all.join(",")));
    others
}

/// Returns when the controller runs with these arguments.
fn run_with(kubectl: &Kubectl, deployment: &str, arguments: &[String]) -> Result<()> {
    let patch =
        json!([{"op": "replace", "path": "/spec/template/spec/containers/0/args", "value": arguments}]);
    kubectl.succeed(&["patch", deployment, "--type=json", "--patch", &patch.to_string()], None)?;
    kubectl.wait_rollout(deployment, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_is_added_to_those_that_are_there() {
        let before = ["--v=2", "--feature-gates=A=true,B=false"].map(str::to_owned);
        assert_eq!(with_gate(&before, "C"), ["--v=2", "--feature-gates=A=true,B=false,C=true"]);
        assert_eq!(with_gate(&before[..1], "C"), ["--v=2", "--feature-gates=C=true"]);
    }
}

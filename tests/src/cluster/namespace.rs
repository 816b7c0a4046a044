//! A namespace for one test.

use anyhow::{Context, Result};
use serde_json::json;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::{Cluster, Kubectl, dump};

/// A namespace that holds what one test makes. Whatever runs in it has to fit the strictest of Kubernetes' pod security
/// standards, as Chancery's own pods do.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cluster: Cluster,
}

/// Runs a test in a namespace of its own. If the test fails, everything in the namespace is printed; then it is deleted.
/// The test does not wait for that, but the runner does: a namespace that does not go away fails the run.
/// `CHANCERY_KEEP=1` keeps it.
pub fn in_namespace(purpose: &str, test: impl FnOnce(&Namespace) -> Result<()>) -> Result<()> {
    let namespace = Namespace::create(Cluster::current()?, purpose)?;
    let outcome = catch_unwind(AssertUnwindSafe(|| test(&namespace)));
    if !matches!(outcome, Ok(Ok(()))) {
        dump(&namespace.kubectl(), &namespace.name);
    }
    let deleted = namespace.delete();
    match outcome {
        Ok(result) => result.and(deleted),
        Err(panic) => resume_unwind(panic),
    }
}

impl Namespace {
    /// Makes one called `test-PURPOSE-` and something random. The caller deletes it: [`in_namespace`] does.
    pub fn create(cluster: Cluster, purpose: &str) -> Result<Self> {
        let document = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "generateName": format!("test-{purpose}-"),
            "labels": {
                "app.kubernetes.io/managed-by": "chancery-tests",
                "chancery.dev/test-run": cluster.run,
                "pod-security.kubernetes.io/enforce": "restricted",
            },
        }});
        let input = document.to_string();
        let arguments = ["create", "--filename=-", "--output=jsonpath={.metadata.name}"];
        let name = cluster.kubectl().succeed(&arguments, Some(input.as_bytes()))?;
        Ok(Self { name, cluster })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The cluster it is in.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// kubectl in this namespace.
    pub fn kubectl(&self) -> Kubectl {
        self.cluster.kubectl().in_namespace(&self.name)
    }

    /// kubectl in this namespace as one of its service accounts.
    pub fn service_account(&self, name: &str) -> Kubectl {
        self.kubectl().impersonate(&format!("system:serviceaccount:{}:{name}", self.name))
    }

    /// Has it deleted with all it holds, and returns at once.
    pub fn delete(&self) -> Result<()> {
        if std::env::var_os("CHANCERY_KEEP").is_some() {
            return Ok(());
        }
        let arguments = ["delete", "namespace", &self.name, "--ignore-not-found", "--wait=false"];
        let deleted = self.cluster.kubectl().succeed(&arguments, None);
        deleted.map(drop).with_context(|| format!("namespace {} cannot be deleted", self.name))
    }
}

//! A namespace for one test.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::{Cluster, Kubectl, dump};

/// A namespace that does not go away is an error: something holds what it will never release.
const DELETE_LIMIT: Duration = Duration::from_secs(120);

/// A namespace that holds what one test makes. Whatever runs in it has to fit the strictest of Kubernetes' pod security
/// standards, as Chancery's own pods do.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    cluster: Cluster,
}

/// Runs a test in a namespace of its own. If the test fails, everything in the namespace is printed; then it is deleted,
/// and has to be gone within two minutes. `CHANCERY_KEEP=1` keeps it.
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

    /// Deletes it with all it holds, and returns when it is gone.
    pub fn delete(&self) -> Result<()> {
        if std::env::var_os("CHANCERY_KEEP").is_some() {
            return Ok(());
        }
        let deleted = self.cluster.kubectl().delete(&format!("namespace/{}", self.name), DELETE_LIMIT);
        if deleted.is_err() {
            dump(&self.kubectl(), &self.name);
        }
        deleted.with_context(|| format!("namespace {} does not go away", self.name))
    }
}

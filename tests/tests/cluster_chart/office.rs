//! A server with everything that a device needs to enrol, in a namespace of its own.

use anyhow::{Context, Result};
use chancery_tests::Workspace;
use chancery_tests::cluster::office;
pub(crate) use chancery_tests::cluster::office::READY;
use chancery_tests::cluster::{Kubectl, Namespace, Route};
use chancery_tests::est::Target;
use serde_json::{Value, json};

/// An EnrollmentServer `enroll` of one namespace.
#[derive(Debug)]
pub(crate) struct Office {
    kubectl: Kubectl,
    namespace: String,
    workload: &'static str,
}

impl Office {
    /// Makes it, with rows in SQLite or in the database of the Secret `database`, and returns when all of it is ready.
    pub(crate) fn open(namespace: &Namespace, storage: &Value) -> Result<Self> {
        let workload =
            if storage.get("postgres").is_some() { "deployment/enroll" } else { "statefulset/enroll" };
        let office = Self { kubectl: namespace.kubectl(), namespace: namespace.name().to_owned(), workload };
        office::apply_all(&office.kubectl, &resources(storage))?;
        office.wait_ready()?;
        Ok(office)
    }

    /// Returns when every replica is of the newest template and everything is served.
    pub(crate) fn wait_ready(&self) -> Result<()> {
        let made = |found: &Value| found["metadata"]["uid"].is_string();
        self.kubectl.wait_until(self.workload, "exists", READY, made)?;
        self.kubectl.wait_rollout(self.workload, READY)?;
        for object in ["enrollmentserver/enroll", "enrollmentmethod/devices", "enrollmentcredential/factory"]
        {
            self.kubectl.wait_condition(object, "Ready", READY)?;
        }
        Ok(())
    }

    /// A number that grows when the pods are to be replaced.
    pub(crate) fn template(&self) -> Result<i64> {
        let found: Value = self.kubectl.get(self.workload)?;
        found["metadata"]["generation"].as_i64().context("no generation")
    }

    /// Returns when the operator has another template than `before`, and all pods are of it.
    pub(crate) fn wait_replaced(&self, before: i64) -> Result<i64> {
        let renewed =
            |found: &Value| found["metadata"]["generation"].as_i64().is_some_and(|now| now > before);
        self.kubectl.wait_until(self.workload, "has a new template", READY, renewed)?;
        self.wait_ready()?;
        self.template()
    }

    /// What a device is told: the address of the load balancer, the URL of the method, the password, the root.
    pub(crate) fn target(&self, namespace: &Namespace, workspace: &Workspace) -> Result<Target> {
        let route = self.route(namespace)?;
        let (url, password) = (self.url("simpleenroll"), self.password()?);
        Target::at(route.address(), &url, &workspace.write("root.pem", self.root()?)?, "factory", &password)
    }

    pub(crate) fn route(&self, namespace: &Namespace) -> Result<Route> {
        Route::through_load_balancer(namespace.cluster(), &self.kubectl, "enroll", 443, READY)
    }

    pub(crate) fn url(&self, operation: &str) -> String {
        format!("https://enroll.{}.svc/.well-known/est/devices/{operation}", self.namespace)
    }

    pub(crate) fn password(&self) -> Result<String> {
        office::passphrase(&self.kubectl)
    }

    /// The root's certificate, PEM.
    pub(crate) fn root(&self) -> Result<String> {
        let root: Value = self.kubectl.get("certificateauthority/root")?;
        root["status"]["certificate"].as_str().map(ToOwned::to_owned).context("the root has no certificate")
    }

    /// All certificates that the server has issued, as JSON.
    pub(crate) fn inventory(&self) -> Result<String> {
        let pods = self.kubectl.list("pods", "chancery.dev/server=enroll")?;
        let running = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        let pod = running.context("no pod runs")?["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        // With PostgreSQL a server has no folder of its own; the program finds the database in its environment.
        let data = if self.workload.starts_with("deployment") { "/tmp" } else { "/var/lib/chancery" };
        let words = ["/usr/bin/chancery-server", "certificates", "list", "--data", data, "--format", "json"];
        let answer = self.kubectl.exec(&format!("pod/{pod}"), &words)?;
        anyhow::ensure!(answer.status.success(), "{}", chancery_tests::program::printed(&answer));
        Ok(String::from_utf8(answer.stdout)?)
    }
}

/// As others have it, below a short label and behind a load balancer.
fn resources(storage: &Value) -> Vec<Value> {
    office::office(&json!({
        "labels": [{"label": "devices", "methodRef": {"name": "devices"}}],
        "service": {"type": "LoadBalancer"},
        "storage": storage,
    }))
}

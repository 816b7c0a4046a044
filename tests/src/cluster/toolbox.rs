//! A pod for a test to act in: it serves, fetches, reads and writes.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Kubectl, Namespace};
use crate::program;

/// How long a pod may take to run.
const LIMIT: Duration = Duration::from_secs(90);

/// What is mounted into the pod, at `/NAME`.
#[derive(Clone, Debug)]
pub struct Volume {
    name: String,
    source: Value,
}

/// A running pod. It is gone with its namespace.
#[derive(Debug)]
pub struct ToolboxPod {
    object: String,
    kubectl: Kubectl,
}

impl Volume {
    /// Any source of a volume, as a pod has it: `{"secret": {"secretName": "x"}}`.
    pub fn new(name: &str, source: Value) -> Self {
        Self { name: name.to_owned(), source }
    }

    /// The volume of a claim.
    pub fn claim(name: &str, claim: &str) -> Self {
        Self::new(name, json!({"persistentVolumeClaim": {"claimName": claim}}))
    }

    fn mount(&self) -> Value {
        json!({"name": self.name, "mountPath": format!("/{}", self.name)})
    }

    fn volume(&self) -> Value {
        let mut volume = self.source.clone();
        if let Value::Object(members) = &mut volume {
            members.insert("name".to_owned(), Value::String(self.name.clone()));
        }
        volume
    }
}

impl ToolboxPod {
    /// Starts one as an ordinary user, under a service account of the namespace, and returns when it runs.
    pub fn start(namespace: &Namespace, name: &str, account: &str, volumes: &[Volume]) -> Result<Self> {
        let pod = Self { object: format!("pod/{name}"), kubectl: namespace.kubectl() };
        pod.kubectl.apply(&Self::document(namespace, name, account, volumes).to_string())?;
        pod.kubectl.wait_condition(&pod.object, "Ready", LIMIT)?;
        Ok(pod)
    }

    /// Its definition, for tests that expect it not to start.
    pub fn document(namespace: &Namespace, name: &str, account: &str, volumes: &[Volume]) -> Value {
        let mounts: Vec<Value> = volumes.iter().map(Volume::mount).collect();
        let volumes: Vec<Value> = volumes.iter().map(Volume::volume).collect();
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 1,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532, "fsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "toolbox",
                "image": namespace.cluster().toolbox_image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["serve"],
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
                "volumeMounts": mounts,
            }],
            "volumes": volumes,
        }})
    }

    /// `pod/NAME`.
    pub fn object(&self) -> &str {
        &self.object
    }

    /// Runs `/toolbox` in it and answers what it printed; a status other than 0 is an error.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut words = vec!["/toolbox"];
        words.extend(arguments);
        let answer = self.kubectl.exec(&self.object, &words)?;
        if !answer.status.success() {
            bail!("`toolbox {}` failed: {}", arguments.join(" "), program::printed(&answer));
        }
        Ok(String::from_utf8_lossy(&answer.stdout).into_owned())
    }

    /// Deletes the pod and returns when it is gone.
    pub fn delete(self) -> Result<()> {
        self.kubectl.delete(&self.object, LIMIT)
    }
}

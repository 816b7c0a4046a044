//! Helm, and the sets of values that are rendered.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use chancery_tests::program;
use serde::Deserialize;
use serde_json::{Value, json};

/// A set of values.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) values: Value,
}

impl Case {
    pub(crate) fn all() -> Vec<Self> {
        vec![
            Self { name: "defaults", values: json!({}) },
            Self { name: "namespaced", values: namespaced() },
            Self { name: "digests", values: digests() },
            Self { name: "everything", values: everything() },
            Self { name: "nothing", values: nothing() },
        ]
    }

    pub(crate) fn named(name: &str) -> Result<Self> {
        Self::all().into_iter().find(|case| case.name == name).with_context(|| format!("no case {name}"))
    }

    /// The YAML of all objects, as an upgrade makes them: hooks too.
    pub(crate) fn render(&self) -> Result<String> {
        template(&self.values)
    }

    /// The same, read.
    pub(crate) fn documents(&self) -> Result<Vec<Value>> {
        let text = self.render()?;
        let documents = serde_yaml_ng::Deserializer::from_str(&text).map(Value::deserialize);
        let documents: Vec<Value> = documents.collect::<Result<_, _>>()?;
        Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
    }

    /// What Helm would print after installing it.
    pub(crate) fn install_dry(&self) -> Result<String> {
        let chart = chart();
        let words = [
            "install",
            RELEASE,
            chart.as_str(),
            "--namespace",
            NAMESPACE,
            "--dry-run=client",
            "--values",
            "-",
        ];
        let printed = program::succeed("helm", &words, Some(self.values.to_string().as_bytes()))?;
        Ok(String::from_utf8(printed)?)
    }
}

const RELEASE: &str = "chancery";
const NAMESPACE: &str = "chancery-system";

/// Renders the chart; an error holds what Helm said.
pub(crate) fn template(values: &Value) -> Result<String> {
    let chart = chart();
    let words = [
        "template",
        RELEASE,
        chart.as_str(),
        "--namespace",
        NAMESPACE,
        "--is-upgrade",
        "--kube-version",
        "1.35.0",
        "--values",
        "-",
    ];
    let printed = program::succeed("helm", &words, Some(values.to_string().as_bytes()))?;
    Ok(String::from_utf8(printed)?)
}

/// The folder of the chart.
pub(crate) fn chart() -> String {
    repository().join("charts/chancery").display().to_string()
}

pub(crate) fn dashboard() -> Result<String> {
    read("charts/chancery/dashboards/chancery.json")
}

pub(crate) fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(repository().join(path)).with_context(|| path.to_owned())
}

/// Compares a file of the repository with what it should be, or writes it where `CHANCERY_GENERATE` is set.
pub(crate) fn written(path: &str, text: &str) -> Result<()> {
    let file = repository().join(path);
    if std::env::var_os("CHANCERY_GENERATE").is_some() {
        std::fs::write(&file, text).with_context(|| path.to_owned())?;
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    let line = found.lines().zip(text.lines()).position(|(found, text)| found != text);
    let line = line.unwrap_or_else(|| found.lines().count().min(text.lines().count()));
    ensure!(
        found == text,
        "{path} is stale from line {} on ({:?}): CHANCERY_GENERATE=1 cargo test -p chancery-tests --test chart_rendering",
        line + 1,
        text.lines().nth(line)
    );
    Ok(())
}

/// `kind` of a document.
pub(crate) fn kind(document: &Value) -> String {
    document["kind"].as_str().unwrap_or_default().to_owned()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

fn namespaced() -> Value {
    json!({"operator": {"watchNamespaces": ["team-a", "chancery-server"]}})
}

fn digests() -> Value {
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    json!({
        "imageRegistry": "registry.example.com/mirror/",
        "imagePullSecrets": ["registry", "mirror"],
        "operator": {"image": {"digest": digest("1")}},
        "server": {"image": {"digest": digest("2"), "pullPolicy": "Always"}},
    })
}

fn everything() -> Value {
    json!({
        "commonLabels": {"team": "pki"},
        "commonAnnotations": {"example.com/contact": "pki@example.com"},
        "fullnameOverride": "office",
        "operator": {
            "replicas": 3,
            "logLevel": "info,chancery_operator=debug",
            "resources": {"limits": {"cpu": 1, "memory": "1Gi"}},
            "podAnnotations": {"example.com/log": "json"},
            "podLabels": {"example.com/tier": "control"},
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "node-role.kubernetes.io/control-plane", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}]},
            ]}}},
            "topologySpreadConstraints": [{
                "maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app.kubernetes.io/component": "operator"}},
            }],
            "priorityClassName": "system-cluster-critical",
            "extraArgs": ["--cluster-domain=example.local"],
            "extraEnv": [{"name": "TZ", "value": "UTC"}],
            "podDisruptionBudget": {"maxUnavailable": "50%"},
            "serviceAccount": {"name": "office-operator", "annotations": {"example.com/role": "pki"}},
        },
        "defaultServer": {
            "name": "enroll",
            "namespace": "enrollment",
            "authorities": {
                "root": {"commonName": "Example Root", "organization": "Example", "validity": "20y"},
                "issuing": {"commonName": "Example Issuing"},
            },
            "spec": {
                "publicBaseUrl": "http://pki.example.com",
                "tls": {"dnsNames": ["enroll.example.com"]},
                "service": {"type": "LoadBalancer"},
            },
        },
        "metrics": {
            "service": {"port": 9090},
            "serviceMonitor": {"enabled": true, "interval": "15s", "labels": {"release": "prometheus"}},
            "prometheusRule": {"enabled": true, "labels": {"release": "prometheus"}, "authorityExpiryDays": 90},
            "dashboard": {"enabled": true},
        },
        "extraObjects": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-extra"}},
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: extra-{{ .Release.Namespace }}\n",
        ],
    })
}

fn nothing() -> Value {
    json!({
        "crds": {"upgrade": false},
        "operator": {
            "replicas": 1,
            "serviceAccount": {"create": false, "name": "somebody"},
            "networkPolicy": {"enabled": false},
            "podDisruptionBudget": {"enabled": false},
        },
        "defaultServer": {"enabled": false},
        "certManager": {"approval": {"enabled": false}},
        "rbac": {"userRoles": false},
        "metrics": {"service": {"enabled": false}},
    })
}

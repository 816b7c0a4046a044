//! What a pod used: CPU time and memory of its process, and what it counted itself.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use chancery_tests::cluster::Kubectl;
use serde_json::Value;

use super::watch::text;
use crate::bench::machine;

/// Port of metrics, of operators as of servers.
const METRICS: &str = "8081";

/// A pod of one process.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    kubectl: Kubectl,
    /// The process, where it runs on this machine and may be looked at.
    process: Option<u32>,
}

impl Pod {
    /// The pods that a selector chooses.
    pub(super) fn all(kubectl: &Kubectl, selector: &str) -> Result<Vec<Self>> {
        let pods = kubectl.list("pods", selector)?;
        let pod = |pod: &Value| Self {
            name: text(pod, "/metadata/name").to_owned(),
            kubectl: kubectl.clone(),
            process: process(text(pod, "/metadata/uid")),
        };
        Ok(pods.iter().map(pod).collect())
    }

    /// The operator that acts; the others wait.
    pub(super) fn leader() -> Result<Self> {
        let kubectl = Kubectl::default().in_namespace("chancery-system");
        for pod in Self::all(&kubectl, "app.kubernetes.io/name=chancery")? {
            // The pods of the chart's own jobs have no metrics.
            let metrics = pod.metrics().unwrap_or_default();
            if value(&metrics, "chancery_operator_leader", &[]) == 1.0 {
                return Ok(pod);
            }
        }
        bail!("no replica of the operator leads")
    }

    /// CPU time so far. None where the process cannot be looked at.
    pub(super) fn cpu(&self) -> Result<Option<Duration>> {
        self.process.map(machine::cpu).transpose()
    }

    /// The most memory since [`Pod::forget_peak`], in MiB.
    pub(super) fn peak_mib(&self) -> Result<Option<f64>> {
        self.process.map(machine::peak_mib).transpose()
    }

    pub(super) fn forget_peak(&self) -> Result<()> {
        self.process.map(machine::reset_peak).transpose().map(drop)
    }

    /// What it counts, as OpenMetrics.
    pub(super) fn metrics(&self) -> Result<String> {
        let namespace = self
            .kubectl
            .succeed(&["get", "pod", &self.name, "--output=jsonpath={.metadata.namespace}"], None)?;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{}:{METRICS}/proxy/metrics", self.name);
        self.kubectl.succeed(&["get", "--raw", &path], None)
    }

    /// Its calls of the Kubernetes API so far, by method.
    pub(super) fn api_calls(&self) -> Result<BTreeMap<String, f64>> {
        let mut calls = BTreeMap::new();
        for (labels, count) in samples(&self.metrics()?, "chancery_operator_api_calls_total") {
            let method = label(labels, "method").context("a call of no method")?;
            *calls.entry(method.to_owned()).or_default() += count;
        }
        Ok(calls)
    }
}

/// The sum of all samples of a metric that have these labels.
pub(super) fn value(metrics: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let has_all = |found: &str| labels.iter().all(|(name, value)| label(found, name) == Some(*value));
    samples(metrics, name).filter(|(found, _)| has_all(found)).map(|(_, value)| value).sum()
}

/// Labels, as they stand between the braces, and value.
fn samples<'a>(metrics: &'a str, name: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
    metrics.lines().filter_map(move |line| {
        let rest = line.strip_prefix(name)?;
        let (labels, rest) = match rest.strip_prefix('{') {
            Some(rest) => rest.rsplit_once('}')?,
            None => ("", rest),
        };
        Some((labels, rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()?))
    })
}

/// Labels whose values hold neither quotes nor commas.
fn label<'a>(labels: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"'))
}

/// Our process in the control group of a pod, as kubelets of both drivers name it.
fn process(uid: &str) -> Option<u32> {
    let names = [format!("pod{uid}"), format!("pod{}", uid.replace('-', "_"))];
    let processes =
        fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes.into_iter().find(|process: &u32| {
        let read = |file: &str| fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
        let group = read("cgroup");
        names.iter().any(|name| group.contains(name)) && read("comm").starts_with("chancery")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "\
# TYPE chancery_operator_leader gauge
chancery_operator_leader 1
chancery_operator_api_calls_total{method=\"PATCH\",outcome=\"Ok\"} 20
chancery_operator_api_calls_total{method=\"PATCH\",outcome=\"Conflict\"} 2
chancery_operator_api_calls_total{method=\"POST\",outcome=\"Ok\"} 7
";

    #[test]
    fn samples_are_summed_over_labels_that_are_not_asked_for() {
        let calls = |labels: &[(&str, &str)]| value(METRICS, "chancery_operator_api_calls_total", labels);
        assert_eq!(calls(&[("method", "PATCH")]), 22.0);
        assert_eq!(calls(&[("outcome", "Ok")]), 27.0);
        assert_eq!(calls(&[("outcome", "NotFound")]), 0.0);
        assert_eq!(value(METRICS, "chancery_operator_leader", &[]), 1.0);
    }

    #[test]
    fn a_metric_is_not_taken_for_another_that_begins_alike() {
        assert_eq!(value(METRICS, "chancery_operator_lead", &[]), 0.0);
    }
}

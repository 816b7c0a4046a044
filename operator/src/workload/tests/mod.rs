//! Renderings beside YAML files, what a pod may not do, what of a storage can change, and applying to an API server in memory.

mod apply;
mod golden;
mod rules;
mod state;
mod storage;

use crds::EnrollmentServer;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::core::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Inputs, ProblemKind, Rendering, Standing, render};
use crate::world::OwnedKind;

/// A server with SQLite and every default.
const PLAIN: &str = "tls: {authorityRef: {name: issuing}}";

/// A server with PostgreSQL that asks for everything that can be asked for.
const FULL: &str = "
tls: {authorityRef: {name: issuing}, dnsNames: [enroll.acme.com]}
storage:
  postgres: {secretRef: {name: database, key: uri}}
replicas: 3
service:
  type: LoadBalancer
  loadBalancerClass: acme.com/internal
  loadBalancerSourceRanges: [192.0.2.0/24]
  annotations: {acme.com/pool: devices}
  ports: {device: 8443, public: 8080}
resources:
  requests: {cpu: 500m}
  limits: {memory: 512Mi}
podTemplate:
  labels: {team: pki, chancery.dev/server: other}
  annotations: {acme.com/scrape: skip}
  nodeSelector: {pool: pki}
  tolerations: [{key: pki, operator: Exists}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms:
          - matchExpressions: [{key: arch, operator: In, values: [amd64]}]
  priorityClassName: pki
networkPolicy:
  clients: [{ipBlock: {cidr: 192.0.2.0/24}}]
  metrics: [{namespaceSelector: {matchLabels: {name: monitoring}}}]
podDisruptionBudget: {maxUnavailable: 2}
";

fn server(spec: &str) -> EnrollmentServer {
    named("devices", spec)
}

fn named(name: &str, spec: &str) -> EnrollmentServer {
    let mut server = EnrollmentServer::new(name, serde_yaml_ng::from_str(spec).unwrap());
    server.metadata.namespace = Some("pki".to_owned());
    server.metadata.uid = Some("5a1ab1e0-0000-4000-8000-000000000001".to_owned());
    server
}

fn inputs() -> Inputs {
    Inputs {
        image: "registry.example/chancery-server:0.1.0".to_owned(),
        image_pull_policy: Some("IfNotPresent".to_owned()),
        image_pull_secrets: vec!["registry".to_owned()],
        operator_namespace: "chancery-system".to_owned(),
        manifest_key: "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE".to_owned(),
        database_version: Some("4711".to_owned()),
        resolver_ports: std::collections::BTreeSet::new(),
    }
}

fn rendered(spec: &str, standing: &Standing) -> Rendering {
    render(&server(spec), &inputs(), standing).unwrap()
}

/// The objects of a kind, by name.
fn all<K: DeserializeOwned>(rendering: &Rendering, kind: OwnedKind) -> Vec<K> {
    let of_kind = rendering.objects.iter().filter(|object| object.kind() == kind);
    of_kind.map(|object| serde_json::from_value(object.value().clone()).unwrap()).collect()
}

fn only<K: DeserializeOwned>(rendering: &Rendering, kind: OwnedKind) -> K {
    let mut found = all(rendering, kind);
    assert_eq!(found.len(), 1, "{kind:?}");
    found.remove(0)
}

fn pod_template(rendering: &Rendering) -> PodTemplateSpec {
    let owners = [OwnedKind::StatefulSet, OwnedKind::Deployment];
    let owner = owners.into_iter().find_map(|kind| all::<DynamicObject>(rendering, kind).pop()).unwrap();
    serde_json::from_value::<PodTemplateSpec>(owner.data["spec"]["template"].clone()).unwrap()
}

fn yaml(documents: &[&Value]) -> String {
    let text = documents.iter().map(|document| serde_yaml_ng::to_string(document).unwrap());
    text.collect::<Vec<_>>().join("---\n")
}

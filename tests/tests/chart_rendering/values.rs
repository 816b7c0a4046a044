//! `values.schema.json` refuses what the chart would ignore or render wrongly.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::render::template;

/// Values and what Helm names when it refuses them.
fn refused() -> Vec<(Value, &'static str)> {
    vec![
        (json!({"replicas": 2}), "replicas"),
        (json!({"operator": {"replica": 2}}), "replica"),
        (json!({"operator": {"replicas": -1}}), "/operator/replicas"),
        (json!({"operator": {"replicas": "two"}}), "/operator/replicas"),
        (json!({"operator": {"image": {"digest": "sha256:1234"}}}), "/operator/image/digest"),
        (json!({"operator": {"image": {"repository": ""}}}), "/operator/image/repository"),
        (json!({"operator": {"image": {"pullPolicy": "Sometimes"}}}), "/operator/image/pullPolicy"),
        (json!({"operator": {"watchNamespaces": ["Team_A"]}}), "/operator/watchNamespaces/0"),
        (json!({"operator": {"watchNamespaces": ["a", "a"]}}), "/operator/watchNamespaces"),
        (json!({"operator": {"resources": {"limit": {}}}}), "limit"),
        (json!({"operator": {"logLevel": ""}}), "/operator/logLevel"),
        (json!({"operator": {"podLabels": {"a": 1}}}), "/operator/podLabels/a"),
        (json!({"operator": {"serviceAccount": {"name": "Not A Name"}}}), "/operator/serviceAccount/name"),
        (json!({"server": {"image": {"sha": "1234"}}}), "sha"),
        (json!({"server": {"replicas": 2}}), "replicas"),
        (json!({"imagePullSecrets": [{"name": "registry"}]}), "/imagePullSecrets/0"),
        (json!({"defaultServer": {"namespace": "a.b"}}), "/defaultServer/namespace"),
        (json!({"defaultServer": {"storage": {}}}), "storage"),
        (json!({"defaultServer": {"authorities": {"root": {"validity": "forever"}}}}), "validity"),
        (json!({"defaultServer": {"authorities": {"root": {"commonName": ""}}}}), "commonName"),
        (
            json!({"defaultServer": {"authorities": {"allowedNamespaces": ["no such"]}}}),
            "allowedNamespaces/0",
        ),
        (json!({"certManager": {"approval": {"serviceAccount": {"name": ""}}}}), "serviceAccount/name"),
        (json!({"metrics": {"service": {"port": 80}}}), "/metrics/service/port"),
        (json!({"metrics": {"serviceMonitor": {"interval": "often"}}}), "interval"),
        (json!({"metrics": {"prometheusRule": {"authorityExpiryDays": 0}}}), "authorityExpiryDays"),
        (json!({"crds": {"keep": true}}), "keep"),
        (json!({"extraObjects": [1]}), "/extraObjects/0"),
    ]
}

#[test]
fn unknown_and_wrong_values_are_refused_by_name() -> Result<()> {
    for (values, named) in refused() {
        let error = match template(&values) {
            Ok(_) => anyhow::bail!("{values} is taken"),
            Err(error) => format!("{error:#}"),
        };
        ensure!(error.contains("don't meet the specifications of the schema"), "{values}: {error}");
        ensure!(error.contains(named), "{values}: {error}");
    }
    Ok(())
}

#[test]
fn an_account_that_is_not_made_has_to_be_named() {
    let values = json!({"operator": {"serviceAccount": {"create": false}}});
    let error = template(&values).map(drop).unwrap_err().to_string();
    assert!(error.contains("operator.serviceAccount.name is needed"), "{error}");
}

#[test]
fn only_the_operators_own_values_are_open_to_what_kubernetes_takes() -> Result<()> {
    let schema: Value = serde_json::from_str(&crate::render::read("charts/chancery/values.schema.json")?)?;
    let mut open = Vec::new();
    collect_open(&schema, "", &mut open);
    // Objects of Kubernetes, which the API server judges.
    let kubernetes = [
        "/global",
        "/operator/tolerations/items",
        "/operator/affinity",
        "/operator/topologySpreadConstraints/items",
        "/operator/extraEnv/items",
        "/operator/resources/claims/items",
        "/defaultServer/spec",
        "/extraObjects/items",
    ];
    let others: Vec<_> = open.iter().filter(|path| !kubernetes.contains(&path.as_str())).collect();
    assert!(others.is_empty(), "{others:?} take anything");
    Ok(())
}

fn collect_open(schema: &Value, path: &str, open: &mut Vec<String>) {
    let is_object = schema["type"] == "object"
        || schema["type"].as_array().is_some_and(|types| types.contains(&json!("object")));
    if is_object && schema.get("additionalProperties").is_none() {
        open.push(path.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        collect_open(inner, &format!("{path}/{name}"), open);
    }
    if schema["items"].is_object() {
        collect_open(&schema["items"], &format!("{path}/items"), open);
    }
}

//! kubeconform judges every rendering, with schemas from files alone: those of Kubernetes are made of its types, ours of the resource
//! definitions, and those of the Prometheus operator are composed here of the members that the chart uses.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use chancery_tests::{Workspace, program};
use k8s_openapi::{
    Resource,
    api::{apps, batch, core, networking, policy, rbac},
};
use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::render::{self, Case, kind};

#[test]
fn every_rendering_is_what_the_api_server_knows() -> Result<()> {
    let workspace = Workspace::new()?;
    let schemas = workspace.path().join("schemas");
    write_schemas(&schemas)?;
    for case in Case::all() {
        judge(&schemas, &case.render()?).with_context(|| case.name)?;
    }
    Ok(())
}

#[test]
fn a_misspelt_member_and_an_unknown_kind_are_noticed() -> Result<()> {
    let workspace = Workspace::new()?;
    let schemas = workspace.path().join("schemas");
    write_schemas(&schemas)?;
    let good = Case::named("defaults")?.render()?;
    for (right, wrong, named) in [
        ("serviceAccountName:", "serviceAccount_Name:", "serviceAccount_Name"),
        ("replicas: 2", "replicas: two", "replicas"),
        ("authorityRef:", "authority:", "authority"),
        ("kind: PodDisruptionBudget", "kind: PodDisruptionBudgets", "PodDisruptionBudgets"),
    ] {
        ensure!(good.contains(right), "{right}");
        let error = judge(&schemas, &good.replace(right, wrong)).unwrap_err().to_string();
        ensure!(error.contains(named), "{named}: {error}");
    }
    Ok(())
}

fn judge(schemas: &Path, rendering: &str) -> Result<()> {
    let location =
        format!("{}/{{{{ .ResourceKind }}}}-{{{{ .ResourceAPIVersion }}}}.json", schemas.display());
    let words = ["-strict", "-schema-location", &location, "-summary", "-"];
    let answer = program::run("kubeconform", &words, Some(rendering.as_bytes()))?;
    let printed = program::printed(&answer);
    ensure!(answer.status.success(), "{printed}");
    // Had it read nothing, it would be content.
    ensure!(!printed.contains("0 resources found"), "{printed}");
    Ok(())
}

fn write_schemas(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    of_kubernetes::<core::v1::ConfigMap>(folder)?;
    of_kubernetes::<core::v1::Namespace>(folder)?;
    of_kubernetes::<core::v1::Service>(folder)?;
    of_kubernetes::<core::v1::ServiceAccount>(folder)?;
    of_kubernetes::<apps::v1::Deployment>(folder)?;
    of_kubernetes::<batch::v1::Job>(folder)?;
    of_kubernetes::<networking::v1::NetworkPolicy>(folder)?;
    of_kubernetes::<policy::v1::PodDisruptionBudget>(folder)?;
    of_kubernetes::<rbac::v1::ClusterRole>(folder)?;
    of_kubernetes::<rbac::v1::ClusterRoleBinding>(folder)?;
    of_kubernetes::<rbac::v1::Role>(folder)?;
    of_kubernetes::<rbac::v1::RoleBinding>(folder)?;
    for (kind, schema) in of_prometheus() {
        write(folder, kind, "v1", schema)?;
    }
    of_ours(folder)
}

fn of_kubernetes<K: Resource + JsonSchema>(folder: &Path) -> Result<()> {
    let schema = schemars::generate::SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<K>()
        .to_value();
    write(folder, K::KIND, K::VERSION, schema)
}

/// From the chart's own resource definitions.
fn of_ours(folder: &Path) -> Result<()> {
    let definitions = Path::new(&render::chart()).join("crds");
    for entry in std::fs::read_dir(&definitions)? {
        let definition: Value = serde_yaml_ng::from_str(&std::fs::read_to_string(entry?.path())?)?;
        ensure!(kind(&definition) == "CustomResourceDefinition", "{definition}");
        let version = &definition["spec"]["versions"][0];
        let mut schema = version["schema"]["openAPIV3Schema"].clone();
        for member in ["apiVersion", "kind", "metadata"] {
            let type_ = if member == "metadata" { "object" } else { "string" };
            schema["properties"][member] = json!({"type": type_});
        }
        let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        write(folder, &name(&definition["spec"]["names"]["kind"]), &name(&version["name"]), schema)?;
    }
    Ok(())
}

/// What the chart uses of <https://prometheus-operator.dev/docs/api-reference/api/>.
fn of_prometheus() -> Vec<(&'static str, Value)> {
    let text = || json!({"type": "string"});
    let texts = || json!({"type": "object", "additionalProperties": {"type": "string"}});
    let object = |properties: Value| json!({"type": "object", "properties": properties});
    let list = |items: Value| json!({"type": "array", "minItems": 1, "items": items});
    let whole = |spec: Value| {
        object(
            json!({"apiVersion": {"const": "monitoring.coreos.com/v1"}, "kind": text(), "metadata": {"type": "object"}, "spec": spec}),
        )
    };
    let selector = || object(json!({"matchLabels": texts()}));
    let endpoint = || object(json!({"port": text(), "interval": text(), "honorLabels": {"type": "boolean"}}));
    let rule = object(
        json!({"alert": text(), "expr": text(), "for": text(), "labels": texts(), "annotations": texts()}),
    );
    vec![
        ("ServiceMonitor", whole(object(json!({"selector": selector(), "endpoints": list(endpoint())})))),
        (
            "PodMonitor",
            whole(object(json!({
                "selector": selector(),
                "namespaceSelector": object(json!({"any": {"type": "boolean"}})),
                "podMetricsEndpoints": list(endpoint()),
            }))),
        ),
        (
            "PrometheusRule",
            whole(object(json!({"groups": list(object(json!({"name": text(), "rules": list(rule)})))}))),
        ),
    ]
}

fn write(folder: &Path, kind: &str, version: &str, mut schema: Value) -> Result<()> {
    close(&mut schema);
    let file = folder.join(format!("{}-{version}.json", kind.to_lowercase()));
    std::fs::write(&file, schema.to_string()).with_context(|| file.display().to_string())
}

/// Refuses members that are not in the schema: what kubeconform calls strict is up to the schemas.
fn close(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    if members.get("properties").is_some_and(Value::is_object)
        && !members.contains_key("additionalProperties")
    {
        members.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = members.get_mut(keyword) {
            close(inner);
        }
    }
    for keyword in ["properties", "definitions", "$defs"] {
        if let Some(Value::Object(inner)) = members.get_mut(keyword) {
            inner.values_mut().for_each(close);
        }
    }
    for keyword in ["anyOf", "allOf", "oneOf"] {
        if let Some(Value::Array(inner)) = members.get_mut(keyword) {
            inner.iter_mut().for_each(close);
        }
    }
}

//! Generates what is committed beside the types: the CRDs as YAML and `docs/crd-reference.md`.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps,
};
use kube::CustomResourceExt;
use schemars::{JsonSchema, generate::SchemaSettings};
use serde_json::Value;
use thiserror::Error;

use crate::{
    CertificateAuthority, CertificateProfile, CertificateRevocation, ChanceryClusterIssuer, ChanceryIssuer,
    EnrollmentCredential, EnrollmentMethod, EnrollmentServer, Kind, string_enum::VALUES_MEMBER,
};

pub use crate::reference::reference_markdown;

/// Why generating failed: a type has a schema that Kubernetes has no words for.
#[derive(Debug, Error)]
pub enum GenerateError {
    #[error("the schema of {kind} does not fit a CustomResourceDefinition")]
    Schema { kind: Kind, source: serde_json::Error },
    #[error("the CustomResourceDefinition of {kind} cannot be written as YAML")]
    Yaml { kind: Kind, source: serde_yaml_ng::Error },
}

/// The CRDs of all kinds, as the API server takes them.
pub fn all_crds() -> Result<Vec<CustomResourceDefinition>, GenerateError> {
    Kind::ALL.iter().map(|kind| crd(*kind)).collect()
}

/// The CRD of one kind.
///
/// Not the derived `crd()` as it is: its schema is replaced by [`schema`].
pub fn crd(kind: Kind) -> Result<CustomResourceDefinition, GenerateError> {
    let mut crd = match kind {
        Kind::CertificateAuthority => CertificateAuthority::crd(),
        Kind::CertificateProfile => CertificateProfile::crd(),
        Kind::EnrollmentMethod => EnrollmentMethod::crd(),
        Kind::EnrollmentCredential => EnrollmentCredential::crd(),
        Kind::EnrollmentServer => EnrollmentServer::crd(),
        Kind::ChanceryIssuer => ChanceryIssuer::crd(),
        Kind::ChanceryClusterIssuer => ChanceryClusterIssuer::crd(),
        Kind::CertificateRevocation => CertificateRevocation::crd(),
    };
    let schema: JSONSchemaProps =
        serde_json::from_value(schema(kind)).map_err(|source| GenerateError::Schema { kind, source })?;
    for version in &mut crd.spec.versions {
        if let Some(validation) = &mut version.schema {
            validation.open_api_v3_schema = Some(schema.clone());
        }
    }
    Ok(crd)
}

/// The structural schema of one kind: `spec` and `status`.
pub fn schema(kind: Kind) -> Value {
    let mut schema = match kind {
        Kind::CertificateAuthority => raw_schema::<CertificateAuthority>(),
        Kind::CertificateProfile => raw_schema::<CertificateProfile>(),
        Kind::EnrollmentMethod => raw_schema::<EnrollmentMethod>(),
        Kind::EnrollmentCredential => raw_schema::<EnrollmentCredential>(),
        Kind::EnrollmentServer => raw_schema::<EnrollmentServer>(),
        Kind::ChanceryIssuer => raw_schema::<ChanceryIssuer>(),
        Kind::ChanceryClusterIssuer => raw_schema::<ChanceryClusterIssuer>(),
        Kind::CertificateRevocation => raw_schema::<CertificateRevocation>(),
    };
    finish(&mut schema);
    if let Some(spec) = schema.pointer_mut("/properties/spec") {
        bound_integers(spec);
    }
    schema
}

/// The YAML of all CRDs by file name, `<plural>.chancery.dev.yaml`; they are committed in `crds/generated/` and in the chart.
pub fn crd_yaml() -> Result<BTreeMap<String, String>, GenerateError> {
    let mut files = BTreeMap::new();
    for kind in Kind::ALL {
        let crd = crd(*kind)?;
        let body =
            serde_yaml_ng::to_string(&crd).map_err(|source| GenerateError::Yaml { kind: *kind, source })?;
        let text = format!("# Generated from crds/src by `cargo xtask generate`. Do not edit.\n{body}");
        files.insert(format!("{}.yaml", crd.metadata.name.unwrap_or_default()), text);
    }
    Ok(files)
}

/// Every generated file by its path in the repository.
pub fn generated_files() -> Result<BTreeMap<String, String>, GenerateError> {
    let mut files = BTreeMap::new();
    // Helm takes resource definitions from nowhere but a folder of the chart.
    for folder in ["crds/generated", "charts/chancery/crds"] {
        for (name, text) in crd_yaml()? {
            files.insert(format!("{folder}/{name}"), text);
        }
    }
    files.insert("docs/crd-reference.md".to_owned(), reference_markdown());
    Ok(files)
}

/// The schema with the transforms that `kube` applies to a CRD. Done here again because its own result passes through a type
/// that drops the member which carries the explanation of each enum value.
fn raw_schema<T: JsonSchema>() -> Value {
    SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(schemars::transform::AddNullable::default())
        .with_transform(kube::core::schema::StructuralSchemaRewriter)
        .with_transform(kube::core::schema::OptionalEnum)
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Makes a schema structural in the words of Kubernetes.
///
/// - `additionalProperties: false`, which `deny_unknown_fields` puts there, goes: a structural schema refuses it beside
///   `properties`, and the API server reports or prunes unknown members anyway.
/// - `nullable` goes: an optional member is absent, never null, so that a rule's `has()` means what it says.
/// - Formats of unsigned integers, which the API server would warn about, become signed ones; the bounds stay.
/// - The explanations of enum values are folded into the description.
fn finish(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    members.remove("nullable");
    members.remove("title");
    if members.get("additionalProperties") == Some(&Value::Bool(false)) {
        members.remove("additionalProperties");
    }
    if let Some(Value::String(format)) = members.get_mut("format") {
        match format.as_str() {
            "uint8" | "uint16" | "int8" | "int16" => "int32".clone_into(format),
            "uint32" | "uint64" | "uint" => "int64".clone_into(format),
            _ => {}
        }
    }
    let values = members.remove(VALUES_MEMBER);
    if let Some(Value::String(description)) = members.get_mut("description") {
        *description = unwrap_paragraphs(description);
        for (word, sentence) in values.iter().flat_map(value_explanations) {
            description.push_str(&format!("\n- `{word}`: {}", unwrap_paragraphs(sentence)));
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = members.get_mut(keyword) {
            finish(inner);
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(finish);
    }
}

/// Gives integers of a spec that have no bounds those of their format: an API server takes larger ones, which nothing could read.
/// What a status says is the program's to know.
fn bound_integers(schema: &mut Value) {
    let Value::Object(members) = schema else { return };
    if members.get("type").and_then(Value::as_str) == Some("integer") {
        let (least, most) = match members.get("format").and_then(Value::as_str) {
            Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
            // A bound is a fraction, and those are exact up to 2^53; a round one also survives readers that are not exact in
            // the last digit.
            _ => (-9_000_000_000_000_000.0, 9_000_000_000_000_000.0),
        };
        members.entry("minimum").or_insert_with(|| least.into());
        members.entry("maximum").or_insert_with(|| most.into());
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = members.get_mut(keyword) {
            bound_integers(inner);
        }
    }
    if let Some(Value::Object(properties)) = members.get_mut("properties") {
        properties.values_mut().for_each(bound_integers);
    }
}

fn value_explanations(values: &Value) -> impl Iterator<Item = (&str, &str)> {
    values.as_array().into_iter().flatten().filter_map(|pair| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(word), Value::String(sentence)]) => Some((word.as_str(), sentence.as_str())),
        _ => None,
    })
}

/// Joins the lines of each paragraph, because doc comments are wrapped for the source and not for the reader.
fn unwrap_paragraphs(text: &str) -> String {
    text.trim()
        .split("\n\n")
        .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect::<Vec<_>>()
        .join("\n\n")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, path::PathBuf};

    use super::*;

    /// `CHANCERY_GENERATE=1 cargo test -p chancery-crds generated` writes the files instead of comparing them.
    #[test]
    fn generated_files_are_fresh() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
        for (path, text) in generated_files().unwrap() {
            let file = root.join(&path);
            if env::var_os("CHANCERY_GENERATE").is_some() {
                fs::create_dir_all(file.parent().unwrap()).unwrap();
                fs::write(&file, &text).unwrap();
            }
            let committed = fs::read_to_string(&file).unwrap_or_default();
            assert!(committed == text, "{path} is stale: run `cargo xtask generate`");
        }
    }

    #[test]
    fn schemas_are_structural_and_bounded() {
        for kind in Kind::ALL {
            let schema = schema(*kind);
            check(&schema, kind.as_str());
        }
    }

    /// What the API server refuses, or warns about, or what would make the cost of a rule unbounded.
    fn check(schema: &Value, path: &str) {
        let members = schema.as_object().unwrap_or_else(|| panic!("{path} is not an object: {schema}"));
        for refused in [
            "$ref",
            "anyOf",
            "oneOf",
            "allOf",
            "nullable",
            "definitions",
            "title",
            "uniqueItems",
            VALUES_MEMBER,
        ] {
            assert!(!members.contains_key(refused), "{path} has {refused}");
        }
        assert!(members.get("additionalProperties").is_none_or(Value::is_object), "{path}: {schema}");
        let type_ = members
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("{path} has no type: {schema}"));
        let in_status_condition = path.contains(".conditions[]");
        // Kubernetes bounds them itself, and no rule of ours looks at them.
        let of_kubernetes =
            [".affinity.", ".tolerations[].", ".topologySpreadConstraints[].", ".clients[].", ".metrics[]."]
                .iter()
                .any(|part| path.contains(part));
        for value in members.get("enum").and_then(Value::as_array).into_iter().flatten() {
            let value = value.as_str().unwrap_or_default().to_ascii_lowercase();
            // kubectl reads YAML 1.1, in which each of these is a boolean: `mode: Off` would never arrive.
            assert!(!["on", "off", "yes", "no", "y", "n"].contains(&value.as_str()), "{path} takes {value}");
        }
        match type_ {
            "string" if !in_status_condition && !of_kubernetes && !path.contains("matchLabels") => {
                let bounded =
                    ["maxLength", "enum", "format"].iter().any(|member| members.contains_key(*member));
                assert!(bounded, "{path} has no bound");
            }
            "array" if !of_kubernetes => assert!(members.contains_key("maxItems"), "{path} has no maxItems"),
            "integer" => {
                let format = members.get("format").and_then(Value::as_str).unwrap_or_default();
                assert!(["int32", "int64"].contains(&format), "{path} has format {format:?}");
            }
            _ => {}
        }
        if !in_status_condition && path.contains('.') {
            assert!(
                members.contains_key("description") || path.ends_with("[]") || path.ends_with("{}"),
                "{path} has no description"
            );
        }
        if let Some(inner) = members.get("items") {
            check(inner, &format!("{path}[]"));
        }
        if let Some(inner) = members.get("additionalProperties") {
            check(inner, &format!("{path}{{}}"));
        }
        for (name, inner) in members.get("properties").and_then(Value::as_object).into_iter().flatten() {
            check(inner, &format!("{path}.{name}"));
        }
    }

    #[test]
    fn every_kind_is_listed_together_and_shows_its_age() {
        let mut short_names = Vec::new();
        for crd in all_crds().unwrap() {
            let names = &crd.spec.names;
            assert_eq!(
                names.categories.as_deref(),
                Some(["chancery".to_owned()].as_slice()),
                "{}",
                names.kind
            );
            short_names.extend(names.short_names.clone().unwrap());
            let columns = crd.spec.versions[0].additional_printer_columns.as_ref().unwrap();
            let age = columns.last().unwrap();
            assert_eq!((age.name.as_str(), age.json_path.as_str()), ("Age", ".metadata.creationTimestamp"));
            assert!(crd.spec.versions[0].subresources.as_ref().is_some_and(|sub| sub.status.is_some()));
        }
        assert_eq!(
            short_names,
            ["cauth", "cprofile", "emethod", "ecred", "eserver", "cissuer", "ccissuer", "crevocation"]
        );
    }

    #[test]
    fn a_cluster_scoped_kind_is_one_for_the_api_server_too() {
        for kind in Kind::ALL {
            let scope = crd(*kind).unwrap().spec.scope;
            assert_eq!(scope == "Namespaced", kind.is_namespaced(), "{kind}");
        }
    }

    #[test]
    fn an_enum_explains_its_values_where_it_is_used() {
        let schema = schema(Kind::CertificateAuthority);
        let description =
            schema["properties"]["spec"]["properties"]["deletionPolicy"]["description"].as_str().unwrap();
        assert!(description.contains("- `Retain`: The key stays"), "{description}");
    }
}

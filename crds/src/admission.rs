//! Admits resources where there is no API server: by the same schemas, defaults and CEL rules.
//!
//! One way in, whoever reads the YAML: what a cluster would refuse, standalone refuses too, with the same words. Cross-object
//! rules are not here but in the crate `resolve`.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::core::cel::{CompiledSchema, ErrorKind, Validator, apply_defaults, compile_schema};
use regex::Regex;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{API_VERSION, Kind, Resource, generate};

/// Why a document was not admitted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AdmissionError {
    #[error("apiVersion is {0:?}; this program knows chancery.dev/v1alpha1")]
    ApiVersion(String),
    #[error(transparent)]
    Kind(#[from] crate::UnknownKind),
    #[error("{}", Violation::list(.0))]
    Invalid(Vec<Violation>),
}

/// One thing that is wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// Where, for example `spec.labels[2].label`; empty for the document itself.
    pub path: String,
    /// What, in one sentence without the path.
    pub message: String,
}

impl Violation {
    fn new(path: &str, message: impl Into<String>) -> Self {
        Self { path: path.to_owned(), message: message.into() }
    }

    fn list(violations: &[Self]) -> String {
        violations.iter().map(Self::to_string).collect::<Vec<_>>().join("; ")
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.path, self.message)
        }
    }
}

/// The compiled schemas of all kinds. Making one takes milliseconds; keep it.
#[derive(Debug)]
pub struct Admission {
    kinds: BTreeMap<Kind, CompiledKind>,
    rules: Validator,
    patterns: BTreeMap<String, Regex>,
}

#[derive(Debug)]
struct CompiledKind {
    schema: Value,
    compiled: CompiledSchema,
}

impl Default for Admission {
    fn default() -> Self {
        Self::new()
    }
}

impl Admission {
    /// Compiles the schemas and rules of all kinds.
    pub fn new() -> Self {
        let mut kinds = BTreeMap::new();
        let mut patterns = BTreeMap::new();
        for kind in Kind::ALL {
            let schema = generate::schema(*kind);
            collect_patterns(&schema, &mut patterns);
            let compiled = compile_schema(&schema);
            kinds.insert(*kind, CompiledKind { schema, compiled });
        }
        Self { kinds, rules: Validator::new(), patterns }
    }

    /// Admits one document, an object with `apiVersion`, `kind`, `metadata` and `spec`; `old` is the resource that it
    /// replaces, for the rules that say what cannot change.
    pub fn admit(&self, document: &Value, old: Option<&Resource>) -> Result<Resource, AdmissionError> {
        let member = |name| document.get(name).and_then(Value::as_str).unwrap_or_default();
        if member("apiVersion") != API_VERSION {
            return Err(AdmissionError::ApiVersion(member("apiVersion").chars().take(64).collect()));
        }
        let kind: Kind = member("kind").parse()?;
        let Some(known) = self.kinds.get(&kind) else {
            return Err(crate::UnknownKind(kind.to_string()).into());
        };

        let mut found = Vec::new();
        check_envelope(kind, document, &mut found);
        let body = apply_defaults(&known.schema, &body(document));
        let checker = Checker { patterns: &self.patterns };
        checker.check(&known.schema, &body, "", &mut found);
        // Rules are written for documents that fit the schema; others would only add noise.
        if found.is_empty() {
            let old = old.filter(|old| old.kind() == kind).and_then(|old| old.to_value().ok());
            if let Err(errors) = self.rules.validate_compiled(&known.compiled, &body, old.as_ref()) {
                found.extend(errors.as_slice().iter().map(|error| match error.kind {
                    ErrorKind::ValidationFailure => Violation::new(&error.field_path, error.message.clone()),
                    _ => {
                        Violation::new(&error.field_path, format!("rule {:?}: {}", error.rule, error.message))
                    }
                }));
            }
        }
        if !found.is_empty() {
            found.sort();
            found.dedup();
            return Err(AdmissionError::Invalid(found));
        }
        let mut document = document.clone();
        if let (Value::Object(document), Value::Object(mut body)) = (&mut document, body) {
            document.remove("status");
            if let Some(spec) = body.remove("spec") {
                document.insert("spec".to_owned(), spec);
            }
        }
        Resource::from_value(kind, document)
            .map_err(|error| AdmissionError::Invalid(vec![Violation::new("", error.to_string())]))
    }
}

/// The part of a document that its schema speaks of. A status is the program's to write, and is not read.
fn body(document: &Value) -> Value {
    let spec = document.get("spec").cloned();
    Value::Object(spec.map(|spec| ("spec".to_owned(), spec)).into_iter().collect())
}

/// Checks what every Kubernetes object has around its spec.
fn check_envelope(kind: Kind, document: &Value, found: &mut Vec<Violation>) {
    let Value::Object(members) = document else {
        found.push(Violation::new("", "is not an object"));
        return;
    };
    for name in members.keys() {
        if !["apiVersion", "kind", "metadata", "spec", "status"].contains(&name.as_str()) {
            found.push(Violation::new(name, "is not a member of a resource"));
        }
    }
    let metadata = members.get("metadata").and_then(Value::as_object);
    let name = metadata.and_then(|metadata| metadata.get("name")).and_then(Value::as_str).unwrap_or_default();
    if !is_dns_name(name, 253, true) {
        found.push(Violation::new(
            "metadata.name",
            format!("{name:?} is not a name: small letters, digits, hyphens and dots, at most 253"),
        ));
    }
    if let Some(namespace) = metadata.and_then(|metadata| metadata.get("namespace")) {
        let namespace = namespace.as_str().unwrap_or_default();
        if !kind.is_namespaced() {
            found.push(Violation::new("metadata.namespace", format!("a {kind} is in no namespace")));
        } else if !is_dns_name(namespace, 63, false) {
            found.push(Violation::new(
                "metadata.namespace",
                format!("{namespace:?} is not the name of a namespace: small letters, digits and hyphens, at most 63"),
            ));
        }
    }
}

/// RFC 1123 names as Kubernetes takes them.
fn is_dns_name(name: &str, longest: usize, dots: bool) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= longest && if dots { name.split('.').all(label) } else { label(name) }
}

fn collect_patterns(schema: &Value, patterns: &mut BTreeMap<String, Regex>) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(pattern)) = members.get("pattern")
                && let Ok(regex) = Regex::new(pattern)
            {
                patterns.insert(pattern.clone(), regex);
            }
            members.values().for_each(|inner| collect_patterns(inner, patterns));
        }
        Value::Array(entries) => entries.iter().for_each(|inner| collect_patterns(inner, patterns)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Checks a value against a structural schema: the keywords that our schemas use, and no others.
struct Checker<'a> {
    patterns: &'a BTreeMap<String, Regex>,
}

impl Checker<'_> {
    fn check(&self, schema: &Value, value: &Value, path: &str, found: &mut Vec<Violation>) {
        let expected = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (expected, value) {
            ("object", Value::Object(members)) => self.check_object(schema, members, path, found),
            ("array", Value::Array(entries)) => self.check_array(schema, entries, path, found),
            ("string", Value::String(text)) => self.check_string(schema, text, path, found),
            ("integer", Value::Number(number)) if number.is_i64() || number.is_u64() => {
                check_range(schema, number, path, found)
            }
            ("boolean", Value::Bool(_)) => {}
            _ => found.push(Violation::new(
                path,
                format!("must be {}, not {}", with_article(expected), type_of(value)),
            )),
        }
    }

    fn check_object(
        &self,
        schema: &Value,
        members: &Map<String, Value>,
        path: &str,
        found: &mut Vec<Violation>,
    ) {
        let properties = schema.get("properties").and_then(Value::as_object);
        let additional = schema.get("additionalProperties");
        for (name, value) in members {
            let inner = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
            match properties.and_then(|properties| properties.get(name)).or(additional) {
                Some(schema) => self.check(schema, value, &inner, found),
                None => found.push(Violation::new(&inner, "is not known here")),
            }
        }
        for name in
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
        {
            if !members.contains_key(name) {
                let inner = format!("{path}{}{name}", if path.is_empty() { "" } else { "." });
                found.push(Violation::new(&inner, "is missing"));
            }
        }
        check_count(schema, "maxProperties", members.len(), path, found);
    }

    fn check_array(&self, schema: &Value, entries: &[Value], path: &str, found: &mut Vec<Violation>) {
        check_count(schema, "maxItems", entries.len(), path, found);
        check_count(schema, "minItems", entries.len(), path, found);
        for (index, entry) in entries.iter().enumerate() {
            if let Some(items) = schema.get("items") {
                self.check(items, entry, &format!("{path}[{index}]"), found);
            }
            if entries.iter().take(index).any(|earlier| same_key(schema, earlier, entry)) {
                found.push(Violation::new(&format!("{path}[{index}]"), "is there twice"));
            }
        }
    }

    fn check_string(&self, schema: &Value, text: &str, path: &str, found: &mut Vec<Violation>) {
        let length = text.chars().count();
        check_count(schema, "maxLength", length, path, found);
        check_count(schema, "minLength", length, path, found);
        if let Some(values) = schema.get("enum").and_then(Value::as_array)
            && !values.iter().any(|value| value == text)
        {
            let words: Vec<&str> = values.iter().filter_map(Value::as_str).collect();
            found.push(Violation::new(path, format!("{text:?} is not one of {}", words.join(", "))));
        }
        if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
            && !self.patterns.get(pattern).is_some_and(|regex| regex.is_match(text))
        {
            found.push(Violation::new(path, format!("{text:?} does not fit {pattern}")));
        }
        if schema.get("format").and_then(Value::as_str) == Some("date-time")
            && text.parse::<Timestamp>().is_err()
        {
            found.push(Violation::new(
                path,
                format!("{text:?} is not a date and time such as 2027-01-31T12:00:00Z"),
            ));
        }
    }
}

fn check_count(schema: &Value, keyword: &str, count: usize, path: &str, found: &mut Vec<Violation>) {
    let Some(bound) = schema.get(keyword).and_then(Value::as_u64) else { return };
    let count = u64::try_from(count).unwrap_or(u64::MAX);
    if keyword.starts_with("max") && count > bound {
        found.push(Violation::new(path, format!("is {count} long; {bound} is the most")));
    } else if keyword.starts_with("min") && count < bound {
        found.push(Violation::new(path, format!("is {count} long; {bound} is the least")));
    }
}

fn check_range(schema: &Value, number: &serde_json::Number, path: &str, found: &mut Vec<Violation>) {
    let Some(value) = number.as_f64() else { return };
    if schema.get("minimum").and_then(Value::as_f64).is_some_and(|minimum| value < minimum) {
        found.push(Violation::new(
            path,
            format!("{number} is less than {}", schema.get("minimum").unwrap_or(&Value::Null)),
        ));
    }
    if schema.get("maximum").and_then(Value::as_f64).is_some_and(|maximum| value > maximum) {
        found.push(Violation::new(
            path,
            format!("{number} is more than {}", schema.get("maximum").unwrap_or(&Value::Null)),
        ));
    }
}

/// Whether two entries may not stand in one list together: equal entries of a set, entries of a map with equal keys.
fn same_key(schema: &Value, one: &Value, other: &Value) -> bool {
    match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
        Some("set") => one == other,
        Some("map") => {
            let keys = schema.get("x-kubernetes-list-map-keys").and_then(Value::as_array);
            keys.is_some_and(|keys| {
                keys.iter().filter_map(Value::as_str).all(|key| one.get(key) == other.get(key))
            })
        }
        _ => false,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn with_article(expected: &str) -> &'static str {
    match expected {
        "object" => "an object",
        "array" => "a list",
        "string" => "a string",
        "integer" => "a whole number",
        "boolean" => "true or false",
        _ => "of another type",
    }
}

//! Writes `docs/crd-reference.md` by walking the schemas.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::{
    Kind, Preset,
    conditions::{ConditionType, Reason, rows},
    generate,
};

/// Members whose own members are Kubernetes' and are explained there.
const OF_KUBERNETES: &[&str] =
    &["conditions", "affinity", "tolerations", "topologySpreadConstraints", "clients", "metrics"];

/// The reference of all kinds: a table for each object, its rules, and the conditions with their reasons.
pub fn reference_markdown() -> String {
    let mut out = String::from(
        "<!-- Generated from crds/src by `cargo xtask generate`. Do not edit. -->\n\n\
         # Resource reference\n\n\
         API group `chancery.dev`, version `v1alpha1`. Every kind is in the category `chancery`:\n\
         `kubectl get chancery` lists them all. All but ChanceryClusterIssuer are namespaced.\n\n",
    );
    for kind in Kind::ALL {
        let _ = writeln!(out, "- [{kind}](#{})", kind.as_str().to_lowercase());
    }
    out.push_str("- [Presets](#presets)\n- [Conditions](#conditions)\n- [Reasons](#reasons)\n");
    for kind in Kind::ALL {
        write_kind(&mut out, *kind);
    }
    write_presets(&mut out);
    write_conditions(&mut out);
    out
}

fn write_kind(out: &mut String, kind: Kind) {
    let schema = generate::schema(kind);
    let spec = property(&schema, "spec");
    let _ = write!(out, "\n## {kind}\n\n{}\n", text(spec, "description"));
    let mut short = String::new();
    if let Ok(crd) = generate::crd(kind) {
        short = crd.spec.names.short_names.unwrap_or_default().join(", ");
    }
    let _ = writeln!(out, "\nShort name: `{short}`.");
    let mut pending = vec![("spec".to_owned(), spec), ("status".to_owned(), property(&schema, "status"))];
    while !pending.is_empty() {
        let mut found = Vec::new();
        for (path, object) in pending {
            write_object(out, kind, &path, object, &mut found);
        }
        pending = found;
    }
}

/// Writes the table of one object and notes the objects within it.
fn write_object<'a>(
    out: &mut String,
    kind: Kind,
    path: &str,
    object: &'a Value,
    found: &mut Vec<(String, &'a Value)>,
) {
    let Some(properties) = object.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> = object
        .get("required")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = write!(out, "\n### {kind} `{path}`\n");
    if path.contains('.') {
        let _ = write!(out, "\n{}\n", text(object, "description"));
    }
    write_rules(out, object);
    out.push_str(
        "\n| Field | Type | Default | Constraints | Description |\n| --- | --- | --- | --- | --- |\n",
    );
    for (name, schema) in properties {
        let default = schema.get("default").map_or_else(String::new, |value| format!("`{value}`"));
        let _ = writeln!(
            out,
            "| `{name}` | {} | {} | {} | {} |",
            type_name(schema),
            cell(&default),
            cell(&constraints(schema, required.contains(&name.as_str()))),
            cell(&text(schema, "description")),
        );
    }
    for (name, schema) in properties.iter().filter(|(name, _)| !OF_KUBERNETES.contains(&name.as_str())) {
        if schema.get("properties").is_some() {
            found.push((format!("{path}.{name}"), schema));
        } else if let Some(items) = schema.get("items").filter(|items| items.get("properties").is_some()) {
            found.push((format!("{path}.{name}[]"), items));
        }
    }
}

fn write_rules(out: &mut String, object: &Value) {
    let rules = rule_messages(object);
    if !rules.is_empty() {
        out.push_str("\nRules:\n\n");
        for rule in rules {
            let _ = writeln!(out, "- {rule}");
        }
    }
}

fn rule_messages(schema: &Value) -> Vec<String> {
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array);
    rules.into_iter().flatten().map(|rule| text(rule, "message")).collect()
}

fn type_name(schema: &Value) -> String {
    let type_ = text(schema, "type");
    match type_.as_str() {
        "array" => schema.get("items").map_or(type_, |items| format!("list of {}", type_name(items))),
        "object" if schema.get("additionalProperties").is_some() => "map of strings".to_owned(),
        _ => type_,
    }
}

fn constraints(schema: &Value, required: bool) -> String {
    let mut parts = Vec::new();
    if required {
        parts.push("required".to_owned());
    }
    let Value::Object(members) = schema else { return String::new() };
    describe_bounds(members, "", &mut parts);
    if let Some(Value::Object(items)) = members.get("items").filter(|items| items.get("properties").is_none())
    {
        describe_bounds(items, "each ", &mut parts);
    }
    if let Some(keys) = members.get("x-kubernetes-list-map-keys").and_then(Value::as_array) {
        let keys: Vec<&str> = keys.iter().filter_map(Value::as_str).collect();
        parts.push(format!("one entry per `{}`", keys.join("`, `")));
    } else if members.get("x-kubernetes-list-type") == Some(&Value::from("set")) {
        parts.push("no entry twice".to_owned());
    }
    // The rules of an object stand above its own table.
    if !members.contains_key("properties") {
        parts.extend(rule_messages(schema));
    }
    parts.join("; ")
}

fn describe_bounds(members: &Map<String, Value>, prefix: &str, parts: &mut Vec<String>) {
    if let Some(values) = members.get("enum").and_then(Value::as_array) {
        let words: Vec<String> =
            values.iter().filter_map(Value::as_str).map(|word| format!("`{word}`")).collect();
        parts.push(format!("{prefix}one of {}", words.join(", ")));
    }
    for (keyword, phrase) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("minLength", "shortest"),
        ("maxLength", "longest"),
        ("minItems", "fewest entries"),
        ("maxItems", "most entries"),
        ("maxProperties", "most entries"),
        ("format", "format"),
    ] {
        match members.get(keyword) {
            Some(Value::String(value)) if !value.starts_with("int") => {
                parts.push(format!("{prefix}{phrase} {value}"))
            }
            Some(Value::Number(value)) => parts.push(format!("{prefix}{phrase} {}", whole(value))),
            _ => {}
        }
    }
    if let Some(Value::String(pattern)) = members.get("pattern") {
        parts.push(format!("{prefix}pattern `{pattern}`"));
    }
}

/// Bounds of integers pass through a floating-point type; people should not see that.
fn whole(value: &serde_json::Number) -> String {
    value.as_f64().map_or_else(|| value.to_string(), |number| format!("{number}"))
}

fn write_presets(out: &mut String) {
    out.push_str(
        "\n## Presets\n\nWhat each `preset` of a CertificateProfile fills in for members that are absent.\n",
    );
    for preset in Preset::ALL {
        let policy = serde_yaml_ng::to_string(&preset.policy()).unwrap_or_default();
        let _ = write!(out, "\n### `{preset}`\n\n{}\n\n```yaml\n{policy}```\n", preset.explanation().trim());
    }
}

fn write_conditions(out: &mut String) {
    out.push_str("\n## Conditions\n\n| Condition | Meaning |\n| --- | --- |\n");
    for condition in ConditionType::ALL {
        let _ = writeln!(out, "| `{condition}` | {} |", cell(condition.explanation()));
    }
    out.push_str("\n| Kind | Condition | True because | Otherwise because |\n| --- | --- | --- | --- |\n");
    for kind in Kind::ALL {
        for row in rows(*kind) {
            let _ = writeln!(
                out,
                "| {kind} | `{}` | {} | {} |",
                row.condition,
                words(row.positive),
                words(row.negative)
            );
        }
    }
    out.push_str("\n## Reasons\n\n| Reason | Meaning |\n| --- | --- |\n");
    for reason in Reason::ALL {
        let _ = writeln!(out, "| `{reason}` | {} |", cell(reason.explanation()));
    }
}

fn words(reasons: &[Reason]) -> String {
    reasons.iter().map(|reason| format!("`{reason}`")).collect::<Vec<_>>().join(", ")
}

fn property<'a>(schema: &'a Value, name: &str) -> &'a Value {
    schema.pointer(&format!("/properties/{name}")).unwrap_or(&Value::Null)
}

fn text(value: &Value, member: &str) -> String {
    value.get(member).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Text that stays within a cell of a table.
fn cell(text: &str) -> String {
    text.trim().replace('|', "\\|").replace('\n', "<br>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_object_of_every_kind_has_a_table() {
        let reference = reference_markdown();
        for heading in [
            "### CertificateAuthority `spec.nameConstraints.permitted`",
            "### CertificateProfile `spec.subject.attributes[]`",
            "### EnrollmentMethod `spec.est`",
            "### EnrollmentCredential `spec.valueFrom.secretKeyRef`",
            "### EnrollmentServer `spec.limits.failedAuthentications`",
            "### EnrollmentServer `spec.service.ports`",
            "### ChanceryClusterIssuer `spec.profileRef`",
            "### CertificateRevocation `status`",
        ] {
            assert!(reference.contains(heading), "no table {heading}");
        }
    }

    #[test]
    fn tables_have_five_columns_in_every_row() {
        let reference = reference_markdown();
        let (_, tables) = reference.split_once("## CertificateAuthority").unwrap();
        let (tables, _) = tables.split_once("## Presets").unwrap();
        for row in tables.lines().filter(|line| line.starts_with('|')) {
            let bars = row.replace("\\|", "").matches('|').count();
            assert_eq!(bars, 6, "{row}");
        }
    }
}

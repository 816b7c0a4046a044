//! Server-side apply and merge patches, simplified: a list is one field, and belongs to whoever applied it; but for
//! conditions, which are merged by their type.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// Paths of leaves. Metadata that the server itself keeps is not among them.
pub(super) type Fields = BTreeSet<Vec<String>>;

/// The leaves of an object.
pub(super) fn fields(value: &Value) -> Fields {
    let mut found = Fields::new();
    collect(value, &mut Vec::new(), &mut found);
    found
}

/// The leaves that differ.
pub(super) fn changed_fields(old: &Value, new: &Value) -> Fields {
    let all: Fields = fields(old).union(&fields(new)).cloned().collect();
    all.into_iter().filter(|path| at(old, path) != at(new, path)).collect()
}

/// The manager has set these fields; nobody else owns them any more.
pub(super) fn take(owners: &mut BTreeMap<String, Fields>, manager: &str, fields: Fields) {
    for owned in owners.values_mut() {
        owned.retain(|path| !fields.contains(path));
    }
    owners.entry(manager.to_owned()).or_default().extend(fields);
}

/// Applies what a manager wants: it sets its fields, and those that it applied before and no longer wants disappear.
///
/// # Errors
/// The manager that owns a field which is set to something else, unless that is forced.
pub(super) fn apply(
    value: &mut Value,
    owners: &mut BTreeMap<String, Fields>,
    applied: &Value,
    manager: &str,
    force: bool,
) -> Result<(), String> {
    let wanted = fields(applied);
    for (other, owned) in owners.iter().filter(|(other, _)| *other != manager) {
        let contested =
            wanted.iter().any(|path| owned.contains(path) && at(value, path) != at(applied, path));
        if contested && !force {
            return Err(other.clone());
        }
    }
    let before = owners.remove(manager).unwrap_or_default();
    for path in before.difference(&wanted) {
        if !owners.values().any(|owned| owned.contains(path)) {
            remove(value, path);
        }
    }
    for path in &wanted {
        let Some(new) = at(applied, path) else { continue };
        for owned in owners.values_mut().filter(|_| at(value, path) != Some(new)) {
            owned.remove(path);
        }
        set(value, path, new.clone());
    }
    for member in ["apiVersion", "kind"] {
        if let (Value::Object(object), Some(given)) = (&mut *value, applied.get(member)) {
            object.insert(member.to_owned(), given.clone());
        }
    }
    owners.insert(manager.to_owned(), wanted);
    Ok(())
}

/// RFC 7396.
pub(super) fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let Value::Object(object) = value else { return };
    for (member, patch) in patch {
        if patch.is_null() {
            object.remove(member);
        } else {
            merge(object.entry(member).or_insert(Value::Null), patch);
        }
    }
}

fn collect(value: &Value, path: &mut Vec<String>, found: &mut Fields) {
    match value {
        Value::Object(object) if !object.is_empty() => {
            for (member, value) in object {
                path.push(member.clone());
                if !is_kept_by_the_server(path) {
                    collect(value, path, found);
                }
                path.pop();
            }
        }
        Value::Array(list) if is_keyed(path, list) => {
            for item in list {
                path.push(key(item));
                collect(item, path, found);
                path.pop();
            }
        }
        _ => {
            found.insert(path.clone());
        }
    }
}

/// Lists that are maps by `type`.
fn is_keyed(path: &[String], list: &[Value]) -> bool {
    path.last().is_some_and(|member| member == "conditions")
        && !list.is_empty()
        && list.iter().all(|item| item.get("type").is_some_and(Value::is_string))
}

/// An item of a keyed list in a path.
fn key(item: &Value) -> String {
    format!("type={}", item.get("type").and_then(Value::as_str).unwrap_or_default())
}

fn is_kept_by_the_server(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    matches!(
        path.as_slice(),
        ["apiVersion" | "kind"]
            | [
                "metadata",
                "name"
                    | "namespace"
                    | "uid"
                    | "resourceVersion"
                    | "generation"
                    | "creationTimestamp"
                    | "managedFields"
            ]
    )
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, member| match value {
        Value::Array(list) => list.iter().find(|item| key(item) == *member),
        other => other.get(member),
    })
}

fn set(value: &mut Value, path: &[String], to: Value) {
    let Some((member, rest)) = path.split_first() else {
        *value = to;
        return;
    };
    if let Some(kind) = member.strip_prefix("type=") {
        if !value.is_array() {
            *value = Value::Array(Vec::new());
        }
        let Value::Array(list) = value else { return };
        if !list.iter().any(|item| key(item) == *member) {
            list.push(serde_json::json!({ "type": kind }));
        }
        if let Some(item) = list.iter_mut().find(|item| key(item) == *member) {
            set(item, rest, to);
        }
        return;
    }
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(object) = value {
        set(object.entry(member).or_insert(Value::Null), rest, to);
    }
}

/// Removes a leaf, and what is empty without it.
fn remove(value: &mut Value, path: &[String]) {
    let Some((member, rest)) = path.split_first() else { return };
    match value {
        Value::Object(object) => {
            let Some(inner) = object.get_mut(member) else { return };
            if !rest.is_empty() {
                remove(inner, rest);
                if !is_empty(inner) {
                    return;
                }
            }
            object.remove(member);
        }
        Value::Array(list) => {
            if let Some(item) = list.iter_mut().find(|item| key(item) == *member) {
                remove(item, rest);
            }
            // Its key goes before the rest of an item, or after.
            list.retain(|item| !is_empty(item) && item.get("type").is_some());
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Object(object) => object.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

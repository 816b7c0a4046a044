//! The objects and what may happen to them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::apply::{self, Fields};

/// Names one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) group: String,
    pub(super) plural: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

impl Key {
    fn is_same_kind(&self, other: &Self) -> bool {
        self.group == other.group && self.plural == other.plural
    }
}

/// Why a change was refused: status code, reason, message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) u16, pub(super) &'static str, pub(super) String);

/// Something that happened, for watches.
#[derive(Clone, Debug)]
pub(super) struct Happening {
    pub(super) version: u64,
    pub(super) key: Key,
    pub(super) kind: &'static str,
    pub(super) object: Value,
}

#[derive(Debug, Default)]
struct Stored {
    value: Value,
    /// Which fields each manager has applied.
    owners: BTreeMap<String, Fields>,
}

#[derive(Debug, Default)]
pub(super) struct Objects {
    stored: BTreeMap<Key, Stored>,
    history: Vec<Happening>,
    version: u64,
    uids: u64,
}

impl Objects {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn skip_version(&mut self) {
        self.version += 1;
    }

    pub(super) fn get(&self, key: &Key) -> Option<&Value> {
        self.stored.get(key).map(|stored| &stored.value)
    }

    pub(super) fn of_kind<'a>(
        &'a self,
        group: &'a str,
        plural: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        self.stored
            .iter()
            .filter(move |(key, _)| key.group == group && key.plural == plural)
            .map(|(key, stored)| (key, &stored.value))
    }

    /// What happened to objects of this kind after `version`.
    pub(super) fn since(&self, version: u64, kind: &Key) -> Vec<Happening> {
        let from = self.history.partition_point(|happening| happening.version <= version);
        self.history[from..].iter().filter(|happening| happening.key.is_same_kind(kind)).cloned().collect()
    }

    pub(super) fn put(&mut self, key: &Key, value: Value) -> Value {
        let owners = self.stored.get(key).map(|stored| stored.owners.clone()).unwrap_or_default();
        self.store(key, value, owners, Part::Whole)
    }

    pub(super) fn create(&mut self, key: &Key, value: Value, manager: &str) -> Result<Value, Refusal> {
        if self.stored.contains_key(key) {
            return Err(Refusal(
                409,
                "AlreadyExists",
                format!("{} {:?} already exists", key.plural, key.name),
            ));
        }
        let owners = BTreeMap::from([(manager.to_owned(), apply::fields(&value))]);
        Ok(self.store(key, value, owners, Part::Spec))
    }

    pub(super) fn replace(
        &mut self,
        key: &Key,
        value: Value,
        manager: &str,
        part: Part,
    ) -> Result<Value, Refusal> {
        let stored = self.stored.get(key).ok_or_else(|| not_found(key))?;
        check_version(key, &stored.value, &value)?;
        let mut owners = stored.owners.clone();
        let changed = apply::changed_fields(&stored.value, &value);
        apply::take(&mut owners, manager, changed);
        Ok(self.store(key, value, owners, part))
    }

    /// A JSON merge patch (RFC 7396).
    pub(super) fn merge(
        &mut self,
        key: &Key,
        patch: &Value,
        manager: &str,
        part: Part,
    ) -> Result<Value, Refusal> {
        let stored = self.stored.get(key).ok_or_else(|| not_found(key))?;
        check_version(key, &stored.value, patch)?;
        let mut value = stored.value.clone();
        apply::merge(&mut value, patch);
        let mut owners = stored.owners.clone();
        let changed = apply::changed_fields(&stored.value, &value);
        apply::take(&mut owners, manager, changed);
        Ok(self.store(key, value, owners, part))
    }

    /// Server-side apply.
    pub(super) fn apply(
        &mut self,
        key: &Key,
        applied: &Value,
        manager: &str,
        force: bool,
        part: Part,
    ) -> Result<Value, Refusal> {
        let empty = Stored::default();
        let stored = match (self.stored.get(key), part) {
            (Some(stored), _) => stored,
            (None, Part::Whole | Part::Spec) => &empty,
            (None, Part::Status) => return Err(not_found(key)),
        };
        check_version(key, &stored.value, applied)?;
        let (mut value, mut owners) = (stored.value.clone(), stored.owners.clone());
        apply::apply(&mut value, &mut owners, applied, manager, force)
            .map_err(|owner| Refusal(409, "Conflict", format!("a field belongs to the manager {owner:?}")))?;
        Ok(self.store(key, value, owners, part))
    }

    /// Removes an object, or marks it where a finalizer keeps it; what only it owned goes with it.
    pub(super) fn delete(&mut self, key: &Key) -> Option<Value> {
        let stored = self.stored.get_mut(key)?;
        let finalizers =
            stored.value["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
        if !finalizers {
            return self.remove(key);
        }
        if stored.value["metadata"]["deletionTimestamp"].is_null() {
            let mut value = stored.value.clone();
            value["metadata"]["deletionTimestamp"] = json!("2026-11-21T00:00:00Z");
            let owners = stored.owners.clone();
            self.store(key, value, owners, Part::Whole);
        }
        self.get(key).cloned()
    }

    fn remove(&mut self, key: &Key) -> Option<Value> {
        let mut removed = self.stored.remove(key)?.value;
        self.version += 1;
        removed["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.happened(key, "DELETED", removed.clone());
        for orphan in self.orphans() {
            self.delete(&orphan);
        }
        Some(removed)
    }

    /// Objects whose owners are all gone. An owner in another namespace does not exist for the garbage collector.
    fn orphans(&self) -> Vec<Key> {
        let uids: BTreeSet<(Option<&str>, &str)> = self
            .stored
            .iter()
            .filter_map(|(key, stored)| {
                Some((key.namespace.as_deref(), stored.value["metadata"]["uid"].as_str()?))
            })
            .collect();
        let is_orphan = |(key, stored): &(&Key, &Stored)| {
            let owners = stored.value["metadata"]["ownerReferences"].as_array();
            owners.is_some_and(|owners| {
                let lives = |owner: &Value| {
                    let uid = owner["uid"].as_str().unwrap_or_default();
                    uids.contains(&(key.namespace.as_deref(), uid)) || uids.contains(&(None, uid))
                };
                !owners.is_empty() && !owners.iter().any(lives)
            })
        };
        self.stored.iter().filter(is_orphan).map(|(key, _)| key.clone()).collect()
    }

    fn store(&mut self, key: &Key, mut value: Value, owners: BTreeMap<String, Fields>, part: Part) -> Value {
        let old = self.stored.get(key).map(|stored| stored.value.clone());
        match (part, &old) {
            (Part::Whole, _) => {}
            (Part::Spec, old) if has_status(key) => {
                set_or_remove(&mut value, "status", old.as_ref().and_then(|old| old.get("status")).cloned());
            }
            (Part::Spec, _) | (Part::Status, None) => {}
            (Part::Status, Some(old)) => {
                let status = value.get("status").cloned();
                value = old.clone();
                set_or_remove(&mut value, "status", status);
            }
        }
        self.complete_meta(key, &mut value, old.as_ref());
        if old.as_ref() == Some(&value) {
            self.stored.insert(key.clone(), Stored { value: value.clone(), owners });
            return value;
        }
        self.version += 1;
        value["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let kind = if old.is_some() { "MODIFIED" } else { "ADDED" };
        self.stored.insert(key.clone(), Stored { value: value.clone(), owners });
        self.happened(key, kind, value.clone());
        let finalized = !value["metadata"]["deletionTimestamp"].is_null()
            && value["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty);
        if finalized {
            self.remove(key);
        }
        value
    }

    fn complete_meta(&mut self, key: &Key, value: &mut Value, old: Option<&Value>) {
        if let (Value::Object(secret), true) = (&mut *value, key.group.is_empty() && key.plural == "secrets")
        {
            fold_string_data(secret);
        }
        let mut generation = 1;
        if let Some(old) = old {
            generation = old["metadata"]["generation"].as_i64().unwrap_or(1);
            let changed = old.get("spec") != value.get("spec");
            generation += i64::from(changed);
        }
        let kept = |field: &str| old.map(|old| old["metadata"][field].clone()).filter(|kept| !kept.is_null());
        let (uid, version) = (kept("uid"), kept("resourceVersion"));
        let created = kept("creationTimestamp").unwrap_or_else(|| json!("2026-11-21T00:00:00Z"));
        if !value["metadata"].is_object() {
            value["metadata"] = json!({});
        }
        let meta = &mut value["metadata"];
        meta["name"] = json!(key.name);
        if let Some(namespace) = &key.namespace {
            meta["namespace"] = json!(namespace);
        }
        meta["generation"] = json!(generation);
        meta["creationTimestamp"] = created;
        meta["resourceVersion"] = version.unwrap_or_else(|| json!("0"));
        meta["uid"] = uid.unwrap_or_else(|| {
            self.uids += 1;
            json!(format!("00000000-0000-4000-8000-{:012}", self.uids))
        });
    }

    fn happened(&mut self, key: &Key, kind: &'static str, object: Value) {
        self.history.push(Happening { version: self.version, key: key.clone(), kind, object });
    }
}

/// Which part of an object a request may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    /// All but the status, where the kind keeps it apart.
    Spec,
    Status,
}

/// Kinds whose status is a subresource: all that have one and matter here.
fn has_status(key: &Key) -> bool {
    let built_in = [
        "pods",
        "services",
        "statefulsets",
        "deployments",
        "persistentvolumeclaims",
        "certificatesigningrequests",
    ];
    key.group.contains("chancery.dev")
        || key.group.contains("cert-manager")
        || built_in.contains(&key.plural.as_str())
}

fn set_or_remove(value: &mut Value, member: &str, to: Option<Value>) {
    let Value::Object(object) = value else { return };
    match to {
        Some(to) => object.insert(member.to_owned(), to),
        None => object.remove(member),
    };
}

fn fold_string_data(secret: &mut Map<String, Value>) {
    use base64::Engine as _;
    let Some(Value::Object(texts)) = secret.remove("stringData") else { return };
    let data = secret.entry("data").or_insert_with(|| json!({}));
    for (name, text) in texts {
        let bytes = text.as_str().unwrap_or_default().as_bytes();
        data[name] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
    }
}

fn check_version(key: &Key, stored: &Value, given: &Value) -> Result<(), Refusal> {
    for field in ["resourceVersion", "uid"] {
        let (expected, found) = (&given["metadata"][field], &stored["metadata"][field]);
        if !expected.is_null() && expected != "" && expected != found {
            let message = format!("{} {:?}: {field} is {found}, not {expected}", key.plural, key.name);
            return Err(Refusal(409, "Conflict", message));
        }
    }
    Ok(())
}

pub(super) fn not_found(key: &Key) -> Refusal {
    Refusal(404, "NotFound", format!("{} {:?} not found", key.plural, key.name))
}

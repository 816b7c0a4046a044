//! The Secrets that resources name, fetched by name: nobody here ever lists the content of Secrets.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::Value;

use super::{snapshot::Entry, snapshot::World, watches::Watches};

/// How many Secrets are fetched at one time.
const CONCURRENCY: usize = 16;

/// The Secrets that were fetched, until they change.
#[derive(Default)]
pub struct ReferencedSecrets {
    known: BTreeMap<ResourceName, Known>,
}

struct Known {
    version: Option<String>,
    secret: Option<Secret>,
}

impl std::fmt::Debug for ReferencedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.known.keys()).finish()
    }
}

impl ReferencedSecrets {
    /// The Secrets that the resources of `world` name, as they are now; those that do not exist are left out.
    ///
    /// # Errors
    /// Where one cannot be read that never was: it is not known then what it holds.
    pub async fn fetch(
        &mut self,
        client: &Client,
        watches: &Watches,
        world: &World,
    ) -> Result<Vec<Secret>, kube::Error> {
        let names = referenced(world);
        watches.refer_to_secrets(names.clone());
        self.known.retain(|name, _| names.contains(name));
        // Asked after `refer_to_secrets`, so that a change after this look wakes the loop.
        let changed = names.into_iter().filter_map(|name| {
            let version = watches.secret_version(&name);
            let is_known = self.known.get(&name).is_some_and(|known| known.version == version);
            (!is_known).then_some((name, version.is_some()))
        });
        let changed: Vec<(ResourceName, bool)> = changed.collect();
        let fetch = |(name, is_there): (ResourceName, bool)| async move {
            let api: Api<Secret> = Api::namespaced(client.clone(), name.namespace());
            let fetched = if is_there { api.get_opt(name.name()).await } else { Ok(None) };
            (name, fetched)
        };
        let mut fetched = stream::iter(changed.into_iter().map(fetch)).buffer_unordered(CONCURRENCY);
        let mut outcome = Ok(());
        while let Some((name, secret)) = fetched.next().await {
            match secret {
                Ok(secret) => {
                    let version = secret.as_ref().and_then(|secret| secret.metadata.resource_version.clone());
                    self.known.insert(name, Known { version, secret });
                }
                // What it held is better than nothing, which would take down what names it. It is asked for again.
                Err(error) if self.known.contains_key(&name) => {
                    tracing::warn!(secret = %name, %error, "a Secret cannot be read; what it held before stays");
                }
                Err(error) => outcome = Err(error),
            }
        }
        outcome?;
        Ok(self.known.values().filter_map(|known| known.secret.clone()).collect())
    }
}

/// Every Secret that a resource names: always in its own namespace, and always in a member `secretRef` or `secretKeyRef`.
fn referenced(world: &World) -> BTreeSet<ResourceName> {
    let mut found = BTreeSet::new();
    for (_, name, entry) in world.iter() {
        let Entry::Read(resource) = entry else { continue };
        let Ok(document) = resource.to_value() else { continue };
        if let Some(spec) = document.get("spec") {
            collect(spec, name.namespace(), &mut found);
        }
    }
    found
}

fn collect(value: &Value, namespace: &str, found: &mut BTreeSet<ResourceName>) {
    match value {
        Value::Object(members) => {
            for (member, value) in members {
                let target = value.get("name").and_then(Value::as_str);
                match (member.as_str(), target) {
                    ("secretRef" | "secretKeyRef", Some(target)) => {
                        found.insert(ResourceName::new(namespace, target));
                    }
                    _ => collect(value, namespace, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect(value, namespace, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

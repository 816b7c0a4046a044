//! Where the objects of each watch go.

use std::{collections::BTreeSet, sync::Arc};

use crds::Kind;
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Pod;
use kube::{api::DynamicObject, core::ObjectMeta};
use resolve::{name_of, resource_name};

use super::{
    decode,
    snapshot::{Entry, OwnedKind, Source},
    watches::State,
};

/// Where the objects of one source go.
pub(super) trait Sink: Send + 'static {
    type Object: Send;

    fn source(&self) -> Source;

    /// Puts one in place; says whether that may need a pass.
    fn put(&self, state: &mut State, object: Self::Object) -> bool;

    /// Removes one.
    fn remove(&self, state: &mut State, object: Self::Object) -> bool;

    /// Removes those of this namespace (none: all) that a complete list does not hold.
    fn retain(&self, state: &mut State, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool;

    fn name(&self, object: &Self::Object) -> ResourceName;
}

pub(super) struct ResourceSink(pub(super) Kind);

impl Sink for ResourceSink {
    type Object = DynamicObject;

    fn source(&self) -> Source {
        Source::Resources(self.0)
    }

    fn put(&self, state: &mut State, object: DynamicObject) -> bool {
        let (name, entry) = (self.name(&object), decode::entry(self.0, object));
        if let Entry::Undecodable { reason, .. } = &entry {
            tracing::warn!(kind = %self.0, %name, reason, "a resource cannot be read");
        }
        let meta = entry.meta().clone();
        let old = Arc::make_mut(&mut state.world.resources).insert((self.0, name), Arc::new(entry));
        old.is_none_or(|old| decode::is_news(self.0, old.meta(), &meta))
    }

    fn remove(&self, state: &mut State, object: DynamicObject) -> bool {
        Arc::make_mut(&mut state.world.resources).remove(&(self.0, self.name(&object))).is_some()
    }

    fn retain(&self, state: &mut State, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
        let resources = Arc::make_mut(&mut state.world.resources);
        let before = resources.len();
        resources.retain(|(kind, name), _| *kind != self.0 || stays(name, namespace, listed));
        resources.len() != before
    }

    fn name(&self, object: &DynamicObject) -> ResourceName {
        name_of(self.0, &object.metadata)
    }
}

pub(super) struct NamespaceSink;

impl Sink for NamespaceSink {
    type Object = ObjectMeta;

    fn source(&self) -> Source {
        Source::Namespaces
    }

    fn put(&self, state: &mut State, object: ObjectMeta) -> bool {
        let (name, labels) = (object.name.unwrap_or_default(), object.labels.unwrap_or_default());
        let old = Arc::make_mut(&mut state.world.namespaces).insert(name, labels.clone());
        old.is_none_or(|old| old != labels)
    }

    fn remove(&self, state: &mut State, object: ObjectMeta) -> bool {
        Arc::make_mut(&mut state.world.namespaces).remove(&object.name.unwrap_or_default()).is_some()
    }

    fn retain(&self, state: &mut State, _: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
        let namespaces = Arc::make_mut(&mut state.world.namespaces);
        let (before, listed) =
            (namespaces.len(), listed.iter().map(ResourceName::name).collect::<BTreeSet<_>>());
        namespaces.retain(|name, _| listed.contains(name.as_str()));
        namespaces.len() != before
    }

    fn name(&self, object: &ObjectMeta) -> ResourceName {
        resource_name(object)
    }
}

pub(super) struct SecretSink;

impl Sink for SecretSink {
    type Object = ObjectMeta;

    fn source(&self) -> Source {
        Source::Secrets
    }

    fn put(&self, state: &mut State, object: ObjectMeta) -> bool {
        let name = self.name(&object);
        let secret = decode::object(object);
        let old = state.versions.insert(name.clone(), secret.resource_version.clone());
        let changed = old.as_ref() != Some(&secret.resource_version);
        let mut ours = state.world.secrets.contains_key(&name);
        if secret.is_ours() {
            ours = true;
            if changed {
                Arc::make_mut(&mut state.world.secrets).insert(name.clone(), secret);
            }
        } else if ours {
            Arc::make_mut(&mut state.world.secrets).remove(&name);
        }
        changed && (ours || state.referenced.contains(&name))
    }

    fn remove(&self, state: &mut State, object: ObjectMeta) -> bool {
        let name = self.name(&object);
        state.versions.remove(&name);
        let ours = state.world.secrets.contains_key(&name);
        if ours {
            Arc::make_mut(&mut state.world.secrets).remove(&name);
        }
        ours || state.referenced.contains(&name)
    }

    fn retain(&self, state: &mut State, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
        let before = state.versions.len();
        state.versions.retain(|name, _| stays(name, namespace, listed));
        let removed = state.versions.len() != before;
        if removed {
            Arc::make_mut(&mut state.world.secrets).retain(|name, _| stays(name, namespace, listed));
        }
        removed
    }

    fn name(&self, object: &ObjectMeta) -> ResourceName {
        resource_name(object)
    }
}

pub(super) struct PodSink;

impl Sink for PodSink {
    type Object = Pod;

    fn source(&self) -> Source {
        Source::Pods
    }

    fn put(&self, state: &mut State, mut object: Pod) -> bool {
        object.spec = None;
        object.metadata.managed_fields = None;
        Arc::make_mut(&mut state.world.pods).insert(self.name(&object), Arc::new(object));
        true
    }

    fn remove(&self, state: &mut State, object: Pod) -> bool {
        Arc::make_mut(&mut state.world.pods).remove(&self.name(&object)).is_some()
    }

    fn retain(&self, state: &mut State, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
        let pods = Arc::make_mut(&mut state.world.pods);
        let before = pods.len();
        pods.retain(|name, _| stays(name, namespace, listed));
        pods.len() != before
    }

    fn name(&self, object: &Pod) -> ResourceName {
        resource_name(&object.metadata)
    }
}

pub(super) struct OwnedSink(pub(super) OwnedKind);

impl Sink for OwnedSink {
    type Object = ObjectMeta;

    fn source(&self) -> Source {
        Source::Owned(self.0)
    }

    fn put(&self, state: &mut State, object: ObjectMeta) -> bool {
        let (name, object) = (self.name(&object), decode::object(object));
        let version = object.resource_version.clone();
        let old = Arc::make_mut(&mut state.world.owned).insert((self.0, name), object);
        old.is_none_or(|old| old.resource_version != version)
    }

    fn remove(&self, state: &mut State, object: ObjectMeta) -> bool {
        Arc::make_mut(&mut state.world.owned).remove(&(self.0, self.name(&object))).is_some()
    }

    fn retain(&self, state: &mut State, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
        let owned = Arc::make_mut(&mut state.world.owned);
        let before = owned.len();
        owned.retain(|(kind, name), _| *kind != self.0 || stays(name, namespace, listed));
        owned.len() != before
    }

    fn name(&self, object: &ObjectMeta) -> ResourceName {
        resource_name(object)
    }
}

fn stays(name: &ResourceName, namespace: Option<&str>, listed: &BTreeSet<ResourceName>) -> bool {
    namespace.is_some_and(|namespace| namespace != name.namespace()) || listed.contains(name)
}

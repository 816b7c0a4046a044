//! Everything as it was at one moment.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{Kind, Resource};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Pod;
use kube::core::ObjectMeta;

/// What is watched; each is a list of its own, complete or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// One of our kinds.
    Resources(Kind),
    Namespaces,
    /// Metadata of Secrets, never their content.
    Secrets,
    /// Pods of servers.
    Pods,
    /// Metadata of what the operator has made.
    Owned(OwnedKind),
}

/// Kinds of objects that the operator makes, beside Secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnedKind {
    ConfigMap,
    Service,
    ServiceAccount,
    Role,
    RoleBinding,
    StatefulSet,
    Deployment,
    PodDisruptionBudget,
    NetworkPolicy,
    PersistentVolumeClaim,
    ClusterTrustBundle,
}

impl OwnedKind {
    /// Every kind.
    pub const ALL: &'static [Self] = &[
        Self::ConfigMap,
        Self::Service,
        Self::ServiceAccount,
        Self::Role,
        Self::RoleBinding,
        Self::StatefulSet,
        Self::Deployment,
        Self::PodDisruptionBudget,
        Self::NetworkPolicy,
        Self::PersistentVolumeClaim,
        Self::ClusterTrustBundle,
    ];

    /// Whether its objects lie in namespaces.
    pub const fn is_namespaced(self) -> bool {
        match self {
            Self::ConfigMap
            | Self::Service
            | Self::ServiceAccount
            | Self::Role
            | Self::RoleBinding
            | Self::StatefulSet
            | Self::Deployment
            | Self::PodDisruptionBudget
            | Self::NetworkPolicy
            | Self::PersistentVolumeClaim => true,
            Self::ClusterTrustBundle => false,
        }
    }
}

/// A resource, or what cannot be read as one.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Read(Resource),
    /// A newer release wrote it, or a CRD without its rules let it through. It takes part in nothing; its status says why.
    Undecodable {
        meta: Box<ObjectMeta>,
        reason: String,
    },
}

impl Entry {
    pub fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Read(resource) => resource.meta(),
            Self::Undecodable { meta, .. } => meta,
        }
    }
}

/// Metadata of an object, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    pub uid: String,
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// It is being deleted.
    pub deleting: bool,
}

impl Object {
    /// Whether the operator made it.
    pub fn is_ours(&self) -> bool {
        self.labels.get(crds::labels::MANAGED_BY).map(String::as_str) == Some(crds::labels::MANAGER)
    }

    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.get(key).map(String::as_str)
    }
}

/// Everything as it was at one moment. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub(super) resources: Arc<BTreeMap<(Kind, ResourceName), Arc<Entry>>>,
    pub(super) namespaces: Arc<BTreeMap<String, BTreeMap<String, String>>>,
    pub(super) secrets: Arc<BTreeMap<ResourceName, Object>>,
    pub(super) pods: Arc<BTreeMap<ResourceName, Arc<Pod>>>,
    pub(super) owned: Arc<BTreeMap<(OwnedKind, ResourceName), Object>>,
    pub(super) complete: Arc<BTreeSet<Source>>,
}

impl World {
    /// One resource; cluster-scoped ones have the namespace [`CLUSTER_SCOPE`](resolve::CLUSTER_SCOPE).
    pub fn get(&self, kind: Kind, name: &ResourceName) -> Option<&Entry> {
        self.resources.get(&(kind, name.clone())).map(Arc::as_ref)
    }

    /// All of one kind, sorted by name.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&ResourceName, &Entry)> {
        self.iter().filter(move |(found, ..)| *found == kind).map(|(_, name, entry)| (name, entry))
    }

    /// All resources, sorted by kind and name.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &ResourceName, &Entry)> {
        self.resources.iter().map(|((kind, name), entry)| (*kind, name, entry.as_ref()))
    }

    /// The labels of each namespace.
    pub fn namespaces(&self) -> &BTreeMap<String, BTreeMap<String, String>> {
        &self.namespaces
    }

    /// Metadata of a Secret.
    pub fn secret(&self, name: &ResourceName) -> Option<&Object> {
        self.secrets.get(name)
    }

    /// Metadata of all Secrets.
    pub fn secrets(&self) -> impl Iterator<Item = (&ResourceName, &Object)> {
        self.secrets.iter()
    }

    /// Pods of servers.
    pub fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.pods.values().map(Arc::as_ref)
    }

    /// Metadata of one object that the operator made.
    pub fn owned(&self, kind: OwnedKind, name: &ResourceName) -> Option<&Object> {
        self.owned.get(&(kind, name.clone()))
    }

    /// Metadata of all objects of a kind that the operator made.
    pub fn owned_of_kind(&self, kind: OwnedKind) -> impl Iterator<Item = (&ResourceName, &Object)> {
        self.owned
            .iter()
            .filter(move |((found, _), _)| *found == kind)
            .map(|((_, name), object)| (name, object))
    }

    /// Whether all there is of it was listed. Absence says something only then, and what is removed because something else is
    /// absent is looked for once more before (`live.rs`).
    pub fn is_complete(&self, source: Source) -> bool {
        self.complete.contains(&source)
    }

    /// Whether every kind of resource is complete: only then is there something to resolve.
    pub fn has_all_resources(&self) -> bool {
        Kind::ALL.iter().all(|kind| self.is_complete(Source::Resources(*kind)))
    }
}

#[cfg(test)]
impl World {
    /// These resources and nothing else.
    pub(crate) fn holding(resources: impl IntoIterator<Item = Resource>) -> Self {
        let entry = |resource: Resource| {
            let name = resolve::resource_name(resource.meta());
            ((resource.kind(), name), Arc::new(Entry::Read(resource)))
        };
        Self { resources: Arc::new(resources.into_iter().map(entry).collect()), ..Self::default() }
    }

    /// A Secret and nothing else.
    pub(crate) fn holding_secret(secret: &k8s_openapi::api::core::v1::Secret) -> Self {
        let meta = &secret.metadata;
        let resource_version = meta.resource_version.clone().unwrap_or_default();
        let found = (resolve::resource_name(meta), Object { resource_version, ..Object::default() });
        Self { secrets: Arc::new(BTreeMap::from([found])), ..Self::default() }
    }

    /// One resource that cannot be read.
    pub(crate) fn holding_unreadable(kind: Kind, name: &ResourceName) -> Self {
        let meta = ObjectMeta {
            namespace: Some(name.namespace().to_owned()),
            name: Some(name.name().to_owned()),
            ..ObjectMeta::default()
        };
        let entry = Entry::Undecodable { meta: Box::new(meta), reason: "of a later release".to_owned() };
        let resources = BTreeMap::from([((kind, name.clone()), Arc::new(entry))]);
        Self { resources: Arc::new(resources), ..Self::default() }
    }
}

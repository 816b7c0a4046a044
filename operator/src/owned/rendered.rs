//! An object as it is to be.

use aws_lc_rs::digest::{SHA256, digest};
use issuance::identity::ResourceName;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    certificates::v1beta1::ClusterTrustBundle,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::NetworkPolicy,
    policy::v1::PodDisruptionBudget,
    rbac::v1::{Role, RoleBinding},
};
use kube::core::{ApiResource, Resource};
use resolve::resource_name;
use serde::Serialize;
use serde_json::Value;

use crate::world::OwnedKind;

/// A type of Kubernetes that is one of the kinds that the operator makes.
pub trait OwnedObject: Resource<DynamicType = ()> + Serialize {
    const KIND: OwnedKind;
}

macro_rules! owned_objects {
    ($($kind:ident),+ $(,)?) => {
        $(impl OwnedObject for $kind {
            const KIND: OwnedKind = OwnedKind::$kind;
        })+

        /// How the API server calls objects of this kind.
        pub fn api_resource(kind: OwnedKind) -> ApiResource {
            match kind { $(OwnedKind::$kind => ApiResource::erase::<$kind>(&())),+ }
        }
    };
}

owned_objects!(
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
);

/// An object as it is to be: every member that the operator decides, and no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Rendered {
    kind: OwnedKind,
    name: ResourceName,
    namespace: Option<String>,
    value: Value,
}

/// Why an object cannot be written down; no object of these types causes it.
#[derive(Debug, thiserror::Error)]
#[error("the object cannot be written as JSON")]
pub struct RenderError(#[from] serde_json::Error);

impl Rendered {
    /// # Errors
    /// [`RenderError`], where serializing fails.
    pub fn of<K: OwnedObject>(object: &K) -> Result<Self, RenderError> {
        let meta = object.meta();
        Ok(Self {
            kind: K::KIND,
            name: resource_name(meta),
            namespace: meta.namespace.clone(),
            value: serde_json::to_value(object)?,
        })
    }

    pub fn kind(&self) -> OwnedKind {
        self.kind
    }

    /// Its name; with the namespace that [`resource_name`] gives it where it is in none.
    pub fn name(&self) -> &ResourceName {
        &self.name
    }

    /// None: it is cluster-scoped.
    pub fn namespace(&self) -> Option<&str> {
        self.namespace.as_deref()
    }

    /// The document, with `apiVersion` and `kind`.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Tells this document from any other one.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut fingerprint = [0; 32];
        // A map of serde_json is sorted, so the same document gives the same bytes.
        fingerprint.copy_from_slice(digest(&SHA256, self.value.to_string().as_bytes()).as_ref());
        fingerprint
    }
}

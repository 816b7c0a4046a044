//! Makes objects what they are to be.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crds::labels::FIELD_MANAGER;
use issuance::identity::ResourceName;
use kube::{
    Api, Client,
    api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions},
    core::PartialObjectMeta,
};
use serde_json::Value;
use tokio::time::Instant;

use super::rendered::{Rendered, api_resource};
use crate::world::{self, OwnedKind, World};

/// Keeps objects as they were rendered, and remembers what the API server said of each, so that a pass in which nothing changed
/// costs no call. Whatever somebody else writes to an object gives it another version, and with that it is applied again.
#[derive(Debug, Default)]
pub struct Keeper {
    known: Mutex<BTreeMap<(OwnedKind, ResourceName), Known>>,
    /// Kinds that the API server did not know, and when it was asked.
    missing: Mutex<BTreeMap<OwnedKind, Instant>>,
}

/// How long a kind that the API server did not know is not asked for again.
const MISSING_FOR: Duration = Duration::from_secs(300);

/// What the API server last said of an object.
#[derive(Debug)]
struct Known {
    /// Of what was applied; none: it was only read.
    fingerprint: Option<[u8; 32]>,
    version: String,
    object: Arc<DynamicObject>,
}

/// Why an object is not what it is to be.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// It is left alone.
    #[error("{object} was not made for this: {why}")]
    Foreign { object: String, why: String },
    /// The API server does not know the kind, or not this version of it.
    #[error("the API server has no {0}")]
    NoSuchKind(String),
    /// The API server refused it: trying again gives the same answer until something changes.
    #[error("{object} is refused: {message}")]
    Refused { object: String, message: String },
    #[error("{object} cannot be read or written")]
    Api {
        object: String,
        #[source]
        source: Box<kube::Error>,
    },
}

impl KeepError {
    /// Whether the same call may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Api { .. } => true,
            Self::Foreign { .. } | Self::NoSuchKind(_) | Self::Refused { .. } => false,
        }
    }

    /// With what caused it.
    pub fn text(&self) -> String {
        crate::api::sentence(self)
    }

    fn no_such(kind: OwnedKind) -> Self {
        let resource = api_resource(kind);
        Self::NoSuchKind(format!("{} ({})", resource.kind, resource.api_version))
    }

    fn of(rendered: impl fmt::Display, kind: OwnedKind, error: kube::Error) -> Self {
        let object = rendered.to_string();
        let kube::Error::Api(status) = &error else {
            return Self::Api { object, source: Box::new(error) };
        };
        match status.code {
            // A path that the API server does not know, rather than an object; some versions answer plain text.
            404 if status.reason != "NotFound" || status.message.contains("requested resource") => {
                Self::no_such(kind)
            }
            400 | 403 | 405 | 422 => Self::Refused { object, message: status.message.clone() },
            _ => Self::Api { object, source: Box::new(error) },
        }
    }
}

/// Says why an object with these labels is not ours to write, where it is not.
pub type Ownership<'a> = dyn Fn(&BTreeMap<String, String>) -> Result<(), String> + Send + Sync + 'a;

impl Keeper {
    /// Makes the object what it is to be, unless it is, and says what it is now, its status included.
    ///
    /// # Errors
    /// [`KeepError::Foreign`] where there is one by that name which `ownership` refuses; it is not touched.
    pub async fn keep(
        &self,
        client: &Client,
        world: &World,
        rendered: &Rendered,
        ownership: &Ownership<'_>,
    ) -> Result<Arc<DynamicObject>, KeepError> {
        let (kind, name) = (rendered.kind(), rendered.name());
        if self.is_missing(kind) {
            return Err(KeepError::no_such(kind));
        }
        let api = api(client, kind, rendered.namespace());
        let text = describe(kind, rendered.namespace(), name.name());
        let failed = |error| KeepError::of(&text, kind, error);
        let found = match world.owned(kind, name) {
            Some(object) => Some((object.labels.clone(), object.resource_version.clone())),
            None => api.get_metadata_opt(name.name()).await.map_err(failed)?.map(labels_and_version),
        };
        let fingerprint = rendered.fingerprint();
        if let Some((labels, version)) = &found {
            ownership(labels).map_err(|why| KeepError::Foreign { object: text.clone(), why })?;
            if let Some(known) = self.known().get(&(kind, name.clone()))
                && known.fingerprint == Some(fingerprint)
                && known.version == *version
            {
                return Ok(Arc::clone(&known.object));
            }
        }
        let parameters = PatchParams::apply(FIELD_MANAGER).force();
        let applied = api.patch(name.name(), &parameters, &Patch::Apply(rendered.value())).await;
        let object = applied.map_err(failed).inspect_err(|error| self.note_missing(kind, error))?;
        tracing::debug!(object = %text, "applied");
        Ok(self.remember(kind, name, Some(fingerprint), object))
    }

    /// Reads an object that somebody else writes, again only when its version changed. None: there is none.
    ///
    /// # Errors
    /// [`KeepError::Api`].
    pub async fn read(
        &self,
        client: &Client,
        world: &World,
        kind: OwnedKind,
        name: &ResourceName,
    ) -> Result<Option<Arc<DynamicObject>>, KeepError> {
        if let Some(listed) = world.owned(kind, name)
            && let Some(known) = self.known().get(&(kind, name.clone()))
            && known.version == listed.resource_version
        {
            return Ok(Some(Arc::clone(&known.object)));
        }
        let text = describe(kind, Some(name.namespace()), name.name());
        let found = api(client, kind, Some(name.namespace())).get_opt(name.name()).await;
        Ok(found
            .map_err(|error| KeepError::of(&text, kind, error))?
            .map(|object| self.remember(kind, name, None, object)))
    }

    /// What was last seen of an object, read only where it was never seen; good for what never changes. None: there is none, or
    /// it is not the operator's.
    ///
    /// # Errors
    /// [`KeepError::Api`].
    pub async fn recall(
        &self,
        client: &Client,
        world: &World,
        kind: OwnedKind,
        name: &ResourceName,
    ) -> Result<Option<Arc<DynamicObject>>, KeepError> {
        let Some(listed) = world.owned(kind, name) else { return Ok(None) };
        if let Some(known) = self.known().get(&(kind, name.clone()))
            && known.object.metadata.uid.as_ref() == Some(&listed.uid)
        {
            return Ok(Some(Arc::clone(&known.object)));
        }
        self.read(client, world, kind, name).await
    }

    /// Changes single members of an object that something else makes.
    ///
    /// # Errors
    /// [`KeepError::Refused`] where the API server does not allow the change.
    pub async fn change(
        &self,
        client: &Client,
        kind: OwnedKind,
        name: &ResourceName,
        patch: &Value,
    ) -> Result<(), KeepError> {
        let text = describe(kind, Some(name.namespace()), name.name());
        let parameters =
            PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        let object = api(client, kind, Some(name.namespace()))
            .patch(name.name(), &parameters, &Patch::Merge(patch))
            .await
            .map_err(|error| KeepError::of(&text, kind, error))?;
        self.remember(kind, name, None, object);
        Ok(())
    }

    /// Removes an object, if it is still the one that was looked at. One that is gone is no error.
    ///
    /// # Errors
    /// [`KeepError::Api`], and [`KeepError::Refused`] where our role does not allow it.
    pub async fn remove(
        &self,
        client: &Client,
        kind: OwnedKind,
        namespace: Option<&str>,
        name: &ResourceName,
        object: &world::Object,
    ) -> Result<(), KeepError> {
        let preconditions = Preconditions { uid: Some(object.uid.clone()), resource_version: None };
        let parameters = DeleteParams::background().preconditions(preconditions);
        let removed = api(client, kind, namespace).delete(name.name(), &parameters).await;
        self.known().remove(&(kind, name.clone()));
        let text = describe(kind, namespace, name.name());
        match removed {
            Ok(_) => tracing::info!(object = %text, "removed"),
            // Gone, or another one by that name.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => return Err(KeepError::of(text, kind, error)),
        }
        Ok(())
    }

    fn is_missing(&self, kind: OwnedKind) -> bool {
        let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        missing.get(&kind).is_some_and(|asked| asked.elapsed() < MISSING_FOR)
    }

    fn note_missing(&self, kind: OwnedKind, error: &KeepError) {
        if let KeepError::NoSuchKind(_) = error {
            self.missing.lock().unwrap_or_else(PoisonError::into_inner).insert(kind, Instant::now());
        }
    }

    fn remember(
        &self,
        kind: OwnedKind,
        name: &ResourceName,
        fingerprint: Option<[u8; 32]>,
        mut object: DynamicObject,
    ) -> Arc<DynamicObject> {
        object.metadata.managed_fields = None;
        let version = object.metadata.resource_version.clone().unwrap_or_default();
        let object = Arc::new(object);
        let known = Known { fingerprint, version, object: Arc::clone(&object) };
        self.known().insert((kind, name.clone()), known);
        object
    }

    /// Nothing is left half done where a thread panics.
    fn known(&self) -> MutexGuard<'_, BTreeMap<(OwnedKind, ResourceName), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn api(client: &Client, kind: OwnedKind, namespace: Option<&str>) -> Api<DynamicObject> {
    let resource = api_resource(kind);
    match namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
        None => Api::all_with(client.clone(), &resource),
    }
}

fn labels_and_version(meta: PartialObjectMeta<DynamicObject>) -> (BTreeMap<String, String>, String) {
    (meta.metadata.labels.unwrap_or_default(), meta.metadata.resource_version.unwrap_or_default())
}

/// An object as messages name it: `Service pki/devices`.
fn describe(kind: OwnedKind, namespace: Option<&str>, name: &str) -> String {
    let kind = api_resource(kind).kind;
    match namespace {
        Some(namespace) => format!("{kind} {namespace}/{name}"),
        None => format!("{kind} {name}"),
    }
}

//! Secrets of ours in one namespace: created, replaced in the version that was read, never taken over.

use std::{collections::BTreeMap, fmt};

use crds::labels::{self, FIELD_MANAGER};
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams, Preconditions},
    core::ObjectMeta,
};

use super::ProvisionError;

const PAGE: u32 = 250;

/// Secrets in one namespace.
#[derive(Clone)]
pub(super) struct Vault {
    api: Api<Secret>,
    namespace: String,
}

/// What came of creating a Secret.
#[derive(Debug)]
pub(super) enum Created {
    Made(Box<Secret>),
    /// There is one by this name already.
    Exists,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Vault {
    pub(super) fn new(client: Client, namespace: &str) -> Self {
        Self { api: Api::namespaced(client, namespace), namespace: namespace.to_owned() }
    }

    /// The name of a Secret here, for messages.
    pub(super) fn name(&self, name: &str) -> ResourceName {
        ResourceName::new(self.namespace.clone(), name)
    }

    /// A Secret that is ours, still to be created.
    pub(super) fn secret(&self, name: &str, type_: &str, data: BTreeMap<String, ByteString>) -> Secret {
        let ours = (labels::MANAGED_BY.to_owned(), labels::MANAGER.to_owned());
        Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(self.namespace.clone()),
                labels: Some([ours].into()),
                ..ObjectMeta::default()
            },
            type_: Some(type_.to_owned()),
            data: Some(data),
            ..Secret::default()
        }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Secret>, ProvisionError> {
        self.api.get_opt(name).await.map_err(|source| self.failed(name, "read", source))
    }

    /// All of ours with this value of [`HOLDS`](labels::HOLDS).
    pub(super) async fn list(&self, holds: &str) -> Result<Vec<Secret>, ProvisionError> {
        let ours = format!("{}={},{}={holds}", labels::MANAGED_BY, labels::MANAGER, labels::HOLDS);
        let mut parameters = ListParams::default().labels(&ours).limit(PAGE);
        let mut found = Vec::new();
        loop {
            let page =
                self.api.list(&parameters).await.map_err(|source| ProvisionError::List(Box::new(source)))?;
            found.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(found),
            }
        }
    }

    pub(super) async fn create(&self, secret: &Secret) -> Result<Created, ProvisionError> {
        match self.api.create(&posted(), secret).await {
            Ok(made) => Ok(Created::Made(Box::new(made))),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(Created::Exists),
            Err(source) => Err(self.failed(own_name(secret), "created", source)),
        }
    }

    /// Replaces a Secret that was read before, as its resource version says.
    pub(super) async fn replace(&self, secret: &Secret) -> Result<Secret, ProvisionError> {
        let name = own_name(secret);
        match self.api.replace(name, &posted(), secret).await {
            Ok(replaced) => Ok(replaced),
            // Gone: whoever deleted it was faster.
            Err(kube::Error::Api(status)) if status.code == 409 || status.code == 404 => {
                Err(ProvisionError::Conflict(self.name(name)))
            }
            Err(source) => Err(self.failed(name, "written", source)),
        }
    }

    /// Deletes exactly the Secret that was read before. One that is gone already is no error.
    pub(super) async fn delete(&self, meta: &ObjectMeta) -> Result<(), ProvisionError> {
        let name = meta.name.as_deref().unwrap_or_default();
        let exactly =
            Preconditions { uid: meta.uid.clone(), resource_version: meta.resource_version.clone() };
        let parameters = DeleteParams::default().preconditions(exactly);
        match self.api.delete(name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {
                Err(ProvisionError::Conflict(self.name(name)))
            }
            Err(source) => Err(self.failed(name, "deleted", source)),
        }
    }

    fn failed(&self, name: &str, what: &'static str, source: kube::Error) -> ProvisionError {
        ProvisionError::Api { secret: self.name(name), what, source: Box::new(source) }
    }
}

/// Whether the operator made it.
pub(super) fn is_ours(meta: &ObjectMeta) -> bool {
    label(meta, labels::MANAGED_BY) == Some(labels::MANAGER)
}

pub(super) fn label<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.labels.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn annotation<'a>(meta: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    meta.annotations.as_ref()?.get(key).map(String::as_str)
}

pub(super) fn set_label(meta: &mut ObjectMeta, key: &str, value: &str) {
    meta.labels.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

pub(super) fn set_annotation(meta: &mut ObjectMeta, key: &str, value: &str) {
    meta.annotations.get_or_insert_default().insert(key.to_owned(), value.to_owned());
}

/// The bytes under a key.
pub(super) fn bytes<'a>(secret: &'a Secret, key: &str) -> Option<&'a [u8]> {
    secret.data.as_ref()?.get(key).map(|bytes| bytes.0.as_slice())
}

fn posted() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() }
}

fn own_name(secret: &Secret) -> &str {
    secret.metadata.name.as_deref().unwrap_or_default()
}

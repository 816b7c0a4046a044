//! What is known of the Secrets of one server without reading them again.

use std::collections::BTreeMap;

use crds::labels;
use issuance::identity::ResourceName;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta},
};
use resolve::parts::{Manifest, ManifestIndex, Part, sha256_hex};

use super::ManifestSigner;
use crate::world::World;

/// A part may have a megabyte.
const PAGE: u32 = 50;

/// The Secrets of one server.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    /// By name.
    known: BTreeMap<String, Known>,
    /// The newest manifest that was written or found, if its signature is ours.
    pub(super) manifest: Option<Manifest>,
    /// The highest generation that was written or found with our signature, whether or not its lists were there too.
    pub(super) generation: u64,
    /// Parts of that manifest by their SHA-256, as far as somebody had to know what they hold.
    pub(super) contents: BTreeMap<String, Part>,
}

/// A Secret as it was last read or written.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// Of what it holds.
    pub(super) sha256: String,
    pub(super) version: String,
}

impl Shelf {
    /// Reads everything that is there.
    pub(super) async fn read(
        client: &Client,
        server: &ResourceName,
        signer: &dyn ManifestSigner,
    ) -> Result<Self, kube::Error> {
        let api: Api<Secret> = Api::namespaced(client.clone(), server.namespace());
        let ours = format!("{}={},{}={}", labels::MANAGED_BY, labels::MANAGER, labels::SERVER, server.name());
        let mut parameters = ListParams::default().labels(&ours).limit(PAGE);
        let (mut shelf, mut index, mut lists) = (Self::default(), None, BTreeMap::new());
        let manifest = labels::manifest_secret_name(server.name());
        loop {
            let page = api.list(&parameters).await?;
            for secret in page.items {
                let name = secret.metadata.name.clone().unwrap_or_default();
                shelf.put(&name, digest(&secret), &secret.metadata);
                if name == manifest {
                    index = verified(&secret, signer);
                }
                if let Some(json) = list(secret) {
                    lists.insert(name, json);
                }
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => break,
            }
        }
        let complete = |index: ManifestIndex| {
            index.complete(|secret| lists.get(secret).map(|json: &ByteString| json.0.as_slice())).ok()
        };
        shelf.generation = index.as_ref().map_or(0, ManifestIndex::generation);
        shelf.manifest = index.and_then(complete);
        Ok(shelf)
    }

    /// Reads everything again. What was known of the newest manifest is forgotten only where there is a newer one.
    pub(super) async fn read_again(
        &mut self,
        client: &Client,
        server: &ResourceName,
        signer: &dyn ManifestSigner,
    ) -> Result<(), kube::Error> {
        let before = std::mem::replace(self, Self::read(client, server, signer).await?);
        self.generation = self.generation.max(before.generation);
        let of = |manifest: &Option<Manifest>| manifest.as_ref().map_or(0, |manifest| manifest.generation);
        if of(&before.manifest) > of(&self.manifest) {
            self.manifest = before.manifest;
        }
        Ok(())
    }

    /// Whether the server has no Secret at all.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What was last read or written, and whether the watch says that it is still so. A watch may lag behind what was just
    /// written: where it says something else, the API server knows better.
    pub(super) fn known(&self, world: &World, name: &ResourceName) -> Option<(&Known, bool)> {
        let known = self.known.get(name.name())?;
        let seen = world.secret(name).map(|secret| secret.resource_version.as_str());
        Some((known, seen == Some(&known.version)))
    }

    /// It was read or written.
    pub(super) fn put(&mut self, name: &str, sha256: String, meta: &ObjectMeta) {
        let version = meta.resource_version.clone().unwrap_or_default();
        self.known.insert(name.to_owned(), Known { sha256, version });
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.known.remove(name);
    }
}

/// Over everything that it holds.
pub(super) fn digest(secret: &Secret) -> String {
    let mut bytes = Vec::new();
    for (key, value) in secret.data.iter().flatten() {
        bytes.extend_from_slice(key.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(sha256_hex(&value.0).as_bytes());
    }
    sha256_hex(&bytes)
}

/// What a Secret says is to be served, if it was signed by us.
fn verified(secret: &Secret, signer: &dyn ManifestSigner) -> Option<ManifestIndex> {
    let data = secret.data.as_ref()?;
    let (json, signature) = (&data.get(labels::MANIFEST_KEY)?.0, &data.get(labels::SIGNATURE_KEY)?.0);
    signer.is_signed(json, signature).then(|| ManifestIndex::from_json(json).ok()).flatten()
}

/// What a Secret holds that is a list of a manifest.
fn list(secret: Secret) -> Option<ByteString> {
    let label = secret.metadata.labels.as_ref()?.get(labels::PART)?;
    let is_list = label == labels::PART_LIST;
    secret.data.filter(|_| is_list)?.remove(labels::PART_KEY)
}

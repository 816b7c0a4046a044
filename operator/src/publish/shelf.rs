//! What is known of the Secrets of one server without reading them again.

use std::collections::BTreeMap;

use crds::labels;
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{ListParams, ObjectMeta},
};
use resolve::parts::{Manifest, sha256_hex};

use super::{ManifestSigner, secrets::is_ours};
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
}

/// A Secret as it was last read or written.
#[derive(Debug)]
struct Known {
    /// Of what it holds.
    sha256: String,
    version: String,
    /// It was written, and this is what the watch said of it before: until the watch has caught up, that is no news.
    before: Option<Option<String>>,
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
        let mut shelf = Self::default();
        let manifest = labels::manifest_secret_name(server.name());
        loop {
            let page = api.list(&parameters).await?;
            for secret in page.items {
                let name = secret.metadata.name.clone().unwrap_or_default();
                if name == manifest {
                    shelf.manifest = verified(&secret, signer);
                }
                shelf.put(&name, digest(&secret), &secret.metadata, None);
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => parameters = parameters.continue_token(&token),
                None => return Ok(shelf),
            }
        }
    }

    /// Whether the Secret is there and holds this, as far as the watch knows.
    pub(super) fn holds(&mut self, world: &World, name: &ResourceName, sha256: &str) -> bool {
        let Some(known) = self.known.get_mut(name.name()) else { return false };
        let seen = world.secret(name).map(|secret| secret.resource_version.clone());
        if seen.as_ref() == Some(&known.version) {
            known.before = None;
        } else if known.before.as_ref() != Some(&seen) {
            return false;
        }
        known.sha256 == sha256
    }

    /// Whether the manifest is there as it was written, signature and all, as far as the watch knows.
    pub(super) fn holds_manifest(&mut self, world: &World, name: &ResourceName) -> bool {
        let held = self.known.get(name.name()).map(|known| known.sha256.clone());
        held.is_some_and(|held| self.holds(world, name, &held))
    }

    /// It was read or written: `before` is what the watch said when it was written.
    pub(super) fn put(
        &mut self,
        name: &str,
        sha256: String,
        meta: &ObjectMeta,
        before: Option<Option<String>>,
    ) {
        let version = meta.resource_version.clone().unwrap_or_default();
        self.known.insert(name.to_owned(), Known { sha256, version, before });
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
pub(super) fn verified(secret: &Secret, signer: &dyn ManifestSigner) -> Option<Manifest> {
    let data = secret.data.as_ref()?;
    let (json, signature) = (&data.get(labels::MANIFEST_KEY)?.0, &data.get(labels::SIGNATURE_KEY)?.0);
    signer.is_signed(json, signature).then(|| Manifest::from_json(json).ok()).flatten()
}

/// Looks once more who made a Secret, before it is written.
pub(super) async fn is_free_or_ours(
    api: &Api<Secret>,
    name: &str,
    server: &ResourceName,
) -> Result<bool, kube::Error> {
    let found = api.get_metadata_opt(name).await?;
    Ok(found.is_none_or(|found| is_ours(&found.metadata, server)))
}

//! In which order a configuration is published, and what may be left as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use crds::{
    Kind,
    labels::{self, FIELD_MANAGER},
};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions},
};
use resolve::parts::{Manifest, Part, PartKind, WrittenManifest};

use super::{
    ManifestSigner, PublishError, Published, carried, secrets,
    shelf::{Known, Shelf, digest},
};
use crate::world::{Object, Source, World};

/// How many Secrets are written at one time.
pub(super) const CONCURRENCY: usize = 16;

/// After this everything is read again, whatever the watches said.
const FORGET: Duration = Duration::from_secs(1800);

/// What is to be published.
#[derive(Debug)]
pub struct Order<'a> {
    pub server: &'a ResourceName,
    /// Of the EnrollmentServer.
    pub uid: &'a str,
    pub parts: Vec<Part>,
    /// Of the resources that parts are for.
    pub uids: BTreeMap<(PartKind, ResourceName), String>,
    /// Resources that cannot be read. What replicas serve now of them stays as it is, and so does what refers to it: see
    /// `carried.rs`.
    pub unreadable: BTreeSet<(PartKind, ResourceName)>,
    /// The highest generation that a replica has in force, 0 where none is known: nothing below is taken by it.
    pub in_force: u64,
    /// Seconds since 1970. Generations are not below, so that one that was lost is not given again.
    pub now: u64,
}

/// Publishes, and remembers what it has written.
#[derive(Debug, Default)]
pub struct Publisher {
    shelves: BTreeMap<ResourceName, (Shelf, Option<Instant>)>,
    last: BTreeMap<ResourceName, Arc<Published>>,
}

impl Publisher {
    /// Makes the Secrets of a server what they are to be. What is so already is not written again.
    ///
    /// # Errors
    /// [`PublishError`]; parts may have been written then, but no manifest: replicas keep what they serve.
    pub async fn publish(
        &mut self,
        client: &Client,
        world: &World,
        signer: &dyn ManifestSigner,
        order: Order<'_>,
    ) -> Result<Arc<Published>, PublishError> {
        let server = order.server;
        let list = |source| PublishError::List { server: server.clone(), source: Box::new(source) };
        let remembered =
            self.shelves.remove(server).filter(|(_, read)| read.is_some_and(|read| read.elapsed() < FORGET));
        let (mut shelf, read) = match remembered {
            Some(remembered) => remembered,
            None => (Shelf::read(client, server, signer).await.map_err(list)?, Some(Instant::now())),
        };
        let published = Pass { client, world, signer, order, shelf: &mut shelf }.run().await;
        // What failed halfway is read again.
        let read = read.filter(|_| published.is_ok());
        self.shelves.insert(server.clone(), (shelf, read));
        if let Ok(published) = &published {
            self.last.insert(server.clone(), published.clone());
        }
        published
    }

    /// What was last published, or found published, by this value.
    pub fn last(&self, server: &ResourceName) -> Option<Arc<Published>> {
        self.last.get(server).cloned()
    }

    /// Removes parts that the manifest does not list. Says how many.
    ///
    /// # Errors
    /// Where one cannot be removed.
    pub async fn sweep(
        &mut self,
        client: &Client,
        world: &World,
        published: &Published,
    ) -> Result<usize, PublishError> {
        // Absence in an incomplete list means nothing; nor does a list from before the manifest. What is removed is named by its
        // UID, and was not listed by what is in force now.
        if !world.is_complete(Source::Secrets) {
            return Ok(0);
        }
        let server = &published.manifest.server;
        let stale = |(name, secret): &(&ResourceName, &Object)| {
            name.namespace() == server.namespace()
                && secret.is_ours()
                && !secret.deleting
                && secret.label(labels::PART).is_some()
                && secret.label(labels::SERVER) == Some(server.name())
                && !published.parts().contains_key(name.name())
                && !published.lists.contains(name.name())
        };
        let api: Api<Secret> = Api::namespaced(client.clone(), server.namespace());
        let mut removed = 0;
        for (name, secret) in world.secrets().filter(stale) {
            let preconditions = Preconditions { uid: Some(secret.uid.clone()), resource_version: None };
            let parameters = DeleteParams::default().preconditions(preconditions);
            match api.delete(name.name(), &parameters).await {
                Ok(_) => removed += 1,
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
                Err(source) => {
                    return Err(PublishError::Api {
                        secret: name.clone(),
                        what: "removed",
                        source: Box::new(source),
                    });
                }
            }
            if let Some((shelf, _)) = self.shelves.get_mut(server) {
                shelf.remove(name.name());
            }
        }
        Ok(removed)
    }

    /// Forgets servers that are gone.
    pub fn retain(&mut self, kept: impl Fn(&ResourceName) -> bool) {
        self.shelves.retain(|server, _| kept(server));
        self.last.retain(|server, _| kept(server));
    }
}

/// One server, once.
struct Pass<'a> {
    client: &'a Client,
    world: &'a World,
    signer: &'a dyn ManifestSigner,
    order: Order<'a>,
    shelf: &'a mut Shelf,
}

impl Pass<'_> {
    async fn run(self) -> Result<Arc<Published>, PublishError> {
        let Self { client, world, signer, mut order, shelf } = self;
        let name = self::name(order.server, &labels::manifest_secret_name(order.server.name()));
        let is_ours = is_as_written(client, world, signer, shelf, &name, order.server).await?;
        let mut left_out = carried::keep(client, world, shelf, &mut order).await?;
        let order = &order;
        let (parts, unwritable) = writable(&order.parts);
        left_out.extend(unwritable);
        let (manifest, mut jsons) = Manifest::of(order.server.clone(), 0, &parts)?;
        let mut manifest = manifest.declaring(declared(world, order, shelf));
        let listed = manifest.parts.iter();
        let secrets = listed
            .map(|(name, entry)| secrets::part(order, name, entry, jsons.remove(name).unwrap_or_default()))
            .collect();
        let count = write_changed(client, world, order.server, shelf, secrets).await?;

        let same = shelf.manifest.as_ref().filter(|last| is_ours && last.lists_the_same(&manifest));
        manifest.generation = match same {
            Some(same) if same.generation >= order.in_force.max(shelf.generation) => same.generation,
            Some(_) | None => {
                shelf.generation.saturating_add(1).max(order.in_force.saturating_add(1)).max(order.now)
            }
        };
        let WrittenManifest { json, lists } = manifest.write()?;
        let names: BTreeSet<String> = lists.keys().cloned().collect();
        let secrets = lists.into_iter().map(|(name, json)| secrets::list(order, &name, json)).collect();
        write_changed(client, world, order.server, shelf, secrets).await?;
        if shelf.generation != manifest.generation || shelf.known(world, &name).is_none() {
            let signature = signer.sign(&json).map_err(PublishError::Sign)?;
            let secret = secrets::manifest(order, json, signature);
            write_manifest(client, world, shelf, order.server, secret).await?;
            let (generation, parts) = (manifest.generation, manifest.parts.len());
            tracing::info!(server = %order.server, generation, parts, written = count, "published");
        }
        shelf.generation = manifest.generation;
        shelf.manifest = Some(manifest.clone());
        Ok(Arc::new(Published { manifest, left_out, lists: names }))
    }
}

/// The credentials of which the server may have rows, and that still have a resource: those that a manifest has named. Of a server
/// whose last manifest is lost all may be.
fn declared(world: &World, order: &Order<'_>, shelf: &Shelf) -> Vec<ResourceName> {
    let named = match &shelf.manifest {
        Some(last) => last.credentials(),
        None if shelf.is_empty() && order.in_force == 0 => return Vec::new(),
        None => BTreeSet::new(),
    };
    let may_have_a_row = |name: &ResourceName| shelf.manifest.is_none() || named.contains(name);
    world
        .of_kind(Kind::EnrollmentCredential)
        .filter(|(name, entry)| entry.meta().deletion_timestamp.is_none() && may_have_a_row(name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// A part that no Secret could hold takes out itself alone; the server tells what refers to it.
fn writable(parts: &[Part]) -> (Vec<Part>, BTreeMap<String, String>) {
    let (mut kept, mut left_out) = (Vec::with_capacity(parts.len()), BTreeMap::new());
    for part in parts {
        match part.to_json() {
            Ok(_) => kept.push(part.clone()),
            Err(error) => {
                tracing::warn!(kind = %part.kind(), name = %part.name(), %error, "a part is left out");
                left_out.insert(part.secret_name(), error.to_string());
            }
        }
    }
    (kept, left_out)
}

/// Whether the manifest is as it was last read or written, or is not there. Where it is not, everything is read again: replicas may
/// have what somebody else wrote in force.
async fn is_as_written(
    client: &Client,
    world: &World,
    signer: &dyn ManifestSigner,
    shelf: &mut Shelf,
    name: &ResourceName,
    server: &ResourceName,
) -> Result<bool, PublishError> {
    let Some((known, is_seen)) = shelf.known(world, name) else { return Ok(true) };
    if is_seen {
        return Ok(true);
    }
    let known = known.clone();
    let api: Api<Secret> = Api::namespaced(client.clone(), name.namespace());
    let found = api.get_metadata_opt(name.name()).await.map_err(failed(name, "read"))?;
    let Some(found) = found else {
        shelf.remove(name.name());
        return Ok(true);
    };
    if found.metadata.resource_version.as_ref() == Some(&known.version) {
        return Ok(true);
    }
    let list = |source| PublishError::List { server: server.clone(), source: Box::new(source) };
    shelf.read_again(client, server, signer).await.map_err(list)?;
    Ok(shelf.known(world, name).is_some_and(|(found, _)| found.sha256 == known.sha256))
}

/// Writes the manifest in the place of the one that is known and of no other.
async fn write_manifest(
    client: &Client,
    world: &World,
    shelf: &mut Shelf,
    server: &ResourceName,
    mut secret: Secret,
) -> Result<(), PublishError> {
    let name = &name(server, &labels::manifest_secret_name(server.name()));
    let api: Api<Secret> = Api::namespaced(client.clone(), name.namespace());
    match shelf.known(world, name) {
        Some((known, _)) => secret.metadata.resource_version = Some(known.version.clone()),
        None => {
            let found = api.get_metadata_opt(name.name()).await.map_err(failed(name, "read"))?;
            if let Some(found) = found {
                return Err(match secrets::is_ours(&found.metadata, server) {
                    true => PublishError::Changed(name.clone()),
                    false => PublishError::Foreign(name.clone()),
                });
            }
        }
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch_metadata(name.name(), &parameters, &Patch::Apply(&secret)).await;
    let written = written.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 409 => PublishError::Changed(name.clone()),
        error => failed(name, "written")(error),
    })?;
    shelf.put(name.name(), digest(&secret), &written.metadata);
    Ok(())
}

/// Writes those Secrets that are not known to be there as they are to be. Says how many.
async fn write_changed(
    client: &Client,
    world: &World,
    server: &ResourceName,
    shelf: &mut Shelf,
    secrets: Vec<Secret>,
) -> Result<usize, PublishError> {
    let mut writes = Vec::new();
    for secret in secrets {
        let full = name(server, secret.metadata.name.as_deref().unwrap_or_default());
        match shelf.known(world, &full) {
            Some((known, true)) if known.sha256 == digest(&secret) => {}
            known => writes.push((secret, known.map(|(known, _)| known.clone()))),
        }
    }
    let count = writes.len();
    write_all(client, server, shelf, writes).await?;
    Ok(count)
}

/// Writes Secrets that are not there as they are to be, each with what is known of it.
async fn write_all(
    client: &Client,
    server: &ResourceName,
    shelf: &mut Shelf,
    secrets: Vec<(Secret, Option<Known>)>,
) -> Result<(), PublishError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), server.namespace());
    let writes = secrets.into_iter().map(|(secret, known)| write(api.clone(), server, secret, known));
    let mut results = stream::iter(writes).buffer_unordered(CONCURRENCY);
    let mut outcome = Ok(());
    while let Some(result) = results.next().await {
        match result {
            Ok((secret, sha256, meta)) => shelf.put(&secret, sha256, &meta),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

async fn write(
    api: Api<Secret>,
    server: &ResourceName,
    secret: Secret,
    known: Option<Known>,
) -> Result<(String, String, ObjectMeta), PublishError> {
    let (secret_name, sha256) = (secret.metadata.name.clone().unwrap_or_default(), digest(&secret));
    let full = name(server, &secret_name);
    let found = api.get_metadata_opt(&secret_name).await.map_err(failed(&full, "read"))?;
    if let Some(found) = found {
        if !secrets::is_ours(&found.metadata, server) {
            return Err(PublishError::Foreign(full));
        }
        let is_so = |known: &Known| {
            known.sha256 == sha256 && found.metadata.resource_version.as_ref() == Some(&known.version)
        };
        if known.as_ref().is_some_and(is_so) {
            return Ok((secret_name, sha256, found.metadata));
        }
    }
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let written = api.patch_metadata(&secret_name, &parameters, &Patch::Apply(&secret)).await;
    Ok((secret_name, sha256, written.map_err(failed(&full, "written"))?.metadata))
}

pub(super) fn failed(secret: &ResourceName, what: &'static str) -> impl FnOnce(kube::Error) -> PublishError {
    let secret = secret.clone();
    move |source| PublishError::Api { secret, what, source: Box::new(source) }
}

pub(super) fn name(server: &ResourceName, secret: &str) -> ResourceName {
    ResourceName::new(server.namespace(), secret)
}

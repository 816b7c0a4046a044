//! What stays as it is served because a resource cannot be read any more: a newer release wrote it, or somebody something that no
//! schema refuses. With it stays what refers to it and is not compiled without it. The rest is published all the same: what is
//! revoked, above all.

use std::collections::{BTreeMap, BTreeSet};

use crds::{Kind, Resource};
use futures::{StreamExt as _, stream};
use issuance::{credential::CredentialState, identity::ResourceName, policy::IssuerChoice};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use pki::time::Time;
use resolve::{
    CompiledServer, CompiledTls,
    parts::{Part, PartContent, PartEntry, PartKind, sha256_hex},
};

use super::{
    PublishError,
    publisher::{CONCURRENCY, Order, failed, name},
    shelf::Shelf,
};
use crate::world::{Entry, World};

type Id = (PartKind, ResourceName);

/// Adds to the order what stays. Says which parts cannot, by the name of their Secret, and why.
///
/// # Errors
/// Where what is served now cannot be read.
pub(super) async fn keep(
    client: &Client,
    world: &World,
    shelf: &mut Shelf,
    order: &mut Order<'_>,
) -> Result<BTreeMap<String, String>, PublishError> {
    let Some(last) = &shelf.manifest else { return Ok(BTreeMap::new()) };
    let id = |entry: &PartEntry| (entry.kind, entry.name.clone());
    let lost: BTreeMap<String, Id> = last
        .parts
        .iter()
        .map(|(secret, entry)| (secret.clone(), id(entry)))
        .filter(|(_, id)| order.unreadable.contains(id))
        .collect();
    if lost.is_empty() {
        shelf.contents.clear();
        return Ok(BTreeMap::new());
    }
    let compiled: BTreeSet<Id> = order.parts.iter().map(|part| (part.kind(), part.name().clone())).collect();
    let wanted = last
        .parts
        .iter()
        .filter(|(_, entry)| entry.kind == PartKind::Server || !compiled.contains(&id(entry)))
        .map(|(secret, entry)| (secret.clone(), entry.sha256.clone()))
        .collect();
    read(client, order.server, shelf, wanted).await?;

    let mut kept = Kept { world, compiled, parts: BTreeMap::new() };
    for part in
        shelf.contents.values().filter(|part| order.unreadable.contains(&(part.kind(), part.name().clone())))
    {
        if kept.resource(part).is_some() {
            kept.add(part.clone());
        }
    }
    for kind in PartKind::ALL {
        for part in shelf.contents.values().filter(|part| part.kind() == kind) {
            if kept.needs(part) {
                kept.add(part.clone());
            }
        }
    }
    let missing = lost.into_iter().filter(|(_, id)| !kept.parts.contains_key(id));
    let why = "its resource cannot be read any more, and neither can what was served of it";
    let missing = missing.map(|(secret, _)| (secret, why.to_owned())).collect();
    let served = shelf.contents.values().find_map(|part| match &part.content {
        PartContent::Server(server) => Some((part.generation, server.as_ref())),
        PartContent::Authority(_)
        | PartContent::Profile(_)
        | PartContent::Method(_)
        | PartContent::Credential(_) => None,
    });
    if let Some((generation, served)) = served {
        kept.restore(order, generation, served);
    }
    for (id, part) in kept.parts {
        if let Some(uid) = resource(world, &part).and_then(|entry| entry.meta().uid.clone()) {
            order.uids.insert(id, uid);
        }
        order.parts.push(part);
    }
    Ok(missing)
}

/// Reads parts that are not known: what the last manifest lists, and nothing else.
async fn read(
    client: &Client,
    server: &ResourceName,
    shelf: &mut Shelf,
    wanted: BTreeMap<String, String>,
) -> Result<(), PublishError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), server.namespace());
    let hashes: BTreeSet<&String> = wanted.values().collect();
    shelf.contents.retain(|sha256, _| hashes.contains(sha256));
    let unknown = wanted.into_iter().filter(|(_, sha256)| !shelf.contents.contains_key(sha256));
    let reads = unknown.collect::<Vec<_>>().into_iter().map(|(secret, sha256)| {
        let api = api.clone();
        async move {
            let found = api.get_opt(&secret).await.map_err(failed(&name(server, &secret), "read"))?;
            let json = found.and_then(|found| found.data?.remove(crds::labels::PART_KEY));
            let json = json.filter(|json| sha256_hex(&json.0) == sha256);
            let part = json.and_then(|json| Part::from_json(&json.0).ok());
            Ok::<_, PublishError>(part.map(|part| (sha256, part)))
        }
    });
    let mut reads = stream::iter(reads).buffer_unordered(CONCURRENCY);
    while let Some(found) = reads.next().await {
        shelf.contents.extend(found?);
    }
    Ok(())
}

/// What stays.
struct Kept<'w> {
    world: &'w World,
    /// What is compiled anew.
    compiled: BTreeSet<Id>,
    parts: BTreeMap<Id, Part>,
}

impl Kept<'_> {
    fn has(&self, kind: PartKind, name: &ResourceName) -> bool {
        self.parts.contains_key(&(kind, name.clone()))
    }

    fn is_there(&self, kind: PartKind, name: &ResourceName) -> bool {
        self.has(kind, name) || self.compiled.contains(&(kind, name.clone()))
    }

    fn resource(&self, part: &Part) -> Option<&Entry> {
        resource(self.world, part)
    }

    fn add(&mut self, mut part: Part) {
        let entry = resource(self.world, &part);
        if let (
            PartContent::Credential(credential),
            Some(Entry::Read(Resource::EnrollmentCredential(found))),
        ) = (&mut part.content, entry)
        {
            // What ends it counts whatever else is wrong.
            if found.spec.revoked {
                credential.state = CredentialState::Revoked;
            }
            let end = found.spec.expires_at.as_ref().map(|time| Time::from_unix(time.0.as_second()));
            credential.expires_at = credential.expires_at.into_iter().chain(end).min();
        }
        self.parts.insert((part.kind(), part.name().clone()), part);
    }

    /// Whether a part that was served is not compiled only because what it refers to stays as it was. Where its own resource has
    /// changed since, that is not known: it goes, unless going would be worse.
    fn needs(&self, part: &Part) -> bool {
        if self.is_there(part.kind(), part.name()) {
            return false;
        }
        let Some(Entry::Read(found)) = self.resource(part) else { return false };
        let is_unchanged = found.meta().generation == part.generation;
        match &part.content {
            PartContent::Server(_) => false,
            // Nobody could learn any more what it has revoked.
            PartContent::Authority(authority) => {
                authority.chain.iter().any(|above| self.has_certificate(above))
            }
            PartContent::Profile(profile) => match &profile.issuer {
                IssuerChoice::Authority(authority) => {
                    is_unchanged && self.has(PartKind::Authority, authority)
                }
                IssuerChoice::SelfSigned => false,
            },
            PartContent::Method(method) => {
                let authorities = || method.trusted_authorities().iter();
                is_unchanged
                    && (method.profiles().any(|name| self.has(PartKind::Profile, name))
                        || authorities().any(|name| self.has(PartKind::Authority, name)))
                    && method.profiles().all(|name| self.is_there(PartKind::Profile, name))
                    && authorities().all(|name| self.is_there(PartKind::Authority, name))
            }
            // Its count of uses and its row stay with it; what ends it is taken over.
            PartContent::Credential(credential) => self.has(PartKind::Method, &credential.method),
        }
    }

    fn has_certificate(&self, der: &[u8]) -> bool {
        self.parts.values().any(|part| match &part.content {
            PartContent::Authority(authority) => authority.certificate == der,
            PartContent::Server(_)
            | PartContent::Profile(_)
            | PartContent::Method(_)
            | PartContent::Credential(_) => false,
        })
    }

    /// What the server's own part says of what stays, and could not be compiled.
    fn restore(&self, order: &mut Order<'_>, generation: Option<i64>, served: &CompiledServer) {
        let Some(part) = order.parts.iter_mut().find(|part| part.kind() == PartKind::Server) else { return };
        let is_unchanged = part.generation == generation;
        let PartContent::Server(server) = &mut part.content else { return };
        if let Some(CompiledTls::Authority { authority, .. }) = &served.tls
            && self.has(PartKind::Authority, authority)
            && (is_unchanged || server.tls.is_none())
        {
            server.tls.clone_from(&served.tls);
        }
        let entry = self.world.get(Kind::EnrollmentServer, order.server);
        let Some(Entry::Read(Resource::EnrollmentServer(resource))) = entry else { return };
        let named = |reference: &crds::ObjectRef| {
            ResourceName::new(reference.namespace_or(order.server.namespace()), &reference.name)
        };
        let stays = |method: &ResourceName| self.has(PartKind::Method, method);
        for entry in &resource.spec.labels {
            let method = named(&entry.method_ref);
            if stays(&method) && served.labels.get(&entry.label) == Some(&method) {
                server.labels.entry(entry.label.clone()).or_insert(method);
            }
        }
        let default = resource.spec.default_method_ref.as_ref().map(named).filter(stays);
        if server.default_method.is_none() && default == served.default_method {
            server.default_method = default;
        }
    }
}

/// The resource that a part is of, unless it is being deleted.
fn resource<'w>(world: &'w World, part: &Part) -> Option<&'w Entry> {
    let (kind, name) = match &part.content {
        PartContent::Server(_) => (Kind::EnrollmentServer, part.name().clone()),
        PartContent::Authority(_) => (Kind::CertificateAuthority, part.name().clone()),
        PartContent::Profile(_) => (Kind::CertificateProfile, part.name().clone()),
        PartContent::Method(method) => method.resource(),
        PartContent::Credential(_) => (Kind::EnrollmentCredential, part.name().clone()),
    };
    world.get(kind, &name).filter(|entry| entry.meta().deletion_timestamp.is_none())
}

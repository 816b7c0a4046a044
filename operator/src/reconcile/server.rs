//! One EnrollmentServer: what it serves, and what runs it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use crds::{EnrollmentCredential, EnrollmentServer, Kind};
use futures::{StreamExt as _, stream};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{Resource as _, ResourceExt as _, runtime::events::EventType};
use resolve::{
    Compiled, FORMAT, Resolution, Resources, issuer_method_name,
    parts::{Part, PartKind, split},
    resource_name,
};

use super::pass::{Reconciler, uid};
use crate::{
    api::sentence,
    context::ServerOutlook,
    events::NamedEvent,
    metrics::Step,
    provision::{
        authorities::{Kept, Settled},
        credentials::{Fulfilled, ValueFacts, Values},
    },
    publish::{Order, Published},
    servers::ReplicaState,
    workload::{Inputs, WorkloadState, database_secret, format_to_write, resolver_ports},
    world::{Entry, World},
};

/// For how long after a rotation an event tells of it.
const ANNOUNCED_SECONDS: i64 = 3600;

/// How many events are written at a time.
const CONCURRENCY: usize = 8;

/// Longest name of a credential that an event's name begins with; more is cut off.
const MAX_PREFIX: usize = 120;

impl Reconciler {
    /// Says also whether there is nothing to be tried again.
    pub(super) async fn server(
        &mut self,
        world: &World,
        resources: &Resources,
        kept: &mut Kept,
        server: &EnrollmentServer,
    ) -> (ServerOutlook, bool) {
        let name = resource_name(&server.metadata);
        let replicas = self.fleet.of(&name);
        let Settled { resolution, failures, retried } = self.settle(world, resources, kept, &name).await;
        let mut settled = !retried;
        let mut outlook = ServerOutlook {
            resolution: Arc::new(resolution),
            published: self.publisher.last(&name),
            replicas,
            workload: WorkloadState::default(),
            authority_failures: failures,
            credentials: Arc::default(),
            failure: None,
        };
        if server.metadata.deletion_timestamp.is_some() {
            // Kubernetes removes what it owns, parts and all.
            return (outlook, settled);
        }
        if outlook.resolution.compiled.is_some() {
            let published = self.serve(world, resources, kept, server, &mut outlook).await;
            settled &= !outlook.credentials.retried;
            match published {
                Ok(published) => outlook.published = Some(published),
                Err(error) => {
                    settled = false;
                    outlook.failure = Some(sentence(error.as_ref()));
                }
            }
        }
        self.tell(server, &name, outlook.failure.as_deref()).await;
        let began = Instant::now();
        if let Some(compiled) = &outlook.resolution.compiled {
            self.resolver_ports.insert(name.clone(), resolver_ports(compiled));
        }
        outlook.workload = self.run(world, server).await;
        self.context.metrics.step(Step::Workload, began.elapsed());
        settled &= !outlook.workload.is_retried();
        let programmed = |state: &&ReplicaState| {
            let loaded = state.loaded.as_ref().map(|loaded| loaded.generation);
            outlook.published.as_ref().is_some_and(|published| loaded == Some(published.generation()))
        };
        let (ready, current) = (outlook.ready().count(), outlook.ready().filter(programmed).count());
        self.context.metrics.replicas(&name, ready, current);
        (outlook, settled)
    }

    /// Makes what the server is to serve, and publishes it.
    async fn serve(
        &mut self,
        world: &World,
        resources: &Resources,
        kept: &Kept,
        server: &EnrollmentServer,
        outlook: &mut ServerOutlook,
    ) -> anyhow::Result<Arc<Published>> {
        let (name, resolution) = (resource_name(&server.metadata), outlook.resolution.clone());
        let Some(mut compiled) = resolution.compiled.clone() else {
            anyhow::bail!("there is nothing to serve");
        };
        format_to_write((FORMAT, FORMAT), outlook.ready().filter_map(|state| state.loaded.as_ref()))?;
        outlook.credentials = Arc::new(self.fulfil(&name, &mut compiled, resources, world).await);
        let uid = server.metadata.uid.clone().unwrap_or_default();
        let lost = match self.watches.secret_version(&sealing(&name)) {
            Some(_) => None,
            None => self.identified.sealing(&name, &uid).await?,
        };
        compiled.server.internal = Some(self.identified.server(&name, &uid).await?);

        let began = Instant::now();
        let parts = parts(&resolution, &compiled, kept);
        let loaded = outlook.replicas.iter().filter_map(|state| state.loaded.as_ref());
        let order = Order {
            server: &name,
            uid: &uid,
            parts,
            uids: uids(world, &compiled),
            unreadable: unreadable(world),
            in_force: loaded.map(|loaded| loaded.generation).max().unwrap_or(0),
            now: u64::try_from(self.context.clock.now().unix()).unwrap_or(0),
        };
        let (client, signer) = (&self.context.client, self.identified.signer()?);
        let published = self.publisher.publish(client, world, signer.as_ref(), order).await?;
        self.publisher.sweep(client, world, &published).await?;
        self.context.metrics.step(Step::Publish, began.elapsed());
        self.announce(resources, &outlook.credentials).await;
        match lost {
            None => Ok(published),
            // Replicas that run have the key still, and learn what changed: what is revoked, above all.
            Some(lost) => {
                outlook.published = Some(published);
                Err(lost.into())
            }
        }
    }

    async fn fulfil(
        &mut self,
        server: &ResourceName,
        compiled: &mut Compiled,
        resources: &Resources,
        world: &World,
    ) -> Fulfilled {
        let (client, clock) = (&self.context.client, &self.context.clock);
        let values =
            self.values.entry(server.clone()).or_insert_with(|| Values::new(client.clone(), clock.clone()));
        let declared: BTreeSet<&ResourceName> =
            compiled.credentials.iter().map(|credential| &credential.name).collect();
        values.retain(|name| declared.contains(name));
        let fulfilled = values.fulfil(compiled, resources, Some(world)).await;
        self.unannounced.extend(fulfilled.rotated.iter().cloned());
        fulfilled
    }

    /// Says of each credential that has a new value until when the one before is accepted, once servers are told of both. What was
    /// rotated by a process that ended before it said so is said now, where both are still good.
    async fn announce(&mut self, resources: &Resources, fulfilled: &Fulfilled) {
        let due = resources.credentials.iter().filter_map(|credential| {
            let name = resource_name(&credential.metadata);
            let event = self.due_announcement(&name, credential, fulfilled.values.get(&name)?)?;
            Some((name, credential.object_ref(&()), event))
        });
        let due: Vec<_> = due.collect();
        let events = &self.context.events;
        let announce = |(name, about, event): (ResourceName, ObjectReference, NamedEvent)| async move {
            (name, events.once(&about, &event).await, event)
        };
        let written: Vec<_> = stream::iter(due).map(announce).buffer_unordered(CONCURRENCY).collect().await;
        for (name, outcome, event) in written {
            match outcome {
                Ok(()) => {
                    self.unannounced.remove(&name);
                    self.announced.insert(name, event.name);
                }
                // The next pass tries it again.
                Err(error) => tracing::debug!(credential = %name, %error, "a rotation is not announced"),
            }
        }
    }

    fn due_announcement(
        &self,
        name: &ResourceName,
        credential: &EnrollmentCredential,
        facts: &ValueFacts,
    ) -> Option<NamedEvent> {
        // Longer than that a cluster does not keep events.
        let is_recent = self.context.clock.now() < facts.created_at.plus_seconds(ANNOUNCED_SECONDS);
        let is_due = is_recent && (facts.previous_until.is_some() || self.unannounced.contains(name));
        let event = is_due.then(|| announcement(credential, facts));
        event.filter(|event| self.announced.get(name) != Some(&event.name))
    }

    /// Makes what runs the server.
    async fn run(&self, world: &World, server: &EnrollmentServer) -> WorkloadState {
        let Some(key) = self.identified.manifest_key() else { return WorkloadState::default() };
        let mut inputs = Inputs::new(&self.context.options, key);
        inputs.database_version =
            database_secret(server).and_then(|secret| self.watches.secret_version(&secret));
        let ports = self.resolver_ports.get(&resource_name(&server.metadata));
        inputs.resolver_ports = ports.cloned().unwrap_or_default();
        self.workloads.apply(&self.context.client, world, server, &inputs).await
    }

    /// Tells of a failure once, and of its end.
    async fn tell(&mut self, server: &EnrollmentServer, name: &ResourceName, failure: Option<&str>) {
        let about = server.object_ref(&());
        match (failure, self.told.get(name)) {
            (Some(failure), told) if told.map(String::as_str) != Some(failure) => {
                tracing::error!(server = %name, failure, "its configuration is not published");
                self.context.events.warning(&about, "Publish", "PublishFailed", failure).await;
                self.told.insert(name.clone(), failure.to_owned());
            }
            (None, Some(_)) => {
                self.context.events.normal(&about, "Publish", "Published", "").await;
                self.told.remove(name);
            }
            (Some(_), _) | (None, None) => {}
        }
    }
}

/// It is named after the value: it is there once, whichever process writes it.
fn announcement(credential: &EnrollmentCredential, facts: &ValueFacts) -> NamedEvent {
    let prefix: String = credential.name_any().chars().take(MAX_PREFIX).collect();
    let prefix = prefix.trim_end_matches(['.', '-']);
    let uid = credential.uid().unwrap_or_default();
    let ValueFacts { regeneration, rotations, .. } = facts;
    NamedEvent {
        name: format!("{prefix}.{uid}-{regeneration}-{rotations}"),
        type_: EventType::Normal,
        action: "Rotate",
        reason: "ValueRotated",
        note: facts.announcement(),
        at: facts.created_at,
    }
}

fn parts(resolution: &Resolution, compiled: &Compiled, kept: &Kept) -> Vec<Part> {
    split(resolution, compiled, &kept.keys(), &kept.lists())
}

fn sealing(server: &ResourceName) -> ResourceName {
    ResourceName::new(server.namespace(), crds::labels::sealing_secret_name(server.name()))
}

/// The UIDs of the resources that parts are for.
fn uids(world: &World, compiled: &Compiled) -> BTreeMap<(PartKind, ResourceName), String> {
    let mut found = BTreeMap::new();
    let mut note = |part, compiled: &ResourceName, kind, resource: &ResourceName| {
        if let Some(uid) = uid(world, kind, resource) {
            found.insert((part, compiled.clone()), uid);
        }
    };
    let server = &compiled.server.name;
    note(PartKind::Server, server, Kind::EnrollmentServer, server);
    for authority in &compiled.authorities {
        note(PartKind::Authority, &authority.name, Kind::CertificateAuthority, &authority.name);
    }
    for profile in &compiled.profiles {
        note(PartKind::Profile, &profile.name, Kind::CertificateProfile, &profile.name);
    }
    for method in &compiled.methods {
        let (kind, resource) = method.resource();
        note(PartKind::Method, &method.name, kind, &resource);
    }
    for credential in &compiled.credentials {
        note(PartKind::Credential, &credential.name, Kind::EnrollmentCredential, &credential.name);
    }
    found
}

/// The parts of resources that cannot be read.
fn unreadable(world: &World) -> BTreeSet<(PartKind, ResourceName)> {
    let part = |(kind, name, entry): (Kind, &ResourceName, &Entry)| match (entry, kind) {
        (Entry::Read(_), _) | (Entry::Undecodable { .. }, Kind::CertificateRevocation) => None,
        (Entry::Undecodable { .. }, Kind::EnrollmentServer) => Some((PartKind::Server, name.clone())),
        (Entry::Undecodable { .. }, Kind::CertificateAuthority) => Some((PartKind::Authority, name.clone())),
        (Entry::Undecodable { .. }, Kind::CertificateProfile) => Some((PartKind::Profile, name.clone())),
        (Entry::Undecodable { .. }, Kind::EnrollmentMethod) => Some((PartKind::Method, name.clone())),
        (Entry::Undecodable { .. }, Kind::EnrollmentCredential) => Some((PartKind::Credential, name.clone())),
        (Entry::Undecodable { .. }, Kind::ChanceryIssuer | Kind::ChanceryClusterIssuer) => {
            Some((PartKind::Method, issuer_method_name(name)))
        }
    };
    world.iter().filter_map(part).collect()
}

//! One pass over everything.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use anyhow::Context as _;
use crds::Kind;
use issuance::identity::ResourceName;
use resolve::{Cluster, Resources, resolve, resource_name};

use super::{identities::Identified, sweep};
use crate::{
    api::sentence,
    bundles::Bundles,
    context::{Context, Outlook, ServerOutlook},
    controllers::Statuses,
    metrics::Step,
    provision::{
        authorities::{Keeper, Kept},
        credentials::Values,
    },
    publish::Publisher,
    revocation::revoked_intermediates,
    servers::{Fleet, InternalClient, Poller, ReplicaState, replicas_of},
    workload::Workloads,
    world::{ClusterTokens, Entry, ReferencedSecrets, Watches, World},
};

/// Makes the cluster what resources say, and remembers between passes what need not be looked at again.
#[derive(Debug)]
pub(super) struct Reconciler {
    pub(super) context: Context,
    pub(super) watches: Watches,
    pub(super) fleet: Fleet,
    poller: Poller,
    pub(super) client: InternalClient,
    secrets: ReferencedSecrets,
    tokens: ClusterTokens,
    keeper: Keeper,
    pub(super) identified: Identified,
    pub(super) values: BTreeMap<ResourceName, Values>,
    pub(super) publisher: Publisher,
    pub(super) workloads: Workloads,
    /// Of each server, as last compiled: what it runs with stays in force while it cannot be compiled.
    pub(super) resolver_ports: BTreeMap<ResourceName, BTreeSet<u16>>,
    bundles: Bundles,
    statuses: Statuses,
    /// Which replicas there were, ready or not, at the last pass.
    replicas: Vec<(String, bool)>,
    /// The last failure of each server that an event told of.
    pub(super) told: BTreeMap<ResourceName, String>,
    /// Credentials whose value this process has rotated, and no event tells of it.
    pub(super) unannounced: BTreeSet<ResourceName>,
    /// The last event of each credential that told of a rotation.
    pub(super) announced: BTreeMap<ResourceName, String>,
    pass: u64,
}

impl Reconciler {
    pub(super) fn new(
        context: Context,
        watches: Watches,
        fleet: Fleet,
        poller: Poller,
        client: InternalClient,
    ) -> Self {
        let (api, namespace) = (context.client.clone(), &context.options.namespace);
        Self {
            keeper: Keeper::new(api.clone(), namespace, context.clock.clone()),
            identified: Identified::new(api, namespace, context.clock.clone()),
            context,
            watches,
            fleet,
            poller,
            client,
            secrets: ReferencedSecrets::default(),
            tokens: ClusterTokens::default(),
            values: BTreeMap::new(),
            publisher: Publisher::default(),
            workloads: Workloads::default(),
            resolver_ports: BTreeMap::new(),
            bundles: Bundles::default(),
            statuses: Statuses::default(),
            replicas: Vec::new(),
            told: BTreeMap::new(),
            unannounced: BTreeSet::new(),
            announced: BTreeMap::new(),
            pass: 0,
        }
    }

    /// Looks at everything once.
    ///
    /// # Errors
    /// Where something is missing without which nothing can be decided. What concerns one server or one resource is in the
    /// outlook.
    pub(super) async fn pass(&mut self) -> anyhow::Result<Outlook> {
        let world = self.watches.snapshot();
        self.follow_replicas(&world);
        let resources = Arc::new(self.resources(&world).await?);

        let began = Instant::now();
        self.identified.refresh(&self.client).await.context("the operator's own keys")?;
        let mut kept = self.keeper.observe().await.context("the keys of authorities")?;
        self.context.metrics.step(Step::Provision, began.elapsed());

        let mut outlook = Outlook {
            pass: self.pass + 1,
            world: world.clone(),
            resources: resources.clone(),
            settled: kept.unusable().is_empty(),
            ..Outlook::default()
        };
        for unusable in kept.unusable() {
            tracing::error!("{unusable}");
        }
        for server in &resources.servers {
            let name = resource_name(&server.metadata);
            let (of_server, settled) = self.server(&world, &resources, &mut kept, server).await;
            outlook.settled &= settled;
            outlook.servers.insert(name, of_server);
        }
        self.forget_others(&outlook);
        outlook.statuses = Arc::new(self.statuses(&resources, &kept, &outlook));
        outlook.lists = lists(&resources, &kept);
        outlook.settled &= self.bundles(&mut outlook).await;
        outlook.settled &= self.write_statuses(&outlook).await;
        outlook.settled &= self.sweep(&world, &mut kept).await;
        self.poller.expect(
            outlook
                .servers
                .iter()
                .filter_map(|(name, server)| Some((name.clone(), server.published.clone()?)))
                .collect(),
        );
        self.context.metrics.show(&super::shown::resources(&world));
        self.pass += 1;
        Ok(outlook)
    }

    /// Replicas come, go and get ready: they are asked at once then.
    fn follow_replicas(&mut self, world: &World) {
        let replicas = replicas_of(world.pods());
        let known: Vec<(String, bool)> = replicas
            .values()
            .flatten()
            .map(|state: &ReplicaState| (state.replica.uid.clone(), state.ready))
            .collect();
        self.fleet.update(replicas);
        if known != self.replicas {
            self.client.forget_others(|uid| known.iter().any(|(known, _)| known == uid));
            self.replicas = known;
            self.poller.hurry();
        }
    }

    /// What can be read of the world, and the Secrets that it names.
    async fn resources(&mut self, world: &World) -> anyhow::Result<Resources> {
        let began = Instant::now();
        let secrets = self.secrets.fetch(&self.context.client, &self.watches, world).await;
        self.context.metrics.step(Step::Secrets, began.elapsed());
        let mut resources = Resources::default();
        resources.extend(world.iter().filter_map(|(_, _, entry)| match entry {
            Entry::Read(resource) => Some(resource.clone()),
            Entry::Undecodable { .. } => None,
        }));
        resources.secrets = secrets.context("a Secret that a resource names cannot be read")?;
        resources.namespaces.clone_from(world.namespaces());
        let tokens = self.tokens.read(&self.context.client, &resources, self.context.clock.now()).await;
        resources.cluster = Some(Cluster { domain: self.context.options.cluster_domain.clone(), tokens });
        Ok(resources)
    }

    /// What resolving says after everything was made. What is said of a resource does not depend on which server is asked for.
    fn statuses(
        &self,
        resources: &Resources,
        kept: &Kept,
        outlook: &Outlook,
    ) -> Vec<resolve::ResourceStatus> {
        let began = Instant::now();
        let observed = kept.observed(self.context.clock.now());
        let statuses = resolve(resources, &observed, outlook.servers.keys().next()).statuses;
        self.context.metrics.step(Step::Resolve, began.elapsed());
        statuses
    }

    async fn write_statuses(&mut self, outlook: &Outlook) -> bool {
        let began = Instant::now();
        let all = self.statuses.apply(&self.context, outlook).await;
        self.context.metrics.step(Step::Statuses, began.elapsed());
        all
    }

    async fn bundles(&self, outlook: &mut Outlook) -> bool {
        let (client, scope) = (&self.context.client, &self.context.options.scope);
        let compiled = outlook.servers.values().filter_map(|server| server.resolution.compiled.as_ref());
        let authorities = compiled.flat_map(|compiled| &compiled.authorities);
        let applied = self.bundles.apply(client, scope, &outlook.world, authorities).await;
        outlook.bundles = applied.statuses;
        !applied.is_retried
    }

    async fn sweep(&mut self, world: &World, kept: &mut Kept) -> bool {
        let began = Instant::now();
        let (client, scope) = (&self.context.client, &self.context.options.scope);
        let namespace = &self.context.options.namespace;
        let swept = async {
            sweep::authorities(client, scope, world, &self.keeper, kept).await?;
            sweep::identities(client, scope, world, namespace, self.identified.identities()).await
        };
        let swept = swept.await;
        self.context.metrics.step(Step::Sweep, began.elapsed());
        match swept {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(
                    error = sentence(error.as_ref()),
                    "what is left over could not be removed; trying again"
                );
                false
            }
        }
    }

    pub(super) async fn settle(
        &self,
        world: &World,
        resources: &Resources,
        kept: &mut Kept,
        server: &ResourceName,
    ) -> crate::provision::authorities::Settled {
        let began = Instant::now();
        let settled = self.keeper.settle(kept, resources, server, &revoked_intermediates(world)).await;
        self.context.metrics.step(Step::Provision, began.elapsed());
        settled
    }

    fn forget_others(&mut self, outlook: &Outlook) {
        let is_there = |name: &ResourceName| outlook.servers.contains_key(name);
        self.publisher.retain(is_there);
        self.values.retain(|name, _| is_there(name));
        self.told.retain(|name, _| is_there(name));
        self.resolver_ports.retain(|name, _| is_there(name));
        self.identified.retain(is_there);
        let declared: BTreeSet<ResourceName> =
            outlook.resources.credentials.iter().map(|found| resource_name(&found.metadata)).collect();
        self.unannounced.retain(|name| declared.contains(name));
        self.announced.retain(|name, _| declared.contains(name));
    }
}

/// The newest lists of authorities whose keys stay here.
fn lists(
    resources: &Resources,
    kept: &Kept,
) -> BTreeMap<ResourceName, crate::provision::authorities::ListFacts> {
    let names = resources.authorities.iter().map(|authority| resource_name(&authority.metadata));
    names.filter_map(|name| Some((name.clone(), kept.list_facts(&name)?))).collect()
}

/// The UID of a resource of the world, readable or not.
pub(super) fn uid(world: &World, kind: Kind, name: &ResourceName) -> Option<String> {
    world.get(kind, name)?.meta().uid.clone()
}

impl ServerOutlook {
    /// Those of its replicas that are ready.
    pub fn ready(&self) -> impl Iterator<Item = &ReplicaState> {
        self.replicas.iter().filter(|state| state.ready)
    }
}

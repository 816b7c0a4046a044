//! What every part of the operator works with.
//!
//! One loop (`run.rs`) calls the parts in this order; only the leader runs it. All of them are given the [`Context`] and a
//! [`World`] that does not change under them.
//!
//! ```text
//! world ─► resolve ─► provision::authorities (observe, fulfil, resolve again) ─► provision::credentials (values)
//!       ─► provision::identities (internal certificates, signer of manifests) ─► publish (parts, manifest)
//!       ─► workload::apply ─► bundles::apply ─► controllers::apply_statuses ─► Outlook, for issuer and revocation
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use crds::{BundleStatus, Kind};
use issuance::{identity::ResourceName, ports::Clock};
use kube::Client;
use resolve::{Resolution, ResourceStatus, Resources};
use tokio::sync::{Notify, watch};

use crate::{
    events::Events,
    metrics::Metrics,
    provision::{authorities::ListFacts, credentials::Fulfilled},
    publish::Published,
    servers::{ReplicaState, ServerApi},
    workload::WorkloadState,
    world::World,
};

pub use crds::labels::{FIELD_MANAGER, STATUS_FIELD_MANAGER};

/// Where the process lives and what it was told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// The operator's own namespace: keys of authorities, the Lease.
    pub namespace: String,
    /// Image of the pods of servers.
    pub server_image: String,
    pub image_pull_policy: Option<String>,
    pub image_pull_secrets: Vec<String>,
    pub scope: Scope,
    /// The domain of Services, most often `cluster.local`.
    pub cluster_domain: String,
    pub metrics_listen: SocketAddr,
    pub leader_election: bool,
    /// Tells this process from the other replicas: the name of its pod.
    pub identity: String,
}

/// Which namespaces are looked after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    /// Resources in other namespaces are not seen, nor are those without a namespace; labels of namespaces are not known.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// Whether what is in a namespace is seen: else nothing is known about what does not exist there.
    pub fn covers(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(namespaces) => namespaces.contains(namespace),
        }
    }
}

/// What every part of the operator works with.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub options: Arc<Options>,
    pub servers: Arc<dyn ServerApi>,
    pub metrics: Arc<Metrics>,
    pub events: Events,
    pub clock: Arc<dyn Clock>,
    /// Asks the loop for another pass, soon.
    pub wake: Arc<Notify>,
    /// What the last pass came to; changes wake whoever waits for them.
    pub outlook: watch::Receiver<Arc<Outlook>>,
}

impl Context {
    /// The last pass, as it is now.
    pub fn last(&self) -> Arc<Outlook> {
        self.outlook.borrow().clone()
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("options", &self.options).finish_non_exhaustive()
    }
}

/// What one pass of the loop came to.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Counts passes; 0 before the first.
    pub pass: u64,
    pub world: World,
    /// What was resolved: the world's resources and the Secrets that they name.
    pub resources: Arc<Resources>,
    /// What resolving says of every resource, those included that belong to no server.
    pub statuses: Arc<Vec<ResourceStatus>>,
    pub servers: BTreeMap<ResourceName, ServerOutlook>,
    /// The newest revocation lists of authorities whose keys stay with the operator.
    pub lists: BTreeMap<ResourceName, ListFacts>,
    /// What became of the bundles of each authority that asks for some.
    pub bundles: BTreeMap<ResourceName, BundleStatus>,
    /// Everything is as it should be, as far as that lies with the operator.
    pub settled: bool,
}

impl Outlook {
    /// What resolving says of one resource.
    pub fn status(&self, kind: Kind, name: &ResourceName) -> Option<&ResourceStatus> {
        self.statuses.iter().find(|status| status.kind == kind && status.name == *name)
    }
}

/// What one pass came to for one EnrollmentServer.
#[derive(Clone, Debug)]
pub struct ServerOutlook {
    pub resolution: Arc<Resolution>,
    /// What its replicas are to serve; none: nothing was ever published by this process.
    pub published: Option<Arc<Published>>,
    pub replicas: Vec<ReplicaState>,
    pub workload: WorkloadState,
    /// Authorities for which something could not be made, and why.
    pub authority_failures: BTreeMap<ResourceName, String>,
    /// Values of its credentials that were made here, and why others were not.
    pub credentials: Arc<Fulfilled>,
    /// Why its configuration could not be made or written, where that failed: what was published before stays.
    pub failure: Option<String>,
}

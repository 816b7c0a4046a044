//! How far the objects of a server are: what their controllers say.

use std::net::IpAddr;

use issuance::identity::ResourceName;
use k8s_openapi::api::{
    apps::v1::{Deployment, StatefulSet},
    core::v1::{ContainerStatus, Pod, Service},
};

use super::service;

/// How far the objects of a server are.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkloadState {
    /// Replicas that there are to be.
    pub wanted: u32,
    /// Pods that there are.
    pub replicas: u32,
    /// Pods that are ready.
    pub ready: u32,
    /// Pods of the newest template; fewer than `replicas` during a roll-out.
    pub updated: u32,
    /// The address of the Service within the cluster.
    pub cluster_address: Option<IpAddr>,
    /// Addresses and host names that the load balancer gave.
    pub addresses: Vec<String>,
    /// What stands in the way, the gravest first.
    pub problems: Vec<Problem>,
}

/// Something that is not as the spec asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub kind: ProblemKind,
    /// A sentence for the status; it begins with the member or the object that it speaks of.
    pub message: String,
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProblemKind {
    /// The name cannot be that of a Service.
    Name,
    /// Something else made an object by the name that ours would have; nothing was changed.
    Foreign,
    /// The storage cannot become what the spec asks for.
    Storage,
    /// The API server refused an object.
    Refused,
    /// The API server did not answer, or not in time; it is tried again.
    Unreachable,
    /// Pods do not start, or do not get ready.
    Pods,
    /// A load balancer's address is still missing.
    Address,
}

impl ProblemKind {
    /// Whether it passes without anybody changing a resource: the next pass is to come soon.
    pub fn is_retried(self) -> bool {
        match self {
            Self::Unreachable => true,
            Self::Name | Self::Foreign | Self::Storage | Self::Refused | Self::Pods | Self::Address => false,
        }
    }
}

impl Problem {
    pub(super) fn new(kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

impl WorkloadState {
    /// Whether every replica runs what was rendered last, and is ready.
    pub fn is_settled(&self) -> bool {
        self.ready >= self.wanted && self.updated >= self.wanted && self.replicas == self.wanted
    }

    /// All problems in one sentence; empty: there are none.
    pub fn message(&self) -> String {
        self.problems.iter().map(|problem| problem.message.as_str()).collect::<Vec<_>>().join("; ")
    }

    /// Whether the next pass is to come soon, because something did not work that may work then.
    pub fn is_retried(&self) -> bool {
        self.problems.iter().any(|problem| problem.kind.is_retried())
    }

    pub(super) fn count_stateful_set(&mut self, set: &StatefulSet) {
        let Some(status) = &set.status else { return };
        if status.observed_generation == set.metadata.generation {
            self.updated = count(status.updated_replicas);
        }
        self.replicas = count(Some(status.replicas));
        self.ready = count(status.ready_replicas);
    }

    pub(super) fn count_deployment(&mut self, deployment: &Deployment) {
        let Some(status) = &deployment.status else { return };
        if status.observed_generation == deployment.metadata.generation {
            self.updated = count(status.updated_replicas);
        }
        self.replicas = count(status.replicas);
        self.ready = count(status.ready_replicas);
    }

    pub(super) fn take_service(&mut self, found: &Service) {
        let spec = found.spec.as_ref();
        self.cluster_address =
            spec.and_then(|spec| spec.cluster_ip.as_deref()).and_then(|ip| ip.parse().ok());
        self.addresses = service::addresses(found);
        let type_ = spec.and_then(|spec| spec.type_.as_deref());
        if type_ == Some("LoadBalancer") && self.addresses.is_empty() {
            let name = found.metadata.name.as_deref().unwrap_or_default();
            self.problems.push(Problem::new(
                ProblemKind::Address,
                format!("Service {name}: the cluster has given no address for the load balancer yet"),
            ));
        }
    }

    /// What pods say of why they are not ready, each reason once.
    pub(super) fn take_pods<'a>(&mut self, server: &ResourceName, pods: impl Iterator<Item = &'a Pod>) {
        for pod in pods.filter(|pod| belongs_to(pod, server)) {
            if let Some(why) = trouble(pod) {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                let problem = Problem::new(ProblemKind::Pods, format!("Pod {name}: {why}"));
                if !self.problems.contains(&problem) {
                    self.problems.push(problem);
                }
            }
        }
    }

    pub(super) fn sorted(mut self) -> Self {
        self.problems.sort_by_key(|problem| problem.kind);
        self
    }
}

fn count(replicas: Option<i32>) -> u32 {
    u32::try_from(replicas.unwrap_or_default()).unwrap_or_default()
}

fn belongs_to(pod: &Pod, server: &ResourceName) -> bool {
    let meta = &pod.metadata;
    let name = meta.labels.as_ref().and_then(|labels| labels.get(crds::labels::SERVER));
    meta.namespace.as_deref() == Some(server.namespace())
        && name.map(String::as_str) == Some(server.name())
        && meta.deletion_timestamp.is_none()
}

/// Why a pod does not run, where it says so itself.
fn trouble(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return Some(sentence("it cannot be put on a node", condition.message.as_deref()));
    }
    status.container_statuses.iter().flatten().find_map(container_trouble)
}

fn container_trouble(status: &ContainerStatus) -> Option<String> {
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref())?;
    // What every pod goes through.
    let reason = waiting
        .reason
        .as_deref()
        .filter(|reason| !matches!(*reason, "ContainerCreating" | "PodInitializing"))?;
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let detail = last.and_then(|last| last.message.as_deref()).or(waiting.message.as_deref());
    Some(sentence(reason, detail))
}

/// Log lines of a container can be long; a status is read by people.
fn sentence(what: &str, detail: Option<&str>) -> String {
    const LONGEST: usize = 300;
    match detail.map(str::trim).filter(|detail| !detail.is_empty()) {
        None => what.to_owned(),
        Some(detail) => {
            // The end of a log says why it ended.
            let skipped = detail.chars().count().saturating_sub(LONGEST);
            let end: String = detail.chars().skip(skipped).collect();
            format!("{what} ({}{end})", if skipped > 0 { "…" } else { "" })
        }
    }
}

//! Replicas of servers.

use std::{collections::BTreeMap, net::IpAddr};

use client::internal::{Loaded, Usage};
use issuance::identity::ResourceName;
use k8s_openapi::api::core::v1::Pod;

/// One replica: a pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Replica {
    /// The EnrollmentServer it belongs to.
    pub server: ResourceName,
    /// Name of the pod, in the namespace of the server.
    pub pod: String,
    /// Of the pod: another pod may get its name, and its address.
    pub uid: String,
    pub address: IpAddr,
}

/// A replica and what is known of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplicaState {
    pub replica: Replica,
    /// As its pod says. Only ready replicas count for `Programmed`; others may still be asked what is wrong.
    pub ready: bool,
    /// What it serves; none before the first answer.
    pub loaded: Option<Loaded>,
    pub usage: Option<Usage>,
    /// Why the last question got no answer.
    pub error: Option<String>,
}

/// The replicas that run, by server; `pods` are those that carry the labels of servers.
pub fn replicas_of<'a>(pods: impl IntoIterator<Item = &'a Pod>) -> BTreeMap<ResourceName, Vec<ReplicaState>> {
    let mut found: BTreeMap<ResourceName, Vec<ReplicaState>> = BTreeMap::new();
    for pod in pods {
        if let Some(state) = replica_of(pod) {
            found.entry(state.replica.server.clone()).or_default().push(state);
        }
    }
    for replicas in found.values_mut() {
        replicas.sort_by(|a, b| a.replica.cmp(&b.replica));
    }
    found
}

/// None: the pod is not a server's, has no address yet, or is going away.
fn replica_of(pod: &Pod) -> Option<ReplicaState> {
    let meta = &pod.metadata;
    let server = meta.labels.as_ref()?.get(crds::labels::SERVER)?;
    let status = pod.status.as_ref()?;
    if meta.deletion_timestamp.is_some() || matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let replica = Replica {
        server: ResourceName::new(meta.namespace.as_deref()?, server),
        pod: meta.name.clone()?,
        uid: meta.uid.clone()?,
        address: status.pod_ip.as_deref()?.parse().ok()?,
    };
    let conditions = status.conditions.iter().flatten();
    let ready =
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    Some(ReplicaState { replica, ready, loaded: None, usage: None, error: None })
}

//! What becomes of an EnrollmentServer.

use crds::{EnrollmentServer, EnrollmentServerStatus, ServerUrls};
use pki::time::Time;
use resolve::ResourceStatus;

use super::conditions::{Beyond, changed, judge, status};
use crate::{
    servers::{Programmed, ReplicaState},
    workload::WorkloadState,
};

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras<'a> {
    pub(super) workload: Option<&'a WorkloadState>,
    pub(super) replicas: &'a [ReplicaState],
    pub(super) urls: Option<ServerUrls>,
}

status!(EnrollmentServerStatus, counts: []);

/// The status; none: it is as it should be.
pub(super) fn decide(
    server: &EnrollmentServer,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras<'_>,
    now: Time,
) -> Option<EnrollmentServerStatus> {
    let existing = server.status.as_ref();
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    status.configuration_generation = in_force(extras.replicas);
    status.urls.clone_from(&extras.urls);
    if let Some(workload) = extras.workload {
        status.replicas = Some(workload.replicas);
        status.ready_replicas = Some(workload.ready);
        status.addresses.clone_from(&workload.addresses);
    }
    let trouble = extras.workload.map(WorkloadState::message).filter(|message| !message.is_empty());
    let beyond = Beyond { note: trouble, ..Beyond::default() };
    let judged = judge(resolved, programmed, &beyond);
    changed(existing, status, &judged, resolved.generation, now)
}

/// The generation that every ready replica works with, or a later one; none: there is none ready, or one of them did not say.
fn in_force(replicas: &[ReplicaState]) -> Option<u64> {
    let ready = replicas.iter().filter(|state| state.ready);
    let generations: Option<Vec<u64>> =
        ready.map(|state| state.loaded.as_ref().map(|loaded| loaded.generation)).collect();
    generations?.into_iter().min().filter(|generation| *generation > 0)
}

//! What becomes of a ChanceryIssuer and of a ChanceryClusterIssuer.

use client::internal::MethodUsage;
use crds::{ChanceryClusterIssuer, ChanceryIssuer, Counters, IssuerStatus, conditions::Reason};
use pki::time::Time;
use resolve::ResourceStatus;

use super::conditions::{Beyond, changed, judge, status};
use crate::servers::Programmed;

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    /// Of the authority that issues; none: it has no certificate.
    pub(super) ca_fingerprint: Option<String>,
    /// Why its authority cannot sign now, if it cannot.
    pub(super) not_issued: Option<String>,
    pub(super) usage: Option<MethodUsage>,
}

status!(IssuerStatus, counts: [counters]);

/// The status; none: it is as it should be.
pub(super) fn decide_namespaced(
    issuer: &ChanceryIssuer,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras,
    now: Time,
) -> Option<IssuerStatus> {
    decide(issuer.status.as_ref(), resolved, programmed, extras, now)
}

/// The same for one of the cluster.
pub(super) fn decide_of_cluster(
    issuer: &ChanceryClusterIssuer,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras,
    now: Time,
) -> Option<IssuerStatus> {
    decide(issuer.status.as_ref(), resolved, programmed, extras, now)
}

fn decide(
    existing: Option<&IssuerStatus>,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras,
    now: Time,
) -> Option<IssuerStatus> {
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    status.ca_fingerprint.clone_from(&extras.ca_fingerprint);
    if let Some(usage) = &extras.usage {
        status.counters = Some(Counters { issued: usage.issued, refused: usage.refused });
    }
    let not_ready = extras.not_issued.clone().map(|why| (Reason::NotIssued, why));
    let judged = judge(resolved, programmed, &Beyond { not_ready, note: None });
    changed(existing, status, &judged, resolved.generation, now)
}

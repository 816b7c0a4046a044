//! What becomes of an EnrollmentMethod.

use client::internal::MethodUsage;
use crds::{Counters, EnrollmentMethod, EnrollmentMethodStatus, MethodFailure, MethodUrl};
use pki::time::Time;
use resolve::{CompiledMethod, CompiledServer, MethodSettings, ResourceStatus};

use super::conditions::{Beyond, changed, judge, moment, status};
use crate::servers::Programmed;

/// Most characters of a reason that a status takes.
const MAX_REASON: usize = 1024;

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras<'a> {
    /// None: it is not served.
    pub(super) served: Option<Served<'a>>,
    /// What all replicas together have counted; none: none was asked yet.
    pub(super) usage: Option<MethodUsage>,
    pub(super) waits_for: Option<String>,
}

/// Where it is served.
#[derive(Clone, Debug)]
pub(super) struct Served<'a> {
    pub(super) method: &'a CompiledMethod,
    pub(super) server: &'a CompiledServer,
    /// The beginning of URLs for devices.
    pub(super) base: String,
    pub(super) ca_fingerprint: Option<String>,
}

status!(EnrollmentMethodStatus, counts: [counters, last_failure]);

/// The status; none: it is as it should be.
pub(super) fn decide(
    method: &EnrollmentMethod,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras<'_>,
    now: Time,
) -> Option<EnrollmentMethodStatus> {
    let existing = method.status.as_ref();
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    match &extras.served {
        Some(served) => {
            let labels = labels(served);
            status.label = labels.first().cloned();
            status.urls = urls(served, &labels);
            status.ca_fingerprint.clone_from(&served.ca_fingerprint);
        }
        // A URL that nothing answers at is not handed out.
        None => {
            status.label = None;
            status.urls = Vec::new();
            status.ca_fingerprint = None;
        }
    }
    if let Some(usage) = &extras.usage {
        status.counters = Some(Counters { issued: usage.issued, refused: usage.refused });
        let failure = usage.last_failure.as_ref().map(|(at, reason)| MethodFailure {
            time: moment(Time::from_unix(*at)),
            reason: reason.chars().take(MAX_REASON).collect(),
        });
        status.last_failure = later(status.last_failure, failure);
    }
    let beyond = Beyond { note: extras.waits_for.clone(), ..Beyond::default() };
    let judged = judge(resolved, programmed, &beyond);
    changed(existing, status, &judged, resolved.generation, now)
}

/// A replica that was replaced takes its memory with it.
fn later(known: Option<MethodFailure>, heard: Option<MethodFailure>) -> Option<MethodFailure> {
    [known, heard].into_iter().flatten().max_by_key(|failure| failure.time.0)
}

/// The shortest first; its own, `namespace.name`, always works.
fn labels(served: &Served<'_>) -> Vec<String> {
    served.method.labels(served.server).into_iter().map(str::to_owned).collect()
}

/// The shortest first.
fn urls(served: &Served<'_>, labels: &[String]) -> Vec<MethodUrl> {
    let method = served.method;
    let default = method.unlabelled_path(served.server);
    let labelled = labels.iter().filter_map(|label| method.path(Some(label)));
    let purpose = purpose(method);
    let url = |path| MethodUrl { purpose: purpose.map(str::to_owned), url: format!("{}{path}", served.base) };
    default.into_iter().chain(labelled).map(url).collect()
}

/// What a URL is for, where clients find all others from it.
fn purpose(method: &CompiledMethod) -> Option<&'static str> {
    match &method.settings {
        MethodSettings::Acme(_) => Some("directory"),
        MethodSettings::Est(_) | MethodSettings::Rest(_) | MethodSettings::Issuer(_) => None,
    }
}

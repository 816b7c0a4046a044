//! What becomes of a CertificateProfile.

use crds::{CertificateProfile, CertificateProfileStatus, Counters};
use pki::time::Time;
use resolve::ResourceStatus;

use super::conditions::{Beyond, changed, judge, status};
use crate::servers::Programmed;

/// What else is known of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Extras {
    pub(super) counters: Option<Counters>,
    /// Why it cannot be served yet: what it hangs on.
    pub(super) waits_for: Option<String>,
}

status!(CertificateProfileStatus, counts: [counters]);

/// The status; none: it is as it should be.
pub(super) fn decide(
    profile: &CertificateProfile,
    resolved: &ResourceStatus,
    programmed: &Programmed,
    extras: &Extras,
    now: Time,
) -> Option<CertificateProfileStatus> {
    let existing = profile.status.as_ref();
    let mut status = existing.cloned().unwrap_or_default();
    status.observed_generation = resolved.generation;
    status.counters = extras.counters.or(status.counters);
    let beyond = Beyond { note: extras.waits_for.clone(), ..Beyond::default() };
    let judged = judge(resolved, programmed, &beyond);
    changed(existing, status, &judged, resolved.generation, now)
}

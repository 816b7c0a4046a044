//! What authorities whose keys stay with the operator have revoked: what their revocation lists have to hold.

use std::collections::BTreeMap;

use crds::{CertificateRevocation, Kind, Resource, RevocationReason, conditions::Reason};
use issuance::identity::KeyId;
use pki::{extension::ReasonCode, serial::SerialNumber, time::Time};

use super::decide::recorded;
use crate::world::{Entry, World};

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedIntermediate {
    pub serial: SerialNumber,
    pub at: Time,
    /// None: unspecified, which an entry does not say (RFC 5280 §5.3.1).
    pub reason: Option<ReasonCode>,
}

/// The revocations that resources have brought about, by the key of who signed, sorted by serial number. Whoever makes a list
/// keeps what it once held: resources can be deleted, revocations not be taken back.
pub fn revoked_intermediates(world: &World) -> BTreeMap<KeyId, Vec<RevokedIntermediate>> {
    entries(world.of_kind(Kind::CertificateRevocation).filter_map(|(_, entry)| match entry {
        Entry::Read(Resource::CertificateRevocation(revocation)) => Some(revocation.as_ref()),
        Entry::Read(_) | Entry::Undecodable { .. } => None,
    }))
}

pub(super) fn entries<'a>(
    revocations: impl Iterator<Item = &'a CertificateRevocation>,
) -> BTreeMap<KeyId, Vec<RevokedIntermediate>> {
    let mut found: BTreeMap<KeyId, BTreeMap<SerialNumber, RevokedIntermediate>> = BTreeMap::new();
    for (issuer, entry) in revocations.filter_map(revoked) {
        // Of two for the same certificate the first counts.
        let known = found.entry(issuer).or_default().entry(entry.serial).or_insert(entry);
        if entry.at < known.at {
            *known = entry;
        }
    }
    found.into_iter().map(|(issuer, entries)| (issuer, entries.into_values().collect())).collect()
}

fn revoked(revocation: &CertificateRevocation) -> Option<(KeyId, RevokedIntermediate)> {
    let (issuer, serial) = recorded(revocation)?;
    let status = revocation.status.as_ref()?;
    if !status.conditions.iter().any(|condition| condition.reason == Reason::Revoked.as_str()) {
        return None;
    }
    let at = Time::from_unix(status.revoked_at.as_ref()?.0.as_second());
    Some((issuer, RevokedIntermediate { serial, at, reason: reason(revocation.spec.reason) }))
}

fn reason(reason: RevocationReason) -> Option<ReasonCode> {
    Some(match reason {
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => ReasonCode::KeyCompromise,
        RevocationReason::CaCompromise => ReasonCode::CaCompromise,
        RevocationReason::AffiliationChanged => ReasonCode::AffiliationChanged,
        RevocationReason::Superseded => ReasonCode::Superseded,
        RevocationReason::CessationOfOperation => ReasonCode::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => ReasonCode::PrivilegeWithdrawn,
        RevocationReason::AaCompromise => ReasonCode::AaCompromise,
    })
}

//! What exists already, as far as resolving asks.

use std::collections::BTreeMap;

use issuance::identity::ResourceName;
use pki::time::Time;

/// What exists, and the moment it was looked at: resolving has no clock of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub now: Time,
    /// Authorities that have their key **and** their certificate. One whose key was lost must not be listed as absent, or it
    /// would be made anew under the same name: that is an error of whoever observes.
    pub authorities: BTreeMap<ResourceName, ObservedAuthority>,
    /// Authorities whose key a server has had, and that server. It alone knows what they issued and what of that is revoked, so
    /// they stay with it for ever, and their keys too, even where nothing is issued by them any more. Standalone, where all keys
    /// are in one place, leaves this empty.
    pub delegated: BTreeMap<ResourceName, ResourceName>,
}

impl Observed {
    /// Nothing exists yet.
    pub fn nothing(now: Time) -> Self {
        Self { now, authorities: BTreeMap::new(), delegated: BTreeMap::new() }
    }
}

/// The certificates of an authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedAuthority {
    /// DER.
    pub certificate: Vec<u8>,
    /// DER, upwards to the root, with or without `certificate` itself in front.
    pub chain: Vec<Vec<u8>>,
}

//! What exists already, as far as resolving asks.

use std::collections::{BTreeMap, BTreeSet};

use issuance::identity::ResourceName;
use pki::time::Time;

/// What exists, and the moment it was looked at: resolving has no clock of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    pub now: Time,
    /// Authorities that have their key **and** their certificate. One whose key was lost must not be listed as absent, or it
    /// would be made anew under the same name: that is an error of whoever observes.
    pub authorities: BTreeMap<ResourceName, ObservedAuthority>,
    /// Authorities whose key a server has had: it knows what is revoked, so the key stays with it even where nothing issues
    /// by that authority any more. Standalone, where all keys are in one place, leaves this empty.
    pub delegated: BTreeSet<ResourceName>,
}

impl Observed {
    /// Nothing exists yet.
    pub fn nothing(now: Time) -> Self {
        Self { now, authorities: BTreeMap::new(), delegated: BTreeSet::new() }
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

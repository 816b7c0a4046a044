//! What an authority, and those above it, allow below.

use std::time::Duration;

use pki::{
    certificate::Certificate,
    extension::{NameConstraints, TypedExtension as _},
};

/// The bounds that hold for what an authority signs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Bounds {
    /// How many authorities may follow below it; none: no limit (RFC 5280 §4.2.1.9).
    pub(crate) path_length: Option<u8>,
    /// How long its certificate is valid altogether.
    pub(crate) lifetime: Duration,
    /// Its own name constraints and all above it; a name must pass each.
    pub(crate) constraints: Vec<NameConstraints>,
}

impl Bounds {
    /// Of an authority that is to be signed by one with these bounds.
    pub(super) fn under(mut self, parent: &Self) -> Self {
        let left = parent.path_length.map(|length| length.saturating_sub(1));
        self.path_length = match (self.path_length, left) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        };
        self.lifetime = self.lifetime.min(parent.lifetime);
        self.constraints.extend(parent.constraints.iter().cloned());
        self
    }

    /// Of an authority with these certificates, its own first. What cannot be read of an extension binds nothing here;
    /// peers judge it themselves.
    pub(super) fn of_chain(chain: &[Certificate]) -> Self {
        let lengths = chain.iter().enumerate().filter_map(|(above, certificate)| {
            let length = certificate.basic_constraints().ok().flatten()?.path_length?;
            Some(length.saturating_sub(u8::try_from(above).unwrap_or(u8::MAX)))
        });
        let lifetime =
            chain.first().map(|own| own.not_after().unix().saturating_sub(own.not_before().unix()));
        Self {
            path_length: lengths.min(),
            lifetime: Duration::from_secs(
                lifetime.and_then(|seconds| u64::try_from(seconds).ok()).unwrap_or(0),
            ),
            constraints: chain
                .iter()
                .filter_map(|certificate| NameConstraints::find(certificate.extensions()).ok().flatten())
                .collect(),
        }
    }
}

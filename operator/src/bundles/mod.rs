//! CA bundles: the certificates that others are to trust, as ConfigMaps and ClusterTrustBundles.
//!
//! ```text
//! CertificateAuthority.spec.bundle, chains, namespaces ─► plan: pure ─► owned::Keeper ─► BundleStatus of each authority
//! ```
//!
//! A bundle holds the root above the authority and, while another authority is to take over (`successorRef`), the root above
//! that one too, so that both are trusted before either stops signing. What something else made under the same name is never
//! written to; what no authority asks for any more is removed, once a complete list says so.

mod anchors;
mod apply;
mod plan;
#[cfg(test)]
mod tests;

pub use self::apply::{Applied, Bundles};

/// The value of `app.kubernetes.io/component` on what is made here.
const COMPONENT: &str = "ca-bundle";

/// The label that holds [`COMPONENT`].
const COMPONENT_LABEL: &str = "app.kubernetes.io/component";

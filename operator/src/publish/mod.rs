//! Parts and manifests: the compiled configuration as Secrets in the namespaces of servers.
//!
//! Parts first, and lists of them where they are many, only those that changed; then the manifest that lists them, signed, with a
//! generation that only grows; then the parts that no manifest lists any more are removed. A Secret that the operator did not make is
//! never written to. A manifest that somebody else has written meanwhile is replaced under a higher generation: never do two differ
//! that have the same.
//!
//! | file | what |
//! | --- | --- |
//! | `publisher.rs` | in which order, and what may be left as it is |
//! | `carried.rs` | what stays as it is because a resource cannot be read any more |
//! | `shelf.rs` | what is known of the Secrets of one server without reading them again |
//! | `secrets.rs` | what is written |

mod carried;
mod publisher;
mod secrets;
mod shelf;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use issuance::identity::ResourceName;
use resolve::parts::{Manifest, ManifestError, PartEntry};

pub use self::publisher::{Order, Publisher};

/// Signs manifests. The key never leaves the operator's namespace.
pub trait ManifestSigner: fmt::Debug + Send + Sync {
    /// ECDSA on P-256 with SHA-256, DER, over exactly these bytes.
    ///
    /// # Errors
    /// A sentence, where the key cannot sign.
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, String>;

    /// Whether a manifest was signed by this key.
    fn is_signed(&self, manifest: &[u8], signature: &[u8]) -> bool;
}

/// What the replicas of one server are to serve.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    pub manifest: Manifest,
    /// Parts that cannot be written, by the name of their Secret, and why.
    pub left_out: BTreeMap<String, String>,
    /// The Secrets of lists that the manifest has as it is written.
    pub lists: BTreeSet<String>,
}

impl Published {
    pub fn generation(&self) -> u64 {
        self.manifest.generation
    }

    /// By the name of their Secret.
    pub fn parts(&self) -> &BTreeMap<String, PartEntry> {
        &self.manifest.parts
    }
}

/// Why a configuration could not be published. What was published before stays in force.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It is left alone.
    #[error("the Secret {0} is in the way: the operator did not make it")]
    Foreign(ResourceName),
    #[error("the Secret {secret} cannot be {what}")]
    Api {
        secret: ResourceName,
        what: &'static str,
        #[source]
        source: Box<kube::Error>,
    },
    /// Another leader, most likely: one that does not know yet that it is none any more.
    #[error("the Secret {0} was changed by somebody else at the same time; it is looked at again")]
    Changed(ResourceName),
    #[error("the Secrets of {server} cannot be listed")]
    List {
        server: ResourceName,
        #[source]
        source: Box<kube::Error>,
    },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the manifest cannot be signed: {0}")]
    Sign(String),
}

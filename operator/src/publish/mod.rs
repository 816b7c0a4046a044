//! Parts and manifests: the compiled configuration as Secrets in the namespaces of servers.
//!
//! Parts first, only those that changed; then the manifest that lists them, signed, with a generation that only grows; then the
//! parts that no manifest lists any more are removed. A Secret that the operator did not make is never written to.

use std::{collections::BTreeMap, fmt};

use resolve::parts::{Manifest, PartEntry};

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

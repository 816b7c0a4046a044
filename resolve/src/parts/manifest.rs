//! The manifest: which parts belong together.

use std::collections::{BTreeMap, BTreeSet};

use issuance::identity::ResourceName;
use serde::{Deserialize, Serialize};

use super::{
    index::MAX_MANIFEST_BYTES,
    part::{Part, PartError, PartKind, sha256_hex},
};
use crate::FORMAT;

/// Which parts a server is to serve. Written, it is an [index](super::ManifestIndex), which is signed, and, where it is long, lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    pub format: u32,
    /// The server it is for: one that was signed for another is refused.
    pub server: ResourceName,
    /// Grows with every manifest of the server, and never goes back. The first has 1.
    pub generation: u64,
    /// By the name of their Secret.
    pub parts: BTreeMap<String, PartEntry>,
    /// Credentials that resources declare and that are not among the parts, because something is wrong with them or with what they
    /// refer to: they are not served, and are not taken for deleted. What they were used for stays counted.
    pub declared: BTreeSet<ResourceName>,
}

/// One part of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartEntry {
    pub kind: PartKind,
    pub name: ResourceName,
    /// Over the part's JSON, lower-case hexadecimal.
    pub sha256: String,
}

/// Why a manifest cannot be written, or bytes are not one that this program reads.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error(
        "the manifest has {size} bytes; {MAX_MANIFEST_BYTES} are the most: the server serves too many objects"
    )]
    TooLarge { size: usize },
    #[error("the manifest has format {found}, which this program does not read")]
    Format { found: u64 },
    #[error("the manifest cannot be read (line {line}, column {column})")]
    Malformed { line: usize, column: usize },
    #[error("the manifest cannot be written")]
    Write(#[source] serde_json::Error),
    #[error("the part of the {kind} {name}")]
    Part { kind: PartKind, name: ResourceName, source: PartError },
    /// It may still arrive.
    #[error("the Secret {secret}, a list of the manifest, is not there")]
    ListMissing { secret: String },
    /// The right one may still arrive.
    #[error("the Secret {secret} is not the list that the manifest means")]
    ListMismatch { secret: String },
}

impl Manifest {
    /// Lists these parts; their JSON comes with them, by the name of their Secrets.
    ///
    /// # Errors
    /// [`ManifestError::Part`] where a part is too large.
    pub fn of(
        server: ResourceName,
        generation: u64,
        parts: &[Part],
    ) -> Result<(Self, BTreeMap<String, Vec<u8>>), ManifestError> {
        let (mut entries, mut secrets) = (BTreeMap::new(), BTreeMap::new());
        for part in parts {
            let (kind, name) = (part.kind(), part.name().clone());
            let json =
                part.to_json().map_err(|source| ManifestError::Part { kind, name: name.clone(), source })?;
            entries.insert(part.secret_name(), PartEntry { kind, name, sha256: sha256_hex(&json) });
            secrets.insert(part.secret_name(), json);
        }
        Ok((Self { format: FORMAT, server, generation, parts: entries, declared: BTreeSet::new() }, secrets))
    }

    /// Whether both list the same, whatever their generations: there is nothing to publish then.
    pub fn lists_the_same(&self, other: &Self) -> bool {
        (self.format, &self.server, &self.parts, &self.declared)
            == (other.format, &other.server, &other.parts, &other.declared)
    }

    /// The credentials that it names, served or not.
    pub fn credentials(&self) -> BTreeSet<&ResourceName> {
        let served = self.parts.values().filter(|entry| entry.kind == PartKind::Credential);
        served.map(|entry| &entry.name).chain(&self.declared).collect()
    }

    /// Of these credentials, which all have a resource, keeps those that are not among the parts as [`declared`](Self::declared).
    #[must_use]
    pub fn declaring(mut self, credentials: impl IntoIterator<Item = ResourceName>) -> Self {
        self.declared = BTreeSet::new();
        let served = self.credentials();
        self.declared = credentials.into_iter().filter(|name| !served.contains(name)).collect();
        self
    }
}

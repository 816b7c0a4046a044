//! The manifest: which parts belong together.

use std::collections::{BTreeMap, BTreeSet};

use issuance::identity::ResourceName;
use serde::{Deserialize, Serialize};

use super::part::{Part, PartError, PartKind, sha256_hex};
use crate::{FORMAT, compiled::reads_format};

/// Most bytes of a manifest as JSON: some five thousand parts.
const MAX_MANIFEST_BYTES: usize = 1_000_000;

/// Which parts a server is to serve. It is signed over the bytes of its JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
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

    /// One line of JSON; the same manifest gives the same bytes.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] where no Secret could hold it.
    pub fn to_json(&self) -> Result<Vec<u8>, ManifestError> {
        let json = serde_json::to_vec(self).map_err(ManifestError::Write)?;
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: json.len() });
        }
        Ok(json)
    }

    /// Reads what [`to_json`](Self::to_json) of this release or the one before wrote. Whether it is signed is for the caller to
    /// check, over the same bytes, before.
    ///
    /// # Errors
    /// [`ManifestError::Format`] for any other format, whatever else is in it.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Envelope {
            format: u64,
        }
        if json.len() > MAX_MANIFEST_BYTES {
            return Err(ManifestError::TooLarge { size: json.len() });
        }
        let malformed = |error: serde_json::Error| ManifestError::Malformed {
            line: error.line(),
            column: error.column(),
        };
        let Envelope { format } = serde_json::from_slice(json).map_err(malformed)?;
        if !reads_format(format) {
            return Err(ManifestError::Format { found: format });
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    /// Whether both list the same, whatever their generations: there is nothing to publish then.
    pub fn lists_the_same(&self, other: &Self) -> bool {
        (self.format, &self.server, &self.parts, &self.declared)
            == (other.format, &other.server, &other.parts, &other.declared)
    }

    /// Of these credentials, which all have a resource, keeps those that are not among the parts as [`declared`](Self::declared).
    #[must_use]
    pub fn declaring(mut self, credentials: impl IntoIterator<Item = ResourceName>) -> Self {
        let served = self.parts.values().filter(|entry| entry.kind == PartKind::Credential);
        let served: BTreeSet<&ResourceName> = served.map(|entry| &entry.name).collect();
        self.declared = credentials.into_iter().filter(|name| !served.contains(name)).collect();
        self
    }
}

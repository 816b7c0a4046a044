//! A manifest as it is written: an index, which is signed, and lists, which the index names by their hash.
//!
//! A Secret holds at most 1 MiB, and an entry takes some two hundred bytes. Up to [`INLINE`] entries the index has them itself; above,
//! it has sixteen lists, each in a Secret of its own. A list's name follows from what it holds: a new one never takes the place of one
//! that a manifest in force still needs, and one change rewrites one list.

use std::collections::{BTreeMap, BTreeSet};

use issuance::identity::ResourceName;
use serde::{Deserialize, Serialize};

use super::{
    manifest::{Manifest, ManifestError, PartEntry},
    part::sha256_hex,
};
use crate::compiled::reads_format;

/// Most bytes of an index, and of a list, as JSON.
pub(super) const MAX_MANIFEST_BYTES: usize = 1_000_000;

/// Most entries of an index without lists. Names have at most 317 characters, so that these always fit.
const INLINE: usize = 1_000;

/// A manifest as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenManifest {
    /// The index, one line of JSON: what is signed.
    pub json: Vec<u8>,
    /// The lists, each one line of JSON, by the name of their Secret.
    pub lists: BTreeMap<String, Vec<u8>>,
}

/// What is signed of a manifest. Whoever has checked that puts it together with its lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestIndex {
    format: u32,
    server: ResourceName,
    generation: u64,
    #[serde(flatten)]
    entries: Entries,
    /// SHA-256 by the name of the Secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    lists: BTreeMap<String, String>,
}

/// What an index or a list has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Entries {
    #[serde(default)]
    parts: BTreeMap<String, PartEntry>,
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    declared: BTreeSet<ResourceName>,
}

impl Manifest {
    /// The same manifest gives the same bytes.
    ///
    /// # Errors
    /// [`ManifestError::TooLarge`] where no Secret could hold a list of it: with some eighty thousand parts.
    pub fn write(&self) -> Result<WrittenManifest, ManifestError> {
        let mut index = ManifestIndex {
            format: self.format,
            server: self.server.clone(),
            generation: self.generation,
            entries: Entries::default(),
            lists: BTreeMap::new(),
        };
        let mut lists = BTreeMap::new();
        if self.parts.len().saturating_add(self.declared.len()) <= INLINE {
            index.entries = Entries { parts: self.parts.clone(), declared: self.declared.clone() };
        } else {
            for entries in self.divided() {
                let json = json(&entries)?;
                let hash = sha256_hex(&json);
                let secret = list_secret_name(&self.server, &hash);
                index.lists.insert(secret.clone(), hash);
                lists.insert(secret, json);
            }
        }
        Ok(WrittenManifest { json: json(&index)?, lists })
    }

    /// What falls to each list. Where an entry goes depends on nothing but its name.
    fn divided(&self) -> Vec<Entries> {
        let list_of = |name: &str| sha256_hex(name.as_bytes()).chars().next();
        let mut lists: BTreeMap<Option<char>, Entries> = BTreeMap::new();
        for (secret, entry) in &self.parts {
            lists.entry(list_of(secret)).or_default().parts.insert(secret.clone(), entry.clone());
        }
        for name in &self.declared {
            lists.entry(list_of(&name.to_string())).or_default().declared.insert(name.clone());
        }
        lists.into_values().collect()
    }
}

impl ManifestIndex {
    /// Reads what [`Manifest::write`] of this release or the one before wrote. Whether it is signed is for the caller to check, over the
    /// same bytes, before.
    ///
    /// # Errors
    /// [`ManifestError::Format`] for any other format, whatever else is in it.
    pub fn from_json(json: &[u8]) -> Result<Self, ManifestError> {
        #[derive(Deserialize)]
        struct Envelope {
            format: u64,
        }
        check_size(json)?;
        let Envelope { format } = serde_json::from_slice(json).map_err(malformed)?;
        if !reads_format(format) {
            return Err(ManifestError::Format { found: format });
        }
        serde_json::from_slice(json).map_err(malformed)
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The names of the Secrets of its lists.
    pub fn lists(&self) -> impl Iterator<Item = &String> {
        self.lists.keys()
    }

    /// The manifest, with the JSON of its lists by the name of their Secret.
    ///
    /// # Errors
    /// [`ManifestError::ListMissing`] and [`ManifestError::ListMismatch`]: a list counts only as the index means it.
    pub fn complete<'l>(&self, list: impl Fn(&str) -> Option<&'l [u8]>) -> Result<Manifest, ManifestError> {
        let Entries { mut parts, mut declared } = self.entries.clone();
        for (secret, hash) in &self.lists {
            let json = list(secret).ok_or_else(|| ManifestError::ListMissing { secret: secret.clone() })?;
            check_size(json)?;
            if sha256_hex(json) != *hash {
                return Err(ManifestError::ListMismatch { secret: secret.clone() });
            }
            let entries: Entries = serde_json::from_slice(json).map_err(malformed)?;
            parts.extend(entries.parts);
            declared.extend(entries.declared);
        }
        let Self { format, server, generation, .. } = self;
        Ok(Manifest { format: *format, server: server.clone(), generation: *generation, parts, declared })
    }
}

/// The name of the Secret of a list, in the namespace of its server.
fn list_secret_name(server: &ResourceName, hash: &str) -> String {
    let short: String = sha256_hex(format!("list/{server}/{hash}").as_bytes()).chars().take(20).collect();
    format!("chancery-part-list-{short}")
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, ManifestError> {
    let json = serde_json::to_vec(value).map_err(ManifestError::Write)?;
    check_size(&json)?;
    Ok(json)
}

fn check_size(json: &[u8]) -> Result<(), ManifestError> {
    if json.len() > MAX_MANIFEST_BYTES {
        return Err(ManifestError::TooLarge { size: json.len() });
    }
    Ok(())
}

fn malformed(error: serde_json::Error) -> ManifestError {
    ManifestError::Malformed { line: error.line(), column: error.column() }
}

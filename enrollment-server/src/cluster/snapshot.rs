//! The last configuration that was put in force, sealed, among the rows: a server starts with it where no API server answers,
//! and no replica goes back behind it.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::{
    Error,
    identity::ResourceName,
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Expect, SealedRow, Store, Write},
};
use resolve::parts::ManifestIndex;
use serde::{Deserialize, Serialize};

use super::{
    candidate::{Candidate, Mark},
    watch::SignedManifest,
};

/// The row of one server.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    row: String,
    server: ResourceName,
}

/// What the row says without being unsealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Public {
    generation: u64,
    sha256: String,
}

/// What is sealed in the row.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sealed {
    manifest: String,
    signature: String,
    parts: BTreeMap<String, String>,
}

/// The configuration that the replicas of a server have agreed on, as long as the row stays of this version.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Agreed {
    pub(super) mark: Mark,
    /// True while nobody has recorded a newer one.
    pub(super) guard: Expect,
}

impl Snapshot {
    pub(super) fn new(server: &ResourceName) -> Self {
        Self { row: format!("configuration/{server}"), server: server.clone() }
    }

    /// Which configuration was recorded last, by this process or another.
    pub(super) async fn agreed(&self, store: &dyn Store) -> Result<Option<Agreed>, Error> {
        store.sealed(&self.row).await?.map(|row| self.agreed_by(&row)).transpose()
    }

    fn agreed_by(&self, row: &SealedRow) -> Result<Agreed, Error> {
        let unreadable = || Error::Internal(format!("the row {} cannot be read", self.row));
        let public: Public = serde_json::from_slice(&row.public).map_err(|_| unreadable())?;
        Ok(Agreed {
            mark: Mark { generation: public.generation, sha256: public.sha256 },
            guard: Expect::SealedVersion { name: self.row.clone(), version: row.version },
        })
    }

    /// Records that this is put in force now.
    ///
    /// # Errors
    /// [`Error::Conflict`] where another replica has recorded something since `before` was read.
    pub(super) async fn record(
        &self,
        store: &dyn Store,
        sealing: &SealingKeys,
        candidate: &Candidate,
        before: Option<&Agreed>,
    ) -> Result<Agreed, Error> {
        let version = match before.map(|before| &before.guard) {
            Some(Expect::SealedVersion { version, .. }) => *version,
            Some(_) | None => 0,
        };
        let mark = candidate.mark();
        let public = Public { generation: mark.generation, sha256: mark.sha256.clone() };
        let row = SealedRow {
            name: self.row.clone(),
            version: version + 1,
            sealed: sealing.seal(&self.row, &encode(candidate)?)?,
            public: serde_json::to_vec(&public).map_err(internal)?,
        };
        let commit = Commit {
            expect: vec![Expect::SealedVersion { name: self.row.clone(), version }],
            writes: vec![Write::PutSealed(Box::new(row))],
            audit: Vec::new(),
        };
        store.commit(commit).await?.map_err(|conflict| Error::Conflict(conflict.to_string()))?;
        let guard = Expect::SealedVersion { name: self.row.clone(), version: version + 1 };
        Ok(Agreed { mark, guard })
    }

    /// The configuration that was recorded last. It was checked before it was sealed.
    ///
    /// # Errors
    /// Where it was sealed with a key that is not at hand, or by a release whose format this one does not read.
    pub(super) async fn restore(
        &self,
        store: &dyn Store,
        sealing: &SealingKeys,
    ) -> Result<Option<Candidate>, Error> {
        let Some(row) = store.sealed(&self.row).await? else { return Ok(None) };
        let secret = sealing.unseal(&self.row, &row.sealed)?;
        let sealed: Sealed = serde_json::from_slice(secret.expose()).map_err(|_| {
            Error::Internal(format!("the configuration in the row {} cannot be read", self.row))
        })?;
        let decode = |text: &String| STANDARD.decode(text).map_err(internal);
        let json = decode(&sealed.manifest)?;
        let signed = SignedManifest { json: json.into(), signature: decode(&sealed.signature)?.into() };
        let mut parts = BTreeMap::new();
        for (name, text) in &sealed.parts {
            parts.insert(name.clone(), decode(text)?);
        }
        let manifest = ManifestIndex::from_json(&signed.json)
            .and_then(|index| index.complete(|list| parts.get(list).map(Vec::as_slice)))
            .map_err(internal)?;
        Candidate::whole(&self.server, signed, manifest, parts).map(Some).map_err(internal)
    }
}

fn encode(candidate: &Candidate) -> Result<Secret, Error> {
    let parts = candidate.parts.iter();
    let sealed = Sealed {
        manifest: STANDARD.encode(&candidate.signed.json),
        signature: STANDARD.encode(&candidate.signed.signature),
        parts: parts.map(|(name, part)| (name.clone(), STANDARD.encode(part))).collect(),
    };
    Ok(Secret::new(serde_json::to_vec(&sealed).map_err(internal)?))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

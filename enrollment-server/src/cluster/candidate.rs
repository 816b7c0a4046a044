//! Which of what lies there may be put in force: signed by the operator, for this server, newer than what is in force,
//! and whole.

use std::{collections::BTreeMap, fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::identity::ResourceName;
use pki::{
    algorithm::SignatureAlgorithm,
    key::{Curve, KeyError, KeyType, PublicKey},
};
use resolve::parts::{
    AssembleError, Assembled, Manifest, ManifestError, ManifestIndex, assemble, sha256_hex,
};

use super::watch::{Found, SignedManifest};

/// Whose manifests are believed: a public key of ECDSA on P-256, whose private half never leaves the operator's namespace.
#[derive(Clone)]
pub struct ManifestKey(PublicKey);

/// Why a text is not such a key.
#[derive(Debug, thiserror::Error)]
pub enum ManifestKeyError {
    #[error("not base64")]
    Base64,
    #[error("not a SubjectPublicKeyInfo")]
    Key(#[from] KeyError),
    #[error("a key of {0}; manifests are signed with ECDSA-P256")]
    Kind(KeyType),
}

impl FromStr for ManifestKey {
    type Err = ManifestKeyError;

    /// Base64 of a SubjectPublicKeyInfo, DER.
    fn from_str(text: &str) -> Result<Self, ManifestKeyError> {
        let der = STANDARD.decode(text.trim()).map_err(|_| ManifestKeyError::Base64)?;
        let key = PublicKey::from_spki_der(&der)?;
        match key.key_type() {
            KeyType::Ecdsa(Curve::P256) => Ok(Self(key)),
            other @ (KeyType::Ecdsa(_) | KeyType::Rsa { .. } | KeyType::Ed25519) => {
                Err(ManifestKeyError::Kind(other))
            }
        }
    }
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What was signed by the operator, or sealed by this server after it had been checked, and is whole.
pub(super) struct Candidate {
    pub(super) signed: SignedManifest,
    pub(super) manifest: Manifest,
    /// The JSON of the parts that the manifest lists, and of its lists.
    pub(super) parts: BTreeMap<String, Vec<u8>>,
    pub(super) assembled: Assembled,
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("mark", &self.mark()).finish_non_exhaustive()
    }
}

/// Which manifest is in force, here or on another replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) generation: u64,
    /// Of the manifest's bytes.
    pub(super) sha256: String,
}

/// Why what lies there is not put in force.
#[derive(Debug, thiserror::Error)]
pub(super) enum Rejection {
    #[error("there is no manifest")]
    None,
    #[error("the manifest is not signed by the operator")]
    Signature,
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("the manifest has generation {found}, which is older than {in_force}, the one in force")]
    Older { found: u64, in_force: u64 },
    #[error("the manifest is another one of generation {0}, which is in force")]
    Ambiguous(u64),
    #[error(transparent)]
    Assemble(#[from] AssembleError),
}

impl Rejection {
    /// Whether it may be that the rest is still on its way.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::None
            | Self::Manifest(ManifestError::ListMissing { .. } | ManifestError::ListMismatch { .. })
            | Self::Assemble(AssembleError::Missing { .. } | AssembleError::Mismatch { .. }) => true,
            Self::Signature
            | Self::Manifest(
                ManifestError::TooLarge { .. }
                | ManifestError::Format { .. }
                | ManifestError::Malformed { .. }
                | ManifestError::Write(_)
                | ManifestError::Part { .. },
            )
            | Self::Older { .. }
            | Self::Ambiguous(_)
            | Self::Assemble(
                AssembleError::OtherServer { .. }
                | AssembleError::Older { .. }
                | AssembleError::NoServer
                | AssembleError::Server { .. },
            ) => false,
        }
    }
}

impl Candidate {
    /// What is found, where it may follow what is in force; none where it is what is in force.
    pub(super) fn find(
        key: &ManifestKey,
        server: &ResourceName,
        in_force: Option<&Mark>,
        found: &Found,
    ) -> Result<Option<Self>, Rejection> {
        let signed = found.manifest.as_ref().ok_or(Rejection::None)?;
        // Before a byte of it is looked at.
        key.0
            .verify(SignatureAlgorithm::EcdsaSha256, &signed.json, &signed.signature)
            .map_err(|_| Rejection::Signature)?;
        let index = ManifestIndex::from_json(&signed.json)?;
        let mark = Mark::of(index.generation(), signed);
        match in_force {
            Some(in_force) if *in_force == mark => return Ok(None),
            Some(in_force) => mark.check_follows(in_force)?,
            None => {}
        }
        let manifest = index.complete(|list| found.parts.get(list).map(AsRef::as_ref))?;
        let needed = index.lists().chain(manifest.parts.keys());
        let listed = needed.filter_map(|secret| found.parts.get_key_value(secret));
        let parts = listed.map(|(secret, json)| (secret.clone(), json.to_vec())).collect();
        Self::whole(server, signed.clone(), manifest, parts).map(Some)
    }

    /// With the parts that the manifest lists, each as it lists it.
    pub(super) fn whole(
        server: &ResourceName,
        signed: SignedManifest,
        manifest: Manifest,
        parts: BTreeMap<String, Vec<u8>>,
    ) -> Result<Self, Rejection> {
        let assembled = assemble(server, 0, &manifest, &parts)?;
        Ok(Self { signed, manifest, parts, assembled })
    }

    pub(super) fn mark(&self) -> Mark {
        Mark::of(self.manifest.generation, &self.signed)
    }
}

impl Mark {
    fn of(generation: u64, signed: &SignedManifest) -> Self {
        Self { generation, sha256: sha256_hex(&signed.json) }
    }

    /// # Errors
    /// Where this may not take over from what is in force. The same again may.
    pub(super) fn check_follows(&self, in_force: &Self) -> Result<(), Rejection> {
        if self.generation < in_force.generation {
            return Err(Rejection::Older { found: self.generation, in_force: in_force.generation });
        }
        if self.generation == in_force.generation && self.sha256 != in_force.sha256 {
            return Err(Rejection::Ambiguous(self.generation));
        }
        Ok(())
    }
}

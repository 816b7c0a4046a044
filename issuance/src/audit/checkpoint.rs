//! Signed heads of all streams. A copy kept elsewhere proves later that nothing up to it was changed or removed.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use pki::time::Time;
use serde::{Deserialize, Serialize};

/// The heads of all streams at one moment, signed with the server's audit key (Ed25519).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Checkpoint {
    pub at: Time,
    pub heads: Vec<StreamHead>,
    /// Ed25519 public key, 32 octets.
    #[serde(with = "hex::serde")]
    pub public_key: [u8; 32],
    #[serde(with = "hex::serde")]
    pub signature: Vec<u8>,
}

/// Where a stream stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    pub stream: String,
    pub sequence: u64,
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the checkpoint's signature is wrong")]
    Signature,
    #[error("the audit key cannot be used")]
    Key,
}

impl Checkpoint {
    /// # Errors
    /// [`CheckpointError::Key`] where the key is not a PKCS #8 Ed25519 key.
    pub fn sign(at: Time, heads: Vec<StreamHead>, key_pkcs8: &[u8]) -> Result<Self, CheckpointError> {
        let key = Ed25519KeyPair::from_pkcs8(key_pkcs8).map_err(|_| CheckpointError::Key)?;
        let public_key = key.public_key().as_ref().try_into().map_err(|_| CheckpointError::Key)?;
        let signature = key.sign(&signed_bytes(at, &heads)).as_ref().to_vec();
        Ok(Self { at, heads, public_key, signature })
    }

    /// Checks the signature by the key it names; whether that is the right key is the caller's to know.
    ///
    /// # Errors
    /// [`CheckpointError::Signature`].
    pub fn verify(&self) -> Result<(), CheckpointError> {
        UnparsedPublicKey::new(&ED25519, self.public_key)
            .verify(&signed_bytes(self.at, &self.heads), &self.signature)
            .map_err(|_| CheckpointError::Signature)
    }
}

fn signed_bytes(at: Time, heads: &[StreamHead]) -> Vec<u8> {
    let mut bytes = b"chancery checkpoint v1\0".to_vec();
    bytes.extend_from_slice(&at.unix().to_be_bytes());
    for head in heads {
        bytes.extend_from_slice(&(head.stream.len() as u64).to_be_bytes());
        bytes.extend_from_slice(head.stream.as_bytes());
        bytes.extend_from_slice(&head.sequence.to_be_bytes());
        bytes.extend_from_slice(&head.hash);
    }
    bytes
}

//! What the core needs from outside. The store's port is in [`crate::store`].

use std::fmt;

use async_trait::async_trait;
use pki::{algorithm::SignatureAlgorithm, key::PublicKey, time::Time};

/// A private key that can sign: software, PKCS #11, a remote service.
#[async_trait]
pub trait Signer: Send + Sync + fmt::Debug {
    fn public_key(&self) -> &PublicKey;

    /// What [`Signer::sign`] makes; decided once, because it stands inside what is signed.
    fn signature_algorithm(&self) -> SignatureAlgorithm;

    /// Signs the bytes (hashing included). ECDSA signatures are DER `ECDSA-Sig-Value` (RFC 3279 §2.2.3).
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key's home is out of reach; the same request may succeed later.
    #[error("the signing key is unavailable: {0}")]
    Unavailable(String),
    #[error("the signing key refused: {0}")]
    Failed(String),
}

impl From<SignError> for crate::Error {
    fn from(error: SignError) -> Self {
        match error {
            SignError::Unavailable(reason) => Self::Unavailable(reason),
            SignError::Failed(reason) => Self::Internal(reason),
        }
    }
}

/// The time of day. Tests turn it by hand.
pub trait Clock: Send + Sync + fmt::Debug {
    fn now(&self) -> Time;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Time {
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Time::from_unix(since_epoch.map_or(0, |elapsed| i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX)))
    }
}

/// Random bytes from the cryptographic generator.
///
/// # Errors
/// [`crate::Error::Internal`] when the operating system has none to give.
pub fn random<const N: usize>() -> Result<[u8; N], crate::Error> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| crate::Error::Internal("the random generator failed".into()))?;
    Ok(bytes)
}

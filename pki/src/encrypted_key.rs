//! `EncryptedPrivateKeyInfo` (RFC 5958 §3): one private key under a passphrase.
//!
//! ```text
//! EncryptedPrivateKeyInfo ::= SEQUENCE {
//!     encryptionAlgorithm  AlgorithmIdentifier,   -- PBES2: PBKDF2 with HMAC-SHA-256, AES-256-CBC
//!     encryptedData        OCTET STRING }         -- PrivateKeyInfo
//! ```

use aws_lc_rs::error::Unspecified;

use crate::{
    der_io::{DerError, Writer},
    key_package::private_key_info,
    passphrase::{Iterations, Passphrase},
    pbes2,
};

/// The label of its PEM block (RFC 7468 §11).
pub const PEM_LABEL: &str = "ENCRYPTED PRIVATE KEY";
/// The type of its DER (RFC 8351 §2).
pub const MEDIA_TYPE: &str = "application/pkcs8-encrypted";

/// Why a key was not encrypted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptedKeyError {
    #[error("the private key is malformed")]
    Malformed(#[from] DerError),
    #[error("the private key could not be encrypted")]
    Encryption,
}

/// The DER of a key, which comes in PKCS #8 of either version, under this passphrase. Written as version 1, which is
/// all that OpenSSL 3.0 reads.
///
/// With [`Iterations::ENCRYPTED_KEY`] this takes a tenth of a second or more of one core: not for a thread that serves.
pub fn encrypt_private_key(
    pkcs8: &[u8],
    passphrase: &Passphrase,
    iterations: Iterations,
) -> Result<Vec<u8>, EncryptedKeyError> {
    encrypt_private_key_info(&private_key_info(pkcs8)?, passphrase, iterations)
        .map_err(|_| EncryptedKeyError::Encryption)
}

/// Like [`encrypt_private_key`] for what is a `PrivateKeyInfo` already.
pub(crate) fn encrypt_private_key_info(
    private_key_info: &[u8],
    passphrase: &Passphrase,
    iterations: Iterations,
) -> Result<Vec<u8>, Unspecified> {
    let encrypted = pbes2::encrypt(private_key_info, passphrase, iterations)?;
    let mut writer = Writer::with_capacity(encrypted.algorithm.len() + encrypted.octets.len() + 16);
    writer.sequence(|info| {
        info.raw(&encrypted.algorithm);
        info.octet_string(&encrypted.octets);
    });
    Ok(writer.into_vec())
}

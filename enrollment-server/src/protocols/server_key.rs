//! Keys that the server makes for those who cannot.

use std::sync::Arc;

use issuance::{Error, ports::Signer, secret::Secret};
use pki::{algorithm::KeyAlgorithm, key_package::private_key_info};
use signers::SoftwareSigner;

/// A new key, and its PKCS #8 encoding.
///
/// # Errors
/// [`Error::Internal`] where it cannot be made.
pub(super) async fn generate(algorithm: KeyAlgorithm) -> Result<(Arc<dyn Signer>, Secret), Error> {
    // RSA takes seconds: not on a thread that serves.
    let signer = tokio::task::spawn_blocking(move || SoftwareSigner::generate(algorithm))
        .await
        .map_err(|_| Error::Internal("making a key was interrupted".into()))?
        .map_err(internal)?;
    let private_key = signer.to_pkcs8().map_err(internal)?;
    // Version 1: openssl 3.0 does not read the version 2 that Ed25519 keys come in (RFC 5958 §2).
    let private_key = Secret::new(private_key_info(private_key.expose()).map_err(internal)?.to_vec());
    Ok((Arc::new(signer), private_key))
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

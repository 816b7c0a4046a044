//! Keys that the server makes for those who cannot.

use std::sync::{Arc, LazyLock};

use issuance::{Error, ports::Signer, secret::Secret};
use pki::{algorithm::KeyAlgorithm, key_package::private_key_info};
use signers::SoftwareSigner;

use super::slow::{SlowError, SlowWork};

/// RSA keys that are made at once: each takes a core for up to seconds.
const AT_ONCE: usize = 2;

/// Those that wait for that.
const WAITING: usize = 32;

/// Of all protocols: they share the cores.
static RSA: LazyLock<SlowWork> = LazyLock::new(|| SlowWork::new(AT_ONCE, WAITING));

/// A new key, and its PKCS #8 encoding.
///
/// # Errors
/// [`Error::Internal`] where it cannot be made, [`Error::Unavailable`] where too many wait for one.
pub(super) async fn generate(algorithm: KeyAlgorithm) -> Result<(Arc<dyn Signer>, Secret), Error> {
    let signer = match algorithm {
        KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => {
            slowly(&RSA, algorithm).await?
        }
        // About the work of a signature.
        KeyAlgorithm::EcdsaP256
        | KeyAlgorithm::EcdsaP384
        | KeyAlgorithm::EcdsaP521
        | KeyAlgorithm::Ed25519 => SoftwareSigner::generate(algorithm).map_err(internal)?,
    };
    let private_key = signer.to_pkcs8().map_err(internal)?;
    // Version 1: openssl 3.0 does not read the version 2 that Ed25519 keys come in (RFC 5958 §2).
    let private_key = Secret::new(private_key_info(private_key.expose()).map_err(internal)?.to_vec());
    Ok((Arc::new(signer), private_key))
}

/// Not on a thread that serves, and not on as many as there are requests.
async fn slowly(places: &SlowWork, algorithm: KeyAlgorithm) -> Result<SoftwareSigner, Error> {
    match places.run(move || SoftwareSigner::generate(algorithm)).await {
        Ok(made) => made.map_err(internal),
        Err(SlowError::Busy) => {
            Err(Error::Unavailable("too many keys are being made; try again later".into()))
        }
        Err(SlowError::Interrupted) => Err(Error::Internal("making a key was interrupted".into())),
    }
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_rsa_key_needs_a_place_which_its_making_keeps() {
        let places = SlowWork::new(1, 0);
        let mut asked = Box::pin(slowly(&places, KeyAlgorithm::Rsa2048));
        assert!(futures::poll!(&mut asked).is_pending());
        let second = slowly(&places, KeyAlgorithm::Rsa2048).await;
        assert!(matches!(second, Err(Error::Unavailable(_))), "{second:?}");
        asked.await.unwrap();
        assert_eq!(places.free(), (1, 1));
    }
}

//! The key of manifests: ECDSA on P-256 with SHA-256.

use std::fmt;

use aws_lc_rs::{
    encoding::{AsDer, PublicKeyX509Der},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::secret::Secret;
use pki::{algorithm::SignatureAlgorithm, key::PublicKey};

use crate::{provision::ProvisionError, publish::ManifestSigner};

/// Signs manifests.
pub struct ManifestKey {
    pair: EcdsaKeyPair,
    public_key: PublicKey,
}

impl fmt::Debug for ManifestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManifestKey").field("public_key", &self.public_key_base64()).finish_non_exhaustive()
    }
}

impl ManifestKey {
    /// SubjectPublicKeyInfo, DER, base64: what servers check manifests with (`--manifest-key`).
    pub fn public_key_base64(&self) -> String {
        STANDARD.encode(self.public_key.spki_der())
    }

    /// A new one, PKCS#8 DER.
    pub(super) fn generate() -> Result<Secret, ProvisionError> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING);
        let pair = pair.map_err(|_| signers::KeyError::Generate)?;
        let pkcs8 = pair.to_pkcs8v1().map_err(|_| signers::KeyError::Generate)?;
        Ok(Secret::new(pkcs8.as_ref()))
    }

    /// What is wrong is the end of a sentence that begins with the Secret's name.
    pub(super) fn from_pkcs8(key: &Secret) -> Result<Self, String> {
        let unfit = || "holds something else than a key on P-256".to_owned();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.expose());
        let pair = pair.map_err(|_| unfit())?;
        let spki = AsDer::<PublicKeyX509Der<'_>>::as_der(pair.public_key()).map_err(|_| unfit())?;
        let public_key = PublicKey::from_spki_der(spki.as_ref()).map_err(|_| unfit())?;
        Ok(Self { pair, public_key })
    }
}

impl ManifestSigner for ManifestKey {
    fn sign(&self, manifest: &[u8]) -> Result<Vec<u8>, String> {
        let signature = self.pair.sign(&SystemRandom::new(), manifest);
        Ok(signature.map_err(|_| "the library refused to sign".to_owned())?.as_ref().to_vec())
    }

    fn is_signed(&self, manifest: &[u8], signature: &[u8]) -> bool {
        self.public_key.verify(SignatureAlgorithm::EcdsaSha256, manifest, signature).is_ok()
    }
}

//! Keys in memory, by aws-lc-rs.

use std::fmt;

use async_trait::async_trait;
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, ECDSA_P521_SHA512_ASN1_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use issuance::{
    ports::{SignError, Signer},
    secret::Secret,
};
use pki::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    key::{Curve, KeyType, PublicKey},
};

/// A private key and what it signs with.
pub struct SoftwareSigner {
    key: Key,
    public_key: PublicKey,
    algorithm: SignatureAlgorithm,
}

enum Key {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the key could not be generated")]
    Generate,
    #[error(
        "not a PKCS #8 private key (RFC 5958) of ECDSA on P-256, P-384 or P-521, RSA of 2048 to 8192 bits, or Ed25519"
    )]
    Unsupported,
}

impl SoftwareSigner {
    /// A new key. RSA takes up to seconds: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`KeyError::Generate`] where the random generator fails.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, KeyError> {
        let ecdsa = |algorithm| EcdsaKeyPair::generate(algorithm).map(Key::Ecdsa);
        let rsa = |size| RsaKeyPair::generate(size).map(Key::Rsa);
        let key = match algorithm {
            KeyAlgorithm::EcdsaP256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
            KeyAlgorithm::EcdsaP521 => ecdsa(&ECDSA_P521_SHA512_ASN1_SIGNING),
            KeyAlgorithm::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyAlgorithm::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyAlgorithm::Rsa4096 => rsa(KeySize::Rsa4096),
            KeyAlgorithm::Ed25519 => Ed25519KeyPair::generate().map(Key::Ed25519),
        };
        Self::new(key.map_err(|_| KeyError::Generate)?)
    }

    /// From PKCS #8 (RFC 5958), DER.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] for anything else, and for keys we do not sign with.
    pub fn from_pkcs8(der: &Secret) -> Result<Self, KeyError> {
        let der = der.expose();
        let curves: [&'static EcdsaSigningAlgorithm; 3] = [
            &ECDSA_P256_SHA256_ASN1_SIGNING,
            &ECDSA_P384_SHA384_ASN1_SIGNING,
            &ECDSA_P521_SHA512_ASN1_SIGNING,
        ];
        let ecdsa =
            || curves.into_iter().find_map(|curve| EcdsaKeyPair::from_pkcs8(curve, der).ok()).map(Key::Ecdsa);
        let rsa = || RsaKeyPair::from_pkcs8(der).ok().map(Key::Rsa);
        let ed25519 = || Ed25519KeyPair::from_pkcs8(der).ok().map(Key::Ed25519);
        Self::new(ecdsa().or_else(rsa).or_else(ed25519).ok_or(KeyError::Unsupported)?)
    }

    /// PKCS #8, DER: to be sealed, never to be shown.
    ///
    /// # Errors
    /// [`KeyError::Unsupported`] where the library cannot encode the key.
    pub fn to_pkcs8(&self) -> Result<Secret, KeyError> {
        let unsupported = |_| KeyError::Unsupported;
        Ok(Secret::new(match &self.key {
            Key::Ecdsa(key) => key.to_pkcs8v1().map_err(unsupported)?.as_ref().to_vec(),
            Key::Rsa(key) => AsDer::<Pkcs8V1Der<'_>>::as_der(key).map_err(unsupported)?.as_ref().to_vec(),
            Key::Ed25519(key) => key.to_pkcs8v1().map_err(unsupported)?.as_ref().to_vec(),
        }))
    }

    fn new(key: Key) -> Result<Self, KeyError> {
        let spki = match &key {
            Key::Ecdsa(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Key::Rsa(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
            Key::Ed25519(key) => AsDer::<PublicKeyX509Der<'_>>::as_der(key.public_key()),
        }
        .map_err(|_| KeyError::Unsupported)?;
        let public_key = PublicKey::from_spki_der(spki.as_ref()).map_err(|_| KeyError::Unsupported)?;
        let algorithm = match public_key.key_type() {
            KeyType::Ecdsa(Curve::P256) => SignatureAlgorithm::EcdsaSha256,
            KeyType::Ecdsa(Curve::P384) => SignatureAlgorithm::EcdsaSha384,
            KeyType::Ecdsa(Curve::P521) => SignatureAlgorithm::EcdsaSha512,
            KeyType::Rsa { .. } => SignatureAlgorithm::RsaPkcs1Sha256,
            KeyType::Ed25519 => SignatureAlgorithm::Ed25519,
        };
        Ok(Self { key, public_key, algorithm })
    }

    fn sign_now(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let failed = |_| SignError::Failed("the library refused to sign".into());
        let random = SystemRandom::new();
        match &self.key {
            Key::Ecdsa(key) => Ok(key.sign(&random, message).map_err(failed)?.as_ref().to_vec()),
            Key::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Key::Ed25519(key) => Ok(key.sign(message).as_ref().to_vec()),
        }
    }
}

impl fmt::Debug for SoftwareSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SoftwareSigner")
            .field("key_type", &self.public_key.key_type())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Signer for SoftwareSigner {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// In place: even RSA-4096 takes a few milliseconds at most, less than handing it to another thread is worth.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.sign_now(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_key_signs_what_its_public_key_verifies_and_survives_pkcs8() {
        for algorithm in KeyAlgorithm::ALL {
            let signer = SoftwareSigner::generate(algorithm).unwrap();
            assert_eq!(signer.public_key().key_type(), KeyType::from(algorithm));
            assert_eq!(signer.signature_algorithm(), SignatureAlgorithm::for_key(algorithm));
            let restored = SoftwareSigner::from_pkcs8(&signer.to_pkcs8().unwrap()).unwrap();
            let signature = restored.sign(b"message").await.unwrap();
            signer.public_key().verify(signer.signature_algorithm(), b"message", &signature).unwrap();
            assert!(
                signer.public_key().verify(signer.signature_algorithm(), b"massage", &signature).is_err()
            );
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for bytes in [&b""[..], b"\x30\x00", b"-----BEGIN PRIVATE KEY-----"] {
            assert_eq!(SoftwareSigner::from_pkcs8(&Secret::new(bytes)).unwrap_err(), KeyError::Unsupported);
        }
    }

    #[test]
    fn a_signer_is_never_printed_with_its_key() {
        let signer = SoftwareSigner::generate(KeyAlgorithm::Ed25519).unwrap();
        let shown = format!("{signer:?}");
        assert!(
            shown.contains("Ed25519") && !shown.contains(&hex::encode(signer.to_pkcs8().unwrap().expose()))
        );
    }
}

//! Public keys: the `SubjectPublicKeyInfo` as received, what kind of key it is, and what it verifies.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest,
    signature::{self as lc, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm},
};
use const_oid::ObjectIdentifier;

use crate::{
    algorithm::{KeyAlgorithm, SignatureAlgorithm},
    der_io::{DerError, Reader, Writer, encode, parse_all, tag},
};

/// The named curves in use (RFC 5480 §2.1.1.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum Curve {
    P256,
    P384,
    P521,
}

/// What kind of key it is, and how large. Displays as `ECDSA-P256`, `RSA-2560`, `Ed25519`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum KeyType {
    Ecdsa(Curve),
    Rsa { bits: u32 },
    Ed25519,
}

/// A public key that was checked to be one: its encoding is kept as received, equality and hash are on those bytes.
#[derive(Clone)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    /// Where the contents of the BIT STRING begin (after the count of unused bits); they end with `spki`.
    key_offset: usize,
    key_type: KeyType,
}

/// Why a key is refused, or what it was asked to verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the public key is malformed")]
    Malformed(#[from] DerError),
    #[error("the public key algorithm {0} is not supported")]
    UnsupportedAlgorithm(ObjectIdentifier),
    #[error("the elliptic curve {0} is not supported")]
    UnsupportedCurve(ObjectIdentifier),
    #[error("the elliptic curve of the public key is not given by name")]
    CurveNotNamed,
    #[error("the public key is no uncompressed point of its curve")]
    EcPoint,
    #[error("the RSA public key has parameters other than NULL")]
    RsaParameters,
    #[error("the RSA modulus has {bits} bits; 1024 to 8192 can be handled")]
    RsaModulusSize { bits: u32 },
    #[error("the RSA modulus is even")]
    RsaModulusEven,
    #[error("the RSA public exponent is even, below 3 or above 2^256")]
    RsaExponent,
    #[error("the Ed25519 public key has parameters, or is not 32 octets long")]
    Ed25519,
    #[error("a signature by {algorithm} cannot be checked with a {key_type} key")]
    AlgorithmMismatch { key_type: KeyType, algorithm: SignatureAlgorithm },
    #[error("the signature does not verify")]
    Signature,
}

const OID_EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const OID_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const OID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

const RSA_SMALLEST_BITS: u32 = 1024;
const RSA_LARGEST_BITS: u32 = 8192;

impl PublicKey {
    /// Reads a whole `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7).
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        let (key_type, key_length) = parse_all(der, |reader| {
            reader.sequence(|spki| {
                let algorithm = spki.value(tag::SEQUENCE)?;
                let key = spki.bit_string_octets()?;
                Ok::<_, KeyError>((classify(algorithm, key)?, key.len()))
            })
        })?;
        Ok(Self { spki: der.into(), key_offset: der.len().saturating_sub(key_length), key_type })
    }

    /// An RSA key from its numbers, big-endian (RFC 3279 §2.3.1).
    ///
    /// # Errors
    /// [`KeyError`], as for any other key.
    pub fn from_rsa_numbers(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let numbers = |key: &mut Writer| {
            key.unsigned(modulus);
            key.unsigned(exponent);
        };
        let identifier = |algorithm: &mut Writer| {
            algorithm.oid(&OID_RSA);
            algorithm.null();
        };
        Self::assemble(identifier, &encode(|key| key.sequence(numbers)))
    }

    /// A key on a curve from its point, each coordinate as long as the curve's field (RFC 5480 §2).
    ///
    /// # Errors
    /// [`KeyError::EcPoint`] for coordinates of another length, and off the curve.
    pub fn from_ec_coordinates(curve: Curve, x: &[u8], y: &[u8]) -> Result<Self, KeyError> {
        if x.len() != y.len() {
            return Err(KeyError::EcPoint);
        }
        let identifier = |algorithm: &mut Writer| {
            algorithm.oid(&OID_EC);
            algorithm.oid(&curve.oid());
        };
        Self::assemble(identifier, &[&[0x04], x, y].concat())
    }

    /// An Ed25519 key from its 32 octets (RFC 8410 §4).
    ///
    /// # Errors
    /// [`KeyError::Ed25519`] for another length.
    pub fn from_ed25519_octets(octets: &[u8]) -> Result<Self, KeyError> {
        Self::assemble(|algorithm| algorithm.oid(&OID_ED25519), octets)
    }

    fn assemble(identifier: impl FnOnce(&mut Writer), key: &[u8]) -> Result<Self, KeyError> {
        Self::from_spki_der(&encode(|writer| {
            writer.sequence(|spki| {
                spki.sequence(identifier);
                spki.bit_string(key);
            });
        }))
    }

    /// The whole `SubjectPublicKeyInfo`, as received.
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    pub fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The value of the `subjectPublicKey` BIT STRING.
    pub fn key_bytes(&self) -> &[u8] {
        self.spki.get(self.key_offset..).unwrap_or_default()
    }

    /// RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of the BIT STRING's value.
    pub fn key_identifier(&self) -> [u8; 20] {
        let hash = sha256(self.key_bytes());
        let mut identifier = [0; 20];
        identifier.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
        identifier
    }

    /// SHA-256 of the whole `SubjectPublicKeyInfo`.
    pub fn spki_sha256(&self) -> [u8; 32] {
        sha256(&self.spki)
    }

    /// Checks a signature over exactly these bytes.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        let verification = verification_algorithm(self.key_type, algorithm)
            .ok_or(KeyError::AlgorithmMismatch { key_type: self.key_type, algorithm })?;
        UnparsedPublicKey::new(verification, self.key_bytes())
            .verify(message, signature)
            .map_err(|_| KeyError::Signature)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki == other.spki
    }
}

impl Eq for PublicKey {}

impl std::hash::Hash for PublicKey {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.spki.hash(state);
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({}, {})", self.key_type, hex::encode(self.key_identifier()))
    }
}

impl fmt::Display for KeyType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(Curve::P256) => f.pad("ECDSA-P256"),
            Self::Ecdsa(Curve::P384) => f.pad("ECDSA-P384"),
            Self::Ecdsa(Curve::P521) => f.pad("ECDSA-P521"),
            Self::Rsa { bits } => write!(f, "RSA-{bits}"),
            Self::Ed25519 => f.pad("Ed25519"),
        }
    }
}

impl From<KeyAlgorithm> for KeyType {
    fn from(algorithm: KeyAlgorithm) -> Self {
        match algorithm {
            KeyAlgorithm::EcdsaP256 => Self::Ecdsa(Curve::P256),
            KeyAlgorithm::EcdsaP384 => Self::Ecdsa(Curve::P384),
            KeyAlgorithm::EcdsaP521 => Self::Ecdsa(Curve::P521),
            KeyAlgorithm::Rsa2048 => Self::Rsa { bits: 2048 },
            KeyAlgorithm::Rsa3072 => Self::Rsa { bits: 3072 },
            KeyAlgorithm::Rsa4096 => Self::Rsa { bits: 4096 },
            KeyAlgorithm::Ed25519 => Self::Ed25519,
        }
    }
}

impl Curve {
    fn from_oid(oid: ObjectIdentifier) -> Result<Self, KeyError> {
        match oid.as_bytes() {
            [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07] => Ok(Self::P256),
            [0x2b, 0x81, 0x04, 0x00, 0x22] => Ok(Self::P384),
            [0x2b, 0x81, 0x04, 0x00, 0x23] => Ok(Self::P521),
            _ => Err(KeyError::UnsupportedCurve(oid)),
        }
    }

    /// The identifier of RFC 5480 §2.1.1.1.
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
            Self::P384 => ObjectIdentifier::new_unwrap("1.3.132.0.34"),
            Self::P521 => ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        }
    }

    /// Octets of one coordinate.
    const fn field_octets(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest::digest(&digest::SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

fn classify(algorithm: &[u8], key: &[u8]) -> Result<KeyType, KeyError> {
    parse_all(algorithm, |identifier| match identifier.oid()? {
        OID_EC => ec(identifier, key),
        OID_RSA => {
            tolerate_absent_rsa_parameters(identifier)?;
            rsa(key)
        }
        OID_ED25519 if identifier.is_empty() && key.len() == 32 => Ok(KeyType::Ed25519),
        OID_ED25519 => Err(KeyError::Ed25519),
        other => Err(KeyError::UnsupportedAlgorithm(other)),
    })
}

/// RFC 5480 §2.1.1: the curve by name; §2.2: the point, here only uncompressed.
fn ec(parameters: &mut Reader<'_>, point: &[u8]) -> Result<KeyType, KeyError> {
    if parameters.peek_tag() != Some(tag::OBJECT_IDENTIFIER) {
        return Err(KeyError::CurveNotNamed);
    }
    let curve = Curve::from_oid(parameters.oid()?)?;
    let uncompressed = point.first() == Some(&0x04) && point.len() == 1 + 2 * curve.field_octets();
    let algorithm: &'static dyn VerificationAlgorithm = match curve {
        Curve::P256 => &lc::ECDSA_P256_SHA256_ASN1,
        Curve::P384 => &lc::ECDSA_P384_SHA384_ASN1,
        Curve::P521 => &lc::ECDSA_P521_SHA512_ASN1,
    };
    if !uncompressed || ParsedPublicKey::new(algorithm, point).is_err() {
        return Err(KeyError::EcPoint);
    }
    Ok(KeyType::Ecdsa(curve))
}

/// RFC 3279 §2.3.1 wants NULL. OpenSSL, whose requests are the measure of what is accepted, reads a key without.
fn tolerate_absent_rsa_parameters(parameters: &mut Reader<'_>) -> Result<(), KeyError> {
    if parameters.is_empty() {
        return Ok(());
    }
    if parameters.peek_tag() != Some(tag::NULL) {
        return Err(KeyError::RsaParameters);
    }
    Ok(parameters.null()?)
}

/// RFC 8017 §A.1.1: `RSAPublicKey ::= SEQUENCE { modulus INTEGER, publicExponent INTEGER }`.
fn rsa(key: &[u8]) -> Result<KeyType, KeyError> {
    let (modulus, exponent) = parse_all(key, |reader| {
        reader.sequence(|rsa| Ok::<_, DerError>((rsa.unsigned()?, rsa.unsigned()?)))
    })?;
    let bits = bit_length(modulus);
    if !(RSA_SMALLEST_BITS..=RSA_LARGEST_BITS).contains(&bits) {
        return Err(KeyError::RsaModulusSize { bits });
    }
    if !is_odd(modulus) {
        return Err(KeyError::RsaModulusEven);
    }
    if !is_odd(exponent) || matches!(exponent, [1]) || bit_length(exponent) > 256 {
        return Err(KeyError::RsaExponent);
    }
    Ok(KeyType::Rsa { bits })
}

fn is_odd(magnitude: &[u8]) -> bool {
    magnitude.last().is_some_and(|last| last & 1 == 1)
}

/// Bits of a magnitude without leading zero octets; a length beyond `u32` saturates.
fn bit_length(magnitude: &[u8]) -> u32 {
    let unused = magnitude.first().map_or(0, |first| first.leading_zeros());
    u32::try_from(magnitude.len()).unwrap_or(u32::MAX).saturating_mul(8).saturating_sub(unused)
}

fn verification_algorithm(
    key_type: KeyType,
    algorithm: SignatureAlgorithm,
) -> Option<&'static dyn VerificationAlgorithm> {
    use SignatureAlgorithm::*;
    Some(match (key_type, algorithm) {
        (KeyType::Ecdsa(Curve::P256), EcdsaSha256) => &lc::ECDSA_P256_SHA256_ASN1,
        (KeyType::Ecdsa(Curve::P256), EcdsaSha384) => &lc::ECDSA_P256_SHA384_ASN1,
        (KeyType::Ecdsa(Curve::P256), EcdsaSha512) => &lc::ECDSA_P256_SHA512_ASN1,
        (KeyType::Ecdsa(Curve::P384), EcdsaSha256) => &lc::ECDSA_P384_SHA256_ASN1,
        (KeyType::Ecdsa(Curve::P384), EcdsaSha384) => &lc::ECDSA_P384_SHA384_ASN1,
        (KeyType::Ecdsa(Curve::P384), EcdsaSha512) => &lc::ECDSA_P384_SHA512_ASN1,
        (KeyType::Ecdsa(Curve::P521), EcdsaSha256) => &lc::ECDSA_P521_SHA256_ASN1,
        (KeyType::Ecdsa(Curve::P521), EcdsaSha384) => &lc::ECDSA_P521_SHA384_ASN1,
        (KeyType::Ecdsa(Curve::P521), EcdsaSha512) => &lc::ECDSA_P521_SHA512_ASN1,
        // Small keys are verified so that policy can say which size was asked for and which is needed.
        (KeyType::Rsa { bits }, RsaPkcs1Sha256) if bits < 2048 => {
            &lc::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        (KeyType::Rsa { bits }, RsaPkcs1Sha512) if bits < 2048 => {
            &lc::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        (KeyType::Rsa { bits }, _) if bits < 2048 => return None,
        (KeyType::Rsa { .. }, RsaPkcs1Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
        (KeyType::Rsa { .. }, RsaPkcs1Sha384) => &lc::RSA_PKCS1_2048_8192_SHA384,
        (KeyType::Rsa { .. }, RsaPkcs1Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
        (KeyType::Rsa { .. }, RsaPssSha256) => &lc::RSA_PSS_2048_8192_SHA256,
        (KeyType::Rsa { .. }, RsaPssSha384) => &lc::RSA_PSS_2048_8192_SHA384,
        (KeyType::Rsa { .. }, RsaPssSha512) => &lc::RSA_PSS_2048_8192_SHA512,
        (KeyType::Ed25519, Ed25519) => &lc::ED25519,
        (KeyType::Ecdsa(_) | KeyType::Rsa { .. } | KeyType::Ed25519, _) => return None,
    })
}

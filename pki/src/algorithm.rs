//! Names of key and signature algorithms, and their `AlgorithmIdentifier`s (RFC 3279, 4055, 5758, 8410).

use std::{fmt, str::FromStr};

use const_oid::ObjectIdentifier;
use serde::{Deserialize, Serialize};

use crate::der_io::{DerError, Reader, parse_all, tag};

/// Key algorithms that Chancery can generate and name in policy.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyAlgorithm {
    #[serde(rename = "ECDSA-P256")]
    EcdsaP256,
    #[serde(rename = "ECDSA-P384")]
    EcdsaP384,
    #[serde(rename = "ECDSA-P521")]
    EcdsaP521,
    #[serde(rename = "RSA-2048")]
    Rsa2048,
    #[serde(rename = "RSA-3072")]
    Rsa3072,
    #[serde(rename = "RSA-4096")]
    Rsa4096,
    Ed25519,
}

/// Signature algorithms that are accepted and produced. Weak ones are [`AlgorithmError::Weak`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub enum SignatureAlgorithm {
    EcdsaSha256,
    EcdsaSha384,
    EcdsaSha512,
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    Ed25519,
}

/// Why an algorithm is not one that may be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AlgorithmError {
    #[error("the signature algorithm identifier is malformed")]
    Malformed(#[from] DerError),
    #[error("the signature algorithm {0} is too weak")]
    Weak(&'static str),
    #[error("the signature algorithm {0} is not supported")]
    Unsupported(ObjectIdentifier),
    #[error("the parameters of the signature algorithm are not the ones its standard names")]
    Parameters,
    #[error(
        "the RSASSA-PSS parameters are not SHA-256, SHA-384 or SHA-512 with a salt as long as the digest"
    )]
    PssParameters,
    #[error(
        "{0:?} is no key algorithm: ECDSA-P256, ECDSA-P384, ECDSA-P521, RSA-2048, RSA-3072, RSA-4096, Ed25519"
    )]
    UnknownKeyAlgorithm(String),
}

impl KeyAlgorithm {
    pub const ALL: [Self; 7] = [
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::EcdsaP521,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::Ed25519,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ECDSA-P256",
            Self::EcdsaP384 => "ECDSA-P384",
            Self::EcdsaP521 => "ECDSA-P521",
            Self::Rsa2048 => "RSA-2048",
            Self::Rsa3072 => "RSA-3072",
            Self::Rsa4096 => "RSA-4096",
            Self::Ed25519 => "Ed25519",
        }
    }
}

impl fmt::Display for KeyAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for KeyAlgorithm {
    type Err = AlgorithmError;

    fn from_str(text: &str) -> Result<Self, AlgorithmError> {
        let known = Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == text);
        known.ok_or_else(|| AlgorithmError::UnknownKeyAlgorithm(text.chars().take(64).collect()))
    }
}

impl SignatureAlgorithm {
    pub const ALL: [Self; 10] = [
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::Ed25519,
    ];

    /// The whole `AlgorithmIdentifier`, as written into certificates.
    pub const fn identifier_der(&self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => &ECDSA_SHA256,
            Self::EcdsaSha384 => &ECDSA_SHA384,
            Self::EcdsaSha512 => &ECDSA_SHA512,
            Self::RsaPkcs1Sha256 => &RSA_PKCS1_SHA256,
            Self::RsaPkcs1Sha384 => &RSA_PKCS1_SHA384,
            Self::RsaPkcs1Sha512 => &RSA_PKCS1_SHA512,
            Self::RsaPssSha256 => &RSA_PSS_SHA256,
            Self::RsaPssSha384 => &RSA_PSS_SHA384,
            Self::RsaPssSha512 => &RSA_PSS_SHA512,
            Self::Ed25519 => &ED25519,
        }
    }

    /// The identifier without its parameters: the same for all of RSASSA-PSS.
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaSha256 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            Self::EcdsaSha384 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
            Self::EcdsaSha512 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.4"),
            Self::RsaPkcs1Sha256 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
            Self::RsaPkcs1Sha384 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
            Self::RsaPkcs1Sha512 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => OID_RSA_PSS,
            Self::Ed25519 => ObjectIdentifier::new_unwrap("1.3.101.112"),
        }
    }

    /// Reads a whole `AlgorithmIdentifier`, parameters included.
    pub fn from_identifier_der(der: &[u8]) -> Result<Self, AlgorithmError> {
        parse_all(der, |reader| {
            reader.sequence(|identifier| {
                let oid = identifier.oid()?;
                let algorithm = from_oid(&oid, identifier)?;
                Ok(algorithm)
            })
        })
    }

    /// The algorithm an authority with such a key signs with.
    pub const fn for_key(key: KeyAlgorithm) -> Self {
        match key {
            KeyAlgorithm::EcdsaP256 => Self::EcdsaSha256,
            KeyAlgorithm::EcdsaP384 => Self::EcdsaSha384,
            KeyAlgorithm::EcdsaP521 => Self::EcdsaSha512,
            KeyAlgorithm::Rsa2048 | KeyAlgorithm::Rsa3072 | KeyAlgorithm::Rsa4096 => Self::RsaPkcs1Sha256,
            KeyAlgorithm::Ed25519 => Self::Ed25519,
        }
    }

    /// The name of RFC 5758, RFC 4055 or RFC 8410; the PSS ones with their digest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaSha256 => "ecdsa-with-SHA256",
            Self::EcdsaSha384 => "ecdsa-with-SHA384",
            Self::EcdsaSha512 => "ecdsa-with-SHA512",
            Self::RsaPkcs1Sha256 => "sha256WithRSAEncryption",
            Self::RsaPkcs1Sha384 => "sha384WithRSAEncryption",
            Self::RsaPkcs1Sha512 => "sha512WithRSAEncryption",
            Self::RsaPssSha256 => "RSASSA-PSS-SHA256",
            Self::RsaPssSha384 => "RSASSA-PSS-SHA384",
            Self::RsaPssSha512 => "RSASSA-PSS-SHA512",
            Self::Ed25519 => "Ed25519",
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

const OID_RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");
const OID_MGF1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.8");
const OID_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const OID_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const OID_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// Algorithms that are refused because they are broken or too short, with the name a peer is told.
const WEAK: [(ObjectIdentifier, &str); 12] = [
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.2"), "md2WithRSAEncryption"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.3"), "md4WithRSAEncryption"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.4"), "md5WithRSAEncryption"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5"), "sha1WithRSAEncryption"),
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.29"), "sha1WithRSASignature"),
    (ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.14"), "sha224WithRSAEncryption"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.1"), "ecdsa-with-SHA1"),
    (ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.1"), "ecdsa-with-SHA224"),
    (ObjectIdentifier::new_unwrap("1.2.840.10040.4.3"), "dsa-with-SHA1"),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.1"), "dsa-with-SHA224"),
    (ObjectIdentifier::new_unwrap("1.3.14.3.2.26"), "SHA-1"),
    (ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.4"), "SHA-224"),
];

fn from_oid(
    oid: &ObjectIdentifier,
    parameters: &mut Reader<'_>,
) -> Result<SignatureAlgorithm, AlgorithmError> {
    let (algorithm, takes_null) = match oid.as_bytes() {
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => (SignatureAlgorithm::EcdsaSha256, false),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => (SignatureAlgorithm::EcdsaSha384, false),
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => (SignatureAlgorithm::EcdsaSha512, false),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b] => (SignatureAlgorithm::RsaPkcs1Sha256, true),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c] => (SignatureAlgorithm::RsaPkcs1Sha384, true),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d] => (SignatureAlgorithm::RsaPkcs1Sha512, true),
        [0x2b, 0x65, 0x70] => (SignatureAlgorithm::Ed25519, false),
        _ if *oid == OID_RSA_PSS => return pss(parameters),
        _ => {
            // Parameters of an algorithm that is refused anyway are nobody's business.
            let weak = WEAK.iter().find(|(weak, _)| weak == oid);
            return Err(
                weak.map_or(AlgorithmError::Unsupported(*oid), |(_, name)| AlgorithmError::Weak(name))
            );
        }
    };
    // RFC 4055 §5: NULL must be written for PKCS #1 v1.5, and absence must be accepted.
    if takes_null && parameters.peek_tag() == Some(tag::NULL) {
        parameters.null()?;
    }
    if parameters.is_empty() { Ok(algorithm) } else { Err(AlgorithmError::Parameters) }
}

/// RFC 4055 §3.1. All members default to SHA-1, so that an absent one is a weak algorithm.
fn pss(parameters: &mut Reader<'_>) -> Result<SignatureAlgorithm, AlgorithmError> {
    if parameters.is_empty() {
        return Err(AlgorithmError::Weak("RSASSA-PSS with SHA-1"));
    }
    parameters.sequence(|members| {
        let digest = members.optional_nested(tag::context_constructed(0), digest_identifier)?;
        let mask_digest = members.optional_nested(tag::context_constructed(1), |mask| {
            mask.sequence(|identifier| {
                if identifier.oid()? != OID_MGF1 {
                    return Err(AlgorithmError::PssParameters);
                }
                digest_identifier(identifier)
            })
        })?;
        let salt_length =
            members.optional_nested(tag::context_constructed(2), |salt| salt.small_unsigned())?;
        let trailer = members.optional_nested(tag::context_constructed(3), |field| field.small_unsigned())?;
        let (Some(digest), Some(mask_digest)) = (digest, mask_digest) else {
            return Err(AlgorithmError::Weak("RSASSA-PSS with SHA-1"));
        };
        if digest != mask_digest || trailer.is_some_and(|trailer| trailer != 1) {
            return Err(AlgorithmError::PssParameters);
        }
        match (digest, salt_length) {
            (OID_SHA256, Some(32)) => Ok(SignatureAlgorithm::RsaPssSha256),
            (OID_SHA384, Some(48)) => Ok(SignatureAlgorithm::RsaPssSha384),
            (OID_SHA512, Some(64)) => Ok(SignatureAlgorithm::RsaPssSha512),
            _ => Err(AlgorithmError::PssParameters),
        }
    })
}

/// RFC 4055 §2.1: the NULL parameters may be absent.
fn digest_identifier(reader: &mut Reader<'_>) -> Result<ObjectIdentifier, AlgorithmError> {
    reader.sequence(|identifier| {
        let oid = identifier.oid()?;
        if !identifier.is_empty() {
            identifier.null()?;
        }
        match WEAK.iter().find(|(weak, _)| *weak == oid) {
            Some((_, name)) => Err(AlgorithmError::Weak(name)),
            None => Ok(oid),
        }
    })
}

const ECDSA_SHA256: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_SHA512: [u8; 12] = [0x30, 0x0a, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
const RSA_PKCS1_SHA256: [u8; 15] = rsa_pkcs1(0x0b);
const RSA_PKCS1_SHA384: [u8; 15] = rsa_pkcs1(0x0c);
const RSA_PKCS1_SHA512: [u8; 15] = rsa_pkcs1(0x0d);
const RSA_PSS_SHA256: [u8; 67] = rsa_pss(0x01, 32);
const RSA_PSS_SHA384: [u8; 67] = rsa_pss(0x02, 48);
const RSA_PSS_SHA512: [u8; 67] = rsa_pss(0x03, 64);
const ED25519: [u8; 7] = [0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70];

const fn rsa_pkcs1(arc: u8) -> [u8; 15] {
    [0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, arc, 0x05, 0x00]
}

/// `{ id-RSASSA-PSS, { [0] digest, [1] { id-mgf1, digest }, [2] salt } }`, the digests with NULL (RFC 4055 §3.1).
const fn rsa_pss(hash: u8, salt: u8) -> [u8; 67] {
    [
        0x30, 0x41, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a, 0x30, 0x34, 0xa0, 0x0f,
        0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa1, 0x1c,
        0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08, 0x30, 0x0d, 0x06, 0x09,
        0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, hash, 0x05, 0x00, 0xa2, 0x03, 0x02, 0x01, salt,
    ]
}

//! Public keys as JSON (RFC 7517, RFC 7518 §6, RFC 8037 §2), their thumbprints (RFC 7638), and what they verify.

use std::{fmt, sync::Arc};

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, ParsedPublicKey,
        RSA_PKCS1_2048_8192_SHA256, VerificationAlgorithm,
    },
};
use pki::key::{Curve, KeyError, KeyType, PublicKey};

use super::{
    algorithm::Algorithm,
    base64url::{self, Base64UrlError},
    json::{JsonError, Object, quoted},
};

/// A public key as JSON, of the right shape. Whether a point is on its curve shows when it becomes an [`AccountKey`].
#[derive(Clone, PartialEq, Eq)]
pub struct Jwk {
    members: Members,
    /// RFC 7638 §3.
    canonical: String,
    thumbprint: [u8; 32],
}

#[derive(Clone, PartialEq, Eq)]
enum Members {
    Ec { curve: Curve, x: Vec<u8>, y: Vec<u8> },
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

/// A public key that is ready to verify; to clone it costs nothing. Equality is that of thumbprints.
#[derive(Clone)]
pub struct AccountKey(Arc<Ready>);

struct Ready {
    jwk: Jwk,
    algorithm: Algorithm,
    public_key: PublicKey,
    parsed: ParsedPublicKey,
}

/// Why a key is refused: `badPublicKey` (RFC 8555 §6.7), whose sentence these are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("the JWK is malformed: {0}")]
    Json(#[from] JsonError),
    #[error("the member \"{member}\" of the JWK: {error}")]
    Encoding { member: &'static str, error: Base64UrlError },
    #[error("the JWK is of the type \"{0}\"; EC, RSA and OKP can be used")]
    KeyType(String),
    #[error("the JWK is on the curve \"{0}\"; P-256, P-384, P-521 and Ed25519 can be used")]
    Curve(String),
    /// RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2. Whoever sent this has lost the key.
    #[error("the JWK holds a private key (\"{0}\")")]
    Private(&'static str),
    #[error("the JWK is meant for something else: \"{0}\"")]
    Purpose(&'static str),
    #[error("the member \"{0}\" of the JWK has not as many octets as the curve needs")]
    Length(&'static str),
    /// RFC 7518 §2, Base64urlUInt: as few octets as possible.
    #[error("the number \"{0}\" of the JWK begins with a zero octet")]
    LeadingZero(&'static str),
    #[error("the RSA modulus has {bits} bits; 2048 to 8192 can be used")]
    ModulusSize { bits: u32 },
    #[error("the JWK is no usable key: {0}")]
    Key(KeyError),
    #[error("the JWK is no usable key")]
    Unusable,
}

/// RSA keys of 8192 bits have 1366 characters; more is judged by its length alone.
const MAX_NUMBER: usize = 1400;
const RSA_BITS: std::ops::RangeInclusive<u32> = 2048..=8192;

const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Jwk {
    /// # Errors
    /// See [`JwkError`].
    pub fn parse(object: &Object) -> Result<Self, JwkError> {
        if let Some(private) = PRIVATE_MEMBERS.into_iter().find(|member| object.contains(member)) {
            return Err(JwkError::Private(private));
        }
        let members = match object.string("kty")? {
            "EC" => ec(object)?,
            "RSA" => rsa(object)?,
            "OKP" => okp(object)?,
            other => return Err(JwkError::KeyType(quoted(other))),
        };
        check_purpose(object, members.algorithm())?;
        let canonical = members.canonical();
        let thumbprint = sha256(canonical.as_bytes());
        Ok(Self { members, canonical, thumbprint })
    }

    /// The JSON that the thumbprint is made of: the required members in order, nothing else (RFC 7638 §3).
    pub fn canonical(&self) -> &str {
        &self.canonical
    }

    /// SHA-256 over [`Jwk::canonical`].
    pub fn thumbprint(&self) -> &[u8; 32] {
        &self.thumbprint
    }
}

impl AccountKey {
    /// # Errors
    /// [`JwkError`] where there is no such key: a point off its curve, an even modulus.
    pub fn new(jwk: Jwk) -> Result<Self, JwkError> {
        let algorithm = jwk.members.algorithm();
        // What parses keys of certificates judges this one too: points on curves, odd exponents of 3 and more.
        let public_key = jwk.members.public_key().map_err(|error| match error {
            KeyError::RsaModulusSize { bits } => JwkError::ModulusSize { bits },
            other => JwkError::Key(other),
        })?;
        match public_key.key_type() {
            KeyType::Rsa { bits } if !RSA_BITS.contains(&bits) => return Err(JwkError::ModulusSize { bits }),
            KeyType::Rsa { .. } | KeyType::Ecdsa(_) | KeyType::Ed25519 => (),
        }
        let parsed = ParsedPublicKey::new(verification(algorithm), public_key.key_bytes())
            .map_err(|_| JwkError::Unusable)?;
        Ok(Self(Arc::new(Ready { jwk, algorithm, public_key, parsed })))
    }

    /// # Errors
    /// See [`JwkError`].
    pub fn parse(object: &Object) -> Result<Self, JwkError> {
        Self::new(Jwk::parse(object)?)
    }

    /// From [`AccountKey::canonical`], as an account's row has it.
    ///
    /// # Errors
    /// See [`JwkError`].
    pub fn from_canonical(json: &str) -> Result<Self, JwkError> {
        Self::parse(&Object::parse(json.as_bytes())?)
    }

    pub fn jwk(&self) -> &Jwk {
        &self.0.jwk
    }

    /// See [`Jwk::canonical`].
    pub fn canonical(&self) -> &str {
        self.0.jwk.canonical()
    }

    /// See [`Jwk::thumbprint`].
    pub fn thumbprint(&self) -> &[u8; 32] {
        self.0.jwk.thumbprint()
    }

    /// The only algorithm that this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The key as a certificate or a request would hold it.
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Whether a certificate or a request holds this key, however it writes the parameters of the algorithm.
    pub fn is(&self, other: &PublicKey) -> bool {
        let own = self.public_key();
        own.key_type() == other.key_type() && own.key_bytes() == other.key_bytes()
    }

    /// ECDSA signatures are the two numbers side by side (RFC 7518 §3.4).
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.0.parsed.verify_sig(message, signature).is_ok()
    }
}

impl PartialEq for AccountKey {
    fn eq(&self, other: &Self) -> bool {
        self.thumbprint() == other.thumbprint()
    }
}

impl Eq for AccountKey {}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountKey({}, {})", self.algorithm(), base64url::encode(self.thumbprint()))
    }
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Jwk({})", self.canonical)
    }
}

impl Members {
    fn algorithm(&self) -> Algorithm {
        match self {
            Self::Ec { curve: Curve::P256, .. } => Algorithm::Es256,
            Self::Ec { curve: Curve::P384, .. } => Algorithm::Es384,
            Self::Ec { curve: Curve::P521, .. } => Algorithm::Es512,
            Self::Rsa { .. } => Algorithm::Rs256,
            Self::Ed25519 { .. } => Algorithm::EdDsa,
        }
    }

    /// RFC 7638 §3.2, RFC 8037 §2: members in lexical order. No value here needs escapes.
    fn canonical(&self) -> String {
        let text = |octets: &Vec<u8>| base64url::encode(octets);
        match self {
            Self::Ec { curve, x, y } => {
                let (crv, x, y) = (curve_name(*curve), text(x), text(y));
                format!(r#"{{"crv":"{crv}","kty":"EC","x":"{x}","y":"{y}"}}"#)
            }
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, text(e), text(n)),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, text(x)),
        }
    }

    fn public_key(&self) -> Result<PublicKey, KeyError> {
        match self {
            Self::Ec { curve, x, y } => PublicKey::from_ec_coordinates(*curve, x, y),
            Self::Rsa { n, e } => PublicKey::from_rsa_numbers(n, e),
            Self::Ed25519 { x } => PublicKey::from_ed25519_octets(x),
        }
    }
}

fn ec(object: &Object) -> Result<Members, JwkError> {
    let (curve, octets) = match object.string("crv")? {
        "P-256" => (Curve::P256, 32),
        "P-384" => (Curve::P384, 48),
        "P-521" => (Curve::P521, 66),
        other => return Err(JwkError::Curve(quoted(other))),
    };
    Ok(Members::Ec { curve, x: fixed(object, "x", octets)?, y: fixed(object, "y", octets)? })
}

fn rsa(object: &Object) -> Result<Members, JwkError> {
    Ok(Members::Rsa { n: number(object, "n")?, e: number(object, "e")? })
}

fn okp(object: &Object) -> Result<Members, JwkError> {
    match object.string("crv")? {
        "Ed25519" => Ok(Members::Ed25519 { x: fixed(object, "x", 32)? }),
        other => Err(JwkError::Curve(quoted(other))),
    }
}

fn octets(object: &Object, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let text = object.string(member)?;
    base64url::decode(text, MAX_NUMBER).map_err(|error| JwkError::Encoding { member, error })
}

/// RFC 7518 §6.2.1.2, §6.2.1.3: as long as the curve's field, leading zeros included.
fn fixed(object: &Object, member: &'static str, length: usize) -> Result<Vec<u8>, JwkError> {
    let octets = octets(object, member)?;
    if octets.len() == length { Ok(octets) } else { Err(JwkError::Length(member)) }
}

fn number(object: &Object, member: &'static str) -> Result<Vec<u8>, JwkError> {
    let octets = octets(object, member)?;
    match octets.first() {
        Some(0) | None => Err(JwkError::LeadingZero(member)),
        Some(_) => Ok(octets),
    }
}

/// RFC 7517 §4.2 to §4.4: where the key says what it is for, signing must be it.
fn check_purpose(object: &Object, algorithm: Algorithm) -> Result<(), JwkError> {
    if object.optional_string("use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::Purpose("use"));
    }
    if object.optional_string("alg")?.is_some_and(|name| name != algorithm.as_str()) {
        return Err(JwkError::Purpose("alg"));
    }
    if object.optional_strings("key_ops")?.is_some_and(|operations| !operations.contains(&"verify")) {
        return Err(JwkError::Purpose("key_ops"));
    }
    Ok(())
}

fn curve_name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
    }
}

fn verification(algorithm: Algorithm) -> &'static dyn VerificationAlgorithm {
    match algorithm {
        Algorithm::Es256 => &ECDSA_P256_SHA256_FIXED,
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED,
        Algorithm::Es512 => &ECDSA_P521_SHA512_FIXED,
        Algorithm::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
        Algorithm::EdDsa => &ED25519,
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.iter_mut().zip(digest(&SHA256, bytes).as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

//! The keys of whoever signs tokens, as a JWK Set (RFC 7517 §5, RFC 7518 §6, RFC 8037 §2).

use std::fmt;

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
    VerificationAlgorithm,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{
    json::{parse_unique, quoted},
    key::{Curve, KeyError, KeyType, PublicKey},
};
use serde::Deserialize;

/// Most octets of a set: some hundred RSA keys.
const MAX_SET: usize = 256 * 1024;

/// RFC 7518 §3.3.
const SMALLEST_RSA: u32 = 2048;

/// Why a set of keys cannot be used. A sentence for whoever configured it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    #[error("a JWK Set has at most {MAX_SET} octets, and this one has {0}")]
    TooLong(usize),
    #[error("not a JWK Set (RFC 7517): {0}")]
    Json(String),
    /// RFC 7518 §6.2.2, §6.3.2, §6.4.1. Whoever could read the configuration could sign.
    #[error("the key \"{0}\" holds a private or a symmetric key; put public keys only")]
    Private(String),
    #[error("the key \"{key}\" cannot be used: {error}")]
    Key { key: String, error: String },
    #[error("the set has no key that verifies RS256, ES256, ES384 or EdDSA")]
    Empty,
}

/// What tokens are signed with (RFC 7518 §3.1, RFC 8037 §3.1). "none" and MACs are not among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Rs256,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub(super) const ALL: [Self; 4] = [Self::Rs256, Self::Es256, Self::Es384, Self::EdDsa];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// ECDSA signatures are the two numbers side by side (RFC 7518 §3.4).
    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Rs256 => &RSA_PKCS1_2048_8192_SHA256,
            Self::Es256 => &ECDSA_P256_SHA256_FIXED,
            Self::Es384 => &ECDSA_P384_SHA384_FIXED,
            Self::EdDsa => &ED25519,
        }
    }
}

/// Keys that verify, each with the one algorithm of its type.
#[derive(Debug)]
pub(super) struct KeySet(Vec<Key>);

pub(super) struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    parsed: ParsedPublicKey,
}

/// No key may have signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotVerified {
    /// There is no key of this name, or several and the token names none.
    NoSuchKey,
    /// The key is of another type than the algorithm.
    OtherAlgorithm,
    Signature,
}

impl KeySet {
    /// Keys of types, curves and purposes that are not spoken are passed over (RFC 7517 §5), as those of an issuer that
    /// changes them are; those that are spoken and are wrong are not.
    ///
    /// # Errors
    /// See [`KeySetError`].
    pub(super) fn parse(json: &str) -> Result<Self, KeySetError> {
        if json.len() > MAX_SET {
            return Err(KeySetError::TooLong(json.len()));
        }
        let malformed = |error: serde_json::Error| KeySetError::Json(error.to_string());
        let set = parse_unique(json.as_bytes()).map_err(malformed)?;
        let set: JwkSet = serde_json::from_value(set).map_err(malformed)?;
        let mut keys = Vec::with_capacity(set.keys.len());
        for (place, jwk) in set.keys.into_iter().enumerate() {
            let name = jwk.kid.as_deref().map_or_else(|| format!("number {}", place + 1), quoted);
            if jwk.is_secret() {
                return Err(KeySetError::Private(name));
            }
            let read =
                jwk.read().map_err(|error| KeySetError::Key { key: name, error: error.to_string() })?;
            keys.extend(read);
        }
        if keys.is_empty() { Err(KeySetError::Empty) } else { Ok(Self(keys)) }
    }

    /// Whether the key of this name signed the message; without a name, whether the only key did.
    pub(super) fn verify(
        &self,
        id: Option<&str>,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), NotVerified> {
        let named: Vec<&Key> = match (id, self.0.as_slice()) {
            (None, [only]) => vec![only],
            (None, _) => Vec::new(),
            (Some(id), keys) => keys.iter().filter(|key| key.id.as_deref() == Some(id)).collect(),
        };
        if named.is_empty() {
            return Err(NotVerified::NoSuchKey);
        }
        // RFC 7517 §4.5: keys of different types may have one name.
        let mut of_type = named.into_iter().filter(|key| key.algorithm == algorithm).peekable();
        if of_type.peek().is_none() {
            return Err(NotVerified::OtherAlgorithm);
        }
        let verified = of_type.any(|key| key.parsed.verify_sig(message, signature).is_ok());
        if verified { Ok(()) } else { Err(NotVerified::Signature) }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}, {:?})", self.algorithm.as_str(), self.id)
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

#[derive(Deserialize)]
struct Jwk {
    kty: String,
    kid: Option<String>,
    #[serde(rename = "use")]
    purpose: Option<String>,
    key_ops: Option<Vec<String>>,
    alg: Option<String>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
    /// Private parts, which must not be here.
    d: Option<serde_json::Value>,
    k: Option<serde_json::Value>,
}

#[derive(Debug, thiserror::Error)]
enum JwkError {
    #[error("\"{0}\" is missing or no base64url without padding")]
    Number(&'static str),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("RSA keys of {SMALLEST_RSA} to 8192 bits can be used")]
    Size,
}

impl Jwk {
    fn is_secret(&self) -> bool {
        self.kty == "oct" || self.d.is_some() || self.k.is_some()
    }

    fn read(self) -> Result<Option<Key>, JwkError> {
        let (algorithm, public_key) = match (self.kty.as_str(), self.crv.as_deref()) {
            ("RSA", _) if self.verifies(Algorithm::Rs256) => (
                Algorithm::Rs256,
                PublicKey::from_rsa_numbers(&number("n", &self.n)?, &number("e", &self.e)?)?,
            ),
            ("EC", Some("P-256")) if self.verifies(Algorithm::Es256) => {
                (Algorithm::Es256, self.point(Curve::P256)?)
            }
            ("EC", Some("P-384")) if self.verifies(Algorithm::Es384) => {
                (Algorithm::Es384, self.point(Curve::P384)?)
            }
            ("OKP", Some("Ed25519")) if self.verifies(Algorithm::EdDsa) => {
                (Algorithm::EdDsa, PublicKey::from_ed25519_octets(&number("x", &self.x)?)?)
            }
            (_, _) => return Ok(None),
        };
        if matches!(public_key.key_type(), KeyType::Rsa { bits } if bits < SMALLEST_RSA) {
            return Err(JwkError::Size);
        }
        let parsed = ParsedPublicKey::new(algorithm.verification(), public_key.key_bytes());
        Ok(Some(Key { id: self.kid, algorithm, parsed: parsed.map_err(|_| JwkError::Size)? }))
    }

    /// RFC 7517 §4.2 to §4.4: where the key says what it is for, this must be it.
    fn verifies(&self, algorithm: Algorithm) -> bool {
        self.purpose.as_ref().is_none_or(|purpose| purpose == "sig")
            && self.alg.as_ref().is_none_or(|name| name == algorithm.as_str())
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|name| name == "verify"))
    }

    fn point(&self, curve: Curve) -> Result<PublicKey, JwkError> {
        Ok(PublicKey::from_ec_coordinates(curve, &number("x", &self.x)?, &number("y", &self.y)?)?)
    }
}

fn number(member: &'static str, text: &Option<String>) -> Result<Vec<u8>, JwkError> {
    let text = text.as_ref().ok_or(JwkError::Number(member))?;
    URL_SAFE_NO_PAD.decode(text).map_err(|_| JwkError::Number(member))
}

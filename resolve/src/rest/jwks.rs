//! Sets of public keys as JSON (RFC 7517 §5) that verify tokens.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::key::{Curve, KeyType, PublicKey};
use serde::Serialize;
use serde_json::{Map, Value};

/// Longest set that is read, in octets.
const MOST_OCTETS: usize = 65_536;

/// Most keys of a set.
const MOST_KEYS: usize = 64;

const LEAST_RSA_BITS: u32 = 2048;
const MOST_RSA_BITS: u32 = 8192;

/// RFC 7518 §6.2.2, §6.3.2, §6.4.1, RFC 8037 §2.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a text is no set of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum JwksError {
    #[error("has more than {MOST_OCTETS} octets")]
    TooLong,
    /// Of the text nothing is repeated: it may be a secret of another purpose.
    #[error("is no JWK Set (RFC 7517 §5): a JSON object with a list of keys")]
    NoSet,
    #[error("has more than {MOST_KEYS} keys")]
    TooManyKeys,
    #[error("holds a private or a shared key, which whoever verifies must not have")]
    Private,
    #[error(
        "holds no key that can verify a token: RSA of 2048 to 8192 bits (RS256), P-256 (ES256), P-384 (ES384) or Ed25519 (EdDSA)"
    )]
    NoKey,
}

/// The set with the keys that can verify, and with nothing of them that is not needed for that: the same keys give the same text.
/// Others are left out (RFC 7517 §5).
pub(super) fn normalized(text: &[u8]) -> Result<String, JwksError> {
    if text.len() > MOST_OCTETS {
        return Err(JwksError::TooLong);
    }
    let set: Map<String, Value> = serde_json::from_slice(text).map_err(|_| JwksError::NoSet)?;
    let given = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NoSet)?;
    if given.len() > MOST_KEYS {
        return Err(JwksError::TooManyKeys);
    }
    let mut keys = Vec::with_capacity(given.len());
    for key in given {
        let key = key.as_object().ok_or(JwksError::NoSet)?;
        if PRIVATE_MEMBERS.iter().any(|member| key.contains_key(*member)) {
            return Err(JwksError::Private);
        }
        keys.extend(Jwk::read(key));
    }
    if keys.is_empty() {
        return Err(JwksError::NoKey);
    }
    serde_json::to_string(&Jwks { keys }).map_err(|_| JwksError::NoSet)
}

#[derive(Serialize)]
struct Jwks {
    keys: Vec<Jwk>,
}

/// A key that verifies.
#[derive(Serialize)]
struct Jwk {
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alg: Option<String>,
    #[serde(flatten)]
    numbers: Numbers,
}

#[derive(Serialize)]
#[serde(tag = "kty")]
enum Numbers {
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
    #[serde(rename = "EC")]
    Ec { crv: &'static str, x: String, y: String },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
}

impl Jwk {
    /// None where it cannot verify, or is for something else. What can is what [`issuance::authn::TokenVerifier`] verifies by:
    /// with a set that it passes over whole, the method would fail on every server.
    fn read(key: &Map<String, Value>) -> Option<Self> {
        let text = |member| key.get(member).and_then(Value::as_str);
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let (numbers, algorithms): (Numbers, &[&str]) = match text("kty")? {
            "RSA" => (rsa(text("n")?, text("e")?)?, &["RS256"]),
            "EC" => ec(text("crv")?, text("x")?, text("y")?)?,
            "OKP" if text("crv") == Some("Ed25519") => (ed25519(text("x")?)?, &["EdDSA"]),
            _ => return None,
        };
        let alg = text("alg").map(str::to_owned);
        let fits = alg.as_deref().is_none_or(|alg| algorithms.contains(&alg));
        fits.then(|| Self { kid: text("kid").map(str::to_owned), alg, numbers })
    }
}

fn rsa(modulus: &str, exponent: &str) -> Option<Numbers> {
    let (modulus, exponent) = (number(modulus)?, number(exponent)?);
    let key = PublicKey::from_rsa_numbers(&modulus, &exponent).ok()?;
    match key.key_type() {
        KeyType::Rsa { bits } if (LEAST_RSA_BITS..=MOST_RSA_BITS).contains(&bits) => {
            Some(Numbers::Rsa { n: encoded(&modulus), e: encoded(&exponent) })
        }
        KeyType::Rsa { .. } | KeyType::Ecdsa(_) | KeyType::Ed25519 => None,
    }
}

fn ec(curve: &str, x: &str, y: &str) -> Option<(Numbers, &'static [&'static str])> {
    let (crv, curve, algorithms): (_, _, &[&str]) = match curve {
        "P-256" => ("P-256", Curve::P256, &["ES256"]),
        "P-384" => ("P-384", Curve::P384, &["ES384"]),
        _ => return None,
    };
    let (x, y) = (decoded(x)?, decoded(y)?);
    PublicKey::from_ec_coordinates(curve, &x, &y).ok()?;
    Some((Numbers::Ec { crv, x: encoded(&x), y: encoded(&y) }, algorithms))
}

fn ed25519(x: &str) -> Option<Numbers> {
    let x = decoded(x)?;
    PublicKey::from_ed25519_octets(&x).ok()?;
    Some(Numbers::Okp { crv: "Ed25519", x: encoded(&x) })
}

/// As few octets as possible (RFC 7518 §2, Base64urlUInt), also where more were given.
fn number(text: &str) -> Option<Vec<u8>> {
    Some(decoded(text)?.into_iter().skip_while(|octet| *octet == 0).collect())
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn encoded(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

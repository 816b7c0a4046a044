//! What makes two keys the same, whether one came in a JWS and the other in a certificate request.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use pki::{
    der_io::{DerError, parse_all},
    key::{Curve, KeyType, PublicKey},
};

/// The canonical JSON of a key (RFC 7638 §3.2, RFC 8037 §2): the necessary members, in order, without white space.
/// None where the key's octets cannot be taken apart, which a [`PublicKey`] never brings.
pub fn canonical_jwk(key: &PublicKey) -> Option<String> {
    match key.key_type() {
        KeyType::Ecdsa(curve) => {
            let (name, length) = match curve {
                Curve::P256 => ("P-256", 32),
                Curve::P384 => ("P-384", 48),
                Curve::P521 => ("P-521", 66),
            };
            // SEC 1 §2.3.3: 04 ‖ x ‖ y.
            let (x, y) = key.key_bytes().strip_prefix(&[4])?.split_at_checked(length)?;
            let (x, y) = (URL_SAFE_NO_PAD.encode(x), URL_SAFE_NO_PAD.encode(y));
            Some(format!(r#"{{"crv":"{name}","kty":"EC","x":"{x}","y":"{y}"}}"#))
        }
        KeyType::Rsa { .. } => {
            let (modulus, exponent) = parse_all(key.key_bytes(), |reader| {
                reader.sequence(|pair| Ok::<_, DerError>((pair.unsigned()?, pair.unsigned()?)))
            })
            .ok()?;
            let (n, e) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
            Some(format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#))
        }
        KeyType::Ed25519 => {
            let x = URL_SAFE_NO_PAD.encode(key.key_bytes());
            Some(format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#))
        }
    }
}

/// SHA-256 of canonical JSON (RFC 7638 §3).
pub fn jwk_thumbprint(canonical: &str) -> [u8; 32] {
    let mut thumbprint = [0; 32];
    thumbprint.copy_from_slice(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref());
    thumbprint
}

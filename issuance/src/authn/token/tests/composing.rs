//! Somebody who signs tokens.

use std::sync::{Arc, LazyLock};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::testing::NOW;

pub(super) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
pub(super) const AUDIENCE: &str = "chancery";

/// What an API server says of a token that is bound to a pod, half an hour before [`NOW`], good for another hour.
pub(super) fn claims() -> Value {
    let now = NOW.unix();
    json!({
        "aud": [AUDIENCE],
        "exp": now + 3600,
        "iat": now - 1800,
        "iss": ISSUER,
        "jti": "7f9c2ba4-e88f-427d-aa36-1c6a3f0b8a1d",
        "kubernetes.io": {
            "namespace": "shop",
            "node": {"name": "node-1", "uid": "1"},
            "pod": {"name": "deployer-5d9c7b9d4f-x2x7k", "uid": "2"},
            "serviceaccount": {"name": "deployer", "uid": "3"},
        },
        "nbf": now - 1800,
        "sub": "system:serviceaccount:shop:deployer",
    })
}

/// One key.
pub(super) struct Issuer {
    pub(super) kid: String,
    pair: Pair,
}

#[derive(Clone)]
enum Pair {
    Rsa(Arc<RsaKeyPair>),
    P256(Arc<EcdsaKeyPair>),
    P384(Arc<EcdsaKeyPair>),
    Ed25519(Arc<Ed25519KeyPair>),
}

/// RSA keys take long to make.
static RSA: LazyLock<[Arc<RsaKeyPair>; 2]> =
    LazyLock::new(|| [(); 2].map(|()| Arc::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())));

impl Issuer {
    fn new(pair: Pair) -> Self {
        Self { kid: "key-1".into(), pair }
    }

    pub(super) fn rs256() -> Self {
        Self::new(Pair::Rsa(RSA[0].clone()))
    }

    pub(super) fn another_rs256() -> Self {
        Self::new(Pair::Rsa(RSA[1].clone()))
    }

    pub(super) fn es256() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::new(Pair::P256(Arc::new(pair)))
    }

    pub(super) fn es384() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
        Self::new(Pair::P384(Arc::new(pair)))
    }

    pub(super) fn ed25519() -> Self {
        Self::new(Pair::Ed25519(Arc::new(Ed25519KeyPair::generate().unwrap())))
    }

    pub(super) fn named(self, kid: &str) -> Self {
        Self { kid: kid.into(), ..self }
    }

    pub(super) fn alg(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::P256(_) => "ES256",
            Pair::P384(_) => "ES384",
            Pair::Ed25519(_) => "EdDSA",
        }
    }

    /// The public key, with the purposes that an API server names.
    pub(super) fn jwk(&self) -> String {
        let mut jwk = match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                json!({"kty": "RSA", "n": encode(n), "e": encode(e)})
            }
            Pair::P256(pair) => point("P-256", pair.public_key().as_ref()),
            Pair::P384(pair) => point("P-384", pair.public_key().as_ref()),
            Pair::Ed25519(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": encode(pair.public_key().as_ref())})
            }
        };
        jwk["use"] = json!("sig");
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.alg());
        jwk.to_string()
    }

    pub(super) fn jwks(&self) -> String {
        set(&[self])
    }

    /// A token with these claims.
    pub(super) fn token(&self, claims: &Value) -> String {
        self.with_header(&json!({"alg": self.alg(), "kid": self.kid}), claims)
    }

    pub(super) fn with_header(&self, header: &Value, claims: &Value) -> String {
        self.signed(&header.to_string(), &claims.to_string())
    }

    /// Whatever is to be signed, with the only algorithm of the key.
    pub(super) fn signed(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.sign(message.as_bytes());
        format!("{message}.{}", encode(signature))
    }

    /// As X.509 writes signatures, and RFC 7518 §3.4 does not.
    pub(super) fn signed_in_der(&self, claims: &Value) -> String {
        let header = json!({"alg": self.alg(), "kid": self.kid});
        let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let fixed = self.sign(message.as_bytes());
        let (r, s) = fixed.split_at(fixed.len() / 2);
        let der = pki::der_io::encode(|writer| {
            writer.sequence(|numbers| {
                numbers.unsigned(r);
                numbers.unsigned(s);
            });
        });
        format!("{message}.{}", encode(der))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::P256(pair) | Pair::P384(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// The keys of several.
pub(super) fn set(issuers: &[&Issuer]) -> String {
    let keys: Vec<String> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A token that is authenticated with HMAC-SHA-256 under this key.
pub(super) fn mac(key: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes());
    format!("{message}.{}", encode(tag))
}

pub(super) fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

pub(super) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn point(curve: &str, uncompressed: &[u8]) -> Value {
    let (x, y) = uncompressed[1..].split_at(uncompressed.len() / 2);
    json!({"kty": "EC", "crv": curve, "x": encode(x), "y": encode(y)})
}

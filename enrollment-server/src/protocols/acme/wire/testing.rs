//! A client's side of the wire, for tests: keys that sign, and requests in any shape, also wrong ones.

use aws_lc_rs::{
    encoding::AsDer,
    hmac,
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING,
        EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use pki::key::PublicKey;
use serde_json::{Value, json};

use super::{
    algorithm::{Algorithm, MacAlgorithm},
    base64url,
    json::Object,
    jwk::AccountKey,
};

/// The key pair of an account.
#[derive(Debug)]
pub(crate) struct ClientKey {
    pair: Pair,
    account_key: AccountKey,
}

#[derive(Debug)]
enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl ClientKey {
    /// A new one that signs with ES256.
    pub(crate) fn new() -> Self {
        Self::of(Algorithm::Es256)
    }

    /// A new one.
    pub(crate) fn of(algorithm: Algorithm) -> Self {
        let pair = match algorithm {
            Algorithm::Es256 => ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::Es384 => ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::Es512 => ecdsa(&ECDSA_P521_SHA512_FIXED_SIGNING),
            Algorithm::Rs256 => Pair::Rsa(Box::new(RsaKeyPair::generate(KeySize::Rsa2048).unwrap())),
            Algorithm::EdDsa => Pair::Ed25519(Ed25519KeyPair::generate().unwrap()),
        };
        let spki = match &pair {
            Pair::Ecdsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_der().unwrap().as_ref().to_vec(),
        };
        // By another way than the one under test: the core's own JSON of a key that came in a certificate.
        let public_key = PublicKey::from_spki_der(&spki).unwrap();
        let json = issuance::acme::canonical_jwk(&public_key).unwrap();
        let account_key = AccountKey::from_canonical(&json).unwrap();
        assert_eq!((account_key.canonical(), account_key.algorithm()), (json.as_str(), algorithm));
        Self { pair, account_key }
    }

    pub(crate) fn account_key(&self) -> &AccountKey {
        &self.account_key
    }

    /// The public key.
    pub(crate) fn jwk(&self) -> Value {
        serde_json::from_str(self.account_key.canonical()).unwrap()
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }

    /// A protected header with `jwk`.
    pub(crate) fn header(&self, url: &str, nonce: &str) -> Value {
        json!({ "alg": self.account_key.algorithm().as_str(), "jwk": self.jwk(), "nonce": nonce, "url": url })
    }

    /// A protected header with `kid`.
    pub(crate) fn header_of(&self, account: &str, url: &str, nonce: &str) -> Value {
        json!({ "alg": self.account_key.algorithm().as_str(), "kid": account, "nonce": nonce, "url": url })
    }

    /// A JWS with any header and any payload, rightly signed.
    pub(crate) fn jws(&self, header: &Value, payload: &[u8]) -> Value {
        flattened(header.to_string().as_bytes(), payload, |message| self.sign(message))
    }

    /// The inner JWS of keyChange: this key takes over from another.
    pub(crate) fn key_change(&self, url: &str, account: &str, old: &Self) -> Value {
        let header = json!({ "alg": self.account_key.algorithm().as_str(), "jwk": self.jwk(), "url": url });
        let payload = json!({ "account": account, "oldKey": old.jwk() });
        self.jws(&header, payload.to_string().as_bytes())
    }

    /// An external account binding of this key.
    pub(crate) fn binding(&self, algorithm: MacAlgorithm, mac_key: &[u8], kid: &str, url: &str) -> Value {
        let header = json!({ "alg": algorithm.as_str(), "kid": kid, "url": url });
        let payload = self.account_key.canonical();
        flattened(header.to_string().as_bytes(), payload.as_bytes(), |message| {
            mac(algorithm, mac_key, message)
        })
    }
}

/// The flattened JSON of a header and a payload as they are, signed by whatever signs.
pub(crate) fn flattened(header: &[u8], payload: &[u8], sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let (protected, payload) = (base64url::encode(header), base64url::encode(payload));
    let signature = base64url::encode(sign(format!("{protected}.{payload}").as_bytes()));
    json!({ "protected": protected, "payload": payload, "signature": signature })
}

pub(crate) fn mac(algorithm: MacAlgorithm, key: &[u8], message: &[u8]) -> Vec<u8> {
    let algorithm = match algorithm {
        MacAlgorithm::Hs256 => hmac::HMAC_SHA256,
        MacAlgorithm::Hs384 => hmac::HMAC_SHA384,
        MacAlgorithm::Hs512 => hmac::HMAC_SHA512,
    };
    hmac::sign(&hmac::Key::new(algorithm, key), message).as_ref().to_vec()
}

/// JSON as it comes out of a request.
pub(crate) fn object(json: &Value) -> Object {
    Object::parse(json.to_string().as_bytes()).unwrap()
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm) -> Pair {
    Pair::Ecdsa(EcdsaKeyPair::generate(algorithm).unwrap())
}

//! The examples of RFC 7638 §3.1 and RFC 8037 §A.2, §A.3.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use const_oid::ObjectIdentifier;
use pki::{
    algorithm::KeyAlgorithm,
    der_io::encode,
    key::{KeyType, PublicKey},
};

use crate::{
    acme::{canonical_jwk, jwk_thumbprint},
    ports::Signer as _,
    testing::TestKey,
};

const MODULUS: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB\
    ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu\
    6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDK\
    gw";

fn spki(algorithm: &str, null: bool, key: &[u8]) -> PublicKey {
    let der = encode(|writer| {
        writer.sequence(|spki| {
            spki.sequence(|identifier| {
                identifier.oid(&ObjectIdentifier::new(algorithm).unwrap());
                if null {
                    identifier.null();
                }
            });
            spki.bit_string(key);
        });
    });
    PublicKey::from_spki_der(&der).unwrap()
}

fn thumbprint(key: &PublicKey) -> String {
    URL_SAFE_NO_PAD.encode(jwk_thumbprint(&canonical_jwk(key).unwrap()))
}

#[test]
fn an_rsa_key_has_the_thumbprint_of_the_standard() {
    let (modulus, exponent) = (URL_SAFE_NO_PAD.decode(MODULUS).unwrap(), [1, 0, 1]);
    let pair = encode(|writer| {
        writer.sequence(|pair| {
            pair.unsigned(&modulus);
            pair.unsigned(&exponent);
        });
    });
    let key = spki("1.2.840.113549.1.1.1", true, &pair);
    assert_eq!(thumbprint(&key), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

#[test]
fn an_ed25519_key_has_the_thumbprint_of_the_standard() {
    let octets = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
    let key = spki("1.3.101.112", false, &octets);
    assert_eq!(thumbprint(&key), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn coordinates_of_a_point_are_as_long_as_the_curve_wants() {
    for (algorithm, curve, length) in [
        (KeyAlgorithm::EcdsaP256, "P-256", 32),
        (KeyAlgorithm::EcdsaP384, "P-384", 48),
        (KeyAlgorithm::EcdsaP521, "P-521", 66),
    ] {
        let key = TestKey::new(algorithm);
        let key = key.public_key();
        assert!(matches!(key.key_type(), KeyType::Ecdsa(_)));
        let jwk = canonical_jwk(key).unwrap();
        let members: serde_json::Value = serde_json::from_str(&jwk).unwrap();
        let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(members[name].as_str().unwrap()).unwrap();
        assert_eq!([&[4], &coordinate("x")[..], &coordinate("y")[..]].concat(), key.key_bytes());
        assert_eq!(coordinate("x").len(), length);
        // In order, and nothing else (RFC 7638 §3.2).
        let (x, y) = (members["x"].as_str().unwrap(), members["y"].as_str().unwrap());
        assert_eq!(jwk, format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#));
    }
}

//! JSON Web Keys that are none, and thumbprints of those that are.

use pki::key::PublicKey;
use serde_json::{Value, json};

use super::super::{
    algorithm::Algorithm,
    base64url,
    json::JsonError,
    jwk::{AccountKey, Jwk, JwkError},
    testing::{ClientKey, object},
};

/// RFC 7638 §3.1.
const RSA_2048: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

/// RFC 8037 §A.2.
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// RFC 7515 §A.3.
const P256: (&str, &str) =
    ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");

fn refusal(jwk: &Value) -> JwkError {
    match AccountKey::parse(&object(jwk)) {
        Err(error) => error,
        Ok(key) => panic!("{jwk} was taken as {key:?}"),
    }
}

fn ec(x: &str, y: &str) -> Value {
    json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y })
}

fn rsa(n: &str, e: &str) -> Value {
    json!({ "kty": "RSA", "n": n, "e": e })
}

/// With these members changed.
fn with(mut jwk: Value, changes: Value) -> Value {
    let (members, changes) = (jwk.as_object_mut().unwrap(), changes.as_object().unwrap().clone());
    members.extend(changes);
    jwk
}

/// A modulus of so many bits, odd and with its top bit set.
fn modulus(bits: usize) -> String {
    let mut octets = vec![0x5a; bits.div_ceil(8)];
    octets[0] = match bits % 8 {
        0 => 0x80,
        rest => 1 << (rest - 1),
    };
    *octets.last_mut().unwrap() = 0x5b;
    base64url::encode(octets)
}

#[test]
fn a_key_of_another_kind_is_refused() {
    assert_eq!(refusal(&json!({})), JwkError::Json(JsonError::Missing("kty")));
    assert!(matches!(refusal(&json!({ "kty": 1 })), JwkError::Json(JsonError::Type { .. })));
    for kty in ["ec", "oct", "", "LMS", "none"] {
        assert_eq!(refusal(&with(ec(P256.0, P256.1), json!({ "kty": kty }))), JwkError::KeyType(kty.into()));
    }
    for crv in ["p-256", "P-224", "P-192", "secp256k1", "P256", "Ed25519"] {
        assert_eq!(refusal(&with(ec(P256.0, P256.1), json!({ "crv": crv }))), JwkError::Curve(crv.into()));
    }
    for crv in ["X25519", "Ed448", "X448", "ed25519", "P-256"] {
        let jwk = json!({ "kty": "OKP", "crv": crv, "x": ED25519 });
        assert_eq!(refusal(&jwk), JwkError::Curve(crv.into()));
    }
}

#[test]
fn a_private_key_is_refused_before_anything_else() {
    // RFC 8037 §A.1, RFC 7518 §6.4.
    let ed25519 = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519, "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A" });
    assert_eq!(refusal(&ed25519), JwkError::Private("d"));
    assert_eq!(refusal(&json!({ "kty": "oct", "k": "AyM1SysPpbyDfgZld3umj1" })), JwkError::Private("k"));
    for member in ["d", "p", "q", "dp", "dq", "qi"] {
        assert_eq!(
            refusal(&with(rsa(RSA_2048, "AQAB"), json!({ member: "AQAB" }))),
            JwkError::Private(member)
        );
    }
    assert_eq!(refusal(&with(rsa(RSA_2048, "AQAB"), json!({ "oth": [] }))), JwkError::Private("oth"));
}

#[test]
fn a_key_for_something_else_is_refused() {
    let key = || ec(P256.0, P256.1);
    for (purpose, changes) in [
        ("use", json!({ "use": "enc" })),
        ("alg", json!({ "alg": "ES384" })),
        ("alg", json!({ "alg": "ECDH-ES" })),
        ("key_ops", json!({ "key_ops": ["sign"] })),
        ("key_ops", json!({ "key_ops": [] })),
    ] {
        assert_eq!(refusal(&with(key(), changes)), JwkError::Purpose(purpose));
    }
    let meant = json!({ "use": "sig", "alg": "ES256", "key_ops": ["sign", "verify"], "kid": "7", "x5t": 1 });
    assert!(AccountKey::parse(&object(&with(key(), meant))).is_ok());
}

#[test]
fn a_point_that_is_none_is_refused() {
    let (x, y) = P256;
    let zero = base64url::encode([0; 32]);
    let field = base64url::encode(
        hex::decode("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff").unwrap(),
    );
    for (x, y) in [(y, x), (x, x), (&zero, &zero), (x, &zero), (&field, y)] {
        assert!(matches!(refusal(&ec(x, y)), JwkError::Key(_)), "{x} {y}");
    }
    let short = base64url::encode(&base64url::decode(x, 64).unwrap()[1..]);
    let long = base64url::encode([&[0], base64url::decode(x, 64).unwrap().as_slice()].concat());
    for wrong in [short.as_str(), &long, ""] {
        assert_eq!(refusal(&ec(wrong, y)), JwkError::Length("x"));
        assert_eq!(refusal(&ec(x, wrong)), JwkError::Length("y"));
        assert_eq!(refusal(&json!({ "kty": "OKP", "crv": "Ed25519", "x": wrong })), JwkError::Length("x"));
    }
    for wrong in [format!("{x}="), format!("+{}", &x[1..]), format!("{}F", &x[..42])] {
        assert!(matches!(refusal(&ec(&wrong, y)), JwkError::Encoding { member: "x", .. }), "{wrong}");
    }
    assert_eq!(
        refusal(&json!({ "kty": "EC", "crv": "P-256", "x": x })),
        JwkError::Json(JsonError::Missing("y"))
    );
}

#[test]
fn an_rsa_key_that_is_weak_or_none_is_refused() {
    for bits in [1024, 1536, 2047, 8193] {
        let expected = JwkError::ModulusSize { bits: u32::try_from(bits).unwrap() };
        assert_eq!(refusal(&rsa(&modulus(bits), "AQAB")), expected);
    }
    assert!(matches!(refusal(&rsa(&"A".repeat(1401), "AQAB")), JwkError::Encoding { member: "n", .. }));
    assert!(matches!(refusal(&rsa(&"B".repeat(1_000_000), "AQAB")), JwkError::Encoding { member: "n", .. }));
    let mut even = base64url::decode(RSA_2048, 400).unwrap();
    *even.last_mut().unwrap() &= 0xfe;
    assert!(matches!(refusal(&rsa(&base64url::encode(even), "AQAB")), JwkError::Key(_)));
    // 1, 2, 65536; then 0, nothing, and 65537 behind a zero octet.
    for exponent in ["AQ", "Ag", "AQAA"] {
        assert!(matches!(refusal(&rsa(RSA_2048, exponent)), JwkError::Key(_)), "{exponent}");
    }
    for exponent in ["AA", "", "AAEAAQ"] {
        assert_eq!(refusal(&rsa(RSA_2048, exponent)), JwkError::LeadingZero("e"));
    }
    let padded = [&[0], base64url::decode(RSA_2048, 400).unwrap().as_slice()].concat();
    assert_eq!(refusal(&rsa(&base64url::encode(padded), "AQAB")), JwkError::LeadingZero("n"));
}

#[test]
fn rsa_keys_of_all_sizes_in_between_are_taken() {
    for bits in [2048, 2056, 3072, 4096, 8192] {
        let key = AccountKey::parse(&object(&rsa(&modulus(bits), "AQAB"))).unwrap();
        assert_eq!(key.algorithm(), Algorithm::Rs256);
    }
    for exponent in ["Aw", "AQAB"] {
        assert!(AccountKey::parse(&object(&rsa(RSA_2048, exponent))).is_ok());
    }
}

#[test]
fn the_thumbprints_of_rfc_7638_and_rfc_8037_come_out() {
    let rsa = with(rsa(RSA_2048, "AQAB"), json!({ "alg": "RS256", "kid": "2011-04-29" }));
    let rsa = Jwk::parse(&object(&rsa)).unwrap();
    assert_eq!(base64url::encode(rsa.thumbprint()), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(rsa.canonical(), format!(r#"{{"e":"AQAB","kty":"RSA","n":"{RSA_2048}"}}"#));
    let ed25519 = Jwk::parse(&object(&json!({ "x": ED25519, "kty": "OKP", "crv": "Ed25519" }))).unwrap();
    assert_eq!(base64url::encode(ed25519.thumbprint()), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn an_account_key_is_found_again_in_its_row_and_in_a_certificate() {
    let other = ClientKey::new();
    for algorithm in Algorithm::ALL {
        let key = ClientKey::of(algorithm);
        let key = key.account_key();
        let again = AccountKey::from_canonical(key.canonical()).unwrap();
        assert_eq!((&again, again.public_key()), (key, key.public_key()));
        assert_eq!(issuance::acme::jwk_thumbprint(key.canonical()), *key.thumbprint());
        let in_certificate = PublicKey::from_spki_der(key.public_key().spki_der()).unwrap();
        assert!(key.is(&in_certificate));
        assert!(!key.is(other.account_key().public_key()));
        assert_ne!(key, other.account_key());
    }
}

#[test]
fn an_rsa_key_is_the_same_without_the_parameters_of_its_algorithm() {
    let key = AccountKey::parse(&object(&rsa(RSA_2048, "AQAB"))).unwrap();
    let spki = key.public_key().spki_der();
    // SEQUENCE (4) { SEQUENCE 30 0d { 06 09 …, 05 00 }, … }: without the NULL both are two octets shorter.
    let mut bare = spki.to_vec();
    bare.drain(17..19);
    bare[5] -= 2;
    bare[3] -= 2;
    let bare = PublicKey::from_spki_der(&bare).unwrap();
    assert_ne!(&bare, key.public_key());
    assert!(key.is(&bare));
}

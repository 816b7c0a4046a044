//! Which sets of keys are taken, and which keys of them.

use serde_json::{Value, json};

use super::{super::*, claims, composing, composing::Issuer, verifier};
use crate::testing::NOW;

fn refusal(jwks: &str) -> KeySetError {
    KeySet::parse(jwks).unwrap_err()
}

/// The set of one key, changed.
fn changed(issuer: &Issuer, change: impl FnOnce(&mut Value)) -> String {
    let mut jwk: Value = serde_json::from_str(&issuer.jwk()).unwrap();
    change(&mut jwk);
    json!({"keys": [jwk]}).to_string()
}

#[test]
fn what_is_no_set_of_keys_is_refused() {
    for json in ["", "null", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(matches!(refusal(json), KeySetError::Json(_)), "{json}");
    }
    assert_eq!(refusal(r#"{"keys":[]}"#), KeySetError::Empty);
    let long = format!(r#"{{"keys":[],"filler":"{}"}}"#, "f".repeat(256 * 1024));
    assert_eq!(refusal(&long), KeySetError::TooLong(long.len()));
}

#[test]
fn a_key_that_signs_is_refused_whatever_stands_beside_it() {
    let issuer = Issuer::es256();
    for (member, value) in [("d", json!("AA")), ("k", json!("AA")), ("kty", json!("oct"))] {
        let secret = changed(&issuer, |jwk| jwk[member] = value);
        assert_eq!(refusal(&secret), KeySetError::Private("key-1".into()));
    }
    let nameless = json!({"kty": "oct", "k": "AA"}).to_string();
    let beside = format!(r#"{{"keys":[{},{nameless}]}}"#, issuer.jwk());
    assert_eq!(refusal(&beside), KeySetError::Private("number 2".into()));
}

#[test]
fn a_key_that_is_none_is_refused_with_its_name() {
    type Change = fn(&mut Value);
    let (ec, rsa, ed) = (Issuer::es256(), Issuer::rs256(), Issuer::ed25519());
    let cases: [(&Issuer, Change, &str); 9] = [
        (&ec, |jwk| jwk["x"] = jwk["y"].clone(), "uncompressed point"),
        (&ec, |jwk| jwk["x"] = json!("AA"), "uncompressed point"),
        (&ec, |jwk| jwk["y"] = json!("AA=="), "\"y\""),
        (&ec, |jwk| drop(jwk.as_object_mut().unwrap().remove("y")), "\"y\""),
        (&rsa, |jwk| jwk["e"] = json!("AQ"), "exponent"),
        (&rsa, |jwk| jwk["n"] = json!("AQAB"), "modulus"),
        (&rsa, |jwk| jwk["n"] = json!(composing::encode([0xff; 128])), "2048 to 8192"),
        (&ed, |jwk| jwk["x"] = json!("AA"), "32 octets"),
        (&ed, |jwk| jwk["x"] = json!("+/"), "\"x\""),
    ];
    for (issuer, change, says) in cases {
        let error = refusal(&changed(issuer, change));
        assert!(matches!(&error, KeySetError::Key { key, .. } if key == "key-1"), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn a_key_for_something_else_is_passed_over() {
    let issuer = Issuer::es256();
    for (member, value) in [
        ("use", json!("enc")),
        ("alg", json!("ES384")),
        ("alg", json!("ECDH-ES")),
        ("key_ops", json!(["sign"])),
        ("crv", json!("P-521")),
        ("kty", json!("XYZ")),
    ] {
        assert_eq!(refusal(&changed(&issuer, |jwk| jwk[member] = value)), KeySetError::Empty);
    }
    let unknown = json!({"kty": "AKP", "alg": "ML-DSA-65", "pub": "AA", "kid": "new"}).to_string();
    let set = format!(r#"{{"keys":[{unknown},{}]}}"#, issuer.jwk());
    assert!(verifier(&set).verify(&issuer.token(&claims()), NOW).is_ok());
}

#[test]
fn a_key_that_says_nothing_of_its_purpose_is_taken() {
    let issuer = Issuer::es256();
    let bare = changed(&issuer, |jwk| {
        let members = jwk.as_object_mut().unwrap();
        members.retain(|member, _| member != "use" && member != "alg");
    });
    let verifying = changed(&issuer, |jwk| jwk["key_ops"] = json!(["verify"]));
    for set in [bare, verifying] {
        assert!(verifier(&set).verify(&issuer.token(&claims()), NOW).is_ok(), "{set}");
    }
}

#[test]
fn keys_of_one_name_and_different_types_are_told_apart_by_the_algorithm() {
    let (ec, rsa, other) = (Issuer::es256(), Issuer::rs256(), Issuer::es256());
    let verifier = verifier(&composing::set(&[&ec, &rsa, &other]));
    for issuer in [&ec, &rsa, &other] {
        assert!(verifier.verify(&issuer.token(&claims()), NOW).is_ok(), "{}", issuer.alg());
    }
}

#[test]
fn no_set_of_keys_is_printed_in_full() {
    let issuer = Issuer::rs256();
    let text = format!("{:?}", verifier(&issuer.jwks()));
    assert!(text.contains("Key(RS256, Some(\"key-1\"))") && text.len() < 500, "{text}");
}

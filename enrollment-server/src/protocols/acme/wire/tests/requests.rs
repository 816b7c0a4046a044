//! Signed requests (RFC 8555 §6.2 to §6.5): one table of refusals, and what comes in.

use serde_json::{Value, json};

use super::super::{
    algorithm::Algorithm,
    base64url::{self, Base64UrlError},
    json::JsonError,
    jwk::JwkError,
    jws::{JwsError, MAX_BODY, Request, Signer},
    problem::ProblemType,
    testing::{ClientKey, flattened},
};

const URL: &str = "https://ca.example/acme/lab.web/new-order";
const ACCOUNT: &str = "https://ca.example/acme/lab.web/acct/1";
const NONCE: &str = "bm9uY2U";

fn parse(jws: &Value) -> Result<Request, JwsError> {
    Request::parse(jws.to_string().as_bytes())
}

fn refusal(jws: &Value) -> JwsError {
    match parse(jws) {
        Err(error) => error,
        Ok(request) => panic!("{jws} was taken as {request:?}"),
    }
}

/// A good header with these members changed; null takes one away.
fn header(key: &ClientKey, changes: &Value) -> Value {
    let mut header = key.header_of(ACCOUNT, URL, NONCE);
    let members = header.as_object_mut().unwrap();
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(members.remove(name)),
            value => drop(members.insert(name.clone(), value.clone())),
        }
    }
    header
}

fn missing(member: &'static str) -> JwsError {
    JwsError::Header(JsonError::Missing(member))
}

fn no_text(member: &'static str) -> JwsError {
    JwsError::Header(JsonError::Type { member, expected: "a string" })
}

#[test]
fn a_protected_header_that_is_not_as_it_must_be_is_refused() {
    let key = ClientKey::new();
    let long = "A".repeat(2049);
    let refused = [
        (json!({ "alg": null }), missing("alg")),
        (json!({ "alg": 1 }), no_text("alg")),
        (json!({ "url": null }), missing("url")),
        (json!({ "url": ["https://ca.example"] }), no_text("url")),
        (json!({ "url": long }), JwsError::HeaderValue("url")),
        (json!({ "nonce": null }), JwsError::NonceMissing),
        (json!({ "nonce": 5 }), no_text("nonce")),
        (json!({ "nonce": long }), JwsError::HeaderValue("nonce")),
        (json!({ "nonce": "bm9uY2U=" }), JwsError::NonceSyntax),
        (json!({ "nonce": "no nonce" }), JwsError::NonceSyntax),
        (json!({ "kid": null }), JwsError::NeitherJwkNorKid),
        (json!({ "kid": 7 }), no_text("kid")),
        (json!({ "kid": long }), JwsError::HeaderValue("kid")),
        (json!({ "jwk": key.jwk() }), JwsError::JwkAndKid),
        (
            json!({ "kid": null, "jwk": "key" }),
            JwsError::Header(JsonError::Type { member: "jwk", expected: "an object" }),
        ),
        (json!({ "kid": null, "jwk": {} }), JwsError::Key(JwkError::Json(JsonError::Missing("kty")))),
        (json!({ "crit": [] }), JwsError::Extension("crit")),
        (json!({ "crit": ["exp"], "exp": 1 }), JwsError::Extension("crit")),
        (json!({ "crit": ["b64"], "b64": false }), JwsError::Extension("crit")),
        (json!({ "b64": true }), JwsError::Extension("b64")),
    ];
    for (changes, error) in refused {
        assert_eq!(refusal(&key.jws(&header(&key, &changes), b"")), error, "{changes}");
    }
}

#[test]
fn an_algorithm_that_is_not_for_accounts_is_refused() {
    let key = ClientKey::new();
    for name in
        ["none", "None", "HS256", "HS512", "es256", "ES256K", "RS1", "RS384", "PS256", "ML-DSA-65", ""]
    {
        let refused = refusal(&key.jws(&header(&key, &json!({ "alg": name })), b""));
        assert_eq!(refused, JwsError::Algorithm(name.into()));
        assert_eq!(refused.problem_type(), ProblemType::BadSignatureAlgorithm);
    }
}

#[test]
fn a_jws_of_another_shape_is_refused() {
    let key = ClientKey::new();
    let good = key.jws(&header(&key, &json!({})), b"{}");
    let of_type = |member| JwsError::Json(JsonError::Type { member, expected: "a string" });
    let malformed = |member| JwsError::Encoding { member, error: Base64UrlError::Malformed };
    let refused = [
        (json!({ "protected": null }), JwsError::Json(JsonError::Missing("protected"))),
        (json!({ "payload": null }), JwsError::Json(JsonError::Missing("payload"))),
        (json!({ "signature": null }), JwsError::Json(JsonError::Missing("signature"))),
        (json!({ "protected": {} }), of_type("protected")),
        (json!({ "payload": {} }), of_type("payload")),
        (json!({ "signature": 0 }), of_type("signature")),
        (json!({ "header": {} }), JwsError::Json(JsonError::Unexpected("header".into()))),
        (json!({ "signatures": [] }), JwsError::Json(JsonError::Unexpected("signatures".into()))),
        (json!({ "x": 1 }), JwsError::Json(JsonError::Unexpected("x".into()))),
        (
            json!({ "protected": "" }),
            JwsError::Header(JsonError::Syntax("EOF while parsing a value at line 1 column 0".into())),
        ),
        (json!({ "protected": base64url::encode("[]") }), JwsError::Header(JsonError::NotAnObject)),
        (json!({ "protected": "e30=" }), malformed("protected")),
        (json!({ "protected": "e31" }), malformed("protected")),
        (json!({ "payload": "e30=" }), malformed("payload")),
        (json!({ "payload": "e3+" }), malformed("payload")),
        (json!({ "payload": "e31" }), malformed("payload")),
        (json!({ "payload": "e3 0" }), malformed("payload")),
        (json!({ "signature": "A" }), malformed("signature")),
        (
            json!({ "signature": "A".repeat(1401) }),
            JwsError::Encoding { member: "signature", error: Base64UrlError::TooLong { limit: 1400 } },
        ),
        (
            json!({ "protected": "A".repeat(8193) }),
            JwsError::Encoding { member: "protected", error: Base64UrlError::TooLong { limit: 8192 } },
        ),
    ];
    for (changes, error) in refused {
        let mut jws = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            match value {
                Value::Null => drop(jws.as_object_mut().unwrap().remove(name)),
                value => jws[name] = value.clone(),
            }
        }
        assert_eq!(refusal(&jws), error, "{changes}");
    }
}

#[test]
fn the_other_serializations_of_rfc_7515_are_refused() {
    // §7.1, §7.2.1, and §7.2.2 with an unprotected header.
    let compact = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UifQ.AAAA";
    assert!(matches!(Request::parse(compact.as_bytes()), Err(JwsError::Json(JsonError::Syntax(_)))));
    let general = json!({ "payload": "e30", "signatures": [{ "protected": "e30", "signature": "AAAA" }] });
    assert!(matches!(refusal(&general), JwsError::Json(JsonError::Unexpected(_))));
    let unprotected =
        json!({ "payload": "e30", "protected": "e30", "header": { "kid": "7" }, "signature": "AAAA" });
    assert_eq!(refusal(&unprotected), JwsError::Json(JsonError::Unexpected("header".into())));
}

#[test]
fn a_member_that_is_there_twice_is_refused_outside_and_inside() {
    let key = ClientKey::new();
    let good = key.jws(&header(&key, &json!({})), b"").to_string();
    let twice = format!("{},\"payload\":\"\"}}", good.strip_suffix('}').unwrap());
    assert!(matches!(Request::parse(twice.as_bytes()), Err(JwsError::Json(JsonError::Syntax(_)))));
    let text = header(&key, &json!({})).to_string();
    for second in
        [r#""alg":"none""#, r#""kid":"https://ca.example/acct/2""#, r#""x":1,"x":1"#, r#""\u0061lg":"ES256""#]
    {
        let protected = format!("{},{second}}}", text.strip_suffix('}').unwrap());
        let jws = flattened(protected.as_bytes(), b"", |message| key.sign(message));
        assert!(matches!(refusal(&jws), JwsError::Header(JsonError::Syntax(_))), "{second}");
    }
}

#[test]
fn a_body_that_is_too_large_is_not_even_read() {
    let refused = Request::parse(&vec![b'['; MAX_BODY + 1]).unwrap_err();
    assert_eq!((refused.clone(), refused.problem().status), (JwsError::TooLarge, 413));
    assert!(matches!(Request::parse(&vec![b'['; MAX_BODY]), Err(JwsError::Json(JsonError::Syntax(_)))));
}

#[test]
fn what_somebody_else_signed_or_changed_does_not_verify() {
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let good = key.jws(&header(&key, &json!({})), b"{}");
    let another = key.jws(&header(&key, &json!({ "nonce": "b3RoZXI" })), b"{\"a\":1}");
    for member in ["protected", "payload", "signature"] {
        let mut mixed = good.clone();
        mixed[member] = another[member].clone();
        let refused = parse(&mixed).unwrap().verify(key.account_key()).unwrap_err();
        assert_eq!(refused, JwsError::Signature, "{member}");
    }
    let refused = parse(&good).unwrap().verify(other.account_key()).unwrap_err();
    assert_eq!((refused.clone(), refused.problem_type()), (JwsError::Signature, ProblemType::Malformed));
    let mut empty = good.clone();
    empty["signature"] = json!("");
    assert_eq!(parse(&empty).unwrap().verify(key.account_key()).unwrap_err(), JwsError::Signature);
    assert!(parse(&good).unwrap().verify(key.account_key()).is_ok());
}

#[test]
fn an_ecdsa_signature_of_zeros_or_in_der_does_not_verify() {
    let key = ClientKey::new();
    let mut jws = key.jws(&header(&key, &json!({})), b"");
    let fixed = base64url::decode(jws["signature"].as_str().unwrap(), 100).unwrap();
    let number = |half: &[u8]| [&[0x02, 0x21, 0x00], half].concat();
    let (r, s) = fixed.split_at(32);
    let der = [&[0x30, 0x46], number(r).as_slice(), &number(s)].concat();
    for signature in [vec![0; 64], der, [r, &[0; 32]].concat(), [&[0; 32], s].concat()] {
        jws["signature"] = json!(base64url::encode(signature));
        assert_eq!(parse(&jws).unwrap().verify(key.account_key()).unwrap_err(), JwsError::Signature);
    }
}

#[test]
fn a_key_is_used_with_its_own_algorithm_only() {
    let key = ClientKey::new();
    for algorithm in [Algorithm::Es384, Algorithm::Rs256, Algorithm::EdDsa] {
        let jws = key.jws(&header(&key, &json!({ "alg": algorithm.as_str() })), b"");
        let refused = parse(&jws).unwrap().verify(key.account_key()).unwrap_err();
        assert_eq!(refused, JwsError::AlgorithmOfKey { named: algorithm, key: Algorithm::Es256 });
        assert_eq!(refused.problem_type(), ProblemType::BadSignatureAlgorithm);
    }
}

#[test]
fn a_request_that_was_meant_for_another_url_is_refused() {
    let key = ClientKey::new();
    let request = parse(&key.jws(&key.header(URL, NONCE), b"")).unwrap();
    for url in ["", "https://ca.example/acme/lab.web/new-order/", "http://ca.example/acme/lab.web/new-order"]
    {
        let refused = request.check_url(url).unwrap_err();
        assert_eq!((refused.clone(), refused.problem_type()), (JwsError::Url, ProblemType::Unauthorized));
    }
    assert_eq!(request.check_url(URL), Ok(()));
}

#[test]
fn nothing_and_an_empty_object_are_two_things() {
    let key = ClientKey::new();
    let verified = |payload: &[u8]| {
        let jws = key.jws(&header(&key, &json!({})), payload);
        parse(&jws).unwrap().verify(key.account_key()).unwrap()
    };
    assert_eq!((verified(b"").post_as_get(), verified(b"").is_empty()), (Ok(()), true));
    assert_eq!(verified(b"").object(), Err(JwsError::PayloadEmpty));
    assert_eq!(
        (verified(b"{}").post_as_get(), verified(b"{}").is_empty()),
        (Err(JwsError::PayloadNotEmpty), false)
    );
    assert!(verified(b"{}").object().is_ok());
    for payload in [&b"[]"[..], b"null", b"\"\""] {
        assert_eq!(verified(payload).object(), Err(JwsError::Payload(JsonError::NotAnObject)));
    }
    for payload in [&b" "[..], b"{", b"\xff", br#"{"a":1,"a":2}"#] {
        assert!(matches!(verified(payload).object(), Err(JwsError::Payload(JsonError::Syntax(_)))));
    }
}

#[test]
fn every_algorithm_signs_with_its_key_and_by_its_account() {
    for algorithm in Algorithm::ALL {
        let key = ClientKey::of(algorithm);
        let request = parse(&key.jws(&key.header(URL, NONCE), br#"{"a":"b"}"#)).unwrap();
        assert_eq!((request.url(), request.nonce()), (URL, NONCE));
        let Signer::Jwk(own) = request.signer().clone() else { panic!("{request:?}") };
        assert_eq!(&own, key.account_key());
        assert_eq!(request.verify(&own).unwrap().object().unwrap().string("a"), Ok("b"));
        let request = parse(&key.jws(&key.header_of(ACCOUNT, URL, NONCE), b"")).unwrap();
        assert_eq!(request.signer(), &Signer::Kid(ACCOUNT.into()));
        assert!(request.verify(&own).is_ok());
    }
}

#[test]
fn members_of_the_header_that_are_not_known_do_not_matter() {
    // RFC 7515 §4: what is not understood is ignored.
    let key = ClientKey::new();
    let changes =
        json!({ "typ": "JOSE+JSON", "cty": "json", "x5c": ["AAAA"], "jku": "https://evil.example/keys" });
    assert!(parse(&key.jws(&header(&key, &changes), b"")).unwrap().verify(key.account_key()).is_ok());
}

//! External account bindings (RFC 8555 §7.3.4).

use serde_json::{Value, json};

use super::super::{
    algorithm::MacAlgorithm,
    json::JsonError,
    jws::{Binding, JwsError},
    problem::ProblemType,
    testing::{ClientKey, flattened, mac, object},
};

const URL: &str = "https://ca.example/acme/lab.web/new-account";
const KID: &str = "device-7";
const MAC_KEY: &[u8; 32] = b"0123456789abcdef0123456789abcdef";
/// Long enough for every algorithm.
const LONG_MAC_KEY: &[u8; 64] = &[0x5a; 64];

/// With any header and any payload, under the right key.
fn binding(header: &Value, payload: &[u8]) -> Value {
    flattened(header.to_string().as_bytes(), payload, |message| mac(MacAlgorithm::Hs256, MAC_KEY, message))
}

fn refusal(jws: &Value) -> JwsError {
    match Binding::parse(&object(jws)) {
        Err(JwsError::Binding(error)) => *error,
        other => panic!("{jws}: {other:?}"),
    }
}

#[test]
fn a_binding_with_a_wrong_header_is_refused() {
    let key = ClientKey::new();
    let payload = key.account_key().canonical().as_bytes();
    let refused = [
        (json!({ "kid": KID, "url": URL }), JwsError::Header(JsonError::Missing("alg"))),
        (json!({ "alg": "HS256", "url": URL }), JwsError::Header(JsonError::Missing("kid"))),
        (json!({ "alg": "HS256", "kid": KID }), JwsError::Header(JsonError::Missing("url"))),
        (json!({ "alg": "none", "kid": KID, "url": URL }), JwsError::Algorithm("none".into())),
        (json!({ "alg": "ES256", "kid": KID, "url": URL }), JwsError::Algorithm("ES256".into())),
        (json!({ "alg": "HS1", "kid": KID, "url": URL }), JwsError::Algorithm("HS1".into())),
        (json!({ "alg": "HS256", "kid": KID, "url": URL, "nonce": "bm9uY2U" }), JwsError::Forbidden("nonce")),
        (json!({ "alg": "HS256", "kid": KID, "url": URL, "jwk": key.jwk() }), JwsError::Forbidden("jwk")),
        (json!({ "alg": "HS256", "kid": KID, "url": URL, "crit": ["x"] }), JwsError::Extension("crit")),
    ];
    for (header, error) in refused {
        assert_eq!(refusal(&binding(&header, payload)), error, "{header}");
    }
    let good = key.binding(MacAlgorithm::Hs256, MAC_KEY, KID, URL);
    let mut unprotected = good.clone();
    unprotected["header"] = json!({});
    assert_eq!(refusal(&unprotected), JwsError::Json(JsonError::Unexpected("header".into())));
}

#[test]
fn a_binding_under_another_key_or_of_another_account_is_refused() {
    let (key, other) = (ClientKey::new(), ClientKey::new());
    let header = json!({ "alg": "HS256", "kid": KID, "url": URL });
    let judged = |jws: &Value, mac_key: &[u8], url: &str| {
        Binding::parse(&object(jws)).unwrap().verify(mac_key, url, key.account_key())
    };
    let inner = |error| Err(JwsError::Binding(Box::new(error)));
    let good = key.binding(MacAlgorithm::Hs256, MAC_KEY, KID, URL);
    assert_eq!(judged(&good, MAC_KEY, URL), Ok(()));
    assert_eq!(judged(&good, b"another key", URL), inner(JwsError::Signature));
    assert_eq!(judged(&good, b"", URL), inner(JwsError::Signature));
    assert_eq!(judged(&good, MAC_KEY, "https://ca.example/acme/lab.other/new-account"), inner(JwsError::Url));
    let of_other = other.binding(MacAlgorithm::Hs256, MAC_KEY, KID, URL);
    assert_eq!(judged(&of_other, MAC_KEY, URL), Err(JwsError::BindingKey));
    let no_key = judged(&binding(&header, b"{}"), MAC_KEY, URL).unwrap_err();
    assert_eq!(no_key.problem_type(), ProblemType::Malformed);
    for payload in [&b""[..], b"[]", b"\"key\""] {
        assert!(judged(&binding(&header, payload), MAC_KEY, URL).is_err());
    }
    let cut = {
        let mut jws = good.clone();
        let signature = jws["signature"].as_str().unwrap()[..24].to_owned();
        jws["signature"] = json!(signature);
        jws
    };
    assert_eq!(judged(&cut, MAC_KEY, URL), inner(JwsError::Signature));
}

#[test]
fn a_mac_counts_for_its_own_algorithm_only() {
    let key = ClientKey::new();
    let header = json!({ "alg": "HS512", "kid": KID, "url": URL });
    let payload = key.account_key().canonical().as_bytes();
    let jws = Binding::parse(&object(&binding(&header, payload))).unwrap();
    let refused = jws.verify(MAC_KEY, URL, key.account_key());
    assert_eq!(refused, Err(JwsError::Binding(Box::new(JwsError::Signature))));
}

#[test]
fn a_key_shorter_than_the_hash_is_refused_to_whoever_holds_it() {
    let key = ClientKey::new();
    for (algorithm, least) in
        [(MacAlgorithm::Hs256, 32), (MacAlgorithm::Hs384, 48), (MacAlgorithm::Hs512, 64)]
    {
        let (short, enough) = (&LONG_MAC_KEY[..least - 1], &LONG_MAC_KEY[..least]);
        let judged = |signed_with: &[u8], mac_key: &[u8]| {
            let jws = key.binding(algorithm, signed_with, KID, URL);
            Binding::parse(&object(&jws)).unwrap().verify(mac_key, URL, key.account_key())
        };
        let inner = |error| Err(JwsError::Binding(Box::new(error)));
        assert_eq!(judged(short, short), inner(JwsError::MacKey { algorithm, least }));
        assert_eq!(judged(enough, enough), Ok(()));
        // Nobody else learns how long the key is.
        assert_eq!(judged(b"a guess", short), inner(JwsError::Signature));
    }
    let error = JwsError::MacKey { algorithm: MacAlgorithm::Hs512, least: 64 };
    assert!(error.to_string().starts_with("HS512 needs a key of at least 64 octets"), "{error}");
}

#[test]
fn every_mac_binds_and_is_shown_as_it_came() {
    let key = ClientKey::new();
    for algorithm in MacAlgorithm::ALL {
        let jws = key.binding(algorithm, LONG_MAC_KEY, KID, URL);
        let binding = Binding::parse(&object(&jws)).unwrap();
        assert_eq!(binding.kid(), KID);
        assert_eq!(binding.verify(LONG_MAC_KEY, URL, key.account_key()), Ok(()));
        let shown: Value = serde_json::from_str(&binding.to_json()).unwrap();
        assert_eq!(shown, jws);
    }
}

#[test]
fn members_of_the_bound_key_may_stand_in_any_order() {
    // What the RFC compares is the key, not its spelling.
    let key = ClientKey::new();
    let jwk = key.jwk();
    let payload =
        format!(r#"{{ "kty": "EC", "y": {}, "use": "sig", "x": {}, "crv": "P-256" }}"#, jwk["y"], jwk["x"]);
    let jws = binding(&json!({ "alg": "HS256", "kid": KID, "url": URL }), payload.as_bytes());
    assert_eq!(Binding::parse(&object(&jws)).unwrap().verify(MAC_KEY, URL, key.account_key()), Ok(()));
}

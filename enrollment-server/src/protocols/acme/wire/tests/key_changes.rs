//! keyChange (RFC 8555 §7.3.5): the new key signs inside, the old one outside.

use serde_json::{Value, json};

use super::super::{
    algorithm::Algorithm,
    json::JsonError,
    jwk::AccountKey,
    jws::{JwsError, Request},
    problem::ProblemType,
    testing::ClientKey,
};

const URL: &str = "https://ca.example/acme/lab.web/key-change";
const ACCOUNT: &str = "https://ca.example/acme/lab.web/acct/1";

/// What becomes of an inner JWS that the account's key `old` sends.
fn change(old: &ClientKey, inner: &[u8]) -> Result<AccountKey, JwsError> {
    let outer = old.jws(&old.header_of(ACCOUNT, URL, "bm9uY2U"), inner).to_string();
    let verified = Request::parse(outer.as_bytes()).unwrap().verify(old.account_key()).unwrap();
    verified.key_change(URL, ACCOUNT, old.account_key())
}

fn changed(old: &ClientKey, inner: &Value) -> Result<AccountKey, JwsError> {
    change(old, inner.to_string().as_bytes())
}

fn inner_refusal(old: &ClientKey, inner: &Value) -> JwsError {
    match changed(old, inner) {
        Err(JwsError::KeyChange(error)) => *error,
        other => panic!("{inner}: {other:?}"),
    }
}

#[test]
fn an_inner_jws_with_a_wrong_header_is_refused() {
    let (old, new) = (ClientKey::new(), ClientKey::new());
    let payload = json!({ "account": ACCOUNT, "oldKey": old.jwk() }).to_string();
    let refused = [
        (json!({ "alg": "ES256", "url": URL }), JwsError::NeitherJwkNorKid),
        (json!({ "alg": "ES256", "kid": ACCOUNT, "url": URL }), JwsError::Forbidden("kid")),
        (json!({ "alg": "ES256", "jwk": new.jwk(), "kid": ACCOUNT, "url": URL }), JwsError::Forbidden("kid")),
        (
            json!({ "alg": "ES256", "jwk": new.jwk(), "url": URL, "nonce": "bm9uY2U" }),
            JwsError::Forbidden("nonce"),
        ),
        (json!({ "alg": "ES256", "jwk": new.jwk() }), JwsError::Header(JsonError::Missing("url"))),
        (json!({ "alg": "ES256", "jwk": new.jwk(), "url": ACCOUNT }), JwsError::Url),
        (json!({ "alg": "HS256", "jwk": new.jwk(), "url": URL }), JwsError::Algorithm("HS256".into())),
        (
            json!({ "alg": "ES384", "jwk": new.jwk(), "url": URL }),
            JwsError::AlgorithmOfKey { named: Algorithm::Es384, key: Algorithm::Es256 },
        ),
        // Signed by the new key, but naming the old one.
        (json!({ "alg": "ES256", "jwk": old.jwk(), "url": URL }), JwsError::Signature),
    ];
    for (header, error) in refused {
        assert_eq!(inner_refusal(&old, &new.jws(&header, payload.as_bytes())), error, "{header}");
    }
}

#[test]
fn an_inner_payload_about_another_account_or_key_is_refused() {
    let (old, new) = (ClientKey::new(), ClientKey::new());
    let header = json!({ "alg": "ES256", "jwk": new.jwk(), "url": URL });
    let with = |payload: Value| new.jws(&header, payload.to_string().as_bytes());
    let other_account = with(json!({ "account": URL, "oldKey": old.jwk() }));
    assert_eq!(changed(&old, &other_account), Err(JwsError::KeyChangeAccount));
    let other_key = with(json!({ "account": ACCOUNT, "oldKey": new.jwk() }));
    assert_eq!(changed(&old, &other_key), Err(JwsError::KeyChangeOldKey));
    let missing = |member| JwsError::Payload(JsonError::Missing(member));
    assert_eq!(inner_refusal(&old, &with(json!({ "oldKey": old.jwk() }))), missing("account"));
    assert_eq!(inner_refusal(&old, &with(json!({ "account": ACCOUNT }))), missing("oldKey"));
    assert_eq!(inner_refusal(&old, &new.jws(&header, b"")), JwsError::PayloadEmpty);
    let text = with(json!({ "account": ACCOUNT, "oldKey": "key" }));
    assert!(matches!(inner_refusal(&old, &text), JwsError::Payload(JsonError::Type { .. })));
}

#[test]
fn an_outer_payload_that_is_no_jws_is_refused() {
    let old = ClientKey::new();
    for payload in [&b"{}"[..], b"", b"[]", br#"{"account":"a","oldKey":{}}"#] {
        let refused = change(&old, payload).unwrap_err();
        assert!(matches!(refused, JwsError::KeyChange(_)), "{refused:?}");
        assert_eq!(refused.problem_type(), ProblemType::Malformed);
    }
}

#[test]
fn a_key_of_any_kind_follows_one_of_any_kind() {
    let old = ClientKey::new();
    for algorithm in Algorithm::ALL {
        let new = ClientKey::of(algorithm);
        assert_eq!(&changed(&old, &new.key_change(URL, ACCOUNT, &old)).unwrap(), new.account_key());
        assert_eq!(&changed(&new, &old.key_change(URL, ACCOUNT, &new)).unwrap(), old.account_key());
    }
}

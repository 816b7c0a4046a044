//! Tokens of service accounts: whose, made by whom, verified by which keys.

use crds::conditions::{ConditionStatus, ConditionType, Reason};
use issuance::rest::{RestAction, RestActions};
use serde_json::{Value, json};

use super::{
    M, name, rejects_world,
    rest::{compiled, with},
    world::World,
};
use crate::{CompiledAccount, CompiledTokens, TokenIssuer};

// RFC 7517 Appendix A.1, RFC 8037 Appendix A.2.
const EC: (&str, &str) =
    ("MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4", "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM");
const RSA: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
const ED25519: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": EC.0, "y": EC.1})
}

fn rsa() -> Value {
    json!({"kty": "RSA", "n": RSA, "e": "AQAB"})
}

/// RFC 7520 §3.1.
fn p521() -> Value {
    let x = "AHKZLLOsCOzz5cY97ewNUajB957y-C-U88c3v13nmGZx6sYl_oJXu9A5RkTKqjqvjyekWF-7ytDyRXYgCF5cj0Kt";
    let y = "AdymlHvOiLxXkEhayXQnNCvDX4h9htZaCJN34kfmC6pV5OhQHiraVySsUdaQkAgDPrwQrJmbnX9cwlGfP-HqHZR1";
    json!({"kty": "EC", "crv": "P-521", "x": x, "y": y})
}

/// A key with other members.
fn and(mut key: Value, members: Value) -> Value {
    key.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    key
}

fn jwks(keys: &[Value]) -> String {
    json!({"keys": keys}).to_string()
}

fn tokens(settings: &str) -> String {
    format!("serviceAccountTokens: {{{settings}, accounts: [{{namespace: ci, name: builder}}]}}")
}

/// A method that takes tokens of an issuer whose keys are in a Secret.
fn given(jwks: &str) -> World {
    let settings =
        tokens(&format!("audience: pki, issuer: '{ISSUER}', jwksFrom: {{secretKeyRef: {{name: keys}}}}"));
    with(&settings).with(&secret(jwks))
}

fn secret(jwks: &str) -> String {
    json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "keys", "namespace": "pki"}, "stringData": {"jwks": jwks}})
        .to_string()
}

fn in_cluster(audience: &str, issuer: Result<TokenIssuer, &str>) -> World {
    with(&tokens(&format!("audience: '{audience}'")))
        .in_cluster_of(issuer.map_err(str::to_owned))
        .with("{kind: EnrollmentServer, metadata: {name: server, namespace: pki}, spec: {tls: {authorityRef: {name: issuing}, dnsNames: [localhost]}}}")
}

fn of_cluster(jwks: String) -> TokenIssuer {
    TokenIssuer { issuer: ISSUER.into(), jwks }
}

fn compiled_tokens(world: &World) -> CompiledTokens {
    compiled(world).tokens.unwrap()
}

#[test]
fn settings_are_refused_with_their_reason() {
    let accounts = |accounts: &str| {
        format!(
            "serviceAccountTokens: {{audience: pki, issuer: i, jwksFrom: {{secretKeyRef: {{name: keys}}}}, accounts: [{accounts}]}}"
        )
    };
    let audience = |audience: &str| {
        tokens(&format!("audience: {audience}, issuer: i, jwksFrom: {{secretKeyRef: {{name: keys}}}}"))
    };
    let many: Vec<String> = (0..65).map(|number| format!("{{namespace: ci, name: a{number}}}")).collect();
    let long = format!("'{}'", "a".repeat(257));
    let path = "spec.rest.serviceAccountTokens";
    for (settings, message) in [
        (audience("''"), "audience: must be 1 to 256 printable characters"),
        (audience("'a b'"), "audience: must be 1 to 256 printable characters"),
        (audience(&long), "audience: must be 1 to 256 printable characters"),
        (accounts(""), "accounts: give 1 to 64"),
        (accounts(&many.join(", ")), "accounts: give 1 to 64"),
        (accounts("{namespace: CI, name: a}"), "accounts[0].namespace: \"CI\" is not a name of a namespace"),
        (
            accounts("{namespace: ci, name: '*'}"),
            "accounts[0].name: \"*\" is not a name of a service account",
        ),
        (
            accounts("{namespace: ci, name: a}, {namespace: ci, name: a, actions: [revoke]}"),
            "accounts[1]: ci/a is there twice",
        ),
        (accounts("{namespace: ci, name: a, actions: []}"), "accounts[0].actions: give at least one"),
        (
            tokens("audience: pki, issuer: '', jwksFrom: {secretKeyRef: {name: keys}}"),
            "issuer: must be 1 to 2048 printable characters",
        ),
    ] {
        let world = with(&settings).with(&secret(&jwks(&[ec()])));
        rejects_world(&world, M, "pki/x", Reason::Invalid, &format!("{path}.{message}"));
    }
    for half in ["issuer: i", "jwksFrom: {secretKeyRef: {name: keys}}"] {
        let world = with(&tokens(&format!("audience: pki, {half}"))).with(&secret(&jwks(&[ec()])));
        let message = format!("{path}: give issuer and jwksFrom together");
        rejects_world(&world, M, "pki/x", Reason::Invalid, &message);
    }
}

#[test]
fn without_a_cluster_somebody_must_say_who_makes_tokens() {
    let world = with(&tokens("audience: pki"));
    let message = "spec.rest.serviceAccountTokens.issuer: is needed, with jwksFrom: without a cluster";
    rejects_world(&world, M, "pki/x", Reason::Invalid, message);
}

#[test]
fn what_is_no_set_of_public_keys_is_refused() {
    let path = "spec.rest.serviceAccountTokens.jwksFrom.secretKeyRef: the Secret pki/keys";
    let missing = with(&tokens("audience: pki, issuer: i, jwksFrom: {secretKeyRef: {name: keys}}"));
    rejects_world(&missing, M, "pki/x", Reason::SecretInvalid, &format!("{path} does not exist"));
    let named = with(&tokens("audience: pki, issuer: i, jwksFrom: {secretKeyRef: {name: keys, key: other}}"));
    let named = named.with(&secret(&jwks(&[ec()])));
    rejects_world(&named, M, "pki/x", Reason::SecretInvalid, &format!("{path}: other is missing"));
    let off_curve = json!({"kty": "EC", "crv": "P-256", "x": EC.1, "y": EC.0});
    let short = json!({"kty": "RSA", "n": &RSA[..171], "e": "AQAB"});
    let no_key = "jwks holds no key that can verify a token";
    for (jwks, message) in [
        (String::new(), "jwks is no JWK Set"),
        ("not json".to_owned(), "jwks is no JWK Set"),
        ("[]".to_owned(), "jwks is no JWK Set"),
        (ec().to_string(), "jwks is no JWK Set"),
        (json!({"keys": {"a": ec()}}).to_string(), "jwks is no JWK Set"),
        (json!({"keys": ["a"]}).to_string(), "jwks is no JWK Set"),
        (jwks(&[]), no_key),
        (jwks(&[json!({})]), no_key),
        (jwks(&[off_curve]), no_key),
        (jwks(&[short]), no_key),
        (jwks(&[and(ec(), json!({"crv": "secp256k1"}))]), no_key),
        (jwks(&[and(ec(), json!({"use": "enc"}))]), no_key),
        (jwks(&[and(ec(), json!({"alg": "RS256"}))]), no_key),
        (jwks(&[and(rsa(), json!({"alg": "RS512"})), and(rsa(), json!({"alg": "PS256"}))]), no_key),
        (jwks(&[p521()]), no_key),
        (jwks(&[json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519, "alg": "Ed25519"})]), no_key),
        (jwks(&[and(ec(), json!({"x": format!("{}=", EC.0)}))]), no_key),
        (jwks(&[ec(), and(ec(), json!({"d": "AA"}))]), "jwks holds a private or a shared key"),
        (jwks(&[ec(), json!({"kty": "oct", "k": "AAAA"})]), "jwks holds a private or a shared key"),
        (jwks(&vec![ec(); 65]), "jwks has more than 64 keys"),
        (format!("{}{}", jwks(&[ec()]), " ".repeat(65_536)), "jwks has more than 65536 octets"),
    ] {
        rejects_world(&given(&jwks), M, "pki/x", Reason::SecretInvalid, &format!("{path}: {message}"));
    }
}

#[test]
fn keys_are_compiled_with_what_verifying_needs_and_nothing_else() {
    let set = jwks(&[
        and(
            rsa(),
            json!({"kid": "one", "alg": "RS256", "use": "sig", "x5c": ["AAAA"], "key_ops": ["verify"]}),
        ),
        and(ec(), json!({"use": "enc"})),
        json!({"kty": "future", "v": 1}),
        ec(),
        json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "three"}),
    ]);
    let tokens = compiled_tokens(&given(&set));
    assert_eq!((tokens.issuer.as_str(), tokens.audience.as_str()), (ISSUER, "pki"));
    let expected = json!({"keys": [
        and(rsa(), json!({"kid": "one", "alg": "RS256"})),
        ec(),
        {"kty": "OKP", "crv": "Ed25519", "x": ED25519, "kid": "three"},
    ]});
    assert_eq!(serde_json::from_str::<Value>(&tokens.jwks).unwrap(), expected);
    // A modulus with a zero octet in front is the same number.
    let padded = json!({"kty": "RSA", "n": format!("AAAA{RSA}"), "e": "AAEAAQ"});
    let tokens = compiled_tokens(&given(&jwks(&[padded])));
    assert_eq!(serde_json::from_str::<Value>(&tokens.jwks).unwrap(), json!({"keys": [rsa()]}));
}

/// Otherwise the method fails on the server, with its access keys.
#[test]
fn each_key_that_is_compiled_is_one_that_the_server_verifies_by() {
    // The base point (SEC 2 §2.5.1).
    let p384 = json!({"kty": "EC", "crv": "P-384",
        "x": "qofKIr6LBTeOscce8yCtdG4dO2KLp5uYWfdB4IJUKjhVAvJdv1UpbDpUXjhydgq3",
        "y": "NhfeSpYmLG9dnpi_kpLcKfj0Hb0omhR86doxE7XwuMAKYLHOHX6BnXpDHXyQ6g5f"});
    let ed25519 = json!({"kty": "OKP", "crv": "Ed25519", "x": ED25519});
    for key in [rsa(), ec(), ed25519, p384] {
        for members in [json!({}), json!({"kid": "one", "use": "sig"})] {
            let tokens = compiled_tokens(&given(&jwks(&[and(key.clone(), members)])));
            let method = issuance::identity::ResourceName::new("pki", "x");
            issuance::authn::TokenVerifier::new(method, ISSUER, "pki", &tokens.jwks, []).unwrap();
        }
    }
}

#[test]
fn accounts_compile_sorted_with_their_actions() {
    let settings = "serviceAccountTokens: {audience: pki, issuer: i, jwksFrom: {secretKeyRef: {name: keys}}, accounts: [{namespace: ops, name: desk, actions: [approve, revoke]}, {namespace: ci, name: builder}]}";
    let tokens = compiled_tokens(&with(settings).with(&secret(&jwks(&[ec()]))));
    let account = |namespace: &str, name: &str, actions: &[RestAction]| CompiledAccount {
        namespace: namespace.into(),
        name: name.into(),
        actions: RestActions::from_iter(actions.iter().copied()),
    };
    assert_eq!(
        tokens.accounts,
        [
            account("ci", "builder", &[RestAction::Request, RestAction::Read]),
            account("ops", "desk", &[RestAction::Revoke, RestAction::Approve]),
        ]
    );
}

#[test]
fn in_a_cluster_its_own_issuer_is_meant() {
    let tokens =
        compiled_tokens(&in_cluster("pki", Ok(of_cluster(jwks(&[and(rsa(), json!({"use": "sig"}))])))));
    assert_eq!(tokens.issuer, ISSUER);
    assert_eq!(serde_json::from_str::<Value>(&tokens.jwks).unwrap(), json!({"keys": [rsa()]}));
    // Unless another is named, whatever is known of the cluster's own.
    let other = given(&jwks(&[ec()])).in_cluster_of(Err("it does not answer".into()));
    assert_eq!(compiled_tokens(&other).jwks, jwks_of(&[ec()]));
}

fn jwks_of(keys: &[Value]) -> String {
    compiled_tokens(&given(&jwks(keys))).jwks
}

#[test]
fn a_token_for_the_api_server_is_not_to_be_sent_here() {
    let world = in_cluster(ISSUER, Ok(of_cluster(jwks(&[ec()]))));
    let message = "spec.rest.serviceAccountTokens.audience: https://kubernetes.default.svc.cluster.local is the API server";
    rejects_world(&world, M, "pki/x", Reason::Invalid, message);
}

#[test]
fn while_the_cluster_cannot_be_asked_the_method_says_so_and_nothing_else_goes_down() {
    let unusable = of_cluster(jwks(&[]));
    for (issuer, why) in [
        (Err("the API server answered 403"), "the API server answered 403"),
        (Ok(unusable), "what it answers holds no key that can verify a token"),
    ] {
        let resolution = in_cluster("pki", issuer).settle().resolution;
        for status in &resolution.statuses {
            let is_method = status.kind == M && status.name == name("pki/x");
            assert_eq!(status.is_accepted(), !is_method, "{status:?}");
        }
        let status = resolution.status(M, &name("pki/x")).unwrap();
        let accepted = status.condition(ConditionType::Accepted).unwrap();
        assert_eq!((accepted.status, accepted.reason), (ConditionStatus::Unknown, Reason::Unknown));
        assert!(accepted.message.starts_with("spec.rest.serviceAccountTokens: the issuer of the cluster"));
        assert!(accepted.message.contains(&format!("API server: {why}")), "{}", accepted.message);
        let ready = status.condition(ConditionType::Ready).unwrap();
        assert_eq!((ready.status, ready.reason), (ConditionStatus::False, Reason::NotAccepted));
        let methods = resolution.compiled.unwrap().methods;
        assert_eq!(methods.iter().map(|method| method.name.to_string()).collect::<Vec<_>>(), ["pki/method"]);
    }
}

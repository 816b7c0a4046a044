//! Each check alone says no, and what passes them all says who it is.

mod composing;
mod key_sets;

use serde_json::json;

use self::composing::{AUDIENCE, ISSUER, Issuer, claims};
use super::*;
use crate::{rest::RestAction, testing::NOW};

const HOUR: i64 = 3600;

fn deployer() -> ServiceAccount {
    let actions = [RestAction::Request, RestAction::Read].into_iter().collect();
    ServiceAccount { namespace: "shop".into(), name: "deployer".into(), actions }
}

fn verifier(jwks: &str) -> TokenVerifier {
    let method = ResourceName::new("acme", "api");
    TokenVerifier::new(method, ISSUER, AUDIENCE, jwks, [deployer()]).unwrap()
}

/// Refused for this reason, now and asked again.
fn refuses(verifier: &TokenVerifier, token: &str, fault: TokenFault) {
    for _ in 0..2 {
        assert_eq!(verifier.check(token, NOW).unwrap_err(), fault, "{token}");
    }
    match verifier.verify(token, NOW) {
        Err(Error::Unauthenticated(failure)) => assert_eq!(failure, fault.failure()),
        other => panic!("{other:?}"),
    }
    assert!(verifier.verified.lock().unwrap().is_empty());
}

/// Refused for this reason once a member of the claims is another; removed where it is null.
fn refuses_claim(pointer: &str, value: serde_json::Value, fault: TokenFault) {
    let issuer = Issuer::es256();
    let mut claims = claims();
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    let parent = claims.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(member).unwrap();
    } else {
        parent.insert(member.into(), value);
    }
    refuses(&verifier(&issuer.jwks()), &issuer.token(&claims), fault);
}

#[test]
fn what_is_too_long_is_not_looked_at() {
    let issuer = Issuer::es256();
    let verifier = verifier(&issuer.jwks());
    let mut claims = claims();
    claims["filler"] = json!("f".repeat(claims::MAX_TOKEN));
    refuses(&verifier, &issuer.token(&claims), TokenFault::TooLong);
    refuses(&verifier, &".".repeat(claims::MAX_TOKEN + 1), TokenFault::TooLong);
}

#[test]
fn what_is_no_compact_jws_is_refused() {
    let issuer = Issuer::es256();
    let verifier = verifier(&issuer.jwks());
    let good = issuer.token(&claims());
    for bad in ["", "a", "a.b", "chancery_0123456789abcdef_abcdefghijklmnopqrstuvwx-_0"] {
        refuses(&verifier, bad, TokenFault::Form);
    }
    for bad in ["..", "a.b.c", "!.b.AA", "bnVsbA.e30.AA", "W10.e30.AA", "e30.e30.AA"] {
        refuses(&verifier, bad, TokenFault::Header);
    }
    refuses(&verifier, &format!("{good}="), TokenFault::Form);
    refuses(&verifier, &format!("{good} "), TokenFault::Form);
    // A fourth part belongs to what was signed, which it was not.
    refuses(&verifier, &format!("{good}.AA"), TokenFault::Signature);
    refuses(&verifier, &good[..good.rfind('.').unwrap() + 1], TokenFault::Signature);
    assert!(verifier.verify(&good, NOW).is_ok());
}

#[test]
fn an_algorithm_that_anybody_could_sign_with_is_refused() {
    let issuer = Issuer::rs256();
    let verifier = verifier(&issuer.jwks());
    for name in ["none", "None", "", "HS256", "HS512", "RS384", "PS256", "ES512", "rs256"] {
        let header = json!({"alg": name, "kid": issuer.kid});
        refuses(&verifier, &issuer.with_header(&header, &claims()), TokenFault::Algorithm);
    }
    // RFC 8725 §2.1: the public key as the key of a MAC.
    let header = json!({"alg": "HS256", "kid": issuer.kid});
    refuses(&verifier, &composing::mac(issuer.jwks().as_bytes(), &header, &claims()), TokenFault::Algorithm);
}

#[test]
fn an_algorithm_that_the_key_is_not_for_is_refused() {
    let (rsa, ec) = (Issuer::rs256(), Issuer::es256());
    for (named, signs) in [(&rsa, &ec), (&ec, &rsa), (&Issuer::es384(), &ec), (&Issuer::ed25519(), &ec)] {
        let header = json!({"alg": signs.alg(), "kid": named.kid});
        let token = signs.with_header(&header, &claims());
        refuses(&verifier(&named.jwks()), &token, TokenFault::AlgorithmOfKey);
    }
}

#[test]
fn a_header_that_asks_for_more_or_says_something_twice_is_refused() {
    let issuer = Issuer::es256();
    let verifier = verifier(&issuer.jwks());
    for crit in [json!(["b64"]), json!([]), json!("exp")] {
        let header = json!({"alg": "ES256", "kid": issuer.kid, "crit": crit});
        refuses(&verifier, &issuer.with_header(&header, &claims()), TokenFault::Extension);
    }
    for header in [r#"{"alg":"ES256","alg":"ES256"}"#, r#"{"alg":7}"#, r#"{"alg":"ES256","kid":7}"#] {
        refuses(&verifier, &issuer.signed(header, &claims().to_string()), TokenFault::Header);
    }
}

#[test]
fn the_key_is_the_one_that_is_named_or_the_only_one() {
    let (one, other) = (Issuer::es256(), Issuer::es256().named("other"));
    let alone = verifier(&one.jwks());
    let nameless = one.with_header(&json!({"alg": "ES256"}), &claims());
    assert!(alone.verify(&nameless, NOW).is_ok());
    let both = verifier(&composing::set(&[&one, &other]));
    refuses(&both, &nameless, TokenFault::UnknownKey);
    refuses(
        &both,
        &one.with_header(&json!({"alg": "ES256", "kid": "third"}), &claims()),
        TokenFault::UnknownKey,
    );
    refuses(
        &both,
        &one.with_header(&json!({"alg": "ES256", "kid": other.kid}), &claims()),
        TokenFault::Signature,
    );
    for issuer in [&one, &other] {
        assert!(both.verify(&issuer.token(&claims()), NOW).is_ok());
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_believed() {
    let (own, stranger) = (Issuer::es256(), Issuer::es256());
    let jwk: serde_json::Value = serde_json::from_str(&stranger.jwk()).unwrap();
    let header = json!({"alg": "ES256", "kid": own.kid, "jwk": jwk, "jku": "https://stranger.example/keys"});
    refuses(&verifier(&own.jwks()), &stranger.with_header(&header, &claims()), TokenFault::Signature);
}

#[test]
fn a_signature_is_of_these_octets_and_of_this_key() {
    for (issuer, stranger) in [
        (Issuer::rs256(), Issuer::another_rs256()),
        (Issuer::es256(), Issuer::es256()),
        (Issuer::es384(), Issuer::es384()),
        (Issuer::ed25519(), Issuer::ed25519()),
    ] {
        let verifier = verifier(&issuer.jwks());
        let good = issuer.token(&claims());
        refuses(&verifier, &stranger.token(&claims()), TokenFault::Signature);
        let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        let mut others = claims();
        others["sub"] = json!("system:serviceaccount:shop:admin");
        let other_payload = composing::encode(others.to_string());
        refuses(&verifier, &format!("{header}.{other_payload}.{signature}"), TokenFault::Signature);
        refuses(&verifier, &format!("{header}.{payload}."), TokenFault::Signature);
        let mut short = composing::decode(signature);
        short.pop().unwrap();
        let short = composing::encode(short);
        refuses(&verifier, &format!("{header}.{payload}.{short}"), TokenFault::Signature);
        assert!(verifier.verify(&good, NOW).is_ok(), "{}", issuer.alg());
    }
}

#[test]
fn an_ecdsa_signature_in_der_is_no_signature_of_a_token() {
    let issuer = Issuer::es256();
    let token = issuer.signed_in_der(&claims());
    refuses(&verifier(&issuer.jwks()), &token, TokenFault::Signature);
}

#[test]
fn claims_of_another_shape_are_refused() {
    for missing in [
        "/iss",
        "/sub",
        "/aud",
        "/exp",
        "/iat",
        "/kubernetes.io",
        "/kubernetes.io/namespace",
        "/kubernetes.io/serviceaccount",
        "/kubernetes.io/serviceaccount/name",
    ] {
        refuses_claim(missing, json!(null), TokenFault::Claims);
    }
    for (pointer, value) in [
        ("/exp", json!("1800003600")),
        ("/exp", json!(1_800_003_600.5)),
        ("/exp", json!(1e30)),
        ("/iat", json!(true)),
        ("/nbf", json!([])),
        ("/iss", json!([ISSUER])),
        ("/aud", json!({"chancery": true})),
        ("/aud", json!([["chancery"]])),
        ("/sub", json!(["system:serviceaccount:shop:deployer"])),
        ("/kubernetes.io", json!("shop")),
        ("/kubernetes.io/serviceaccount", json!("deployer")),
    ] {
        refuses_claim(pointer, value, TokenFault::Claims);
    }
    let issuer = Issuer::es256();
    let header = json!({"alg": "ES256", "kid": issuer.kid}).to_string();
    for payload in ["", "[]", "null", "\"x\"", "{", "{}"] {
        refuses(&verifier(&issuer.jwks()), &issuer.signed(&header, payload), TokenFault::Claims);
    }
}

#[test]
fn a_claim_that_is_there_twice_is_refused_at_any_depth() {
    let issuer = Issuer::es256();
    let header = json!({"alg": "ES256", "kid": issuer.kid}).to_string();
    let good = claims().to_string();
    for (once, twice) in [
        (r#""iss":"#, r#""iss":"https://elsewhere.example","iss":"#),
        (r#""sub":"#, r#""sub":"system:serviceaccount:shop:admin","s\u0075b":"#),
        (r#""namespace":"#, r#""namespace":"other","namespace":"#),
        (r#""jti":"#, r#""jti":"1","jti":"#),
    ] {
        let payload = good.replacen(once, twice, 1);
        assert_ne!(payload, good);
        refuses(&verifier(&issuer.jwks()), &issuer.signed(&header, &payload), TokenFault::Claims);
    }
}

#[test]
fn another_issuer_is_refused_to_the_letter() {
    for other in ["", "https://other.example", &format!("{ISSUER}/"), &ISSUER.to_uppercase()] {
        refuses_claim("/iss", json!(other), TokenFault::Issuer);
    }
}

#[test]
fn another_audience_is_refused_to_the_letter() {
    for other in [
        json!([]),
        json!(""),
        json!("chancer"),
        json!("chancery/"),
        json!("Chancery"),
        json!(["https://kubernetes.default.svc.cluster.local", "chanceryx"]),
    ] {
        refuses_claim("/aud", other, TokenFault::Audience);
    }
    let issuer = Issuer::es256();
    for aud in [json!("chancery"), json!(["other", "chancery"])] {
        let mut claims = claims();
        claims["aud"] = aud;
        assert!(verifier(&issuer.jwks()).verify(&issuer.token(&claims), NOW).is_ok());
    }
}

#[test]
fn a_token_is_good_for_its_time_and_a_minute_either_side() {
    let now = NOW.unix();
    refuses_claim("/exp", json!(now - LEEWAY_SECONDS), TokenFault::Expired);
    refuses_claim("/nbf", json!(now + LEEWAY_SECONDS + 1), TokenFault::NotYetValid);
    // Issued in the future, whatever it says of when it begins.
    refuses_claim("/iat", json!(now + LEEWAY_SECONDS + 1), TokenFault::NotYetValid);
    for (pointer, value) in [("/exp", now - 100), ("/iat", -1), ("/nbf", now + HOUR), ("/iat", now + HOUR)] {
        let fault = if pointer == "/exp" { TokenFault::Expired } else { TokenFault::Times };
        refuses_claim(pointer, json!(value), fault);
    }
    refuses_claim("/exp", json!(i64::MIN), TokenFault::Times);
    let issuer = Issuer::es256();
    for (pointer, value) in [
        ("/exp", now - LEEWAY_SECONDS + 1),
        ("/nbf", now + LEEWAY_SECONDS),
        ("/iat", now + LEEWAY_SECONDS),
        ("/exp", i64::MAX),
    ] {
        let mut claims = claims();
        *claims.pointer_mut(pointer).unwrap() = json!(value);
        assert!(verifier(&issuer.jwks()).verify(&issuer.token(&claims), NOW).is_ok(), "{pointer} {value}");
    }
    let mut endless = claims();
    endless.as_object_mut().unwrap().remove("nbf");
    assert!(verifier(&issuer.jwks()).verify(&issuer.token(&endless), NOW).is_ok());
}

#[test]
fn the_subject_is_the_account_that_the_cluster_bound_the_token_to() {
    for sub in [
        "",
        "deployer",
        "system:serviceaccount:shop:admin",
        "system:serviceaccount:other:deployer",
        "system:serviceaccount:shop:deployer:",
        "system:serviceaccount:shop",
        "system:node:node-1",
    ] {
        refuses_claim("/sub", json!(sub), TokenFault::Subject);
    }
    refuses_claim("/kubernetes.io/namespace", json!("other"), TokenFault::Subject);
    refuses_claim("/kubernetes.io/serviceaccount/name", json!("admin"), TokenFault::Subject);
}

#[test]
fn an_account_that_is_not_listed_is_refused() {
    let issuer = Issuer::es256();
    for (namespace, name) in [("shop", "admin"), ("other", "deployer"), ("shop:deployer", ""), ("", "")] {
        let mut claims = claims();
        claims["sub"] = json!(subject(namespace, name));
        claims["kubernetes.io"]["namespace"] = json!(namespace);
        claims["kubernetes.io"]["serviceaccount"]["name"] = json!(name);
        refuses(&verifier(&issuer.jwks()), &issuer.token(&claims), TokenFault::Account);
    }
}

#[test]
fn a_remembered_token_still_ends_and_still_begins() {
    let issuer = Issuer::es256();
    let verifier = verifier(&issuer.jwks());
    let token = issuer.token(&claims());
    verifier.verify(&token, NOW).unwrap();
    assert_eq!(verifier.verified.lock().unwrap().len(), 1);
    let at = |seconds| verifier.check(&token, NOW.plus_seconds(seconds)).map(|_| ());
    assert_eq!(at(HOUR + LEEWAY_SECONDS - 1), Ok(()));
    assert_eq!(at(HOUR + LEEWAY_SECONDS), Err(TokenFault::Expired));
    assert_eq!(at(-HOUR), Err(TokenFault::NotYetValid));
    // One octet more or less is another token.
    refuses_other(&verifier, &token[..token.len() - 1]);
    refuses_other(&verifier, &format!("{token}A"));
}

fn refuses_other(verifier: &TokenVerifier, token: &str) {
    assert!(matches!(verifier.verify(token, NOW), Err(Error::Unauthenticated(_))), "{token}");
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_good_stays_while_there_is_room() {
    let verifier = verifier(&Issuer::es256().jwks());
    let token = |not_after| Verified { subject: String::new(), not_before: NOW, not_after };
    let hash = |number: usize| {
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&number.to_be_bytes());
        hash
    };
    for number in 0..MAX_REMEMBERED {
        let ends = if number % 2 == 0 { NOW } else { NOW.plus_seconds(HOUR) };
        verifier.remember(hash(number), token(ends), NOW);
    }
    verifier.remember(hash(MAX_REMEMBERED), token(NOW.plus_seconds(HOUR)), NOW);
    assert_eq!(verifier.verified.lock().unwrap().len(), MAX_REMEMBERED / 2 + 1);
    for number in 0..=MAX_REMEMBERED {
        verifier.remember(hash(MAX_REMEMBERED + 1 + number), token(NOW.plus_seconds(HOUR)), NOW);
    }
    assert!(verifier.verified.lock().unwrap().len() <= MAX_REMEMBERED);
}

#[test]
fn a_token_says_which_account_it_is_and_what_it_may_do() {
    let issuer = Issuer::rs256();
    let TokenHolder { evidence, actions } =
        verifier(&issuer.jwks()).verify(&issuer.token(&claims()), NOW).unwrap();
    let name = "system:serviceaccount:shop:deployer";
    assert_eq!((evidence.name(), evidence.strength), (name, Strength::PersonalSecret));
    assert_eq!(evidence.method(), &ResourceName::new("acme", "api"));
    assert_eq!((evidence.credential(), &evidence.owner), (None, &Some(Owner::User(name.into()))));
    assert!(evidence.expect.is_empty());
    assert_eq!(actions, deployer().actions);
}

#[test]
fn tokens_that_openssl_signed_are_taken_while_they_last() {
    let jwks = include_str!("../../../fixtures/composed/tokens/jwks.json");
    let verifier = verifier(jwks);
    for token in [
        include_str!("../../../fixtures/composed/tokens/rs256.jwt"),
        include_str!("../../../fixtures/composed/tokens/es256.jwt"),
    ] {
        let token = token.trim_end();
        let now = Time::from_unix(1_800_000_000);
        let holder = verifier.verify(token, now).unwrap();
        assert_eq!(holder.evidence.name(), "system:serviceaccount:shop:deployer");
        assert_eq!(verifier.check(token, now.plus_seconds(2 * HOUR)).unwrap_err(), TokenFault::Expired);
    }
}

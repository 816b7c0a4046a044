//! Resources as RFC 8555 §7.1 and RFC 9773 §4.2 print them: member for member, and none besides.

use issuance::acme::{
    AccountStatus, AuthorizationStatus, ChallengeStatus, ChallengeType, Identifier, OrderStatus,
    StoredProblem,
};
use pki::time::Time;
use serde::Serialize;
use serde_json::{Value, json};

use super::super::{
    identifier::IdentifierObject,
    objects::{
        AccountObject, AuthorizationObject, ChallengeObject, OrderObject, OrdersList, RenewalInfo,
        SuggestedWindow,
    },
    problem::{Problem, ProblemType},
};

/// 2027-01-15T08:00:00Z.
const TIME: Time = Time::from_unix(1_800_000_000);
const TEXT: &str = "2027-01-15T08:00:00Z";

fn written(resource: &impl Serialize) -> Value {
    serde_json::to_value(resource).unwrap()
}

fn bare_order() -> OrderObject<'static> {
    OrderObject {
        status: OrderStatus::Pending,
        expires: Some(TIME),
        identifiers: vec![IdentifierObject::of(&Identifier::Dns("example.org".into()), true)],
        profile: None,
        not_before: None,
        not_after: None,
        replaces: None,
        error: None,
        authorizations: vec!["https://ca.example/authz/1".into()],
        finalize: "https://ca.example/order/1/finalize".into(),
        certificate: None,
    }
}

#[test]
fn an_account_is_shown_with_what_it_has() {
    let contact = ["mailto:a@example.org".to_owned()];
    let account = AccountObject {
        status: AccountStatus::Valid,
        contact: &contact,
        terms_of_service_agreed: true,
        external_account_binding: Some(r#"{"protected":"e30","payload":"","signature":"AA"}"#),
        orders: "https://ca.example/acct/1/orders".into(),
    };
    let expected = json!({
        "status": "valid",
        "contact": ["mailto:a@example.org"],
        "termsOfServiceAgreed": true,
        "externalAccountBinding": { "protected": "e30", "payload": "", "signature": "AA" },
        "orders": "https://ca.example/acct/1/orders",
    });
    assert_eq!(written(&account), expected);
    let bare = AccountObject {
        status: AccountStatus::Deactivated,
        contact: &[],
        terms_of_service_agreed: false,
        external_account_binding: None,
        orders: "o".into(),
    };
    assert_eq!(written(&bare), json!({ "status": "deactivated", "orders": "o" }));
    let broken = AccountObject { external_account_binding: Some("{"), ..bare };
    assert!(serde_json::to_value(&broken).is_err());
}

#[test]
fn an_order_is_shown_with_what_it_has() {
    let bare = json!({
        "status": "pending",
        "expires": TEXT,
        "identifiers": [{ "type": "dns", "value": "*.example.org" }],
        "authorizations": ["https://ca.example/authz/1"],
        "finalize": "https://ca.example/order/1/finalize",
    });
    assert_eq!(written(&bare_order()), bare);
    let whole = OrderObject {
        status: OrderStatus::Valid,
        identifiers: vec![IdentifierObject::of(&Identifier::Ip("2001:db8::1".parse().unwrap()), false)],
        profile: Some("short"),
        not_before: Some(TIME),
        not_after: Some(TIME.plus_seconds(60)),
        replaces: Some("AQ.Ag".into()),
        certificate: Some("https://ca.example/cert/1".into()),
        ..bare_order()
    };
    let expected = json!({
        "status": "valid",
        "expires": TEXT,
        "identifiers": [{ "type": "ip", "value": "2001:db8::1" }],
        "profile": "short",
        "notBefore": TEXT,
        "notAfter": "2027-01-15T08:01:00Z",
        "replaces": "AQ.Ag",
        "authorizations": ["https://ca.example/authz/1"],
        "finalize": "https://ca.example/order/1/finalize",
        "certificate": "https://ca.example/cert/1",
    });
    assert_eq!(written(&whole), expected);
}

#[test]
fn what_failed_is_shown_as_a_problem() {
    let stored = StoredProblem::new("rejectedIdentifier", "not for you");
    let order = OrderObject { status: OrderStatus::Invalid, error: Some((&stored).into()), ..bare_order() };
    let expected = json!({
        "type": "urn:ietf:params:acme:error:rejectedIdentifier", "detail": "not for you", "status": 400
    });
    assert_eq!(written(&order)["error"], expected);
    let of_another_version = Problem::from(&StoredProblem::new("somethingNew", "what it says"));
    assert_eq!(of_another_version.kind, ProblemType::ServerInternal);
}

#[test]
fn an_authorization_is_shown_with_its_challenges() {
    let identifier = Identifier::Dns("example.org".into());
    let problem = Problem::new(ProblemType::Connection, "refused");
    let challenge = ChallengeObject {
        kind: ChallengeType::Http01,
        url: "https://ca.example/chall/1".into(),
        status: ChallengeStatus::Pending,
        validated: None,
        error: None,
        token: "DGyRejmCefe7v4NfDGDKfA",
    };
    let tried = ChallengeObject {
        kind: ChallengeType::TlsAlpn01,
        status: ChallengeStatus::Valid,
        validated: Some(TIME),
        error: Some(problem),
        ..challenge.clone()
    };
    let authorization = AuthorizationObject {
        identifier: &identifier,
        status: AuthorizationStatus::Pending,
        expires: Some(TIME),
        challenges: vec![challenge, tried],
        wildcard: false,
    };
    let expected = json!({
        "identifier": { "type": "dns", "value": "example.org" },
        "status": "pending",
        "expires": TEXT,
        "challenges": [
            {
                "type": "http-01",
                "url": "https://ca.example/chall/1",
                "status": "pending",
                "token": "DGyRejmCefe7v4NfDGDKfA",
            },
            {
                "type": "tls-alpn-01",
                "url": "https://ca.example/chall/1",
                "status": "valid",
                "validated": TEXT,
                "error": { "type": "urn:ietf:params:acme:error:connection", "detail": "refused", "status": 400 },
                "token": "DGyRejmCefe7v4NfDGDKfA",
            },
        ],
    });
    assert_eq!(written(&authorization), expected);
    let wildcard = AuthorizationObject { wildcard: true, expires: None, challenges: vec![], ..authorization };
    let expected = json!({
        "identifier": { "type": "dns", "value": "example.org" }, "status": "pending", "challenges": [], "wildcard": true
    });
    assert_eq!(written(&wildcard), expected);
}

#[test]
fn lists_and_windows_are_shown_as_printed() {
    let orders = OrdersList { orders: vec!["https://ca.example/order/1".into()] };
    assert_eq!(written(&orders), json!({ "orders": ["https://ca.example/order/1"] }));
    let suggested_window = SuggestedWindow { start: TIME, end: TIME.plus_seconds(60) };
    let expected = json!({ "suggestedWindow": { "start": TEXT, "end": "2027-01-15T08:01:00Z" } });
    assert_eq!(written(&RenewalInfo { suggested_window, explanation_url: None }), expected);
    let explained = RenewalInfo { suggested_window, explanation_url: Some("https://ca.example/why") };
    assert_eq!(written(&explained)["explanationURL"], "https://ca.example/why");
}

//! What clients ask for (RFC 8555 §7.3 to §7.6).

use std::net::IpAddr;

use issuance::acme::Identifier;
use pki::time::Time;
use serde_json::{Value, json};

use super::super::{
    algorithm::MacAlgorithm,
    base64url,
    json::JsonError,
    jws::MAX_BODY,
    objects::{
        AccountUpdate, AskedIdentifier, AuthorizationUpdate, Finalize, NewAccount, NewOrder, PayloadError,
        RevokeCert,
    },
    problem::ProblemType,
    testing::{ClientKey, object},
};

fn order(json: &Value) -> Result<NewOrder, PayloadError> {
    NewOrder::parse(&object(json))
}

fn dns(name: &str) -> Value {
    json!({ "type": "dns", "value": name })
}

fn wrong_type(error: PayloadError) -> bool {
    matches!(error, PayloadError::Json(JsonError::Type { .. }))
}

#[test]
fn a_known_member_of_the_wrong_type_is_refused() {
    for payload in [
        json!({ "contact": "mailto:a@example.org" }),
        json!({ "contact": [1] }),
        json!({ "contact": null }),
        json!({ "termsOfServiceAgreed": "true" }),
        json!({ "termsOfServiceAgreed": 1 }),
        json!({ "onlyReturnExisting": "yes" }),
        json!({ "externalAccountBinding": "jws" }),
        json!({ "externalAccountBinding": [] }),
    ] {
        assert!(wrong_type(NewAccount::parse(&object(&payload)).unwrap_err()), "{payload}");
    }
    for payload in
        [json!({ "status": true }), json!({ "contact": {} }), json!({ "termsOfServiceAgreed": [] })]
    {
        assert!(wrong_type(AccountUpdate::parse(&object(&payload)).unwrap_err()), "{payload}");
    }
    for payload in [
        json!({ "identifiers": {} }),
        json!({ "identifiers": ["example.org"] }),
        json!({ "identifiers": [["dns", "example.org"]] }),
        json!({ "identifiers": [{ "type": 1, "value": "example.org" }] }),
        json!({ "identifiers": [{ "type": "dns", "value": ["example.org"] }] }),
        json!({ "identifiers": [dns("example.org")], "notBefore": 1_800_000_000 }),
        json!({ "identifiers": [dns("example.org")], "profile": null }),
        json!({ "identifiers": [dns("example.org")], "replaces": {} }),
    ] {
        assert!(wrong_type(order(&payload).unwrap_err()), "{payload}");
    }
    assert!(wrong_type(Finalize::parse(&object(&json!({ "csr": {} }))).unwrap_err()));
    assert!(wrong_type(AuthorizationUpdate::parse(&object(&json!({ "status": 1 }))).unwrap_err()));
    for reason in [json!("1"), json!(-1), json!(1.5), json!(1e30), json!(null)] {
        let payload = json!({ "certificate": "AA", "reason": reason });
        assert!(wrong_type(RevokeCert::parse(&object(&payload)).unwrap_err()), "{payload}");
    }
}

#[test]
fn a_member_that_is_necessary_is_missed() {
    let missing = |member| PayloadError::Json(JsonError::Missing(member));
    let empty = object(&json!({}));
    assert_eq!(NewOrder::parse(&empty), Err(missing("identifiers")));
    assert_eq!(order(&json!({ "identifiers": [{ "value": "example.org" }] })), Err(missing("type")));
    assert_eq!(order(&json!({ "identifiers": [{ "type": "dns" }] })), Err(missing("value")));
    assert_eq!(order(&json!({ "identifiers": [] })), Err(PayloadError::NoIdentifiers));
    assert_eq!(Finalize::parse(&empty), Err(missing("csr")));
    assert_eq!(AuthorizationUpdate::parse(&empty), Err(missing("status")));
    assert_eq!(RevokeCert::parse(&empty), Err(missing("certificate")));
}

#[test]
fn every_identifier_that_is_refused_is_named() {
    let identifiers = [
        dns("www.example.org"),
        dns("a_b.example.org"),
        json!({ "type": "email", "value": "a@example.org" }),
        json!({ "type": "ip", "value": "2001:DB8::1" }),
        json!({ "type": "DNS", "value": "example.org" }),
    ];
    let refused = order(&json!({ "identifiers": identifiers })).unwrap_err();
    let problem = refused.problem();
    assert_eq!((problem.kind, refused.problem_type()), (ProblemType::Compound, ProblemType::Compound));
    let named: Vec<_> = problem
        .subproblems
        .iter()
        .map(|problem| (problem.kind.as_str(), problem.identifier.clone().unwrap().value))
        .collect();
    let expected = [
        ("malformed", "a_b.example.org"),
        ("unsupportedIdentifier", "a@example.org"),
        ("malformed", "2001:DB8::1"),
        ("unsupportedIdentifier", "example.org"),
    ];
    assert_eq!(named, expected.map(|(kind, value)| (kind, value.to_owned())));
    let one = order(&json!({ "identifiers": [dns("-")] })).unwrap_err().problem();
    assert_eq!((one.kind, one.subproblems.len()), (ProblemType::Malformed, 1));
    let long = order(&json!({ "identifiers": [dns(&"a".repeat(100_000))] })).unwrap_err();
    assert!(long.problem().to_json().len() < 1000);
}

#[test]
fn names_come_out_once_each_and_in_order() {
    let asked = order(&json!({
        "identifiers": [
            dns("b.example.org"), dns("*.a.example.org"), dns("A.example.org"), dns("B.Example.Org"),
            { "type": "ip", "value": "192.0.2.7" }, { "type": "ip", "value": "2001:db8::7" }, dns("*.A.example.org"),
        ],
        "replaces": "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE", "profile": "short", "unknown": [{}],
    }))
    .unwrap();
    let name = |name: &str, wildcard| AskedIdentifier { identifier: Identifier::Dns(name.into()), wildcard };
    let address = |text: &str| AskedIdentifier {
        identifier: Identifier::Ip(text.parse::<IpAddr>().unwrap()),
        wildcard: false,
    };
    let expected = vec![
        name("b.example.org", false),
        name("a.example.org", true),
        name("a.example.org", false),
        address("192.0.2.7"),
        address("2001:db8::7"),
    ];
    assert_eq!(asked.identifiers, expected);
    assert_eq!(asked.profile.as_deref(), Some("short"));
    assert_eq!(asked.replaces.unwrap().serial().to_string(), "87654321");
    assert_eq!((asked.not_before, asked.not_after), (None, None));
}

#[test]
fn the_new_order_of_rfc_8555_section_7_4_comes_in() {
    let asked = order(&json!({
        "identifiers": [dns("www.example.org"), dns("example.org")],
        "notBefore": "2016-01-01T00:04:00+04:00",
        "notAfter": "2016-01-08T00:04:00+04:00",
    }))
    .unwrap();
    assert_eq!(asked.identifiers.len(), 2);
    assert_eq!(asked.not_before.unwrap().to_string(), "2015-12-31T20:04:00Z");
    assert_eq!(asked.not_after, asked.not_before.map(|time| time.plus_seconds(7 * 86_400)));
}

#[test]
fn a_time_in_another_form_is_refused() {
    let at = |text: &str| order(&json!({ "identifiers": [dns("example.org")], "notAfter": text }));
    for text in ["", "2026-11-21", "2026-11-21T12:00:00", "21 Nov 2026", "2026-02-30T00:00:00Z", "1800000000"]
    {
        assert_eq!(at(text), Err(PayloadError::Time("notAfter")), "{text}");
    }
    let fraction = at("2027-01-15T08:00:00.999Z").unwrap().not_after;
    assert_eq!(fraction, Some(Time::from_unix(1_800_000_000)));
}

#[test]
fn a_certificate_identifier_that_is_none_is_refused() {
    let refused =
        order(&json!({ "identifiers": [dns("example.org")], "replaces": "0087654321" })).unwrap_err();
    assert!(matches!(refused, PayloadError::Replaces(_)));
    assert_eq!(refused.problem_type(), ProblemType::Malformed);
}

#[test]
fn what_should_be_der_in_base64url_and_is_not_is_refused() {
    for text in ["AA==", "-----BEGIN CERTIFICATE REQUEST-----", "A A", "AB+"] {
        assert_eq!(Finalize::parse(&object(&json!({ "csr": text }))), Err(PayloadError::Encoding("csr")));
        let refused = RevokeCert::parse(&object(&json!({ "certificate": text })));
        assert_eq!(refused, Err(PayloadError::Encoding("certificate")));
    }
    let long = json!({ "csr": "A".repeat(MAX_BODY + 1) });
    assert_eq!(Finalize::parse(&object(&long)), Err(PayloadError::Encoding("csr")));
    let csr = json!({ "csr": base64url::encode([0x30, 0]) });
    assert_eq!(Finalize::parse(&object(&csr)).unwrap().csr, [0x30, 0]);
}

#[test]
fn the_new_account_of_rfc_8555_section_7_3_comes_in() {
    let (key, mac_key, url) = (ClientKey::new(), [7; 32], "https://example.com/acme/new-account");
    let asked = NewAccount::parse(&object(&json!({
        "termsOfServiceAgreed": true,
        "contact": ["mailto:cert-admin@example.org", "mailto:admin@example.org"],
        "externalAccountBinding": key.binding(MacAlgorithm::Hs256, &mac_key, "kid-1", url),
        "status": "revoked", "orders": 7,
    })))
    .unwrap();
    assert_eq!(asked.contact, ["mailto:cert-admin@example.org", "mailto:admin@example.org"]);
    assert!(asked.terms_agreed && !asked.only_return_existing);
    assert_eq!(asked.binding.unwrap().verify(&mac_key, url, key.account_key()), Ok(()));
    let bare = NewAccount::parse(&object(&json!({ "onlyReturnExisting": true }))).unwrap();
    assert!(
        bare.only_return_existing && !bare.terms_agreed && bare.contact.is_empty() && bare.binding.is_none()
    );
}

#[test]
fn an_update_changes_contacts_terms_and_status_and_nothing_else() {
    let update = |json: Value| AccountUpdate::parse(&object(&json)).unwrap();
    let nothing = AccountUpdate { contact: None, terms_agreed: false, deactivate: false };
    assert_eq!(update(json!({})), nothing);
    // RFC 8555 §7.3.2: what else there is in an account is ignored.
    let ignored = json!({ "status": "valid", "orders": "x", "externalAccountBinding": 1, "createdAt": 2 });
    assert_eq!(update(ignored), nothing);
    assert_eq!(update(json!({ "contact": [] })), AccountUpdate { contact: Some(vec![]), ..nothing.clone() });
    let all =
        json!({ "contact": ["mailto:a@example.org"], "termsOfServiceAgreed": true, "status": "deactivated" });
    let expected = AccountUpdate {
        contact: Some(vec!["mailto:a@example.org".into()]),
        terms_agreed: true,
        deactivate: true,
    };
    assert_eq!(update(all), expected);
}

#[test]
fn an_authorization_can_be_deactivated_and_nothing_else() {
    for status in ["valid", "Deactivated", "revoked", ""] {
        let refused = AuthorizationUpdate::parse(&object(&json!({ "status": status })));
        assert_eq!(refused, Err(PayloadError::Status), "{status}");
    }
    assert!(AuthorizationUpdate::parse(&object(&json!({ "status": "deactivated" }))).is_ok());
}

#[test]
fn contacts_are_refused_in_their_own_words() {
    let refused = |contact: &str| NewAccount::parse(&object(&json!({ "contact": [contact] }))).unwrap_err();
    assert_eq!(refused("mailto:a").problem_type(), ProblemType::InvalidContact);
    assert_eq!(refused("tel:+12025550100").problem_type(), ProblemType::UnsupportedContact);
}

//! One by one.

use pki::time::Time;

use super::{order, problem, ready};
use crate::{
    acme::{
        AccountNotValid, AccountRow, AccountStatus, Authorization, AuthorizationStatus, ChallengeStatus,
        ChallengeType, Identifier, OrderRow, OrderState, OrderStatus, TransitionError, ValidatedOrder,
        jwk_thumbprint, validation_job, validation_of,
    },
    store::suite::samples::{
        EARLIER, LATER, NOW, account, issuer, order_id, request_id, rest_order_id, serial,
    },
};

const HTTP: ChallengeType = ChallengeType::Http01;
const TLS: ChallengeType = ChallengeType::TlsAlpn01;

type Transition = fn(&mut OrderRow, Time) -> Result<(), TransitionError>;

/// Of the first authorization's first challenge.
const TRANSITIONS: [(&str, Transition); 9] = [
    ("start", |row, now| row.start_challenge(0, HTTP, now)),
    ("again", |row, now| row.attempt_failed(0, HTTP, now, problem())),
    ("succeed", |row, now| row.challenge_succeeded(0, HTTP, now, LATER)),
    ("fail", |row, now| row.challenge_failed(0, HTTP, now, problem())),
    ("deactivate", |row, now| row.deactivate_authorization(0, now)),
    ("revoke", |row, now| row.revoke_authorization(0, now)),
    ("process", |row, now| row.processing(request_id(1), b"csr", now)),
    ("issue", |row, now| row.issued(issuer(1), serial(1), now)),
    ("invalidate", |row, now| row.invalidate(problem(), now)),
];

fn started() -> OrderRow {
    changed(order(), |row| row.start_challenge(0, HTTP, NOW))
}

fn changed(mut row: OrderRow, change: impl FnOnce(&mut OrderRow) -> Result<(), TransitionError>) -> OrderRow {
    change(&mut row).unwrap();
    row
}

#[test]
fn each_state_allows_its_own_transitions_and_no_others() {
    let proved = changed(started(), |row| row.challenge_succeeded(0, HTTP, NOW, LATER));
    let table: [(&str, OrderRow, Time, &[&str]); 12] = [
        ("new", order(), NOW, &["start", "deactivate", "revoke", "invalidate"]),
        ("started", started(), NOW, &["again", "succeed", "fail", "deactivate", "revoke", "invalidate"]),
        ("half proved", proved, NOW, &["deactivate", "revoke", "invalidate"]),
        ("ready", ready(), NOW, &["deactivate", "revoke", "process", "issue", "invalidate"]),
        // The certificate request is the same one.
        (
            "processing",
            changed(ready(), |row| row.processing(request_id(1), b"csr", NOW)),
            NOW,
            &["deactivate", "revoke", "process", "issue", "invalidate"],
        ),
        // A person takes longer than the order lasts.
        (
            "processing for long",
            changed(ready(), |row| row.processing(request_id(1), b"csr", NOW)),
            LATER,
            &["process", "issue", "invalidate"],
        ),
        (
            "valid",
            changed(ready(), |row| row.issued(issuer(1), serial(1), NOW)),
            NOW,
            &["deactivate", "revoke"],
        ),
        ("valid for long", changed(ready(), |row| row.issued(issuer(1), serial(1), NOW)), LATER, &[]),
        ("invalid", changed(order(), |row| row.invalidate(problem(), NOW)), NOW, &["deactivate", "revoke"]),
        ("failed", changed(started(), |row| row.challenge_failed(0, HTTP, NOW, problem())), NOW, &[]),
        ("expired", order(), LATER, &["invalidate"]),
        ("ready and expired", ready(), LATER, &["invalidate"]),
    ];
    for (state, row, now, allowed) in table {
        for (name, transition) in TRANSITIONS {
            let mut after = row.clone();
            match transition(&mut after, now) {
                Ok(()) => {
                    assert!(allowed.contains(&name), "{state}: {name} was made");
                    assert_eq!(after.version, row.version + 1, "{state}: {name}");
                }
                Err(error) => {
                    assert!(!allowed.contains(&name), "{state}: {name}: {error}");
                    assert_eq!(after, row, "{state}: {name}");
                }
            }
        }
    }
}

#[test]
fn what_does_not_exist_is_said_to_be_missing() {
    let mut row = order();
    let starts = |row: &mut OrderRow, place, kind| row.start_challenge(place, kind, NOW);
    assert_eq!(starts(&mut row, 2, HTTP), Err(TransitionError::NoAuthorization));
    assert_eq!(starts(&mut row, 0, ChallengeType::Dns01), Err(TransitionError::NoChallenge));
    assert_eq!(row.deactivate_authorization(2, NOW), Err(TransitionError::NoAuthorization));
    assert_eq!(
        row.challenge_succeeded(1, ChallengeType::Dns01, NOW, LATER),
        Err(TransitionError::NoChallenge)
    );
    assert_eq!(row, order());
}

#[test]
fn one_challenge_of_an_authorization_is_validated_at_a_time() {
    let mut row = started();
    let pending = TransitionError::Challenge(ChallengeStatus::Pending);
    assert_eq!(row.start_challenge(0, TLS, NOW), Err(TransitionError::OtherChallenge(HTTP)));
    assert_eq!(row.challenge_succeeded(0, TLS, NOW, LATER), Err(pending));
    // Said again, which is no fault.
    let processing = TransitionError::Challenge(ChallengeStatus::Processing);
    assert_eq!(row.start_challenge(0, HTTP, NOW), Err(processing));
    // Another authorization has its own.
    row.start_challenge(1, TLS, NOW).unwrap();
    assert_eq!(row.authorizations[1].processing().map(|challenge| challenge.kind), Some(TLS));
}

#[test]
fn a_validation_is_tried_again_until_it_succeeds_or_fails_for_good() {
    let mut row = started();
    row.attempt_failed(0, HTTP, NOW, problem()).unwrap();
    let challenge = row.authorizations[0].challenge(HTTP).unwrap();
    assert_eq!((challenge.status, challenge.attempts), (ChallengeStatus::Processing, 1));
    assert_eq!(challenge.error, Some(problem()));
    assert_eq!(row.status(NOW), OrderStatus::Pending);

    let mut good = row.clone();
    let until = LATER.plus_seconds(7);
    good.challenge_succeeded(0, HTTP, NOW, until).unwrap();
    let authorization = &good.authorizations[0];
    assert_eq!(authorization.expires_at, until, "counted from the proof");
    assert_eq!((authorization.status, authorization.validated_at), (AuthorizationStatus::Valid, Some(NOW)));
    let challenge = authorization.challenge(HTTP).unwrap();
    assert_eq!((challenge.status, &challenge.error), (ChallengeStatus::Valid, &None));
    assert_eq!((challenge.attempts, challenge.validated_at), (1, Some(NOW)));
    assert_eq!(good.status(NOW), OrderStatus::Pending);

    row.challenge_failed(0, HTTP, NOW, problem()).unwrap();
    let authorization = &row.authorizations[0];
    assert_eq!(authorization.status, AuthorizationStatus::Invalid);
    let challenge = authorization.challenge(HTTP).unwrap();
    assert_eq!((challenge.status, challenge.attempts), (ChallengeStatus::Invalid, 2));
    assert_eq!((row.status(NOW), row.error()), (OrderStatus::Invalid, Some(&problem())));
}

/// RFC 8555 §7.1.6: a result that comes after the authorization ended changes nothing.
#[test]
fn a_result_that_comes_too_late_counts_for_nothing() {
    let deactivated = changed(started(), |row| row.deactivate_authorization(0, NOW));
    let expired = |row: &OrderRow| row.authorizations[0].status_at(LATER);
    assert_eq!(expired(&started()), AuthorizationStatus::Expired);
    let late = [
        (deactivated, NOW, TransitionError::Authorization(AuthorizationStatus::Deactivated)),
        (started(), LATER, TransitionError::Authorization(AuthorizationStatus::Expired)),
        (
            changed(started(), |row| row.invalidate(problem(), NOW)),
            NOW,
            TransitionError::Order(OrderStatus::Invalid),
        ),
    ];
    for (row, now, expected) in late {
        assert_eq!(row.clone().challenge_succeeded(0, HTTP, now, LATER), Err(expected));
        assert_eq!(row.clone().challenge_failed(0, HTTP, now, problem()), Err(expected));
        assert_eq!(row.clone().attempt_failed(0, HTTP, now, problem()), Err(expected));
    }
}

#[test]
fn an_order_is_as_good_as_its_worst_authorization() {
    let table = [
        (AuthorizationStatus::Pending, OrderStatus::Pending),
        (AuthorizationStatus::Valid, OrderStatus::Ready),
        (AuthorizationStatus::Invalid, OrderStatus::Invalid),
        (AuthorizationStatus::Deactivated, OrderStatus::Invalid),
        (AuthorizationStatus::Revoked, OrderStatus::Invalid),
        (AuthorizationStatus::Expired, OrderStatus::Invalid),
    ];
    for place in 0..2 {
        for (status, expected) in table {
            let mut row = ready();
            row.authorizations[place].status = status;
            assert_eq!(row.status(NOW), expected, "{place} {status:?}");
        }
        let mut row = ready();
        row.authorizations[place].expires_at = NOW;
        assert_eq!(row.status(NOW), OrderStatus::Invalid);
    }
    assert_eq!(OrderRow { expires_at: NOW, ..ready() }.status(NOW), OrderStatus::Invalid);
    assert_eq!(OrderRow { authorizations: Vec::new(), ..ready() }.status(NOW), OrderStatus::Invalid);
    // What is preauthorized waits for nothing.
    let name = Identifier::Dns("a.example".into());
    let authorizations = vec![Authorization::preauthorized(name, false, LATER, NOW)];
    assert_eq!(OrderRow { authorizations, ..order() }.status(NOW), OrderStatus::Ready);
}

#[test]
fn a_deactivated_authorization_ends_an_order_that_is_not_issued_and_leaves_a_certificate() {
    let waiting = changed(ready(), |row| row.processing(request_id(1), b"csr", NOW));
    for row in [order(), ready(), waiting] {
        let row = changed(row, |row| row.deactivate_authorization(1, NOW));
        let detail = "the authorization for 192.0.2.1 was deactivated";
        assert_eq!(row.error().map(|error| error.detail.as_str()), Some(detail));
    }
    let valid = changed(ready(), |row| row.issued(issuer(1), serial(1), NOW));
    let row = changed(valid, |row| row.revoke_authorization(1, NOW));
    assert_eq!(row.certificate(), Some((issuer(1), serial(1))));
    assert_eq!(row.authorizations[1].status, AuthorizationStatus::Revoked);
}

#[test]
fn an_order_is_processed_with_one_certificate_request() {
    let mut row = changed(ready(), |row| row.processing(request_id(1), b"csr", NOW));
    assert_eq!(row.processing(request_id(2), b"other", NOW), Err(TransitionError::OtherRequest));
    // Nobody decided in time: the same is asked for anew.
    row.processing(request_id(2), b"csr", NOW).unwrap();
    assert_eq!(row.state, OrderState::Processing { request: request_id(2), csr: b"csr".into() });
}

#[test]
fn what_is_stored_is_text_that_a_later_release_can_read() {
    let row = changed(ready(), |row| row.processing(request_id(1), &[0, 0xff], NOW));
    let json = serde_json::to_value(&row).unwrap();
    assert_eq!(json["state"]["state"], "processing");
    assert_eq!(json["state"]["csr"], "AP8=");
    assert_eq!(json["authorizations"][0]["identifier"]["type"], "dns");
    assert_eq!(json["authorizations"][0]["challenges"][1]["type"], "tls-alpn-01");
    assert_eq!(json["authorizations"][0]["status"], "valid");
    assert_eq!(serde_json::from_value::<OrderRow>(json).unwrap(), row);
}

#[test]
fn an_account_that_is_not_valid_changes_no_more() {
    for status in [AccountStatus::Deactivated, AccountStatus::Revoked] {
        let mut row = account(1);
        match status {
            AccountStatus::Revoked => row.revoke().unwrap(),
            AccountStatus::Valid | AccountStatus::Deactivated => row.deactivate().unwrap(),
        }
        assert_eq!((row.status, row.version), (status, 2));
        let before = row.clone();
        let refused = Err(AccountNotValid(status));
        assert_eq!(row.update(Some(Vec::new()), true), refused);
        assert_eq!(row.change_key("{}".into()), refused);
        assert_eq!((row.deactivate(), row.revoke()), (refused, refused));
        assert_eq!(row, before);
    }
}

#[test]
fn an_account_changes_its_contacts_and_its_key() {
    let mut row = AccountRow { terms_agreed: false, ..account(1) };
    row.update(None, false).unwrap();
    assert_eq!((row.contacts.len(), row.terms_agreed, row.version), (1, false, 2));
    row.update(Some(Vec::new()), true).unwrap();
    assert_eq!((row.contacts.len(), row.terms_agreed, row.version), (0, true, 3));
    // What was agreed to stays so.
    row.update(None, false).unwrap();
    assert!(row.terms_agreed);
    row.change_key("{}".into()).unwrap();
    assert_eq!((row.jwk.as_str(), row.thumbprint), ("{}", jwk_thumbprint("{}")));
}

#[test]
fn the_job_of_an_authorization_is_the_same_wherever_it_is_made() {
    let job = validation_job(&order_id(1), 3, NOW);
    assert_eq!(job.id, validation_job(&order_id(1), 3, EARLIER).id);
    assert_ne!(job.id, validation_job(&order_id(1), 4, NOW).id);
    assert_ne!(job.id, validation_job(&order_id(2), 3, NOW).id);
    assert_eq!(validation_of(&job.key), Some((ValidatedOrder::Acme(order_id(1)), 3)));
    // Orders of both protocols may have the same identifiers.
    let other = validation_job(&rest_order_id(1), 3, NOW);
    assert_ne!(job.id, other.id);
    assert_eq!(validation_of(&other.key), Some((ValidatedOrder::Rest(rest_order_id(1)), 3)));
    for key in ["", "/", "01/2", &format!("{}/", order_id(1)), &format!("{}/-1", order_id(1)), "rest:/1"] {
        assert_eq!(validation_of(key), None, "{key}");
    }
}

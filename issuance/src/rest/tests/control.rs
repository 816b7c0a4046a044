//! Proofs of control: how they come about, what they are worth, and whom they are of.

use pki::time::Time;

use crate::{
    acme::{
        Authorization, AuthorizationError, AuthorizationStatus, Challenge, ChallengeStatus, ChallengeType,
        Identifier, StoredProblem,
    },
    authn::Requester,
    identity::{Protocol, ResourceName},
    rest::{OrderRow, OrderState, OrderStatus, Proof, TransitionError, requester_thumbprint},
    store::suite::samples::{LATER, NOW, credential_id, request_id, rest_order},
    testing::Scene,
};

const CSR: &[u8] = &[0x30, 1];
const HTTP: ChallengeType = ChallengeType::Http01;
const DNS: ChallengeType = ChallengeType::Dns01;

fn authorization(name: &str, wildcard: bool) -> Authorization {
    let challenges = vec![Challenge::new(HTTP, "one"), Challenge::new(DNS, "other")];
    Authorization::pending(Identifier::Dns(name.into()), wildcard, LATER, challenges)
}

/// Of two names, neither proved yet.
fn order() -> OrderRow {
    let authorizations = vec![authorization("a.acme.example", false), authorization("b.acme.example", false)];
    OrderRow { authorizations, ..rest_order(1) }
}

fn problem() -> StoredProblem {
    StoredProblem::new("connection", "nobody answered")
}

fn proved(mut row: OrderRow, place: usize, until: Time) -> OrderRow {
    row.start_challenge(place, HTTP, NOW).unwrap();
    row.challenge_succeeded(place, HTTP, NOW, until).unwrap();
    row
}

#[test]
fn names_are_proved_one_by_one_with_a_csr_or_without() {
    for with_csr in [false, true] {
        let mut row = order();
        if with_csr {
            row.await_proof(CSR, NOW).unwrap();
        }
        let (status, version) = (row.status(NOW), row.version);
        assert_eq!(row.proof(NOW), Proof::Awaited);
        row.start_challenge(0, HTTP, NOW).unwrap();
        row.attempt_failed(0, HTTP, NOW, problem()).unwrap();
        let challenge = row.authorizations[0].challenge(HTTP).unwrap();
        assert_eq!((challenge.attempts, challenge.status), (1, ChallengeStatus::Processing));
        row.challenge_succeeded(0, HTTP, NOW, LATER).unwrap();
        assert_eq!((row.proof(NOW), row.status(NOW)), (Proof::Awaited, status));
        let row = proved(row, 1, LATER);
        assert_eq!((row.proof(NOW), row.status(NOW), row.version), (Proof::Given, status, version + 5));
        // What was proved is worth nothing afterwards.
        assert!(matches!(row.proof(LATER), Proof::Failed(first) if first.name() == "a.acme.example"));
    }
    assert_eq!(rest_order(1).proof(NOW), Proof::Given);
}

#[test]
fn a_challenge_that_fails_for_good_ends_the_order_and_says_why() {
    let mut row = order();
    row.start_challenge(1, DNS, NOW).unwrap();
    row.challenge_failed(1, DNS, NOW, problem()).unwrap();
    assert_eq!(row.authorizations[1].status, AuthorizationStatus::Invalid);
    let OrderState::Failed { problem } = &row.state else { panic!("{:?}", row.state) };
    assert_eq!(problem, "control of b.acme.example was not proved: nobody answered");
    assert!(matches!(row.proof(NOW), Proof::Failed(_)));
}

#[test]
fn what_cannot_be_proved_any_more_changes_nothing() {
    let started = || {
        let mut row = order();
        row.start_challenge(0, HTTP, NOW).unwrap();
        row
    };
    let ended = |change: fn(&mut OrderRow)| {
        let mut row = started();
        change(&mut row);
        row
    };
    let status = TransitionError::Status;
    for (row, now, expected) in [
        (ended(|row| row.cancel(NOW).unwrap()), NOW, status(OrderStatus::Cancelled)),
        (ended(|row| row.fail("no".into(), NOW).unwrap()), NOW, status(OrderStatus::Failed)),
        (ended(|row| row.pending(request_id(1), CSR, NOW).unwrap()), NOW, status(OrderStatus::Pending)),
        (
            ended(|row| row.authorizations[0].expires_at = LATER.plus_seconds(9)),
            LATER,
            status(OrderStatus::Expired),
        ),
        (started(), LATER, AuthorizationError::Status(AuthorizationStatus::Expired).into()),
    ] {
        let mut after = row.clone();
        assert_eq!(after.challenge_succeeded(0, HTTP, now, LATER), Err(expected));
        assert_eq!(after.challenge_failed(0, HTTP, now, problem()), Err(expected));
        assert_eq!(after.attempt_failed(0, HTTP, now, problem()), Err(expected));
        assert_eq!(after, row);
    }
    let mut row = started();
    let refused = [
        (
            row.start_challenge(0, HTTP, NOW),
            AuthorizationError::Challenge(ChallengeStatus::Processing).into(),
        ),
        (row.start_challenge(0, DNS, NOW), AuthorizationError::OtherChallenge(HTTP).into()),
        (row.start_challenge(0, ChallengeType::TlsAlpn01, NOW), AuthorizationError::NoChallenge.into()),
        (row.start_challenge(2, HTTP, NOW), TransitionError::NoAuthorization),
        (
            row.challenge_succeeded(1, HTTP, NOW, LATER),
            AuthorizationError::Challenge(ChallengeStatus::Pending).into(),
        ),
    ];
    for (found, expected) in refused {
        assert_eq!(found, Err(expected));
    }
    assert_eq!(row, started());
}

#[test]
fn an_order_that_awaits_proof_keeps_its_csr_and_takes_no_other() {
    let mut row = order();
    row.await_proof(CSR, NOW).unwrap();
    assert_eq!((row.status(NOW), row.status(LATER)), (OrderStatus::AwaitingProof, OrderStatus::Expired));
    assert_eq!(row.await_proof(&[0x30, 2], NOW), Err(TransitionError::OtherCsr));
    assert_eq!(row.pending(request_id(1), &[0x30, 2], NOW), Err(TransitionError::OtherCsr));
    row.pending(request_id(1), CSR, NOW).unwrap();
    assert_eq!(row.status(LATER), OrderStatus::Pending);
}

#[test]
fn an_order_of_an_earlier_release_has_nothing_to_prove() {
    let json = serde_json::to_value(rest_order(1)).unwrap();
    assert!(json.get("authorizations").is_none(), "{json}");
    assert_eq!(serde_json::from_value::<OrderRow>(json).unwrap(), rest_order(1));
    let row = proved(order(), 0, LATER);
    assert_eq!(serde_json::from_value::<OrderRow>(serde_json::to_value(&row).unwrap()).unwrap(), row);
}

/// What evidence holds cannot be seen: the test in `profile` shows what it is good for.
#[tokio::test]
async fn evidence_takes_the_valid_proofs_of_its_own_orders_and_no_others() {
    let scene = Scene::new(&crate::testing::policy()).await;
    let ann = scene.evidence().await;
    let of_ann = |change: fn(&mut OrderRow)| {
        let mut row = proved(order(), 0, NOW.plus_seconds(9));
        row.method = scene.method.name.clone();
        row.requester = ann.requester(Protocol::Rest, None);
        change(&mut row);
        row
    };
    let names = |row: &OrderRow, now: Time| {
        let with = ann.clone().with_proofs_of(row, now);
        with.proven().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(names(&of_ann(|_| {}), NOW), ["dns:a.acme.example"]);
    assert_eq!(names(&of_ann(|row| row.authorizations[0].wildcard = true), NOW), ["dns:*.a.acme.example"]);
    let nothing: [String; 0] = [];
    assert_eq!(names(&of_ann(|_| {}), NOW.plus_seconds(9)), nothing);
    for change in [
        (|row| row.method = ResourceName::new("acme", "other")) as fn(&mut OrderRow),
        |row| row.requester.credential = Some(credential_id(9)),
        |row| row.requester.credential = None,
        |row| row.authorizations[0].status = AuthorizationStatus::Revoked,
        |row| row.authorizations[0].status = AuthorizationStatus::Invalid,
    ] {
        assert_eq!(names(&of_ann(change), NOW), nothing);
    }
}

#[test]
fn a_thumbprint_is_of_one_requester_and_lasts() {
    let base = rest_order(1).requester;
    let with = |change: fn(&mut Requester)| {
        let mut requester = base.clone();
        change(&mut requester);
        requester_thumbprint(&requester)
    };
    let own = requester_thumbprint(&base);
    assert_eq!(own.len(), 43);
    // A credential may be renamed, and used from elsewhere.
    assert_eq!(with(|requester| requester.name = "other".into()), own);
    assert_eq!(with(|requester| requester.address = None), own);
    let by_name = with(|requester| requester.credential = None);
    let others = [
        by_name.clone(),
        with(|requester| requester.credential = Some(credential_id(9))),
        with(|requester| (requester.credential, requester.name) = (None, "other".into())),
        with(|requester| (requester.credential, requester.method) = (None, ResourceName::new("acme", "x"))),
    ];
    for (place, one) in others.iter().enumerate() {
        assert_ne!(*one, own);
        assert!(!others[..place].contains(one));
    }
}

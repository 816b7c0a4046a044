//! Every transition, from every state.

use crate::{
    rest::{OrderKey, OrderRow, OrderState, OrderStatus, TransitionError},
    store::suite::samples::{LATER, NOW, issuer, request_id, rest_order, rest_order_id, serial},
};

const CSR: &[u8] = &[0x30, 1];

fn held() -> OrderKey {
    OrderKey::Held { sealed: vec![7] }
}

/// One of each status, with a key that the server made.
fn each() -> Vec<(OrderStatus, OrderRow)> {
    let states = [
        (OrderStatus::AwaitingCsr, OrderState::AwaitingCsr),
        (OrderStatus::AwaitingProof, OrderState::AwaitingProof),
        (OrderStatus::Pending, OrderState::Pending { request: request_id(1) }),
        (OrderStatus::Issued, OrderState::Issued { issuer: issuer(1), serial: serial(1) }),
        (OrderStatus::Denied, OrderState::Denied { reason: None }),
        (OrderStatus::Cancelled, OrderState::Cancelled),
        (OrderStatus::Failed, OrderState::Failed { problem: "keys.allowed: no".into() }),
    ];
    let mut rows: Vec<_> = states
        .map(|(status, state)| (status, OrderRow { state, key: held(), ..rest_order(1) }))
        .into_iter()
        .collect();
    rows.push((OrderStatus::Expired, OrderRow { expires_at: NOW, key: held(), ..rest_order(1) }));
    rows
}

type Transition = fn(&mut OrderRow) -> Result<(), TransitionError>;

/// Makes the transition from all the states that lead on, and none from the others.
fn leads_only_from(from: &[OrderStatus], to: OrderStatus, transition: Transition) {
    for (status, row) in each() {
        let mut changed = row.clone();
        let outcome = transition(&mut changed);
        if from.contains(&status) {
            assert_eq!(outcome, Ok(()), "{status:?}");
            assert_eq!((changed.status(NOW), changed.version), (to, row.version + 1), "{status:?}");
        } else {
            assert_eq!(outcome, Err(TransitionError::Status(status)));
            assert_eq!(changed, row);
        }
    }
}

const OPEN: [OrderStatus; 3] = [OrderStatus::AwaitingCsr, OrderStatus::AwaitingProof, OrderStatus::Pending];

#[test]
fn only_an_open_order_is_issued_or_waits_for_a_person() {
    leads_only_from(&OPEN, OrderStatus::Issued, |row| row.issued((issuer(2), serial(2)), CSR, NOW));
    leads_only_from(&OPEN, OrderStatus::Pending, |row| row.pending(request_id(2), CSR, NOW));
}

#[test]
fn only_an_open_order_is_cancelled_and_one_that_has_expired_may_fail() {
    leads_only_from(&OPEN, OrderStatus::Cancelled, |row| row.cancel(NOW));
    let from = [&OPEN[..], &[OrderStatus::Expired]].concat();
    leads_only_from(&from, OrderStatus::Failed, |row| row.fail("subject: no".into(), NOW));
}

#[test]
fn proofs_are_awaited_before_a_person_decides() {
    let from = [OrderStatus::AwaitingCsr, OrderStatus::AwaitingProof];
    leads_only_from(&from, OrderStatus::AwaitingProof, |row| row.await_proof(CSR, NOW));
}

#[test]
fn only_what_waits_for_a_person_is_denied() {
    leads_only_from(&[OrderStatus::Pending], OrderStatus::Denied, |row| row.deny(None, NOW));
}

#[test]
fn only_an_issued_order_gives_out_its_key_or_is_renewed() {
    let issued = [OrderStatus::Issued];
    leads_only_from(&issued, OrderStatus::Issued, |row| row.hand_out_key(NOW));
    leads_only_from(&issued, OrderStatus::Issued, |row| row.renewed_by(rest_order_id(2), NOW));
}

#[test]
fn an_order_waits_for_a_csr_until_the_second_it_expires_and_for_a_person_as_long_as_its_request_does() {
    let row = rest_order(1);
    assert_eq!(row.status(LATER.plus_seconds(-1)), OrderStatus::AwaitingCsr);
    assert_eq!(row.status(LATER), OrderStatus::Expired);
    let mut pending = row;
    pending.pending(request_id(1), CSR, NOW).unwrap();
    assert_eq!(pending.status(LATER), OrderStatus::Pending);
    pending.issued((issuer(1), serial(1)), CSR, LATER).unwrap();
    assert_eq!(pending.certificate(), Some((issuer(1), serial(1))));
}

#[test]
fn an_order_that_is_pending_takes_no_other_csr() {
    let mut row = rest_order(1);
    row.pending(request_id(1), CSR, NOW).unwrap();
    let before = row.clone();
    assert_eq!(row.issued((issuer(1), serial(1)), &[0x30, 2], NOW), Err(TransitionError::OtherCsr));
    assert_eq!(row.pending(request_id(2), &[0x30, 2], NOW), Err(TransitionError::OtherCsr));
    assert_eq!(row, before);
    // The same one again, with a request that is not expired.
    row.pending(request_id(2), CSR, NOW).unwrap();
    assert_eq!((row.csr.as_deref(), row.state), (Some(CSR), OrderState::Pending { request: request_id(2) }));
}

#[test]
fn a_key_is_given_out_once_and_never_where_there_is_none() {
    let issued = |key| {
        let state = OrderState::Issued { issuer: issuer(1), serial: serial(1) };
        OrderRow { state, key, ..rest_order(1) }
    };
    let mut row = issued(held());
    row.hand_out_key(NOW).unwrap();
    assert_eq!(row.key, OrderKey::HandedOut { at: NOW });
    assert_eq!(row.hand_out_key(LATER), Err(TransitionError::KeyHandedOut { at: NOW }));
    assert_eq!(issued(OrderKey::Requester).hand_out_key(NOW), Err(TransitionError::RequestersKey));
    assert_eq!(issued(OrderKey::Discarded).hand_out_key(NOW), Err(TransitionError::KeyDiscarded));
}

#[test]
fn the_key_of_an_order_that_comes_to_nothing_is_forgotten() {
    let ends: [Transition; 3] =
        [|row| row.cancel(NOW), |row| row.fail(String::new(), NOW), |row| row.deny(None, NOW)];
    for end in ends {
        let mut row = OrderRow { key: held(), ..rest_order(1) };
        row.pending(request_id(1), CSR, NOW).unwrap();
        assert_eq!((&row.key, &row.csr), (&held(), &None));
        end(&mut row).unwrap();
        assert_eq!(row.key, OrderKey::Discarded);
        let mut own = rest_order(1);
        own.pending(request_id(1), CSR, NOW).unwrap();
        end(&mut own).unwrap();
        assert_eq!(own.key, OrderKey::Requester);
    }
}

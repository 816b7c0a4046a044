//! How credentials were used.

use std::{net::IpAddr, sync::Arc};

use pki::time::Time;

use super::samples::*;
use crate::{
    credential::{CredentialRow, CredentialUsage, Seen, UsageFailure, UsageNote, Verifier},
    store::{Conflict, Expect, Store, Write},
};

fn from(last: u8) -> Option<IpAddr> {
    Some(IpAddr::from([192, 0, 2, last]))
}

fn used(number: u8, at: Time, address: Option<IpAddr>) -> Write {
    Write::UseCredential { id: credential_id(number), at, address }
}

fn put(row: CredentialRow) -> Write {
    Write::PutCredential(Box::new(row))
}

fn noted(note: UsageNote) -> Write {
    Write::NoteCredentialUsage(Box::new(note))
}

fn unused(number: u8) -> CredentialUsage {
    CredentialUsage {
        credential: credential_id(number),
        uses: 0,
        requests: 0,
        first_used_at: None,
        last_used_at: None,
        last_address: None,
        failures: 0,
        last_failure: None,
    }
}

fn failure(at: Time, reason: &str, last: u8) -> Option<UsageFailure> {
    Some(UsageFailure { at, reason: reason.into(), address: from(last) })
}

async fn usage(store: &dyn Store, number: u8) -> CredentialUsage {
    let mut usages = store.credential_usages(&[credential_id(number)]).await.unwrap();
    usages.pop().unwrap()
}

pub async fn usages_come_in_the_order_in_which_they_are_asked_for(store: Arc<dyn Store>) {
    write(&*store, (1..=3).map(|number| put(credential(number))).collect()).await;
    write(&*store, vec![used(2, NOW, from(1))]).await;
    let asked = [3, 99, 2, 1].map(credential_id);
    let found = store.credential_usages(&asked).await.unwrap();
    let ids: Vec<_> = found.iter().map(|usage| usage.credential.clone()).collect();
    assert_eq!(ids, [3, 2, 1].map(credential_id));
    assert_eq!((&found[0], &found[2]), (&unused(3), &unused(1)));
    assert_eq!(found[1].uses, 1);
    assert_eq!(store.credential_usages(&[]).await.unwrap(), []);
}

/// With and without a limit, which stores may count in different places.
pub async fn a_use_says_when_first_when_last_and_from_where(store: Arc<dyn Store>) {
    let limited = CredentialRow { maximum_uses: Some(10), ..credential(2) };
    write(&*store, vec![put(credential(1)), put(limited)]).await;
    for number in [1, 2] {
        write(&*store, vec![used(number, NOW, from(1))]).await;
        // A clock that was turned back: earlier, and so not the last one.
        write(&*store, vec![used(number, EARLIER, from(2))]).await;
        let first = CredentialUsage {
            uses: 2,
            first_used_at: Some(EARLIER),
            last_used_at: Some(NOW),
            last_address: from(1),
            ..unused(number)
        };
        assert_eq!(usage(&*store, number).await, first);
        write(&*store, vec![used(number, LATER, from(3)), used(number, LATER, None)]).await;
        let last = CredentialUsage { uses: 4, last_used_at: Some(LATER), last_address: None, ..first };
        assert_eq!(usage(&*store, number).await, last);
    }
}

pub async fn a_use_that_is_not_committed_is_not_counted(store: Arc<dyn Store>) {
    write(&*store, vec![put(credential(1))]).await;
    let expect = vec![Expect::CredentialVersion { id: credential_id(1), version: 9 }];
    let writes =
        vec![used(1, NOW, from(1)), noted(UsageNote { failures: 1, ..UsageNote::empty(credential_id(1)) })];
    assert!(try_write(&*store, expect, writes.clone()).await.is_err());
    let undone = [writes, vec![Write::DeleteRequest { id: request_id(9) }]].concat();
    let conflict = try_write(&*store, Vec::new(), undone).await.unwrap_err();
    assert_eq!(conflict, Conflict::Missing("request"));
    assert_eq!(usage(&*store, 1).await, unused(1));
}

pub async fn a_replaced_credential_keeps_its_usage_and_a_new_secret_begins_anew(store: Arc<dyn Store>) {
    write(&*store, vec![put(credential(1))]).await;
    write(&*store, vec![used(1, EARLIER, from(1)), used(1, NOW, from(2))]).await;
    let before = usage(&*store, 1).await;
    let row = store.credential(&credential_id(1)).await.unwrap().unwrap();
    // The same secret, now with a limit.
    let changed = CredentialRow { version: 2, maximum_uses: Some(50), ..row };
    write(&*store, vec![put(changed.clone())]).await;
    assert_eq!(usage(&*store, 1).await, before);
    write(&*store, vec![used(1, LATER, from(3))]).await;
    let after = usage(&*store, 1).await;
    assert_eq!((after.uses, after.first_used_at, after.last_address), (3, Some(EARLIER), from(3)));
    let verifier = Verifier::Sha256 { hash: [9; 32], known_to: Default::default() };
    let new = CredentialRow { version: 3, verifier, uses: 0, last_used_at: None, ..changed };
    write(&*store, vec![put(new)]).await;
    assert_eq!(usage(&*store, 1).await, unused(1));
    write(&*store, vec![used(1, LATER, from(4))]).await;
    let begun = usage(&*store, 1).await;
    assert_eq!((begun.uses, begun.first_used_at, begun.last_address), (1, Some(LATER), from(4)));
}

pub async fn notes_add_up_whatever_their_order(store: Arc<dyn Store>) {
    write(&*store, vec![put(credential(1)), put(credential(2))]).await;
    let request = |at, last| UsageNote {
        requests: 2,
        first: Some(at),
        last: Some(Seen { at, address: from(last) }),
        ..UsageNote::empty(credential_id(1))
    };
    let refused = |at, reason: &str, last| UsageNote {
        failures: 3,
        last_failure: failure(at, reason, last),
        ..UsageNote::empty(credential_id(1))
    };
    write(&*store, vec![noted(refused(NOW, "mismatch", 4))]).await;
    write(&*store, vec![noted(request(NOW, 1)), noted(request(EARLIER, 2))]).await;
    write(&*store, vec![noted(refused(EARLIER, "expired", 5))]).await;
    let expected = CredentialUsage {
        requests: 4,
        first_used_at: Some(EARLIER),
        last_used_at: Some(NOW),
        last_address: from(1),
        failures: 6,
        last_failure: failure(NOW, "mismatch", 4),
        ..unused(1)
    };
    assert_eq!(usage(&*store, 1).await, expected);
    // A granted use is part of the same story, and counted apart.
    write(&*store, vec![used(1, LATER, from(6)), noted(refused(LATER, "revoked", 7))]).await;
    let expected = CredentialUsage {
        uses: 1,
        last_used_at: Some(LATER),
        last_address: from(6),
        failures: 9,
        last_failure: failure(LATER, "revoked", 7),
        ..expected
    };
    assert_eq!(usage(&*store, 1).await, expected);
    assert_eq!(usage(&*store, 2).await, unused(2));
}

/// Notes are of what was true when it was collected: a credential that is gone stops nobody's.
pub async fn a_note_of_a_credential_that_is_gone_is_passed_over(store: Arc<dyn Store>) {
    write(&*store, vec![put(credential(1))]).await;
    let note = |number| {
        noted(UsageNote {
            failures: 1,
            last_failure: failure(NOW, "mismatch", 1),
            ..UsageNote::empty(credential_id(number))
        })
    };
    write(&*store, vec![note(99), note(1)]).await;
    assert_eq!(usage(&*store, 1).await.failures, 1);
    assert_eq!(store.credential_usages(&[credential_id(99)]).await.unwrap(), []);
}

pub async fn notes_leave_the_row_and_its_version_alone(store: Arc<dyn Store>) {
    write(&*store, vec![put(credential(1))]).await;
    let before = store.credential(&credential_id(1)).await.unwrap();
    let seen = Seen { at: LATER, address: from(1) };
    let note = UsageNote {
        requests: 1,
        first: Some(LATER),
        last: Some(seen),
        failures: 1,
        last_failure: failure(LATER, "mismatch", 1),
        ..UsageNote::empty(credential_id(1))
    };
    write(&*store, vec![noted(note)]).await;
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), before);
    try_write(&*store, vec![usable(1, 1)], vec![used(1, NOW, None)]).await.unwrap();
}

/// As several replicas do at once, each with its own order of events.
pub async fn notes_and_uses_of_many_at_once_are_all_counted(store: Arc<dyn Store>) {
    write(&*store, (1..=4).map(|number| put(credential(number))).collect()).await;
    let tasks: Vec<_> = (0..40u8)
        .map(|task| {
            let store = Arc::clone(&store);
            let note =
                |number| UsageNote { requests: 1, failures: 1, ..UsageNote::empty(credential_id(number)) };
            let mut writes: Vec<Write> = (1..=4).map(|number| noted(note(number))).collect();
            writes.push(used(1 + task % 4, NOW, from(task)));
            tokio::spawn(async move { try_write(&*store, Vec::new(), writes).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    for number in 1..=4 {
        let usage = usage(&*store, number).await;
        assert_eq!((usage.uses, usage.requests, usage.failures), (10, 40, 40));
    }
}

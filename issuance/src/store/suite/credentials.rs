//! Versions, uses and limits.

use std::sync::Arc;

use super::samples::*;
use crate::{
    credential::{CredentialRow, CredentialState, PreviousValue, Verifier},
    identity::Protocol,
    rest::RestAction,
    store::{Commit, Conflict, CredentialFilter, Expect, Page, Store, Write},
};

fn put(row: CredentialRow) -> Vec<Write> {
    vec![Write::PutCredential(Box::new(row))]
}

fn use_one(number: u8) -> Write {
    Write::UseCredential { id: credential_id(number), at: NOW, address: None }
}

pub async fn a_credential_that_is_not_usable_stops_the_commit(store: Arc<dyn Store>) {
    let unusable = [
        CredentialRow { state: CredentialState::Revoked, ..credential(1) },
        CredentialRow { expires_at: Some(EARLIER), ..credential(1) },
        CredentialRow { expires_at: Some(NOW), ..credential(1) },
        CredentialRow { maximum_uses: Some(2), uses: 2, ..credential(1) },
        CredentialRow { maximum_uses: Some(0), ..credential(1) },
        CredentialRow { version: 2, ..credential(1) },
    ];
    for row in unusable {
        let verifier = Verifier::Sha256 { hash: [row.uses as u8 + 100; 32], known_to: Default::default() };
        write(&*store, put(CredentialRow { verifier, ..row })).await;
        let conflict = try_write(&*store, vec![usable(1, 1)], vec![use_one(1)]).await.unwrap_err();
        assert_eq!(conflict, Conflict::Expectation(Box::new(usable(1, 1))));
    }
    let limits = CredentialRow { expires_at: Some(LATER), maximum_uses: Some(3), uses: 2, ..credential(1) };
    write(&*store, put(limits)).await;
    try_write(&*store, vec![usable(1, 1)], vec![use_one(1)]).await.unwrap();
    assert!(try_write(&*store, vec![usable(1, 1)], vec![use_one(1)]).await.is_err());
}

pub async fn a_single_use_is_granted_once_among_a_hundred(store: Arc<dyn Store>) {
    write(&*store, put(CredentialRow { maximum_uses: Some(1), ..credential(1) })).await;
    let tasks: Vec<_> = (1..=100)
        .map(|number| {
            let store = Arc::clone(&store);
            let writes = vec![use_one(1), insert(certificate(number))];
            tokio::spawn(async move { try_write(&*store, vec![usable(1, 1)], writes).await })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => granted += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Expectation(Box::new(usable(1, 1)))),
        }
    }
    assert_eq!(granted, 1);
    assert_eq!(store.credential(&credential_id(1)).await.unwrap().unwrap().uses, 1);
    assert_eq!(store.certificates(&Default::default(), &Page::first(100)).await.unwrap().len(), 1);
}

pub async fn uses_are_counted_without_a_new_version(store: Arc<dyn Store>) {
    write(&*store, put(credential(1))).await;
    let late = Write::UseCredential { id: credential_id(1), at: EARLIER, address: None };
    let commit =
        Commit { expect: vec![usable(1, 1)], writes: vec![use_one(1), use_one(1), late], audit: Vec::new() };
    store.commit(commit.clone()).await.unwrap().unwrap();
    store.commit(commit).await.unwrap().unwrap();
    let expected = CredentialRow { uses: 6, last_used_at: Some(NOW), ..credential(1) };
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), Some(expected));
}

pub async fn a_replaced_credential_keeps_its_place_and_its_uses(store: Arc<dyn Store>) {
    for number in 1..=3 {
        write(&*store, put(credential(number))).await;
    }
    let read = store.credential(&credential_id(1)).await.unwrap().unwrap();
    write(&*store, vec![use_one(1)]).await;
    // Its limits change on what was read before the use: the use still counts, because the secret is the same.
    let changed = CredentialRow {
        version: 2,
        username: Some("ann".into()),
        owner: None,
        expires_at: Some(LATER),
        maximum_uses: Some(5),
        declared: true,
        ..read
    };
    let expect = vec![Expect::CredentialVersion { id: credential_id(1), version: 1 }];
    try_write(&*store, expect.clone(), put(changed.clone())).await.unwrap();
    assert!(try_write(&*store, expect, put(changed.clone())).await.is_err());
    let counted = CredentialRow { uses: 1, last_used_at: Some(NOW), ..changed };
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), Some(counted.clone()));
    // A new secret starts anew.
    let verifier = Verifier::Argon2id { memory_kib: 8, passes: 1, lanes: 1, salt: [1; 16], hash: [2; 32] };
    let previous = Some(PreviousValue { verifier: counted.verifier.clone(), until: LATER });
    let regenerated = CredentialRow {
        version: 3,
        verifier,
        previous,
        uses: 0,
        last_used_at: None,
        regeneration: 1,
        ..counted
    };
    write(&*store, put(regenerated.clone())).await;
    assert_eq!(store.credential(&credential_id(1)).await.unwrap(), Some(regenerated.clone()));
    // The value before goes with the next change that does not name it.
    let regenerated = CredentialRow { version: 4, previous: None, ..regenerated };
    write(&*store, put(regenerated.clone())).await;
    let listed = store.credentials(&CredentialFilter::default(), &Page::first(10)).await.unwrap();
    let rows: Vec<_> = listed.into_iter().map(|(_, row)| row).collect();
    assert_eq!(rows, [regenerated, credential(2), credential(3)]);
}

pub async fn credentials_are_found_by_user_name(store: Arc<dyn Store>) {
    let of_user = |number, name: &str| CredentialRow { username: Some(name.into()), ..credential(number) };
    let rows = [
        of_user(1, "ann"),
        CredentialRow { state: CredentialState::Revoked, ..credential(2) },
        of_user(3, "Ann"),
        CredentialRow { method: method("scep"), ..of_user(4, "ann") },
        CredentialRow { expires_at: Some(EARLIER), ..of_user(5, "ann") },
    ];
    for row in &rows {
        write(&*store, put(row.clone())).await;
    }
    let found = async |name: &str| store.credentials_for(&method("est"), name).await.unwrap();
    assert_eq!(found("ann").await, [rows[0].clone(), rows[1].clone(), rows[4].clone()]);
    assert_eq!(found("bob").await, [rows[1].clone()]);
    assert_eq!(store.credentials_for(&method("cmp"), "ann").await.unwrap(), []);
}

fn access_key(number: u8, name: &str) -> CredentialRow {
    CredentialRow { protocol: Protocol::Rest, username: Some(name.into()), ..credential(number) }
}

pub async fn an_access_key_is_found_by_its_name_whatever_its_method(store: Arc<dyn Store>) {
    let every = RestAction::ALL.into_iter().collect();
    let rows = [
        CredentialRow { actions: every, ..access_key(1, "key-1") },
        CredentialRow { state: CredentialState::Revoked, method: method("api"), ..access_key(2, "key-2") },
        CredentialRow { protocol: Protocol::Est, ..access_key(3, "key-3") },
        CredentialRow { username: None, ..access_key(4, "") },
        CredentialRow { username: None, ..access_key(5, "") },
    ];
    for row in &rows {
        write(&*store, put(row.clone())).await;
    }
    let found = async |name: &str| store.credential_by_access_key(name).await.unwrap();
    assert_eq!(found("key-1").await.as_ref(), Some(&rows[0]));
    assert_eq!(found("key-2").await.as_ref(), Some(&rows[1]));
    for name in ["key-3", "Key-1", "", "key-\0"] {
        assert_eq!(found(name).await, None, "{name:?}");
    }
    // Regenerated, with another name: the old one is nobody's.
    let few = [RestAction::Read].into_iter().collect();
    let new = CredentialRow { version: 2, actions: few, ..access_key(1, "key-6") };
    write(&*store, put(new.clone())).await;
    assert_eq!((found("key-1").await, found("key-6").await), (None, Some(new)));
}

pub async fn an_access_key_name_is_given_once_among_many(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (1..=40)
        .map(|number| {
            let store = Arc::clone(&store);
            // Of two methods.
            let row = CredentialRow {
                method: method(if number % 2 == 0 { "api" } else { "other" }),
                ..access_key(number, "key-1")
            };
            let expect = vec![Expect::CredentialVersion { id: credential_id(number), version: 0 }];
            tokio::spawn(async move { try_write(&*store, expect, put(row)).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::AccessKeyExists),
        }
    }
    assert_eq!(made, 1);
    let listed = store.credentials(&CredentialFilter::default(), &Page::first(100)).await.unwrap();
    assert_eq!(listed.len(), 1);
    // Freed by the one that has it, it can be given again.
    let holder = listed[0].1.clone();
    write(&*store, put(CredentialRow { version: 2, username: Some("key-2".into()), ..holder })).await;
    write(&*store, put(access_key(50, "key-1"))).await;
}

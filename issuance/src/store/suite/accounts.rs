//! Accounts of ACME.

use std::sync::Arc;

use super::samples::*;
use crate::{
    acme::{AccountRow, AccountStatus},
    credential::CredentialRow,
    store::{AcmeAccountFilter, Conflict, Expect, Page, Store, Write},
};

async fn read(store: &dyn Store, number: u8) -> AccountRow {
    store.acme_account(&account_id(number)).await.unwrap().unwrap()
}

pub async fn an_account_changes_only_from_the_version_that_was_read(store: Arc<dyn Store>) {
    let expects = |version| vec![account_version(1, version)];
    let broken = |version| Conflict::Expectation(Box::new(account_version(1, version)));
    let put = |row: &AccountRow| vec![put_account(row.clone())];
    assert_eq!(try_write(&*store, expects(1), put(&account(1))).await, Err(broken(1)));
    try_write(&*store, expects(0), put(&account(1))).await.unwrap();
    assert_eq!(try_write(&*store, expects(0), put(&account(1))).await, Err(broken(0)));
    let mut changed = read(&*store, 1).await;
    changed.deactivate().unwrap();
    try_write(&*store, expects(1), put(&changed)).await.unwrap();
    assert_eq!(try_write(&*store, expects(1), put(&account(1))).await, Err(broken(1)));
    assert_eq!(read(&*store, 1).await, changed);
}

pub async fn an_account_key_is_taken_per_method(store: Arc<dyn Store>) {
    let with_key = |number, key| AccountRow { thumbprint: [key; 32], ..account(number) };
    let of_other_method = |number, key| AccountRow { method: method("other"), ..with_key(number, key) };
    let put = async |row: AccountRow| try_write(&*store, Vec::new(), vec![put_account(row)]).await;
    put(with_key(1, 1)).await.unwrap();
    put(of_other_method(2, 1)).await.unwrap();
    assert_eq!(put(with_key(3, 1)).await, Err(Conflict::AcmeAccountExists));
    put(with_key(3, 3)).await.unwrap();
    // Another key (RFC 8555 §7.3.5), which is another account's.
    assert_eq!(put(with_key(3, 1)).await, Err(Conflict::AcmeAccountExists));
    put(with_key(1, 4)).await.unwrap();
    // Now it is free.
    put(with_key(3, 1)).await.unwrap();
    // An account that is no longer valid keeps its key.
    put(AccountRow { status: AccountStatus::Deactivated, ..with_key(3, 1) }).await.unwrap();
    assert_eq!(put(with_key(5, 1)).await, Err(Conflict::AcmeAccountExists));
    let found = async |of: &str, key: u8| {
        store.acme_account_by_key(&method(of), &[key; 32]).await.unwrap().map(|row| row.id)
    };
    assert_eq!(found("acme", 1).await, Some(account_id(3)));
    assert_eq!(found("other", 1).await, Some(account_id(2)));
    assert_eq!((found("acme", 3).await, found("none", 1).await), (None, None));
}

pub async fn of_many_accounts_with_one_key_exactly_one_is_made(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (1..=50)
        .map(|number| {
            let store = Arc::clone(&store);
            let row = AccountRow { thumbprint: [7; 32], ..account(number) };
            let expect = vec![account_version(number, 0)];
            tokio::spawn(async move { try_write(&*store, expect, vec![put_account(row)]).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::AcmeAccountExists),
        }
    }
    assert_eq!(made, 1);
    let accounts = store.acme_accounts(&AcmeAccountFilter::default(), &Page::first(100)).await.unwrap();
    assert_eq!(accounts.len(), 1);
}

/// RFC 8555 §7.3.4, with a key that may be used once: used and bound in one commit, or neither.
pub async fn a_single_use_credential_binds_one_account_among_a_hundred(store: Arc<dyn Store>) {
    let single = CredentialRow { maximum_uses: Some(1), username: Some("kid-1".into()), ..credential(1) };
    write(&*store, vec![Write::PutCredential(Box::new(single))]).await;
    let tasks: Vec<_> = (1..=100)
        .map(|number| {
            let store = Arc::clone(&store);
            let expect = vec![usable(1, 1), account_version(number, 0)];
            let used = Write::UseCredential { id: credential_id(1), at: NOW, address: None };
            let writes = vec![used, put_account(account(number))];
            tokio::spawn(async move { try_write(&*store, expect, writes).await })
        })
        .collect();
    let mut bound = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => bound += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Expectation(Box::new(usable(1, 1)))),
        }
    }
    assert_eq!(bound, 1);
    assert_eq!(store.credential(&credential_id(1)).await.unwrap().unwrap().uses, 1);
    let of_credential =
        AcmeAccountFilter { credential: Some(credential_id(1)), ..AcmeAccountFilter::default() };
    assert_eq!(store.acme_accounts(&of_credential, &Page::first(200)).await.unwrap().len(), 1);
    // An account that could not be made uses nothing up.
    write(&*store, vec![Write::PutCredential(Box::new(credential(2)))]).await;
    let taken = store.acme_accounts(&of_credential, &Page::first(1)).await.unwrap()[0].1.thumbprint;
    let used = Write::UseCredential { id: credential_id(2), at: NOW, address: None };
    let writes = vec![used, put_account(AccountRow { thumbprint: taken, ..account(200) })];
    let outcome = try_write(&*store, vec![usable(2, 1)], writes).await;
    assert_eq!(outcome, Err(Conflict::AcmeAccountExists));
    assert_eq!(store.credential(&credential_id(2)).await.unwrap().unwrap().uses, 0);
}

pub async fn accounts_are_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let rows = [
        account(1),
        AccountRow {
            status: AccountStatus::Revoked,
            contacts: Vec::new(),
            terms_agreed: false,
            binding: None,
            owner: None,
            version: u64::from(u32::MAX),
            ..account(2)
        },
        // Whatever text a peer sent.
        AccountRow { contacts: vec!["mailto:\0\u{1f600}'; --@a.example".into()], ..account(3) },
    ];
    for row in &rows {
        write(&*store, vec![put_account(row.clone())]).await;
    }
    for row in &rows {
        assert_eq!(store.acme_account(&row.id).await.unwrap().as_ref(), Some(row));
        let by_key = store.acme_account_by_key(&row.method, &row.thumbprint).await.unwrap();
        assert_eq!(by_key.as_ref(), Some(row));
    }
    assert_eq!(store.acme_account(&account_id(99)).await.unwrap(), None);
}

pub async fn account_filters_select_their_own(store: Arc<dyn Store>) {
    let mut bound_elsewhere = account(3);
    bound_elsewhere.binding.as_mut().unwrap().credential = credential_id(2);
    let rows = [
        account(1),
        AccountRow { status: AccountStatus::Deactivated, ..account(2) },
        bound_elsewhere,
        AccountRow { binding: None, ..account(4) },
        AccountRow { method: method("other"), ..account(5) },
    ];
    for row in rows {
        write(&*store, vec![put_account(row)]).await;
    }
    let any = AcmeAccountFilter::default;
    let cases: [(AcmeAccountFilter, &[u8]); 7] = [
        (any(), &[1, 2, 3, 4, 5]),
        (AcmeAccountFilter { method: Some(method("acme")), ..any() }, &[1, 2, 3, 4]),
        (AcmeAccountFilter { method: Some(method("none")), ..any() }, &[]),
        (AcmeAccountFilter { status: Some(AccountStatus::Valid), ..any() }, &[1, 3, 4, 5]),
        (AcmeAccountFilter { status: Some(AccountStatus::Revoked), ..any() }, &[]),
        (AcmeAccountFilter { credential: Some(credential_id(1)), ..any() }, &[1, 2, 5]),
        (
            AcmeAccountFilter {
                credential: Some(credential_id(1)),
                method: Some(method("acme")),
                status: Some(AccountStatus::Deactivated),
            },
            &[2],
        ),
    ];
    for (filter, expected) in cases {
        let found = store.acme_accounts(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| account_id(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
    let first = store.acme_accounts(&any(), &Page::first(2)).await.unwrap();
    let rest = Page { after: first.last().map(|(cursor, _)| *cursor), limit: 100 };
    let rest = store.acme_accounts(&any(), &rest).await.unwrap();
    assert_eq!((first.len(), rest.len()), (2, 3));
    // Replaced, an account keeps its place.
    let expect = vec![Expect::AcmeAccountVersion { id: account_id(1), version: 1 }];
    try_write(&*store, expect, vec![put_account(AccountRow { version: 2, ..account(1) })]).await.unwrap();
    let again = store.acme_accounts(&any(), &Page::first(1)).await.unwrap();
    assert_eq!((again[0].0, &again[0].1.id), (first[0].0, &account_id(1)));
}

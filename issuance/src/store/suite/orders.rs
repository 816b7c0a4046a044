//! Orders of ACME: who comes second reads again.

use std::sync::Arc;

use super::samples::*;
use crate::{
    acme::{
        ChallengeStatus, ChallengeType, OrderRow, OrderState, OrderStatus, StoredProblem, validation_job,
    },
    credential::CredentialRow,
    identity::AcmeOrderId,
    store::{Commit, Conflict, Expect, JobKind, JobLease, Page, Store, Write},
};

async fn read(store: &dyn Store, number: u8) -> OrderRow {
    store.acme_order(&order_id(number)).await.unwrap().unwrap()
}

/// Both names proved, of the version that this takes.
fn ready(number: u8) -> OrderRow {
    let mut row = order(number);
    for place in 0..row.authorizations.len() {
        row.start_challenge(place, ChallengeType::Http01, NOW).unwrap();
        row.challenge_succeeded(place, ChallengeType::Http01, NOW, LATER).unwrap();
    }
    row
}

fn issued(row: &OrderRow, number: u32) -> OrderRow {
    let mut row = row.clone();
    row.issued(issuer(1), serial(number), NOW).unwrap();
    row
}

fn failed(row: &OrderRow) -> OrderRow {
    let mut row = row.clone();
    row.invalidate(StoredProblem::new("unauthorized", "no \0 reason"), NOW).unwrap();
    row
}

fn expected(row: &OrderRow) -> Expect {
    Expect::AcmeOrderVersion { id: row.id.clone(), version: row.version }
}

/// Reads, changes and commits until nobody else came first.
async fn change(store: &dyn Store, id: &AcmeOrderId, change: impl Fn(&mut OrderRow)) {
    loop {
        let mut row = store.acme_order(id).await.unwrap().unwrap();
        let expect = vec![expected(&row)];
        change(&mut row);
        match try_write(store, expect.clone(), vec![put_order(row)]).await {
            Ok(_) => return,
            Err(conflict) => {
                assert!(matches!(conflict, Conflict::Expectation(_)), "{conflict}");
            }
        }
    }
}

pub async fn orders_are_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let mut processing = ready(2);
    processing.processing(request_id(1), &[0x30, 0, 0xff], NOW).unwrap();
    let rows = [
        OrderRow {
            not_before: Some(EARLIER),
            not_after: Some(LATER),
            profile: Some("short".into()),
            replaces: Some((issuer(1), serial(1))),
            ..order(1)
        },
        processing,
        issued(&ready(3), 3),
        failed(&order(4)),
        OrderRow { authorizations: Vec::new(), ..order(5) },
    ];
    for row in &rows {
        write(&*store, vec![put_order(row.clone())]).await;
        assert_eq!(store.acme_order(&row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(store.acme_order(&order_id(99)).await.unwrap(), None);
    // And once more, changed in all that may change.
    let changed = OrderRow { keep_until: NOW, version: 9, ..issued(&ready(1), 1) };
    write(&*store, vec![put_order(changed.clone())]).await;
    assert_eq!(read(&*store, 1).await, changed);
}

/// Two replicas that are asked at once: whoever comes second has no certificate.
pub async fn of_many_who_finalize_an_order_exactly_one_issues(store: Arc<dyn Store>) {
    let row = ready(1);
    write(&*store, vec![put_account(account(1)), put_order(row.clone())]).await;
    let tasks: Vec<_> = (1..=40)
        .map(|number| {
            let (store, done) = (Arc::clone(&store), issued(&row, number));
            let expect = vec![account_version(1, 1), expected(&row)];
            let writes = vec![insert(certificate(number)), put_order(done)];
            tokio::spawn(async move { try_write(&*store, expect, writes).await })
        })
        .collect();
    let mut granted = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => granted += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Expectation(Box::new(expected(&row)))),
        }
    }
    assert_eq!(granted, 1);
    let certificates = store.certificates(&Default::default(), &Page::first(100)).await.unwrap();
    let places: Vec<_> = certificates.into_iter().map(|(_, row)| (row.issuer, row.serial)).collect();
    assert_eq!(read(&*store, 1).await.certificate().as_slice(), places);
}

pub async fn authorizations_that_become_valid_at_once_are_all_kept(store: Arc<dyn Store>) {
    write(&*store, vec![put_order(order(1))]).await;
    let tasks: Vec<_> = (0..2)
        .map(|place| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let kind = ChallengeType::Http01;
                change(&*store, &order_id(1), |row| row.start_challenge(place, kind, NOW).unwrap()).await;
                change(&*store, &order_id(1), |row| {
                    row.challenge_succeeded(place, kind, NOW, LATER).unwrap()
                })
                .await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let row = read(&*store, 1).await;
    assert_eq!((row.version, row.status(NOW)), (5, OrderStatus::Ready));
}

/// Said twice, by whichever replica: one of them starts it, and there is one job.
pub async fn a_challenge_is_started_once_with_its_job(store: Arc<dyn Store>) {
    write(&*store, vec![put_order(order(1))]).await;
    let started = |kind| {
        let mut row = order(1);
        row.start_challenge(0, kind, NOW).unwrap();
        let job = Write::PutJob(Box::new(validation_job(&row.id, 0, LATER)));
        Commit { expect: vec![order_version(1, 1)], writes: vec![put_order(row), job], audit: Vec::new() }
    };
    let tasks: Vec<_> = [ChallengeType::Http01, ChallengeType::TlsAlpn01, ChallengeType::Http01]
        .into_iter()
        .map(|kind| {
            let (store, commit) = (Arc::clone(&store), started(kind));
            tokio::spawn(async move { store.commit(commit).await.unwrap() })
        })
        .collect();
    let mut begun = 0;
    for task in tasks {
        begun += usize::from(task.await.unwrap().is_ok());
    }
    assert_eq!(begun, 1);
    let mut row = read(&*store, 1).await;
    let kind = row.authorizations[0].processing().unwrap().kind;
    // Its process died; another takes the job, and ends it by the name that is known to all.
    let lease = JobLease { owner: "other".into(), until: LATER.plus_seconds(60) };
    let jobs = store.lease_jobs(&[JobKind::AcmeValidation], &lease, LATER, 10).await.unwrap();
    assert_eq!(jobs, [validation_job(&row.id, 0, LATER)]);
    let expect = vec![expected(&row)];
    row.challenge_failed(0, kind, NOW, StoredProblem::new("connection", "nobody there")).unwrap();
    let ended = Write::DeleteJob { id: validation_job(&row.id, 0, NOW).id };
    try_write(&*store, expect, vec![put_order(row), ended]).await.unwrap();
    assert_eq!(store.next_job(&[JobKind::AcmeValidation]).await.unwrap(), None);
    let row = read(&*store, 1).await;
    let challenge = row.authorizations[0].challenge(kind).unwrap();
    assert_eq!((challenge.status, row.status(NOW)), (ChallengeStatus::Invalid, OrderStatus::Invalid));
}

pub async fn a_changed_account_or_credential_stops_the_commit_of_its_order(store: Arc<dyn Store>) {
    let row = ready(1);
    let put =
        vec![Write::PutCredential(Box::new(credential(1))), put_account(account(1)), put_order(row.clone())];
    write(&*store, put).await;
    let credential_is = |version| Expect::CredentialVersion { id: credential_id(1), version };
    let expect = vec![account_version(1, 1), expected(&row), credential_is(1)];
    let done = vec![insert(certificate(1)), put_order(issued(&row, 1))];
    let changed = CredentialRow { version: 2, ..credential(1) };
    write(&*store, vec![Write::PutCredential(Box::new(changed))]).await;
    let outcome = try_write(&*store, expect.clone(), done.clone()).await;
    assert_eq!(outcome, Err(Conflict::Expectation(Box::new(credential_is(1)))));
    let mut gone = account(1);
    gone.deactivate().unwrap();
    write(&*store, vec![put_account(gone)]).await;
    let outcome = try_write(&*store, expect, done).await;
    assert_eq!(outcome, Err(Conflict::Expectation(Box::new(account_version(1, 1)))));
    assert_eq!(read(&*store, 1).await, row);
    assert_eq!(store.certificates(&Default::default(), &Page::first(1)).await.unwrap(), []);
}

pub async fn orders_of_an_account_come_in_pages(store: Arc<dyn Store>) {
    let of_other = |number| OrderRow { account: account_id(2), ..order(number) };
    for row in [order(5), of_other(6), order(4), order(3), failed(&order(2)), order(1)] {
        write(&*store, vec![put_order(row)]).await;
    }
    let numbers = async |page: Page| {
        let rows = store.acme_orders_of(&account_id(1), &page).await.unwrap();
        let last = rows.last().map(|(cursor, _)| *cursor);
        (rows.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), last)
    };
    let (first, after) = numbers(Page::first(2)).await;
    assert_eq!(first, [order_id(1), order_id(2)]);
    // Replaced, an order keeps its place; removed and made anew, it is the newest.
    write(&*store, vec![put_order(OrderRow { version: 2, ..order(4) })]).await;
    write(&*store, vec![put_order(OrderRow { version: 2, keep_until: EARLIER, ..order(5) })]).await;
    write(&*store, vec![Write::SweepAcmeOrders { now: NOW, limit: 1 }]).await;
    write(&*store, vec![put_order(order(5))]).await;
    let (second, after) = numbers(Page { after, limit: 1 }).await;
    assert_eq!(second, [order_id(3)]);
    let (third, after) = numbers(Page { after, limit: 2000 }).await;
    assert_eq!(third, [order_id(4)]);
    assert_eq!(numbers(Page::first(1)).await.0, [order_id(5)]);
    assert_eq!(numbers(Page { after, limit: 2 }).await.0, []);
    assert_eq!(store.acme_orders_of(&account_id(9), &Page::first(1)).await.unwrap(), []);
}

pub async fn the_order_that_replaces_a_certificate_is_the_one_that_came_furthest(store: Arc<dyn Store>) {
    let replaces = Some((issuer(1), serial(1)));
    let mut waiting = OrderRow { replaces, ..ready(3) };
    waiting.processing(request_id(1), &[1], NOW).unwrap();
    let rows = [
        (OrderRow { replaces: Some((issuer(1), serial(2))), ..order(9) }, None),
        (OrderRow { replaces: Some((issuer(2), serial(1))), ..order(10) }, None),
        (OrderRow { replaces, method: method("other"), ..order(11) }, None),
        (OrderRow { replaces, ..failed(&order(1)) }, None),
        (OrderRow { replaces, ..order(2) }, Some(2)),
        (waiting, Some(3)),
        (OrderRow { replaces, ..order(4) }, Some(3)),
        (OrderRow { replaces, ..issued(&ready(5), 5) }, Some(5)),
        (OrderRow { replaces, ..order(6) }, Some(5)),
    ];
    let found = async || {
        let row = store.acme_order_replacing(&method("acme"), issuer(1), &serial(1)).await.unwrap();
        row.map(|row| row.id)
    };
    for (row, expected) in rows {
        write(&*store, vec![put_order(row)]).await;
        assert_eq!(found().await, expected.map(order_id));
    }
    // Those that come to nothing let others take their place.
    for (gone, next) in [(5, Some(3)), (3, Some(6)), (6, Some(4)), (4, Some(2)), (2, None)] {
        let state = OrderState::Invalid { error: StoredProblem::new("serverInternal", "") };
        let row = read(&*store, gone).await;
        write(&*store, vec![put_order(OrderRow { state, ..row })]).await;
        assert_eq!(found().await, next.map(order_id));
    }
}

/// Each of them saw that there is none.
pub async fn of_many_orders_that_replace_one_certificate_exactly_one_is_made(store: Arc<dyn Store>) {
    let none =
        Expect::AcmeReplacing { method: method("acme"), issuer: issuer(1), serial: serial(1), by: None };
    let replacing = |number| OrderRow { replaces: Some((issuer(1), serial(1))), ..order(number) };
    let tasks: Vec<_> = (1..=20)
        .map(|number| {
            let (store, none) = (Arc::clone(&store), none.clone());
            let expect = vec![none, order_version(number, 0)];
            tokio::spawn(async move { try_write(&*store, expect, vec![put_order(replacing(number))]).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Expectation(Box::new(none.clone()))),
        }
    }
    assert_eq!(made, 1);
    // Whoever has seen the one that was made, and found it no good any more, takes its place; of another certificate or method
    // there is none.
    let first = store.acme_order_replacing(&method("acme"), issuer(1), &serial(1)).await.unwrap().unwrap().id;
    let seen = |by| Expect::AcmeReplacing {
        method: method("acme"),
        issuer: issuer(1),
        serial: serial(1),
        by: Some(by),
    };
    try_write(&*store, vec![seen(first.clone())], vec![put_order(replacing(30))]).await.unwrap();
    let outcome = try_write(&*store, vec![seen(first.clone())], vec![put_order(replacing(31))]).await;
    assert_eq!(outcome, Err(Conflict::Expectation(Box::new(seen(first)))));
    for (method, serial) in [(method("other"), serial(1)), (method("acme"), serial(2))] {
        let none = Expect::AcmeReplacing { method, issuer: issuer(1), serial, by: None };
        try_write(&*store, vec![none], Vec::new()).await.unwrap();
    }
}

pub async fn orders_are_swept_oldest_first_a_few_at_a_time(store: Arc<dyn Store>) {
    assert!(!store.acme_orders_to_sweep(LATER).await.unwrap());
    let ending = |number: u8, seconds| OrderRow { keep_until: NOW.plus_seconds(seconds), ..order(number) };
    let mut rows = vec![ending(1, 1), ending(2, -2), ending(3, 0), ending(4, -5), ending(5, -2)];
    // In whatever state.
    rows.push(OrderRow { keep_until: EARLIER, ..issued(&ready(6), 6) });
    rows.push(OrderRow { keep_until: EARLIER, ..failed(&order(7)) });
    for row in rows {
        write(&*store, vec![put_order(row)]).await;
    }
    let sweep = |limit| vec![Write::SweepAcmeOrders { now: NOW, limit }];
    let left = async || {
        let rows = store.acme_orders_of(&account_id(1), &Page::first(100)).await.unwrap();
        rows.into_iter().map(|(_, row)| row.id).rev().collect::<Vec<_>>()
    };
    write(&*store, sweep(0)).await;
    assert_eq!(left().await.len(), 7);
    let rounds: [&[u8]; 3] = [&[1, 2, 3, 4, 5], &[1, 3, 5], &[1]];
    for expected in rounds {
        assert!(store.acme_orders_to_sweep(NOW).await.unwrap());
        write(&*store, sweep(2)).await;
        assert_eq!(left().await, expected.iter().map(|number| order_id(*number)).collect::<Vec<_>>());
    }
    assert!(!store.acme_orders_to_sweep(NOW).await.unwrap());
    write(&*store, sweep(100)).await;
    assert_eq!(left().await, [order_id(1)]);
    assert!(store.acme_orders_to_sweep(NOW.plus_seconds(1)).await.unwrap());
}

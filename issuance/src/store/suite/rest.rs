//! Orders of REST: who comes second reads again.

use std::sync::Arc;

use super::samples::*;
use crate::{
    identity::RestOrderId,
    rest::{OrderKey, OrderRow, OrderState, OrderStatus, TransitionError},
    store::{Conflict, Expect, Page, RestOrderFilter, Store, Write},
};

async fn read(store: &dyn Store, number: u8) -> OrderRow {
    store.rest_order(&rest_order_id(number)).await.unwrap().unwrap()
}

fn expected(row: &OrderRow) -> Expect {
    Expect::RestOrderVersion { id: row.id.clone(), version: row.version }
}

fn with(row: &OrderRow, change: impl FnOnce(&mut OrderRow) -> Result<(), TransitionError>) -> OrderRow {
    let mut row = row.clone();
    change(&mut row).unwrap();
    row
}

fn issued(row: &OrderRow, number: u32) -> OrderRow {
    with(row, |row| row.issued((issuer(1), serial(number)), &[0x30], NOW))
}

pub async fn rest_orders_are_read_back_as_they_were_written(store: Arc<dyn Store>) {
    let pending = with(&rest_order(2), |row| row.pending(request_id(1), &[0x30, 0, 0xff], NOW));
    let mut anonymous = rest_order(5);
    anonymous.requester.credential = None;
    let rows = [
        OrderRow {
            replaces: Some((issuer(1), serial(1))),
            replaced_by: Some(rest_order_id(9)),
            ..issued(&rest_order(1), 1)
        },
        with(&pending, |row| row.deny(Some("no \0 reason".into()), NOW)),
        with(&rest_order(3), |row| row.cancel(NOW)),
        with(&rest_order(4), |row| row.fail("'; --".into(), NOW)),
        OrderRow { idempotency: None, asked: Default::default(), ..anonymous },
        OrderRow { key: OrderKey::HandedOut { at: NOW }, ..issued(&rest_order(6), 6) },
        pending,
    ];
    for row in &rows {
        write(&*store, vec![put_rest_order(row.clone())]).await;
        assert_eq!(store.rest_order(&row.id).await.unwrap().as_ref(), Some(row));
    }
    assert_eq!(store.rest_order(&rest_order_id(99)).await.unwrap(), None);
}

pub async fn an_idempotency_key_is_taken_per_method(store: Arc<dyn Store>) {
    let try_put = async |row: OrderRow| try_write(&*store, Vec::new(), vec![put_rest_order(row)]).await;
    let twin = |number, of: u8| OrderRow { idempotency: rest_order(of).idempotency, ..rest_order(number) };
    try_put(rest_order(1)).await.unwrap();
    assert_eq!(try_put(twin(2, 1)).await, Err(Conflict::RestOrderExists));
    try_put(OrderRow { method: method("other"), ..twin(3, 1) }).await.unwrap();
    // Without a key every order is another one.
    for number in [4, 5] {
        try_put(OrderRow { idempotency: None, ..rest_order(number) }).await.unwrap();
    }
    let key = rest_order(1).idempotency.unwrap().key;
    let found = async |of: &str| store.rest_order_by_key(&method(of), &key).await.unwrap().map(|row| row.id);
    assert_eq!(found("api").await, Some(rest_order_id(1)));
    assert_eq!(found("other").await, Some(rest_order_id(3)));
    assert_eq!(found("none").await, None);
    // It is the order's for as long as the order is kept.
    try_put(with(&rest_order(1), |row| row.cancel(NOW))).await.unwrap();
    assert_eq!(try_put(twin(2, 1)).await, Err(Conflict::RestOrderExists));
    let ended = OrderRow { keep_until: NOW, ..read(&*store, 1).await };
    try_put(ended).await.unwrap();
    write(&*store, vec![Write::SweepRestOrders { now: NOW, limit: 10 }]).await;
    assert_eq!(found("api").await, None);
    try_put(twin(2, 1)).await.unwrap();
}

/// The same order, sent again before the first was answered: to whichever replica.
pub async fn of_many_orders_with_one_idempotency_key_exactly_one_issues(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (1..=40_u8)
        .map(|number| {
            let store = Arc::clone(&store);
            let row = OrderRow { idempotency: rest_order(1).idempotency, version: 0, ..rest_order(number) };
            let writes =
                vec![insert(certificate(number.into())), put_rest_order(issued(&row, number.into()))];
            tokio::spawn(async move { try_write(&*store, vec![expected(&row)], writes).await })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::RestOrderExists),
        }
    }
    assert_eq!(made, 1);
    // Whoever came second answers with what the first has.
    let key = rest_order(1).idempotency.unwrap().key;
    let row = store.rest_order_by_key(&method("api"), &key).await.unwrap().unwrap();
    assert_eq!(row.version, 1);
    let certificates = store.certificates(&Default::default(), &Page::first(100)).await.unwrap();
    let places: Vec<_> = certificates.into_iter().map(|(_, row)| (row.issuer, row.serial)).collect();
    assert_eq!(row.certificate().as_slice(), places);
}

pub async fn an_order_is_either_cancelled_or_issued(store: Arc<dyn Store>) {
    for number in 1..=20_u8 {
        let row = OrderRow { idempotency: None, ..rest_order(number) };
        write(&*store, vec![put_rest_order(row.clone())]).await;
        let cancelled = vec![put_rest_order(with(&row, |row| row.cancel(NOW)))];
        let done = vec![insert(certificate(number.into())), put_rest_order(issued(&row, number.into()))];
        let [first, second] = if number % 2 == 0 { [cancelled, done] } else { [done, cancelled] };
        let task = |writes| {
            let (store, expect) = (Arc::clone(&store), vec![expected(&row)]);
            tokio::spawn(async move { try_write(&*store, expect, writes).await })
        };
        let outcomes = [task(first), task(second)];
        let mut held = 0;
        for outcome in outcomes {
            match outcome.await.unwrap() {
                Ok(_) => held += 1,
                Err(conflict) => {
                    assert_eq!(conflict, Conflict::Expectation(Box::new(expected(&row))));
                }
            }
        }
        assert_eq!(held, 1);
        let found = store.certificate(issuer(1), &serial(number.into())).await.unwrap();
        assert_eq!(found.is_some(), read(&*store, number).await.status(NOW) == OrderStatus::Issued);
    }
}

pub async fn of_many_who_fetch_a_key_exactly_one_has_it(store: Arc<dyn Store>) {
    let held = OrderRow { key: OrderKey::Held { sealed: vec![1, 0, 2] }, ..rest_order(1) };
    let row = issued(&held, 1);
    write(&*store, vec![put_rest_order(row.clone())]).await;
    let tasks: Vec<_> = (0..30)
        .map(|_| {
            let (store, expect) = (Arc::clone(&store), vec![expected(&row)]);
            let fetched = vec![put_rest_order(with(&row, |row| row.hand_out_key(NOW)))];
            tokio::spawn(async move { try_write(&*store, expect, fetched).await.is_ok() })
        })
        .collect();
    let mut fetched = 0;
    for task in tasks {
        fetched += usize::from(task.await.unwrap());
    }
    assert_eq!(fetched, 1);
    assert_eq!(read(&*store, 1).await.key, OrderKey::HandedOut { at: NOW });
}

pub async fn an_order_is_found_by_its_certificate_where_the_server_made_the_key(store: Arc<dyn Store>) {
    let held = OrderKey::Held { sealed: vec![1] };
    let keyed = |number: u8| OrderRow { key: held.clone(), ..rest_order(number) };
    let rows = [
        issued(&keyed(1), 1),
        issued(&rest_order(2), 2),
        with(&issued(&keyed(3), 3), |row| row.hand_out_key(NOW)),
        issued(&OrderRow { method: method("other"), ..keyed(4) }, 4),
        keyed(5),
    ];
    for row in rows {
        write(&*store, vec![put_rest_order(row)]).await;
    }
    let found = async |key: u8, number: u32| {
        let row = store.rest_order_of(&method("api"), issuer(key), &serial(number)).await.unwrap();
        row.map(|row| row.id)
    };
    for (number, expected) in [(1, Some(1)), (2, None), (3, Some(3)), (4, None), (5, None)] {
        assert_eq!(found(1, number).await, expected.map(rest_order_id), "{number}");
    }
    assert_eq!(found(2, 1).await, None);
    // It is found as soon as it is issued.
    write(&*store, vec![put_rest_order(issued(&keyed(5), 5))]).await;
    assert_eq!(found(1, 5).await, Some(rest_order_id(5)));
}

pub async fn the_order_that_renews_a_certificate_is_the_one_that_came_furthest(store: Arc<dyn Store>) {
    let replaces = Some((issuer(1), serial(1)));
    let renewing = |number: u8| OrderRow { replaces, ..rest_order(number) };
    let rows = [
        (OrderRow { replaces: Some((issuer(1), serial(2))), ..rest_order(9) }, None),
        (OrderRow { replaces: Some((issuer(2), serial(1))), ..rest_order(10) }, None),
        (OrderRow { method: method("other"), ..renewing(11) }, None),
        (with(&renewing(1), |row| row.cancel(NOW)), None),
        (renewing(2), Some(2)),
        (with(&renewing(3), |row| row.pending(request_id(1), &[1], NOW)), Some(3)),
        (issued(&renewing(4), 4), Some(4)),
        (renewing(5), Some(4)),
    ];
    let found = async || {
        let row = store.rest_order_replacing(&method("api"), issuer(1), &serial(1)).await.unwrap();
        row.map(|row| row.id)
    };
    for (row, expected) in rows {
        write(&*store, vec![put_rest_order(row)]).await;
        assert_eq!(found().await, expected.map(rest_order_id));
    }
    // Those that come to nothing let others take their place.
    for (gone, next) in [(5, Some(4)), (3, Some(4)), (2, Some(4))] {
        let row = read(&*store, gone).await;
        write(&*store, vec![put_rest_order(with(&row, |row| row.fail("no".into(), NOW)))]).await;
        assert_eq!(found().await, next.map(rest_order_id));
    }
}

/// Each of them saw that there is none.
pub async fn of_many_orders_that_renew_one_certificate_exactly_one_is_made(store: Arc<dyn Store>) {
    let seen = |by| Expect::RestReplacing { method: method("api"), issuer: issuer(1), serial: serial(1), by };
    let renewing = |number| OrderRow { replaces: Some((issuer(1), serial(1))), ..rest_order(number) };
    let tasks: Vec<_> = (1..=20)
        .map(|number| {
            let (store, expect) = (Arc::clone(&store), vec![seen(None), rest_order_version(number, 0)]);
            tokio::spawn(
                async move { try_write(&*store, expect, vec![put_rest_order(renewing(number))]).await },
            )
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => made += 1,
            Err(conflict) => assert_eq!(conflict, Conflict::Expectation(Box::new(seen(None)))),
        }
    }
    assert_eq!(made, 1);
    // Whoever has seen the one that was made takes its place; of another certificate or method there is none.
    let first = store.rest_order_replacing(&method("api"), issuer(1), &serial(1)).await.unwrap().unwrap().id;
    try_write(&*store, vec![seen(Some(first.clone()))], vec![put_rest_order(renewing(30))]).await.unwrap();
    let outcome =
        try_write(&*store, vec![seen(Some(first.clone()))], vec![put_rest_order(renewing(31))]).await;
    assert_eq!(outcome, Err(Conflict::Expectation(Box::new(seen(Some(first))))));
    for (method, serial) in [(method("other"), serial(1)), (method("api"), serial(2))] {
        let none = Expect::RestReplacing { method, issuer: issuer(1), serial, by: None };
        try_write(&*store, vec![none], Vec::new()).await.unwrap();
    }
}

pub async fn rest_order_filters_select_their_own(store: Arc<dyn Store>) {
    let mut of_other_credential = rest_order(3);
    of_other_credential.requester.credential = Some(credential_id(7));
    let held = OrderKey::Held { sealed: vec![1] };
    let rows = [
        rest_order(1),
        OrderRow { method: method("other"), ..rest_order(2) },
        of_other_credential,
        OrderRow { expires_at: NOW, ..rest_order(4) },
        OrderRow { created_at: EARLIER, ..issued(&rest_order(5), 5) },
        OrderRow { created_at: LATER, ..with(&rest_order(6), |row| row.cancel(NOW)) },
        OrderRow { key: held, ..rest_order(7) },
        with(&rest_order(8), |row| row.await_proof(b"csr", NOW)),
    ];
    for row in rows {
        write(&*store, vec![put_rest_order(row)]).await;
    }
    let any = RestOrderFilter::default;
    let at = |status| RestOrderFilter { status: Some((status, NOW)), ..any() };
    let cases: [(RestOrderFilter, &[u8]); 18] = [
        (any(), &[1, 2, 3, 4, 5, 6, 7, 8]),
        (RestOrderFilter { method: Some(method("api")), ..any() }, &[1, 3, 4, 5, 6, 7, 8]),
        (RestOrderFilter { method: Some(method("none")), ..any() }, &[]),
        (RestOrderFilter { credential: Some(credential_id(7)), ..any() }, &[3]),
        (RestOrderFilter { credential: Some(credential_id(9)), ..any() }, &[]),
        (at(OrderStatus::AwaitingCsr), &[1, 2, 3, 7]),
        (at(OrderStatus::AwaitingProof), &[8]),
        (at(OrderStatus::Expired), &[4]),
        (RestOrderFilter { status: Some((OrderStatus::Expired, LATER)), ..any() }, &[1, 2, 3, 4, 7, 8]),
        (at(OrderStatus::Issued), &[5]),
        (at(OrderStatus::Cancelled), &[6]),
        (at(OrderStatus::Pending), &[]),
        (RestOrderFilter { created_from: Some(NOW), ..any() }, &[1, 2, 3, 4, 6, 7, 8]),
        (RestOrderFilter { created_before: Some(NOW), ..any() }, &[5]),
        (
            RestOrderFilter { created_from: Some(EARLIER), created_before: Some(LATER), ..any() },
            &[1, 2, 3, 4, 5, 7, 8],
        ),
        (RestOrderFilter { key_held: Some(true), ..any() }, &[7]),
        (RestOrderFilter { key_held: Some(false), ..any() }, &[1, 2, 3, 4, 5, 6, 8]),
        (
            RestOrderFilter {
                method: Some(method("api")),
                credential: Some(credential_id(1)),
                created_from: Some(EARLIER),
                created_before: Some(NOW),
                key_held: Some(false),
                ..at(OrderStatus::Issued)
            },
            &[5],
        ),
    ];
    for (filter, expected) in cases {
        let found = store.rest_orders(&filter, &Page::first(100)).await.unwrap();
        let expected: Vec<_> = expected.iter().map(|number| rest_order_id(*number)).collect();
        assert_eq!(found.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

pub async fn rest_orders_come_in_pages(store: Arc<dyn Store>) {
    for number in [5, 4, 3, 2, 1] {
        let of = method(if number == 4 { "other" } else { "api" });
        write(&*store, vec![put_rest_order(OrderRow { method: of, ..rest_order(number) })]).await;
    }
    let filter = RestOrderFilter { method: Some(method("api")), ..Default::default() };
    let ids = async |page: Page| {
        let rows = store.rest_orders(&filter, &page).await.unwrap();
        let last = rows.last().map(|(cursor, _)| *cursor);
        (rows.into_iter().map(|(_, row)| row.id).collect::<Vec<RestOrderId>>(), last)
    };
    let (first, after) = ids(Page::first(2)).await;
    assert_eq!(first, [rest_order_id(5), rest_order_id(3)]);
    // Replaced, an order keeps its place; removed and made anew, it comes last.
    write(&*store, vec![put_rest_order(OrderRow { version: 2, keep_until: EARLIER, ..rest_order(5) })]).await;
    write(&*store, vec![Write::SweepRestOrders { now: NOW, limit: 1 }]).await;
    write(&*store, vec![put_rest_order(rest_order(5))]).await;
    let (second, after) = ids(Page { after, limit: 2000 }).await;
    assert_eq!(second, [rest_order_id(2), rest_order_id(1), rest_order_id(5)]);
    assert_eq!(ids(Page { after, limit: 2 }).await.0, []);
}

pub async fn rest_orders_are_swept_oldest_first_a_few_at_a_time(store: Arc<dyn Store>) {
    assert!(!store.rest_orders_to_sweep(LATER).await.unwrap());
    let ending =
        |number: u8, seconds| OrderRow { keep_until: NOW.plus_seconds(seconds), ..rest_order(number) };
    let state = OrderState::Pending { request: request_id(1) };
    for row in [ending(1, 1), ending(2, -2), ending(3, 0), OrderRow { state, ..ending(4, -5) }] {
        write(&*store, vec![put_rest_order(row)]).await;
    }
    let left = async || {
        let rows = store.rest_orders(&RestOrderFilter::default(), &Page::first(100)).await.unwrap();
        rows.into_iter().map(|(_, row)| row.id).collect::<Vec<_>>()
    };
    let rounds: [(u32, &[u8]); 4] = [(0, &[1, 2, 3, 4]), (1, &[1, 2, 3]), (1, &[1, 3]), (9, &[1])];
    for (limit, expected) in rounds {
        assert!(store.rest_orders_to_sweep(NOW).await.unwrap());
        write(&*store, vec![Write::SweepRestOrders { now: NOW, limit }]).await;
        assert_eq!(left().await, expected.iter().map(|number| rest_order_id(*number)).collect::<Vec<_>>());
    }
    assert!(!store.rest_orders_to_sweep(NOW).await.unwrap());
    assert!(store.rest_orders_to_sweep(NOW.plus_seconds(1)).await.unwrap());
}

use std::sync::Arc;

use super::*;
use crate::{
    audit::append,
    identity::Protocol,
    store::{
        memory::MemoryStore,
        suite::samples::{LATER, NOW, event},
    },
    testing::HookedStore,
};

/// A trail of these streams: the seconds after [`NOW`] of each record, whose reasons are `stream:sequence`.
fn trail(streams: &[(&str, &[i64])]) -> Arc<HookedStore> {
    let mut records = Vec::new();
    for (stream, times) in streams {
        let mut head = None;
        for (seconds, number) in times.iter().zip(1..) {
            let event = AuditEvent { at: NOW.plus_seconds(*seconds), ..event(&format!("{stream}:{number}")) };
            let record = append(stream, head, &event).unwrap();
            head = Some((record.sequence, record.hash));
            records.push(record);
        }
    }
    shown(records)
}

fn shown(records: Vec<AuditRecord>) -> Arc<HookedStore> {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    store.rewrite_trail(records);
    store
}

fn asked(filter: AuditFilter, order: AuditOrder, limit: usize) -> AuditQuery {
    AuditQuery { filter, order, after: None, limit }
}

fn reasons(page: &AuditPage) -> Vec<&str> {
    page.records.iter().map(|(_, event)| event.reason.as_deref().unwrap()).collect()
}

fn between(from: i64, until: i64) -> AuditFilter {
    let time = |seconds| Some(NOW.plus_seconds(seconds));
    AuditFilter { from: time(from), until: time(until), ..AuditFilter::default() }
}

#[tokio::test]
async fn streams_are_read_together_in_the_order_of_time() {
    let store = trail(&[("a", &[1, 4, 7]), ("b", &[2, 3, 9]), ("c", &[]), ("d", &[5])]);
    let oldest = query(&*store, &asked(AuditFilter::default(), AuditOrder::OldestFirst, 100)).await.unwrap();
    assert_eq!(reasons(&oldest), ["a:1", "b:1", "b:2", "a:2", "d:1", "a:3", "b:3"]);
    let newest = query(&*store, &asked(AuditFilter::default(), AuditOrder::NewestFirst, 100)).await.unwrap();
    let mut reversed = reasons(&oldest);
    reversed.reverse();
    assert_eq!(reasons(&newest), reversed);
    assert_eq!((oldest.next, newest.next), (None, None));
}

#[tokio::test]
async fn a_range_of_time_begins_and_ends_with_its_seconds() {
    // Records far outside, so that the range has to be looked for.
    let hours: Vec<i64> = (0..200).map(|number| number * 1800).collect();
    let store = trail(&[("a", &hours), ("b", &[0, 3600, 100_000]), ("c", &[400_000])]);
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        let page = query(&*store, &asked(between(3600, 7200), order, 100)).await.unwrap();
        let mut found = reasons(&page);
        found.sort_unstable();
        assert_eq!(found, ["a:3", "a:4", "b:2"]);
        for empty in [between(-10, 0), between(500_000, 600_000), between(3601, 3602), between(7200, 3600)] {
            let page = query(&*store, &asked(empty, order, 100)).await.unwrap();
            assert!(page.records.is_empty() && page.next.is_none(), "{page:?}");
        }
    }
}

#[tokio::test]
async fn records_a_little_out_of_their_order_are_found() {
    let mut times: Vec<i64> = (0..100).map(|number| number * 600).collect();
    // A clock that was put back by most of an hour, and one record that waited as long.
    for time in &mut times[50..55] {
        *time -= 3000;
    }
    times[20] -= 3599;
    let store = trail(&[("a", &times)]);
    for (from, until) in [(0, 60_000), (27_000, 28_000), (8_000, 9_000), (29_400, 30_000), (30_600, 60_000)] {
        let matching = |seconds: &&i64| (from..until).contains(*seconds);
        let expected = times.iter().filter(matching).count();
        for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
            let page = query(&*store, &asked(between(from, until), order, 1000)).await.unwrap();
            assert_eq!(page.records.len(), expected, "{from} {until} {order:?}");
        }
    }
}

#[tokio::test]
async fn a_trail_whose_beginning_was_pruned_is_read_from_where_it_begins() {
    let whole = trail(&[("a", &(0..100).map(|number| number * 3600).collect::<Vec<_>>())]);
    let mut records = whole.audit_records("a", 0, 1000).await.unwrap();
    records.drain(..60);
    let store = shown(records);
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        let all = query(&*store, &asked(AuditFilter::default(), order, 1000)).await.unwrap();
        assert_eq!((all.records.len(), all.next), (40, None));
        let some = query(&*store, &asked(between(0, 62 * 3600), order, 1000)).await.unwrap();
        assert_eq!(some.records.len(), 2);
    }
}

#[tokio::test]
async fn one_call_looks_at_a_bounded_number_of_records_and_says_where_to_go_on() {
    let times: Vec<i64> = (0..MAX_SCANNED as i64 + 500).collect();
    let store = trail(&[("a", &times)]);
    let nobody = AuditFilter { actor: Some("nobody".into()), ..AuditFilter::default() };
    for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
        let mut asked = asked(nobody.clone(), order, 10);
        let first = query(&*store, &asked).await.unwrap();
        assert!(first.records.is_empty());
        asked.after = first.next;
        assert!(asked.after.is_some());
        let second = query(&*store, &asked).await.unwrap();
        assert_eq!((second.records.len(), second.next), (0, None));
    }
}

#[tokio::test]
async fn a_stream_that_comes_while_pages_are_read_is_read_on_from_the_oldest_and_not_from_the_newest() {
    let before: (&str, &[i64]) = ("a", &[1, 2, 3]);
    let page = |order, after| AuditQuery { after, ..asked(AuditFilter::default(), order, 2) };
    let after: [(&str, &[i64]); 2] = [before, ("b", &[4])];
    for (order, first, second) in [
        (AuditOrder::OldestFirst, ["a:1", "a:2"], vec!["a:3", "b:1"]),
        (AuditOrder::NewestFirst, ["a:3", "a:2"], vec!["a:1"]),
    ] {
        let one = query(&*trail(&[before]), &page(order, None)).await.unwrap();
        assert_eq!(reasons(&one), first);
        let two = query(&*trail(&after), &page(order, one.next)).await.unwrap();
        assert_eq!(reasons(&two), second);
    }
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_said_to_be_corrupt() {
    let mut records = trail(&[("a", &[1, 2])]).audit_records("a", 0, 10).await.unwrap();
    records[1].body = "{}".into();
    let error = query(&*shown(records), &asked(AuditFilter::default(), AuditOrder::OldestFirst, 10)).await;
    assert!(matches!(&error, Err(StoreError::Corrupt(reason)) if reason.contains("(\"a\", 2)")), "{error:?}");
}

#[test]
fn what_the_server_issued_to_itself_is_in_the_trail_of_no_method() {
    let method = ResourceName::new("lab", "api");
    let ann = Actor::Requester {
        protocol: Protocol::Rest,
        name: "lab/ann".into(),
        address: None,
        credential: None,
    };
    let event = |action, actor| {
        let event = AuditEvent::new(NOW, action, AuditOutcome::Done, actor);
        AuditEvent { method: Some(method.clone()), ..event }
    };
    for scope in [MethodScope::from(method.clone()), MethodScope::Namespace("lab".into())] {
        let filter = AuditFilter { methods: Some(scope), ..AuditFilter::default() };
        assert!(!filter.matches(&event(Action::CertificateIssued, Actor::Server)));
        assert!(filter.matches(&event(Action::CertificateIssued, ann.clone())));
        assert!(filter.matches(&event(Action::CredentialCreated, Actor::Server)), "declared");
    }
    assert!(AuditFilter::default().matches(&event(Action::CertificateIssued, Actor::Server)));
}

#[test]
fn a_cursor_is_what_an_answer_gave() {
    let cursor = AuditCursor([("pod-0/1".to_owned(), 7), ("main".to_owned(), u64::MAX)].into());
    assert_eq!(cursor.to_string().parse::<AuditCursor>(), Ok(cursor));
    for bad in ["", "!", "e30=", "W10", "eyJhIjotMX0"] {
        assert_eq!(bad.parse::<AuditCursor>(), Err(BadCursor), "{bad}");
    }
}

#[test]
fn the_time_of_a_record_is_read_without_the_rest() {
    let record = append("a", None, &AuditEvent { at: LATER, ..event("\"at\":1") }).unwrap();
    assert_eq!(time_of(&record).unwrap(), LATER);
    let broken = AuditRecord { body: format!("{{\"at\":{},broken", LATER.unix()), ..record.clone() };
    assert_eq!(time_of(&broken).unwrap(), LATER);
    assert!(time_of(&AuditRecord { body: "{\"at\":x,".into(), ..record }).is_err());
}

//! The trail.

use std::sync::Arc;

use super::samples::*;
use crate::{
    audit::{
        self, Action, Actor, AuditCursor, AuditEvent, AuditFilter, AuditOrder, AuditOutcome, AuditQuery,
        Checkpoint, GENESIS, StreamHead,
    },
    identity::{Protocol, ResourceName},
    store::{Commit, Committed, Conflict, MethodScope, Store, Write},
};

pub async fn the_audit_chain_has_no_gaps_under_concurrency_and_conflicts(store: Arc<dyn Store>) {
    write(&*store, vec![insert(certificate(1))]).await;
    let tasks: Vec<_> = (2..=201)
        .map(|number| {
            let store = Arc::clone(&store);
            // Every fourth one conflicts, after a write that holds.
            let mut writes = vec![insert(certificate(number))];
            writes.extend((number % 4 == 0).then(|| insert(certificate(1))));
            let audit = vec![event(&format!("first {number}")), event(&format!("second {number}"))];
            tokio::spawn(async move {
                store.commit(Commit { expect: Vec::new(), writes, audit }).await.unwrap().is_ok()
            })
        })
        .collect();
    let mut committed = 0;
    for task in tasks {
        committed += u64::from(task.await.unwrap());
    }
    assert_eq!(committed, 150);
    let report = audit::verify(&*store, &[]).await.unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.records, 1 + 2 * committed);
    // Both events of a commit stand together, in whichever stream.
    for stream in store.audit_streams().await.unwrap() {
        let records = store.audit_records(&stream, 0, 1000).await.unwrap();
        let reasons = records.iter().map(|record| record.event().unwrap().reason.unwrap());
        let mut reasons = reasons.filter(|reason| reason != "tried");
        while let Some(first) = reasons.next() {
            assert_eq!(Some(first.replace("first", "second")), reasons.next());
        }
    }
}

pub async fn audit_records_come_in_pages(store: Arc<dyn Store>) {
    assert_eq!(store.audit_streams().await.unwrap(), Vec::<String>::new());
    for number in 1..=5 {
        let commit = Commit { audit: vec![event(&number.to_string())], ..Commit::default() };
        store.commit(commit).await.unwrap().unwrap();
    }
    let stream = store.audit_streams().await.unwrap().remove(0);
    let read = async |after, limit| {
        let records = store.audit_records(&stream, after, limit).await.unwrap();
        records.into_iter().map(|record| record.sequence).collect::<Vec<_>>()
    };
    assert_eq!(read(0, 3).await, [1, 2, 3]);
    assert_eq!(read(3, 3).await, [4, 5]);
    assert!(read(5, 3).await.is_empty());
    assert!(read(0, 0).await.is_empty());
    assert!(read(u64::MAX, 3).await.is_empty());
    let all = store.audit_records(&stream, 0, 100).await.unwrap();
    assert_eq!(all[0].previous, GENESIS);
    assert_eq!(store.audit_head(&stream).await.unwrap(), all.last().cloned());
    assert_eq!(all[4].event().unwrap(), event("5"));
    assert_eq!(store.audit_records("another", 0, 100).await.unwrap(), []);
    assert_eq!(store.audit_head("another").await.unwrap(), None);
}

pub async fn a_commit_says_where_its_audit_ended(store: Arc<dyn Store>) {
    let commit = |events: usize| {
        let audit = (0..events).map(|number| event(&number.to_string())).collect();
        Commit { audit, ..Commit::default() }
    };
    let first = store.commit(commit(3)).await.unwrap().unwrap();
    let stream = store.audit_streams().await.unwrap().remove(0);
    assert_eq!(first, Committed { audit: Some((stream.clone(), 3)) });
    assert_eq!(store.commit(commit(0)).await.unwrap(), Ok(Committed { audit: None }));
    assert_eq!(store.commit(commit(1)).await.unwrap(), Ok(Committed { audit: Some((stream, 4)) }));
    let taken = Commit { writes: vec![insert(certificate(1)), insert(certificate(1))], ..commit(1) };
    assert_eq!(store.commit(taken).await.unwrap(), Err(Conflict::SerialTaken { serial: serial(1) }));
}

pub async fn checkpoints_come_in_the_order_they_were_made(store: Arc<dyn Store>) {
    let head = |sequence| StreamHead { stream: "main".into(), sequence, hash: [sequence as u8; 32] };
    let checkpoints: Vec<_> = [(NOW, 2), (EARLIER, 1), (NOW, 3)]
        .map(|(at, sequence)| Checkpoint {
            at,
            heads: vec![head(sequence), head(sequence + 1)],
            public_key: [1; 32],
            signature: vec![2; 64],
        })
        .into();
    for checkpoint in &checkpoints {
        write(&*store, vec![Write::PutCheckpoint(Box::new(checkpoint.clone()))]).await;
    }
    assert_eq!(store.checkpoints().await.unwrap(), checkpoints);
}

pub async fn check_passes(store: Arc<dyn Store>) {
    store.check().await.unwrap();
    write(&*store, vec![insert(certificate(1))]).await;
    store.check().await.unwrap();
}

async fn record(store: &dyn Store, event: AuditEvent) {
    store.commit(Commit { audit: vec![event], ..Commit::default() }).await.unwrap().unwrap();
}

/// The reasons of all that matches, read in pages of so many.
async fn found(store: &dyn Store, filter: &AuditFilter, order: AuditOrder, limit: usize) -> Vec<String> {
    let mut query = AuditQuery { filter: filter.clone(), order, after: None, limit };
    let mut reasons = Vec::new();
    loop {
        let page = store.audit_query(&query).await.unwrap();
        assert!(page.records.len() <= limit);
        for (record, event) in page.records {
            assert_eq!(record.event().unwrap(), event);
            reasons.push(event.reason.unwrap());
        }
        let Some(next) = page.next else { return reasons };
        query.after = Some(next.to_string().parse::<AuditCursor>().unwrap());
    }
}

pub async fn each_audit_filter_selects_its_own(store: Arc<dyn Store>) {
    let requester = |name: &str| Actor::Requester {
        protocol: Protocol::Rest,
        name: name.into(),
        address: Some("192.0.2.1".into()),
        credential: (name == "ann").then(|| credential_id(3)),
    };
    let profile = ResourceName::new("pki", "device");
    let events = [
        AuditEvent { actor: requester("ann"), ..event("0") },
        AuditEvent {
            actor: Actor::Operator { name: "ann".into() },
            action: Action::CredentialRevoked,
            ..event("1")
        },
        AuditEvent { at: EARLIER, actor: requester("bob \"\0\u{e9}"), ..event("2") },
        AuditEvent { at: LATER, credential: Some(credential_id(1)), ..event("3") },
        AuditEvent { profile: Some(profile.clone()), outcome: AuditOutcome::Refused, ..event("4") },
        AuditEvent {
            serial: Some(serial(1)),
            method: Some(method("est")),
            action: Action::CertificateHeld,
            ..event("5")
        },
        AuditEvent {
            serial: Some(serial(2)),
            method: Some(method("est-2")),
            action: Action::CertificateHeld,
            ..event("6")
        },
        AuditEvent { actor: requester("server"), ..event("7") },
        // What only speaks of it is not it.
        AuditEvent { subject: Some("CN=factory/est".into()), authority: Some(method("est")), ..event("8") },
    ];
    for event in events {
        record(&*store, event).await;
    }
    let any = AuditFilter::default;
    let cases: [(AuditFilter, &[u8]); 21] = [
        (any(), &[2, 0, 1, 4, 5, 6, 7, 8, 3]),
        (AuditFilter { actor: Some("ann".into()), ..any() }, &[0, 1]),
        (AuditFilter { actor: Some("bob \"\0\u{e9}".into()), ..any() }, &[2]),
        (AuditFilter { actor: Some("server".into()), ..any() }, &[4, 5, 6, 7, 8, 3]),
        (AuditFilter { actor: Some("an".into()), ..any() }, &[]),
        (AuditFilter { action: Some(Action::CredentialRevoked), ..any() }, &[1]),
        (AuditFilter { from: Some(NOW), ..any() }, &[0, 1, 4, 5, 6, 7, 8, 3]),
        (AuditFilter { until: Some(NOW), ..any() }, &[2]),
        (AuditFilter { from: Some(NOW), until: Some(LATER), ..any() }, &[0, 1, 4, 5, 6, 7, 8]),
        (AuditFilter { credential: Some(credential_id(1)), ..any() }, &[3]),
        (AuditFilter { credential: Some(credential_id(3)), ..any() }, &[0]),
        (AuditFilter { profile: Some(profile), ..any() }, &[4]),
        (AuditFilter { outcome: Some(AuditOutcome::Refused), ..any() }, &[4]),
        (AuditFilter { serial: Some(serial(1)), ..any() }, &[5]),
        (AuditFilter { methods: Some(method("est").into()), ..any() }, &[5]),
        (AuditFilter { serial: Some(serial(2)), methods: Some(method("est").into()), ..any() }, &[]),
        (AuditFilter { methods: Some(MethodScope::of(["est", "est-2"].map(method))), ..any() }, &[5, 6]),
        (AuditFilter { methods: Some(MethodScope::of([])), ..any() }, &[]),
        (AuditFilter { methods: Some(MethodScope::Namespace("factory".into())), ..any() }, &[5, 6]),
        (AuditFilter { methods: Some(MethodScope::Namespace("fact".into())), ..any() }, &[]),
        (AuditFilter { methods: Some(MethodScope::Namespace("factory\"".into())), ..any() }, &[]),
    ];
    for (filter, expected) in cases {
        // In which order records of one time come is the stream's affair.
        let mut expected: Vec<_> = expected.iter().map(ToString::to_string).collect();
        expected.sort();
        for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
            let mut found = found(&*store, &filter, order, 2).await;
            found.sort();
            assert_eq!(found, expected, "{filter:?}");
        }
    }
}

/// Written by many at once, and so in several streams where the store has several.
pub async fn a_query_gives_every_record_once_whatever_the_pages(store: Arc<dyn Store>) {
    let tasks: Vec<_> = (0..60)
        .map(|number| {
            let store = Arc::clone(&store);
            let event = AuditEvent { at: NOW.plus_seconds(number), ..event(&format!("{number:02}")) };
            tokio::spawn(async move { record(&*store, event).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let mut everything: Vec<_> = (0..60).map(|number| format!("{number:02}")).collect();
    for limit in [1, 7, 60, 1000] {
        for order in [AuditOrder::OldestFirst, AuditOrder::NewestFirst] {
            let mut found = found(&*store, &AuditFilter::default(), order, limit).await;
            found.sort();
            assert_eq!(found, everything, "{limit}");
        }
    }
    // Nothing is asked for, and more remains.
    let nothing =
        AuditQuery { filter: AuditFilter::default(), order: AuditOrder::OldestFirst, after: None, limit: 0 };
    let page = store.audit_query(&nothing).await.unwrap();
    assert!(page.records.is_empty() && page.next.is_some());
    // What comes later is found by whoever reads on, oldest first.
    let all = AuditQuery { limit: 59, ..nothing };
    let page = store.audit_query(&all).await.unwrap();
    record(&*store, AuditEvent { at: NOW.plus_seconds(60), ..event("60") }).await;
    let rest = store.audit_query(&AuditQuery { after: page.next, limit: 1000, ..all }).await.unwrap();
    let read = page.records.into_iter().chain(rest.records).map(|(_, event)| event.reason.unwrap());
    let mut read: Vec<_> = read.collect();
    read.sort();
    everything.push("60".into());
    assert_eq!(read, everything);
}

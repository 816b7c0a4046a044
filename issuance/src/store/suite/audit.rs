//! The trail.

use std::sync::Arc;

use super::samples::*;
use crate::{
    audit::{self, Checkpoint, GENESIS, StreamHead},
    store::{Commit, Committed, Conflict, Store, Write},
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

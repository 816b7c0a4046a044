//! Whatever is done to the trail is found, and a clean trail is clean.

use std::sync::Arc;

use aws_lc_rs::signature::Ed25519KeyPair;

use super::{AuditRecord, Checkpoint, Finding, GENESIS, Report, StreamHead, append, verify};
use crate::{
    approval::Verdict,
    authn::Freshness,
    engine::{Repeat, request_key},
    policy::Approval,
    store::{Commit, Store, Write, memory::MemoryStore},
    testing::{HookedStore, NOW, Scene, credential, pending, policy, policy_with, read_csr, request},
};

/// A trail of five records that somebody may tamper with, and the key its checkpoints are signed with.
struct Trail {
    store: Arc<HookedStore>,
    records: Vec<AuditRecord>,
    key: Vec<u8>,
}

async fn trail() -> Trail {
    trail_of(5).await
}

async fn trail_of(count: usize) -> Trail {
    let store = HookedStore::new(Arc::new(MemoryStore::default()));
    let scene = Scene::on(store.clone(), &policy()).await;
    let request = request();
    for _ in 0..count {
        scene.issue(&request).await;
    }
    let records = store.audit_records("memory", 0, count + 1).await.unwrap();
    assert_eq!(records.len(), count);
    Trail { store, records, key: new_key() }
}

fn new_key() -> Vec<u8> {
    Ed25519KeyPair::generate().unwrap().to_pkcs8v1().unwrap().as_ref().to_vec()
}

fn head(record: &AuditRecord) -> StreamHead {
    StreamHead { stream: record.stream.clone(), sequence: record.sequence, hash: record.hash }
}

impl Trail {
    fn checkpoint(&self) -> Checkpoint {
        Checkpoint::sign(NOW, vec![head(self.records.last().unwrap())], &self.key).unwrap()
    }

    /// What is found when the database holds these records instead.
    async fn finds_in(&self, records: Vec<AuditRecord>, supplied: &[Checkpoint]) -> Vec<Finding> {
        self.store.rewrite_trail(records);
        verify(&*self.store, supplied).await.unwrap().findings
    }

    /// Everything from this record on, chained anew as one who knows the format would.
    fn rechained(&self, mut records: Vec<AuditRecord>) -> Vec<AuditRecord> {
        let (mut sequence, mut previous) = (0, GENESIS);
        for record in &mut records {
            sequence += 1;
            (record.sequence, record.previous) = (sequence, previous);
            record.hash = record.computed_hash();
            previous = record.hash;
        }
        records
    }
}

fn changed(record: &AuditRecord) -> AuditRecord {
    let body = record.body.replace("CN=device-1", "CN=device-2");
    assert_ne!(body, record.body);
    AuditRecord { body, ..record.clone() }
}

fn stream() -> String {
    "memory".into()
}

#[tokio::test]
async fn a_clean_trail_has_no_findings() {
    let trail = trail().await;
    let report = verify(&*trail.store, &[]).await.unwrap();
    assert_eq!(report, Report { streams: 1, records: 5, checkpoints: 0, findings: vec![] });
    let report = verify(&*trail.store, &[trail.checkpoint()]).await.unwrap();
    assert_eq!(report, Report { streams: 1, records: 5, checkpoints: 1, findings: vec![] });
    let empty = verify(&MemoryStore::default(), &[]).await.unwrap();
    assert_eq!(empty, Report::default());
}

#[tokio::test]
async fn a_long_trail_is_read_to_its_end() {
    let trail = trail_of(2_100).await;
    let report = verify(&*trail.store, &[trail.checkpoint()]).await.unwrap();
    assert_eq!((report.records, report.findings), (2_100, vec![]));
    let mut records = trail.records.clone();
    records[1_000] = changed(&records[1_000]);
    records.remove(1_999);
    let found = trail.finds_in(records, &[]).await;
    let expected = [
        Finding::Changed { stream: stream(), sequence: 1_001 },
        Finding::Broken { stream: stream(), sequence: 2_001 },
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn a_changed_record_is_found() {
    let trail = trail().await;
    for index in 0..5 {
        let mut records = trail.records.clone();
        records[index] = changed(&records[index]);
        let found = trail.finds_in(records, &[]).await;
        assert_eq!(found, [Finding::Changed { stream: stream(), sequence: index as u64 + 1 }]);
    }
}

#[tokio::test]
async fn a_changed_record_with_a_matching_hash_is_found_by_its_successor() {
    let trail = trail().await;
    let mut records = trail.records.clone();
    records[2] = changed(&records[2]);
    records[2].hash = records[2].computed_hash();
    let found = trail.finds_in(records, &[]).await;
    assert_eq!(found, [Finding::Broken { stream: stream(), sequence: 4 }]);
}

#[tokio::test]
async fn a_removed_record_is_found() {
    let trail = trail().await;
    for index in 0..4 {
        let mut records = trail.records.clone();
        records.remove(index);
        let found = trail.finds_in(records, &[]).await;
        assert_eq!(found, [Finding::Broken { stream: stream(), sequence: index as u64 + 2 }]);
    }
}

#[tokio::test]
async fn an_inserted_record_is_found() {
    let trail = trail().await;
    let mut records = trail.records.clone();
    let third = &records[2];
    let forged = append("memory", Some((third.sequence, third.hash)), &third.event().unwrap()).unwrap();
    records.insert(3, forged);
    let found = trail.finds_in(records, &[]).await;
    assert_eq!(found, [Finding::Broken { stream: stream(), sequence: 4 }]);
}

#[tokio::test]
async fn swapped_records_are_found() {
    let trail = trail().await;
    let mut records = trail.records.clone();
    let (one, other) = (records[1].body.clone(), records[3].body.clone());
    (records[1].body, records[3].body) = (other, one);
    let found = trail.finds_in(records, &[]).await;
    assert_eq!(found, [2, 4].map(|sequence| Finding::Changed { stream: stream(), sequence }));
}

#[tokio::test]
async fn a_record_moved_to_another_stream_is_found() {
    let trail = trail().await;
    let moved: Vec<_> =
        trail.records.iter().map(|record| AuditRecord { stream: "other".into(), ..record.clone() }).collect();
    let found = trail.finds_in(moved, &[trail.checkpoint()]).await;
    assert_eq!(found.iter().filter(|finding| matches!(finding, Finding::Changed { .. })).count(), 5);
    assert!(found.contains(&Finding::Truncated { stream: stream(), expected: 5, found: 0 }));
}

#[tokio::test]
async fn a_truncated_trail_is_found_by_a_checkpoint() {
    let trail = trail().await;
    let checkpoint = [trail.checkpoint()];
    let found = trail.finds_in(trail.records[..3].to_vec(), &checkpoint).await;
    assert_eq!(found, [Finding::Truncated { stream: stream(), expected: 5, found: 3 }]);
    let found = trail.finds_in(Vec::new(), &checkpoint).await;
    assert_eq!(found, [Finding::Truncated { stream: stream(), expected: 5, found: 0 }]);
}

#[tokio::test]
async fn a_rewritten_trail_is_found_by_a_checkpoint() {
    let trail = trail().await;
    let mut records = trail.records.clone();
    records[1] = changed(&records[1]);
    let rewritten = trail.rechained(records);
    assert_eq!(trail.finds_in(rewritten.clone(), &[]).await, []);
    let found = trail.finds_in(rewritten, &[trail.checkpoint()]).await;
    assert_eq!(found, [Finding::Rewritten { stream: stream(), sequence: 5 }]);
    let mut shorter = trail.records.clone();
    shorter.remove(0);
    let found = trail.finds_in(trail.rechained(shorter), &[trail.checkpoint()]).await;
    assert_eq!(found, [Finding::Truncated { stream: stream(), expected: 5, found: 4 }]);
}

#[tokio::test]
async fn a_checkpoint_that_was_changed_is_forged() {
    let trail = trail().await;
    let good = trail.checkpoint();
    let forgeries = [
        Checkpoint { at: NOW.plus_seconds(1), ..good.clone() },
        Checkpoint { heads: Vec::new(), ..good.clone() },
        Checkpoint { heads: vec![StreamHead { sequence: 4, ..good.heads[0].clone() }], ..good.clone() },
        Checkpoint {
            heads: vec![StreamHead { stream: "other".into(), ..good.heads[0].clone() }],
            ..good.clone()
        },
        Checkpoint { signature: vec![0; 64], ..good.clone() },
        Checkpoint { signature: Vec::new(), ..good.clone() },
        Checkpoint { public_key: Checkpoint::sign(NOW, Vec::new(), &new_key()).unwrap().public_key, ..good },
    ];
    for forgery in forgeries {
        let report = verify(&*trail.store, std::slice::from_ref(&forgery)).await.unwrap();
        assert_eq!((report.checkpoints, report.findings), (0, vec![Finding::Forged { at: forgery.at }]));
    }
}

#[tokio::test]
async fn a_stored_checkpoint_by_another_key_than_the_supplied_one_is_foreign() {
    let trail = trail().await;
    let store = |checkpoint: Checkpoint| {
        let commit = Commit { writes: vec![Write::PutCheckpoint(Box::new(checkpoint))], ..Commit::default() };
        let store = trail.store.clone();
        async move { store.commit(commit).await.unwrap().unwrap() }
    };
    store(trail.checkpoint()).await;
    let supplied = [trail.checkpoint()];
    assert_eq!(verify(&*trail.store, &supplied).await.unwrap().findings, []);

    // Who rewrites the trail signs it with a key of their own, because the right one is sealed.
    let rewritten = trail.rechained(trail.records.iter().map(changed).collect());
    let at = NOW.plus_seconds(1);
    store(Checkpoint::sign(at, vec![head(rewritten.last().unwrap())], &new_key()).unwrap()).await;
    let found = trail.finds_in(rewritten, &supplied).await;
    assert!(found.contains(&Finding::ForeignKey { at }), "{found:?}");
    assert!(found.contains(&Finding::Rewritten { stream: stream(), sequence: 5 }), "{found:?}");
}

#[tokio::test]
async fn a_stored_checkpoint_is_checked_without_a_supplied_one() {
    let trail = trail().await;
    let commit =
        Commit { writes: vec![Write::PutCheckpoint(Box::new(trail.checkpoint()))], ..Commit::default() };
    trail.store.commit(commit).await.unwrap().unwrap();
    let found = trail.finds_in(trail.records[..4].to_vec(), &[]).await;
    assert_eq!(found, [Finding::Truncated { stream: stream(), expected: 5, found: 4 }]);
}

#[tokio::test]
async fn a_record_that_is_no_event_is_found() {
    let trail = trail().await;
    let mut records = trail.records.clone();
    records[4].body = "{\"at\":\"never\"}".into();
    let records = trail.rechained(records);
    let found = trail.finds_in(records, &[]).await;
    assert_eq!(found, [Finding::Unreadable { stream: stream(), sequence: 5 }]);
}

#[tokio::test]
async fn every_finding_says_where() {
    let at = NOW;
    let findings = [
        Finding::Changed { stream: stream(), sequence: 7 },
        Finding::Broken { stream: stream(), sequence: 7 },
        Finding::Truncated { stream: stream(), expected: 7, found: 3 },
        Finding::Rewritten { stream: stream(), sequence: 7 },
        Finding::Unreadable { stream: stream(), sequence: 7 },
    ];
    for finding in findings {
        let text = finding.to_string();
        assert!(text.contains("stream memory") && text.contains('7'), "{text}");
    }
    for finding in [Finding::Forged { at }, Finding::ForeignKey { at }] {
        assert!(finding.to_string().contains("2026-01-01T00:00:00Z"));
    }
}

#[tokio::test]
async fn no_secret_is_in_any_record() {
    // csr_challenge_password.der holds this as its challenge password.
    const CHALLENGE: &str = "s3cret-p\u{e4}ssword";
    let scene = Scene::new(&policy_with(|policy| policy.approval = Approval::Manual)).await;
    scene.put(&credential(&scene.method.name, None, "shared-passphrase")).await;
    let asked =
        read_csr(include_bytes!("../../../pki/fixtures/recorded/csr_challenge_password.der")).unwrap();
    scene.verify("ann", "wrong-guess", Freshness::Fresh).await.unwrap_err();
    let waiting = pending(
        scene.engine.issue(scene.login().await, asked.clone(), request_key(&[b"x"]), Repeat::Same).await,
    );
    scene.engine.decide(&waiting.request, Verdict::Approve, "olga", Some("known".into())).await.unwrap();
    let issued =
        scene.engine.issue(scene.login().await, asked, request_key(&[b"x"]), Repeat::Same).await.unwrap();
    scene.ask(&request().dns("evil.org")).await.unwrap_err();
    let records = scene.store.audit_records("memory", 0, 100).await.unwrap();
    assert_eq!(records.len(), 4);
    let rows =
        format!("{:?} {issued:?}", scene.store.request(&waiting.request).await.unwrap().unwrap().summary);
    for secret in [Scene::PASSWORD, "shared-passphrase", "wrong-guess", CHALLENGE] {
        assert!(records.iter().all(|record| !record.body.contains(secret)));
        assert!(!rows.contains(secret));
    }
}

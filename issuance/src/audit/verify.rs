//! Walks every stream and says what does not hold.

use std::{collections::HashMap, fmt};

use super::{AuditRecord, Checkpoint, GENESIS};
use crate::store::{Store, StoreResult};

const BATCH: usize = 1000;

/// What a verification saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub streams: u64,
    pub records: u64,
    /// Checkpoints whose signature and heads hold, the supplied ones included.
    pub checkpoints: u64,
    pub findings: Vec<Finding>,
}

/// One thing that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// The record's hash is not the hash of its content: it was changed.
    Changed {
        stream: String,
        sequence: u64,
    },
    /// The record does not follow the one before it: something was removed or inserted.
    Broken {
        stream: String,
        sequence: u64,
    },
    /// A checkpoint names a record that is not there: the end of the stream, or all of it, was removed.
    Truncated {
        stream: String,
        expected: u64,
        found: u64,
    },
    /// A checkpoint names another hash for this record: the stream was rewritten.
    Rewritten {
        stream: String,
        sequence: u64,
    },
    /// A checkpoint whose signature is wrong.
    Forged {
        at: pki::time::Time,
    },
    /// A checkpoint signed by a key other than the supplied ones are.
    ForeignKey {
        at: pki::time::Time,
    },
    Unreadable {
        stream: String,
        sequence: u64,
    },
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed { stream, sequence } => write!(f, "stream {stream}: record {sequence} was changed"),
            Self::Broken { stream, sequence } => {
                write!(
                    f,
                    "stream {stream}: record {sequence} does not follow its predecessor; records are missing or were inserted"
                )
            }
            Self::Truncated { stream, expected, found } => {
                write!(f, "stream {stream}: ends at record {found}, but a checkpoint names record {expected}")
            }
            Self::Rewritten { stream, sequence } => {
                write!(f, "stream {stream}: record {sequence} is not the one a checkpoint names")
            }
            Self::Forged { at } => write!(f, "the checkpoint of {at} has a wrong signature"),
            Self::ForeignKey { at } => write!(f, "the checkpoint of {at} is signed by another key"),
            Self::Unreadable { stream, sequence } => {
                write!(f, "stream {stream}: record {sequence} is not an audit event")
            }
        }
    }
}

/// Verifies all streams against their chains, the stored checkpoints and the `supplied` ones, which were kept
/// elsewhere and are what the proof rests on. Memory is bounded by the number of checkpoints.
///
/// # Errors
/// Only where the store cannot be read; what does not hold is in the report.
pub async fn verify(store: &dyn Store, supplied: &[Checkpoint]) -> StoreResult<Report> {
    let mut report = Report::default();
    let stored = store.checkpoints().await?;
    let trusted: Vec<[u8; 32]> = supplied.iter().map(|checkpoint| checkpoint.public_key).collect();
    let mut expected: HashMap<String, Vec<(u64, [u8; 32])>> = HashMap::new();
    for checkpoint in stored.iter().chain(supplied) {
        if checkpoint.verify().is_err() {
            report.findings.push(Finding::Forged { at: checkpoint.at });
            continue;
        }
        if !trusted.is_empty() && !trusted.contains(&checkpoint.public_key) {
            report.findings.push(Finding::ForeignKey { at: checkpoint.at });
            continue;
        }
        report.checkpoints += 1;
        for head in &checkpoint.heads {
            expected.entry(head.stream.clone()).or_default().push((head.sequence, head.hash));
        }
    }
    for stream in store.audit_streams().await? {
        report.streams += 1;
        let heads = expected.remove(&stream).unwrap_or_default();
        walk(store, &stream, heads, &mut report).await?;
    }
    for (stream, heads) in expected {
        let last = heads.iter().map(|(sequence, _)| *sequence).max().unwrap_or(0);
        report.findings.push(Finding::Truncated { stream, expected: last, found: 0 });
    }
    Ok(report)
}

async fn walk(
    store: &dyn Store,
    stream: &str,
    mut heads: Vec<(u64, [u8; 32])>,
    report: &mut Report,
) -> StoreResult<()> {
    heads.sort_unstable();
    let mut heads = heads.into_iter().peekable();
    let (mut sequence, mut previous) = (0, GENESIS);
    loop {
        let records = store.audit_records(stream, sequence, BATCH).await?;
        if records.is_empty() {
            break;
        }
        for record in records {
            report.records += 1;
            check(&record, sequence, &previous, report);
            (sequence, previous) = (record.sequence, record.hash);
            while let Some((at, hash)) = heads.next_if(|(at, _)| *at <= sequence) {
                if at != sequence || hash != previous {
                    report.findings.push(Finding::Rewritten { stream: stream.into(), sequence: at });
                }
            }
        }
    }
    if let Some((expected, _)) = heads.last() {
        report.findings.push(Finding::Truncated { stream: stream.into(), expected, found: sequence });
    }
    Ok(())
}

fn check(record: &AuditRecord, sequence: u64, previous: &[u8; 32], report: &mut Report) {
    let place = || (record.stream.clone(), record.sequence);
    if record.sequence != sequence + 1 || record.previous != *previous {
        let (stream, sequence) = place();
        report.findings.push(Finding::Broken { stream, sequence });
    }
    if record.computed_hash() != record.hash {
        let (stream, sequence) = place();
        report.findings.push(Finding::Changed { stream, sequence });
    } else if record.event().is_err() {
        let (stream, sequence) = place();
        report.findings.push(Finding::Unreadable { stream, sequence });
    }
}

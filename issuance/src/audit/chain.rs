//! Records of one writer, each holding the hash of the one before.
//!
//! `hash = SHA-256("chancery audit v1" ‖ 0 ‖ stream ‖ 0 ‖ sequence (8 octets, big endian) ‖ previous ‖ body)` where the
//! body is the event's JSON exactly as stored. A stream starts at sequence 1 with [`GENESIS`] as previous.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::AuditEvent;

/// What the first record of a stream has as the hash of its predecessor.
pub const GENESIS: [u8; 32] = [0; 32];

/// One stored record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    pub stream: String,
    /// From 1, without gaps.
    pub sequence: u64,
    #[serde(with = "hex::serde")]
    pub previous: [u8; 32],
    #[serde(with = "hex::serde")]
    pub hash: [u8; 32],
    /// JSON of an [`AuditEvent`], byte for byte what was hashed.
    pub body: String,
}

impl AuditRecord {
    /// The hash this record should have.
    pub fn computed_hash(&self) -> [u8; 32] {
        hash(&self.stream, self.sequence, &self.previous, &self.body)
    }

    /// The event in the body.
    ///
    /// # Errors
    /// A body that no version of this program wrote.
    pub fn event(&self) -> Result<AuditEvent, serde_json::Error> {
        serde_json::from_str(&self.body)
    }
}

/// The record that follows `head` (sequence and hash; none for a new stream).
///
/// # Errors
/// Only if an event cannot be written as JSON, which is a defect.
pub fn append(
    stream: &str,
    head: Option<(u64, [u8; 32])>,
    event: &AuditEvent,
) -> Result<AuditRecord, serde_json::Error> {
    let (sequence, previous) = head.map_or((1, GENESIS), |(sequence, hash)| (sequence + 1, hash));
    let body = serde_json::to_string(event)?;
    let hash = hash(stream, sequence, &previous, &body);
    Ok(AuditRecord { stream: stream.into(), sequence, previous, hash, body })
}

fn hash(stream: &str, sequence: u64, previous: &[u8; 32], body: &str) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery audit v1\0");
    context.update(stream.as_bytes());
    context.update(b"\0");
    context.update(&sequence.to_be_bytes());
    context.update(previous);
    context.update(body.as_bytes());
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

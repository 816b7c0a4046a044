//! The audit trail: what was asked, decided and changed, chained so that nothing can be taken out unseen.
//!
//! | file | what |
//! | --- | --- |
//! | `event.rs` | what is recorded |
//! | `chain.rs` | how records are chained: one stream per writer |
//! | `checkpoint.rs` | signed heads, to be kept elsewhere |
//! | `query.rs` | looking for records |
//! | `verify.rs` | the proof |
//! | `anonymous.rs` | refusals of strangers, counted instead of listed |

mod anonymous;
mod chain;
mod checkpoint;
mod event;
mod query;
#[cfg(test)]
mod tests;
mod verify;

pub use anonymous::AnonymousRefusals;
pub use chain::{AuditRecord, GENESIS, append};
pub use checkpoint::{Checkpoint, CheckpointError, StreamHead};
pub use event::{Action, Actor, AuditEvent, AuditOutcome};
pub use query::{
    AuditCursor, AuditFilter, AuditOrder, AuditPage, AuditQuery, BadCursor, MAX_SCANNED, actor_name, query,
};
pub use verify::{Finding, Report, verify};

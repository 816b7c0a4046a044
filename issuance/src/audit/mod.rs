//! The audit trail: what was asked, decided and changed, chained so that nothing can be taken out unseen.
//!
//! | file | what |
//! | --- | --- |
//! | `event.rs` | what is recorded |
//! | `chain.rs` | how records are chained: one stream per writer |
//! | `checkpoint.rs` | signed heads, to be kept elsewhere |
//! | `verify.rs` | the proof |
//! | `anonymous.rs` | refusals of strangers, counted instead of listed |

mod anonymous;
mod chain;
mod checkpoint;
mod event;
#[cfg(test)]
mod tests;
mod verify;

pub use anonymous::AnonymousRefusals;
pub use chain::{AuditRecord, GENESIS, append};
pub use checkpoint::{Checkpoint, CheckpointError, StreamHead};
pub use event::{Action, Actor, AuditEvent, AuditOutcome};
pub use verify::{Finding, Report, verify};

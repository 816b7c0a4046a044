//! The server in a cluster: an operator says what to serve, in Secrets of this namespace.
//!
//! ```text
//! Secrets ─watch.rs─► Found ─candidate.rs─► signed? newer? whole? ─► configuration.rs ─► crate::configuration ─► served
//!                                                                       │    ▲
//!                                                                       ▼    │ no API server at the start
//!                                                                      snapshot.rs (sealed, among the rows)
//! operator ─mutual TLS─► internal/ (loaded, issue, revoke, usage, renewals)
//! ```
//!
//! `run.rs` is the life of the process; `status.rs` what it says about itself. docs/adr/0011 says why it is so.
//!
//! Whoever can write Secrets here can stop a change from coming through, and nothing else: what is not signed by the operator,
//! or is older than what is in force, is ignored, and the last good configuration stays.

mod candidate;
mod configuration;
mod internal;
mod inventory;
mod run;
mod snapshot;
mod status;
#[cfg(test)]
mod tests;
mod watch;

pub use self::{
    candidate::{ManifestKey, ManifestKeyError},
    run::{Options, run},
};

//! The enrollment server: it answers the enrollment protocols, issues through the core in [`issuance`], and keeps
//! the rows.
//!
//! ```text
//! listeners ──► protocols/{est, ...} ──► issuance::Engine ──► store
//!          └──► publish (CRL, AIA)            ▲
//! standalone: folder ─► resolve ─► provision ─┘ serving      jobs: CRLs, checkpoints, sweeps, renewal
//! ```

pub mod cli;
pub mod jobs;
pub mod listeners;
pub mod metrics;
pub mod protocols;
pub mod publish;
pub mod roles;
pub mod serving;
pub mod standalone;
pub mod store;
pub mod telemetry;

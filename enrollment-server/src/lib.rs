//! The enrollment server: it answers the enrollment protocols, issues through the core in [`issuance`], and keeps
//! the rows.
//!
//! ```text
//! listeners ──► protocols/{est, ...} ──► issuance::Engine ──► store
//!          └──► publish (CRL, AIA)            ▲
//! standalone: folder ─► resolve ─► provision ─┤ configuration  jobs: CRLs, checkpoints, sweeps, renewal
//! cluster:    Secrets ─► verify ──────────────┘
//! ```

pub mod cli;
pub mod cluster;
mod comma_separated;
mod configuration;
pub mod jobs;
pub mod listeners;
pub mod metrics;
mod process;
pub mod protocols;
pub mod publish;
pub mod roles;
pub mod serving;
pub mod standalone;
pub mod store;
pub mod telemetry;
mod trail;
pub mod usage;

//! The operator: makes what custom resources say so.
//!
//! ```text
//! API server ─watch─► world ─► resolve ─► provision (keys, certificates, values) ─► publish (parts, manifest) ─► servers
//!                       │         └─► controllers (one file per kind: decide a status, apply it)         │
//!                       │                         ▲ loaded, usage ◄───── servers (internal mutual TLS) ◄─┘
//!                       ├─► workload (StatefulSet or Deployment, Services … of each EnrollmentServer)
//!                       ├─► bundles  (CA bundles for others to trust)
//!                       ├─► issuer   (CertificateRequests of cert-manager, CertificateSigningRequests)
//!                       └─► revocation (CertificateRevocations)
//! ```
//!
//! docs/adr/0011 says how operator and servers work together.

pub mod api;
pub mod bundles;
pub mod cli;
pub mod context;
pub mod controllers;
pub mod definitions;
pub mod events;
pub mod health;
pub mod issuer;
pub mod leadership;
pub mod metrics;
pub mod owned;
pub mod provision;
pub mod publish;
pub mod reconcile;
pub mod renewals;
pub mod revocation;
pub mod run;
pub mod servers;
pub mod telemetry;
#[cfg(test)]
mod testing;
pub mod workload;
pub mod world;

//! ACME inside a cluster: cert-manager's own ACME issuers, its solver pods and an ingress controller against our directory.
//!
//! | file | what |
//! | --- | --- |
//! | `renewal.rs` | an annotated Ingress gets its certificate, and the next by itself |
//! | `revocation.rs` | what was revoked is replaced, by a person's word and by renewal information (RFC 9773) |
//! | `binding.rs` | the key of the external account binding made again |
//! | `guard.rs` | networks that the method does not allow are not contacted |
//! | `office.rs`, `web.rs` | a server and what a team needs; a team's web server behind an Ingress |
//!
//! The page about it, `docs/cert-manager.md`, is run by `cluster_chart/pages.rs`.
#![allow(
    clippy::indexing_slicing,
    reason = "a member that a JSON document lacks is null, which no test expects"
)]

#[path = "cluster_acme/binding.rs"]
mod binding;
#[path = "cluster_acme/guard.rs"]
mod guard;
#[path = "cluster_acme/office.rs"]
mod office;
#[path = "cluster_acme/renewal.rs"]
mod renewal;
#[path = "cluster_acme/revocation.rs"]
mod revocation;
#[path = "cluster_acme/web.rs"]
mod web;

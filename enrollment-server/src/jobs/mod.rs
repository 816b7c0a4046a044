//! Work that goes on beside requests: leased from the store, so that of many replicas one does it, and another when
//! that one dies.
//!
//! | kind | when | what |
//! | --- | --- | --- |
//! | crl | before the last one ends; at once after a revocation | the next CRL of an authority |
//! | checkpoint | every `audit.checkpointInterval`, and when the server stops | signs the heads of the audit streams |
//! | sweep | every minute | pending requests that nobody decided on expire; orders and claims that ended are forgotten |
//! | role | when a third of its life is left | renews the server's own TLS certificate |
//! | notice | every hour, more often where days would be missed | finds the certificates of a method that end soon |
//! | acmeValidation | when the process that began one should have ended, or it is to be tried again | validates an ACME challenge |
//! | restRenewal | as long before the end of a certificate as its order says; again until it works | renews a certificate whose key the server made |
//! | renewalNews | never run: taken by the operator, or forgotten by the sweep | what became of such a renewal (`renewal_news.rs`) |
//! | webhook | once for each certificate and time before its end; again until it works | tells a webhook of one certificate |
//!
//! Beside them every process writes what it counted in memory, every ten seconds and when it stops: refusals of strangers
//! (the audit trail), and how credentials were used (`usage.rs`).

mod acme_validation;
mod checkpoint;
mod crl;
mod notices;
mod post;
mod renewal;
pub(crate) mod renewal_news;
mod runner;
#[cfg(test)]
mod tests;
mod usage;
mod webhook;

pub use checkpoint::{audit_key, write_checkpoint};
pub use crl::ensure_crl_jobs;
pub use notices::ensure_notice_jobs;
pub use runner::{Renewal, Runner};

//! The issuing core: who may ask, what may be signed, and the one pipeline every protocol and the
//! cert-manager issuer go through. No I/O of its own: keys, rows and time come in through [`ports`].
//!
//! ```text
//! evidence ──authn──► Authenticated ──profile──► Authorized ──engine──► Issued | Pending | Refused
//!                                                              │
//!                                            Signer, Store, Clock (ports)
//! ```
//!
//! [`authn::Evidence`] is only made by the verifiers in [`authn`]; only evidence makes
//! [`authn::Authenticated`]; only [`profile::authorize`] makes [`profile::Authorized`]; only the engine
//! signs it. What skips a step does not compile.

pub mod acme;
pub mod administration;
pub mod approval;
pub mod audit;
pub mod authn;
pub mod authority;
pub mod ceremony;
pub mod credential;
pub mod engine;
pub mod error;
pub mod identity;
mod octets;
pub mod pattern;
pub mod policy;
pub mod ports;
pub mod profile;
pub mod publication;
pub mod request;
pub mod rest;
pub mod revocation;
pub mod sealing;
pub mod secret;
pub mod store;
#[cfg(test)]
mod testing;

pub use engine::{Engine, Issued, Outcome, Pending};
pub use error::{Error, Refusal, Result, Rule};

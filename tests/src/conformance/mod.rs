//! What cert-manager expects of an issuer, as one table: what is asked for, and what the Secret must then hold.
//!
//! ```text
//! Office (server, authorities, profiles, issuers) ◄── Ask: Certificates (cases.rs), CertificateSigningRequests (signing_requests.rs)
//!                                                        └─► Expected ─► judge (openssl, and our own reading)
//! ```
//!
//! The cases are those of cert-manager's own conformance tests of issuers and signers, in our words, and some more. A case says
//! what is asked for once, in the members of a Certificate; what must come of it is worked out from there (`expected.rs`), so
//! that a case cannot expect less than it asks for.

mod cases;
mod expected;
mod judge;
mod office;
mod signing_requests;

pub use self::{
    cases::{Case, Issuing, cases},
    expected::Expected,
    judge::{Delivered, judge, subject_alt_names},
    office::{Office, PROFILE_PURPOSES, PROFILE_SECONDS},
    signing_requests::{SigningCase, signing_cases},
};

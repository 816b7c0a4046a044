//! CertificateRevocations: from a resource to an entry of a revocation list.
//!
//! ```text
//! serial, certificate or Secret ─► which authority signed it ─► written down in the status ─► its server revokes
//!                                                                                       └─► or the operator, for its own roots
//! ```
//!
//! What is to be revoked is written down before anything is asked: a Secret that is renewed in between must not have its new
//! certificate revoked as well. Once revoked, always revoked: deleting the resource takes nothing back.
//!
//! | file | what |
//! | --- | --- |
//! | `signatories.rs` | the authorities that could have signed it |
//! | `target.rs` | which certificate is meant |
//! | `decide.rs` | what becomes of one |
//! | `controller.rs` | looks, asks, writes |
//! | `roots.rs` | what authorities whose keys stay with the operator have revoked |

mod controller;
mod decide;
mod roots;
mod signatories;
mod target;
#[cfg(test)]
mod tests;

pub use self::{
    controller::run,
    roots::{RevokedIntermediate, revoked_intermediates},
};

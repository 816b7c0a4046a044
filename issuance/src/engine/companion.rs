//! What a protocol does in the commit of a certificate.

use pki::serial::SerialNumber;

use crate::{
    error::Result,
    identity::{KeyId, RequestId},
    store::{Expect, Write},
};

/// What else becomes true with a certificate, or with a request that waits: its writes are part of the same commit. What
/// they replace must be expected, by the evidence or by the companion.
pub trait Companion: Send + Sync {
    /// What must still be true beside what the evidence expects.
    fn expect(&self) -> Vec<Expect> {
        Vec::new()
    }

    /// # Errors
    /// Where the certificate must not be recorded: it is discarded.
    fn issued(&self, issuer: KeyId, serial: &SerialNumber) -> Result<Vec<Write>>;

    /// # Errors
    /// Where the request must not be recorded.
    fn pending(&self, request: &RequestId) -> Result<Vec<Write>>;
}

/// Nothing else.
pub(super) struct Alone;

impl Companion for Alone {
    fn issued(&self, _issuer: KeyId, _serial: &SerialNumber) -> Result<Vec<Write>> {
        Ok(Vec::new())
    }

    fn pending(&self, _request: &RequestId) -> Result<Vec<Write>> {
        Ok(Vec::new())
    }
}

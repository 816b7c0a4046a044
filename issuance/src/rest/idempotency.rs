//! What makes two orders the same.

use serde::{Deserialize, Serialize};

use crate::{
    authn::Requester,
    engine::request_key,
    identity::{HolderId, Identity},
    store::RequestKey,
};

/// What was said with an order, so that the same order again is not another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// Unique with the method.
    pub key: RequestKey,
    /// SHA-256 of what was asked: the same key with another content is refused.
    #[serde(with = "hex::serde")]
    pub content: [u8; 32],
}

impl Idempotency {
    /// Of what a client calls its request (`Idempotency-Key`) and the request's octets. Clients choose the words, so each
    /// credential has its own, and each whom a certificate names.
    pub fn new(requester: &Requester, key: &str, content: &[u8]) -> Self {
        let whose = match requester.identity() {
            Identity::Credential(credential) => request_key(&[b"credential", credential.as_str().as_bytes()]),
            Identity::Certificate(HolderId(holder)) => request_key(&[b"holder", holder]),
            Identity::Name(name) => request_key(&[b"name", name.as_bytes()]),
        };
        let key = request_key(&[b"idempotency key v1", &whose.0, key.as_bytes()]);
        Self { key, content: request_key(&[content]).0 }
    }
}

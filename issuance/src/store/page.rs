//! Filters and pages for lists.

use pki::time::Time;
use serde::{Deserialize, Serialize};

use super::RequestState;
use crate::{
    acme::AccountStatus,
    identity::{CredentialId, KeyId, ResourceName},
    rest::OrderStatus,
};

/// The place of a row in its table's order; opaque to callers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(pub i64);

/// A bounded piece of a list.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub after: Option<Cursor>,
    /// At most this many rows; the store may cap it at 1,000.
    pub limit: usize,
}

impl Page {
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }
}

/// All given parts must match.
#[derive(Clone, Debug, Default)]
pub struct CertificateFilter {
    pub issuer: Option<KeyId>,
    pub profile: Option<ResourceName>,
    pub method: Option<ResourceName>,
    pub credential: Option<CredentialId>,
    /// `user:NAME` or `group:NAME`.
    pub owner: Option<String>,
    /// Namespace of the method.
    pub namespace: Option<String>,
    pub revoked: Option<bool>,
    pub expires_before: Option<Time>,
    pub expires_after: Option<Time>,
    pub public_key_sha256: Option<String>,
}

#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub method: Option<ResourceName>,
}

#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    pub method: Option<ResourceName>,
    /// Those that a resource declares.
    pub declared: Option<bool>,
}

#[derive(Clone, Debug, Default)]
pub struct AcmeAccountFilter {
    pub method: Option<ResourceName>,
    pub status: Option<AccountStatus>,
    /// Those bound to it.
    pub credential: Option<CredentialId>,
}

#[derive(Clone, Debug, Default)]
pub struct RestOrderFilter {
    pub method: Option<ResourceName>,
    pub credential: Option<CredentialId>,
    /// What they are at this time.
    pub status: Option<(OrderStatus, Time)>,
    /// At or after.
    pub created_from: Option<Time>,
    /// Before.
    pub created_before: Option<Time>,
    /// Those whose private key is here.
    pub key_held: Option<bool>,
}

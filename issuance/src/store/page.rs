//! Filters and pages for lists.

use pki::{serial::SerialNumber, time::Time};
use serde::{Deserialize, Serialize};

use super::{CertificateStatus, MethodScope, RequestState};
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
    pub serial: Option<SerialNumber>,
    pub authority: Option<ResourceName>,
    pub profile: Option<ResourceName>,
    /// Those that [`MethodScope::issued`].
    pub methods: Option<MethodScope>,
    pub credential: Option<CredentialId>,
    /// `user:NAME` or `group:NAME`.
    pub owner: Option<String>,
    /// Namespace of the method.
    pub namespace: Option<String>,
    /// Part of the subject or of one of the other names.
    pub name: Option<NamePart>,
    /// Whether it is revoked or held.
    pub revoked: Option<bool>,
    pub state: Option<CertificateState>,
    /// When it was revoked or held, at or after.
    pub revoked_from: Option<Time>,
    /// When it was revoked or held, before.
    pub revoked_before: Option<Time>,
    /// At or after.
    pub issued_from: Option<Time>,
    /// Before.
    pub issued_before: Option<Time>,
    pub expires_before: Option<Time>,
    pub expires_after: Option<Time>,
    pub public_key_sha256: Option<String>,
}

/// What was recorded of a certificate, whatever the time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertificateState {
    Valid,
    Held,
    Revoked,
}

impl CertificateState {
    pub fn of(status: &CertificateStatus) -> Self {
        match status {
            CertificateStatus::Valid => Self::Valid,
            CertificateStatus::Held { .. } => Self::Held,
            CertificateStatus::Revoked { .. } => Self::Revoked,
        }
    }
}

/// Part of a name that is looked for, as subjects (RFC 4514) and other names (`dns:a.example`) are shown. The case of ASCII
/// letters does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePart(String);

impl NamePart {
    /// In characters.
    pub const LONGEST: usize = 256;

    /// None for text that is in no name: nothing, too much, or with control characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits =
            !text.is_empty() && text.chars().count() <= Self::LONGEST && !text.chars().any(char::is_control);
        fits.then(|| Self(text.to_owned()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same, where it may be part of a subjectAltName. Databases keep these together as one JSON array, in which this
    /// must not be taken for anything between them.
    pub fn in_alt_names(&self) -> Option<&str> {
        (!self.0.contains(['"', '\\', '[', ']', ','])).then_some(self.0.as_str())
    }

    pub fn is_in(&self, subject: &str, alt_names: &[String]) -> bool {
        let holds = |name: &str, part: &str| name.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
        holds(subject, &self.0)
            || self.in_alt_names().is_some_and(|part| alt_names.iter().any(|name| holds(name, part)))
    }
}

#[derive(Clone, Debug, Default)]
pub struct RequestFilter {
    pub state: Option<RequestState>,
    pub methods: Option<MethodScope>,
}

#[derive(Clone, Debug, Default)]
pub struct CredentialFilter {
    pub methods: Option<MethodScope>,
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

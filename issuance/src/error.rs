//! The one error of the core. Each protocol maps it with one exhaustive match; what a peer sees is
//! [`Error::public`], which never holds internals.

use std::{fmt, time::Duration};

use crate::store::StoreError;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bytes are not what the protocol asks for, or a signature over them is wrong. The same bytes will
    /// never do.
    #[error("malformed request: {0}")]
    Malformed(String),
    /// Nobody we know: no credential, a wrong one, one that is revoked or expired. Deliberately one message.
    #[error("authentication failed: {0}")]
    Unauthenticated(AuthenticationFailure),
    /// Too many attempts.
    #[error("too many attempts")]
    Throttled { retry_after: Duration },
    /// Known, but a rule says no.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The name asked for does not exist here.
    #[error("{0} not found")]
    NotFound(&'static str),
    /// Another request came first; trying again with fresh data may succeed.
    #[error("conflict: {0}")]
    Conflict(String),
    /// What the requester proved was true when it was read and is not any more: authenticate again, from fresh rows.
    #[error("what was proved is no longer current")]
    Stale,
    /// A dependency (database, signer) is out of reach; nothing was recorded.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// A defect of ours.
    #[error("internal error: {0}")]
    Internal(String),
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Not with the same request.
    Never,
    /// Yes, after this long.
    After(Duration),
}

impl Error {
    pub fn retry(&self) -> Retry {
        match self {
            Self::Throttled { retry_after } => Retry::After(*retry_after),
            Self::Conflict(_) | Self::Stale => Retry::After(Duration::from_secs(1)),
            Self::Unavailable(_) => Retry::After(Duration::from_secs(5)),
            Self::Malformed(_)
            | Self::Unauthenticated(_)
            | Self::Refused(_)
            | Self::NotFound(_)
            | Self::Internal(_) => Retry::Never,
        }
    }

    /// The sentence a peer may read. Internals, and which part of a credential was wrong, stay in the log.
    pub fn public(&self) -> String {
        match self {
            Self::Malformed(sentence) => sentence.clone(),
            Self::Unauthenticated(_) => "the credentials are missing or not accepted here".into(),
            Self::Throttled { .. } => "too many failed attempts from this address; try again later".into(),
            Self::Refused(refusal) => refusal.sentence().into(),
            Self::NotFound(what) => format!("{what} not found"),
            Self::Conflict(_) | Self::Stale => {
                "another request changed this at the same time; try again".into()
            }
            Self::Unavailable(_) => {
                "the service cannot record certificates at the moment; try again later".into()
            }
            Self::Internal(_) => "internal error".into(),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(reason) => Self::Unavailable(reason),
            StoreError::Corrupt(reason) => Self::Internal(reason),
        }
    }
}

/// Why nobody was authenticated. For the log and the audit trail, never for the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum AuthenticationFailure {
    #[error("no credential was presented")]
    Missing,
    #[error("the credential was presented in a form that cannot be read")]
    Unreadable,
    #[error("no credential of this method matches")]
    Mismatch,
    #[error("the credential is revoked")]
    Revoked,
    #[error("the credential has expired")]
    Expired,
    #[error("the credential has been used as often as it may be")]
    UsedUp,
    #[error("the certificate or the token does not lead to a trust anchor of this method")]
    Untrusted,
    #[error("the certificate was not issued under this profile")]
    Foreign,
    #[error("the token is meant for another audience")]
    Audience,
    #[error("the token is not valid yet")]
    NotYetValid,
    #[error("the service account is not among those of this method")]
    Account,
}

impl AuthenticationFailure {
    /// The spelling in the audit trail and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Unreadable => "unreadable",
            Self::Mismatch => "mismatch",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::UsedUp => "usedUp",
            Self::Untrusted => "untrusted",
            Self::Foreign => "foreign",
            Self::Audience => "audience",
            Self::NotYetValid => "notYetValid",
            Self::Account => "account",
        }
    }
}

/// A rule that said no, and one sentence that names the rule and what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    rule: Rule,
    sentence: String,
}

impl Refusal {
    pub fn new(rule: Rule, sentence: impl Into<String>) -> Self {
        Self { rule, sentence: sentence.into() }
    }

    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// Fit for the peer: holds what was asked and what the profile says, nothing else.
    pub fn sentence(&self) -> &str {
        &self.sentence
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

/// Which rule. The spelling is the path of the field in the resource, so that a reader finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    Subject,
    SubjectAltNames,
    Keys,
    KeyReuse,
    KeyUsage,
    ExtendedKeyUsage,
    BasicConstraints,
    RequestExtensions,
    Validity,
    SelfSigned,
    Protocols,
    Uses,
    Approval,
    Idempotency,
    Grants,
    AuthorityValidity,
    NameConstraints,
    Revocation,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::SubjectAltNames => "subjectAltNames",
            Self::Keys => "keys.allowed",
            Self::KeyReuse => "keys.reuse",
            Self::KeyUsage => "keyUsage",
            Self::ExtendedKeyUsage => "extendedKeyUsage",
            Self::BasicConstraints => "basicConstraints",
            Self::RequestExtensions => "requestExtensions",
            Self::Validity => "validity",
            Self::SelfSigned => "selfSigned",
            Self::Protocols => "protocols",
            Self::Uses => "maximumUses",
            Self::Approval => "approval",
            Self::Idempotency => "idempotency",
            Self::Grants => "grants",
            Self::AuthorityValidity => "authority.validity",
            Self::NameConstraints => "authority.nameConstraints",
            Self::Revocation => "revocation",
        }
    }
}

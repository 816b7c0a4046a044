//! Work that must be done once, by whichever replica comes first, and again if that replica dies.

use pki::time::Time;
use serde::{Deserialize, Serialize};

use crate::identity::JobId;

/// One piece of work. Unique by (kind, key).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub kind: JobKind,
    /// What it is about: an authority's key identifier, a certificate, a URL.
    pub key: String,
    /// Format is the kind's.
    pub payload: Vec<u8>,
    pub run_at: Time,
    /// Failures in a row.
    pub attempts: u32,
    pub last_error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobKind {
    /// Makes the next CRL of an authority.
    Crl,
    /// Signs the heads of the audit streams.
    Checkpoint,
    /// Expires pending requests.
    Sweep,
    /// Renews a certificate of the server itself.
    Role,
    /// Looks for certificates of a method that end soon.
    Notice,
    /// Tells a webhook of one certificate.
    Webhook,
    /// Validates a challenge of one authorization: see [`validation_job`](crate::acme::validation_job).
    AcmeValidation,
    /// Renews the certificate of an order over REST: see [`renewal_job`](crate::rest::renewal_job).
    RestRenewal,
    /// What became of such a renewal, until the operator of a cluster has told of it. Only time makes it due: to be forgotten.
    RenewalNews,
}

impl JobKind {
    pub const ALL: [JobKind; 9] = [
        Self::Crl,
        Self::Checkpoint,
        Self::Sweep,
        Self::Role,
        Self::Notice,
        Self::Webhook,
        Self::AcmeValidation,
        Self::RestRenewal,
        Self::RenewalNews,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Crl => "crl",
            Self::Checkpoint => "checkpoint",
            Self::Sweep => "sweep",
            Self::Role => "role",
            Self::Notice => "notice",
            Self::Webhook => "webhook",
            Self::AcmeValidation => "acmeValidation",
            Self::RestRenewal => "restRenewal",
            Self::RenewalNews => "renewalNews",
        }
    }
}

/// Who takes jobs, and until when nobody else may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLease {
    /// Unique to one run of one process.
    pub owner: String,
    pub until: Time,
}

//! One atomic change.

use std::net::IpAddr;

use pki::{serial::SerialNumber, time::Time};

use super::{CertificateRow, CertificateStatus, CrlRow, Decision, Job, RequestRow, RequestState, SealedRow};
use crate::{
    acme::{AccountRow, OrderRow},
    audit::{AuditEvent, Checkpoint},
    credential::{CredentialRow, UsageNote},
    identity::{
        AcmeAccountId, AcmeOrderId, CredentialId, JobId, KeyId, RequestId, ResourceName, RestOrderId,
    },
    rest::OrderRow as RestOrderRow,
};

/// Everything that becomes true together.
#[derive(Clone, Debug, Default)]
pub struct Commit {
    pub expect: Vec<Expect>,
    pub writes: Vec<Write>,
    pub audit: Vec<AuditEvent>,
}

/// What must still hold when the change is made.
#[derive(Clone, Debug, PartialEq)]
pub enum Expect {
    /// The credential exists, is active at `now`, has uses left, and is of this version.
    CredentialUsable {
        id: CredentialId,
        version: u64,
        now: Time,
    },
    /// The credential is of this version (0: no such credential).
    CredentialVersion {
        id: CredentialId,
        version: u64,
    },
    RequestState {
        id: RequestId,
        state: RequestState,
    },
    /// Exactly this status.
    CertificateStatus {
        issuer: KeyId,
        serial: SerialNumber,
        status: CertificateStatus,
    },
    /// No certificate that is valid or held has this key (hexadecimal SHA-256 of the SubjectPublicKeyInfo).
    KeyUnused {
        public_key_sha256: String,
    },
    /// The sealed row is of this version (0: none).
    SealedVersion {
        name: String,
        version: u64,
    },
    /// The job is leased by this owner at `now`.
    JobLeased {
        id: JobId,
        owner: String,
        now: Time,
    },
    /// The account is of this version (0: no such account).
    AcmeAccountVersion {
        id: AcmeAccountId,
        version: u64,
    },
    /// The order is of this version (0: no such order).
    AcmeOrderVersion {
        id: AcmeOrderId,
        version: u64,
    },
    /// The order that replaces this certificate, as [`Store::acme_order_replacing`](super::Store::acme_order_replacing) says, is
    /// this one, or there is none.
    AcmeReplacing {
        method: ResourceName,
        issuer: KeyId,
        serial: SerialNumber,
        by: Option<AcmeOrderId>,
    },
    /// The order is of this version (0: no such order).
    RestOrderVersion {
        id: RestOrderId,
        version: u64,
    },
    /// The order that replaces this certificate, as [`Store::rest_order_replacing`](super::Store::rest_order_replacing) says, is
    /// this one, or there is none.
    RestReplacing {
        method: ResourceName,
        issuer: KeyId,
        serial: SerialNumber,
        by: Option<RestOrderId>,
    },
}

#[derive(Clone, Debug)]
pub enum Write {
    /// Conflict where (issuer, serial) is taken.
    InsertCertificate(Box<CertificateRow>),
    SetCertificateStatus {
        issuer: KeyId,
        serial: SerialNumber,
        status: CertificateStatus,
    },
    /// Conflict where (method, key) is taken.
    InsertRequest(Box<RequestRow>),
    /// Sets what is given and leaves the rest.
    UpdateRequest {
        id: RequestId,
        state: RequestState,
        decision: Option<Decision>,
        certificate: Option<(KeyId, SerialNumber)>,
    },
    /// Pair with [`Expect::RequestState`].
    DeleteRequest {
        id: RequestId,
    },
    /// Pending requests that expired by `now` become `Expired`.
    ExpireRequests {
        now: Time,
    },
    /// Inserts or replaces by id. Pair with [`Expect::CredentialVersion`]. Uses that were counted since the caller
    /// read the row stay counted, as long as the verifier is the same. Conflict where another credential of REST has the
    /// user name.
    PutCredential(Box<CredentialRow>),
    /// Counts one use. The version stays, so that many may use one credential at once.
    UseCredential {
        id: CredentialId,
        at: Time,
        /// From where, if it is known.
        address: Option<IpAddr>,
    },
    /// Adds what was collected of one credential; of one that does not exist, nothing. The version stays.
    NoteCredentialUsage(Box<UsageNote>),
    PutCrl(Box<CrlRow>),
    /// Inserts or replaces by name. Pair with [`Expect::SealedVersion`].
    PutSealed(Box<SealedRow>),
    /// Inserts; where (kind, key) exists, the run time becomes the earlier of the two and the payload is kept.
    PutJob(Box<Job>),
    /// Ends this lease and runs the job again at `at`, unless something has asked for an earlier run since.
    RescheduleJob {
        id: JobId,
        at: Time,
        attempts: u32,
        error: Option<String>,
    },
    DeleteJob {
        id: JobId,
    },
    PutCheckpoint(Box<Checkpoint>),
    /// Removes CRLs of the authority with smaller numbers, but for the newest `keep`. The newest one always stays,
    /// because the next number grows from it.
    PruneCrls {
        issuer: KeyId,
        keep: u32,
    },
    /// Inserts or replaces by id. Pair with [`Expect::AcmeAccountVersion`]. Conflict where another account of the
    /// method has the key.
    PutAcmeAccount(Box<AccountRow>),
    /// Inserts or replaces by id. Pair with [`Expect::AcmeOrderVersion`].
    PutAcmeOrder(Box<OrderRow>),
    /// Removes orders that need not be kept at `now` any more, the oldest first, at most so many.
    SweepAcmeOrders {
        now: Time,
        limit: u32,
    },
    /// Inserts or replaces by id. Pair with [`Expect::RestOrderVersion`]. Conflict where another order of the method has
    /// the idempotency key. Method, requester and idempotency key never change.
    PutRestOrder(Box<RestOrderRow>),
    /// Removes orders that need not be kept at `now` any more, the oldest first, at most so many.
    SweepRestOrders {
        now: Time,
        limit: u32,
    },
}

/// The change is durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Stream and sequence number of the last audit record, if any was appended.
    pub audit: Option<(String, u64)>,
}

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// An expectation no longer holds.
    #[error("no longer true: {0:?}")]
    Expectation(Box<Expect>),
    #[error("the serial number {serial} is taken")]
    SerialTaken { serial: SerialNumber },
    #[error("a request with this key exists")]
    RequestExists,
    #[error("no such row: {0}")]
    Missing(&'static str),
    /// A CRL with this number or a greater one exists.
    #[error("a newer CRL exists")]
    CrlNumber,
    /// Another account of the method has this key.
    #[error("an account with this key exists")]
    AcmeAccountExists,
    /// Another credential of REST has the access key's name.
    #[error("an access key of this name exists")]
    AccessKeyExists,
    /// Another order of the method has the idempotency key.
    #[error("an order with this idempotency key exists")]
    RestOrderExists,
}

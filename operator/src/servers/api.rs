//! What can be asked of a server.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use client::internal::{
    IssueOutcome, IssueRequest, Loaded, Renewals, RenewalsRequest, RevokeOutcome, RevokeRequest, Usage,
};
use issuance::identity::ResourceName;

use super::Replica;

/// The internal interface of servers, as the operator uses it: over mutual TLS, or in memory for tests.
#[async_trait]
pub trait ServerApi: fmt::Debug + Send + Sync {
    /// What one replica serves.
    ///
    /// # Errors
    /// [`CallError`]; nothing is known then.
    async fn loaded(&self, replica: &Replica) -> Result<Loaded, CallError>;

    /// How much one replica's credentials and methods were used.
    ///
    /// # Errors
    /// [`CallError`].
    async fn usage(&self, replica: &Replica) -> Result<Usage, CallError>;

    /// Asks a ready replica of `server` for a certificate, and another one where the first cannot be reached: the same
    /// request gets the same certificate, whoever answers it and however often it is asked.
    ///
    /// # Errors
    /// [`CallError`]: no answer came, which says nothing about the request. Ask again later.
    async fn issue(&self, server: &ResourceName, request: &IssueRequest) -> Result<IssueOutcome, CallError>;

    /// Asks a ready replica of `server` to revoke; revoking twice is no error.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    async fn revoke(
        &self,
        server: &ResourceName,
        request: &RevokeRequest,
    ) -> Result<RevokeOutcome, CallError>;

    /// Asks a ready replica of `server` what was renewed, and has it forget what was told of that.
    ///
    /// # Errors
    /// As [`issue`](Self::issue).
    async fn renewals(&self, server: &ResourceName, request: &RenewalsRequest)
    -> Result<Renewals, CallError>;
}

/// Why no answer came. Every one of them may be gone later: the caller asks again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("no replica of the server {0} is ready")]
    NoReplica(ResourceName),
    /// Neither connected nor answered in time.
    #[error("{replica} cannot be reached: {detail}")]
    Unreachable { replica: String, detail: String },
    /// It is there and asks for patience, for example because its store takes nothing.
    #[error("{replica} asks to try again: {detail}")]
    Unavailable { replica: String, detail: String, retry_after: Option<Duration> },
    /// It does not take us for its operator, or does not know what was asked.
    #[error("{replica} answered {status}: {detail}")]
    Unexpected { replica: String, status: u16, detail: String },
}

impl CallError {
    /// When to ask again at the earliest, where the server said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::NoReplica(_) | Self::Unreachable { .. } | Self::Unexpected { .. } => None,
        }
    }
}

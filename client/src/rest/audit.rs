//! The audit trail (`/audit`).

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Items, Other, Query, client::JSON, error::ClientError};

/// One record. What it holds beside its time depends on what happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    #[serde(flatten)]
    pub members: Other,
}

impl Client {
    /// A page of the records that the query says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn audit(&self, query: Query) -> Result<Items<AuditRecord>, ClientError> {
        self.get("/audit", query, JSON).await?.object().await
    }

    /// All records that the query says, in one answer of any length: `jsonl` or `syslog` (RFC 5424).
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_audit(&self, query: Query, format: &str) -> Result<Answer, ClientError> {
        self.get("/audit/export", query.with("format", format), "*/*").await
    }
}

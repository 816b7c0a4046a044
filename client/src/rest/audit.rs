//! The audit trail (`/audit`).

use serde::{Deserialize, Serialize};

use super::{Answer, Client, Items, Other, Query, client::JSON, error::ClientError};

/// Something that was asked, decided or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Names the writer; its records are one chain.
    pub stream: String,
    pub sequence: u64,
    /// When, RFC 3339.
    pub at: String,
    /// As in `certificateIssued`.
    pub action: String,
    /// `done`, `pending`, `refused` or `failed`.
    pub outcome: String,
    pub actor: AuditActor,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(flatten)]
    pub other: Other,
}

/// Who did it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditActor {
    /// `requester`, `stranger`, `operator` or `server`.
    pub kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(flatten)]
    pub other: Other,
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

//! Requests that wait for a person (`/requests`).

use serde::{Deserialize, Serialize};

use super::{Client, Items, Other, Query, client::JSON, error::ClientError, query::escaped};

/// Somebody asked for a certificate, and somebody else decides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    pub id: String,
    /// `pending`, `approved`, `denied`, `issued` or `expired`.
    pub state: String,
    /// `namespace/name`.
    pub profile: String,
    /// Who asked.
    pub requester: String,
    /// What the certificate would say.
    pub summary: String,
    pub created_at: String,
    pub expires_at: String,
    #[serde(flatten)]
    pub other: Other,
}

#[derive(Serialize)]
struct Denial<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl Client {
    /// A page of the requests that the query says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn requests(&self, query: Query) -> Result<Items<Request>, ClientError> {
        self.get("/requests", query, JSON).await?.object().await
    }

    /// One request.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn read_request(&self, id: &str) -> Result<Request, ClientError> {
        self.get(&path(id, ""), Query::default(), JSON).await?.object().await
    }

    /// Approves: whoever asked gets the certificate when it asks again.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn approve_request(&self, id: &str) -> Result<Request, ClientError> {
        self.act(&path(id, "/approve")).await?.object().await
    }

    /// Denies; whoever asked is told the reason.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn deny_request(&self, id: &str, reason: Option<&str>) -> Result<Request, ClientError> {
        self.post(&path(id, "/deny"), &Denial { reason }).await?.object().await
    }
}

fn path(id: &str, operation: &str) -> String {
    format!("/requests/{}{operation}", escaped(id))
}

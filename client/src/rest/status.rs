//! How a server is doing (`/status`).

use serde::{Deserialize, Serialize};

use super::{Client, Other, Query, client::JSON, error::ClientError};

/// A server, and the methods that the credential sees. Names are `namespace/name`, times RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerStatus {
    /// Of the program.
    pub version: String,
    /// What the server takes the time to be.
    pub time: String,
    /// Older servers do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<ConfigurationStatus>,
    pub methods: Vec<MethodStatus>,
    /// Those that sign for these methods.
    pub authorities: Vec<AuthorityStatus>,
    #[serde(flatten)]
    pub other: Other,
}

/// What is in force, of all methods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationStatus {
    pub generation: u64,
    /// Whether it is all that was declared last.
    pub current: bool,
    /// Why it is not: `rejected` (nothing of it was taken), `incomplete` (some of it is not in force), or what later servers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    #[serde(flatten)]
    pub other: Other,
}

/// A method that is in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MethodStatus {
    pub name: String,
    /// Such as `est`, `acme` or `rest`.
    pub protocol: String,
    pub urls: Vec<String>,
    pub profiles: Vec<ProfileStatus>,
    pub pending_requests: PendingRequests,
    #[serde(flatten)]
    pub other: Other,
}

/// What a certificate of a method can be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProfileStatus {
    /// What orders choose it by; none where there is nothing to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub profile: String,
    /// Who signs; none where certificates sign themselves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    #[serde(flatten)]
    pub other: Other,
}

/// How many requests wait for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PendingRequests {
    pub count: u64,
    /// Whether there may be more.
    #[serde(default)]
    pub at_least: bool,
}

/// An authority, and the newest of its revocation lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthorityStatus {
    pub name: String,
    /// RFC 4514.
    pub subject: String,
    pub not_after: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<CrlStatus>,
    #[serde(flatten)]
    pub other: Other,
}

/// A revocation list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CrlStatus {
    pub number: u64,
    pub next_update: String,
}

impl Client {
    /// How the server is doing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn status(&self) -> Result<ServerStatus, ClientError> {
        self.get("/status", Query::default(), JSON).await?.object().await
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_status_keeps_what_this_release_does_not_know() {
        let object = json!({
            "version": "9.9.9", "time": "2027-01-01T00:00:00Z", "invented": true,
            "configuration": {"generation": 3, "current": false, "problem": "rejected", "since": "yesterday"},
            "methods": [{"name": "lab/api", "protocol": "rest", "urls": [], "later": 1,
                "profiles": [{"name": "default", "profile": "lab/web", "authority": "lab/ca", "description": "web"},
                    {"name": "self", "profile": "lab/self"}],
                "pendingRequests": {"count": 3, "atLeast": true}}],
            "authorities": [{"name": "lab/ca", "subject": "CN=a", "notAfter": "2028-01-01T00:00:00Z",
                "crl": {"number": 7, "nextUpdate": "2027-01-02T00:00:00Z"}}],
        });
        let status: ServerStatus = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(status.methods[0].pending_requests, PendingRequests { count: 3, at_least: true });
        let configuration = status.configuration.as_ref().unwrap();
        assert_eq!((configuration.current, configuration.problem.as_deref()), (false, Some("rejected")));
        assert_eq!(serde_json::to_value(&status).unwrap(), object);
    }

    #[test]
    fn a_server_that_does_not_say_what_is_in_force_has_a_status_all_the_same() {
        let object =
            json!({"version": "0.1.0", "time": "2027-01-01T00:00:00Z", "methods": [], "authorities": []});
        let status: ServerStatus = serde_json::from_value(object.clone()).unwrap();
        assert_eq!((&status.configuration, serde_json::to_value(&status).unwrap()), (&None, object));
    }
}

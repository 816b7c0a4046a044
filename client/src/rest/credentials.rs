//! Credentials (`/credentials`).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    Answer, Client, Items, Other, Query, ReportForm, client::JSON, error::ClientError, query::escaped,
};

/// Who may ask. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    pub id: String,
    pub name: String,
    /// `active`, `revoked`, `expired` or `usedUp`.
    pub status: String,
    /// What it opens, `namespace/name`.
    #[serde(default)]
    pub method: String,
    pub protocol: String,
    /// What may be done with it over REST.
    #[serde(default)]
    pub actions: Vec<String>,
    /// `user:NAME` or `group:NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Until when the secret before is accepted as well, after a rotation with an overlap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_accepted_until: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used_at: Option<String>,
    #[serde(default)]
    pub uses: u64,
    /// The EnrollmentCredential that declares it, as `namespace/name`; only there does it change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_by: Option<String>,
    #[serde(flatten)]
    pub other: Other,
}

/// A credential to be made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewCredential {
    pub name: String,
    /// `user:NAME` or `group:NAME`.
    pub owner: String,
    /// The EnrollmentMethod that it opens, `namespace/name`; none: that of whoever asks, or that the client asks about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// For REST; empty: request and read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<String>,
    /// For EST; none: the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For ACME; none: the namespace and the name with a dot between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// For ACME; none: every name that the profile allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifiers: Option<NewIdentifiers>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_uses: Option<u64>,
}

/// The names that accounts of ACME may order which are bound to a credential.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NewIdentifiers {
    /// Patterns, as in a CertificateProfile.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
    /// Ranges, in CIDR notation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip: Vec<String>,
}

/// A credential and its secret, which the server does not show again.
#[derive(Clone, Serialize, Deserialize)]
pub struct SecretCredential {
    pub credential: Credential,
    /// By what it is called: `accessKey`; `username` and `password`; `kid` and `hmac`.
    #[serde(flatten)]
    pub secret: Other,
}

impl fmt::Debug for SecretCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretCredential").field("credential", &self.credential).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Revocation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct End<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<&'a str>,
}

impl Client {
    /// A page of the credentials that the query says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn credentials(&self, query: Query) -> Result<Items<Credential>, ClientError> {
        self.get("/credentials", query, JSON).await?.object().await
    }

    /// All credentials that the query says, in one answer of any length.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn export_credentials(&self, query: Query, form: ReportForm) -> Result<Answer, ClientError> {
        self.get("/credentials/export", query.with("format", form.as_str()), "*/*").await
    }

    /// One credential.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn credential(&self, id: &str) -> Result<Credential, ClientError> {
        self.get(&path(id, ""), Query::default(), JSON).await?.object().await
    }

    /// Makes one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_credential(&self, wanted: &NewCredential) -> Result<SecretCredential, ClientError> {
        self.post("/credentials", wanted).await?.object().await
    }

    /// Revokes for good: it is refused from the next request on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_credential(&self, id: &str, reason: Option<&str>) -> Result<Credential, ClientError> {
        self.post(&path(id, "/revoke"), &Revocation { reason }).await?.object().await
    }

    /// Sets when it ends, RFC 3339; none: now.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn expire_credential(&self, id: &str, at: Option<&str>) -> Result<Credential, ClientError> {
        self.post(&path(id, "/expire"), &End { expires_at: at }).await?.object().await
    }

    /// Gives it another secret: the old one is refused from the next request on.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn regenerate_credential(&self, id: &str) -> Result<SecretCredential, ClientError> {
        self.act(&path(id, "/regenerate")).await?.object().await
    }
}

fn path(id: &str, operation: &str) -> String {
    format!("/credentials/{}{operation}", escaped(id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_secret_is_read_whatever_it_is_called_and_never_shown() {
        let object = json!({
            "credential": {"id": "7", "name": "ci", "status": "active", "protocol": "rest", "actions": [], "uses": 0},
            "accessKey": "chancery_0_hunter2",
        });
        let made: SecretCredential = serde_json::from_value(object).unwrap();
        assert_eq!(made.secret["accessKey"], json!("chancery_0_hunter2"));
        assert!(!format!("{made:?}").contains("hunter2"));
    }

    #[test]
    fn what_is_not_said_is_not_sent() {
        let wanted =
            NewCredential { name: "ci".into(), owner: "user:ann".into(), ..NewCredential::default() };
        assert_eq!(serde_json::to_value(&wanted).unwrap(), json!({"name": "ci", "owner": "user:ann"}));
        let identifiers =
            Some(NewIdentifiers { ip: vec!["10.1.0.0/16".into()], ..NewIdentifiers::default() });
        let wanted = serde_json::to_value(NewCredential { identifiers, ..wanted }).unwrap();
        assert_eq!(wanted["identifiers"], json!({"ip": ["10.1.0.0/16"]}));
    }
}

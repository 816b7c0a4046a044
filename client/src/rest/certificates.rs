//! Certificates (`/certificates`).

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{Answer, Client, Items, Order, Other, Query, client::JSON, error::ClientError, query::escaped};

/// One certificate. Times are RFC 3339 in UTC, names are `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// `{issuer}.{serial}`.
    pub id: String,
    /// Hexadecimal.
    pub serial: String,
    /// RFC 4514.
    pub subject: String,
    /// As in `dns:a.example`.
    #[serde(default)]
    pub names: Vec<String>,
    pub profile: String,
    pub method: String,
    pub not_after: String,
    pub status: CertificateStatus,
    /// Whether the server made the key: then it can renew the certificate.
    #[serde(default)]
    pub server_key: bool,
    #[serde(flatten)]
    pub other: Other,
}

/// What a certificate is now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificateStatus {
    Valid,
    Expired,
    Held,
    Revoked,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl CertificateStatus {
    pub fn as_str(&self) -> &str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Held => "held",
            Self::Revoked => "revoked",
            Self::Other(text) => text,
        }
    }
}

/// How the key of a renewed certificate is handed out. Without a passphrase it is fetched later, once, from the order.
#[derive(Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Renewal {
    /// `pkcs8`, which is the default, or `pkcs12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// What the key is encrypted with.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    pub passphrase: Option<Zeroizing<String>>,
}

/// What became of an order.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    pub order: Order,
    /// Unless the order waits for a person, or came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// The private key under the passphrase: `privateKey` (PEM) or `pkcs12` (base64), with its `format`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Other>,
    #[serde(flatten)]
    pub other: Other,
}

impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Issued");
        shown.field("order", &self.order).field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn as_text<S: Serializer>(secret: &Option<Zeroizing<String>>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_deref().serialize(serializer)
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Renewal").field("format", &self.format).finish_non_exhaustive()
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Revocation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    invalidity_date: Option<&'a str>,
}

impl Client {
    /// A page of the certificates that the query says.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn certificates(&self, query: Query) -> Result<Items<Certificate>, ClientError> {
        self.get("/certificates", query, JSON).await?.object().await
    }

    /// One certificate, with the certificate itself.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn certificate(&self, id: &str) -> Result<Certificate, ClientError> {
        self.get(&path(id, ""), Query::default(), JSON).await?.object().await
    }

    /// A certificate as a file: `pem`, `fullchain`, `der`, `pkcs7` or `pkcs7-pem`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn download(&self, id: &str, format: &str) -> Result<Answer, ClientError> {
        self.get(&path(id, "/download"), Query::default().with("format", format), "*/*").await
    }

    /// Revokes for good. `reason` as in RFC 5280 §5.3.1; `invalidity_date`: since when the key is thought to be bad.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn revoke_certificate(
        &self,
        id: &str,
        reason: Option<&str>,
        invalidity_date: Option<&str>,
    ) -> Result<Certificate, ClientError> {
        let revocation = Revocation { reason, invalidity_date };
        self.post(&path(id, "/revoke"), &revocation).await?.object().await
    }

    /// Puts on hold, until it is released or revoked.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn hold_certificate(&self, id: &str) -> Result<Certificate, ClientError> {
        self.act(&path(id, "/hold")).await?.object().await
    }

    /// Takes off hold.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn release_certificate(&self, id: &str) -> Result<Certificate, ClientError> {
        self.act(&path(id, "/release")).await?.object().await
    }

    /// Has the server renew a certificate whose key it made.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn renew_certificate(&self, id: &str, renewal: &Renewal) -> Result<Issued, ClientError> {
        self.post(&path(id, "/renew"), renewal).await?.object().await
    }
}

fn path(id: &str, operation: &str) -> String {
    format!("/certificates/{}{operation}", escaped(id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_certificate_keeps_what_this_release_does_not_know() {
        let object = json!({
            "id": "ab.5C", "serial": "5C", "issuer": "ab", "subject": "CN=a", "names": ["dns:a.example"],
            "profile": "lab/web", "method": "lab/api", "notAfter": "2027-01-01T00:00:00Z", "status": "paused",
            "serverKey": true, "invented": {"later": [1]},
        });
        let certificate: Certificate = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(certificate.status.as_str(), "paused");
        assert_eq!(serde_json::to_value(&certificate).unwrap(), object);
    }

    #[test]
    fn each_status_has_the_spelling_of_the_interface() {
        for status in ["valid", "expired", "held", "revoked"] {
            let read: CertificateStatus = serde_json::from_value(json!(status)).unwrap();
            assert!(!matches!(read, CertificateStatus::Other(_)), "{status}");
            assert_eq!(read.as_str(), status);
        }
    }

    #[test]
    fn an_identifier_stays_one_part_of_the_path() {
        assert_eq!(path("../credentials/1?x", "/revoke"), "/certificates/..%2Fcredentials%2F1%3Fx/revoke");
    }

    #[test]
    fn a_passphrase_is_never_shown() {
        let renewal = Renewal { format: None, passphrase: Some(Zeroizing::new("hunter2".into())) };
        assert!(!format!("{renewal:?}").contains("hunter2"));
    }
}

//! Orders (`/orders`): from what is asked to a certificate.

use std::{fmt, time::Duration};

use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize, Serializer};
use zeroize::Zeroizing;

use super::{Client, Items, Other, Query, client::JSON, error::ClientError, query::escaped};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// What is asked for. Without a request, and without a key that the server makes, the order waits for a request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NewOrder {
    /// `default` where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// A certificate request: PEM, or DER in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csr: Option<String>,
    /// DNS names and IP addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// RFC 4514.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validity_days: Option<u32>,
    /// The server makes the key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub server_key: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renewal: Option<OrderRenewal>,
}

/// That the server renews the certificate by itself, and how that goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrderRenewal {
    /// How long before the end of the certificate, such as `30d`.
    pub renew_before: String,
    /// Why it could not be renewed when that was last tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The order that is to renew it, where a person decides on that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
}

/// Somebody ordered a certificate. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    pub id: String,
    pub status: OrderStatus,
    pub product: String,
    /// Who ordered.
    pub requester: String,
    pub created_at: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domains: Vec<String>,
    /// One for each name that has to be proved; not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorizations: Vec<Authorization>,
    /// What a person decides on, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Once it is issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_id: Option<String>,
    /// Why it was denied, or has failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<OrderRenewal>,
    #[serde(flatten)]
    pub other: Other,
}

/// How far an order has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderStatus {
    AwaitingCsr,
    AwaitingProof,
    Pending,
    Issued,
    Denied,
    Cancelled,
    Failed,
    Expired,
    /// One that this release does not know.
    #[serde(untagged)]
    Other(String),
}

impl OrderStatus {
    pub fn as_str(&self) -> &str {
        match self {
            Self::AwaitingCsr => "awaitingCsr",
            Self::AwaitingProof => "awaitingProof",
            Self::Pending => "pending",
            Self::Issued => "issued",
            Self::Denied => "denied",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
            Self::Expired => "expired",
            Self::Other(text) => text,
        }
    }

    /// Whether something can still become of it.
    pub fn is_open(&self) -> bool {
        match self {
            Self::AwaitingCsr | Self::AwaitingProof | Self::Pending => true,
            Self::Issued | Self::Denied | Self::Cancelled | Self::Failed | Self::Expired | Self::Other(_) => {
                false
            }
        }
    }
}

/// Whether control of a name was proved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Authorization {
    /// A DNS name, with `*.` for a wildcard, or an IP address.
    pub name: String,
    pub status: String,
    /// Any one of them proves control.
    #[serde(default)]
    pub challenges: Vec<Challenge>,
    #[serde(flatten)]
    pub other: Other,
}

/// A way to prove control of a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Challenge {
    /// `http-01`, `dns-01` or `tls-alpn-01`.
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    /// What proves control: the content of the file; for `dns-01` its hash is in the record.
    pub key_authorization: String,
    /// `http-01`: where the server looks for the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `dns-01`: the name of the TXT record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_name: Option<String>,
    /// `dns-01`: what the TXT record says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_value: Option<String>,
    /// Why the last look did not find it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(flatten)]
    pub other: Other,
}

/// How a private key that the server made is handed out.
#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyRequest {
    /// `pkcs8` or `pkcs12`.
    pub format: String,
    /// What the key is encrypted with.
    #[serde(serialize_with = "as_text")]
    pub passphrase: Zeroizing<String>,
    /// `pkcs12` with the certificates of the authorities.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub chain: bool,
}

impl fmt::Debug for KeyRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRequest").field("format", &self.format).finish_non_exhaustive()
    }
}

/// An order, and how the server answered a wish to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    pub order: Order,
    /// Whether the answer came as late as was wished, or as soon as there was something to say.
    pub applied: bool,
    /// When to ask again, where the server says so.
    pub retry_after: Option<Duration>,
}

impl Client {
    /// A page of the orders that the query says, without their authorizations.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn orders(&self, query: Query) -> Result<Items<Order>, ClientError> {
        self.get("/orders", query, JSON).await?.object().await
    }

    /// One order. What was approved is issued now, where whoever ordered reads it.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn order(&self, id: &str) -> Result<Order, ClientError> {
        self.get(&path(id, ""), Query::default(), JSON).await?.object().await
    }

    /// One order, once something has become of it, or after this long (RFC 7240 §4.3); the server waits for 30 s at most.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn order_within(&self, id: &str, wait: Duration) -> Result<Waited, ClientError> {
        let wait = HeaderValue::from_str(&format!("wait={}", wait.as_secs()));
        let wait = wait.map_err(|_| ClientError::Request("its wait is no header"))?;
        let answer = self.get_with(&path(id, ""), Query::default(), vec![(PREFER, wait)]).await?;
        let applied = answer.header(&PREFERENCE_APPLIED).is_some();
        let retry_after = answer.retry_after();
        Ok(Waited { order: answer.object().await?, applied, retry_after })
    }

    /// Orders a certificate. Whoever sends the same under the same key again gets the same order, and not another one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn create_order(&self, order: &NewOrder, idempotency_key: &str) -> Result<Order, ClientError> {
        let key = HeaderValue::from_str(idempotency_key);
        let key = key.map_err(|_| ClientError::Request("its idempotency key is no header"))?;
        self.post_with("/orders", order, vec![(IDEMPOTENCY_KEY, key)]).await?.object().await
    }

    /// Sends the certificate request that an order waits for: PEM, or DER in base64. The same again changes nothing.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn submit_csr(&self, id: &str, csr: &str) -> Result<Order, ClientError> {
        self.put(&path(id, "/csr"), &CsrRequest { csr }).await?.object().await
    }

    /// Cancels what is not issued yet.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn cancel_order(&self, id: &str) -> Result<Order, ClientError> {
        self.delete(&path(id, "")).await?.object().await
    }

    /// Says that a challenge can be looked at. `place`: of the authorization in the order, from 0.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn answer_challenge(
        &self,
        id: &str,
        place: usize,
        kind: &str,
    ) -> Result<Authorization, ClientError> {
        let challenge = format!("/authorizations/{place}/challenges/{}", escaped(kind));
        self.act(&path(id, &challenge)).await?.object().await
    }

    /// The private key that the server made, once: `privateKey` (PEM) or `pkcs12` (base64), with its `format`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn order_key(&self, id: &str, request: &KeyRequest) -> Result<Other, ClientError> {
        self.post(&path(id, "/key"), request).await?.object().await
    }
}

#[derive(Serialize)]
struct CsrRequest<'a> {
    csr: &'a str,
}

fn as_text<S: Serializer>(secret: &Zeroizing<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret)
}

fn path(id: &str, operation: &str) -> String {
    format!("/orders/{}{operation}", escaped(id))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_order_keeps_what_this_release_does_not_know() {
        let object = json!({
            "id": "7", "status": "awaitingProof", "product": "default", "requester": "lab/ci",
            "createdAt": "2027-01-01T00:00:00Z", "expiresAt": "2027-01-08T00:00:00Z", "key": "held",
            "domains": ["a.example"], "accountUri": "https://a.example",
            "authorizations": [{"name": "a.example", "status": "pending", "expiresAt": "2027-01-08T00:00:00Z",
                "challenges": [{"type": "dns-01", "status": "pending", "answer": "/api/v1/orders/7/…", "token": "t",
                    "keyAuthorization": "t.k", "recordName": "_acme-challenge.a.example", "recordValue": "v"}]}],
            "renewal": {"renewBefore": "30d", "reason": "the key is revoked"}, "invented": [1],
        });
        let order: Order = serde_json::from_value(object.clone()).unwrap();
        assert_eq!(
            (&order.status, order.renewal.as_ref().unwrap().renew_before.as_str()),
            (&OrderStatus::AwaitingProof, "30d")
        );
        assert_eq!(serde_json::to_value(&order).unwrap(), object);
    }

    #[test]
    fn each_status_has_the_spelling_of_the_interface() {
        let open = ["awaitingCsr", "awaitingProof", "pending"];
        for status in open.into_iter().chain(["issued", "denied", "cancelled", "failed", "expired"]) {
            let read: OrderStatus = serde_json::from_value(json!(status)).unwrap();
            assert!(!matches!(read, OrderStatus::Other(_)), "{status}");
            assert_eq!((read.as_str(), read.is_open()), (status, open.contains(&status)));
        }
        let unknown: OrderStatus = serde_json::from_value(json!("paused")).unwrap();
        assert_eq!((unknown.as_str(), unknown.is_open()), ("paused", false));
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent() {
        let empty = serde_json::to_value(NewOrder::default()).unwrap();
        assert_eq!(empty, json!({}));
        let renewal = Some(OrderRenewal { renew_before: "7d".into(), ..OrderRenewal::default() });
        let order =
            NewOrder { server_key: true, domains: vec!["a.example".into()], renewal, ..NewOrder::default() };
        let expected = json!({"domains": ["a.example"], "serverKey": true, "renewal": {"renewBefore": "7d"}});
        assert_eq!(serde_json::to_value(order).unwrap(), expected);
    }

    #[test]
    fn a_passphrase_is_never_shown() {
        let passphrase = Zeroizing::new("hunter2".into());
        let request = KeyRequest { format: "pkcs8".into(), passphrase, chain: false };
        assert!(!format!("{request:?}").contains("hunter2"));
        assert_eq!(
            serde_json::to_value(request).unwrap(),
            json!({"format": "pkcs8", "passphrase": "hunter2"})
        );
    }
}

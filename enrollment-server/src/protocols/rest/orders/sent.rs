//! Orders and what belongs to them, as they are sent.

use std::net::IpAddr;

use pki::general_name::{GeneralName, is_valid_dns_name};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::{
    body::{self, Hidden},
    objects::Timestamp,
};

/// An order. Without `csr` and without `serverKey` it waits for a certificate request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::protocols::rest) struct OrderRequest {
    /// Names the profile; `default` where it is left out.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) product: Option<String>,
    /// A certificate request (PKCS #10): PEM, or DER in base64.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) csr: Option<String>,
    /// DNS names and IP addresses. With a certificate request: exactly those that it has.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_items = 1)]
    pub(in crate::protocols::rest) domains: Option<Vec<String>>,
    /// RFC 4514, such as `CN=printer,O=Example`. With a certificate request: the one that it has.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 1024)]
    pub(in crate::protocols::rest) subject: Option<String>,
    /// How long the certificate is to be good for, from when it is issued.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 36_525)]
    pub(in crate::protocols::rest) validity_days: Option<u32>,
    /// In place of `validityDays`: until when.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) not_after: Option<Timestamp>,
    /// The server makes the key; it is fetched once, under a passphrase.
    #[serde(default, deserialize_with = "body::present", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) server_key: Option<bool>,
    /// The server renews the certificate by itself, again and again, where it makes the key.
    #[serde(default, deserialize_with = "present_renewal", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) renewal: Option<RenewalRequest>,
}

/// That the server renews the certificate by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::protocols::rest) struct RenewalRequest {
    /// How long before the end of the certificate, such as `30d` or `1d12h`: less than the certificate is good for.
    #[schema(min_length = 2, max_length = 32, example = "30d")]
    pub(in crate::protocols::rest) renew_before: String,
}

/// How a private key is to be handed out.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(in crate::protocols::rest) struct KeyRequest {
    pub(super) format: KeyFormat,
    /// What opens it; for `pkcs12` in ASCII.
    #[schema(min_length = 1, max_length = 256)]
    pub(super) passphrase: Hidden,
    /// For `pkcs12`: with the certificates of the authorities.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) chain: Option<bool>,
}

/// An encrypted PKCS #8 key in PEM, or the key with its certificate in a PKCS #12 file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) enum KeyFormat {
    Pkcs8,
    Pkcs12,
}

/// An object that is there: neither null nor an array.
///
/// # Errors
/// Those of the object.
pub(in crate::protocols::rest) fn present_renewal<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<RenewalRequest>, D::Error> {
    let members = Map::deserialize(deserializer)?;
    serde_json::from_value(Value::Object(members)).map(Some).map_err(D::Error::custom)
}

/// A DNS name, with `*.` for a wildcard, or an IP address.
pub(super) fn general_name(domain: &str) -> Option<GeneralName> {
    if let Ok(address) = domain.parse::<IpAddr>() {
        return Some(GeneralName::Ip(address));
    }
    is_valid_dns_name(domain, true).then(|| GeneralName::Dns(domain.to_ascii_lowercase()))
}

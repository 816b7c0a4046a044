//! Requests for certificates, as they are sent.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::protocols::rest::{
    body::{self, Hidden},
    objects::Timestamp,
    orders::{KeyFormat, OrderRequest, RenewalRequest, present_renewal},
};

/// A certificate to be issued. Without `csr` the server makes the key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct IssueRequest {
    /// Names the profile; `default` where it is left out.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    product: Option<String>,
    /// A certificate request (PKCS #10): PEM, or DER in base64.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) csr: Option<String>,
    /// DNS names and IP addresses. With a certificate request: exactly those that it has.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_items = 1)]
    domains: Option<Vec<String>>,
    /// RFC 4514, such as `CN=printer,O=Example`. With a certificate request: the one that it has.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_length = 1, max_length = 1024)]
    subject: Option<String>,
    /// How long the certificate is to be good for, from when it is issued.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, minimum = 1, maximum = 36_525)]
    validity_days: Option<u32>,
    /// In place of `validityDays`: until when.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    not_after: Option<Timestamp>,
    /// The server renews the certificate by itself, again and again, where it makes the key.
    #[serde(default, deserialize_with = "present_renewal")]
    #[schema(nullable = false)]
    renewal: Option<RenewalRequest>,
    /// How the key is to be given that the server makes; `pkcs8` where it is left out.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) format: Option<KeyFormat>,
    /// What opens the key that the server makes; for `pkcs12` in ASCII. Without one the key is fetched from the order, once.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    pub(super) passphrase: Option<Hidden>,
    /// For `pkcs12`: with the certificates of the authorities.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) chain: Option<bool>,
}

/// How the new key is to be given.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RenewRequest {
    /// `pkcs8` where it is left out.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) format: Option<KeyFormat>,
    /// What opens the key; for `pkcs12` in ASCII. Without one the key is fetched from the order, once.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    pub(super) passphrase: Option<Hidden>,
    /// For `pkcs12`: with the certificates of the authorities.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    pub(super) chain: Option<bool>,
}

impl IssueRequest {
    /// As the order that it is: the server makes the key where there is no request.
    pub(super) fn order(self) -> OrderRequest {
        OrderRequest {
            server_key: self.csr.is_none().then_some(true),
            product: self.product,
            csr: self.csr,
            domains: self.domains,
            subject: self.subject,
            validity_days: self.validity_days,
            not_after: self.not_after,
            renewal: self.renewal,
        }
    }
}

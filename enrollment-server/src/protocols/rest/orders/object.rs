//! Orders as they are shown.

use axum::response::Response;
use http::{
    HeaderValue, StatusCode,
    header::{LOCATION, RETRY_AFTER},
};
use issuance::{
    Error,
    identity::CertificateId,
    rest::{OrderKey, OrderRow, OrderState, OrderStatus},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        auth::Caller,
        error::RestError,
        objects::{Timestamp, json},
        openapi,
    },
    authorization::{AuthorizationObject, authorizations},
    control::account_uri,
    renewal::RenewalObject,
};
use crate::{listeners::RetryAfter, metrics};

/// An order.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) struct OrderObject {
    pub(in crate::protocols::rest) id: String,
    pub(in crate::protocols::rest) status: Status,
    pub(in crate::protocols::rest) product: String,
    /// Who ordered.
    requester: String,
    created_at: Timestamp,
    /// Until when a certificate request is waited for, and proofs of control.
    expires_at: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    domains: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    validity_days: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    not_after: Option<Timestamp>,
    key: KeyPlace,
    /// Where the profile asks for proof of control: one for each name, whose places are part of paths. Not in lists.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    authorizations: Vec<AuthorizationObject>,
    /// What CAA records may name whoever ordered by (RFC 8657), where there are authorizations. Not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    account_uri: Option<String>,
    /// What a person decides on, while the order is pending.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request_id: Option<String>,
    /// Once it is issued.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(in crate::protocols::rest) certificate_id: Option<String>,
    /// Why it was denied, or has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// The certificate that it renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaces: Option<String>,
    /// The order that renewed its certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    replaced_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    renewal: Option<RenewalObject>,
}

/// How far an order has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) enum Status {
    AwaitingCsr,
    AwaitingProof,
    Pending,
    Issued,
    Denied,
    Cancelled,
    Failed,
    Expired,
}

/// Where the private key is: with whoever sent the request; here, to be fetched; fetched; nowhere any more.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) enum KeyPlace {
    Requester,
    Held,
    HandedOut,
    Discarded,
}

impl From<OrderStatus> for Status {
    fn from(status: OrderStatus) -> Self {
        match status {
            OrderStatus::AwaitingCsr => Self::AwaitingCsr,
            OrderStatus::AwaitingProof => Self::AwaitingProof,
            OrderStatus::Pending => Self::Pending,
            OrderStatus::Issued => Self::Issued,
            OrderStatus::Denied => Self::Denied,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Failed => Self::Failed,
            OrderStatus::Expired => Self::Expired,
        }
    }
}

impl OrderObject {
    pub(in crate::protocols::rest) fn of(caller: &Caller, order: OrderRow) -> Self {
        let status = order.status(caller.ask.now).into();
        let certificate = order.certificate();
        let authorizations = authorizations(caller, &order);
        let account_uri = (!authorizations.is_empty()).then(|| account_uri(&order));
        let (request_id, reason) = match order.state {
            OrderState::Pending { request } => (Some(request.to_string()), None),
            OrderState::Denied { reason } => (None, reason),
            OrderState::Failed { problem } => (None, Some(problem)),
            OrderState::AwaitingCsr
            | OrderState::AwaitingProof
            | OrderState::Issued { .. }
            | OrderState::Cancelled => (None, None),
        };
        let id = |(issuer, serial)| CertificateId { issuer, serial }.to_string();
        Self {
            id: order.id.to_string(),
            status,
            product: order.product,
            requester: order.requester.name,
            created_at: order.created_at.into(),
            expires_at: order.expires_at.into(),
            domains: order.asked.domains,
            subject: order.asked.subject,
            validity_days: order.asked.validity_days,
            not_after: order.asked.not_after.map(Timestamp),
            key: match order.key {
                OrderKey::Requester => KeyPlace::Requester,
                OrderKey::Held { .. } => KeyPlace::Held,
                OrderKey::HandedOut { .. } => KeyPlace::HandedOut,
                OrderKey::Discarded => KeyPlace::Discarded,
            },
            authorizations,
            account_uri,
            request_id,
            certificate_id: certificate.map(id),
            reason,
            replaces: order.replaces.map(id),
            replaced_by: order.replaced_by.map(|order| order.to_string()),
            renewal: order.renewal.map(Into::into),
        }
    }
}

/// An order as the answer: where it is, and when to look again.
///
/// # Errors
/// [`Error::Internal`], which no order causes.
pub(super) fn shown(caller: &Caller, status: StatusCode, order: OrderRow) -> Result<Response, RestError> {
    let location = (status == StatusCode::CREATED).then(|| openapi::path(&format!("/orders/{}", order.id)));
    let wait = wait_for(caller, &order);
    let mut response = json(status, &OrderObject::of(caller, order))?;
    let headers = response.headers_mut();
    if let Some(location) = location {
        let value = HeaderValue::try_from(location).map_err(|error| Error::Internal(error.to_string()))?;
        headers.insert(LOCATION, value);
    }
    if let Some(seconds) = wait {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        response.extensions_mut().insert(metrics::Outcome::Pending);
    }
    Ok(response)
}

/// Seconds after which an order that is pending may be looked at again.
pub(in crate::protocols::rest) fn wait_for(caller: &Caller, order: &OrderRow) -> Option<u64> {
    match order.status(caller.ask.now) {
        OrderStatus::Pending => Some(RetryAfter(caller.service.method.retry_after).seconds()),
        OrderStatus::AwaitingCsr
        | OrderStatus::AwaitingProof
        | OrderStatus::Issued
        | OrderStatus::Denied
        | OrderStatus::Cancelled
        | OrderStatus::Failed
        | OrderStatus::Expired => None,
    }
}

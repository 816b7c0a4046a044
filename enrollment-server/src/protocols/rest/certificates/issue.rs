//! A certificate in one call: an order, what becomes of it, and the private key where the server made that.

mod sent;

use axum::{body::Body, extract::Path, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION, RETRY_AFTER},
};
use issuance::{
    Error,
    authn::Freshness,
    identity::CertificateId,
    rest::{OrderKey, RestAction},
};
use serde::Serialize;
use utoipa::ToSchema;

use self::sent::{IssueRequest, RenewRequest};
use super::{find, find_own, object::CertificateObject, renew::renew, shown};
use crate::{
    metrics,
    protocols::rest::{
        ask::Ask,
        auth::Caller,
        body::{self, Hidden},
        error::RestError,
        objects::json,
        openapi::{self, BodyProblems, ConflictProblem, MissingProblem, Problems},
        orders::{
            Delivery, KeyFormat, KeyObject, OrderObject, OrderRequest, Placed, Placing, hand_out, place,
            wait_for,
        },
    },
};

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct IssuedObject {
    order: OrderObject,
    /// Unless the order waits for a person, or came to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    certificate: Option<CertificateObject>,
    /// The private key, where the server made it and a passphrase was given. Once: the same request again gets none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<KeyObject>,
}

/// Issue a certificate in one call.
///
/// With a certificate request, or with a key that the server makes. It is an order too. The same request with the same
/// `Idempotency-Key` is not made twice.
#[utoipa::path(post, path = "/certificates", operation_id = "issueCertificate", tag = "certificates",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "The client's own name for this request.")),
    request_body = IssueRequest,
    responses(
        (status = 201, description = "It is issued.", body = IssuedObject,
            headers(("Location" = String, description = "The certificate."))),
        (status = 202, description = "The order waits for a person, or came to nothing.", body = IssuedObject,
            headers(("Location" = String, description = "The order."),
                ("Retry-After" = u64, description = "Seconds, where it is pending."))),
        Problems, BodyProblems, ConflictProblem))]
pub(super) async fn issue_certificate(ask: Ask, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Cached).await?;
    let placed = async {
        let (request, delivery) = body::read::<IssueRequest>(&caller.ask, body).await?.split()?;
        Ok((place(&caller, &Placing::new(&caller, request)?).await?, delivery))
    };
    let (placed, delivery) = caller.vouch(placed.await).await?;
    answer(&caller, placed, delivery.as_ref()).await
}

/// Renew a certificate whose key the server made.
///
/// With a new key, for the same names, by what the profile says now: in an order of its own, and once.
#[utoipa::path(post, path = "/certificates/{id}/renew", operation_id = "renewCertificate", tag = "certificates",
    params(("id" = String, Path, description = "`{issuer}.{serial}`"),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
            description = "The client's own name for this request.")),
    request_body = Option<RenewRequest>,
    responses(
        (status = 201, description = "The new certificate.", body = IssuedObject,
            headers(("Location" = String, description = "The new certificate."))),
        (status = 202, description = "The order waits for a person, or came to nothing.", body = IssuedObject,
            headers(("Location" = String, description = "The order."),
                ("Retry-After" = u64, description = "Seconds, where it is pending."))),
        Problems, BodyProblems, MissingProblem, ConflictProblem))]
pub(super) async fn renew_certificate(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Fresh).await?;
    let request: RenewRequest = body::read_optional(&caller.ask, body).await?;
    let delivery = delivery(request.format, request.passphrase.as_ref(), request.chain)?;
    let row = find_own(&caller, &id).await?;
    let placed = renew(&caller, &row).await?;
    answer(&caller, placed, delivery.as_ref()).await
}

impl IssueRequest {
    fn split(self) -> Result<(OrderRequest, Option<Delivery>), RestError> {
        let delivery = delivery(self.format, self.passphrase.as_ref(), self.chain)?;
        if self.csr.is_some() && delivery.is_some() {
            let sentence = "the server makes no key for a certificate request, and has none to give";
            return Err(RestError::invalid("/passphrase", sentence));
        }
        Ok((self.order(), delivery))
    }
}

/// None where no passphrase is given.
fn delivery(
    format: Option<KeyFormat>,
    passphrase: Option<&Hidden>,
    chain: Option<bool>,
) -> Result<Option<Delivery>, RestError> {
    match (passphrase, format, chain) {
        (Some(passphrase), format, chain) => {
            Delivery::new(format.unwrap_or(KeyFormat::Pkcs8), passphrase, chain).map(Some)
        }
        (None, None, None) => Ok(None),
        (None, Some(_), _) | (None, _, Some(_)) => {
            Err(RestError::invalid("/passphrase", "a key is given under a passphrase only"))
        }
    }
}

/// The order as it is by now, and what it led to. A key that is still here goes with it, and is not here any more.
async fn answer(caller: &Caller, placed: Placed, delivery: Option<&Delivery>) -> Result<Response, RestError> {
    let now = caller.ask.now;
    let Placed { mut order, certificate: issued } = placed;
    let Some((issuer, serial)) = order.certificate() else {
        let location = openapi::path(&format!("/orders/{}", order.id));
        let wait = wait_for(caller, &order);
        let object = IssuedObject { order: OrderObject::of(caller, order), certificate: None, key: None };
        let mut response = located(StatusCode::ACCEPTED, &location, &object)?;
        if let Some(seconds) = wait {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            response.extensions_mut().insert(metrics::Outcome::Pending);
        }
        return Ok(response);
    };
    let id = CertificateId { issuer, serial };
    let row = find(caller, &id.to_string()).await?;
    let key = match (delivery, &order.key) {
        (Some(delivery), OrderKey::Held { .. }) => {
            let key = hand_out(caller, order.clone(), delivery).await?;
            order.hand_out_key(now)?;
            Some(key)
        }
        (Some(_) | None, _) => None,
    };
    let certificate = Some(shown(caller, &row).await?);
    let object = IssuedObject { order: OrderObject::of(caller, order), certificate, key };
    let mut response = located(StatusCode::CREATED, &openapi::path(&format!("/certificates/{id}")), &object)?;
    if issued.is_some() {
        response.extensions_mut().insert(metrics::Outcome::Issued);
    }
    Ok(response)
}

fn located(status: StatusCode, location: &str, object: &IssuedObject) -> Result<Response, RestError> {
    let mut response = json(status, object)?;
    let location = HeaderValue::try_from(location).map_err(|error| Error::Internal(error.to_string()))?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // There may be a key in it.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

//! Orders (`/orders`): from what is asked to a certificate, at once or step by step.
//!
//! | file | what |
//! | --- | --- |
//! | `sent.rs`, `subject.rs`, `csr.rs`, `request.rs` | what is asked for |
//! | `place.rs` | a new order, once |
//! | `control.rs`, `authorization.rs` | proof of control over its names |
//! | `issue.rs` | what becomes of an order |
//! | `wait.rs` | answers that wait for that |
//! | `key.rs` | private keys that the server made |
//! | `renewal.rs` | which certificates the server is to renew by itself |
//! | `list.rs`, `object.rs` | orders as they are shown |

mod authorization;
mod control;
mod csr;
mod issue;
mod key;
mod list;
mod object;
mod place;
mod renewal;
mod request;
mod sent;
mod subject;
mod wait;

pub(super) use issue::{give_up, load, look};
pub(super) use key::{Delivery, KeyObject, hand_out};
pub(super) use object::{OrderObject, wait_for};
pub(super) use place::{Placed, Placing, place};
pub(super) use sent::{KeyFormat, OrderRequest, RenewalRequest, present_renewal};

use std::sync::Arc;

use axum::{body::Body, extract::Path, response::Response};
use http::{HeaderName, HeaderValue, StatusCode, header::RETRY_AFTER};
use issuance::{
    acme::ChallengeType,
    authn::Freshness,
    identity::RestOrderId,
    rest::{OrderRow, OrderStatus, RestAction},
};
use pki::csr::Csr;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use self::{
    authorization::AuthorizationObject,
    issue::{Ended, Material, check_own, is_open},
    object::shown,
    sent::KeyRequest,
};
use super::{
    Traces,
    ask::Ask,
    auth::Caller,
    body,
    error::RestError,
    objects::json,
    openapi::{BodyProblems, ConflictProblem, MissingProblem, Problems},
};
use crate::{
    metrics::{self, Operation},
    serving::App,
};

const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Seconds after which a program may see what became of a challenge.
const VALIDATION_RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(create_order).layer(traces.of(Operation::CreateOrder)))
        .routes(routes!(list::list_orders).layer(traces.of(Operation::ListOrders)))
        .routes(routes!(read_order).layer(traces.of(Operation::ReadOrder)))
        .routes(routes!(cancel_order).layer(traces.of(Operation::CancelOrder)))
        .routes(routes!(submit_csr).layer(traces.of(Operation::SubmitCsr)))
        .routes(routes!(answer_challenge).layer(traces.of(Operation::AnswerChallenge)))
        .routes(routes!(fetch_key).layer(traces.of(Operation::FetchKey)))
}

/// Order a certificate.
///
/// With a certificate request or a key made by the server it is issued in the same call, unless a person decides first. The same
/// order with the same `Idempotency-Key` is not made twice.
#[utoipa::path(
    post,
    path = "/orders",
    operation_id = "createOrder",
    tag = "orders",
    params(("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = "^[!-~]+$",
        description = "The client's own name for this request.")),
    request_body = OrderRequest,
    responses(
        (status = 201, description = "The order, as it is now.", body = OrderObject,
            headers(("Location" = String, description = "The order."),
                ("Retry-After" = u64, description = "Seconds, where it is pending."))),
        Problems, BodyProblems, ConflictProblem,
    )
)]
async fn create_order(ask: Ask, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Cached).await?;
    let placed = async {
        let request = body::read(&caller.ask, body).await?;
        place(&caller, &Placing::new(&caller, request)?).await
    };
    let placed = caller.vouch(placed.await).await?;
    let issued = placed.certificate.is_some();
    let mut response = shown(&caller, StatusCode::CREATED, placed.order)?;
    if issued {
        response.extensions_mut().insert(metrics::Outcome::Issued);
    }
    Ok(response)
}

/// Read an order.
///
/// One that was approved is issued now, where whoever ordered reads it. With `Prefer: wait=N` the answer comes when something has
/// become of an open order, or after N seconds (30 at most).
#[utoipa::path(
    get,
    path = "/orders/{id}",
    operation_id = "readOrder",
    tag = "orders",
    params(("id" = String, Path, description = "Of the order."),
        ("Prefer" = Option<String>, Header, description = "RFC 7240: `wait=N`, in seconds.")),
    responses(
        (status = 200, description = "The order.", body = OrderObject,
            headers(("Preference-Applied" = String, description = "Where it was waited."),
                ("Retry-After" = u64, description = "Seconds, where it is pending."))),
        Problems, MissingProblem, ConflictProblem,
    )
)]
async fn read_order(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let mut caller = ask.caller(RestAction::Read, Freshness::Fresh).await?;
    let wait = wait::preferred(&caller.ask.headers);
    // From before the order is read, so that nothing is missed.
    let mut news = wait.map(|seconds| (seconds, caller.app().engine.store().subscribe()));
    let mut order = look(&caller, find(&caller, &id).await?).await?;
    let mut applied = None;
    if let Some((seconds, news)) = &mut news
        && is_open(&order, &caller)
    {
        let app = caller.app().clone();
        let in_flight = app.limits.load().requests_in_flight;
        // Where all places are taken, the answer comes at once.
        if let Some(_place) = app.rest.wait(in_flight) {
            (caller, order) = wait::wait(caller, order, *seconds, news).await?;
            applied = Some(*seconds);
        }
    }
    let mut response = shown(&caller, StatusCode::OK, order)?;
    if let Some(seconds) = applied {
        let value = HeaderValue::try_from(format!("wait={seconds}"));
        response.headers_mut().extend(value.ok().map(|value| (PREFERENCE_APPLIED, value)));
    }
    Ok(response)
}

/// Cancel an order.
///
/// As long as nothing has become of it, and by whoever ordered.
#[utoipa::path(
    delete,
    path = "/orders/{id}",
    operation_id = "cancelOrder",
    tag = "orders",
    params(("id" = String, Path, description = "Of the order.")),
    responses(
        (status = 200, description = "The order, cancelled.", body = OrderObject),
        Problems, MissingProblem, ConflictProblem,
    )
)]
async fn cancel_order(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Fresh).await?;
    let order = find(&caller, &id).await?;
    check_own(&caller, &order)?;
    let order = issue::cancel(&caller, order).await?;
    shown(&caller, StatusCode::OK, order)
}

/// A certificate request for an order that waits for one.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CsrRequest {
    /// PKCS #10: PEM, or DER in base64.
    csr: String,
}

/// Send the certificate request of an order.
///
/// By whoever ordered. The same request again is not another one.
#[utoipa::path(
    put,
    path = "/orders/{id}/csr",
    operation_id = "submitCsr",
    tag = "orders",
    params(("id" = String, Path, description = "Of the order.")),
    request_body = CsrRequest,
    responses(
        (status = 200, description = "The order, as it is now.", body = OrderObject,
            headers(("Retry-After" = u64, description = "Seconds, where it is pending."))),
        Problems, BodyProblems, MissingProblem, ConflictProblem,
    )
)]
async fn submit_csr(ask: Ask, Path(id): Path<String>, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Fresh).await?;
    let CsrRequest { csr } = body::read(&caller.ask, body).await?;
    let order = find(&caller, &id).await?;
    check_own(&caller, &order)?;
    let csr = csr::read(&csr)?;
    let (order, issued) = submit(&caller, order, csr).await?;
    let mut response = shown(&caller, StatusCode::OK, order)?;
    if issued {
        response.extensions_mut().insert(metrics::Outcome::Issued);
    }
    Ok(response)
}

async fn submit(caller: &Caller, order: OrderRow, csr: Csr) -> Result<(OrderRow, bool), RestError> {
    let status = order.status(caller.ask.now);
    let again = order.csr.as_deref() == Some(csr.der());
    let goes_on = [OrderStatus::AwaitingProof, OrderStatus::Pending, OrderStatus::Issued].contains(&status);
    if again && goes_on {
        return Ok((look(caller, order).await?, false));
    }
    if status != OrderStatus::AwaitingCsr {
        return Err(RestError::Transition(issuance::rest::TransitionError::Status(status)));
    }
    let names = request::general_names(&order.asked.domains)?;
    let subject = order.asked.subject.as_deref().map(request::subject_name).transpose()?;
    csr::check_agrees(&csr, &names, subject.as_ref())?;
    let der = csr.der().to_vec();
    let id = order.id.clone();
    match control::advance(caller, order, &Material::Csr(Box::new(csr))).await {
        Ok(Ended { order, issued: Some(_) }) => Ok((order, true)),
        Ok(Ended { order, issued: None }) if order.csr.as_deref() == Some(&*der) => Ok((order, false)),
        // It has ended meanwhile, and not with this request.
        Ok(Ended { order, issued: None }) => {
            let status = order.status(caller.ask.now);
            Err(RestError::Transition(issuance::rest::TransitionError::Status(status)))
        }
        // A twin of this request may have come first.
        Err(error @ RestError::Transition(_)) => {
            let order = load(caller, &id).await?;
            if order.csr.as_deref() == Some(&*der) { Ok((order, false)) } else { Err(error) }
        }
        Err(other) => Err(other),
    }
}

/// Nothing needs to be said.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChallengeAnswer {}

/// Say that a challenge can be looked at.
///
/// By whoever ordered, once what it asks for is in place: the server looks at once, and again for a while where it finds nothing.
/// An order that has its request is issued once all its names are proved. Said again, it changes nothing.
#[utoipa::path(
    post,
    path = "/orders/{id}/authorizations/{place}/challenges/{type}",
    operation_id = "answerChallenge",
    tag = "orders",
    params(("id" = String, Path, description = "Of the order."),
        ("place" = String, Path, description = "Of the authorization in the order, from 0."),
        ("type" = String, Path, description = "`http-01`, `dns-01` or `tls-alpn-01`.")),
    request_body = Option<ChallengeAnswer>,
    responses(
        (status = 200, description = "The authorization, as it is now.", body = AuthorizationObject,
            headers(("Retry-After" = u64, description = "Seconds, where it is still being looked at."))),
        Problems, BodyProblems, MissingProblem, ConflictProblem,
    )
)]
async fn answer_challenge(
    ask: Ask,
    Path((id, place, kind)): Path<(String, String, String)>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Fresh).await?;
    let ChallengeAnswer {} = body::read_optional(&caller.ask, body).await?;
    let order = find(&caller, &id).await?;
    check_own(&caller, &order)?;
    let missing = || RestError::NotFound("challenge");
    let place: usize = place.parse().map_err(|_| missing())?;
    let kind: ChallengeType = kind.parse().map_err(|_| missing())?;
    order.authorization(place)?.challenge(kind).ok_or_else(missing)?;
    let order = look(&caller, control::answer(&caller, order, place, kind).await?).await?;
    let is_processing = order.authorization(place)?.processing().is_some();
    let object = authorization::authorization(&caller, &order, place).ok_or_else(missing)?;
    let mut response = json(StatusCode::OK, &object)?;
    if is_processing {
        response.headers_mut().insert(RETRY_AFTER, VALIDATION_RETRY_AFTER);
    }
    Ok(response)
}

/// Fetch the private key that the server made for an order.
///
/// Once, and by whoever ordered: it is not here afterwards.
#[utoipa::path(
    post,
    path = "/orders/{id}/key",
    operation_id = "fetchKey",
    tag = "orders",
    params(("id" = String, Path, description = "Of the order.")),
    request_body = KeyRequest,
    responses(
        (status = 200, description = "The key.", body = KeyObject),
        Problems, BodyProblems, MissingProblem, ConflictProblem, super::openapi::GoneProblem,
    )
)]
async fn fetch_key(ask: Ask, Path(id): Path<String>, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Request, Freshness::Fresh).await?;
    let request: KeyRequest = body::read(&caller.ask, body).await?;
    let delivery = request.check()?;
    let order = look(&caller, find(&caller, &id).await?).await?;
    json(StatusCode::OK, &hand_out(&caller, order, &delivery).await?)
}

/// The order of a path.
///
/// # Errors
/// [`RestError::NotFound`].
async fn find(caller: &Caller, id: &str) -> Result<OrderRow, RestError> {
    let id: RestOrderId = id.parse().map_err(|_| RestError::NotFound("order"))?;
    load(caller, &id).await
}

//! The endpoints. What comes in was read and authenticated by `auth.rs`; what goes out gets its nonce and links here.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header::CONTENT_TYPE};
use issuance::Error;

use super::{
    account as accounts,
    auth::{ByAccount, ByEither, ByKey},
    authorization as authorizations, certificate as certificates, challenge as challenges,
    error::AcmeError,
    exchange::Exchange,
    finalize as finalization, key_change as keys, order as one_order, renewal, revoke,
};
use crate::{listeners::Peer, serving::App};

/// RFC 8555 §7.1.1.
pub(super) async fn directory(State(app): State<Arc<App>>, request: Request) -> Response {
    let exchange = match begin(&app, &request) {
        Ok(exchange) => exchange,
        Err(error) => return error.into_response(),
    };
    let directory = Bytes::from(exchange.service.directory(exchange.urls().base()));
    let content = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    exchange.answer_to_get(Ok((content, directory).into_response()))
}

/// RFC 8555 §7.2.
pub(super) async fn new_nonce(State(app): State<Arc<App>>, request: Request) -> Response {
    let exchange = match begin(&app, &request) {
        Ok(exchange) => exchange,
        Err(error) => return error.into_response(),
    };
    let status = if *request.method() == Method::HEAD { StatusCode::OK } else { StatusCode::NO_CONTENT };
    exchange.answer(Ok(status.into_response())).await
}

/// RFC 8555 §7.3.
pub(super) async fn new_account(request: ByKey) -> Response {
    let outcome = accounts::new_account(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.3.2.
pub(super) async fn account(request: ByAccount) -> Response {
    let outcome = accounts::account(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.1.2.1.
pub(super) async fn orders(request: ByAccount) -> Response {
    let outcome = accounts::orders(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.3.5.
pub(super) async fn key_change(request: ByAccount) -> Response {
    let outcome = keys::key_change(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.4.
pub(super) async fn new_order(mut request: ByAccount) -> Response {
    let mut outcome = one_order::new_order(&request).await;
    if is_stale(&outcome) {
        outcome = match request.refresh().await {
            Ok(()) => one_order::new_order(&request).await,
            Err(error) => Err(error),
        };
    }
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.4.
pub(super) async fn order(request: ByAccount) -> Response {
    let outcome = one_order::order(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.4.
pub(super) async fn finalize(request: ByAccount) -> Response {
    let outcome = finalization::finalize(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.5.
pub(super) async fn authorization(request: ByAccount) -> Response {
    let outcome = authorizations::authorization(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.5.1.
pub(super) async fn challenge(mut request: ByAccount) -> Response {
    let mut outcome = challenges::challenge(&request).await;
    if is_stale(&outcome) {
        outcome = match request.refresh().await {
            Ok(()) => challenges::challenge(&request).await,
            Err(error) => Err(error),
        };
    }
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.4.2.
pub(super) async fn certificate(request: ByAccount) -> Response {
    let outcome = certificates::certificate(&request).await;
    request.exchange.answer(outcome).await
}

/// RFC 8555 §7.6.
pub(super) async fn revoke_cert(mut request: ByEither) -> Response {
    let outcome = revoke::revoke_cert(&mut request).await;
    let exchange = match &request {
        ByEither::Account(signed) => &signed.exchange,
        ByEither::Key(signed) => &signed.exchange,
    };
    exchange.answer(outcome).await
}

/// RFC 9773 §4.
pub(super) async fn renewal_info(State(app): State<Arc<App>>, request: Request) -> Response {
    let exchange = match begin(&app, &request) {
        Ok(exchange) => exchange,
        Err(error) => return error.into_response(),
    };
    let outcome = renewal::renewal_info(&exchange).await;
    exchange.answer_to_get(outcome)
}

/// RFC 8555 §6.3; the router adds `Allow`.
pub(super) async fn method_not_allowed(State(app): State<Arc<App>>, request: Request) -> Response {
    match begin(&app, &request) {
        Ok(exchange) => exchange.answer_to_get(Err(AcmeError::MethodNotAllowed)),
        Err(error) => error.into_response(),
    }
}

/// Whether the account or its credential changed since they were read.
fn is_stale(outcome: &Result<Response, AcmeError>) -> bool {
    matches!(outcome, Err(AcmeError::Core(Error::Stale)))
}

/// A request that nobody signed.
fn begin(app: &Arc<App>, request: &Request) -> Result<Exchange, AcmeError> {
    let peer = request.extensions().get::<Peer>().ok_or(AcmeError::Host)?;
    Exchange::begin(app, request.uri(), request.headers(), peer)
}

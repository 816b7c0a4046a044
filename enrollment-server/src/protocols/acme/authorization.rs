//! Authorizations (RFC 8555 §7.5): one for each name of an order.

use axum::response::Response;
use http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use issuance::{
    Error,
    acme::{Authorization, AuthorizationStatus, ChallengeStatus, OrderRow},
    audit::Action,
    identity::AcmeOrderId,
    store::{Commit, Conflict, Expect, Write},
};

use super::{
    account::{self, ATTEMPTS},
    auth::ByAccount,
    error::AcmeError,
    exchange::{Exchange, json},
    order,
    wire::objects::{AuthorizationObject, AuthorizationUpdate, ChallengeObject},
};

/// Seconds after which a client may see what became of a challenge.
pub(super) const VALIDATION_RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// RFC 8555 §7.5, §7.5.2.
pub(super) async fn authorization(request: &ByAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let place: usize = exchange.part(2, "authorization")?;
    let order = order::load(request).await?;
    order.authorization(place)?;
    if request.payload.is_empty() {
        return shown(exchange, &order, place);
    }
    let AuthorizationUpdate = AuthorizationUpdate::parse(&request.payload.object()?)?;
    let order = deactivate(request, order, place).await?;
    shown(exchange, &order, place)
}

async fn deactivate(request: &ByAccount, order: OrderRow, place: usize) -> Result<OrderRow, AcmeError> {
    let exchange = &request.exchange;
    let mut order = order;
    for _ in 0..ATTEMPTS {
        let (id, version) = (order.id.clone(), order.version);
        order.deactivate_authorization(place, exchange.now)?;
        let name = order.authorization(place)?.name();
        let event = account::event(exchange, Action::AuthorizationDeactivated, &request.account);
        let commit = Commit {
            expect: vec![Expect::AcmeOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutAcmeOrder(Box::new(order.clone()))],
            audit: vec![event.because(&name)],
        };
        match exchange.app.engine.store().commit(commit).await? {
            Ok(_) => return Ok(order),
            Err(Conflict::Expectation(_)) => order = order::reload(request, &id).await?,
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

fn shown(exchange: &Exchange, order: &OrderRow, place: usize) -> Result<Response, AcmeError> {
    let authorization = order.authorization(place)?;
    let object = AuthorizationObject {
        identifier: &authorization.identifier,
        status: authorization.status_at(exchange.now),
        expires: Some(authorization.expires_at),
        challenges: challenges(exchange, &order.id, place, authorization),
        wildcard: authorization.wildcard,
    };
    let mut response = json(StatusCode::OK, &object)?;
    if authorization.processing().is_some() {
        response.headers_mut().insert(RETRY_AFTER, VALIDATION_RETRY_AFTER);
    }
    Ok(response)
}

/// RFC 8555 §7.1.4: all that could be met while it is pending; the one that was met or failed afterwards.
fn challenges<'a>(
    exchange: &Exchange,
    order: &AcmeOrderId,
    place: usize,
    authorization: &'a Authorization,
) -> Vec<ChallengeObject<'a>> {
    let wanted = match authorization.status {
        AuthorizationStatus::Valid => Some(ChallengeStatus::Valid),
        AuthorizationStatus::Invalid => Some(ChallengeStatus::Invalid),
        AuthorizationStatus::Pending
        | AuthorizationStatus::Deactivated
        | AuthorizationStatus::Revoked
        | AuthorizationStatus::Expired => None,
    };
    let challenges = authorization.challenges.iter();
    let challenges = challenges.filter(|challenge| wanted.is_none_or(|wanted| challenge.status == wanted));
    challenges.map(|challenge| super::challenge::object(exchange, order, place, challenge)).collect()
}

//! Challenges (RFC 8555 §7.5.1): the client says that it is ready, and the server looks.

use std::time::Duration;

use axum::response::Response;
use http::{
    StatusCode,
    header::{LINK, RETRY_AFTER},
};
use issuance::{
    Error,
    acme::{Challenge, ChallengeStatus, ChallengeType, OrderRow, TransitionError},
    identity::AcmeOrderId,
    store::{Commit, Conflict, Expect, Write},
};

use tokio::time::timeout;

use super::{
    auth::ByAccount,
    authorization::VALIDATION_RETRY_AFTER,
    error::AcmeError,
    exchange::{Exchange, json, link},
    order,
    validation::{COMMITS, Claimant, Ordered, Planned, Planning, Prover},
    wire::objects::ChallengeObject,
};

/// How long the answer waits for the validation.
const PATIENCE: Duration = Duration::from_millis(250);

/// RFC 8555 §7.5.1. A challenge that was answered before is shown as it is: clients say it twice.
pub(super) async fn challenge(request: &ByAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let place: usize = exchange.part(2, "authorization")?;
    let kind: ChallengeType = exchange.part(3, "challenge")?;
    let order = order::load(request).await?;
    order.authorization(place)?.challenge(kind).ok_or(AcmeError::NotFound("challenge"))?;
    if request.payload.is_empty() {
        return shown(exchange, &order, place, kind);
    }
    // What it holds does not matter, and there is something to come in it.
    request.payload.object()?;
    let order = start(request, order, place, kind).await?;
    shown(exchange, &order, place, kind)
}

/// Then it is validated here, at once. Where that ends soon, the client is told and need not come back to ask.
async fn start(
    request: &ByAccount,
    order: OrderRow,
    place: usize,
    kind: ChallengeType,
) -> Result<OrderRow, AcmeError> {
    let id = order.id.clone();
    let (order, planned) = commit_start(request, order, place, kind).await?;
    let app = &request.exchange.app;
    let validation = planned.and_then(|planned| {
        planned.start(app, Ordered::Acme(Box::new(order.clone())), Prover::Account(request.account.clone()))
    });
    let Some(validation) = validation else { return Ok(order) };
    match timeout(PATIENCE, validation).await {
        Ok(_ended) => order::reload(request, &id).await,
        Err(_elapsed) => Ok(order),
    }
}

/// One commit: that the challenge is being validated, and the job for whoever comes by where this process dies. No plan
/// where it was said before.
async fn commit_start(
    request: &ByAccount,
    order: OrderRow,
    place: usize,
    kind: ChallengeType,
) -> Result<(OrderRow, Option<Planned>), AcmeError> {
    let exchange = &request.exchange;
    let account_url = exchange.urls().account(&request.account.id);
    let (validations, validator) = (&exchange.app.acme.validations, &exchange.service.validator);
    // Many clients say it of all names at once; those of other processes are the only ones that are in each other's way.
    let _turn = validations.turn(&(&order.id).into(), order.authorizations.len()).await;
    let mut order = order;
    for _ in 0..COMMITS {
        let (id, version) = (order.id.clone(), order.version);
        match order.start_challenge(place, kind, exchange.now) {
            Ok(()) => {}
            Err(TransitionError::Challenge(_)) => return Ok((order, None)),
            Err(other) => return Err(other.into()),
        }
        let claimant = Claimant::Account(order.account.clone());
        let planning = Planning { order: (&order.id).into(), place, claimant, account_uri: &account_url };
        let planned = validations.plan(planning, validator, exchange.now);
        let commit = Commit {
            expect: [request.expect(), vec![Expect::AcmeOrderVersion { id: id.clone(), version }]].concat(),
            writes: vec![Write::PutAcmeOrder(Box::new(order.clone())), planned.write()],
            audit: Vec::new(),
        };
        match exchange.app.engine.store().commit(commit).await? {
            Ok(_) => return Ok((order, Some(planned))),
            Err(Conflict::Expectation(expect)) if matches!(*expect, Expect::AcmeOrderVersion { .. }) => {
                order = order::reload(request, &id).await?;
            }
            Err(Conflict::Expectation(_)) => return Err(Error::Stale.into()),
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

fn shown(
    exchange: &Exchange,
    order: &OrderRow,
    place: usize,
    kind: ChallengeType,
) -> Result<Response, AcmeError> {
    let challenge = order.authorization(place)?.challenge(kind).ok_or(AcmeError::NotFound("challenge"))?;
    let mut response = json(StatusCode::OK, &object(exchange, &order.id, place, challenge))?;
    let headers = response.headers_mut();
    headers.append(LINK, link(&exchange.urls().authorization(&order.id, place), "up")?);
    if challenge.status == ChallengeStatus::Processing {
        headers.insert(RETRY_AFTER, VALIDATION_RETRY_AFTER);
    }
    Ok(response)
}

pub(super) fn object<'a>(
    exchange: &Exchange,
    order: &AcmeOrderId,
    place: usize,
    challenge: &'a Challenge,
) -> ChallengeObject<'a> {
    ChallengeObject {
        kind: challenge.kind,
        url: exchange.urls().challenge(order, place, challenge.kind.as_str()),
        status: challenge.status,
        validated: challenge.validated_at,
        error: challenge.error.as_ref().map(Into::into),
        token: &challenge.token,
    }
}

//! Finalizing (RFC 8555 §7.4): from an order that is ready and a certificate request to a certificate, or to a person who
//! decides.

use axum::response::Response;
use http::StatusCode;
use issuance::{
    Error, Outcome,
    acme::{OrderCompletion, OrderRow, OrderState, OrderStatus, StoredProblem},
    authn::{AcmeRefusal, Authenticated, Freshness},
    authority::Method,
    engine::{Repeat, request_key},
    identity::CertificateId,
    policy::Approval,
    request::Asked,
    store::{Commit, Expect, RequestState, Write},
};
use pki::csr::{Csr, UnverifiedCsr};

use super::{
    account::ATTEMPTS,
    auth::{ByAccount, acting},
    error::{AcmeError, refusal_type},
    issued::IssuedCertificate,
    known::Known,
    order::{self, SHOWN_AFTER_END, later},
    validation::{Forbidden, caa_again},
    wire::{
        identifier::IdentifierObject,
        objects::Finalize,
        problem::{ProblemType, Subproblem},
    },
};
use crate::metrics;

/// RFC 8555 §7.4. An order that was finalized before with the same request is shown as it is: clients that lost the answer ask
/// again.
pub(super) async fn finalize(request: &ByAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let order = order::load(request).await?;
    let asked = Finalize::parse(&request.payload.object()?)?;
    match order.status(exchange.now) {
        OrderStatus::Ready => {}
        OrderStatus::Processing if is_processing_with(&order, &asked.csr) => {
            return resume(request, order).await;
        }
        OrderStatus::Valid => {
            check_issued_for(request, &order, &read_csr(&asked.csr)?).await?;
            return order::shown(exchange, &order, StatusCode::OK);
        }
        status @ (OrderStatus::Pending | OrderStatus::Processing | OrderStatus::Invalid) => {
            return Err(AcmeError::Refused(AcmeRefusal::Order(status)));
        }
    }
    let csr = read_csr(&asked.csr)?;
    let (order, issued) = issue(request, order, &csr).await?;
    let mut response = order::shown(exchange, &order, StatusCode::OK)?;
    response.extensions_mut().insert(if issued {
        metrics::Outcome::Issued
    } else {
        metrics::Outcome::Pending
    });
    Ok(response)
}

fn read_csr(der: &[u8]) -> Result<Csr, AcmeError> {
    let csr = UnverifiedCsr::from_der(der).and_then(UnverifiedCsr::verify);
    csr.map_err(|error| AcmeError::BadCsr(error.to_string()))
}

fn is_processing_with(order: &OrderRow, der: &[u8]) -> bool {
    matches!(&order.state, OrderState::Processing { csr, .. } if csr == der)
}

/// Whether the order's certificate is what this request would have got: it certifies the same key.
async fn check_issued_for(request: &ByAccount, order: &OrderRow, csr: &Csr) -> Result<(), AcmeError> {
    let Some((issuer, serial)) = order.certificate() else { return Ok(()) };
    let row = request.exchange.app.engine.store().certificate(issuer, &serial).await?;
    let key = hex::encode(csr.public_key().spki_sha256());
    if row.is_some_and(|row| row.public_key_sha256 == key) {
        return Ok(());
    }
    Err(AcmeError::Refused(AcmeRefusal::Order(OrderStatus::Valid)))
}

/// An order that waits for a person, asked for again: issued where the person has said yes, and invalid where not. What may be
/// otherwise in a moment is no answer to a client that polls: the order goes on being processed.
pub(super) async fn resume(request: &ByAccount, order: OrderRow) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let OrderState::Processing { csr, .. } = &order.state else {
        return order::shown(exchange, &order, StatusCode::OK);
    };
    // It was verified before it was recorded.
    let csr = UnverifiedCsr::from_der(csr).and_then(UnverifiedCsr::verify);
    let csr = csr.map_err(|error| Error::Internal(format!("the request of order {}: {error}", order.id)))?;
    let id = order.id.clone();
    let order = match issue(request, order, &csr).await {
        Ok((order, _)) => order,
        Err(error) => {
            let order = order::reload(request, &id).await?;
            match for_good(&error) {
                Some(problem) => end(request, order, problem).await?,
                None if is_passing(&error) => {
                    tracing::info!(order = %id, ?error, "cannot be issued at the moment");
                    order
                }
                None => return Err(error),
            }
        }
    };
    order::shown(exchange, &order, StatusCode::OK)
}

/// The order as it is afterwards, and whether there is a certificate. Whoever loses a race to a twin of this request gets
/// what the twin got; whoever loses it to another request is told that the order is not ready any more.
async fn issue(request: &ByAccount, order: OrderRow, csr: &Csr) -> Result<(OrderRow, bool), AcmeError> {
    let exchange = &request.exchange;
    let (id, mut order) = (order.id.clone(), order);
    let (mut account, mut credential) = (request.account.clone(), request.credential.clone());
    for _ in 0..ATTEMPTS {
        let method = exchange.service.with_profile(order.profile.as_deref());
        let method =
            method.ok_or_else(|| AcmeError::UnknownProfile(order.profile.clone().unwrap_or_default()))?;
        let mut asked = Asked::from_csr(csr).map_err(bad_csr)?;
        let acting = acting(exchange, &account, credential.as_deref());
        let evidence = acting.verify(method, &order, &mut asked)?;
        match decision(request, &order, method).await? {
            Some(RequestState::Pending) => return Ok((order, false)),
            // The engine says why.
            Some(RequestState::Denied) => {}
            Some(RequestState::Approved | RequestState::Issued | RequestState::Expired) | None => {
                check_caa(request, &order).await?;
            }
        }
        let authenticated = Authenticated::new(method.clone(), evidence, Some(exchange.address))?;
        let outcome = ask(request, &order, authenticated, asked).await;
        exchange.app.issuance_ended(method, &outcome);
        match outcome {
            Ok(Outcome::Issued(issued)) => {
                tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
                let authority =
                    issued.authority.ok_or_else(|| Error::Internal("no authority signed".into()))?;
                let (issuer, serial) = (authority.key_id(), issued.serial);
                order.issued(issuer, serial, exchange.now)?;
                let requester = account.requester();
                let fetched =
                    IssuedCertificate { method: order.method.clone(), requester, der: issued.certificate };
                exchange.app.acme.issued.put(CertificateId { issuer, serial }, fetched);
                return Ok((order, true));
            }
            Ok(Outcome::Pending(pending)) => {
                tracing::Span::current().record("request_id", tracing::field::display(&pending.request));
                order.processing(pending.request, csr.der(), exchange.now)?;
                return Ok((order, false));
            }
            Err(Error::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        order = order::reload(request, &id).await?;
        match order.status(exchange.now) {
            OrderStatus::Valid => {
                check_issued_for(request, &order, csr).await?;
                return Ok((order, true));
            }
            OrderStatus::Pending | OrderStatus::Invalid => return Ok((order, false)),
            OrderStatus::Ready | OrderStatus::Processing => {}
        }
        let known = exchange.app.acme.accounts.load(exchange, &account.id, Freshness::Fresh).await?;
        Known { account, credential, .. } = known;
    }
    Err(Error::Stale.into())
}

/// What became of the request of an order that waits, before anything else is looked at for it: clients ask often, and people
/// take their time. None: there is no such request, or nobody need decide about it any more.
async fn decision(
    request: &ByAccount,
    order: &OrderRow,
    method: &Method,
) -> Result<Option<RequestState>, AcmeError> {
    let OrderState::Processing { request: id, .. } = &order.state else { return Ok(None) };
    match method.profile.policy.approval {
        Approval::Manual => {}
        Approval::Automatic => return Ok(None),
    }
    let row = request.exchange.app.engine.store().request(id).await?;
    Ok(row.map(|row| match row.state {
        RequestState::Pending if row.expires_at <= request.exchange.now => RequestState::Expired,
        state @ (RequestState::Pending
        | RequestState::Approved
        | RequestState::Denied
        | RequestState::Issued
        | RequestState::Expired) => state,
    }))
}

async fn ask(
    request: &ByAccount,
    order: &OrderRow,
    authenticated: Authenticated,
    asked: Asked,
) -> Result<Outcome, Error> {
    let exchange = &request.exchange;
    // Where nobody decides, the order itself says what became of it, in the same commit; where somebody does, the request is
    // found again by the order.
    let repeat = match authenticated.method().profile.policy.approval {
        Approval::Automatic => Repeat::Another,
        Approval::Manual => Repeat::Same,
    };
    let key = request_key(&[b"acme", order.id.as_str().as_bytes()]);
    let csr = asked.encoded.clone();
    let lifetime = exchange.service.settings.authorization_lifetime;
    let keep_until = later(later(exchange.now, lifetime), SHOWN_AFTER_END);
    let completion = OrderCompletion { order, csr: &csr, keep_until, now: exchange.now };
    exchange.app.engine.issue_with(authenticated, asked, key, repeat, &completion).await
}

fn bad_csr(error: Error) -> AcmeError {
    match error {
        Error::Malformed(sentence) => AcmeError::BadCsr(sentence),
        other @ (Error::Unauthenticated(_)
        | Error::Throttled { .. }
        | Error::Refused(_)
        | Error::NotFound(_)
        | Error::Conflict(_)
        | Error::Stale
        | Error::Unavailable(_)
        | Error::Internal(_)) => other.into(),
    }
}

async fn check_caa(request: &ByAccount, order: &OrderRow) -> Result<(), AcmeError> {
    let exchange = &request.exchange;
    let service = &exchange.service;
    let Some(issuers) = &service.settings.caa else { return Ok(()) };
    let account_uri = exchange.urls().account(&order.account);
    let (validator, authorizations) = (&service.validator, &order.authorizations);
    let places = &exchange.app.acme.caa_checks;
    let checked = caa_again(validator, authorizations, exchange.now, &account_uri, issuers, places).await;
    checked.map_err(|Forbidden { failure, authorization }| {
        AcmeError::Caa(Subproblem {
            kind: ProblemType::from_name(failure.problem).unwrap_or(ProblemType::Caa),
            detail: failure.detail,
            identifier: authorization.map(|one| IdentifierObject::of(&one.identifier, one.wildcard)),
        })
    })
}

/// What an order ends with that was to be issued later, and cannot be any more; none where it still can.
fn for_good(error: &AcmeError) -> Option<StoredProblem> {
    let (kind, detail) = match error {
        AcmeError::Core(Error::Refused(refusal)) => (refusal_type(refusal), refusal.sentence().to_owned()),
        AcmeError::Refused(refusal @ AcmeRefusal::Authorization { .. }) => {
            (ProblemType::Unauthorized, refusal.to_string())
        }
        AcmeError::Refused(refusal @ AcmeRefusal::Restricted { .. }) => {
            (ProblemType::RejectedIdentifier, refusal.to_string())
        }
        AcmeError::Refused(refusal @ AcmeRefusal::Csr(_)) => (ProblemType::BadCsr, refusal.to_string()),
        AcmeError::BadCsr(sentence) => (ProblemType::BadCsr, sentence.clone()),
        // RFC 8659 §4: they say no. That they could not be read is another matter.
        AcmeError::Caa(refused) if refused.kind == ProblemType::Caa => (refused.kind, refused.detail.clone()),
        AcmeError::UnknownProfile(_) => {
            (ProblemType::InvalidProfile, "the profile is not offered any more".into())
        }
        _other => return None,
    };
    Some(StoredProblem::new(kind.as_str(), detail))
}

/// Whether the same may do in a moment.
fn is_passing(error: &AcmeError) -> bool {
    matches!(
        error,
        AcmeError::Caa(_) | AcmeError::Core(Error::Conflict(_) | Error::Stale | Error::Unavailable(_))
    )
}

async fn end(request: &ByAccount, order: OrderRow, problem: StoredProblem) -> Result<OrderRow, AcmeError> {
    let exchange = &request.exchange;
    let mut order = order;
    for _ in 0..ATTEMPTS {
        let (id, version) = (order.id.clone(), order.version);
        if order.invalidate(problem.clone(), exchange.now).is_err() {
            return Ok(order);
        }
        let commit = Commit {
            expect: vec![Expect::AcmeOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutAcmeOrder(Box::new(order.clone()))],
            audit: Vec::new(),
        };
        match exchange.app.engine.store().commit(commit).await? {
            Ok(_) => return Ok(order),
            Err(_) => order = order::reload(request, &id).await?,
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

//! From an order and a key to a certificate, or to a person who decides; and what becomes of an order after that.

use std::sync::Arc;

use issuance::{
    Error, Issued, Outcome, Refusal,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Authenticated,
    authority::Method,
    credential::CredentialRow,
    engine::{Repeat, request_key},
    error::AuthenticationFailure,
    identity::{KeyId, RestOrderId},
    policy::Approval,
    ports::Signer,
    request::{Asked, AskedKey, AskedValidity, Exactness},
    rest::{
        OrderCompletion, OrderRow, OrderState, OrderStatus, Proof, RenewalCompletion, RestAction,
        TransitionError,
    },
    store::{Commit, Expect, RequestState, Write},
};
use pki::{
    certificate::Certificate,
    csr::{Csr, UnverifiedCsr},
    name::Name,
};
use signers::SoftwareSigner;

use super::{
    super::{auth::Caller, error::RestError},
    control,
    request::{days, general_names, subject_name},
};
use crate::serving::App;

/// How often a change is tried that somebody else comes before.
pub(super) const ATTEMPTS: usize = 3;

const UNDECIDED: &str = "nobody decided in time";

const UNFINISHED: &str = "it was not finished in time";

const ABANDONED: &str = "the credential that ordered can order no more";

/// What is certified.
pub(super) enum Material {
    Csr(Box<Csr>),
    /// Made here.
    Key(Arc<dyn Signer>),
}

/// An order after it was asked for.
pub(super) struct Ended {
    pub(super) order: OrderRow,
    /// Where it was issued just now.
    pub(super) issued: Option<Issued>,
}

/// Asks the engine for the order's certificate. A new order is of version 0, and is recorded with what becomes of it. One that has
/// ended meanwhile comes back as it is.
///
/// # Errors
/// [`RestError::Core`] with the refusal.
pub(super) async fn issue(caller: &Caller, order: OrderRow, material: &Material) -> Result<Ended, RestError> {
    let (mut order, mut again) = (order, None);
    for _ in 0..ATTEMPTS {
        let caller = again.as_ref().unwrap_or(caller);
        let method = product(caller, &order)?;
        let authenticated = authenticated(caller, &method, &order).await?;
        let asked = asked(&order, material)?;
        let encoded = asked.encoded.clone();
        // Where nobody decides, the order itself says what became of it, in the same commit; where somebody does, the request
        // is found again by the order.
        let repeat = match method.profile.policy.approval {
            Approval::Automatic => Repeat::Another,
            Approval::Manual => Repeat::Same,
        };
        let key = request_key(&[b"rest", order.id.as_str().as_bytes()]);
        let renewed = match &order.replaces {
            Some((issuer, serial)) => {
                caller.app().engine.store().rest_order_of(caller.method(), *issuer, serial).await?
            }
            None => None,
        };
        let completion = OrderCompletion { order: &order, csr: &encoded, now: caller.ask.now };
        let completion = RenewalCompletion { order: completion, renewed: renewed.as_ref() };
        let engine = &caller.app().engine;
        let outcome = engine.issue_with(authenticated, asked, key, repeat, &completion).await;
        caller.app().issuance_ended(&method, &outcome);
        match outcome {
            Ok(Outcome::Issued(issued)) => {
                tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
                order.issued((issuer(&issued)?, issued.serial), &encoded, caller.ask.now)?;
                return Ok(Ended { order, issued: Some(issued) });
            }
            Ok(Outcome::Pending(pending)) => {
                tracing::Span::current().record("request_id", tracing::field::display(&pending.request));
                order.pending(pending.request, &encoded, caller.ask.now)?;
                return Ok(Ended { order, issued: None });
            }
            Err(Error::Stale) => {}
            Err(error) => return Err(error.into()),
        }
        let fresh = caller.again().await?;
        if order.version > 0 {
            order = load(&fresh, &order.id).await?;
            // Whoever came first has answered: what is signed now would be signed in vain.
            if !is_open(&order, &fresh) {
                return Ok(Ended { order, issued: None });
            }
        }
        again = Some(fresh);
    }
    Err(Error::Stale.into())
}

/// The caller as a requester of the product, with what was proved for the order; one who has not shown enough for its profile
/// is refused on the record.
pub(super) async fn authenticated(
    caller: &Caller,
    method: &Arc<Method>,
    order: &OrderRow,
) -> Result<Authenticated, RestError> {
    match caller.authenticated_for(method, order) {
        Ok(authenticated) => Ok(authenticated),
        Err(Error::Refused(refusal)) => Err(refuse(caller, method, &Name::empty(), refusal).await),
        Err(other) => Err(other.into()),
    }
}

/// The method with the profile of the order's product.
pub(super) fn product(caller: &Caller, order: &OrderRow) -> Result<Arc<Method>, RestError> {
    let offered = caller.service.product(&order.product).cloned();
    offered.ok_or_else(|| RestError::Conflict("the product of this order is not offered any more".into()))
}

/// RFC 5280 §4.1.2.4: of a self-signed certificate, its own key.
fn issuer(issued: &Issued) -> Result<KeyId, Error> {
    if let Some(authority) = &issued.authority {
        return Ok(authority.key_id());
    }
    let certificate = Certificate::from_der(&issued.certificate);
    let certificate = certificate.map_err(|error| Error::Internal(error.to_string()))?;
    Ok(KeyId(certificate.public_key().key_identifier()))
}

/// What is asked of the engine.
///
/// # Errors
/// [`RestError::Invalid`].
pub(super) fn asked(order: &OrderRow, material: &Material) -> Result<Asked, RestError> {
    let validity = AskedValidity {
        not_before: None,
        not_after: order.asked.not_after,
        duration: order.asked.validity_days.map(days),
    };
    match material {
        Material::Csr(csr) => {
            let asked = Asked::from_csr(csr).map_err(|error| match error {
                Error::Malformed(sentence) => RestError::invalid("/csr", sentence),
                other => other.into(),
            })?;
            Ok(Asked { validity, ..asked })
        }
        Material::Key(signer) => Ok(Asked {
            subject: order.asked.subject.as_deref().map_or(Ok(Name::empty()), subject_name)?,
            subject_alt_names: general_names(&order.asked.domains)?,
            encoded: signer.public_key().spki_der().to_vec(),
            key: AskedKey::Server(signer.clone()),
            key_usage: None,
            extended_key_usage: None,
            basic_constraints: None,
            other_extensions: Vec::new(),
            validity,
            exactness: Exactness::Loose,
        }),
    }
}

/// The order, where the caller may see it.
///
/// # Errors
/// [`RestError::NotFound`].
pub(in crate::protocols::rest) async fn load(
    caller: &Caller,
    id: &RestOrderId,
) -> Result<OrderRow, RestError> {
    let method = caller.own_method().map_err(|_| RestError::NotFound("order"))?;
    let row = caller.app().engine.store().rest_order(id).await?;
    row.filter(|row| row.method == *method).ok_or(RestError::NotFound("order"))
}

/// Whether the caller is who ordered.
pub(super) fn is_own(caller: &Caller, order: &OrderRow) -> bool {
    order.requester.identity() == caller.evidence.identity()
}

/// Whether an order is issued because the caller looks at it: reading alone asks for nothing.
fn may_issue(caller: &Caller, order: &OrderRow) -> bool {
    is_own(caller, order) && caller.actions.contains(RestAction::Request)
}

/// # Errors
/// [`RestError::OthersOrder`].
pub(super) fn check_own(caller: &Caller, order: &OrderRow) -> Result<(), RestError> {
    if is_own(caller, order) { Ok(()) } else { Err(RestError::OthersOrder) }
}

/// An order that waits for proofs or for a person, looked at again: it ends where nobody will approve it any more, or a proof is
/// none; where all is there that was waited for, it is issued to whoever ordered.
///
/// # Errors
/// [`RestError::Core`] where store or signer do not answer.
pub(in crate::protocols::rest) async fn look(
    caller: &Caller,
    order: OrderRow,
) -> Result<OrderRow, RestError> {
    let now = caller.ask.now;
    let request = match &order.state {
        OrderState::Pending { request } => request,
        OrderState::AwaitingProof => return look_at_proofs(caller, order).await,
        OrderState::AwaitingCsr
        | OrderState::Issued { .. }
        | OrderState::Denied { .. }
        | OrderState::Cancelled
        | OrderState::Failed { .. } => return Ok(order),
    };
    let Some(row) = caller.app().engine.store().request(request).await? else {
        return end(caller, order, |order| order.fail(UNDECIDED.into(), now)).await;
    };
    match row.state {
        RequestState::Pending if row.expires_at > now => Ok(order),
        RequestState::Approved if may_issue(caller, &order) => issue_recorded(caller, order).await,
        RequestState::Approved => Ok(order),
        // The order says so too by now.
        RequestState::Issued => load(caller, &order.id).await,
        RequestState::Denied => {
            let reason = row.decision.and_then(|decision| decision.reason);
            end(caller, order, |order| order.deny(reason.clone(), now)).await
        }
        RequestState::Pending | RequestState::Expired => {
            end(caller, order, |order| order.fail(UNDECIDED.into(), now)).await
        }
    }
}

async fn look_at_proofs(caller: &Caller, order: OrderRow) -> Result<OrderRow, RestError> {
    let now = caller.ask.now;
    match order.proof(now) {
        Proof::Failed(authorization) => {
            let why = control::lost(authorization, now);
            end(caller, order, |order| order.fail(why.clone(), now)).await
        }
        Proof::Given | Proof::Awaited if !is_open(&order, caller) => {
            end(caller, order, |order| order.fail(UNFINISHED.into(), now)).await
        }
        Proof::Given if may_issue(caller, &order) => issue_recorded(caller, order).await,
        Proof::Given | Proof::Awaited => Ok(order),
    }
}

/// With what was recorded with the order.
async fn issue_recorded(caller: &Caller, order: OrderRow) -> Result<OrderRow, RestError> {
    let material = recorded(caller.app(), &order)?;
    let (id, now) = (order.id.clone(), caller.ask.now);
    let method = product(caller, &order)?;
    let permitted = control::check_caa(caller, &method, &order).await;
    // What may be otherwise in a moment is no answer to whoever polls.
    if let Err(RestError::Core(Error::Unavailable(why))) = &permitted {
        tracing::info!(order = %id, why, "cannot be issued at the moment");
        return Ok(order);
    }
    let outcome = match permitted {
        Ok(()) => issue(caller, order, &material).await,
        Err(refused) => Err(refused),
    };
    match outcome {
        Ok(ended) => Ok(ended.order),
        Err(RestError::Core(Error::Refused(refusal))) => {
            let order = load(caller, &id).await?;
            end(caller, order, |order| order.fail(refusal.sentence().to_owned(), now)).await
        }
        // Somebody else came first.
        Err(RestError::Transition(_) | RestError::Core(Error::Conflict(_) | Error::Stale)) => {
            load(caller, &id).await
        }
        Err(other) => Err(other),
    }
}

/// What was recorded with an order that waits.
fn recorded(app: &App, order: &OrderRow) -> Result<Material, RestError> {
    let broken = |what: String| Error::Internal(format!("order {}: {what}", order.id));
    if let Some(csr) = &order.csr {
        // It was verified before it was recorded.
        let csr = UnverifiedCsr::from_der(csr).and_then(UnverifiedCsr::verify);
        return Ok(Material::Csr(Box::new(csr.map_err(|error| broken(error.to_string()))?)));
    }
    let key = order.key.unseal(&app.sealing, &order.id).map_err(Error::from)?;
    let key = key.ok_or_else(|| broken("it has neither a request nor a key".into()))?;
    let signer = SoftwareSigner::from_pkcs8(&key).map_err(|error| broken(error.to_string()))?;
    Ok(Material::Key(Arc::new(signer)))
}

/// Ends an order, unless it has ended otherwise meanwhile.
async fn end(
    caller: &Caller,
    order: OrderRow,
    change: impl Fn(&mut OrderRow) -> Result<(), TransitionError>,
) -> Result<OrderRow, RestError> {
    let mut order = order;
    for _ in 0..ATTEMPTS {
        let (id, version) = (order.id.clone(), order.version);
        if change(&mut order).is_err() {
            return Ok(order);
        }
        let commit = Commit {
            expect: vec![Expect::RestOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutRestOrder(Box::new(order.clone()))],
            audit: Vec::new(),
        };
        match caller.app().engine.store().commit(commit).await? {
            Ok(_) => return Ok(order),
            Err(_) => order = load(caller, &id).await?,
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

/// The requester wants it no more. The request of a pending one ends with it, so that nobody decides on it in vain.
///
/// # Errors
/// [`RestError::Transition`] where it has ended already.
pub(super) async fn cancel(caller: &Caller, order: OrderRow) -> Result<OrderRow, RestError> {
    let now = caller.ask.now;
    stop(caller, order, "cancelled by the requester", |order| order.cancel(now)).await
}

/// An order of somebody else fails where their credential is good for nothing any more: nobody could finish it.
///
/// # Errors
/// [`RestError::Core`] without the store.
pub(in crate::protocols::rest) async fn give_up(
    caller: &Caller,
    order: OrderRow,
) -> Result<OrderRow, RestError> {
    let (id, now) = (order.id.clone(), caller.ask.now);
    if is_own(caller, &order) || !is_open(&order, caller) {
        return Ok(order);
    }
    let Some(credential) = &order.requester.credential else { return Ok(order) };
    let row = caller.app().engine.store().credential(credential).await?;
    // As often as it may be used up: what it ordered before may still come.
    let ended = |row: CredentialRow| {
        let failure = row.usable(now).err();
        matches!(failure, Some(AuthenticationFailure::Revoked | AuthenticationFailure::Expired))
            || !row.actions.contains(RestAction::Request)
    };
    if !row.is_none_or(ended) {
        return Ok(order);
    }
    match stop(caller, order, ABANDONED, |order| order.fail(ABANDONED.into(), now)).await {
        // It has ended otherwise meanwhile.
        Err(RestError::Transition(_)) => load(caller, &id).await,
        ended => ended,
    }
}

/// Ends an order, and its request with it.
async fn stop(
    caller: &Caller,
    order: OrderRow,
    why: &str,
    change: impl Fn(&mut OrderRow) -> Result<(), TransitionError>,
) -> Result<OrderRow, RestError> {
    let (mut order, store, now) = (order, caller.app().engine.store(), caller.ask.now);
    for _ in 0..ATTEMPTS {
        let (id, version) = (order.id.clone(), order.version);
        let pending = match &order.state {
            OrderState::Pending { request } => store.request(request).await?,
            OrderState::AwaitingCsr
            | OrderState::AwaitingProof
            | OrderState::Issued { .. }
            | OrderState::Denied { .. }
            | OrderState::Cancelled
            | OrderState::Failed { .. } => None,
        };
        change(&mut order)?;
        let mut commit = Commit {
            expect: vec![Expect::RestOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutRestOrder(Box::new(order.clone()))],
            audit: Vec::new(),
        };
        let open = pending.filter(|row| matches!(row.state, RequestState::Pending | RequestState::Approved));
        if let Some(row) = open {
            let (request, state) = (row.id.clone(), row.state);
            commit.expect.push(Expect::RequestState { id: request.clone(), state });
            let expired = RequestState::Expired;
            commit.writes.push(Write::UpdateRequest {
                id: request.clone(),
                state: expired,
                decision: None,
                certificate: None,
            });
            let actor = Actor::of(&caller.requester());
            let event = AuditEvent::new(now, Action::RequestDenied, AuditOutcome::Done, actor);
            let mut event = event.because(why);
            event.method = Some(row.method);
            event.profile = Some(row.profile);
            event.credential = row.requester.credential;
            event.request = Some(request);
            commit.audit.push(event);
        }
        match store.commit(commit).await? {
            Ok(_) => return Ok(order),
            Err(_) => order = load(caller, &id).await?,
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

/// What a rule of the method itself refuses, on the record.
pub(super) async fn refuse(caller: &Caller, method: &Method, subject: &Name, refusal: Refusal) -> RestError {
    // It is said in the caller's name, and no commit looks at the credential.
    match caller.again().await {
        Ok(caller) => {
            caller.app().engine.refuse_requester(method, &caller.requester(), subject, refusal).await.into()
        }
        Err(ended) => ended,
    }
}

/// Whether anything can still become of it.
pub(super) fn is_open(order: &OrderRow, caller: &Caller) -> bool {
    match order.status(caller.ask.now) {
        OrderStatus::AwaitingCsr | OrderStatus::AwaitingProof | OrderStatus::Pending => true,
        OrderStatus::Issued
        | OrderStatus::Denied
        | OrderStatus::Cancelled
        | OrderStatus::Failed
        | OrderStatus::Expired => false,
    }
}

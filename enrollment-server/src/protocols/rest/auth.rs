//! Who asks over REST, which method that is of, and what it may do there: an access key or a token of a service account (RFC 6750
//! §2.1), or a client certificate.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use http::header::AUTHORIZATION;
use issuance::{
    Error,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::{Authenticated, Evidence, Freshness, Requester},
    authority::Method,
    error::AuthenticationFailure,
    identity::{Protocol, ResourceName},
    rest::{OrderRow, RestAction, RestActions},
    secret::Secret,
    store::{Commit, MethodScope},
};

use super::{ask::Ask, error::RestError, service::RestService};
use crate::{listeners::Peer, serving::App};

/// Somebody who may do what is asked.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) ask: Arc<Ask>,
    pub(super) service: Arc<RestService>,
    pub(super) evidence: Evidence,
    /// All that the credential may do.
    pub(super) actions: RestActions,
    /// None: the server itself, for whoever ordered.
    pub(super) address: Option<IpAddr>,
    /// The one method of the scope that the request is about; none where it is about all of them.
    narrowed: Option<MethodScope>,
    shown: Shown,
}

/// What the caller is found by, once more where that is needed.
#[derive(Debug)]
enum Shown {
    /// The headers and the certificate of the request.
    Credential { method: Option<ResourceName>, action: RestAction },
    /// An order whose certificate the server renews by itself.
    Order(Box<OrderRow>),
}

impl Caller {
    pub(super) fn app(&self) -> &Arc<App> {
        &self.ask.app
    }

    /// The methods whose rows the caller sees: their own and those that are administered from there, or the one of them that
    /// `?method=` names.
    pub(super) fn scope(&self) -> &MethodScope {
        self.narrowed.as_ref().unwrap_or(&self.service.scope)
    }

    /// The caller's own method, for what is never of another: orders.
    ///
    /// # Errors
    /// [`RestError::NotFound`] where `?method=` names another one.
    pub(super) fn own_method(&self) -> Result<&ResourceName, RestError> {
        let own = self.method();
        if self.scope().contains(own) { Ok(own) } else { Err(NO_METHOD) }
    }

    /// The caller's own method: what is ordered is ordered there.
    pub(super) fn method(&self) -> &ResourceName {
        &self.service.method.name
    }

    /// The caller as a requester of a product: [`RestService::product`], or the method itself.
    ///
    /// # Errors
    /// [`Error::Refused`] where the profile asks for more than was shown.
    pub(super) fn authenticated(&self, product: &Arc<Method>) -> Result<Authenticated, Error> {
        Authenticated::new(product.clone(), self.evidence.clone(), self.address)
    }

    /// Counts the request among those with this credential; what it grants is counted by the commit that does.
    pub(super) fn count(&self) {
        if let Some(credential) = self.evidence.credential() {
            self.app().passwords.usage().accepted(credential, self.ask.now, self.address);
        }
    }

    /// The answer to a caller of [`Freshness::Cached`]. What is refused was not committed with the evidence: nobody is told so whose
    /// credential has ended, nor is that counted as a request with it.
    pub(super) async fn vouch<T>(&self, answer: Result<T, RestError>) -> Result<T, RestError> {
        match &answer {
            Ok(_) => self.count(),
            Err(RestError::Core(Error::Unauthenticated(_))) => {}
            Err(_) => self.again().await?.count(),
        }
        answer
    }

    /// As [`Caller::authenticated`], with the names that the caller has proved for an order.
    ///
    /// # Errors
    /// As [`Caller::authenticated`].
    pub(super) fn authenticated_for(
        &self,
        product: &Arc<Method>,
        order: &OrderRow,
    ) -> Result<Authenticated, Error> {
        let evidence = self.evidence.clone().with_proofs_of(order, self.ask.now);
        Authenticated::new(product.clone(), evidence, self.address)
    }

    /// As rows and the audit trail remember the caller.
    pub(super) fn requester(&self) -> Requester {
        self.evidence.requester(Protocol::Rest, self.address)
    }

    /// The same caller by what store, clock and configuration say now: after a commit said that something had changed, or a wait.
    ///
    /// # Errors
    /// As [`Ask::caller`].
    pub(super) async fn again(&self) -> Result<Self, RestError> {
        let ask = Arc::new(self.ask.anew());
        match &self.shown {
            Shown::Credential { method, action } => {
                caller(ask, method.clone(), *action, Freshness::Fresh).await
            }
            Shown::Order(order) => renewing(ask, order).await,
        }
    }
}

/// Whoever ordered, where the server renews by itself what they ordered, as they could now.
///
/// # Errors
/// [`RestError::Core`] with [`Error::Unauthenticated`] where they could not; [`RestError::NotFound`] where the method is not served
/// any more.
pub(super) async fn renewing(ask: Arc<Ask>, order: &OrderRow) -> Result<Caller, RestError> {
    let service = ask.serving.rest.get(&order.method).filter(|service| service.access_keys).cloned();
    let service = service.ok_or(RestError::NotFound("the method for access keys"))?;
    let (evidence, actions) = Evidence::of_renewal(&**ask.app.engine.store(), order, ask.now).await?;
    let shown = Shown::Order(Box::new(order.clone()));
    Ok(Caller { ask, service, evidence, actions, address: None, narrowed: None, shown })
}

/// Who was found, before it is known whether they may.
struct Found {
    service: Arc<RestService>,
    evidence: Evidence,
    actions: RestActions,
}

/// A method that `?method=` names, and that does not concern the caller: they are not told whether it is there.
const NO_METHOD: RestError = RestError::NotFound("method");

/// What somebody asks for.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// `?method=`
    method: Option<&'a ResourceName>,
    action: RestAction,
}

impl Wanted<'_> {
    /// Whether it can be had by callers of this method. What is asked of one method is done there and nowhere else.
    fn is_reached_by(self, service: &RestService) -> bool {
        self.method.is_none_or(|method| match self.action {
            RestAction::Request => service.method.name == *method,
            RestAction::Read
            | RestAction::Revoke
            | RestAction::Approve
            | RestAction::Report
            | RestAction::Credentials => service.scope.contains(method),
        })
    }

    fn names(self, service: &RestService) -> bool {
        self.method == Some(&service.method.name)
    }

    /// Of methods that take the same certificate or token the one that is named, or else the only one by which that one is reached.
    fn choose(self, taking: Vec<Found>) -> Result<Option<Found>, RestError> {
        let (mut reaching, mut others): (Vec<_>, Vec<_>) =
            taking.into_iter().partition(|found| self.is_reached_by(&found.service));
        if let Some(place) = reaching.iter().position(|found| self.names(&found.service)) {
            return Ok(Some(reaching.swap_remove(place)));
        }
        match (reaching.len(), others.len()) {
            (0, 0 | 1) => Ok(others.pop()),
            (0, _) => Err(NO_METHOD),
            (1, _) => Ok(reaching.pop()),
            (_, _) => Err(RestError::MethodRequired),
        }
    }
}

/// Judges the credential, and whether it has the action; nothing is looked up before. A cached row will do only for what commits
/// with the evidence, and any other answer goes by [`Caller::vouch`].
pub(super) async fn caller(
    ask: Arc<Ask>,
    method: Option<ResourceName>,
    action: RestAction,
    freshness: Freshness,
) -> Result<Caller, RestError> {
    let peer = ask.peer.as_ref().ok_or_else(|| Error::Internal("a request without a peer".into()))?;
    let address = peer.ip();
    ask.app.check_address(Protocol::Rest, address)?;
    let wanted = Wanted { method: method.as_ref(), action };
    let mut found = find(&ask, peer, wanted, freshness).await?;
    let may = |found: &Found| found.actions.contains(action) && wanted.is_reached_by(&found.service);
    if freshness == Freshness::Cached && !may(&found) {
        found = find(&ask, peer, wanted, Freshness::Fresh).await?;
    }
    let is_reached = wanted.is_reached_by(&found.service);
    let Found { service, evidence, actions } = found;
    let span = tracing::Span::current();
    span.record("requester", evidence.name());
    span.record("profile", tracing::field::display(&service.method.profile.policy.name));
    let narrowed = method.clone().map(MethodScope::from);
    let (address, shown) = (Some(address), Shown::Credential { method, action });
    let caller = Caller { ask, service, evidence, actions, address, narrowed, shown };
    match (actions.contains(action), is_reached) {
        (true, true) => Ok(caller),
        (false, true | false) => Err(not_allowed(&caller, action).await),
        (true, false) => {
            caller.count();
            Err(NO_METHOD)
        }
    }
}

/// On the record: who it was is known.
async fn not_allowed(caller: &Caller, action: RestAction) -> RestError {
    let actor = Actor::of(&caller.requester());
    let event = AuditEvent::new(caller.ask.now, Action::AccessRefused, AuditOutcome::Refused, actor);
    let reason = format!("the credential does not have the action {}", action.as_str());
    let mut event = event.because(&reason);
    event.method = Some(caller.method().clone());
    event.credential = caller.evidence.credential().cloned();
    let commit = Commit { audit: vec![event], ..Commit::default() };
    match caller.app().engine.store().commit(commit).await {
        Ok(_) => RestError::ActionNotAllowed(action),
        // What is not on the record is not answered either.
        Err(error) => error.into(),
    }
}

/// Whatever is in the header must be right, certificate or not; without one the certificate counts.
async fn find(ask: &Ask, peer: &Peer, wanted: Wanted<'_>, freshness: Freshness) -> Result<Found, RestError> {
    let mut values = ask.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return by_certificate(ask, peer, wanted).await };
    let bearer = match values.next() {
        Some(_) => Err(AuthenticationFailure::Unreadable),
        None => bearer(value.as_bytes()),
    };
    let bearer = bearer.map_err(|failure| nobody(ask, peer, failure))?;
    match std::str::from_utf8(bearer.expose()) {
        // RFC 7515 §7.1. An access key has no dots.
        Ok(token) if token.bytes().filter(|octet| *octet == b'.').count() == 2 => {
            by_token(ask, peer, token, wanted)
        }
        Ok(_) | Err(_) => by_access_key(ask, peer, &bearer, freshness).await,
    }
}

/// RFC 6750 §2.1; the name of the scheme is in any case (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Result<Secret, AuthenticationFailure> {
    let (scheme, token) = value.split_at_checked(7).ok_or(AuthenticationFailure::Unreadable)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(AuthenticationFailure::Unreadable);
    }
    Ok(Secret::new(token.trim_ascii_start()))
}

/// The key says which method it is of.
async fn by_access_key(
    ask: &Ask,
    peer: &Peer,
    presented: &Secret,
    freshness: Freshness,
) -> Result<Found, RestError> {
    let holder = ask.app.passwords.verify_access_key(presented, ask.now, freshness, Some(peer.ip())).await;
    let holder = holder.map_err(|error| match error {
        Error::Unauthenticated(failure) => nobody(ask, peer, failure),
        other => other.into(),
    })?;
    let service = ask.serving.rest.get(holder.evidence.method());
    let service = service.filter(|service| service.access_keys);
    let service = service.ok_or_else(|| nobody(ask, peer, AuthenticationFailure::Mismatch))?;
    Ok(Found { service: service.clone(), evidence: holder.evidence, actions: holder.actions })
}

/// A token says nothing of methods: each that looks at tokens judges it by its own keys, audience and accounts.
fn by_token(ask: &Ask, peer: &Peer, token: &str, wanted: Wanted<'_>) -> Result<Found, RestError> {
    let (mut taking, mut failures) = (Vec::new(), Failures::default());
    for service in named_first(ask, wanted) {
        let Some(tokens) = &service.tokens else { continue };
        match tokens.verify(token, ask.now) {
            Ok(holder) => {
                let (evidence, actions) = (holder.evidence, holder.actions);
                taking.push(Found { service: service.clone(), evidence, actions });
                if wanted.names(service) {
                    break;
                }
            }
            Err(Error::Unauthenticated(failure)) => failures.note(service, failure),
            Err(other) => return Err(other.into()),
        }
    }
    wanted.choose(taking)?.ok_or_else(|| match failures.judge(wanted) {
        Some((of, AuthenticationFailure::Unreadable)) => {
            stranger(ask, peer, of, AuthenticationFailure::Unreadable)
        }
        Some((of, failure)) => {
            let app = &ask.app;
            match of {
                Some(method) => app.authentication_by_signature_failed(method, failure, peer.ip()),
                None => app.signature_of_nobody_failed(Protocol::Rest, failure, peer.ip()),
            }
            Error::Unauthenticated(failure).into()
        }
        None => nobody(ask, peer, AuthenticationFailure::Mismatch),
    })
}

/// A certificate says nothing of methods: each that looks at certificates judges it by its own anchors.
async fn by_certificate(ask: &Ask, peer: &Peer, wanted: Wanted<'_>) -> Result<Found, RestError> {
    let (mut taking, mut failures) = (Vec::new(), Failures::default());
    for service in named_first(ask, wanted) {
        let Some(access) = &service.certificates else { continue };
        let (store, certificates) = (ask.app.engine.store(), &peer.certificates);
        match access.trust.verify(&**store, &service.method, certificates, ask.now).await {
            Ok(evidence) => {
                taking.push(Found { service: service.clone(), evidence, actions: access.actions });
                if wanted.names(service) {
                    break;
                }
            }
            Err(Error::Unauthenticated(failure)) => failures.note(service, failure),
            Err(other) => return Err(other.into()),
        }
    }
    wanted.choose(taking)?.ok_or_else(|| match failures.judge(wanted) {
        Some((of, failure)) => stranger(ask, peer, of, failure),
        None => nobody(ask, peer, AuthenticationFailure::Missing),
    })
}

/// All methods, any of which may be meant. The one that is named counts where it takes what was shown.
fn named_first<'a>(ask: &'a Ask, wanted: Wanted<'_>) -> impl Iterator<Item = &'a Arc<RestService>> {
    let named = wanted.method.and_then(|method| ask.serving.rest.get(method));
    let others = ask.serving.rest.iter().filter(move |service| !wanted.names(service));
    named.into_iter().chain(others)
}

/// Why methods that looked at a certificate or a token did not take it, by their names.
#[derive(Default)]
struct Failures<'a>(BTreeMap<&'a ResourceName, (&'a Method, AuthenticationFailure)>);

impl<'a> Failures<'a> {
    fn note(&mut self, service: &'a RestService, failure: AuthenticationFailure) {
        self.0.insert(&service.method.name, (&service.method, failure));
    }

    /// Whose failure it is, and which. Of several that looked it is that of the one that is named, and else of nobody: it would be
    /// in the trail of a method, maybe of another namespace, that the caller has nothing to do with.
    fn judge(&self, wanted: Wanted<'_>) -> Option<(Option<&'a Method>, AuthenticationFailure)> {
        let named = wanted.method.and_then(|method| self.0.get(method));
        let (_, &(first, failure)) = self.0.first_key_value()?;
        match (named, self.0.len()) {
            (Some(&(method, failure)), _) => Some((Some(method), failure)),
            (None, 1) => Some((Some(first), failure)),
            (None, _) => Some((None, failure)),
        }
    }
}

/// What was shown is of no method.
fn nobody(ask: &Ask, peer: &Peer, failure: AuthenticationFailure) -> RestError {
    ask.app.authentication_of_nobody_failed(Protocol::Rest, failure, peer.ip());
    Error::Unauthenticated(failure).into()
}

/// What was shown is none that this method takes; as [`nobody`] where it was shown to none in particular.
fn stranger(ask: &Ask, peer: &Peer, method: Option<&Method>, failure: AuthenticationFailure) -> RestError {
    let Some(method) = method else { return nobody(ask, peer, failure) };
    ask.app.authentication_failed(method, failure, peer.ip());
    Error::Unauthenticated(failure).into()
}

//! Who asks over REST, which method that is of, and what it may do there: an access key (RFC 6750 §2.1) or a client certificate.

use std::{net::IpAddr, sync::Arc};

use http::header::AUTHORIZATION;
use issuance::{
    Error,
    authn::{Authenticated, Evidence, Freshness, Requester},
    authority::Method,
    error::AuthenticationFailure,
    identity::{Protocol, ResourceName},
    rest::{RestAction, RestActions},
    secret::Secret,
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
    pub(super) address: IpAddr,
    action: RestAction,
    method: Option<ResourceName>,
}

impl Caller {
    pub(super) fn app(&self) -> &Arc<App> {
        &self.ask.app
    }

    /// The method whose rows the caller sees, and no others.
    pub(super) fn method(&self) -> &ResourceName {
        &self.service.method.name
    }

    /// The caller as a requester of a product: [`RestService::product`], or the method itself.
    ///
    /// # Errors
    /// [`Error::Refused`] where the profile asks for more than was shown.
    pub(super) fn authenticated(&self, product: &Arc<Method>) -> Result<Authenticated, Error> {
        Authenticated::new(product.clone(), self.evidence.clone(), Some(self.address))
    }

    /// Counts the request among those with this credential; what it grants is counted by the commit that does.
    pub(super) fn count(&self) {
        if let Some(credential) = self.evidence.credential() {
            self.app().passwords.usage().accepted(credential, self.ask.now, Some(self.address));
        }
    }

    /// As rows and the audit trail remember the caller.
    pub(super) fn requester(&self) -> Requester {
        self.evidence.requester(Protocol::Rest, Some(self.address))
    }

    /// The same caller by what the store says now: after a commit said that something had changed.
    ///
    /// # Errors
    /// As [`Ask::caller`].
    pub(super) async fn again(&self) -> Result<Self, RestError> {
        caller(self.ask.clone(), self.method.clone(), self.action, Freshness::Fresh).await
    }
}

/// Who was found, before it is known whether they may.
struct Found {
    service: Arc<RestService>,
    evidence: Evidence,
    actions: RestActions,
}

/// Judges the credential, and whether it has the action; nothing is looked up before. A cached row will do only for what commits
/// with the evidence.
pub(super) async fn caller(
    ask: Arc<Ask>,
    method: Option<ResourceName>,
    action: RestAction,
    freshness: Freshness,
) -> Result<Caller, RestError> {
    let peer = ask.peer.as_ref().ok_or_else(|| Error::Internal("a request without a peer".into()))?;
    let address = peer.ip();
    ask.app.check_address(Protocol::Rest, address)?;
    let Found { service, evidence, actions } = find(&ask, peer, method.as_ref(), freshness).await?;
    let span = tracing::Span::current();
    span.record("requester", evidence.name());
    span.record("profile", tracing::field::display(&service.method.profile.policy.name));
    if !actions.contains(action) {
        return Err(RestError::ActionNotAllowed(action));
    }
    Ok(Caller { ask, service, evidence, actions, address, action, method })
}

/// Whatever is in the header must be right, certificate or not; without one the certificate counts.
async fn find(
    ask: &Ask,
    peer: &Peer,
    method: Option<&ResourceName>,
    freshness: Freshness,
) -> Result<Found, RestError> {
    let mut values = ask.headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return by_certificate(ask, peer, method).await };
    let bearer = match values.next() {
        Some(_) => Err(AuthenticationFailure::Unreadable),
        None => bearer(value.as_bytes()),
    };
    let bearer = bearer.map_err(|failure| nobody(ask, peer, failure))?;
    by_access_key(ask, peer, &bearer, method, freshness).await
}

/// RFC 6750 §2.1; the name of the scheme is in any case (RFC 9110 §11.1).
fn bearer(value: &[u8]) -> Result<Secret, AuthenticationFailure> {
    let (scheme, token) = value.split_at_checked(7).ok_or(AuthenticationFailure::Unreadable)?;
    if !scheme.eq_ignore_ascii_case(b"bearer ") {
        return Err(AuthenticationFailure::Unreadable);
    }
    Ok(Secret::new(token.trim_ascii_start()))
}

async fn by_access_key(
    ask: &Ask,
    peer: &Peer,
    presented: &Secret,
    method: Option<&ResourceName>,
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
    if method.is_some_and(|asked| *asked != service.method.name) {
        return Err(stranger(ask, peer, &service.method, AuthenticationFailure::Mismatch));
    }
    Ok(Found { service: service.clone(), evidence: holder.evidence, actions: holder.actions })
}

/// A certificate says nothing of methods: each that looks at certificates judges it by its own anchors.
async fn by_certificate(ask: &Ask, peer: &Peer, method: Option<&ResourceName>) -> Result<Found, RestError> {
    let asked = |service: &RestService| method.is_none_or(|asked| *asked == service.method.name);
    let mut found: Option<Found> = None;
    let mut failure = AuthenticationFailure::Missing;
    for (service, access) in ask.serving.rest.taking_certificates().filter(|(service, _)| asked(service)) {
        let (store, certificates) = (ask.app.engine.store(), &peer.certificates);
        match access.trust.verify(&**store, &service.method, certificates, ask.now).await {
            Ok(_) if found.is_some() => return Err(RestError::MethodRequired),
            Ok(evidence) => {
                found = Some(Found { service: service.clone(), evidence, actions: access.actions });
            }
            Err(Error::Unauthenticated(reason)) => failure = reason,
            Err(other) => return Err(other.into()),
        }
    }
    found.ok_or_else(|| nobody(ask, peer, failure))
}

/// What was shown is of no method.
fn nobody(ask: &Ask, peer: &Peer, failure: AuthenticationFailure) -> RestError {
    ask.app.authentication_of_nobody_failed(Protocol::Rest, failure, peer.ip());
    Error::Unauthenticated(failure).into()
}

fn stranger(ask: &Ask, peer: &Peer, method: &Method, failure: AuthenticationFailure) -> RestError {
    ask.app.authentication_failed(method, failure, peer.ip());
    Error::Unauthenticated(failure).into()
}

//! What the server serves now, and what it serves it with.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use issuance::{
    Engine, Error,
    audit::AnonymousRefusals,
    authn::PasswordVerifier,
    authority::{Method, Office},
    error::AuthenticationFailure,
    identity::Protocol,
};

use crate::{
    listeners::{AuthenticationThrottle, Limits},
    metrics::{self, Metrics},
};

/// Shared by all handlers, for as long as the process lives.
#[derive(Debug)]
pub struct App {
    pub engine: Engine,
    pub passwords: PasswordVerifier,
    pub throttle: AuthenticationThrottle,
    pub anonymous: AnonymousRefusals,
    pub metrics: Arc<Metrics>,
    pub limits: Arc<ArcSwap<Limits>>,
    serving: ArcSwap<Serving>,
}

/// One generation of the configuration, ready to serve. A request keeps the generation it began with.
#[derive(Debug, Default)]
pub struct Serving {
    /// Counts loaded configurations, from 1; 0 before the first.
    pub generation: u64,
    pub office: Office,
    /// By `namespace.name` and by short label.
    pub labels: HashMap<String, Arc<Method>>,
    /// Answers where a URL has no label, if it speaks the protocol asked.
    pub default_method: Option<Arc<Method>>,
    /// Time between signed checkpoints of the audit trail.
    pub checkpoint_interval: Duration,
}

impl App {
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn new(engine: Engine, metrics: Arc<Metrics>, limits: Arc<ArcSwap<Limits>>) -> Result<Self, Error> {
        Ok(Self {
            passwords: PasswordVerifier::new(engine.store().clone())?,
            throttle: AuthenticationThrottle::new(limits.clone(), Instant::now()),
            anonymous: AnonymousRefusals::default(),
            serving: ArcSwap::from_pointee(Serving::default()),
            engine,
            metrics,
            limits,
        })
    }

    /// The generation in force.
    pub fn serving(&self) -> Arc<Serving> {
        self.serving.load_full()
    }

    /// Puts a generation in force: requests that begin from now on see it.
    pub fn serve(&self, serving: Serving) {
        self.metrics.serves_generation(i64::try_from(serving.generation).unwrap_or(i64::MAX));
        self.serving.store(Arc::new(serving));
    }

    /// Refuses an address that has failed too often, before anything of it is looked at.
    ///
    /// # Errors
    /// [`Error::Throttled`].
    pub fn check_address(&self, protocol: Protocol, address: IpAddr) -> Result<(), Error> {
        self.throttle.check(address, Instant::now()).map_err(|retry| {
            self.metrics.throttled(label(protocol));
            Error::Throttled { retry_after: retry.0 }
        })
    }

    /// Counts a failure to authenticate: against the address, in the metrics and for the audit trail. A requester who
    /// has shown nothing yet has not failed: HTTP clients are asked before they show anything.
    pub fn authentication_failed(&self, method: &Method, failure: AuthenticationFailure, address: IpAddr) {
        let kind = match failure {
            AuthenticationFailure::Missing => return,
            AuthenticationFailure::Unreadable | AuthenticationFailure::Mismatch => {
                metrics::AuthenticationFailure::Secret
            }
            AuthenticationFailure::Revoked => metrics::AuthenticationFailure::Revoked,
            AuthenticationFailure::Expired => metrics::AuthenticationFailure::Expired,
            AuthenticationFailure::UsedUp => metrics::AuthenticationFailure::Replayed,
        };
        self.throttle.failed(address, Instant::now());
        self.metrics.authentication_failed(label(method.protocol), kind);
        self.anonymous.count(method.protocol, Some(&method.name), failure, Some(address));
    }
}

impl Serving {
    /// The method of a label, or the default one, if it speaks this protocol.
    pub fn method(&self, protocol: Protocol, label: Option<&str>) -> Option<&Arc<Method>> {
        let method = match label {
            Some(label) => self.labels.get(label),
            None => self.default_method.as_ref(),
        };
        method.filter(|method| method.protocol == protocol)
    }
}

fn label(protocol: Protocol) -> metrics::Protocol {
    match protocol {
        Protocol::Est => metrics::Protocol::Est,
        Protocol::Scep => metrics::Protocol::Scep,
        Protocol::Acme => metrics::Protocol::Acme,
        Protocol::Cmp => metrics::Protocol::Cmp,
        Protocol::Rest => metrics::Protocol::Rest,
        Protocol::Waep => metrics::Protocol::Waep,
        Protocol::Issuer => metrics::Protocol::CertManager,
        Protocol::Internal => metrics::Protocol::None,
    }
}

//! What the server serves now, and what it serves it with.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use issuance::{
    Engine, Error, Outcome,
    audit::AnonymousRefusals,
    authn::{GrantedNamespaces, PasswordVerifier},
    authority::{Method, Office},
    error::AuthenticationFailure,
    identity::{KeyId, Protocol, ResourceName},
    sealing::SealingKeys,
    store::News,
};
use resolve::{CompiledNotice, Granted};

use crate::{
    listeners::{AuthenticationThrottle, Limits, ProxyProtocol},
    metrics::{self, Issuance, Metrics},
    protocols::{
        acme::{AcmeService, AcmeShared},
        est::EstService,
        rest::{Exports, Overview, RestServices, RestShared},
    },
    publish::{CrlCache, Published},
    usage::MethodCounters,
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
    /// Whose headers of the PROXY protocol are believed; none: connections begin without one.
    pub proxy: Arc<ArcSwapOption<ProxyProtocol>>,
    pub sealing: Arc<SealingKeys>,
    pub crls: CrlCache,
    pub usage: MethodCounters,
    pub acme: AcmeShared,
    pub rest: RestShared,
    /// Answers of REST that are as long as there are rows.
    pub exports: Exports,
    serving: ArcSwap<Serving>,
    behind: ArcSwapOption<Behind>,
}

/// Why what is in force is not all that was declared last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// Nothing of it was taken: what was in force stays so.
    Rejected,
    /// Some of it could not be put in force.
    Incomplete,
}

impl Behind {
    /// None: all of it is in force.
    pub fn of(is_rejected: bool, is_incomplete: bool) -> Option<Self> {
        match (is_rejected, is_incomplete) {
            (true, _) => Some(Self::Rejected),
            (false, true) => Some(Self::Incomplete),
            (false, false) => None,
        }
    }
}

/// One generation of the configuration, ready to serve. A request keeps the generation it began with.
#[derive(Debug, Default)]
pub struct Serving {
    /// 0 before the first. Standalone counts its configurations from 1; in a cluster it is the manifest's.
    pub generation: u64,
    pub office: Office,
    pub est: Labelled<EstService>,
    pub acme: Labelled<AcmeService>,
    pub rest: RestServices,
    /// What is offered, as it is told to those who ask.
    pub overview: Overview,
    /// What cert-manager's requests and the cluster's are served by, by the name of the method.
    pub issuers: HashMap<ResourceName, Arc<IssuerService>>,
    /// Authorities that sign elsewhere.
    pub published: HashMap<KeyId, Published>,
    /// Who is told before certificates of a method end; methods that tell nobody are not here.
    pub notices: HashMap<ResourceName, Vec<CompiledNotice>>,
    /// An operator asks what became of renewals.
    pub has_operator: bool,
    /// Time between signed checkpoints of the audit trail.
    pub checkpoint_interval: Duration,
}

impl App {
    /// # Errors
    /// [`Error::Internal`] where the random generator fails.
    pub fn new(
        engine: Engine,
        metrics: Arc<Metrics>,
        limits: Arc<ArcSwap<Limits>>,
        sealing: Arc<SealingKeys>,
    ) -> Result<Self, Error> {
        Ok(Self {
            passwords: PasswordVerifier::new(engine.store().clone())?,
            throttle: AuthenticationThrottle::new(limits.clone(), Instant::now()),
            anonymous: AnonymousRefusals::default(),
            serving: ArcSwap::from_pointee(Serving::default()),
            behind: ArcSwapOption::empty(),
            engine,
            metrics,
            limits,
            proxy: Arc::default(),
            sealing,
            crls: CrlCache::default(),
            usage: MethodCounters::default(),
            acme: AcmeShared::default(),
            rest: RestShared::default(),
            exports: Exports::default(),
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

    /// Whether what is in force is behind what was declared last.
    pub fn behind(&self) -> Option<Behind> {
        self.behind.load().as_deref().copied()
    }

    /// Says so: for whoever reads declarations, with every change.
    pub fn falls_behind(&self, behind: Option<Behind>) {
        self.behind.store(behind.map(Arc::new));
    }

    /// Drops copies that the store says are old, for as long as the process lives: what another replica changed is seen
    /// here at once, where the store can tell.
    pub async fn follow_news(&self) {
        let mut subscription = self.engine.store().subscribe();
        loop {
            match subscription.next().await {
                News::Credential { id, method } => {
                    self.passwords.forget(Some(&method));
                    self.acme.forget_credential(&id);
                }
                News::AcmeAccount { id } => self.acme.forget_account(Some(&id)),
                News::Crl { issuer } => self.crls.forget(Some(issuer)),
                News::Everything => {
                    self.passwords.forget(None);
                    self.crls.forget(None);
                    self.acme.forget_account(None);
                }
                // Nothing here keeps a copy of these.
                News::CertificateStatus { .. }
                | News::Sealed { .. }
                | News::Job { .. }
                | News::Request { .. }
                | News::RestOrder { .. } => {}
            }
        }
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

    /// Counts the end of one use of the pipeline: in the metrics, and for the method.
    pub fn issuance_ended(&self, method: &Method, outcome: &Result<Outcome, Error>) {
        self.usage.count(&method.name, outcome, self.engine.clock().now());
        let counted = match outcome {
            Ok(Outcome::Issued(_)) => Issuance::Issued,
            Ok(Outcome::Pending(_)) => Issuance::Pending,
            Err(
                Error::Refused(_) | Error::Malformed(_) | Error::Unauthenticated(_) | Error::Throttled { .. },
            ) => Issuance::Refused,
            Err(
                Error::NotFound(_)
                | Error::Conflict(_)
                | Error::Stale
                | Error::Unavailable(_)
                | Error::Internal(_),
            ) => Issuance::Failed,
        };
        self.metrics.issuance(label(method.protocol), counted);
    }

    /// Counts a failure to authenticate: against the address, in the metrics and for the audit trail. A requester who
    /// has shown nothing yet has not failed: HTTP clients are asked before they show anything.
    pub fn authentication_failed(&self, method: &Method, failure: AuthenticationFailure, address: IpAddr) {
        if let Some(kind) = kind_of(failure) {
            self.failed_to_authenticate(method, failure, kind, address);
        }
    }

    /// As [`App::authentication_failed`], but not counted against the address: nobody finds by trying what was shown, and others
    /// behind the same address would pay for it.
    pub fn authentication_by_signature_failed(
        &self,
        method: &Method,
        failure: AuthenticationFailure,
        address: IpAddr,
    ) {
        if let Some(kind) = kind_of(failure) {
            self.note_failed_authentication(method, failure, kind, address);
        }
    }

    /// As [`App::authentication_failed`], where the protocol learns from the credential which method is asked, and what was
    /// shown is of none.
    pub fn authentication_of_nobody_failed(
        &self,
        protocol: Protocol,
        failure: AuthenticationFailure,
        address: IpAddr,
    ) {
        if kind_of(failure).is_some() {
            self.throttle.failed(address, Instant::now());
            self.signature_of_nobody_failed(protocol, failure, address);
        }
    }

    /// As [`App::authentication_of_nobody_failed`], but not counted against the address, as
    /// [`App::authentication_by_signature_failed`] is not.
    pub fn signature_of_nobody_failed(
        &self,
        protocol: Protocol,
        failure: AuthenticationFailure,
        address: IpAddr,
    ) {
        if let Some(kind) = kind_of(failure) {
            self.metrics.authentication_failed(label(protocol), kind);
            self.anonymous.count(protocol, None, failure, Some(address));
        }
    }

    /// As [`App::authentication_failed`], where the protocol knows better than the reason of what kind the failure is.
    pub fn failed_to_authenticate(
        &self,
        method: &Method,
        failure: AuthenticationFailure,
        kind: metrics::AuthenticationFailure,
        address: IpAddr,
    ) {
        self.throttle.failed(address, Instant::now());
        self.note_failed_authentication(method, failure, kind, address);
    }

    /// As [`App::failed_to_authenticate`], but not counted against the address: what was shown cannot be found by trying, and
    /// others behind the same address would pay for it.
    pub fn note_failed_authentication(
        &self,
        method: &Method,
        failure: AuthenticationFailure,
        kind: metrics::AuthenticationFailure,
        address: IpAddr,
    ) {
        self.metrics.authentication_failed(label(method.protocol), kind);
        self.anonymous.count(method.protocol, Some(&method.name), failure, Some(address));
    }
}

/// A method that the operator may ask by for others.
#[derive(Debug)]
pub struct IssuerService {
    pub method: Arc<Method>,
    /// Namespaces whose requests it serves now.
    pub granted: Granted,
}

impl IssuerService {
    pub fn granted(&self) -> GrantedNamespaces<'_> {
        match &self.granted {
            Granted::All => GrantedNamespaces::All,
            Granted::Listed(namespaces) => GrantedNamespaces::Listed(namespaces),
        }
    }
}

/// What one protocol answers under which label.
#[derive(Debug)]
pub struct Labelled<T> {
    /// By `namespace.name` and by short label.
    pub by_label: HashMap<String, Arc<T>>,
    /// Answers where a URL has no label.
    pub default: Option<Arc<T>>,
}

impl<T> Default for Labelled<T> {
    fn default() -> Self {
        Self { by_label: HashMap::new(), default: None }
    }
}

impl<T> Labelled<T> {
    /// The method of a label, or the default one.
    pub fn get(&self, label: Option<&str>) -> Option<&Arc<T>> {
        match label {
            Some(label) => self.by_label.get(label),
            None => self.default.as_ref(),
        }
    }
}

/// None: nothing was shown, which is no failure.
fn kind_of(failure: AuthenticationFailure) -> Option<metrics::AuthenticationFailure> {
    use metrics::AuthenticationFailure as Kind;
    match failure {
        AuthenticationFailure::Missing => None,
        AuthenticationFailure::Unreadable | AuthenticationFailure::Mismatch => Some(Kind::Secret),
        AuthenticationFailure::Revoked => Some(Kind::Revoked),
        AuthenticationFailure::Expired => Some(Kind::Expired),
        AuthenticationFailure::UsedUp => Some(Kind::Replayed),
        AuthenticationFailure::Untrusted
        | AuthenticationFailure::Foreign
        | AuthenticationFailure::Audience
        | AuthenticationFailure::NotYetValid
        | AuthenticationFailure::Account => Some(Kind::Untrusted),
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
        Protocol::Issuer => metrics::Protocol::Issuer,
        Protocol::Internal => metrics::Protocol::Internal,
    }
}

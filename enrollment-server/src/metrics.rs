//! What the server counts, as OpenMetrics. Every label is one of the enums below: a metric never carries a name,
//! a serial or the text of an error, because those belong into the log and would grow without bound here.

use std::{fmt, time::Duration};

use prometheus_client::{
    encoding::text::encode,
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

mod labels;

pub use labels::{
    AuthenticationFailure, ChallengeLabel, Cut, HandshakeOutcome, Issuance, JobKind, JobOutcome,
    ListenerKind, Operation, Outcome, Protocol, ReloadOutcome, TlsVersionLabel, ValidationOutcome,
};
use labels::{
    AuthenticationLabels, ChallengeLabels, CutLabels, DurationLabels, HandshakeLabels, IssuanceLabels,
    JobLabels, ListenerLabels, ProtocolLabels, ReloadLabels, RequestLabels, ValidationLabels,
};

/// All metrics of one server. Cheap to share behind an `Arc`; nothing here blocks for longer than a counter does.
pub struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
    issuances: Family<IssuanceLabels, Counter>,
    authentication_failures: Family<AuthenticationLabels, Counter>,
    throttled: Family<ProtocolLabels, Counter>,
    handshakes: Family<HandshakeLabels, Counter>,
    connections_open: Family<ListenerLabels, Gauge>,
    connections_held_back: Family<ListenerLabels, Counter>,
    connections_cut: Family<CutLabels, Counter>,
    accept_errors: Family<ListenerLabels, Counter>,
    requests_in_flight: Family<ListenerLabels, Gauge>,
    requests_overloaded: Family<ListenerLabels, Counter>,
    store_commit_duration: Histogram,
    store_commit_batch: Histogram,
    jobs: Family<JobLabels, Counter>,
    validations: Family<ValidationLabels, Counter>,
    validation_duration: Family<ChallengeLabels, Histogram, fn() -> Histogram>,
    reloads: Family<ReloadLabels, Counter>,
    generation: Gauge,
    failed_parts: Gauge,
    rejected: Gauge,
}

impl Metrics {
    /// A registry in which everything is zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("chancery"),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(request_buckets),
            issuances: Family::default(),
            authentication_failures: Family::default(),
            throttled: Family::default(),
            handshakes: Family::default(),
            connections_open: Family::default(),
            connections_held_back: Family::default(),
            connections_cut: Family::default(),
            accept_errors: Family::default(),
            requests_in_flight: Family::default(),
            requests_overloaded: Family::default(),
            store_commit_duration: Histogram::new(exponential_buckets(0.0001, 2.0, 14)),
            store_commit_batch: Histogram::new(exponential_buckets(1.0, 2.0, 10)),
            jobs: Family::default(),
            validations: Family::default(),
            validation_duration: Family::new_with_constructor(request_buckets),
            reloads: Family::default(),
            generation: Gauge::default(),
            failed_parts: Gauge::default(),
            rejected: Gauge::default(),
        };
        metrics.register_traffic();
        metrics.register_connections();
        metrics.register_inside();
        metrics
    }

    /// Everything as OpenMetrics text 1.0.0.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(16 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// The series of one operation. Looked up once, when its route is built, so that a request touches atomics only.
    pub fn operation(&self, protocol: Protocol, operation: Operation) -> OperationMetrics {
        let count =
            |outcome| self.requests.get_or_create_owned(&RequestLabels { protocol, operation, outcome });
        OperationMetrics {
            answered: count(Outcome::Answered),
            issued: count(Outcome::Issued),
            pending: count(Outcome::Pending),
            refused: count(Outcome::Refused),
            failed: count(Outcome::Failed),
            abandoned: count(Outcome::Abandoned),
            duration: self.request_duration.get_or_create_owned(&DurationLabels { protocol, operation }),
        }
    }

    /// The series of one listener, looked up once when it starts.
    pub fn listener(&self, listener: ListenerKind) -> ListenerMetrics {
        let labels = ListenerLabels { listener };
        let cut = |reason| self.connections_cut.get_or_create_owned(&CutLabels { listener, reason });
        ListenerMetrics {
            connections_open: self.connections_open.get_or_create_owned(&labels),
            connections_held_back: self.connections_held_back.get_or_create_owned(&labels),
            accept_errors: self.accept_errors.get_or_create_owned(&labels),
            requests_in_flight: self.requests_in_flight.get_or_create_owned(&labels),
            requests_overloaded: self.requests_overloaded.get_or_create_owned(&labels),
            proxy_header: cut(Cut::ProxyHeader),
            slow_header: cut(Cut::SlowHeader),
            idle: cut(Cut::Idle),
            drain: cut(Cut::Drain),
        }
    }

    /// One use of the issuance pipeline ended.
    pub fn issuance(&self, protocol: Protocol, outcome: Issuance) {
        self.issuances.get_or_create(&IssuanceLabels { protocol, outcome }).inc();
    }

    /// Someone failed to prove who they are.
    pub fn authentication_failed(&self, protocol: Protocol, kind: AuthenticationFailure) {
        self.authentication_failures.get_or_create(&AuthenticationLabels { protocol, kind }).inc();
    }

    /// An address with too many failed authentications was turned away unheard.
    pub fn throttled(&self, protocol: Protocol) {
        self.throttled.get_or_create(&ProtocolLabels { protocol }).inc();
    }

    /// A TLS handshake ended.
    pub fn handshake(&self, version: TlsVersionLabel, outcome: HandshakeOutcome) {
        self.handshakes.get_or_create(&HandshakeLabels { version, outcome }).inc();
    }

    /// A batch of `commits` reached the disk after `duration`.
    pub fn store_committed(&self, duration: Duration, commits: usize) {
        self.store_commit_duration.observe(duration.as_secs_f64());
        self.store_commit_batch.observe(commits as f64);
    }

    /// One run of a job ended.
    pub fn job(&self, kind: JobKind, outcome: JobOutcome) {
        self.jobs.get_or_create(&JobLabels { kind, outcome }).inc();
    }

    /// A challenge was validated once.
    pub fn validated(&self, challenge: ChallengeLabel, outcome: ValidationOutcome, duration: Duration) {
        self.validations.get_or_create(&ValidationLabels { challenge, outcome }).inc();
        let histogram = self.validation_duration.get_or_create(&ChallengeLabels { challenge });
        histogram.observe(duration.as_secs_f64());
    }

    /// A changed configuration was read.
    pub fn reloaded(&self, outcome: ReloadOutcome) {
        self.reloads.get_or_create(&ReloadLabels { outcome }).inc();
    }

    /// The generation of the configuration in force.
    pub fn serves_generation(&self, generation: i64) {
        self.generation.set(generation);
    }

    /// How many parts of the configuration in force cannot be served.
    pub fn failed_parts(&self, count: usize) {
        self.failed_parts.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Whether what was read last is not in force.
    pub fn rejecting(&self, rejecting: bool) {
        self.rejected.set(i64::from(rejecting));
    }

    fn register_traffic(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register(
            "request_duration_seconds",
            "Time from the request head to the response head",
            self.request_duration.clone(),
        );
        registry.register("issuances", "Ends of the issuance pipeline", self.issuances.clone());
        registry.register(
            "authentication_failures",
            "Failed authentications",
            self.authentication_failures.clone(),
        );
        registry.register(
            "throttled",
            "Requests turned away because their address failed to authenticate too often",
            self.throttled.clone(),
        );
    }

    fn register_connections(&mut self) {
        let registry = &mut self.registry;
        registry.register("tls_handshakes", "TLS handshakes ended", self.handshakes.clone());
        registry.register("connections_open", "Connections now open", self.connections_open.clone());
        registry.register(
            "connections_held_back",
            "Times that a listener was full and left connections waiting",
            self.connections_held_back.clone(),
        );
        registry.register(
            "connections_cut",
            "Connections that the server ended by itself",
            self.connections_cut.clone(),
        );
        registry.register("accept_errors", "Errors when accepting", self.accept_errors.clone());
        registry.register(
            "requests_in_flight",
            "Requests now being worked on",
            self.requests_in_flight.clone(),
        );
        registry.register(
            "requests_overloaded",
            "Requests answered 503 because too many were in flight",
            self.requests_overloaded.clone(),
        );
    }

    fn register_inside(&mut self) {
        let registry = &mut self.registry;
        registry.register(
            "store_commit_duration_seconds",
            "Time of one store transaction",
            self.store_commit_duration.clone(),
        );
        registry.register(
            "store_commit_batch_size",
            "Commits that shared one store transaction",
            self.store_commit_batch.clone(),
        );
        registry.register("jobs", "Runs of jobs", self.jobs.clone());
        registry.register(
            "acme_validations",
            "Validations of ACME challenges, each attempt",
            self.validations.clone(),
        );
        registry.register(
            "acme_validation_duration_seconds",
            "Time of one validation of an ACME challenge",
            self.validation_duration.clone(),
        );
        registry.register("configuration_reloads", "Changed configurations read", self.reloads.clone());
        registry.register(
            "configuration_generation",
            "Generation of the configuration in force",
            self.generation.clone(),
        );
        registry.register(
            "configuration_failed_parts",
            "Parts of the configuration in force that cannot be served",
            self.failed_parts.clone(),
        );
        registry.register(
            "configuration_rejected",
            "1 while the configuration that was read last is not in force",
            self.rejected.clone(),
        );
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// The series of one operation, by [`Metrics::operation`].
#[derive(Debug, Clone)]
pub struct OperationMetrics {
    answered: Counter,
    issued: Counter,
    pending: Counter,
    refused: Counter,
    failed: Counter,
    abandoned: Counter,
    duration: Histogram,
}

impl OperationMetrics {
    /// A request ended after `duration`.
    pub fn ended(&self, outcome: Outcome, duration: Duration) {
        match outcome {
            Outcome::Answered => self.answered.inc(),
            Outcome::Issued => self.issued.inc(),
            Outcome::Pending => self.pending.inc(),
            Outcome::Refused => self.refused.inc(),
            Outcome::Failed => self.failed.inc(),
            Outcome::Abandoned => self.abandoned.inc(),
        };
        self.duration.observe(duration.as_secs_f64());
    }
}

/// The series of one listener, by [`Metrics::listener`].
#[derive(Debug, Clone)]
pub struct ListenerMetrics {
    /// Connections now open.
    pub connections_open: Gauge,
    /// Times that the listener was full.
    pub connections_held_back: Counter,
    /// Errors of `accept`.
    pub accept_errors: Counter,
    /// Requests now being worked on; the in-flight limit counts with it.
    pub requests_in_flight: Gauge,
    /// Requests answered 503 by the in-flight limit.
    pub requests_overloaded: Counter,
    proxy_header: Counter,
    slow_header: Counter,
    idle: Counter,
    drain: Counter,
}

impl ListenerMetrics {
    /// The server ended a connection by itself.
    pub fn cut(&self, reason: Cut) {
        match reason {
            Cut::ProxyHeader => self.proxy_header.inc(),
            Cut::SlowHeader => self.slow_header.inc(),
            Cut::Idle => self.idle.inc(),
            Cut::Drain => self.drain.inc(),
        };
    }
}

/// 0.1 ms (a refusal) to 26 s (past every timeout of ours).
fn request_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.0001, 2.0, 19))
}

impl crate::store::sqlite::CommitObserver for Metrics {
    fn committed(&self, duration: Duration, commits: usize) {
        self.store_committed(duration, commits);
    }
}

#[cfg(test)]
mod tests;

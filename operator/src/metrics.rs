//! What the operator counts, as OpenMetrics.
//!
//! Labels that name a resource (`namespace`, `name`) are few: authorities, issuers and servers. Nothing else carries names.

use std::{collections::BTreeSet, fmt, sync::Mutex, time::Duration};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::Gauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};

/// All metrics of the operator.
pub struct Metrics {
    registry: Registry,
    leader: Gauge,
    passes: Family<PassLabels, Counter>,
    steps: Family<StepLabels, Histogram, fn() -> Histogram>,
    ready: Family<ResourceLabels, Gauge>,
    not_after: Family<ResourceLabels, Gauge>,
    /// Of both families above, so that those of resources that are gone can be removed.
    shown: Mutex<BTreeSet<ResourceLabels>>,
    requests: Family<RequestLabels, Counter>,
    request_duration: Family<RequestKindLabels, Histogram, fn() -> Histogram>,
    api_calls: Family<ApiLabels, Counter>,
    replicas: Family<ServerLabels, Gauge>,
}

/// How a pass of the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum PassOutcome {
    /// Everything was as it should be, or is now.
    Settled,
    /// Something could not be read or written; it is tried again.
    Failed,
}

/// A part of a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Step {
    Secrets,
    Resolve,
    Provision,
    Publish,
    Workload,
    Statuses,
    Sweep,
}

/// What asked for a certificate, or for its revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelValue)]
pub enum RequestKind {
    CertificateRequest,
    CertificateSigningRequest,
    CertificateRevocation,
}

/// What became of a request that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum RequestOutcome {
    Issued,
    Revoked,
    Pending,
    Refused,
    /// No answer came; it is asked again.
    Failed,
}

/// A call of the Kubernetes API, by what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ApiOutcome {
    Ok,
    /// Somebody else changed the object first.
    Conflict,
    NotFound,
    /// Our role does not allow it, or an admission rule.
    Forbidden,
    /// Any other answer that is an error.
    Refused,
    /// No answer.
    Unreachable,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PassLabels {
    outcome: PassOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    step: Step,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, EncodeLabelSet)]
struct ResourceLabels {
    kind: String,
    namespace: String,
    name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    kind: RequestKind,
    outcome: RequestOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestKindLabels {
    kind: RequestKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ApiLabels {
    method: &'static str,
    outcome: ApiOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ServerLabels {
    namespace: String,
    name: String,
    state: ReplicaLabel,
}

/// How far a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum ReplicaLabel {
    Ready,
    /// Ready, and it serves what was published last.
    Programmed,
}

/// One resource whose readiness is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShownResource {
    pub kind: crds::Kind,
    pub name: issuance::identity::ResourceName,
    pub ready: bool,
    /// End of validity, seconds since 1970, where it has one.
    pub not_after: Option<i64>,
}

impl Metrics {
    /// A registry in which everything is zero.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("chancery_operator"),
            leader: Gauge::default(),
            passes: Family::default(),
            steps: Family::new_with_constructor(seconds),
            ready: Family::default(),
            not_after: Family::default(),
            shown: Mutex::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(seconds),
            api_calls: Family::default(),
            replicas: Family::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("leader", "1 where this replica acts", self.leader.clone());
        registry.register("passes", "Passes of the loop", self.passes.clone());
        registry.register("step_duration_seconds", "Time of each step of a pass", self.steps.clone());
        registry.register("resource_ready", "1 where the resource is ready", self.ready.clone());
        registry.register(
            "resource_not_after_timestamp_seconds",
            "End of validity of an authority's certificate",
            self.not_after.clone(),
        );
        registry.register(
            "requests",
            "Requests that were looked at, by what became of them",
            self.requests.clone(),
        );
        registry.register(
            "request_duration_seconds",
            "Time from asking a server to its answer",
            self.request_duration.clone(),
        );
        registry.register("api_calls", "Calls of the Kubernetes API", self.api_calls.clone());
        registry.register("server_replicas", "Replicas of servers", self.replicas.clone());
    }

    /// Everything as OpenMetrics text 1.0.0.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::with_capacity(8 * 1024);
        encode(&mut text, &self.registry)?;
        Ok(text)
    }

    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub fn passed(&self, outcome: PassOutcome) {
        self.passes.get_or_create(&PassLabels { outcome }).inc();
    }

    pub fn step(&self, step: Step, took: Duration) {
        self.steps.get_or_create(&StepLabels { step }).observe(took.as_secs_f64());
    }

    /// A request was looked at.
    pub fn request(&self, kind: RequestKind, outcome: RequestOutcome) {
        self.requests.get_or_create(&RequestLabels { kind, outcome }).inc();
    }

    /// A server took this long to answer.
    pub fn request_took(&self, kind: RequestKind, took: Duration) {
        self.request_duration.get_or_create(&RequestKindLabels { kind }).observe(took.as_secs_f64());
    }

    pub(crate) fn api_call(&self, method: &'static str, outcome: ApiOutcome) {
        self.api_calls.get_or_create(&ApiLabels { method, outcome }).inc();
    }

    /// Shows these resources, and no longer those that were shown before and are not among them.
    pub fn show(&self, resources: &[ShownResource]) {
        let mut now = BTreeSet::new();
        for resource in resources {
            let labels = ResourceLabels {
                kind: resource.kind.to_string(),
                namespace: resource.name.namespace().to_owned(),
                name: resource.name.name().to_owned(),
            };
            self.ready.get_or_create(&labels).set(i64::from(resource.ready));
            match resource.not_after {
                Some(not_after) => {
                    self.not_after.get_or_create(&labels).set(not_after);
                }
                None => {
                    self.not_after.remove(&labels);
                }
            }
            now.insert(labels);
        }
        let mut shown = self.shown.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for gone in shown.difference(&now) {
            self.ready.remove(gone);
            self.not_after.remove(gone);
        }
        *shown = now;
    }

    /// How many replicas of a server are how far.
    pub fn replicas(&self, server: &issuance::identity::ResourceName, ready: usize, programmed: usize) {
        for (state, count) in [(ReplicaLabel::Ready, ready), (ReplicaLabel::Programmed, programmed)] {
            let labels = ServerLabels {
                namespace: server.namespace().to_owned(),
                name: server.name().to_owned(),
                state,
            };
            self.replicas.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// From a millisecond to half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

#[cfg(test)]
mod tests {
    use crds::Kind;
    use issuance::identity::ResourceName;

    use super::*;

    #[test]
    fn a_resource_that_is_gone_is_no_longer_shown() {
        let metrics = Metrics::new();
        let shown = |name: &str| ShownResource {
            kind: Kind::CertificateAuthority,
            name: ResourceName::new("pki", name),
            ready: true,
            not_after: Some(2_000_000_000),
        };
        metrics.show(&[shown("old"), shown("kept")]);
        metrics.show(&[shown("kept")]);
        let text = metrics.encode().unwrap();
        assert!(
            text.contains(r#"resource_ready{kind="CertificateAuthority",namespace="pki",name="kept"} 1"#)
        );
        assert!(text.contains("2000000000"));
        assert!(!text.contains("old"));
    }
}

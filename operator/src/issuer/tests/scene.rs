//! Requests, issuers and answers to decide on.

use std::sync::Arc;

use client::internal::{IssueOutcome, RefusalCause};
use issuance::{identity::ResourceName, ports::SystemClock};
use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};
use kube::core::ObjectMeta;

use tokio::sync::{Notify, watch};

use crate::{
    context::{Context, Options, Outlook, Scope},
    events::Events,
    issuer::{
        cert_manager::{
            CertificateRequest, CertificateRequestSpec, CertificateRequestStatus, Condition, IssuerRef,
        },
        issuers::{IssuerKey, IssuerState, Issuers},
        request::Answer,
    },
    metrics::Metrics,
    servers::ServerApi,
    testing::FakeApi,
};

pub(super) const CSR: &[u8] = &[0x30, 0x03, 0x02, 0x01, 0x00];

/// When everything here happens, unless said otherwise.
pub(super) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(super) fn earlier(seconds: i64) -> Time {
    Time(Timestamp::from_second(1_800_000_000 - seconds).unwrap())
}

pub(super) fn pem() -> ByteString {
    ByteString(pki::pem::encode("CERTIFICATE REQUEST", CSR).into_bytes())
}

/// An approved request of team-a for its ChanceryIssuer `shop`, made an hour ago.
pub(super) fn request() -> CertificateRequest {
    CertificateRequest {
        metadata: ObjectMeta {
            name: Some("shop-1".into()),
            namespace: Some("team-a".into()),
            uid: Some("uid-1".into()),
            creation_timestamp: Some(earlier(3600)),
            ..ObjectMeta::default()
        },
        spec: CertificateRequestSpec {
            issuer_ref: IssuerRef {
                name: "shop".into(),
                kind: Some("ChanceryIssuer".into()),
                group: Some("chancery.dev".into()),
            },
            request: pem(),
            ..CertificateRequestSpec::default()
        },
        status: Some(CertificateRequestStatus {
            conditions: vec![condition("Approved", "True", "Policy", "")],
            ..CertificateRequestStatus::default()
        }),
    }
}

pub(super) fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Condition {
    Condition {
        type_: type_.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: Some(earlier(600)),
    }
}

pub(super) fn with(mut request: CertificateRequest, conditions: Vec<Condition>) -> CertificateRequest {
    request.status.get_or_insert_default().conditions = conditions;
    request
}

pub(super) fn shop() -> IssuerKey {
    IssuerKey::Namespaced(ResourceName::new("team-a", "shop"))
}

pub(super) fn server() -> ResourceName {
    ResourceName::new("pki", "main")
}

pub(super) fn ready() -> IssuerState {
    IssuerState::Ready { server: server(), replicas: 1 }
}

pub(super) fn issuers(states: impl IntoIterator<Item = (IssuerKey, IssuerState)>) -> Issuers {
    Issuers::default().updated(states.into_iter().collect()).unwrap_or_default()
}

pub(super) fn issued() -> Answer {
    Ok(IssueOutcome::Issued { chain: vec![vec![1], vec![2]], root: vec![3] })
}

pub(super) fn refused(cause: RefusalCause) -> Answer {
    Ok(IssueOutcome::Refused { cause, message: "keys: no".into() })
}

/// An operator over an API in memory, before its first pass.
pub(crate) fn context(api: &FakeApi, servers: Arc<dyn ServerApi>) -> Context {
    let options = Options {
        namespace: "chancery-system".into(),
        server_image: "chancery-server".into(),
        image_pull_policy: None,
        image_pull_secrets: Vec::new(),
        scope: Scope::Cluster,
        metrics_listen: ([127, 0, 0, 1], 0).into(),
        leader_election: false,
        identity: "operator-0".into(),
        cluster_domain: "cluster.local".into(),
    };
    Context {
        client: api.client(),
        options: Arc::new(options),
        servers,
        metrics: Arc::new(Metrics::new()),
        events: Events::new(api.client(), "operator-0"),
        clock: Arc::new(SystemClock),
        wake: Arc::new(Notify::new()),
        outlook: watch::channel(Arc::new(Outlook::default())).1,
    }
}

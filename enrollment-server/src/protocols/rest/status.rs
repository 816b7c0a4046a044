//! How the server is doing (`/status`): whether what was declared is in force, what methods offer, until when their authorities
//! are good, and what waits for a person.
//! What does not change with every request is in `overview.rs`.

use std::{collections::BTreeMap, sync::Arc};

use axum::response::Response;
use http::StatusCode;
use issuance::{
    authn::Freshness,
    identity::ResourceName,
    rest::RestAction,
    store::{Page, RequestFilter, RequestState},
};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    Traces,
    ask::Ask,
    auth::Caller,
    error::RestError,
    objects::{Timestamp, json},
    openapi::Problems,
    overview::{AuthorityOverview, MethodOverview, ProfileOverview, Signing},
};
use crate::{
    metrics::Operation,
    serving::{App, Behind},
};

/// Of all methods together: requests have bodies, and nobody reads more at a glance.
const MOST_COUNTED: usize = 1000;

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default().routes(routes!(read_status).layer(traces.of(Operation::ReadStatus)))
}

/// The server, and the methods that the caller sees.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ServerStatus {
    /// Of the program.
    version: String,
    /// What the server takes the time to be.
    time: Timestamp,
    configuration: ConfigurationStatus,
    /// In the order of their names.
    methods: Vec<MethodStatus>,
    /// Those that sign for these methods, in the order of their names.
    authorities: Vec<AuthorityStatus>,
}

/// What is in force, of all methods.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct ConfigurationStatus {
    /// Rises with each that comes into force.
    generation: u64,
    /// Whether it is all that was declared last, in files or in a cluster.
    current: bool,
    /// Why it is not. Of which resource that is, and what is wrong with it, only whoever runs the server is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    problem: Option<ConfigurationProblem>,
}

/// `rejected`: nothing of it was taken, and what was in force before stays so. `incomplete`: some of it is not in force.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
enum ConfigurationProblem {
    Rejected,
    Incomplete,
}

/// A method that is in force.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct MethodStatus {
    /// As `namespace/name`.
    name: String,
    /// Such as `est`, `acme` or `rest`.
    protocol: String,
    /// Of EST what its operations are appended to, of ACME the directories; none where the server was not told by what name it is
    /// called.
    urls: Vec<String>,
    /// The one that counts where nothing is chosen is the first.
    profiles: Vec<ProfileOverview>,
    pending_requests: Pending,
}

/// How many requests wait for a person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Pending {
    count: u64,
    /// Whether there may be more: of all methods together only so many are counted.
    at_least: bool,
}

/// An authority, and the newest of its revocation lists.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuthorityStatus {
    /// As `namespace/name`.
    name: String,
    /// RFC 4514.
    subject: String,
    /// When its certificate ends.
    not_after: Timestamp,
    /// Absent where it makes no lists, or has not made one yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    crl: Option<CrlStatus>,
}

/// A revocation list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CrlStatus {
    /// RFC 5280 §5.2.3.
    number: u64,
    /// When the next one is there at the latest.
    next_update: Timestamp,
}

/// Read how the server is doing.
///
/// Whether what was declared is in force; the methods whose certificates the caller sees, what they offer, who signs, and how many
/// requests wait.
#[utoipa::path(get, path = "/status", operation_id = "readStatus", tag = "status",
    responses((status = 200, description = "The status.", body = ServerStatus), Problems))]
async fn read_status(ask: Ask) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Read, Freshness::Fresh).await?;
    let serving = caller.ask.serving.clone();
    let (waiting, is_all) = waiting(&caller).await?;
    let (mut methods, mut signing) = (Vec::new(), BTreeMap::new());
    for (name, described) in serving.overview.within(caller.scope()) {
        let count = waiting.get(name).copied().unwrap_or_default();
        let MethodOverview { name, protocol, urls, profiles } = described.method.clone();
        let pending_requests = Pending { count, at_least: !is_all };
        methods.push(MethodStatus { name, protocol, urls, profiles, pending_requests });
        signing.extend(described.signing.iter().map(|signing| (&signing.authority.name, signing)));
    }
    let mut authorities = Vec::with_capacity(signing.len());
    for signing in signing.into_values() {
        authorities.push(authority_status(caller.app(), signing).await?);
    }
    let (version, time) = (env!("CARGO_PKG_VERSION").to_owned(), caller.ask.now.into());
    let configuration = ConfigurationStatus::of(serving.generation, caller.app().behind());
    json(StatusCode::OK, &ServerStatus { version, time, configuration, methods, authorities })
}

impl ConfigurationStatus {
    fn of(generation: u64, behind: Option<Behind>) -> Self {
        let problem = behind.map(|behind| match behind {
            Behind::Rejected => ConfigurationProblem::Rejected,
            Behind::Incomplete => ConfigurationProblem::Incomplete,
        });
        Self { generation, current: problem.is_none(), problem }
    }
}

/// How many wait, by method, and whether all were counted.
async fn waiting(caller: &Caller) -> Result<(BTreeMap<ResourceName, u64>, bool), RestError> {
    let store = caller.app().engine.store().clone();
    let filter = RequestFilter { state: Some(RequestState::Pending), methods: Some(caller.scope().clone()) };
    let page = Page::first(MOST_COUNTED);
    let read = async move { store.requests(&filter, &page).await };
    let rows = caller.app().rest.walks().read(read).await?;
    let is_all = rows.len() < MOST_COUNTED;
    let mut counts = BTreeMap::new();
    // Nobody decides on the others any more.
    for (_, row) in rows.into_iter().filter(|(_, row)| row.expires_at > caller.ask.now) {
        *counts.entry(row.method).or_default() += 1;
    }
    Ok((counts, is_all))
}

async fn authority_status(app: &App, signing: &Signing) -> Result<AuthorityStatus, RestError> {
    let AuthorityOverview { name, subject, not_after } = signing.shown.clone();
    let list = if signing.authority.signs_crls() {
        app.crls.latest(&**app.engine.store(), signing.authority.key_id()).await?
    } else {
        None
    };
    let crl = list.and_then(|list| {
        let (number, next_update) = (list.number?, list.next_update.into());
        Some(CrlStatus { number, next_update })
    });
    Ok(AuthorityStatus { name, subject, not_after, crl })
}

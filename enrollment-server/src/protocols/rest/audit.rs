//! The audit trail (`/audit`), as far as it is about the methods in the caller's scope: what other methods and the server itself did is not
//! shown. A page is JSON; the whole is streamed as JSON lines or as RFC 5424 messages, as at the command line.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use issuance::{
    Error,
    audit::{
        self, Action, Actor, AuditCursor, AuditEvent, AuditFilter, AuditOrder, AuditOutcome, AuditQuery,
        AuditRecord,
    },
    authn::Freshness,
    rest::RestAction,
    store::Store,
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::{
    Traces,
    accept::{self, Offer},
    ask::Ask,
    auth::Caller,
    error::RestError,
    export::{self, Pieces},
    objects::{Timestamp, json},
    openapi::{FormProblem, Problems},
    page::{Items, PageParameters, limit},
    parameters::Parameters,
    shared::Walks,
};
use crate::{
    metrics::Operation,
    serving::App,
    trail::{DOCUMENTATION_ENTERPRISE, Lines},
};

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(query_audit).layer(traces.of(Operation::QueryAudit)))
        .routes(routes!(export_audit).layer(traces.of(Operation::ExportAudit)))
}

/// Records read at a time by an export.
const PAGE: usize = 500;

/// All that are given must match.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `filter` reads them")]
struct FilterParameters {
    /// At or after this time.
    from: Option<Timestamp>,
    /// Before this time.
    to: Option<Timestamp>,
    /// Only what this one did: a credential's name, a subject, an operator.
    actor: Option<String>,
    /// Only what was done to or with the credential of this identifier.
    credential: Option<String>,
    /// Only what is of this CertificateProfile, `namespace/name`.
    profile: Option<String>,
    /// Only what is about the certificate with this serial number, hexadecimal.
    serial: Option<String>,
    /// Only what ended so: `done`, `pending`, `refused` or `failed`.
    #[param(schema_with = outcomes)]
    outcome: Option<String>,
    /// Only these, as `certificateIssued`.
    #[param(schema_with = actions)]
    action: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `order` reads it")]
struct OrderParameters {
    #[param(inline)]
    order: Option<Order>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
#[allow(dead_code, reason = "only described: `export_audit` reads them")]
struct LinesParameters {
    /// In place of the header Accept.
    #[param(inline)]
    format: Option<LinesName>,
    /// The private enterprise number in the name of the structured data of syslog; the one for documentation (RFC 5612)
    /// where none is given.
    #[param(value_type = Option<u64>, maximum = 4_294_967_295_u32)]
    enterprise_number: Option<u32>,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only described")]
enum LinesName {
    Jsonl,
    Syslog,
}

#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only described")]
enum Order {
    OldestFirst,
    NewestFirst,
}

/// Something that was asked, decided or changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct AuditEntry {
    /// Names the writer; its records are one chain.
    stream: String,
    sequence: u64,
    /// Of this record and all before it in the stream, hexadecimal.
    hash: String,
    at: Timestamp,
    #[schema(schema_with = actions)]
    action: &'static str,
    #[schema(schema_with = outcomes)]
    outcome: &'static str,
    actor: EntryActor,
    /// The EnrollmentMethod that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    profile: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authority: Option<String>,
    /// Key identifier of the authority, hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    issuer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    serial: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    subject: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    request: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<String>,
    /// How many times, where several were counted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u64>,
}

/// Who did it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct EntryActor {
    /// `requester`, `stranger`, `operator` or `server`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    protocol: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    address: Option<String>,
    /// Identifier of their own credential, where one was shown: a name may be another one's later.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    credential: Option<String>,
}

impl AuditEntry {
    fn of((record, event): (AuditRecord, AuditEvent)) -> Self {
        Self {
            hash: hex::encode(record.hash),
            stream: record.stream,
            sequence: record.sequence,
            at: event.at.into(),
            action: event.action.as_str(),
            outcome: event.outcome.as_str(),
            actor: EntryActor::of(&event.actor),
            method: event.method.as_ref().map(ToString::to_string),
            profile: event.profile.as_ref().map(ToString::to_string),
            authority: event.authority.as_ref().map(ToString::to_string),
            issuer: event.issuer.as_ref().map(ToString::to_string),
            serial: event.serial.as_ref().map(ToString::to_string),
            request: event.request.as_ref().map(ToString::to_string),
            credential: event.credential.as_ref().map(ToString::to_string),
            subject: event.subject,
            reason: event.reason,
            count: event.count,
        }
    }
}

impl EntryActor {
    fn of(actor: &Actor) -> Self {
        let name = audit::actor_name(actor).map(str::to_owned);
        let (kind, protocol, address) = match actor {
            Actor::Requester { protocol, address, .. } => ("requester", Some(protocol), address.clone()),
            Actor::Stranger { protocol, address } => ("stranger", Some(protocol), address.clone()),
            Actor::Operator { .. } => ("operator", None, None),
            Actor::Server => ("server", None, None),
        };
        let credential = actor.credential().map(ToString::to_string);
        Self { kind, protocol: protocol.map(|protocol| protocol.as_str()), name, address, credential }
    }
}

fn outcomes() -> utoipa::openapi::schema::Object {
    one_of(AuditOutcome::ALL.map(AuditOutcome::as_str))
}

fn actions() -> utoipa::openapi::schema::Object {
    one_of(Action::ALL.map(Action::as_str))
}

fn one_of<const N: usize>(values: [&'static str; N]) -> utoipa::openapi::schema::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::Type::String)
        .enum_values(Some(values))
        .build()
}

/// Asks for records of the trail. A page may hold fewer than `limit`, or none, although there are more: `next` says.
#[utoipa::path(get, path = "/audit", operation_id = "queryAudit", tag = "audit",
    params(PageParameters, OrderParameters, FilterParameters),
    responses((status = 200, description = "A page of records.", body = Items<AuditEntry>), Problems))]
async fn query_audit(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Report, Freshness::Fresh).await?;
    let limit = limit(&mut parameters)?;
    let after = parameters.take_parsed::<AuditCursor>("cursor", "what \"next\" of a page was")?;
    let order = order(&mut parameters)?;
    let filter = filter(&caller, &mut parameters)?;
    parameters.finish()?;
    let (store, query) = (caller.app().engine.store().clone(), AuditQuery { filter, order, after, limit });
    let page = caller.app().rest.walks().read(async move { store.audit_query(&query).await }).await?;
    let next = page.next.as_ref().map(ToString::to_string);
    let items = page.records.into_iter().map(AuditEntry::of).collect();
    json(StatusCode::OK, &Items { items, next })
}

#[derive(Clone, Copy, Debug)]
enum LinesForm {
    Jsonl,
    Syslog,
}

const LINES: [Offer<LinesForm>; 2] = [
    Offer { name: "jsonl", media_type: "application/jsonl", form: LinesForm::Jsonl },
    Offer { name: "syslog", media_type: "text/plain", form: LinesForm::Syslog },
];

/// All records that match, one a line, the oldest first: as they are stored, so that their chain can be followed, or as RFC 5424
/// messages. Where it ends early, the connection is cut.
#[utoipa::path(get, path = "/audit/export", operation_id = "exportAudit", tag = "audit",
    params(FilterParameters, LinesParameters),
    responses((status = 200, description = "One record a line.",
        content((String = "application/jsonl"), (String = "text/plain"))), Problems, FormProblem))]
async fn export_audit(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Report, Freshness::Fresh).await?;
    let form = accept::choose(&mut parameters, &caller.ask.headers, &LINES)?;
    let enterprise = parameters.take_parsed("enterpriseNumber", "a number")?;
    let mut filter = filter(&caller, &mut parameters)?;
    parameters.finish()?;
    // What is recorded while it is read does not make it endless; times are whole seconds.
    let asked = caller.ask.now.plus_seconds(1);
    filter.until = Some(filter.until.map_or(asked, |until| until.min(asked)));
    let (lines, file, content_type) = match form {
        LinesForm::Jsonl => (Lines::Jsonl, "audit.jsonl", "application/jsonl"),
        LinesForm::Syslog => {
            let enterprise = enterprise.unwrap_or(DOCUMENTATION_ENTERPRISE);
            (Lines::Syslog { enterprise }, "audit.log", "text/plain; charset=utf-8")
        }
    };
    let query = AuditQuery { filter, order: AuditOrder::OldestFirst, after: None, limit: PAGE };
    let (store, walks) = (caller.app().engine.store().clone(), caller.app().rest.walks().clone());
    let records = Records { store, walks, query: Some(query), lines };
    export::stream(caller.app().exports.place(caller.method())?, file, content_type, records).await
}

struct Records {
    store: Arc<dyn Store>,
    walks: Walks,
    /// None at the end.
    query: Option<AuditQuery>,
    lines: Lines,
}

impl Pieces for Records {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(query) = self.query.take() else { return Ok(None) };
        let (store, asked) = (self.store.clone(), query.clone());
        let page = self.walks.read(async move { store.audit_query(&asked).await }).await?;
        self.query = page.next.map(|next| AuditQuery { after: Some(next), ..query });
        let mut piece = Vec::new();
        for (record, event) in &page.records {
            let line = self.lines.line(record, event).map_err(|error| Error::Internal(error.to_string()))?;
            piece.extend_from_slice(line.as_bytes());
            piece.push(b'\n');
        }
        Ok(Some(piece))
    }
}

fn order(parameters: &mut Parameters) -> Result<AuditOrder, RestError> {
    let order = parameters.take_with("order", "oldestFirst or newestFirst", |text| match text {
        "oldestFirst" => Some(AuditOrder::OldestFirst),
        "newestFirst" => Some(AuditOrder::NewestFirst),
        _other => None,
    })?;
    Ok(order.unwrap_or_default())
}

/// Of the methods in the caller's scope, whatever is asked for.
fn filter(caller: &Caller, parameters: &mut Parameters) -> Result<AuditFilter, RestError> {
    let time = |parameters: &mut Parameters, name| {
        let time = parameters.take_with(name, "a time of RFC 3339", Timestamp::parse)?;
        Ok::<_, RestError>(time.map(|Timestamp(time)| time))
    };
    Ok(AuditFilter {
        from: time(parameters, "from")?,
        until: time(parameters, "to")?,
        actor: parameters.take("actor"),
        credential: parameters.take_parsed("credential", "the identifier of a credential")?,
        profile: parameters.take_parsed("profile", "namespace/name")?,
        serial: parameters.take_parsed("serial", "a serial number, hexadecimal")?,
        methods: Some(caller.scope().clone()),
        outcome: parameters.take_parsed("outcome", "done, pending, refused or failed")?,
        action: parameters.take_parsed("action", "an action of the audit trail")?,
    })
}

//! Lists and exports of credentials.

use std::sync::Arc;

use axum::{extract::Path, response::Response};
use http::StatusCode;
use issuance::{
    Error,
    authn::Freshness,
    identity::Owner,
    rest::RestAction,
    store::{CredentialFilter, Store},
};
use pki::time::Time;
use utoipa::IntoParams;

use super::{
    super::{
        accept,
        ask::Ask,
        auth::Caller,
        error::RestError,
        export::{self, Form, Pages, Rows},
        objects::json,
        openapi::{FormProblem, MissingProblem, Problems},
        page::{Items, PageParameters, page},
        parameters::Parameters,
        scan::scan,
        shared::Walks,
        texts::{CredentialName, OwnerText},
    },
    known::{self, Known, find, parse},
    shown::{Credential, Status},
};

/// Which are wanted. All that are given must match.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `Wanted` reads them")]
pub(super) struct FilterParameters {
    /// Only those in this state now.
    status: Option<Status>,
    /// Only those of this owner, `user:NAME` or `group:NAME`.
    #[param(value_type = Option<OwnerText>)]
    owner: Option<String>,
    /// Only the one of this name.
    #[param(value_type = Option<CredentialName>)]
    name: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "only described: `accept` reads it")]
pub(super) struct FormParameters {
    /// `json` or `csv`; in place of the header Accept.
    #[param(inline)]
    format: Option<FormName>,
}

#[derive(utoipa::ToSchema)]
#[schema(rename_all = "camelCase")]
#[allow(dead_code, reason = "only described")]
enum FormName {
    Json,
    Csv,
}

#[derive(Clone, Debug)]
struct Wanted {
    status: Option<Status>,
    owner: Option<Owner>,
    name: Option<CredentialName>,
}

impl Wanted {
    fn take(parameters: &mut Parameters) -> Result<Self, RestError> {
        let statuses = "active, revoked, expired or usedUp";
        let owner = parameters.take_with("owner", "user:NAME or group:NAME", OwnerText::parse)?;
        Ok(Self {
            status: parameters.take_with("status", statuses, Status::parse)?,
            owner: owner.map(|OwnerText(owner)| owner),
            name: parameters.take_with("name", "the name of a credential", CredentialName::parse)?,
        })
    }

    fn show(&self, known: &Known, now: Time) -> Option<Credential> {
        let row = &known.row;
        let named = self.name.as_ref().is_none_or(|name| name.as_str() == row.name.name());
        let owned = self.owner.is_none() || self.owner == row.owner;
        let shown = (named && owned).then(|| Credential::of(known, now));
        shown.filter(|shown| self.status.is_none_or(|status| status == shown.status))
    }
}

fn in_scope(caller: &Caller) -> CredentialFilter {
    CredentialFilter { methods: Some(caller.scope().clone()), ..CredentialFilter::default() }
}

/// Lists credentials, the oldest first. A page may hold fewer than `limit` although there are more: `next` says.
#[utoipa::path(get, path = "/credentials", operation_id = "listCredentials", tag = "credentials",
    params(PageParameters, FilterParameters),
    responses((status = 200, description = "A page of credentials.", body = Items<Credential>), Problems))]
pub(super) async fn list_credentials(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Credentials, Freshness::Fresh).await?;
    let page = page(&mut parameters)?;
    let wanted = Wanted::take(&mut parameters)?;
    parameters.finish()?;
    let (store, walks) = (caller.app().engine.store(), caller.app().rest.walks());
    let (filter, now) = (in_scope(&caller), caller.ask.now);
    let read = |page| {
        let (store, filter) = (store.clone(), filter.clone());
        walks.read(async move { known::page(&*store, &filter, &page).await })
    };
    let items = scan(&page, read, |known| wanted.show(known, now)).await?;
    json(StatusCode::OK, &items)
}

/// All credentials, as one array or table of any length. Where it ends early, the connection is cut.
#[utoipa::path(get, path = "/credentials/export", operation_id = "exportCredentials", tag = "credentials",
    params(FilterParameters, FormParameters),
    responses((status = 200, description = "All credentials.",
        content((Vec<Credential> = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn export_credentials(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Credentials, Freshness::Fresh).await?;
    let form = accept::choose(&mut parameters, &caller.ask.headers, &Form::OFFERS)?;
    let wanted = Wanted::take(&mut parameters)?;
    parameters.finish()?;
    let rows = Exported {
        store: caller.app().engine.store().clone(),
        walks: caller.app().rest.walks().clone(),
        filter: in_scope(&caller),
        wanted,
        now: caller.ask.now,
        pages: Pages::first(),
    };
    export::answer(caller.app().exports.place(caller.method())?, "credentials", form, rows).await
}

/// Shows a credential.
#[utoipa::path(get, path = "/credentials/{id}", operation_id = "readCredential", tag = "credentials",
    params(("id" = String, Path, description = "Identifier of the credential.")),
    responses((status = 200, description = "The credential.", body = Credential), Problems, MissingProblem))]
pub(super) async fn read_credential(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let row = find(&caller, &parse(&id)?).await?;
    let known = known::used(&**caller.app().engine.store(), row).await?;
    json(StatusCode::OK, &Credential::of(&known, caller.ask.now))
}

struct Exported {
    store: Arc<dyn Store>,
    walks: Walks,
    filter: CredentialFilter,
    wanted: Wanted,
    now: Time,
    pages: Pages,
}

impl Rows for Exported {
    type Row = Credential;

    async fn next(&mut self) -> Result<Option<Vec<Credential>>, Error> {
        let Some(page) = self.pages.next() else { return Ok(None) };
        let (store, filter) = (self.store.clone(), self.filter.clone());
        let rows = self.walks.read(async move { known::page(&*store, &filter, &page).await }).await?;
        self.pages.read(&rows);
        Ok(Some(rows.iter().filter_map(|(_, known)| self.wanted.show(known, self.now)).collect()))
    }
}

//! Reports that list certificates, the oldest first.

use std::sync::Arc;

use axum::response::Response;
use issuance::{
    Error,
    authn::Freshness,
    rest::RestAction,
    store::{CertificateFilter, Store},
};
use pki::time::Time;

use super::{
    super::{
        accept,
        ask::Ask,
        error::RestError,
        export::{self, Form, Pages, Rows},
        openapi::{FormProblem, Problems},
        shared::Walks,
    },
    row::ReportRow,
    which::{FormParameters, Period, Which, WhichParameters},
};

/// Certificates that were issued in a period.
#[utoipa::path(get, path = "/reports/issued", operation_id = "reportIssued", tag = "reports",
    params(WhichParameters, FormParameters),
    responses((status = 200, description = "All of them.",
        content((Vec<ReportRow> = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn report_issued(ask: Ask) -> Result<Response, RestError> {
    answer(ask, "issued", Period::Issued).await
}

/// Certificates that end in a period and are neither revoked nor held. Without a period, those that end within 30 days.
#[utoipa::path(get, path = "/reports/expiring", operation_id = "reportExpiring", tag = "reports",
    params(WhichParameters, FormParameters),
    responses((status = 200, description = "All of them.",
        content((Vec<ReportRow> = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn report_expiring(ask: Ask) -> Result<Response, RestError> {
    answer(ask, "expiring", Period::Expiring).await
}

/// Certificates that were revoked or held in a period.
#[utoipa::path(get, path = "/reports/revoked", operation_id = "reportRevoked", tag = "reports",
    params(WhichParameters, FormParameters),
    responses((status = 200, description = "All of them.",
        content((Vec<ReportRow> = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn report_revoked(ask: Ask) -> Result<Response, RestError> {
    answer(ask, "revoked", Period::Revoked).await
}

/// All certificates there are; with a period, those that were issued in it.
#[utoipa::path(get, path = "/reports/inventory", operation_id = "reportInventory", tag = "reports",
    params(WhichParameters, FormParameters),
    responses((status = 200, description = "All of them.",
        content((Vec<ReportRow> = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn report_inventory(ask: Ask) -> Result<Response, RestError> {
    answer(ask, "inventory", Period::Issued).await
}

async fn answer(ask: Ask, name: &str, period: Period) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Report, Freshness::Fresh).await?;
    let form = accept::choose(&mut parameters, &caller.ask.headers, &Form::OFFERS)?;
    let which = Which::take(&caller, &mut parameters)?;
    parameters.finish()?;
    let (store, walks) = (caller.app().engine.store().clone(), caller.app().rest.walks().clone());
    let (filter, now) = (which.filter(period), caller.ask.now);
    let rows = Listed { store, walks, filter, now, pages: Pages::first() };
    export::answer(caller.app().exports.place(caller.method())?, name, form, rows).await
}

struct Listed {
    store: Arc<dyn Store>,
    walks: Walks,
    filter: CertificateFilter,
    now: Time,
    pages: Pages,
}

impl Rows for Listed {
    type Row = ReportRow;

    async fn next(&mut self) -> Result<Option<Vec<ReportRow>>, Error> {
        let Some(page) = self.pages.next() else { return Ok(None) };
        let (store, filter) = (self.store.clone(), self.filter.clone());
        let rows = self.walks.read(async move { store.certificates(&filter, &page).await }).await?;
        self.pages.read(&rows);
        Ok(Some(rows.into_iter().map(|(_, row)| ReportRow::of(row, self.now)).collect()))
    }
}

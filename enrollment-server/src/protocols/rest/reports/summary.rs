//! How many certificates there are, by profile, authority and status.

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use issuance::{
    Error,
    authn::Freshness,
    identity::ResourceName,
    rest::RestAction,
    store::{CertificateFilter, CertificateRow},
};
use pki::time::Time;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{
        accept,
        ask::Ask,
        error::RestError,
        export::{self, Form, Pages, Rows, Tabular},
        objects::{Timestamp, json},
        openapi::{FormProblem, Problems},
    },
    row::Status,
    which::{FormParameters, Period, Which, WhichParameters},
};
use crate::serving::App;

/// Certificates of a period, counted.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Summary {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    to: Option<Timestamp>,
    total: u64,
    /// One for each profile and authority, in their order.
    counts: Vec<Count>,
}

/// Certificates of one profile and one authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ReportCount)]
struct Count {
    profile: String,
    /// Absent where they are self-signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    authority: Option<String>,
    valid: u64,
    held: u64,
    revoked: u64,
    expired: u64,
    total: u64,
}

/// Counts the certificates that were issued in a period.
#[utoipa::path(get, path = "/reports/summary", operation_id = "reportSummary", tag = "reports",
    params(WhichParameters, FormParameters),
    responses((status = 200, description = "How many.",
        content((Summary = "application/json"), (String = "text/csv"))), Problems, FormProblem))]
pub(super) async fn report_summary(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Report, Freshness::Fresh).await?;
    let form = accept::choose(&mut parameters, &caller.ask.headers, &Form::OFFERS)?;
    let which = Which::take(&caller, &mut parameters)?;
    parameters.finish()?;
    let app = caller.app();
    let counts = {
        let _place = app.exports.place(caller.method())?;
        let filter = which.filter(Period::Issued);
        count(app, &filter, caller.ask.now).await?
    };
    match form {
        Form::Csv => {
            export::answer(app.exports.place(caller.method())?, "summary", form, Counted(Some(counts))).await
        }
        Form::Json => {
            let total = counts.iter().map(|count| count.total).sum();
            let (from, to) = (which.from.map(Timestamp::from), which.to.map(Timestamp::from));
            json(StatusCode::OK, &Summary { from, to, total, counts })
        }
    }
}

/// A page at a time: there may be a million.
async fn count(app: &App, filter: &CertificateFilter, now: Time) -> Result<Vec<Count>, Error> {
    let mut counts: BTreeMap<(ResourceName, Option<ResourceName>), Count> = BTreeMap::new();
    let mut pages = Pages::first();
    while let Some(page) = pages.next() {
        let (store, filter) = (app.engine.store().clone(), filter.clone());
        let rows = app.rest.walks().read(async move { store.certificates(&filter, &page).await }).await?;
        pages.read(&rows);
        for (_, row) in rows {
            let status = Status::of(&row, now);
            let CertificateRow { profile, authority, .. } = row;
            counts.entry((profile, authority)).or_default().add(status);
        }
    }
    let named = counts.into_iter().map(|((profile, authority), count)| Count {
        profile: profile.to_string(),
        authority: authority.as_ref().map(ToString::to_string),
        ..count
    });
    Ok(named.collect())
}

impl Count {
    fn add(&mut self, status: Status) {
        self.total += 1;
        *match status {
            Status::Valid => &mut self.valid,
            Status::Held => &mut self.held,
            Status::Revoked => &mut self.revoked,
            Status::Expired => &mut self.expired,
        } += 1;
    }
}

impl Tabular for Count {
    const COLUMNS: &'static [&'static str] =
        &["profile", "authority", "valid", "held", "revoked", "expired", "total"];

    fn cells(&self) -> Vec<String> {
        let numbers = [self.valid, self.held, self.revoked, self.expired, self.total];
        let names = [self.profile.clone(), self.authority.clone().unwrap_or_default()];
        names.into_iter().chain(numbers.iter().map(ToString::to_string)).collect()
    }
}

/// All at once: there are as many as there are profiles.
struct Counted(Option<Vec<Count>>);

impl Rows for Counted {
    type Row = Count;

    async fn next(&mut self) -> Result<Option<Vec<Count>>, Error> {
        Ok(self.0.take())
    }
}

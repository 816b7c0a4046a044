//! `GET usage`: what credentials and methods were used for.

use axum::{Json, extract::State};
use client::internal::{CredentialUsage, MethodUsage, Usage};
use issuance::{
    Error,
    store::{CredentialFilter, Page},
};

use super::{Admitted, Internal, InternalError};

/// Rows read at a time.
const PAGE: usize = 500;

pub(super) async fn usage(
    State(internal): State<Internal>,
    Admitted(_operator): Admitted,
) -> Result<Json<Usage>, InternalError> {
    let mut usage = Usage::default();
    let filter = CredentialFilter { declared: Some(true), ..CredentialFilter::default() };
    let mut page = Page::first(PAGE);
    loop {
        let rows = internal.app.engine.store().credentials(&filter, &page).await.map_err(Error::from)?;
        let Some((last, _)) = rows.last() else { break };
        page.after = Some(*last);
        usage.credentials.extend(rows.into_iter().map(|(_, row)| {
            let last_used_at = row.last_used_at.map(|time| time.unix());
            (row.name.to_string(), CredentialUsage { id: row.id.to_string(), uses: row.uses, last_used_at })
        }));
    }
    usage.methods = internal
        .app
        .usage
        .counts()
        .into_iter()
        .map(|(name, count)| {
            let last_failure = count.last_failure.map(|(at, sentence)| (at.unix(), sentence));
            (name.to_string(), MethodUsage { issued: count.issued, refused: count.refused, last_failure })
        })
        .collect();
    Ok(Json(usage))
}

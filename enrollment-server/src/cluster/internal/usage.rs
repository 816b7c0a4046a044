//! `GET usage`: what credentials and methods were used for, and the newest revocation lists.

use axum::{Json, extract::State};
use client::internal::{CredentialUsage, ListUsage, MethodUsage, Usage};
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
    for authority in internal.app.serving().office.authorities.values().filter(|found| found.signs_crls()) {
        let list = internal.app.engine.store().latest_crl(authority.key_id()).await.map_err(Error::from)?;
        if let Some(row) = list {
            let (this_update, next_update) = (row.this_update.unix(), row.next_update.unix());
            let list = ListUsage { number: row.number, this_update, next_update };
            usage.crls.insert(row.issuer.to_string(), list);
        }
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

//! Credentials in the caller's scope as they are found, with how they were used.

use std::collections::HashMap;

use issuance::{
    credential::{CredentialRow, CredentialUsage},
    identity::CredentialId,
    store::{CredentialFilter, Cursor, Page, Store, StoreResult},
};

use super::super::{auth::Caller, error::RestError};

const NOT_FOUND: RestError = RestError::NotFound("credential");

/// A credential, and what is known of its use.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) row: CredentialRow,
    /// None only where it was removed meanwhile.
    pub(super) usage: Option<CredentialUsage>,
}

pub(super) fn parse(id: &str) -> Result<CredentialId, RestError> {
    id.parse().map_err(|_| NOT_FOUND)
}

/// That of a method in the caller's scope.
///
/// # Errors
/// [`RestError::NotFound`], for those of other methods too.
pub(super) async fn find(caller: &Caller, id: &CredentialId) -> Result<CredentialRow, RestError> {
    let row = caller.app().engine.store().credential(id).await?;
    row.filter(|row| caller.scope().contains(&row.method)).ok_or(NOT_FOUND)
}

/// With how it was used.
///
/// # Errors
/// Those of the store.
pub(super) async fn used(store: &dyn Store, row: CredentialRow) -> StoreResult<Known> {
    let usage = store.credential_usages(std::slice::from_ref(&row.id)).await?.pop();
    Ok(Known { row, usage })
}

/// A page of them.
///
/// # Errors
/// Those of the store.
pub(super) async fn page(
    store: &dyn Store,
    filter: &CredentialFilter,
    page: &Page,
) -> StoreResult<Vec<(Cursor, Known)>> {
    let rows = store.credentials(filter, page).await?;
    let ids: Vec<CredentialId> = rows.iter().map(|(_, row)| row.id.clone()).collect();
    let usages = store.credential_usages(&ids).await?;
    let mut usages: HashMap<CredentialId, CredentialUsage> =
        usages.into_iter().map(|usage| (usage.credential.clone(), usage)).collect();
    let known = rows.into_iter().map(|(cursor, row)| (cursor, Known { usage: usages.remove(&row.id), row }));
    Ok(known.collect())
}

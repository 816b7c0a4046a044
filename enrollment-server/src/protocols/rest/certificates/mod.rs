//! Certificates of the methods in the caller's scope (`/certificates`).
//!
//! | file | what |
//! | --- | --- |
//! | `object.rs` | a certificate as it is shown |
//! | `list.rs` | which certificates a list has |
//! | `formats.rs` | the forms of downloads |
//! | `issue.rs`, `renew.rs` | a certificate in one call, and one more for what the server made the key of |
//! | `status.rs` | revoking, holding, releasing |

mod formats;
mod issue;
mod list;
mod object;
mod renew;
mod status;

pub(super) use renew::renew;

use std::sync::Arc;

use axum::{extract::Path, response::Response};
use http::{HeaderValue, StatusCode, header::VARY};
use issuance::{authn::Freshness, identity::CertificateId, rest::RestAction, store::CertificateRow};
use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use self::{list::Filters, object::CertificateObject};
use super::{
    Traces,
    accept::choose,
    ask::Ask,
    auth::Caller,
    error::RestError,
    objects::json,
    openapi::{FormProblem, MissingProblem, Problems},
    page::{Items, PageParameters, items, page},
};
use crate::{metrics::Operation, serving::App};

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(issue::issue_certificate).layer(traces.of(Operation::IssueCertificate)))
        .routes(routes!(list_certificates).layer(traces.of(Operation::ListCertificates)))
        .routes(routes!(read_certificate).layer(traces.of(Operation::ReadCertificate)))
        .routes(routes!(download_certificate).layer(traces.of(Operation::DownloadCertificate)))
        .routes(routes!(issue::renew_certificate).layer(traces.of(Operation::RenewCertificate)))
        .routes(routes!(status::revoke_certificate).layer(traces.of(Operation::RevokeCertificate)))
        .routes(routes!(status::hold_certificate).layer(traces.of(Operation::HoldCertificate)))
        .routes(routes!(status::release_certificate).layer(traces.of(Operation::ReleaseCertificate)))
}

/// List certificates.
///
/// In the order of issue; those that have expired or were revoked too, unless `status` says otherwise.
#[utoipa::path(get, path = "/certificates", operation_id = "listCertificates", tag = "certificates",
    params(PageParameters, Filters),
    responses((status = 200, description = "A page of the list.", body = Items<CertificateObject>), Problems))]
async fn list_certificates(ask: Ask) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Read, Freshness::Fresh).await?;
    let now = caller.ask.now;
    let page = page(&mut parameters)?;
    let filter = list::filter(&mut parameters, caller.scope(), now)?;
    parameters.finish()?;
    let (app, read) = (caller.app(), page);
    let store = app.engine.store().clone();
    let rows = app.rest.walks().read(async move { store.certificates(&filter, &read).await }).await?;
    json(StatusCode::OK, &items(rows, &page, |row| CertificateObject::listed(&row, now)))
}

/// Read a certificate.
#[utoipa::path(get, path = "/certificates/{id}", operation_id = "readCertificate", tag = "certificates",
    params(("id" = String, Path, description = "`{issuer}.{serial}`")),
    responses((status = 200, description = "The certificate.", body = CertificateObject),
        Problems, MissingProblem))]
async fn read_certificate(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Read, Freshness::Fresh).await?;
    let row = find(&caller, &id).await?;
    json(StatusCode::OK, &shown(&caller, &row).await?)
}

/// Download a certificate.
///
/// Without `format`, `Accept` says in which form; without both it is PEM with its issuers.
#[utoipa::path(get, path = "/certificates/{id}/download", operation_id = "downloadCertificate", tag = "certificates",
    params(
        ("id" = String, Path, description = "`{issuer}.{serial}`"),
        ("format" = inline(Option<formats::Name>), Query,
            description = "In place of the header Accept; all but `pem` and `der` with its issuers."),
    ),
    responses(
        (status = 200, description = "The file.", content(
            (String = "application/pem-certificate-chain"),
            (String = "application/pkix-cert"),
            (String = "application/pkcs7-mime"),
            (String = "application/x-pem-file"),
        )),
        Problems, MissingProblem, FormProblem))]
async fn download_certificate(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let (caller, mut parameters) = ask.caller_with(RestAction::Read, Freshness::Fresh).await?;
    let format = choose(&mut parameters, &caller.ask.headers, &formats::OFFERS)?;
    parameters.finish()?;
    let row = find(&caller, &id).await?;
    let authority = caller.ask.serving.office.authority_by_key(row.issuer);
    let mut response = formats::download(&row, authority.map(|authority| &**authority), format)?;
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    Ok(response)
}

/// A certificate of a method in the caller's scope.
async fn find(caller: &Caller, id: &str) -> Result<CertificateRow, RestError> {
    let missing = RestError::NotFound("certificate");
    let Ok(CertificateId { issuer, serial }) = id.parse() else { return Err(missing) };
    let row = caller.app().engine.store().certificate(issuer, &serial).await?;
    row.filter(|row| caller.scope().issued(row)).ok_or(missing)
}

/// A certificate of the caller's own method.
async fn find_own(caller: &Caller, id: &str) -> Result<CertificateRow, RestError> {
    let row = find(caller, id).await?;
    Some(row).filter(|row| row.method == *caller.method()).ok_or(RestError::NotFound("certificate"))
}

/// With the orders that it came by and that renews it.
async fn shown(caller: &Caller, row: &CertificateRow) -> Result<CertificateObject, RestError> {
    let store = caller.app().engine.store();
    let (mut order, mut replacing) = (None, None);
    if row.server_key {
        order = store.rest_order_of(&row.method, row.issuer, &row.serial).await?;
        replacing = store.rest_order_replacing(&row.method, row.issuer, &row.serial).await?;
    }
    Ok(CertificateObject::whole(row, order.as_ref(), replacing.as_ref(), caller.ask.now))
}

//! Making and changing credentials.

use axum::{body::Body, extract::Path, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use issuance::{
    Error,
    administration::{AdministrationError, Administrator, Change},
    authn::{Authenticated, Freshness},
    credential::CredentialRow,
    rest::RestAction,
};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{
    super::{
        ask::Ask,
        auth::Caller,
        body,
        error::RestError,
        objects::{Timestamp, json},
        openapi::{self, BodyProblems, ConflictProblem, MissingProblem, Problems},
        texts::Reason,
    },
    known::{Known, find, parse, used},
    shown::Credential,
    target::{served_of, target_of},
    value::{CredentialWithSecret, Handed, Made, make},
    wanted::{CredentialWanted, Wanted},
};

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CredentialRevocation {
    /// For the audit trail.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    reason: Option<Reason>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CredentialEnd {
    /// When it ends. Absent: now.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    expires_at: Option<Timestamp>,
}

/// Makes a credential of the caller's method, or of one that it administers. Its secret is in the answer, and nowhere afterwards.
#[utoipa::path(post, path = "/credentials", operation_id = "createCredential", tag = "credentials",
    request_body = CredentialWanted,
    responses((status = 201, description = "The credential with its secret.", body = CredentialWithSecret,
        headers(("Location" = String, description = "Path of the credential."))),
        Problems, MissingProblem, ConflictProblem, BodyProblems))]
pub(super) async fn create_credential(ask: Ask, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let wanted = body::read::<CredentialWanted>(&caller.ask, body).await?;
    let Wanted { target, credential, handed } = wanted.judge(&caller)?;
    let by = caller.authenticated(&caller.service.method)?;
    let row = caller.app().engine.create_credential(administrator(&caller, &by), &target, credential).await;
    let row = row.map_err(|error| refused(error, "spec"))?;
    let location = openapi::path(&format!("/credentials/{}", row.id));
    let mut response = with_secret(StatusCode::CREATED, &caller, row, &handed)?;
    let location = HeaderValue::from_str(&location).map_err(|error| Error::Internal(error.to_string()))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// Revokes a credential for good: it is refused from the next request on.
#[utoipa::path(post, path = "/credentials/{id}/revoke", operation_id = "revokeCredential", tag = "credentials",
    params(("id" = String, Path, description = "Identifier of the credential.")),
    request_body(content = Option<CredentialRevocation>, content_type = "application/json"),
    responses((status = 200, description = "The credential, revoked.", body = Credential),
        Problems, MissingProblem, ConflictProblem, BodyProblems))]
pub(super) async fn revoke_credential(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let CredentialRevocation { reason } = body::read_optional(&caller.ask, body).await?;
    let row = find(&caller, &parse(&id)?).await?;
    let row = change(&caller, &row, &Change::Revoke { reason: reason.map(Reason::into) }).await?;
    shown(&caller, row).await
}

/// Sets when a credential ends. Nobody makes their own last longer.
#[utoipa::path(post, path = "/credentials/{id}/expire", operation_id = "expireCredential", tag = "credentials",
    params(("id" = String, Path, description = "Identifier of the credential.")),
    request_body(content = Option<CredentialEnd>, content_type = "application/json"),
    responses((status = 200, description = "The credential with its end.", body = Credential),
        Problems, MissingProblem, ConflictProblem, BodyProblems))]
pub(super) async fn expire_credential(
    ask: Ask,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let CredentialEnd { expires_at } = body::read_optional(&caller.ask, body).await?;
    let at = expires_at.map_or(caller.ask.now, |Timestamp(at)| at);
    let row = find(&caller, &parse(&id)?).await?;
    let row = change(&caller, &row, &Change::Expire { at }).await?;
    shown(&caller, row).await
}

/// Gives a credential another secret: the old one is refused from the next request on, by every replica. The new one is in the
/// answer, and nowhere afterwards.
#[utoipa::path(post, path = "/credentials/{id}/regenerate", operation_id = "regenerateCredential", tag = "credentials",
    params(("id" = String, Path, description = "Identifier of the credential.")),
    responses((status = 200, description = "The credential with its new secret.", body = CredentialWithSecret),
        Problems, MissingProblem, ConflictProblem))]
pub(super) async fn regenerate_credential(ask: Ask, Path(id): Path<String>) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let row = find(&caller, &parse(&id)?).await?;
    // What would open nothing is not made; nor is it known what it will administer once it does.
    if !row.declared && served_of(&caller.ask.serving, &row).is_none() {
        let sentence =
            format!("the method {} is not served, and a new secret would open nothing", row.method);
        return Err(RestError::Conflict(sentence));
    }
    let Made { verifier, handed, .. } = make(row.protocol, row.username.as_deref(), &caller.app().sealing)?;
    let row = change(&caller, &row, &Change::Regenerate { verifier }).await?;
    with_secret(StatusCode::OK, &caller, row, &handed)
}

/// With all that the caller's method administers, whichever part of that the request is about.
fn administrator<'a>(caller: &'a Caller, by: &'a Authenticated) -> Administrator<'a> {
    Administrator { authenticated: by, actions: caller.actions, scope: &caller.service.scope }
}

async fn change(caller: &Caller, row: &CredentialRow, change: &Change) -> Result<CredentialRow, RestError> {
    let by = caller.authenticated(&caller.service.method)?;
    let (engine, target) = (&caller.app().engine, target_of(&caller.ask.serving, row));
    let row = engine.change_credential(administrator(caller, &by), &target, &row.id, change).await;
    row.map_err(|error| refused(error, change.field()))
}

/// `field`: what is to be patched where a resource declares the credential.
fn refused(error: AdministrationError, field: &str) -> RestError {
    match error {
        AdministrationError::Core(error) => error.into(),
        AdministrationError::Beyond(action) => RestError::ActionNotAllowed(action),
        AdministrationError::Declared(resource) => RestError::DeclaredByResource(format!(
            "the EnrollmentCredential {resource} declares this credential: patch its {field}"
        )),
        error @ (AdministrationError::Wider(_)
        | AdministrationError::OwnLonger
        | AdministrationError::Longer) => RestError::Forbidden(error.to_string()),
        error @ (AdministrationError::NameTaken(_)
        | AdministrationError::KeyIdentifierTaken(_)
        | AdministrationError::NameInUse(_)
        | AdministrationError::UsernameDeclared { .. }
        | AdministrationError::NotServed(_)
        | AdministrationError::Revoked
        | AdministrationError::Expired) => RestError::Conflict(error.to_string()),
    }
}

async fn shown(caller: &Caller, row: CredentialRow) -> Result<Response, RestError> {
    let known = used(&**caller.app().engine.store(), row).await?;
    json(StatusCode::OK, &Credential::of(&known, caller.ask.now))
}

fn with_secret(
    status: StatusCode,
    caller: &Caller,
    row: CredentialRow,
    handed: &Handed,
) -> Result<Response, RestError> {
    // It was not used yet. Nothing is asked of the store any more: the secret would be lost with an answer that fails.
    let known = Known { row, usage: None };
    let shown = CredentialWithSecret::new(Credential::of(&known, caller.ask.now), handed);
    let mut response = json(status, &shown)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

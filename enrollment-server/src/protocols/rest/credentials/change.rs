//! Making and changing credentials.

use std::fmt;

use axum::{body::Body, extract::Path, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, LOCATION},
};
use issuance::{
    Error,
    administration::{AdministrationError, Administrator, Change, NewCredential},
    authn::Freshness,
    credential::CredentialRow,
    rest::{RestAction, RestActions},
    secret::Secret,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{
        ask::Ask,
        auth::Caller,
        body,
        error::RestError,
        objects::{Timestamp, json},
        openapi::{self, BodyProblems, ConflictProblem, MissingProblem, Problems},
        texts::{CredentialName, OwnerText, Reason},
    },
    known::{Known, find, parse, used},
    shown::{Action, Credential},
    value::{Made, make},
};

/// A credential to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CredentialWanted {
    /// Used once: the audit trail tells by it who did what.
    name: CredentialName,
    /// Whom it belongs to, `user:NAME` or `group:NAME`.
    owner: OwnerText,
    /// What may be done with it, within what may be done with the caller's own. Absent: request and read.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, min_items = 1, max_items = 6)]
    actions: Option<Vec<Action>>,
    /// When it ends. Absent: never.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false)]
    expires_at: Option<Timestamp>,
    /// How many certificates may be issued with it. Absent: any number.
    #[serde(default, deserialize_with = "body::present")]
    #[schema(nullable = false, minimum = 1, maximum = 1_000_000_000)]
    maximum_uses: Option<u64>,
}

/// A credential and its secret, which is not shown again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct CredentialWithSecret {
    credential: Credential,
    access_key: String,
}

impl fmt::Debug for CredentialWithSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialWithSecret").field("credential", &self.credential).finish_non_exhaustive()
    }
}

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

/// Issued with, at most: what every store can count to.
const MAX_USES: u64 = 1_000_000_000;

/// Makes a credential of the caller's method. Its secret is in the answer, and nowhere afterwards.
#[utoipa::path(post, path = "/credentials", operation_id = "createCredential", tag = "credentials",
    request_body = CredentialWanted,
    responses((status = 201, description = "The credential with its secret.", body = CredentialWithSecret,
        headers(("Location" = String, description = "Path of the credential."))),
        Problems, ConflictProblem, BodyProblems))]
pub(super) async fn create_credential(ask: Ask, body: Body) -> Result<Response, RestError> {
    let caller = ask.caller(RestAction::Credentials, Freshness::Fresh).await?;
    let wanted = body::read::<CredentialWanted>(&caller.ask, body).await?;
    let (wanted, secret) = new_credential(&caller, wanted)?;
    let by = caller.authenticated(&caller.service.method)?;
    let administrator = Administrator { authenticated: &by, actions: caller.actions };
    let row = caller.app().engine.create_credential(administrator, wanted).await;
    let row = row.map_err(|error| refused(error, "spec"))?;
    let location = openapi::path(&format!("/credentials/{}", row.id));
    let mut response = with_secret(StatusCode::CREATED, &caller, row, &secret)?;
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
    let row = change(&caller, &id, &Change::Revoke { reason: reason.map(Reason::into) }).await?;
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
    let row = change(&caller, &id, &Change::Expire { at }).await?;
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
    let Made { value, secret } = make(row.protocol, Some(&row))?;
    let row = change(&caller, &id, &Change::Regenerate { verifier: value.verifier }).await?;
    with_secret(StatusCode::OK, &caller, row, &secret)
}

fn new_credential(caller: &Caller, wanted: CredentialWanted) -> Result<(NewCredential, Secret), RestError> {
    let default = || vec![Action::Request, Action::Read];
    let actions = wanted.actions.unwrap_or_else(default).into_iter().map(RestAction::from);
    let actions: RestActions = actions.collect();
    if actions.is_empty() {
        return Err(RestError::invalid("/actions", "at least one action is expected"));
    }
    let expires_at = wanted.expires_at.map(|Timestamp(at)| at);
    if expires_at.is_some_and(|at| at <= caller.ask.now) {
        return Err(RestError::invalid("/expiresAt", "a time to come is expected"));
    }
    if wanted.maximum_uses.is_some_and(|uses| !(1..=MAX_USES).contains(&uses)) {
        return Err(RestError::invalid("/maximumUses", format!("a number from 1 to {MAX_USES} is expected")));
    }
    let Made { value, secret } = make(caller.service.method.protocol, None)?;
    let wanted = NewCredential {
        name: wanted.name.into(),
        owner: wanted.owner.0,
        expires_at,
        maximum_uses: wanted.maximum_uses,
        actions,
        identifiers: None,
        value,
    };
    Ok((wanted, secret))
}

async fn change(caller: &Caller, id: &str, change: &Change) -> Result<CredentialRow, RestError> {
    let by = caller.authenticated(&caller.service.method)?;
    let administrator = Administrator { authenticated: &by, actions: caller.actions };
    let row = caller.app().engine.change_credential(administrator, &parse(id)?, change).await;
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
        error @ (AdministrationError::OwnLonger | AdministrationError::Longer) => {
            RestError::Forbidden(error.to_string())
        }
        error @ (AdministrationError::NameTaken(_)
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
    secret: &Secret,
) -> Result<Response, RestError> {
    // It was not used yet. Nothing is asked of the store any more: the secret would be lost with an answer that fails.
    let known = Known { row, usage: None };
    let access_key = String::from_utf8_lossy(secret.expose()).into_owned();
    let shown = CredentialWithSecret { credential: Credential::of(&known, caller.ask.now), access_key };
    let mut response = json(status, &shown)?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

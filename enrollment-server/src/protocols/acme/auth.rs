//! Who signed a request (RFC 8555 §6.2): an account, a key that has no account yet, or either. Cheap checks come first; the
//! nonce is used up last of all, when the signature was found to be right.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{FromRequest, Request},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header::CONTENT_TYPE};
use issuance::{
    acme::AccountRow,
    authn::{ActingAccount, OnCredentialRevoked},
    credential::CredentialRow,
    error::AuthenticationFailure,
};

use super::{
    binding,
    error::AcmeError,
    exchange::Exchange,
    wire::{
        jwk::AccountKey,
        jws::{self, MAX_BODY, Signer, Verified},
    },
};
use crate::{
    listeners::{Peer, read_body},
    metrics,
    serving::App,
};

/// RFC 8555 §6.2.
const JOSE_JSON: &str = "application/jose+json";

/// Signed by an account that may use the method.
#[derive(Debug)]
pub(super) struct ByAccount {
    pub(super) exchange: Exchange,
    pub(super) account: AccountRow,
    pub(super) key: AccountKey,
    /// The account's URL as the client spells it.
    pub(super) kid: String,
    /// What the account is bound to, as it is now.
    pub(super) credential: Option<CredentialRow>,
    pub(super) payload: Verified,
    pub(super) headers: HeaderMap,
}

/// Signed by a key that names itself (newAccount).
#[derive(Debug)]
pub(super) struct ByKey {
    pub(super) exchange: Exchange,
    pub(super) key: AccountKey,
    pub(super) payload: Verified,
}

/// Signed by an account, or by a key that names itself (revokeCert).
#[derive(Debug)]
pub(super) enum ByEither {
    Account(Box<ByAccount>),
    Key(Box<ByKey>),
}

/// Which of the two an operation takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Account,
    Key,
    Either,
}

impl FromRequest<Arc<App>> for ByAccount {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        match signed(request, app, Wanted::Account).await? {
            ByEither::Account(signed) => Ok(*signed),
            ByEither::Key(signed) => Err(signed.exchange.answer(Err(KID_WANTED)).await),
        }
    }
}

impl FromRequest<Arc<App>> for ByKey {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        match signed(request, app, Wanted::Key).await? {
            ByEither::Key(signed) => Ok(*signed),
            ByEither::Account(signed) => Err(signed.exchange.answer(Err(JWK_WANTED)).await),
        }
    }
}

impl FromRequest<Arc<App>> for ByEither {
    type Rejection = Response;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Response> {
        signed(request, app, Wanted::Either).await
    }
}

const KID_WANTED: AcmeError =
    AcmeError::KeyForm("this is signed with a kid, the URL of the account (RFC 8555 §6.2)");
const JWK_WANTED: AcmeError = AcmeError::KeyForm("this is signed with a jwk, the key itself (RFC 8555 §6.2)");

async fn signed(request: Request, app: &Arc<App>, wanted: Wanted) -> Result<ByEither, Response> {
    let (parts, body) = request.into_parts();
    let Some(peer) = parts.extensions.get::<Peer>() else { return Err(AcmeError::Host.into_response()) };
    let begun = Exchange::begin(app, &parts.uri, &parts.headers, peer);
    let exchange = begun.map_err(IntoResponse::into_response)?;
    match authenticate(&exchange, &parts.headers, body, wanted).await {
        Ok(Signed { by: By::Account(account, kid), key, credential, payload }) => {
            let (account, headers) = (*account, parts.headers);
            let signed = ByAccount { exchange, account, key, kid, credential, payload, headers };
            Ok(ByEither::Account(Box::new(signed)))
        }
        Ok(Signed { by: By::Key, key, payload, .. }) => {
            Ok(ByEither::Key(Box::new(ByKey { exchange, key, payload })))
        }
        Err(error) => Err(exchange.answer(Err(error)).await),
    }
}

impl ByAccount {
    /// The account with what it is bound to, for whoever judges what it may do.
    pub(super) fn acting(&self) -> ActingAccount<'_> {
        acting(&self.exchange, &self.account, self.credential.as_ref())
    }
}

pub(super) fn acting<'a>(
    exchange: &Exchange,
    account: &'a AccountRow,
    credential: Option<&'a CredentialRow>,
) -> ActingAccount<'a> {
    let on_credential_revoked = match exchange.service.settings.on_credential_revoked {
        crds::OnCredentialRevoked::Stop => OnCredentialRevoked::Stop,
        crds::OnCredentialRevoked::Keep => OnCredentialRevoked::Keep,
    };
    ActingAccount { account, credential, on_credential_revoked }
}

struct Signed {
    by: By,
    key: AccountKey,
    credential: Option<CredentialRow>,
    payload: Verified,
}

enum By {
    Account(Box<AccountRow>, String),
    Key,
}

async fn authenticate(
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    wanted: Wanted,
) -> Result<Signed, AcmeError> {
    let Exchange { app, service, address, .. } = exchange;
    app.check_address(service.method.protocol, *address)?;
    check_content_type(headers)?;
    let request = jws::Request::parse(&read(app, body).await?)?;
    match (request.signer(), wanted) {
        (Signer::Jwk(_), Wanted::Account) => return Err(KID_WANTED),
        (Signer::Kid(_), Wanted::Key) => return Err(JWK_WANTED),
        (Signer::Jwk(_), Wanted::Key | Wanted::Either)
        | (Signer::Kid(_), Wanted::Account | Wanted::Either) => {}
    }
    request.check_url(&exchange.target.url).map_err(|_| AcmeError::Url)?;
    let (by, key) = match request.signer() {
        Signer::Jwk(key) => (By::Key, key.clone()),
        Signer::Kid(kid) => {
            let account = account(exchange, kid).await?;
            let key = app.acme.keys.of(&account)?;
            (By::Account(Box::new(account), kid.clone()), key)
        }
    };
    let nonce = request.nonce().to_owned();
    let payload = match request.verify(&key) {
        Ok(payload) => payload,
        Err(error) => return Err(not_verified(exchange, &by, error)),
    };
    app.acme.nonces(app).await?.redeem(&**app.engine.store(), &nonce, exchange.now).await?;
    let mut credential = None;
    if let By::Account(account, _) = &by {
        tracing::Span::current().record("requester", account.id.as_str());
        // After the signature: whoever does not hold the key learns nothing of the account.
        credential = binding::credential(exchange, account).await?;
        acting(exchange, account, credential.as_ref()).check(&service.method)?;
    }
    Ok(Signed { by, key, credential, payload })
}

async fn account(exchange: &Exchange, kid: &str) -> Result<AccountRow, AcmeError> {
    let id = exchange.urls().account_of(kid).ok_or(AcmeError::AccountDoesNotExist)?;
    let found = exchange.app.engine.store().acme_account(&id).await?;
    found.filter(|row| row.method == exchange.service.method.name).ok_or(AcmeError::AccountDoesNotExist)
}

/// A wrong signature by an account's key is somebody who guesses at accounts; by a key that names itself it is a defect of a
/// client. Both cost us a verification.
fn not_verified(exchange: &Exchange, by: &By, error: jws::JwsError) -> AcmeError {
    if let jws::JwsError::Signature = error {
        let failure = match by {
            By::Account(..) => AuthenticationFailure::Mismatch,
            By::Key => AuthenticationFailure::Unreadable,
        };
        let Exchange { app, service, address, .. } = exchange;
        app.failed_to_authenticate(
            &service.method,
            failure,
            metrics::AuthenticationFailure::Signature,
            *address,
        );
        return AcmeError::Signature;
    }
    error.into()
}

/// At most what the listener and the format allow.
async fn read(app: &App, body: Body) -> Result<bytes::Bytes, AcmeError> {
    let limits = app.limits.load();
    let (most, within) = (limits.body_bytes.min(MAX_BODY), limits.read_timeout);
    drop(limits);
    Ok(read_body(body, most, within).await?)
}

/// RFC 8555 §6.2. Parameters do not matter: none is defined.
fn check_content_type(headers: &HeaderMap) -> Result<(), AcmeError> {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case(JOSE_JSON) { Ok(()) } else { Err(AcmeError::ContentType) }
}

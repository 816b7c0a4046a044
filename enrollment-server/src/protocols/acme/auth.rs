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
    authn::{ActingAccount, Freshness, OnCredentialRevoked},
    credential::CredentialRow,
    error::AuthenticationFailure,
    store::Expect,
};

use super::{
    error::AcmeError,
    exchange::Exchange,
    known::Known,
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
    pub(super) account: Arc<AccountRow>,
    pub(super) key: AccountKey,
    /// The account's URL as the client spells it.
    pub(super) kid: String,
    /// What the account is bound to.
    pub(super) credential: Option<Arc<CredentialRow>>,
    freshness: Freshness,
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
        Ok(Signed { by: By::Account(Known { account, credential, freshness }, kid), key, payload }) => {
            let headers = parts.headers;
            let signed = ByAccount { exchange, account, key, kid, credential, freshness, payload, headers };
            Ok(ByEither::Account(Box::new(signed)))
        }
        Ok(Signed { by: By::Key, key, payload }) => {
            Ok(ByEither::Key(Box::new(ByKey { exchange, key, payload })))
        }
        Err(error) => Err(exchange.answer(Err(error)).await),
    }
}

impl ByAccount {
    /// The account with what it is bound to, for whoever judges what it may do.
    pub(super) fn acting(&self) -> ActingAccount<'_> {
        acting(&self.exchange, &self.account, self.credential.as_deref())
    }

    /// What must still be true when something is committed for the account.
    pub(super) fn expect(&self) -> Vec<Expect> {
        let (id, version) = (self.account.id.clone(), self.account.version);
        let mut expect = vec![Expect::AcmeAccountVersion { id, version }];
        expect.extend(self.credential.as_ref().map(|credential| Expect::CredentialVersion {
            id: credential.id.clone(),
            version: credential.version,
        }));
        expect
    }

    /// Reads the account anew, and judges it anew.
    ///
    /// # Errors
    /// Where it may not use the method any more.
    pub(super) async fn refresh(&mut self) -> Result<(), AcmeError> {
        let accounts = &self.exchange.app.acme.accounts;
        let known = accounts.load(&self.exchange, &self.account.id, Freshness::Fresh).await?;
        Known { account: self.account, credential: self.credential, freshness: self.freshness } = known;
        if self.account.thumbprint != *self.key.thumbprint() {
            return Err(OTHER_KEY);
        }
        self.acting().check(&self.exchange.service.method)?;
        Ok(())
    }

    /// As [`ByAccount::refresh`], unless the account was read for this request.
    ///
    /// # Errors
    /// As [`ByAccount::refresh`].
    pub(super) async fn refresh_cached(&mut self) -> Result<(), AcmeError> {
        match self.freshness {
            Freshness::Cached => self.refresh().await,
            Freshness::Fresh => Ok(()),
        }
    }
}

/// The old key signed, and is the account's no more.
pub(super) const OTHER_KEY: AcmeError = AcmeError::Unauthorized("the account has another key by now");

pub(super) fn acting<'a>(
    exchange: &Exchange,
    account: &'a AccountRow,
    credential: Option<&'a CredentialRow>,
) -> ActingAccount<'a> {
    let on_credential_revoked = match exchange.service.settings.on_credential_revoked {
        crds::OnCredentialRevoked::Stop => OnCredentialRevoked::Stop,
        crds::OnCredentialRevoked::Keep => OnCredentialRevoked::Keep,
    };
    ActingAccount { account, credential, on_credential_revoked, now: exchange.now }
}

struct Signed {
    by: By,
    key: AccountKey,
    payload: Verified,
}

enum By {
    Account(Known, String),
    Key,
}

async fn authenticate(
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    wanted: Wanted,
) -> Result<Signed, AcmeError> {
    let app = &exchange.app;
    check_content_type(headers)?;
    let body = read(app, body).await?;
    let request = jws::Request::parse(&body)?;
    match (request.signer(), wanted) {
        (Signer::Jwk(_), Wanted::Account) => return Err(KID_WANTED),
        (Signer::Kid(_), Wanted::Key) => return Err(JWK_WANTED),
        (Signer::Jwk(_), Wanted::Key | Wanted::Either)
        | (Signer::Kid(_), Wanted::Account | Wanted::Either) => {}
    }
    request.check_url(&exchange.target.url).map_err(|_| AcmeError::Url)?;
    let nonce = request.nonce().to_owned();
    let signed = match request.signer().clone() {
        Signer::Jwk(key) => {
            let payload = request.verify(&key).map_err(|error| not_verified(exchange, &By::Key, error))?;
            Signed { by: By::Key, key, payload }
        }
        Signer::Kid(kid) => by_account(exchange, request, kid, &body).await?,
    };
    app.acme.nonces(app).await?.redeem(&**app.engine.store(), &nonce, exchange.now).await?;
    match signed.by {
        By::Key => Ok(signed),
        By::Account(known, kid) => {
            tracing::Span::current().record("requester", known.account.id.as_str());
            // After the signature: whoever does not hold the key learns nothing of the account.
            let by = By::Account(check(exchange, known).await?, kid);
            Ok(Signed { by, ..signed })
        }
    }
}

async fn by_account(
    exchange: &Exchange,
    request: jws::Request,
    kid: String,
    body: &[u8],
) -> Result<Signed, AcmeError> {
    let shared = &exchange.app.acme;
    let id =
        exchange.urls().account_of(&kid, &exchange.service.hosts).ok_or(AcmeError::AccountDoesNotExist)?;
    let mut known = shared.accounts.load(exchange, &id, Freshness::Cached).await?;
    let mut key = shared.keys.of(&known.account)?;
    let mut verified = request.verify(&key);
    if verified.is_err() && known.freshness == Freshness::Cached {
        // Another replica may have given the account another key.
        known = shared.accounts.load(exchange, &id, Freshness::Fresh).await?;
        let current = shared.keys.of(&known.account)?;
        if current != key {
            key = current;
            verified = jws::Request::parse(body)?.verify(&key);
        }
    }
    let by = By::Account(known, kid);
    match verified {
        Ok(payload) => Ok(Signed { by, key, payload }),
        Err(error) => Err(not_verified(exchange, &by, error)),
    }
}

/// Whether the account may do anything here; what rows of before say no to, those of now may allow.
async fn check(exchange: &Exchange, known: Known) -> Result<Known, AcmeError> {
    let method = &exchange.service.method;
    let judge = |known: &Known| acting(exchange, &known.account, known.credential.as_deref()).check(method);
    match (judge(&known), known.freshness) {
        (Ok(()), _) => Ok(known),
        (Err(_), Freshness::Cached) => {
            let accounts = &exchange.app.acme.accounts;
            let fresh = accounts.load(exchange, &known.account.id, Freshness::Fresh).await?;
            judge(&fresh)?;
            Ok(fresh)
        }
        (Err(refusal), Freshness::Fresh) => Err(refusal.into()),
    }
}

/// A wrong signature by an account's key is somebody who guesses at accounts; by a key that names itself it is a defect of a
/// client. Nobody finds a private key by trying, so that neither keeps others behind the address out.
fn not_verified(exchange: &Exchange, by: &By, error: jws::JwsError) -> AcmeError {
    if let jws::JwsError::Signature = error {
        let failure = match by {
            By::Account(..) => AuthenticationFailure::Mismatch,
            By::Key => AuthenticationFailure::Unreadable,
        };
        let Exchange { app, service, address, .. } = exchange;
        app.note_failed_authentication(
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

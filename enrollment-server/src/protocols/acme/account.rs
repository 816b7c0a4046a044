//! Accounts (RFC 8555 §7.1.2, §7.3): made, found, changed, deactivated, and the list of their orders.

use std::time::Instant;

use axum::response::Response;
use crds::ExternalAccountBinding;
use http::{HeaderValue, StatusCode, header::LINK, header::LOCATION};
use issuance::{
    Error,
    acme::{AccountRow, AccountStatus, OrderStatus},
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::{AcmeRefusal, Freshness},
    identity::AcmeAccountId,
    ports::random,
    store::{Commit, Conflict, Cursor, Expect, Page, Write},
};

use super::{
    auth::{ByAccount, ByKey, acting},
    binding::{self, Bound},
    error::AcmeError,
    exchange::{Exchange, header_value, json, link},
    wire::{
        jws,
        objects::{AccountObject, AccountUpdate, NewAccount, OrdersList},
    },
};

/// Orders on one page of the list.
const PAGE: usize = 100;

/// How often a change is tried again where somebody else changes the same row.
pub(super) const ATTEMPTS: usize = 3;

/// RFC 8555 §7.3, §7.3.1.
pub(super) async fn new_account(request: &ByKey) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let asked = NewAccount::parse(&request.payload.object()?)?;
    let settings = &exchange.service.settings;
    if let Some(existing) = existing(request).await? {
        return match (&asked.binding, settings.external_account_binding) {
            (Some(binding), ExternalAccountBinding::Required | ExternalAccountBinding::Optional) => {
                bind_again(request, existing, binding).await
            }
            (Some(_), ExternalAccountBinding::Disabled) | (None, _) => found(exchange, &existing),
        };
    }
    if asked.only_return_existing {
        return Err(AcmeError::AccountDoesNotExist);
    }
    if let (Some(url), false) = (&settings.meta.terms_of_service, asked.terms_agreed) {
        return Err(AcmeError::Terms { url: url.clone() });
    }
    match (&asked.binding, settings.external_account_binding) {
        (Some(_), ExternalAccountBinding::Required | ExternalAccountBinding::Optional) => {}
        (Some(_), ExternalAccountBinding::Disabled) => {
            return Err(AcmeError::Malformed("accounts are not bound to external accounts here".into()));
        }
        (None, ExternalAccountBinding::Required) => return Err(AcmeError::ExternalAccountRequired),
        (None, ExternalAccountBinding::Optional | ExternalAccountBinding::Disabled) => {
            let counted = exchange.app.acme.limits.new_account(exchange.address, Instant::now());
            counted.map_err(|wait| AcmeError::RateLimited { what: "new accounts of this address", wait })?;
        }
    }
    create(request, asked).await
}

/// The account that has this key.
async fn existing(request: &ByKey) -> Result<Option<AccountRow>, AcmeError> {
    let exchange = &request.exchange;
    let method = &exchange.service.method.name;
    Ok(exchange.app.engine.store().acme_account_by_key(method, request.key.thumbprint()).await?)
}

/// RFC 8555 §7.3.1.
fn found(exchange: &Exchange, account: &AccountRow) -> Result<Response, AcmeError> {
    account.check_valid()?;
    tracing::Span::current().record("requester", account.id.as_str());
    shown(exchange, account, StatusCode::OK)
}

async fn create(request: &ByKey, asked: NewAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let id = AcmeAccountId::from_random(random()?);
    for _ in 0..ATTEMPTS {
        let bound = match &asked.binding {
            Some(binding) => Some(binding::bind(exchange, &request.key, binding).await?),
            None => None,
        };
        if let Some(bound) = &bound {
            let counted = exchange.app.acme.limits.new_account_by(&bound.binding.credential, Instant::now());
            counted
                .map_err(|wait| AcmeError::RateLimited { what: "new accounts of this credential", wait })?;
        }
        let account = new_row(request, id.clone(), &asked, bound.as_ref());
        let mut commit = Commit {
            expect: vec![Expect::AcmeAccountVersion { id: id.clone(), version: 0 }],
            writes: vec![Write::PutAcmeAccount(Box::new(account.clone()))],
            audit: vec![event(exchange, Action::AccountCreated, &account)],
        };
        if let Some(bound) = bound {
            commit.expect.push(bound.expect);
            commit.writes.push(bound.write);
        }
        match exchange.app.engine.store().commit(commit).await? {
            Ok(_) => {
                exchange.app.acme.keys.insert(request.key.clone());
                tracing::Span::current().record("requester", id.as_str());
                return shown(exchange, &account, StatusCode::CREATED);
            }
            // The same client twice at once: one was first.
            Err(Conflict::AcmeAccountExists) => {
                let existing = existing(request).await?;
                let gone = || Error::Conflict("the account was made and is gone".into());
                return found(exchange, &existing.ok_or_else(gone)?);
            }
            // Changed since it was read: in what it may do, or not.
            Err(Conflict::Expectation(expect)) if matches!(*expect, Expect::CredentialUsable { .. }) => {}
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the credential changes all the time".into()).into())
}

/// Whether the binding is to the same credential, by another value.
fn is_renewed(account: &AccountRow, bound: &Bound) -> bool {
    account.binding.as_ref().is_some_and(|binding| {
        binding.credential == bound.binding.credential && binding.fingerprint != bound.binding.fingerprint
    })
}

fn new_row(request: &ByKey, id: AcmeAccountId, asked: &NewAccount, bound: Option<&Bound>) -> AccountRow {
    AccountRow {
        id,
        version: 1,
        method: request.exchange.service.method.name.clone(),
        status: AccountStatus::Valid,
        jwk: request.key.canonical().to_owned(),
        thumbprint: *request.key.thumbprint(),
        contacts: asked.contact.clone(),
        terms_agreed: asked.terms_agreed,
        owner: bound.and_then(|bound| bound.owner.clone()),
        binding: bound.map(|bound| bound.binding.clone()),
        created_at: request.exchange.now,
    }
}

/// An account whose external account is revoked or regenerated may do nothing any more, and its key makes no other account:
/// whoever holds both that key and a good binding goes on with it. One that is bound by the value before a rotation goes over to the
/// present one while it can go on. To an account that needs no other binding, none is made.
async fn bind_again(
    request: &ByKey,
    account: AccountRow,
    binding: &jws::Binding,
) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let accounts = &exchange.app.acme.accounts;
    for _ in 0..ATTEMPTS {
        let known = accounts.load(exchange, &account.id, Freshness::Fresh).await?;
        let acting = acting(exchange, &known.account, known.credential.as_deref());
        let judged = acting.check(&exchange.service.method);
        let is_cut_off = matches!(judged, Err(AcmeRefusal::Credential));
        let goes_over = judged.is_ok() && acting.is_bound_by_previous();
        if !(is_cut_off || goes_over) || known.account.thumbprint != account.thumbprint {
            return found(exchange, &known.account);
        }
        let bound = match binding::bind(exchange, &request.key, binding).await {
            Ok(bound) if goes_over && !is_renewed(&known.account, &bound) => {
                return found(exchange, &known.account);
            }
            Err(AcmeError::ExternalAccount(_)) if goes_over => return found(exchange, &known.account),
            other => other?,
        };
        let mut account = AccountRow::clone(&known.account);
        let (id, version) = (account.id.clone(), account.version);
        account.bind(bound.binding, bound.owner)?;
        let event = event(exchange, Action::AccountChanged, &account);
        let commit = Commit {
            expect: vec![Expect::AcmeAccountVersion { id: id.clone(), version }, bound.expect],
            writes: vec![Write::PutAcmeAccount(Box::new(account.clone())), bound.write],
            audit: vec![event.because("bound to another external account")],
        };
        match exchange.app.engine.store().commit(commit).await? {
            Ok(_) => {
                accounts.forget(&id);
                return found(exchange, &account);
            }
            Err(Conflict::Expectation(_)) => {}
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the account changes all the time".into()).into())
}

/// RFC 8555 §7.3.2, §7.3.6.
pub(super) async fn account(request: &ByAccount) -> Result<Response, AcmeError> {
    check_own(request)?;
    let exchange = &request.exchange;
    if request.payload.is_empty() {
        return shown(exchange, &request.account, StatusCode::OK);
    }
    let update = AccountUpdate::parse(&request.payload.object()?)?;
    let changed = change(request, |account| {
        if update.deactivate {
            account.deactivate()?;
            return Ok(Some(Action::AccountDeactivated));
        }
        let same = update.contact.as_ref().is_none_or(|contact| *contact == account.contacts);
        if same && (account.terms_agreed || !update.terms_agreed) {
            return Ok(None);
        }
        account.update(update.contact.clone(), update.terms_agreed)?;
        Ok(Some(Action::AccountChanged))
    });
    let account = changed.await?;
    shown(exchange, &account, StatusCode::OK)
}

/// Changes the account, from what it is at the moment; an action of none is no change.
pub(super) async fn change(
    request: &ByAccount,
    change: impl Fn(&mut AccountRow) -> Result<Option<Action>, AcmeError>,
) -> Result<AccountRow, AcmeError> {
    let exchange = &request.exchange;
    let store = exchange.app.engine.store();
    let mut account = AccountRow::clone(&request.account);
    for _ in 0..ATTEMPTS {
        let (id, version) = (account.id.clone(), account.version);
        let Some(action) = change(&mut account)? else { return Ok(account) };
        let commit = Commit {
            expect: vec![Expect::AcmeAccountVersion { id: id.clone(), version }],
            writes: vec![Write::PutAcmeAccount(Box::new(account.clone()))],
            audit: vec![event(exchange, action, &account)],
        };
        match store.commit(commit).await? {
            Ok(_) => {
                exchange.app.acme.accounts.forget(&id);
                return Ok(account);
            }
            Err(Conflict::AcmeAccountExists) => {
                let method = &exchange.service.method.name;
                let other = store.acme_account_by_key(method, &account.thumbprint).await?;
                let other = other.ok_or_else(|| Error::Conflict("the other account is gone".into()))?;
                return Err(AcmeError::KeyInUse { account: exchange.urls().account(&other.id) });
            }
            Err(Conflict::Expectation(_)) => {
                account = store.acme_account(&id).await?.ok_or(AcmeError::AccountDoesNotExist)?;
            }
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the account changes all the time".into()).into())
}

/// RFC 8555 §7.1.2.1: what came to nothing is left out.
pub(super) async fn orders(request: &ByAccount) -> Result<Response, AcmeError> {
    check_own(request)?;
    request.payload.post_as_get()?;
    let exchange = &request.exchange;
    let after = match exchange.target.query("cursor") {
        Some(cursor) => Some(Cursor(cursor.parse().map_err(|_| AcmeError::NotFound("page"))?)),
        None => None,
    };
    let page = Page { after, limit: PAGE };
    let rows = exchange.app.engine.store().acme_orders_of(&request.account.id, &page).await?;
    let shown = rows.iter().filter(|(_, order)| order.status(exchange.now) != OrderStatus::Invalid);
    let list = OrdersList { orders: shown.map(|(_, order)| exchange.urls().order(&order.id)).collect() };
    let mut response = json(StatusCode::OK, &list)?;
    if let (Some((last, _)), true) = (rows.last(), rows.len() == PAGE) {
        let next = format!("{}?cursor={}", exchange.urls().orders(&request.account.id), last.0);
        response.headers_mut().append(LINK, link(&next, "next")?);
    }
    Ok(response)
}

/// Whether the URL is the one of the account that signed.
fn check_own(request: &ByAccount) -> Result<(), AcmeError> {
    let id: AcmeAccountId = request.exchange.part(1, "account")?;
    if id == request.account.id {
        Ok(())
    } else {
        Err(AcmeError::Unauthorized("the request is signed by another account"))
    }
}

pub(super) fn shown(
    exchange: &Exchange,
    account: &AccountRow,
    status: StatusCode,
) -> Result<Response, AcmeError> {
    let object = AccountObject {
        status: account.status,
        contact: &account.contacts,
        terms_of_service_agreed: account.terms_agreed,
        external_account_binding: account.binding.as_ref().map(|binding| binding.jws.as_str()),
        orders: exchange.urls().orders(&account.id),
    };
    let mut response = json(status, &object)?;
    let location: HeaderValue = header_value(&exchange.urls().account(&account.id))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// What an account did, for the audit trail.
pub(super) fn event(exchange: &Exchange, action: Action, account: &AccountRow) -> AuditEvent {
    let actor = Actor::Requester {
        protocol: exchange.service.method.protocol,
        name: account.requester(),
        address: Some(exchange.address.to_string()),
        credential: account.binding.as_ref().map(|binding| binding.credential.clone()),
    };
    let mut event = AuditEvent::new(exchange.now, action, AuditOutcome::Done, actor);
    event.method = Some(account.method.clone());
    event.credential = account.binding.as_ref().map(|binding| binding.credential.clone());
    event
}

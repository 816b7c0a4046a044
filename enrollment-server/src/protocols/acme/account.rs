//! Accounts (RFC 8555 §7.1.2, §7.3): made, found, changed, deactivated, and the list of their orders.

use std::time::Instant;

use axum::response::Response;
use crds::ExternalAccountBinding;
use http::{HeaderValue, StatusCode, header::LINK, header::LOCATION};
use issuance::{
    Error,
    acme::{AccountRow, AccountStatus, OrderStatus},
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    error::AuthenticationFailure,
    identity::AcmeAccountId,
    ports::random,
    store::{Commit, Conflict, Cursor, Expect, Page, Write},
};

use super::{
    auth::{ByAccount, ByKey},
    binding::{self, Bound},
    error::AcmeError,
    exchange::{Exchange, header_value, json, link},
    wire::objects::{AccountObject, AccountUpdate, NewAccount, OrdersList},
};

/// Orders on one page of the list.
const PAGE: usize = 100;

/// How often a change is tried again where somebody else changes the same row.
pub(super) const ATTEMPTS: usize = 3;

/// RFC 8555 §7.3, §7.3.1.
pub(super) async fn new_account(request: &ByKey) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let asked = NewAccount::parse(&request.payload.object()?)?;
    if let Some(existing) = existing(request).await? {
        return found(exchange, &existing);
    }
    if asked.only_return_existing {
        return Err(AcmeError::AccountDoesNotExist);
    }
    let settings = &exchange.service.settings;
    if let (Some(url), false) = (&settings.meta.terms_of_service, asked.terms_agreed) {
        return Err(AcmeError::Terms { url: url.clone() });
    }
    let bound = match (&asked.binding, settings.external_account_binding) {
        (Some(binding), ExternalAccountBinding::Required | ExternalAccountBinding::Optional) => {
            Some(binding::bind(exchange, &request.key, binding).await?)
        }
        (Some(_), ExternalAccountBinding::Disabled) => {
            return Err(AcmeError::Malformed("accounts are not bound to external accounts here".into()));
        }
        (None, ExternalAccountBinding::Required) => return Err(AcmeError::ExternalAccountRequired),
        (None, ExternalAccountBinding::Optional | ExternalAccountBinding::Disabled) => {
            let counted = exchange.app.acme.limits.new_account(exchange.address, Instant::now());
            counted.map_err(|wait| AcmeError::RateLimited { what: "new accounts of this address", wait })?;
            None
        }
    };
    create(request, asked, bound).await
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

async fn create(request: &ByKey, asked: NewAccount, bound: Option<Bound>) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let id = AcmeAccountId::from_random(random()?);
    let account = AccountRow {
        id: id.clone(),
        version: 1,
        method: exchange.service.method.name.clone(),
        status: AccountStatus::Valid,
        jwk: request.key.canonical().to_owned(),
        thumbprint: *request.key.thumbprint(),
        contacts: asked.contact,
        terms_agreed: asked.terms_agreed,
        owner: bound.as_ref().and_then(|bound| bound.owner.clone()),
        binding: bound.as_ref().map(|bound| bound.binding.clone()),
        created_at: exchange.now,
    };
    let mut commit = Commit {
        expect: vec![Expect::AcmeAccountVersion { id: id.clone(), version: 0 }],
        writes: vec![Write::PutAcmeAccount(Box::new(account.clone()))],
        audit: vec![event(exchange, Action::AccountCreated, &account)],
    };
    if let Some(bound) = &bound {
        commit.expect.push(bound.expect.clone());
        commit.writes.push(bound.write.clone());
    }
    match exchange.app.engine.store().commit(commit).await? {
        Ok(_) => {
            exchange.app.acme.keys.insert(request.key.clone());
            tracing::Span::current().record("requester", id.as_str());
            shown(exchange, &account, StatusCode::CREATED)
        }
        // The same client twice at once: one was first.
        Err(Conflict::AcmeAccountExists) => match existing(request).await? {
            Some(existing) => found(exchange, &existing),
            None => Err(Error::Conflict("the account was made and is gone".into()).into()),
        },
        // Revoked, regenerated or used up since it was read.
        Err(Conflict::Expectation(expect)) if matches!(*expect, Expect::CredentialUsable { .. }) => {
            Err(binding::refused(exchange, AuthenticationFailure::UsedUp))
        }
        Err(other) => Err(Error::Conflict(other.to_string()).into()),
    }
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
    };
    let mut event = AuditEvent::new(exchange.now, action, AuditOutcome::Done, actor);
    event.method = Some(account.method.clone());
    event.credential = account.binding.as_ref().map(|binding| binding.credential.clone());
    event
}

//! Orders (RFC 8555 §7.4): what names a certificate is to have, and what stands between the account and that certificate.

use std::time::{Duration, Instant};

use axum::response::Response;
use crds::PreAuthorizedNames;
use http::{HeaderValue, StatusCode, header::LOCATION, header::RETRY_AFTER};
use issuance::{
    Error,
    acme::{
        Authorization, Challenge, ChallengeType, OrderRow, OrderState, OrderStatus, general_name,
        identifier_text,
    },
    authority::Method,
    identity::{AcmeOrderId, KeyId},
    policy::Request,
    ports::random,
    profile::permits_name,
    store::{CertificateRow, Commit, Conflict, Expect, Write},
};
use pki::{serial::SerialNumber, time::Time};

use super::{
    auth::ByAccount,
    error::{AcmeError, refusal_type},
    exchange::{Exchange, header_value, json},
    finalize, renewal,
    wire::{
        ari::CertId,
        base64url,
        identifier::IdentifierObject,
        objects::{AskedIdentifier, NewOrder, OrderObject},
        problem::{Problem, ProblemType, Subproblem},
    },
};

/// How long an order that ended is still shown.
pub(super) const SHOWN_AFTER_END: Duration = Duration::from_secs(24 * 3600);

/// Octets of a token; RFC 8555 §8.1 wants 16 at least.
const TOKEN: usize = 24;

/// RFC 8555 §7.4.
pub(super) async fn new_order(request: &ByAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let asked = NewOrder::parse(&request.payload.object()?)?;
    let limits = &exchange.app.acme.limits;
    match &request.account.binding {
        Some(binding) => {
            let counted = limits.new_order_by(&binding.credential, Instant::now());
            counted.map_err(|wait| AcmeError::RateLimited { what: "new orders of this credential", wait })?;
        }
        None => {
            let counted = limits.new_order(&request.account.id, Instant::now());
            counted.map_err(|wait| AcmeError::RateLimited { what: "new orders of this account", wait })?;
        }
    }
    let method = exchange.service.with_profile(asked.profile.as_deref());
    let method =
        method.ok_or_else(|| AcmeError::UnknownProfile(asked.profile.clone().unwrap_or_default()))?;
    check_dates(exchange, method, &asked)?;
    method.check_strength(request.acting().strength())?;
    let authorizations = authorizations(request, method, &asked.identifiers)?;
    let replaced = match &asked.replaces {
        Some(named) => Some(replaced(request, named, &authorizations).await?),
        None => None,
    };
    let lifetime = exchange.service.settings.order_lifetime;
    let expires_at = later(exchange.now, lifetime);
    let order = OrderRow {
        id: AcmeOrderId::from_random(random()?),
        version: 1,
        account: request.account.id.clone(),
        method: exchange.service.method.name.clone(),
        created_at: exchange.now,
        expires_at,
        keep_until: later(expires_at, SHOWN_AFTER_END),
        not_before: asked.not_before,
        not_after: asked.not_after,
        profile: asked.profile,
        replaces: replaced.as_ref().map(|replaced| replaced.certificate),
        authorizations,
        state: OrderState::Open,
    };
    record(request, &order, replaced.map(|replaced| replaced.expect)).await?;
    shown(exchange, &order, StatusCode::CREATED)
}

/// # Errors
/// [`Error::Stale`] where account or credential are not any more what the order was judged by; [`AcmeError::AlreadyReplaced`]
/// where another order was first.
async fn record(request: &ByAccount, order: &OrderRow, replaces: Option<Expect>) -> Result<(), AcmeError> {
    let mut expect = request.expect();
    expect.extend(replaces);
    expect.push(Expect::AcmeOrderVersion { id: order.id.clone(), version: 0 });
    let writes = vec![Write::PutAcmeOrder(Box::new(order.clone()))];
    let commit = Commit { expect, writes, audit: Vec::new() };
    match request.exchange.app.engine.store().commit(commit).await? {
        Ok(_) => Ok(()),
        Err(Conflict::Expectation(expect)) if matches!(*expect, Expect::AcmeReplacing { .. }) => {
            Err(AcmeError::AlreadyReplaced)
        }
        Err(Conflict::Expectation(_)) => Err(Error::Stale.into()),
        Err(other) => Err(Error::Conflict(other.to_string()).into()),
    }
}

/// RFC 8555 §7.4: an error where the request could not be fulfilled as it is. What the profile says of lengths, it says when
/// the certificate is asked for.
fn check_dates(exchange: &Exchange, method: &Method, asked: &NewOrder) -> Result<(), AcmeError> {
    if asked.not_before.is_none() && asked.not_after.is_none() {
        return Ok(());
    }
    let policy = &method.profile.policy;
    if policy.validity.request == Request::Ignore {
        let sentence =
            format!("{} says how long a certificate is good; leave out notBefore and notAfter", policy.name);
        return Err(AcmeError::Malformed(sentence));
    }
    let from = asked.not_before.unwrap_or(exchange.now);
    if asked.not_after.is_some_and(|until| until <= from || until <= exchange.now) {
        return Err(AcmeError::Malformed("notAfter lies before notBefore, or in the past".into()));
    }
    Ok(())
}

/// One for each name, or everything that is wrong with them.
fn authorizations(
    request: &ByAccount,
    method: &Method,
    asked: &[AskedIdentifier],
) -> Result<Vec<Authorization>, AcmeError> {
    let settings = &request.exchange.service.settings;
    let most = usize::from(settings.maximum_identifiers.min(method.profile.policy.subject_alt_names.maximum));
    if asked.len() > most {
        let sentence = format!("an order has at most {most} names here; {} were asked for", asked.len());
        return Err(AcmeError::Malformed(sentence));
    }
    let (mut authorizations, mut refused) = (Vec::with_capacity(asked.len()), Vec::new());
    for name in asked {
        match authorization(request, method, name) {
            Ok(authorization) => authorizations.push(authorization),
            Err(Refused::Name(kind, detail)) => {
                let identifier = Some(IdentifierObject::of(&name.identifier, name.wildcard));
                refused.push(Subproblem { kind, detail, identifier });
            }
            Err(Refused::Other(error)) => return Err(error.into()),
        }
    }
    if refused.is_empty() { Ok(authorizations) } else { Err(AcmeError::Identifiers(refused)) }
}

enum Refused {
    Name(ProblemType, String),
    Other(Error),
}

fn authorization(
    request: &ByAccount,
    method: &Method,
    name: &AskedIdentifier,
) -> Result<Authorization, Refused> {
    let rejected = |detail: String| Refused::Name(ProblemType::RejectedIdentifier, detail);
    let (identifier, wildcard) = (&name.identifier, name.wildcard);
    let acting = request.acting();
    acting.check_name(identifier, wildcard).map_err(|refusal| rejected(refusal.to_string()))?;
    permits_name(&method.profile, &general_name(identifier, wildcard))
        .map_err(|refusal| Refused::Name(refusal_type(&refusal), refusal.sentence().to_owned()))?;
    let (settings, now) = (&request.exchange.service.settings, request.exchange.now);
    if settings.pre_authorized_names == PreAuthorizedNames::Enabled
        && acting.is_preauthorized(identifier, wildcard)
    {
        let expires_at = later(now, settings.authorization_lifetime);
        return Ok(Authorization::preauthorized(identifier.clone(), wildcard, expires_at, now));
    }
    let offered = settings.challenges.iter().copied();
    let fitting: Vec<ChallengeType> = offered.filter(|kind| kind.fits(identifier, wildcard)).collect();
    if fitting.is_empty() {
        let name = identifier_text(identifier, wildcard);
        return Err(rejected(format!("no challenge is offered here that proves control of {name}")));
    }
    let challenge = |kind| Ok(Challenge::new(kind, base64url::encode(random::<TOKEN>()?)));
    let challenges = fitting.into_iter().map(challenge).collect::<Result<_, _>>().map_err(Refused::Other)?;
    // Once it is proved, it lasts as long as the method says from then.
    let expires_at = later(now, settings.order_lifetime);
    Ok(Authorization::pending(identifier.clone(), wildcard, expires_at, challenges))
}

/// A certificate that may be replaced.
struct Replaced {
    certificate: (KeyId, SerialNumber),
    /// What it was judged by: the order that replaces it now, which came to nothing, or none.
    expect: Expect,
}

/// RFC 9773 §5: of the same account, with a name in common, and not replaced by another order.
async fn replaced(
    request: &ByAccount,
    named: &CertId,
    authorizations: &[Authorization],
) -> Result<Replaced, AcmeError> {
    let exchange = &request.exchange;
    let row = renewal::find(exchange, named).await?;
    let row = row.filter(|row| row.requester == request.account.requester());
    let row = row.ok_or_else(|| AcmeError::Malformed("replaces: no certificate of this account".into()))?;
    if !authorizations.iter().any(|authorization| holds(&row, authorization)) {
        return Err(AcmeError::Malformed(
            "replaces: the certificate has none of the names of this order".into(),
        ));
    }
    let method = &exchange.service.method.name;
    let other = exchange.app.engine.store().acme_order_replacing(method, row.issuer, &row.serial).await?;
    if other.as_ref().is_some_and(|order| order.status(exchange.now) != OrderStatus::Invalid) {
        return Err(AcmeError::AlreadyReplaced);
    }
    let (method, by) = (method.clone(), other.map(|order| order.id));
    let expect = Expect::AcmeReplacing { method, issuer: row.issuer, serial: row.serial, by };
    Ok(Replaced { certificate: (row.issuer, row.serial), expect })
}

fn holds(row: &CertificateRow, authorization: &Authorization) -> bool {
    let name = general_name(&authorization.identifier, authorization.wildcard).to_string();
    row.subject_alt_names.iter().any(|held| held.eq_ignore_ascii_case(&name))
}

/// RFC 8555 §7.4: an order as it is now. One that waits for somebody looks whether there was a decision.
pub(super) async fn order(request: &ByAccount) -> Result<Response, AcmeError> {
    request.payload.post_as_get()?;
    let order = load(request).await?;
    match &order.state {
        OrderState::Processing { .. } => finalize::resume(request, order).await,
        OrderState::Open | OrderState::Valid { .. } | OrderState::Invalid { .. } => {
            shown(&request.exchange, &order, StatusCode::OK)
        }
    }
}

/// The order that the URL names, of the account that signed.
pub(super) async fn load(request: &ByAccount) -> Result<OrderRow, AcmeError> {
    let id: AcmeOrderId = request.exchange.part(1, "order")?;
    reload(request, &id).await
}

pub(super) async fn reload(request: &ByAccount, id: &AcmeOrderId) -> Result<OrderRow, AcmeError> {
    let exchange = &request.exchange;
    let order = exchange.app.engine.store().acme_order(id).await?;
    let order = order.filter(|order| order.method == exchange.service.method.name);
    let order = order.ok_or(AcmeError::NotFound("order"))?;
    if order.account == request.account.id {
        Ok(order)
    } else {
        Err(AcmeError::Unauthorized("the order is of another account"))
    }
}

pub(super) fn shown(
    exchange: &Exchange,
    order: &OrderRow,
    status: StatusCode,
) -> Result<Response, AcmeError> {
    let (urls, now) = (exchange.urls(), exchange.now);
    let order_status = order.status(now);
    let places = 0..order.authorizations.len();
    let object = OrderObject {
        status: order_status,
        expires: Some(order.expires_at),
        identifiers: order
            .authorizations
            .iter()
            .map(|one| IdentifierObject::of(&one.identifier, one.wildcard))
            .collect(),
        profile: order.profile.as_deref(),
        not_before: order.not_before,
        not_after: order.not_after,
        replaces: order
            .replaces
            .map(|(issuer, serial)| renewal::name(&exchange.serving.office, issuer, serial).to_string()),
        error: error(order, order_status, now),
        authorizations: places.map(|place| urls.authorization(&order.id, place)).collect(),
        finalize: urls.finalize(&order.id),
        certificate: order.certificate().map(|(issuer, serial)| urls.certificate(issuer, &serial)),
    };
    let mut response = json(status, &object)?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, header_value(&urls.order(&order.id))?);
    if order_status == OrderStatus::Processing {
        let method = exchange.service.with_profile(order.profile.as_deref());
        let wait = method.unwrap_or(&exchange.service.method).retry_after;
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
    }
    Ok(response)
}

/// Why it is invalid: as recorded, or because its time is over.
fn error(order: &OrderRow, status: OrderStatus, now: Time) -> Option<Problem> {
    match (order.error(), status) {
        (Some(stored), _) => Some(stored.into()),
        (None, OrderStatus::Invalid) if order.expires_at <= now => {
            Some(Problem::new(ProblemType::Malformed, "the order has expired"))
        }
        (None, OrderStatus::Invalid) => Some(Problem::new(
            ProblemType::Unauthorized,
            "an authorization of the order is not valid any more",
        )),
        (None, OrderStatus::Pending | OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Valid) => {
            None
        }
    }
}

pub(super) fn later(time: Time, duration: Duration) -> Time {
    time.plus_seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

//! Proof of control over the names of an order, where its profile asks for that: by the challenges of ACME, validated by the same
//! code (`protocols/acme/validation`).

use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use issuance::{
    Error, Refusal, Rule,
    acme::{
        Authorization, AuthorizationError, Challenge, ChallengeType, general_name, identifier_of,
        identifier_text,
    },
    authority::Method,
    engine::Companion as _,
    policy::ProofOfControl,
    ports::random,
    profile::names_to_prove,
    request::Asked,
    rest::{OrderCompletion, OrderRow, Proof, TransitionError, requester_thumbprint},
    store::{Commit, Conflict, Expect, Write},
};
use pki::{general_name::GeneralName, name::Name, time::Time};
use tokio::time::timeout;

use super::{
    super::{auth::Caller, error::RestError, service::DomainValidation},
    issue::{Ended, Material, asked, authenticated, issue, load, product, refuse},
};
use crate::protocols::acme::validation::{
    COMMITS, Claimant, Forbidden, Ordered, Planned, Planning, Prover, caa_again,
};

/// How long the answer waits for a validation.
const PATIENCE: Duration = Duration::from_millis(250);

/// Octets of a token; RFC 8555 §8.1 wants 16 at least.
const TOKEN: usize = 24;

/// What CAA records name a requester by (RFC 8657 §3), before its thumbprint.
const ACCOUNTS: &str = "https://chancery.dev/rest/accounts/";

/// What CAA records may name whoever ordered by.
pub(super) fn account_uri(order: &OrderRow) -> String {
    format!("{ACCOUNTS}{}", requester_thumbprint(&order.requester))
}

/// Gives an order without a request the authorizations of its own names.
///
/// # Errors
/// [`RestError::Core`] with the refusal where there is no way to prove one.
pub(super) async fn require_proof(
    caller: &Caller,
    method: &Method,
    order: &mut OrderRow,
    names: &[GeneralName],
) -> Result<(), RestError> {
    match method.profile.policy.proof_of_control {
        ProofOfControl::NotRequired => Ok(()),
        ProofOfControl::Required => authorize(caller, method, order, names, &Name::empty()).await,
    }
}

/// From an order with its request to a certificate, where all names are proved, or none is to be; otherwise it is recorded, and
/// waits for that.
///
/// # Errors
/// As [`issue`], and [`RestError::Conflict`] where a proof is not good any more.
pub(super) async fn advance(
    caller: &Caller,
    order: OrderRow,
    material: &Material,
) -> Result<Ended, RestError> {
    let (id, is_new) = (order.id.clone(), order.version == 0);
    let mut order = order;
    for _ in 0..COMMITS {
        match try_to_advance(caller, order, material).await {
            // Names may be proved meanwhile.
            Err(RestError::Core(Error::Stale)) if !is_new => order = load(caller, &id).await?,
            other => return other,
        }
    }
    Err(Error::Stale.into())
}

async fn try_to_advance(caller: &Caller, order: OrderRow, material: &Material) -> Result<Ended, RestError> {
    let mut order = order;
    let method = product(caller, &order)?;
    let asked = asked(&order, material)?;
    let names = match names_to_prove(&method.profile, &asked, caller.ask.now) {
        Ok(names) => names,
        Err(refusal) => return Err(refuse(caller, &method, &asked.subject, refusal).await),
    };
    if order.authorizations.is_empty() {
        authorize(caller, &method, &mut order, &names, &asked.subject).await?;
    }
    if names.is_empty() {
        return issue(caller, order, material).await;
    }
    check_held(caller, &method, &order, &names, &asked).await?;
    match order.proof(caller.ask.now) {
        Proof::Given => {
            check_caa(caller, &method, &order).await?;
            issue(caller, order, material).await
        }
        Proof::Awaited => {
            let (csr, now) = (&asked.encoded, caller.ask.now);
            // As if it were issued: a certificate is renewed by one order.
            let expect = OrderCompletion { order: &order, csr, now }.expect();
            order.await_proof(csr, now)?;
            save(caller, order, expect).await
        }
        Proof::Failed(authorization) => {
            Err(RestError::Conflict(format!("{}; make another order", lost(authorization, caller.ask.now))))
        }
    }
}

/// Nothing of the credential is in the commit, so that it is looked at now.
async fn save(caller: &Caller, order: OrderRow, expect: Vec<Expect>) -> Result<Ended, RestError> {
    let caller = caller.again().await?;
    authenticated(&caller, &product(&caller, &order)?, &order).await?;
    let writes = vec![Write::PutRestOrder(Box::new(order.clone()))];
    match caller.app().engine.store().commit(Commit { expect, writes, audit: Vec::new() }).await? {
        Ok(_) => Ok(Ended { order, issued: None }),
        Err(Conflict::Expectation(other)) if matches!(*other, Expect::RestOrderVersion { .. }) => {
            Err(Error::Stale.into())
        }
        Err(conflict) => Err(Error::Conflict(conflict.to_string()).into()),
    }
}

/// Why a proof is none.
pub(super) fn lost(authorization: &Authorization, now: Time) -> String {
    format!("the authorization for {} is {}", authorization.name(), authorization.status_at(now).as_str())
}

/// The names of a request are those that were to be proved: others could be proved no more.
async fn check_held(
    caller: &Caller,
    method: &Method,
    order: &OrderRow,
    names: &[GeneralName],
    asked: &Asked,
) -> Result<(), RestError> {
    let held = |name: &&GeneralName| {
        let mut authorizations = order.authorizations.iter();
        authorizations.any(|one| general_name(&one.identifier, one.wildcard) == **name)
    };
    let Some(other) = names.iter().find(|name| !held(name)) else { return Ok(()) };
    let sentence = format!("proofOfControl: the order has no authorization for {other}; make another order");
    let refusal = Refusal::new(Rule::SubjectAltNames, sentence);
    Err(refuse(caller, method, &asked.subject, refusal).await)
}

async fn authorize(
    caller: &Caller,
    method: &Method,
    order: &mut OrderRow,
    names: &[GeneralName],
    subject: &Name,
) -> Result<(), RestError> {
    if names.is_empty() {
        return Ok(());
    }
    let refused =
        |sentence: String| Refusal::new(Rule::SubjectAltNames, format!("proofOfControl: {sentence}"));
    let Some(control) = &caller.service.control else {
        let refusal = refused(format!("{} has no rest.domainValidation", caller.method()));
        return Err(refuse(caller, method, subject, refusal).await);
    };
    let most = caller.service.maximum_domains;
    if names.len() > most {
        let refusal =
            refused(format!("an order has {most} names at most, and {} are to be proved", names.len()));
        return Err(refuse(caller, method, subject, refusal).await);
    }
    let mut authorizations = Vec::with_capacity(names.len());
    for name in names {
        match authorization(control, name, order.expires_at)? {
            Some(authorization) => authorizations.push(authorization),
            None => {
                let refusal = refused(format!("no challenge is offered here that proves control of {name}"));
                return Err(refuse(caller, method, subject, refusal).await);
            }
        }
    }
    order.authorizations = authorizations;
    Ok(())
}

/// None where nothing that is offered proves control of such a name.
fn authorization(
    control: &DomainValidation,
    name: &GeneralName,
    expires_at: Time,
) -> Result<Option<Authorization>, Error> {
    let Some((identifier, wildcard)) = identifier_of(name) else { return Ok(None) };
    let offered = control.settings.challenges.iter().copied();
    let fitting = offered.filter(|kind| kind.fits(&identifier, wildcard));
    let challenge = |kind| Ok(Challenge::new(kind, URL_SAFE_NO_PAD.encode(random::<TOKEN>()?)));
    let challenges = fitting.map(challenge).collect::<Result<Vec<_>, Error>>()?;
    if challenges.is_empty() {
        return Ok(None);
    }
    Ok(Some(Authorization::pending(identifier, wildcard, expires_at, challenges)))
}

/// RFC 8659 §4.1: what was read long ago is read again.
///
/// # Errors
/// [`RestError::Core`] with the refusal where they forbid it now; [`Error::Unavailable`] where they cannot be read.
pub(super) async fn check_caa(caller: &Caller, method: &Method, order: &OrderRow) -> Result<(), RestError> {
    let Some(control) = &caller.service.control else { return Ok(()) };
    let Some(issuers) = &control.settings.caa else { return Ok(()) };
    let (authorizations, now) = (&order.authorizations, caller.ask.now);
    let places = &caller.app().acme.caa_checks;
    let checked =
        caa_again(&control.validator, authorizations, now, &account_uri(order), issuers, places).await;
    let Err(Forbidden { failure, authorization }) = checked else { return Ok(()) };
    if failure.problem != "caa" {
        return Err(Error::Unavailable(format!("CAA: {}", failure.in_full())).into());
    }
    let name = authorization.map(|one| identifier_text(&one.identifier, one.wildcard)).unwrap_or_default();
    let sentence = format!("rest.domainValidation.caa: {name}: {}", failure.detail);
    let refusal = Refusal::new(Rule::SubjectAltNames, sentence);
    Err(refuse(caller, method, &Name::empty(), refusal).await)
}

/// Whoever ordered says that a challenge can be looked at. Where that ends soon, the answer says how; one that was looked at
/// before is left as it is: programs say it twice.
///
/// # Errors
/// [`RestError::Transition`].
pub(super) async fn answer(
    caller: &Caller,
    order: OrderRow,
    place: usize,
    kind: ChallengeType,
) -> Result<OrderRow, RestError> {
    let id = order.id.clone();
    let (order, planned) = start(caller, order, place, kind).await?;
    let app = caller.app();
    let validation = planned.and_then(|planned| {
        let requester = Box::new(order.requester.clone());
        let prover = Prover::Requester { requester, is_revoked: false };
        planned.start(app, Ordered::Rest(Box::new(order.clone())), prover)
    });
    let Some(validation) = validation else { return Ok(order) };
    match timeout(PATIENCE, validation).await {
        Ok(_ended) => load(caller, &id).await,
        Err(_elapsed) => Ok(order),
    }
}

/// One commit: that the challenge is being validated, and the job for whoever comes by where this process dies. No plan where it
/// was said before.
async fn start(
    caller: &Caller,
    order: OrderRow,
    place: usize,
    kind: ChallengeType,
) -> Result<(OrderRow, Option<Planned>), RestError> {
    let Some(control) = &caller.service.control else {
        return Err(RestError::Conflict("this method validates no challenges any more".into()));
    };
    let validations = &caller.app().acme.validations;
    let _turn = validations.turn(&(&order.id).into(), order.authorizations.len()).await;
    let mut order = order;
    for _ in 0..COMMITS {
        let (id, version) = (order.id.clone(), order.version);
        match order.start_challenge(place, kind, caller.ask.now) {
            Ok(()) => {}
            Err(TransitionError::Authorization(AuthorizationError::Challenge(_))) => {
                return Ok((order, None));
            }
            Err(other) => return Err(other.into()),
        }
        let claimant = Claimant::Requester(requester_thumbprint(&order.requester));
        let account_uri = account_uri(&order);
        let planning = Planning { order: (&id).into(), place, claimant, account_uri: &account_uri };
        let planned = validations.plan(planning, &control.validator, caller.ask.now);
        let commit = Commit {
            expect: vec![Expect::RestOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutRestOrder(Box::new(order.clone())), planned.write()],
            audit: Vec::new(),
        };
        match caller.app().engine.store().commit(commit).await? {
            Ok(_) => return Ok((order, Some(planned))),
            Err(Conflict::Expectation(_)) => order = load(caller, &id).await?,
            Err(other) => return Err(Error::Conflict(other.to_string()).into()),
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

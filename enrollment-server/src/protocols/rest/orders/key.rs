//! Private keys that the server made: handed out once, under a passphrase, to whoever ordered.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use issuance::{
    Error,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    rest::OrderRow,
    secret::Secret,
    store::{Commit, Expect, Write},
};
use pki::{
    certificate::Certificate,
    encrypted_key::encrypt_private_key,
    name::Name,
    passphrase::{Iterations, Passphrase},
    pem,
    pkcs12::Pkcs12,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    super::{auth::Caller, body::Hidden, error::RestError},
    issue::{ATTEMPTS, check_own, load, product, refuse},
    sent::{KeyFormat, KeyRequest},
};

/// A private key under a passphrase.
#[derive(Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::protocols::rest) struct KeyObject {
    format: KeyFormat,
    /// PEM, `ENCRYPTED PRIVATE KEY`; of `pkcs8`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    private_key: Option<String>,
    /// The file in base64; of `pkcs12`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pkcs12: Option<String>,
}

/// A request that can be met, once there is a key.
#[derive(Clone, Debug)]
pub(in crate::protocols::rest) struct Delivery {
    format: KeyFormat,
    passphrase: Passphrase,
    chain: bool,
}

impl std::fmt::Debug for KeyObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyObject").field("format", &self.format).finish_non_exhaustive()
    }
}

impl KeyRequest {
    /// # Errors
    /// [`RestError::Invalid`].
    pub(in crate::protocols::rest) fn check(&self) -> Result<Delivery, RestError> {
        Delivery::new(self.format, &self.passphrase, self.chain)
    }
}

impl Delivery {
    /// From the members `format`, `passphrase` and `chain` of a body.
    ///
    /// # Errors
    /// [`RestError::Invalid`].
    pub(in crate::protocols::rest) fn new(
        format: KeyFormat,
        passphrase: &Hidden,
        chain: Option<bool>,
    ) -> Result<Self, RestError> {
        let passphrase = Passphrase::new(passphrase.expose())
            .map_err(|error| RestError::invalid("/passphrase", error.to_string()))?;
        match format {
            KeyFormat::Pkcs12 if !passphrase.is_ascii() => Err(RestError::invalid(
                "/passphrase",
                "the passphrase of PKCS #12 is expected in ASCII: not every program opens others",
            )),
            KeyFormat::Pkcs8 if chain == Some(true) => {
                Err(RestError::invalid("/chain", "only pkcs12 has certificates"))
            }
            KeyFormat::Pkcs8 | KeyFormat::Pkcs12 => {
                Ok(Self { format, passphrase, chain: chain.unwrap_or(false) })
            }
        }
    }
}

/// Lets the key go. The commit that says so comes before the answer: whoever comes second has none.
///
/// # Errors
/// [`RestError::Transition`] where it is not here, or not yet to be had; [`RestError::OthersOrder`]; [`Error::Refused`] to whoever
/// approved it, once that is recorded.
pub(in crate::protocols::rest) async fn hand_out(
    caller: &Caller,
    order: OrderRow,
    delivery: &Delivery,
) -> Result<KeyObject, RestError> {
    check_own(caller, &order)?;
    let mut order = order;
    // What cannot be had is not worth the work.
    order.clone().hand_out_key(caller.ask.now)?;
    let object = encrypt(caller, &order, delivery).await?;
    // That takes long, and what was let go does not come back.
    let caller = &caller.again().await?;
    check_approved(caller, &order).await?;
    for _ in 0..ATTEMPTS {
        let (id, version) = (order.id.clone(), order.version);
        order.hand_out_key(caller.ask.now)?;
        let commit = Commit {
            expect: vec![Expect::RestOrderVersion { id: id.clone(), version }],
            writes: vec![Write::PutRestOrder(Box::new(order.clone()))],
            audit: vec![event(caller, &order)],
        };
        match caller.app().engine.store().commit(commit).await? {
            Ok(_) => return Ok(object),
            Err(_) => order = load(caller, &id).await?,
        }
    }
    Err(Error::Conflict("the order changes all the time".into()).into())
}

/// Four eyes: whoever approved may have been shown the secret since, and comes for the key with it.
async fn check_approved(caller: &Caller, order: &OrderRow) -> Result<(), RestError> {
    let (engine, requester) = (&caller.app().engine, caller.requester());
    let Some((issuer, serial)) = order.certificate() else { return Ok(()) };
    let certificate = engine.store().certificate(issuer, &serial).await?;
    let Some(request) = certificate.and_then(|row| row.request) else { return Ok(()) };
    let Some(request) = engine.store().request(&request).await? else { return Ok(()) };
    match engine.check_approved_by_another(&request, &requester).await {
        Err(Error::Refused(refusal)) => {
            let method = product(caller, order).unwrap_or_else(|_| caller.service.method.clone());
            Err(refuse(caller, &method, &Name::empty(), refusal).await)
        }
        outcome => Ok(outcome?),
    }
}

fn event(caller: &Caller, order: &OrderRow) -> AuditEvent {
    let actor = Actor::of(&caller.requester());
    let mut event = AuditEvent::new(caller.ask.now, Action::KeyHandedOut, AuditOutcome::Done, actor);
    event.method = Some(order.method.clone());
    event.credential = order.requester.credential.clone();
    if let Some((issuer, serial)) = order.certificate() {
        event.issuer = Some(issuer);
        event.serial = Some(serial);
    }
    event
}

async fn encrypt(caller: &Caller, order: &OrderRow, delivery: &Delivery) -> Result<KeyObject, RestError> {
    let app = caller.app();
    let internal = |what: &str| Error::Internal(format!("the key of order {}: {what}", order.id));
    let key = order.key.unseal(&app.sealing, &order.id).map_err(Error::from)?;
    let key = key.ok_or_else(|| internal("is not here"))?;
    let (issuer, serial) = order.certificate().ok_or_else(|| internal("is of no certificate"))?;
    let row = app.engine.store().certificate(issuer, &serial).await?;
    let leaf = row.ok_or_else(|| internal("is of a certificate that is not here"))?.der;
    let authority = caller.ask.serving.office.authority_by_key(issuer).filter(|_| delivery.chain);
    let chain = authority.map(|authority| authority.chain.clone()).unwrap_or_default();
    let (format, passphrase) = (delivery.format, delivery.passphrase.clone());
    let work = move || match format {
        KeyFormat::Pkcs8 => pkcs8(&key, &passphrase),
        KeyFormat::Pkcs12 => pkcs12(&key, &leaf, &chain, &passphrase),
    };
    Ok(app.rest.encrypt(work).await?.map_err(|what| internal(&what))?)
}

fn pkcs8(key: &Secret, passphrase: &Passphrase) -> Result<KeyObject, String> {
    let der = encrypt_private_key(key.expose(), passphrase, Iterations::ENCRYPTED_KEY);
    let pem = pem::encode("ENCRYPTED PRIVATE KEY", &der.map_err(|error| error.to_string())?);
    Ok(KeyObject { format: KeyFormat::Pkcs8, private_key: Some(pem), pkcs12: None })
}

fn pkcs12(
    key: &Secret,
    leaf: &[u8],
    chain: &[Vec<u8>],
    passphrase: &Passphrase,
) -> Result<KeyObject, String> {
    let leaf = Certificate::from_der(leaf).map_err(|error| error.to_string())?;
    let file = Pkcs12::new(&leaf, key.expose()).map_err(|error| error.to_string())?;
    let file = file.with_chain(chain.iter().map(Vec::as_slice)).to_der(passphrase);
    let file = STANDARD.encode(file.map_err(|error| error.to_string())?);
    Ok(KeyObject { format: KeyFormat::Pkcs12, private_key: None, pkcs12: Some(file) })
}

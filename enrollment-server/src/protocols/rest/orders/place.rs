//! New orders, once each.

use http::HeaderName;
use issuance::{
    Error, Refusal, Rule,
    identity::{CertificateId, RestOrderId},
    ports::random,
    profile::permits_name,
    rest::{Idempotency, OrderKey, OrderRow, OrderState, Renewal},
    store::{Commit, Conflict, Expect, Write},
};
use pki::{general_name::GeneralName, name::Name, time::Time};

use super::{
    super::{auth::Caller, error::RestError},
    control::{advance, require_proof},
    issue::{Ended, Material, authenticated, look, product, refuse},
    renewal::{ACCESS_KEYS_ONLY, is_renewable},
    request::{Wanted, general_names, subject_name},
    sent::OrderRequest,
};
use crate::protocols::server_key;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// In octets.
const LONGEST_KEY: usize = 255;

/// How long an order is shown after nobody waits for its request any more: longer than a person may take to decide on it.
const SHOWN: i64 = 30 * 86_400;

/// An order to make.
#[derive(Debug)]
pub(in crate::protocols::rest) struct Placing {
    pub(in crate::protocols::rest) request: OrderRequest,
    /// The certificate that it renews.
    pub(in crate::protocols::rest) replaces: Option<CertificateId>,
    /// The order is kept so long at least.
    pub(in crate::protocols::rest) keep_until: Option<Time>,
    /// Where the server is to renew the certificate by itself: as was wished with the one that is renewed.
    pub(in crate::protocols::rest) renewal: Option<Renewal>,
    /// The client's name for this request.
    key: Option<String>,
}

/// An order that was made, now or before.
#[derive(Debug)]
pub(in crate::protocols::rest) struct Placed {
    pub(in crate::protocols::rest) order: OrderRow,
    /// DER; where it was issued just now.
    pub(in crate::protocols::rest) certificate: Option<Vec<u8>>,
}

impl Placing {
    /// # Errors
    /// [`RestError::Malformed`] where the header `Idempotency-Key` cannot be read.
    pub(in crate::protocols::rest) fn new(caller: &Caller, request: OrderRequest) -> Result<Self, RestError> {
        let key = caller.ask.header(&IDEMPOTENCY_KEY)?;
        if key.is_some_and(|key| !(1..=LONGEST_KEY).contains(&key.len())) {
            return Err(RestError::Malformed(format!(
                "Idempotency-Key: 1 to {LONGEST_KEY} characters are expected"
            )));
        }
        Ok(Self { request, replaces: None, keep_until: None, renewal: None, key: key.map(str::to_owned) })
    }

    /// What the same request made before.
    ///
    /// # Errors
    /// [`RestError::IdempotencyConflict`] where it was another request.
    pub(in crate::protocols::rest) async fn earlier(
        &self,
        caller: &Caller,
    ) -> Result<Option<OrderRow>, RestError> {
        earlier(caller, self.idempotency(caller)?.as_ref()).await
    }

    fn idempotency(&self, caller: &Caller) -> Result<Option<Idempotency>, RestError> {
        let Some(key) = &self.key else { return Ok(None) };
        let replaces = self.replaces.map(|id| id.to_string());
        let content = serde_json::to_vec(&(&self.request, replaces));
        let content = content.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Some(Idempotency::new(&caller.requester(), key, &content)))
    }
}

/// Makes an order, and issues its certificate where it has all that is needed. The same request with the same `Idempotency-Key`
/// gets the same order, whoever of two comes first.
///
/// # Errors
/// [`RestError::Invalid`], [`RestError::IdempotencyConflict`], or what the profile refuses.
pub(in crate::protocols::rest) async fn place(
    caller: &Caller,
    placing: &Placing,
) -> Result<Placed, RestError> {
    let idempotency = placing.idempotency(caller)?;
    if let Some(order) = earlier(caller, idempotency.as_ref()).await? {
        return Ok(Placed { order, certificate: None });
    }
    let wanted = Wanted::of(caller, &placing.request)?;
    let (subject, names) = (subject_of(&wanted)?, general_names(&wanted.asked.domains)?);
    check_names(caller, &wanted, &subject, &names).await?;
    let id = RestOrderId::from_random(random()?);
    let (key, material) = key_of(caller, &id, &wanted, &subject).await?;
    let method = wanted.method.clone();
    let renewal = wanted.renewal.clone().or_else(|| placing.renewal.clone());
    let mut order = new_order(caller, id, wanted, key, idempotency);
    order.replaces = placing.replaces.map(|id| (id.issuer, id.serial));
    order.keep_until = placing.keep_until.map_or(order.keep_until, |time| time.max(order.keep_until));
    if renewal.is_some() {
        // It is looked at when its certificate is to be renewed, however long a person takes before that.
        let longest = i64::try_from(method.profile.policy.validity.maximum.as_secs()).unwrap_or(i64::MAX);
        order.keep_until = order.keep_until.plus_seconds(longest);
    }
    order.renewal = renewal;
    if !is_renewable(caller, &order).await? {
        if placing.request.renewal.is_some() {
            return Err(RestError::invalid("/renewal", ACCESS_KEYS_ONLY));
        }
        order.renewal = None;
    }
    let made = match material {
        Some(material) => advance(caller, order, &material).await,
        None => {
            require_proof(caller, &method, &mut order, &names).await?;
            record(caller, order).await
        }
    };
    match made {
        Ok(Ended { order, issued }) => {
            Ok(Placed { order, certificate: issued.map(|issued| issued.certificate) })
        }
        Err(RestError::Core(error @ Error::Conflict(_))) => {
            match earlier(caller, idempotency.as_ref()).await? {
                Some(order) => Ok(Placed { order, certificate: None }),
                None => Err(error.into()),
            }
        }
        Err(other) => Err(other),
    }
}

/// What an earlier request with this key made.
async fn earlier(caller: &Caller, idempotency: Option<&Idempotency>) -> Result<Option<OrderRow>, RestError> {
    let Some(idempotency) = idempotency else { return Ok(None) };
    let found = caller.app().engine.store().rest_order_by_key(caller.method(), &idempotency.key).await?;
    match found {
        Some(order) if order.idempotency.is_some_and(|earlier| earlier.content != idempotency.content) => {
            Err(RestError::IdempotencyConflict)
        }
        Some(order) => {
            // Nothing is committed here that would look at the credential.
            let fresh = caller.again().await?;
            look(&fresh, order).await.map(Some)
        }
        None => Ok(None),
    }
}

/// The names that the order itself has are in the certificate, or the order is refused at once.
async fn check_names(
    caller: &Caller,
    wanted: &Wanted,
    subject: &Name,
    names: &[GeneralName],
) -> Result<(), RestError> {
    let profile = &wanted.method.profile;
    match names.iter().find_map(|name| permits_name(profile, name).err()) {
        Some(refusal) => Err(refuse(caller, &wanted.method, subject, refusal).await),
        None => Ok(()),
    }
}

fn subject_of(wanted: &Wanted) -> Result<Name, RestError> {
    match (&wanted.csr, &wanted.asked.subject) {
        (Some(csr), _) => Ok(csr.subject().clone()),
        (None, Some(text)) => subject_name(text),
        (None, None) => Ok(Name::empty()),
    }
}

async fn key_of(
    caller: &Caller,
    id: &RestOrderId,
    wanted: &Wanted,
    subject: &Name,
) -> Result<(OrderKey, Option<Material>), RestError> {
    if !wanted.server_key {
        return Ok((OrderKey::Requester, wanted.csr.clone().map(|csr| Material::Csr(Box::new(csr)))));
    }
    let Some(algorithm) = caller.service.server_key else {
        let method = caller.method();
        let sentence = format!("rest.serverKeys: {method} makes no keys; send a certificate request");
        return Err(refuse(caller, &wanted.method, subject, Refusal::new(Rule::Keys, sentence)).await);
    };
    // It costs more than to look who asks.
    caller.again().await?;
    let (signer, pkcs8) = server_key::generate(algorithm).await?;
    let key = OrderKey::seal(&caller.app().sealing, id, &pkcs8).map_err(Error::from)?;
    Ok((key, Some(Material::Key(signer))))
}

fn new_order(
    caller: &Caller,
    id: RestOrderId,
    wanted: Wanted,
    key: OrderKey,
    idempotency: Option<Idempotency>,
) -> OrderRow {
    let now = caller.ask.now;
    let lifetime = i64::try_from(caller.service.order_lifetime.as_secs()).unwrap_or(i64::MAX);
    let expires_at: Time = now.plus_seconds(lifetime);
    OrderRow {
        id,
        version: 0,
        method: caller.method().clone(),
        requester: caller.requester(),
        product: wanted.product,
        created_at: now,
        expires_at,
        keep_until: expires_at.plus_seconds(SHOWN),
        asked: wanted.asked,
        csr: None,
        state: OrderState::AwaitingCsr,
        authorizations: Vec::new(),
        key,
        idempotency,
        replaces: None,
        replaced_by: None,
        renewal: None,
    }
}

/// An order that waits for its request. Nothing of the credential is in the commit, so that it is looked at now.
async fn record(caller: &Caller, order: OrderRow) -> Result<Ended, RestError> {
    let caller = caller.again().await?;
    authenticated(&caller, &product(&caller, &order)?, &order).await?;
    let order = OrderRow { version: 1, ..order };
    let commit = Commit {
        expect: vec![Expect::RestOrderVersion { id: order.id.clone(), version: 0 }],
        writes: vec![Write::PutRestOrder(Box::new(order.clone()))],
        audit: Vec::new(),
    };
    match caller.app().engine.store().commit(commit).await? {
        Ok(_) => Ok(Ended { order, issued: None }),
        Err(conflict @ Conflict::RestOrderExists) => Err(Error::Conflict(conflict.to_string()).into()),
        Err(other) => Err(Error::Internal(other.to_string()).into()),
    }
}

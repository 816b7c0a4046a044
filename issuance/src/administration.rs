//! Somebody who was authenticated changes the credentials of the methods that they administer, their own among them. What is made
//! here is a row alone; those that a resource declares change through the resource.
//!
//! Whatever the protocol, its values are made elsewhere: this module decides who may do what to which row, and records it.

mod rules;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc};

use aws_lc_rs::digest;
use pki::time::Time;

use crate::{
    Engine,
    acme::Restriction,
    approval::hands,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authn::Authenticated,
    credential::{CredentialRow, CredentialState, Verifier},
    error::Error,
    identity::{CredentialId, Owner, Protocol, ResourceName},
    rest::{RestAction, RestActions},
    sealing::SealingKeys,
    secret::Secret,
    store::{Commit, Conflict, Expect, MethodScope, Write},
};
use rules::{check_new, decide};

/// How often it is tried again where somebody else changes the same row.
const ATTEMPTS: usize = 3;

/// How often a credential of one name may have been made, by all methods of a namespace together.
const INCARNATIONS: u64 = 100_000;

/// Who changes credentials, and what their own is good for.
#[derive(Clone, Copy, Debug)]
pub struct Administrator<'a> {
    pub authenticated: &'a Authenticated,
    pub actions: RestActions,
    /// The methods that they administer, their own among them.
    pub scope: &'a MethodScope,
}

/// A method whose credentials are made or changed.
#[derive(Clone, Debug)]
pub struct Target {
    pub method: ResourceName,
    pub protocol: Protocol,
    /// The methods that its credentials administer themselves; none where they administer nothing, or the method is not served now.
    pub scope: Option<MethodScope>,
}

/// A credential to be made.
#[derive(Clone, Debug)]
pub struct NewCredential {
    /// In the namespace of the method. The audit trail tells by it who did what: by one method used once, by several of the namespace
    /// not at the same time.
    pub name: String,
    pub owner: Owner,
    pub expires_at: Option<Time>,
    pub maximum_uses: Option<u64>,
    /// None for protocols but REST.
    pub actions: RestActions,
    /// For ACME.
    pub identifiers: Option<Restriction>,
    pub value: NewValue,
}

/// What a credential is found and checked by.
#[derive(Clone, Debug)]
pub struct NewValue {
    /// As in [`CredentialRow::username`].
    pub username: Option<String>,
    pub verifier: NewVerifier,
}

/// What becomes the verifier of a credential.
#[derive(Clone, Debug)]
pub enum NewVerifier {
    /// Whichever credential it is of.
    Made(Verifier),
    /// An HMAC key, octets: it is sealed for its credential.
    HmacKey { sealing: Arc<SealingKeys>, key: Secret },
}

impl NewVerifier {
    /// # Errors
    /// Those of [`Verifier::of_hmac_key`].
    fn of(&self, credential: &CredentialId) -> Result<Verifier, Error> {
        match self {
            Self::Made(verifier) => Ok(verifier.clone()),
            Self::HmacKey { sealing, key } => Verifier::of_hmac_key(sealing, credential, key),
        }
    }
}

/// What is to become of a credential.
#[derive(Clone, Debug)]
pub enum Change {
    /// For good.
    Revoke { reason: Option<String> },
    /// It ends then, whatever was said before.
    Expire { at: Time },
    /// Another value in place of the one it has, which is refused from then on. Uses are counted anew.
    Regenerate { verifier: NewVerifier },
}

/// Why a credential was not made or changed.
#[derive(Debug, thiserror::Error)]
pub enum AdministrationError {
    #[error(transparent)]
    Core(#[from] Error),
    #[error("a credential of this method has or had the name {0}")]
    NameTaken(ResourceName),
    /// Of ACME (RFC 8555 §7.3.4): it says which key is meant.
    #[error("another credential of the method has the key identifier {0:?}")]
    KeyIdentifierTaken(String),
    /// Of another method: the trail calls whoever uses either by it.
    #[error("another credential of the namespace has the name {0} and is in use")]
    NameInUse(ResourceName),
    /// Of EST: certificates, requests and the trail call whoever uses it so.
    #[error("the resource {resource} declares a credential of the method with the user name {username:?}")]
    UsernameDeclared { username: String, resource: ResourceName },
    /// What its credentials administer is not known.
    #[error("the method {0} is not served: its credentials can be ended, and nothing else")]
    NotServed(ResourceName),
    /// What to patch is [`Change::field`].
    #[error("the resource {0} declares this credential")]
    Declared(ResourceName),
    #[error("the credential is revoked for good")]
    Revoked,
    /// A new value would be as dead as the old one.
    #[error("the credential has expired; let it end later first")]
    Expired,
    #[error("the credential may do what whoever changes it may not: {}", .0.as_str())]
    Beyond(RestAction),
    /// By its method's `administers`: with it, whoever asks would see what they do not with their own.
    #[error("credentials of the method {0} administer methods that whoever asks does not")]
    Wider(ResourceName),
    #[error("nobody makes their own credential last longer")]
    OwnLonger,
    #[error(
        "nobody is shown the secret of a credential that lasts longer than their own, or makes one last that long"
    )]
    Longer,
}

impl Change {
    /// Of the resource, for a credential that one declares.
    pub fn field(&self) -> &'static str {
        match self {
            Self::Revoke { .. } => "spec.revoked",
            Self::Expire { .. } => "spec.expiresAt",
            Self::Regenerate { .. } => "spec.regeneration",
        }
    }

    fn action(&self) -> Action {
        match self {
            Self::Revoke { .. } => Action::CredentialRevoked,
            Self::Expire { .. } => Action::CredentialChanged,
            Self::Regenerate { .. } => Action::CredentialRegenerated,
        }
    }

    fn reason(&self) -> Option<&str> {
        match self {
            Self::Revoke { reason } => reason.as_deref(),
            Self::Expire { .. } | Self::Regenerate { .. } => None,
        }
    }
}

impl AdministrationError {
    /// Whether it is for the audit trail: what was asked for could be done, but not by them.
    fn is_refusal(&self) -> bool {
        match self {
            Self::Beyond(_) | Self::Wider(_) | Self::OwnLonger | Self::Longer => true,
            Self::Core(_)
            | Self::NameTaken(_)
            | Self::KeyIdentifierTaken(_)
            | Self::NameInUse(_)
            | Self::UsernameDeclared { .. }
            | Self::NotServed(_)
            | Self::Declared(_)
            | Self::Revoked
            | Self::Expired => false,
        }
    }
}

impl Engine {
    /// Makes a credential of a method that the administrator has in scope.
    ///
    /// # Errors
    /// [`Error::NotFound`] for other methods; [`AdministrationError::Beyond`], [`AdministrationError::Wider`] and
    /// [`AdministrationError::Longer`], once that is recorded; [`AdministrationError::NameTaken`],
    /// [`AdministrationError::NameInUse`], [`AdministrationError::UsernameDeclared`],
    /// [`AdministrationError::KeyIdentifierTaken`] and [`AdministrationError::Declared`]; [`Error::Stale`] where the
    /// administrator's own credential is not any more what it was; [`Error::Conflict`] where another credential has the access
    /// key's name.
    pub async fn create_credential(
        &self,
        by: Administrator<'_>,
        target: &Target,
        wanted: NewCredential,
    ) -> Result<CredentialRow, AdministrationError> {
        if !by.scope.contains(&target.method) {
            return Err(Error::NotFound("method").into());
        }
        let work = Work { engine: self, by };
        let name = ResourceName::new(target.method.namespace(), wanted.name);
        let id = named_id(&name, 0);
        let NewValue { username, verifier } = wanted.value;
        let mut row = CredentialRow {
            version: 1,
            method: target.method.clone(),
            protocol: target.protocol,
            name,
            username,
            verifier: verifier.of(&id)?,
            owner: Some(wanted.owner),
            state: CredentialState::Active,
            created_at: self.clock().now(),
            expires_at: wanted.expires_at,
            maximum_uses: wanted.maximum_uses,
            uses: 0,
            last_used_at: None,
            declared: false,
            regeneration: 0,
            identifiers: wanted.identifiers,
            actions: wanted.actions,
            previous: None,
            id,
        };
        let maker = work.maker().await?;
        if let Err(refusal) = check_new(by, target, maker.as_ref(), &row) {
            return Err(work.refused(Action::CredentialCreated, &row, refusal).await);
        }
        // What ends with its maker says so.
        row.expires_at = row.expires_at.or(maker.and_then(|maker| maker.expires_at));
        let hands = work.hands().await?;
        for _ in 0..ATTEMPTS {
            row.id = work.free_id(&row).await?;
            work.check_username(&row).await?;
            row.verifier = verifier.of(&row.id)?.shown_to(hands.clone());
            let restricted = row.identifiers.as_ref().map(|names| format!("restricted to {names}"));
            match work.put(&row, 0, Action::CredentialCreated, restricted.as_deref()).await {
                Err(PutError::Changed) => {}
                Err(PutError::Other(error)) => return Err(error.into()),
                Ok(()) => return Ok(row),
            }
        }
        Err(Error::Conflict("credentials of this name are made all the time".into()).into())
    }

    /// Changes a credential of the target. Revoking twice is what a retry looks like, and changes nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`], for those of other methods too; [`AdministrationError::Beyond`], [`AdministrationError::Wider`],
    /// [`AdministrationError::OwnLonger`] and [`AdministrationError::Longer`], once that is recorded;
    /// [`AdministrationError::Declared`], [`AdministrationError::Revoked`], [`AdministrationError::Expired`] and
    /// [`AdministrationError::NotServed`]; those of taken names where an ended credential would be good again; [`Error::Stale`] where the administrator's own credential is not any more what it was; [`Error::Conflict`] where the row
    /// changes all the time.
    pub async fn change_credential(
        &self,
        by: Administrator<'_>,
        target: &Target,
        id: &CredentialId,
        change: &Change,
    ) -> Result<CredentialRow, AdministrationError> {
        let work = Work { engine: self, by };
        let (maker, hands) = (work.maker().await?, work.hands().await?);
        for _ in 0..ATTEMPTS {
            let row = self.store().credential(id).await.map_err(Error::from)?;
            let row = row.filter(|row| row.method == target.method && by.scope.contains(&row.method));
            let row = row.ok_or(Error::NotFound("credential"))?;
            if row.declared {
                return Err(AdministrationError::Declared(row.name));
            }
            let changed = match decide(by, target, maker.as_ref(), &row, change, self.clock().now()) {
                Ok(changed) => changed,
                Err(refusal) if refusal.is_refusal() => {
                    return Err(work.refused(change.action(), &row, refusal).await);
                }
                Err(other) => return Err(other),
            };
            if changed == row {
                return Ok(row);
            }
            let now = self.clock().now();
            if row.lasts(now).is_err() && changed.lasts(now).is_ok() {
                work.check_names(&changed).await?;
            }
            let mut changed = CredentialRow { version: row.version + 1, ..changed };
            if let Change::Regenerate { .. } = change {
                let known = row.verifier.known_to().chain(&hands).cloned();
                changed.verifier = changed.verifier.shown_to(known);
            }
            match work.put(&changed, row.version, change.action(), change.reason()).await {
                Err(PutError::Changed) => {}
                Err(PutError::Other(error)) => return Err(error.into()),
                Ok(()) => return Ok(changed),
            }
        }
        Err(Error::Conflict("the credential changes all the time".into()).into())
    }
}

/// What an administrator does, on rows and in the trail.
struct Work<'a> {
    engine: &'a Engine,
    by: Administrator<'a>,
}

impl Work<'_> {
    /// The administrator's own credential; none where a certificate or a token was shown. What is done on it expects that it is still
    /// what was shown.
    async fn maker(&self) -> Result<Option<CredentialRow>, AdministrationError> {
        match &self.by.authenticated.requester().credential {
            Some(id) => Ok(self.engine.store().credential(id).await.map_err(Error::from)?),
            None => Ok(None),
        }
    }

    /// Who learns a secret that the administrator is shown.
    async fn hands(&self) -> Result<BTreeSet<String>, AdministrationError> {
        Ok(hands(&**self.engine.store(), self.by.authenticated.requester()).await?)
    }

    /// The first identifier of this name that no row has. Two who make the same name at once choose the same.
    async fn free_id(&self, wanted: &CredentialRow) -> Result<CredentialId, AdministrationError> {
        let now = self.engine.clock().now();
        for incarnation in 0..INCARNATIONS {
            let id = named_id(&wanted.name, incarnation);
            match self.engine.store().credential(&id).await.map_err(Error::from)? {
                None => return Ok(id),
                Some(row) if row.method != wanted.method => check_ended(&row, now)?,
                Some(row) if row.declared => return Err(AdministrationError::Declared(row.name)),
                Some(row) => return Err(AdministrationError::NameTaken(row.name)),
            }
        }
        Err(Error::Internal(format!("the credential {} was made {INCARNATIONS} times", wanted.name)).into())
    }

    /// Whether one that has ended may be good again under the names that it had: they may have been given away meanwhile.
    async fn check_names(&self, wanted: &CredentialRow) -> Result<(), AdministrationError> {
        let now = self.engine.clock().now();
        for incarnation in 0..INCARNATIONS {
            let id = named_id(&wanted.name, incarnation);
            match self.engine.store().credential(&id).await.map_err(Error::from)? {
                None => break,
                Some(row) if row.id == wanted.id => {}
                Some(row) => check_ended(&row, now)?,
            }
        }
        self.check_username(wanted).await
    }

    /// A key identifier says which key is meant, as where resources declare them, and nobody gets a second password for the user name
    /// of a device that a resource declares: what has ended lets its own go. Of two that are made at the same moment both may
    /// have it; then each opens with its own key.
    async fn check_username(&self, wanted: &CredentialRow) -> Result<(), AdministrationError> {
        let of_acme = match wanted.protocol {
            Protocol::Acme => true,
            Protocol::Est => false,
            // That of an access key is unique in the store.
            Protocol::Rest
            | Protocol::Scep
            | Protocol::Cmp
            | Protocol::Waep
            | Protocol::Issuer
            | Protocol::Internal => return Ok(()),
        };
        let Some(username) = wanted.username.as_deref() else { return Ok(()) };
        let rows = self.engine.store().credentials_for(&wanted.method, username).await;
        let now = self.engine.clock().now();
        let is_other = |row: &CredentialRow| {
            row.id != wanted.id && row.username.as_deref() == Some(username) && row.lasts(now).is_ok()
        };
        let mut others = rows.map_err(Error::from)?.into_iter().filter(is_other);
        if of_acme {
            return match others.next() {
                Some(_) => Err(AdministrationError::KeyIdentifierTaken(username.to_owned())),
                None => Ok(()),
            };
        }
        match others.find(|row| row.declared) {
            Some(row) => Err(AdministrationError::UsernameDeclared {
                username: username.to_owned(),
                resource: row.name,
            }),
            None => Ok(()),
        }
    }

    async fn put(
        &self,
        row: &CredentialRow,
        before: u64,
        action: Action,
        reason: Option<&str>,
    ) -> Result<(), PutError> {
        let own = Expect::CredentialVersion { id: row.id.clone(), version: before };
        let mut expect = self.by.authenticated.expect().to_vec();
        expect.push(own.clone());
        let event = self.event(action, AuditOutcome::Done, row, reason);
        let commit =
            Commit { expect, writes: vec![Write::PutCredential(Box::new(row.clone()))], audit: vec![event] };
        match self.engine.store().commit(commit).await.map_err(Error::from)? {
            Ok(_) => Ok(()),
            Err(Conflict::Expectation(failed)) if *failed == own => Err(PutError::Changed),
            Err(Conflict::Expectation(_)) => Err(Error::Stale.into()),
            Err(other) => Err(Error::Conflict(other.to_string()).into()),
        }
    }

    /// Records the refusal; what to answer.
    async fn refused(
        &self,
        action: Action,
        row: &CredentialRow,
        refusal: AdministrationError,
    ) -> AdministrationError {
        let event = self.event(action, AuditOutcome::Refused, row, Some(&refusal.to_string()));
        match self.engine.store().commit(Commit { audit: vec![event], ..Commit::default() }).await {
            Ok(Ok(_)) => refusal,
            Ok(Err(conflict)) => Error::Conflict(conflict.to_string()).into(),
            Err(error) => Error::from(error).into(),
        }
    }

    fn event(
        &self,
        action: Action,
        outcome: AuditOutcome,
        row: &CredentialRow,
        reason: Option<&str>,
    ) -> AuditEvent {
        let requester = self.by.authenticated.requester();
        // The name comes first, as where a resource declares it: it is what a reader looks for.
        let reason = reason.map_or_else(|| row.name.to_string(), |reason| format!("{}: {reason}", row.name));
        let actor = Actor::of(requester);
        let mut event = AuditEvent::new(self.engine.clock().now(), action, outcome, actor).because(&reason);
        event.method = Some(row.method.clone());
        event.credential = Some(row.id.clone());
        event
    }
}

/// A name that is in use says who did what: nobody gets it a second time, whatever their method.
fn check_ended(row: &CredentialRow, now: Time) -> Result<(), AdministrationError> {
    match row.lasts(now) {
        Ok(()) => Err(AdministrationError::NameInUse(row.name.clone())),
        Err(_) => Ok(()),
    }
}

enum PutError {
    /// By somebody else, at the same time.
    Changed,
    Other(Error),
}

impl From<Error> for PutError {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// The identifier of the row of a credential of this name: the same wherever it is made. A row that is there already belongs
/// to another method, or to a resource that is gone; then it is the next incarnation.
pub fn named_id(name: &ResourceName, incarnation: u64) -> CredentialId {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery declared credential v1\0");
    context.update(name.to_string().as_bytes());
    context.update(&incarnation.to_be_bytes());
    let mut octets = [0; 16];
    octets.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    CredentialId::from_octets(octets)
}

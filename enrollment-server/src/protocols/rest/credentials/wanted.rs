//! A credential that is to be made, as it is understood.

mod sent;

pub(super) use sent::{Action, CredentialWanted};

use issuance::{
    acme::Restriction,
    administration::{NewCredential, NewValue, Target},
    identity::{Protocol, ResourceName},
    rest::{RestAction, RestActions},
    store::MethodScope,
};

use super::{
    super::{auth::Caller, error::RestError, objects::Timestamp},
    members::{Identifiers, KeyIdentifier, MethodName, Username},
    target::{Served, served},
    value::{Handed, Made, make},
};

/// Issued with, at most: what every store can count to.
const MAX_USES: u64 = 1_000_000_000;

/// What is made of it.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) target: Target,
    pub(super) credential: NewCredential,
    pub(super) handed: Handed,
}

/// What is said of a credential for its protocol.
struct Own {
    actions: RestActions,
    username: Option<String>,
    identifiers: Option<Restriction>,
}

impl CredentialWanted {
    /// # Errors
    /// [`RestError::NotFound`] for a method that the caller does not administer or that is not served; [`RestError::Invalid`].
    pub(super) fn judge(self, caller: &Caller) -> Result<Wanted, RestError> {
        let method = match &self.method {
            Some(MethodName(method)) => method,
            None => default_method(caller),
        };
        let found = caller.scope().contains(method).then(|| served(&caller.ask.serving, method)).flatten();
        let Served { target, closed } = found.ok_or(RestError::NotFound("the method"))?;
        if let Some(closed) = closed {
            return Err(RestError::invalid("/method", closed));
        }
        let Own { actions, username, identifiers } = self.own(&target)?;
        let expires_at = self.expires_at.map(|Timestamp(at)| at);
        if expires_at.is_some_and(|at| at <= caller.ask.now) {
            return Err(RestError::invalid("/expiresAt", "a time to come is expected"));
        }
        if self.maximum_uses.is_some_and(|uses| !(1..=MAX_USES).contains(&uses)) {
            return Err(RestError::invalid(
                "/maximumUses",
                format!("a number from 1 to {MAX_USES} is expected"),
            ));
        }
        let made = make(target.protocol, username.as_deref(), &caller.app().sealing)?;
        let Made { username, verifier, handed } = made;
        let credential = NewCredential {
            name: self.name.into(),
            owner: self.owner.0,
            expires_at,
            maximum_uses: self.maximum_uses,
            actions,
            identifiers,
            value: NewValue { username, verifier },
        };
        Ok(Wanted { target, credential, handed })
    }

    /// What is given for another protocol is refused.
    fn own(&self, target: &Target) -> Result<Own, RestError> {
        let protocol = target.protocol;
        let given = [
            ("/actions", self.actions.is_some(), Protocol::Rest),
            ("/username", self.username.is_some(), Protocol::Est),
            ("/kid", self.kid.is_some(), Protocol::Acme),
            ("/identifiers", self.identifiers.is_some(), Protocol::Acme),
        ];
        if let Some((pointer, ..)) = given.into_iter().find(|(_, is_given, of)| *is_given && *of != protocol)
        {
            let sentence = format!("credentials of {} have none: it speaks {protocol}", target.method);
            return Err(RestError::invalid(pointer, sentence));
        }
        let nothing = Own { actions: RestActions::default(), username: None, identifiers: None };
        Ok(match protocol {
            Protocol::Rest => Own { actions: self.actions()?, ..nothing },
            Protocol::Est => {
                let given = self.username.as_ref().map(|Username(username)| username.as_str());
                Own { username: Some(given.unwrap_or(self.name.as_str()).to_owned()), ..nothing }
            }
            Protocol::Acme => {
                let own = ResourceName::new(target.method.namespace(), self.name.as_str());
                let kid = self.kid.as_ref().map(|KeyIdentifier(kid)| kid.clone());
                let identifiers = self.identifiers.as_ref().map(|Identifiers(given)| given.clone());
                Own { username: Some(kid.unwrap_or_else(|| own.dotted())), identifiers, ..nothing }
            }
            Protocol::Scep | Protocol::Cmp | Protocol::Waep | Protocol::Issuer | Protocol::Internal => {
                nothing
            }
        })
    }

    fn actions(&self) -> Result<RestActions, RestError> {
        let default = [Action::Request, Action::Read];
        let asked = self.actions.as_deref().unwrap_or(&default);
        let actions: RestActions = asked.iter().copied().map(RestAction::from).collect();
        if actions.is_empty() {
            return Err(RestError::invalid("/actions", "at least one action is expected"));
        }
        Ok(actions)
    }
}

/// The caller's own, or the one that the caller restricts themselves to.
fn default_method(caller: &Caller) -> &ResourceName {
    match caller.scope() {
        MethodScope::Methods(methods) => match methods.as_slice() {
            [only] => only,
            _several => caller.method(),
        },
        MethodScope::Namespace(_) => caller.method(),
    }
}

//! ACME: an account that holds its key, and an order of it whose names it has proved to control (RFC 8555 §7.4). That the
//! account asked is proved before, by the signature over the request; nothing here may be called without that.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use pki::{general_name::GeneralName, name::AttributeType, time::Time};
use serde::{Deserialize, Serialize};

use super::Evidence;
use crate::{
    acme::{
        AccountNotValid, AccountRow, AccountStatus, Authorization, AuthorizationStatus, Identifier, OrderRow,
        OrderState, OrderStatus, canonical_jwk, dns_identifier, general_name, identifier_of, identifier_text,
        jwk_thumbprint,
    },
    authority::Method,
    credential::{CredentialRow, CredentialState, Verifier},
    policy::Strength,
    request::{Asked, AskedKey, AskedValidity},
    store::Expect,
};

/// What becomes of accounts whose credential is revoked or regenerated. Expired and used up is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnCredentialRevoked {
    /// They may do nothing more.
    #[default]
    Stop,
    /// They go on, but nothing is theirs any more without a challenge.
    Keep,
}

/// An account at work, as rows read just now say.
#[derive(Clone, Copy, Debug)]
pub struct ActingAccount<'a> {
    pub account: &'a AccountRow,
    /// Of its binding; none where it has none, or the row is gone.
    pub credential: Option<&'a CredentialRow>,
    pub on_credential_revoked: OnCredentialRevoked,
    /// The moment of what is asked.
    pub now: Time,
}

/// Why an account may not have what it asks for. Fit for the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcmeRefusal {
    #[error("there is no such account here")]
    ForeignAccount,
    #[error("the account is {}", .0.as_str())]
    Account(AccountStatus),
    #[error("the account's external account binding is no longer valid")]
    Credential,
    #[error("there is no such order of this account")]
    ForeignOrder,
    #[error("the order is {}", .0.as_str())]
    Order(OrderStatus),
    #[error("the authorization for {name} is {}", status.as_str())]
    Authorization { name: String, status: AuthorizationStatus },
    #[error("the account's external account binding does not hold {name}")]
    Restricted { name: String },
    #[error("{0}")]
    Csr(CsrFault),
}

/// What is wrong with a certificate request, though its signature is good (`badCSR`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrFault {
    #[error("the order holds {0}, for which the certificate request does not ask")]
    NameMissing(String),
    #[error("the certificate request asks for {0}, which the order does not hold")]
    NameNotOrdered(String),
    /// RFC 8555 §11.1.
    #[error("the certificate request has the key of the account")]
    AccountKey,
    #[error("the order is being processed with another certificate request")]
    OtherRequest,
}

impl From<AccountNotValid> for AcmeRefusal {
    fn from(AccountNotValid(status): AccountNotValid) -> Self {
        Self::Account(status)
    }
}

impl<'a> ActingAccount<'a> {
    /// Whether the account may do anything here.
    ///
    /// # Errors
    /// [`AcmeRefusal::ForeignAccount`], [`AcmeRefusal::Account`], [`AcmeRefusal::Credential`].
    pub fn check(&self, method: &Method) -> Result<(), AcmeRefusal> {
        if self.account.method != method.name {
            return Err(AcmeRefusal::ForeignAccount);
        }
        self.account.check_valid()?;
        match self.on_credential_revoked {
            OnCredentialRevoked::Stop if !self.is_binding_alive() => Err(AcmeRefusal::Credential),
            OnCredentialRevoked::Stop | OnCredentialRevoked::Keep => Ok(()),
        }
    }

    /// Whether the credential lets the account ask for this name at all, by whatever challenge.
    ///
    /// # Errors
    /// [`AcmeRefusal::Restricted`].
    pub fn check_name(&self, identifier: &Identifier, wildcard: bool) -> Result<(), AcmeRefusal> {
        // A restriction holds for as long as the account does, whatever became of the credential.
        let restriction = self.own_credential().and_then(|credential| credential.identifiers.as_ref());
        if restriction.is_none_or(|restriction| restriction.permits(identifier, wildcard)) {
            return Ok(());
        }
        Err(AcmeRefusal::Restricted { name: identifier_text(identifier, wildcard) })
    }

    /// Whether the credential by itself says that the name is the account's: a resource declares it, it is in force, and restricted to
    /// names that hold this one. It is whoever may write the method's resources who vouches, and not everybody who may hand out keys.
    pub fn is_preauthorized(&self, identifier: &Identifier, wildcard: bool) -> bool {
        let credential = self.own_credential().filter(|row| row.declared && self.is_binding_alive());
        let restriction = credential.and_then(|credential| credential.identifiers.as_ref());
        restriction.is_some_and(|restriction| restriction.permits(identifier, wildcard))
    }

    /// Whether the account is bound by the value before, which stops soon: what is bound with the present one goes on.
    pub fn is_bound_by_previous(&self) -> bool {
        let binding = self.account.binding.as_ref();
        let previous = self.own_credential().and_then(|row| row.previous_at(self.now));
        binding
            .zip(previous)
            .is_some_and(|(binding, previous)| previous.verifier.fingerprint() == Some(binding.fingerprint))
    }

    /// What the account has shown of who it is.
    pub fn strength(&self) -> Strength {
        if self.account.binding.is_some() { Strength::PersonalSecret } else { Strength::Anonymous }
    }

    /// Whether the authorization shows, now, that the account controls its name: it is valid, and so is what it was given for.
    pub fn controls(&self, authorization: &Authorization) -> bool {
        self.check_authorization(authorization).is_ok()
    }

    /// Evidence that the account may have a certificate for the names of this order with this request. What is asked for
    /// becomes what was ordered: its names, as the order spells them, and its validity.
    ///
    /// # Errors
    /// [`AcmeRefusal`].
    pub fn verify(
        &self,
        method: &Method,
        order: &OrderRow,
        asked: &mut Asked,
    ) -> Result<Evidence, AcmeRefusal> {
        self.check(method)?;
        self.check_order(order)?;
        check_request(order, self.account, asked)?;
        asked.subject_alt_names = certificate_names(order);
        asked.validity =
            AskedValidity { not_before: order.not_before, not_after: order.not_after, duration: None };
        let account = self.account;
        let mut expect = vec![
            Expect::AcmeAccountVersion { id: account.id.clone(), version: account.version },
            Expect::AcmeOrderVersion { id: order.id.clone(), version: order.version },
        ];
        if let Some(credential) = self.own_credential() {
            let (id, version) = (credential.id.clone(), credential.version);
            expect.push(Expect::CredentialVersion { id, version });
        }
        let binding = account.binding.as_ref();
        Ok(Evidence {
            method: method.name.clone(),
            name: account.requester(),
            strength: self.strength(),
            credential: binding.map(|binding| binding.credential.clone()),
            holder: None,
            used_up: false,
            owner: account.owner.clone(),
            certified: None,
            proven: asked.subject_alt_names.clone(),
            expect,
        })
    }

    fn check_order(&self, order: &OrderRow) -> Result<(), AcmeRefusal> {
        if order.account != self.account.id || order.method != self.account.method {
            return Err(AcmeRefusal::ForeignOrder);
        }
        if order.authorizations.is_empty() {
            return Err(AcmeRefusal::Order(OrderStatus::Invalid));
        }
        match order.status(self.now) {
            status @ (OrderStatus::Pending | OrderStatus::Valid) => return Err(AcmeRefusal::Order(status)),
            OrderStatus::Ready | OrderStatus::Processing | OrderStatus::Invalid => {}
        }
        // Before it is said that the order is invalid, because this says why.
        for authorization in &order.authorizations {
            self.check_authorization(authorization)?;
        }
        match order.status(self.now) {
            OrderStatus::Ready | OrderStatus::Processing => Ok(()),
            status @ (OrderStatus::Pending | OrderStatus::Valid | OrderStatus::Invalid) => {
                Err(AcmeRefusal::Order(status))
            }
        }
    }

    /// Valid, now and for this account.
    fn check_authorization(&self, authorization: &Authorization) -> Result<(), AcmeRefusal> {
        let (identifier, wildcard) = (&authorization.identifier, authorization.wildcard);
        let refused = |status| Err(AcmeRefusal::Authorization { name: authorization.name(), status });
        match authorization.status_at(self.now) {
            AuthorizationStatus::Valid => {}
            other @ (AuthorizationStatus::Pending
            | AuthorizationStatus::Invalid
            | AuthorizationStatus::Deactivated
            | AuthorizationStatus::Revoked
            | AuthorizationStatus::Expired) => return refused(other),
        }
        self.check_name(identifier, wildcard)?;
        if authorization.preauthorized && !self.is_preauthorized(identifier, wildcard) {
            return refused(AuthorizationStatus::Revoked);
        }
        Ok(())
    }

    /// The row, where it is the one that the account is bound to.
    fn own_credential(&self) -> Option<&'a CredentialRow> {
        let binding = self.account.binding.as_ref()?;
        self.credential.filter(|row| row.id == binding.credential && row.method == self.account.method)
    }

    /// Whether the account has no binding, or one to a credential that is not revoked, by a value that is still accepted.
    fn is_binding_alive(&self) -> bool {
        let Some(binding) = &self.account.binding else { return true };
        self.own_credential().is_some_and(|row| {
            let mut accepted = row.verifiers_at(self.now).map(Verifier::fingerprint);
            row.state == CredentialState::Active && accepted.any(|found| found == Some(binding.fingerprint))
        })
    }
}

/// RFC 8555 §7.4: the request asks for exactly the names of the order, and not with the account's key (§11.1).
fn check_request(order: &OrderRow, account: &AccountRow, asked: &Asked) -> Result<(), AcmeRefusal> {
    if let OrderState::Processing { csr, .. } = &order.state
        && *csr != asked.encoded
    {
        return Err(AcmeRefusal::Csr(CsrFault::OtherRequest));
    }
    let ordered: BTreeSet<(Identifier, bool)> = order
        .authorizations
        .iter()
        .map(|authorization| (authorization.identifier.clone(), authorization.wildcard))
        .collect();
    let mut missing: BTreeSet<&(Identifier, bool)> = ordered.iter().collect();
    let mut take = |name: (Identifier, bool)| {
        missing.remove(&name);
        if ordered.contains(&name) {
            return Ok(());
        }
        let name = identifier_text(&name.0, name.1);
        Err(AcmeRefusal::Csr(CsrFault::NameNotOrdered(name)))
    };
    for name in &asked.subject_alt_names {
        let named = identifier_of(name);
        take(named.ok_or_else(|| AcmeRefusal::Csr(CsrFault::NameNotOrdered(name.to_string())))?)?;
    }
    // In place of a subjectAltName, or beside it.
    for attribute in asked.subject.attributes() {
        if attribute.kind == AttributeType::CommonName {
            let address = attribute.value.parse().map(|address| (Identifier::Ip(address), false));
            take(address.unwrap_or_else(|_| dns_identifier(&attribute.value)))?;
        }
    }
    if let Some((identifier, wildcard)) = missing.first() {
        let name = identifier_text(identifier, *wildcard);
        return Err(AcmeRefusal::Csr(CsrFault::NameMissing(name)));
    }
    match &asked.key {
        AskedKey::Requester(key)
            if canonical_jwk(key).is_none_or(|jwk| jwk_thumbprint(&jwk) == account.thumbprint) =>
        {
            Err(AcmeRefusal::Csr(CsrFault::AccountKey))
        }
        AskedKey::Requester(_) | AskedKey::Server(_) => Ok(()),
    }
}

fn certificate_names(order: &OrderRow) -> Vec<GeneralName> {
    let names = order.authorizations.iter();
    names.map(|authorization| general_name(&authorization.identifier, authorization.wildcard)).collect()
}

//! Evidence, and what it makes. The fields are private to this folder: no protocol can claim an identity, only
//! present what a verifier found.

use std::{net::IpAddr, sync::Arc};

use pki::{general_name::GeneralName, time::Time};
use serde::{Deserialize, Serialize};

use crate::{
    acme::{AuthorizationStatus, general_name},
    authority::Method,
    error::{Error, Refusal, Rule},
    identity::{CredentialId, HolderId, Identity, Owner, Protocol, ResourceName},
    policy::Strength,
    rest::OrderRow,
    store::{CertificateRow, Expect},
};

/// Who asked, as rows and the audit trail remember it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Requester {
    pub protocol: Protocol,
    pub method: ResourceName,
    /// The user name, the certificate's subject, the role.
    pub name: String,
    pub strength: Strength,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    /// Where a certificate was shown: whom it names. The name above is for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// Where a certificate was shown that this server issued: to whom. It says who could be the same person, and nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certified: Option<Certified>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
}

/// What a certificate that this server issued was asked for with, as its row says. It is no authority: nobody is whoever that was,
/// nor has what that may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certified {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
}

impl Certified {
    pub(super) fn of(row: CertificateRow) -> Option<Self> {
        let known = row.credential.is_some() || row.owner.is_some();
        known.then_some(Self { credential: row.credential, owner: row.owner })
    }
}

impl Requester {
    /// What tells one requester of a method from another.
    pub fn identity(&self) -> Identity<'_> {
        Identity::new(self.credential.as_ref(), self.holder.as_ref(), &self.name)
    }
}

/// What a verifier found. Made only in [`crate::authn`].
#[derive(Clone, Debug)]
pub struct Evidence {
    pub(super) method: ResourceName,
    pub(super) name: String,
    pub(super) strength: Strength,
    pub(super) credential: Option<CredentialId>,
    pub(super) holder: Option<HolderId>,
    /// The credential is good for reading only: it was used as often as it may be.
    pub(super) used_up: bool,
    pub(super) owner: Option<Owner>,
    /// As [`Requester::certified`].
    pub(super) certified: Option<Certified>,
    /// Names whose control was proved, DNS names in lower case.
    pub(super) proven: Vec<GeneralName>,
    /// What must still be true when something is issued on this evidence.
    pub(super) expect: Vec<Expect>,
}

impl Evidence {
    /// Whose rows it was checked against.
    pub fn method(&self) -> &ResourceName {
        &self.method
    }

    /// The user name or subject that was proved.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn credential(&self) -> Option<&CredentialId> {
        self.credential.as_ref()
    }

    /// As [`Requester::identity`].
    pub fn identity(&self) -> Identity<'_> {
        Identity::new(self.credential.as_ref(), self.holder.as_ref(), &self.name)
    }

    /// With the names that whoever this is has proved for an order over REST, as a row read just now says. Somebody else's order
    /// proves nothing, nor does what is not valid now.
    #[must_use]
    pub fn with_proofs_of(mut self, order: &OrderRow, now: Time) -> Self {
        let is_own = order.requester.identity() == self.identity();
        if order.method != self.method || !is_own || order.authorizations.is_empty() {
            return self;
        }
        let authorizations = order.authorizations.iter();
        let valid = authorizations.filter(|one| one.status_at(now) == AuthorizationStatus::Valid);
        self.proven.extend(valid.map(|one| general_name(&one.identifier, one.wildcard)));
        self.expect.push(Expect::RestOrderVersion { id: order.id.clone(), version: order.version });
        self
    }

    #[cfg(test)]
    pub(crate) fn proven(&self) -> &[GeneralName] {
        &self.proven
    }

    /// As rows and the audit trail remember whoever it is.
    pub fn requester(&self, protocol: Protocol, address: Option<IpAddr>) -> Requester {
        Requester {
            protocol,
            method: self.method.clone(),
            name: self.name.clone(),
            strength: self.strength,
            credential: self.credential.clone(),
            holder: self.holder,
            owner: self.owner.clone(),
            certified: self.certified.clone(),
            address,
        }
    }
}

/// A requester who has proved enough for the method and its profile.
#[derive(Clone, Debug)]
pub struct Authenticated {
    method: Arc<Method>,
    requester: Requester,
    proven: Vec<GeneralName>,
    expect: Vec<Expect>,
}

impl Authenticated {
    /// Judges the evidence by what the method asks for and the least the profile does.
    ///
    /// # Errors
    /// [`Error::Refused`] where the profile does not allow the protocol, the evidence is too weak, or the credential is used up;
    /// [`Error::Internal`] where the evidence is of another method, which is a defect.
    pub fn new(method: Arc<Method>, evidence: Evidence, address: Option<IpAddr>) -> Result<Self, Error> {
        if evidence.method != method.name {
            return Err(Error::Internal(format!(
                "evidence for {} was presented to {}",
                evidence.method, method.name
            )));
        }
        method.check_strength(evidence.strength)?;
        if evidence.used_up {
            let sentence =
                "maximumUses: this credential was used as often as it may be, and is good for reading only";
            return Err(Refusal::new(Rule::Uses, sentence).into());
        }
        let requester = evidence.requester(method.protocol, address);
        Ok(Self { method, requester, proven: evidence.proven, expect: evidence.expect })
    }

    /// The server itself, for its own role certificates: only the engine can say so.
    pub(crate) fn internal(method: Arc<Method>, role: &str) -> Self {
        let requester = Requester {
            protocol: Protocol::Internal,
            method: method.name.clone(),
            name: role.into(),
            strength: Strength::CertificateAndSecret,
            credential: None,
            holder: None,
            owner: None,
            certified: None,
            address: None,
        };
        Self { method, requester, proven: Vec::new(), expect: Vec::new() }
    }

    pub fn method(&self) -> &Arc<Method> {
        &self.method
    }

    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// Names whose control the requester has proved, DNS names in lower case.
    pub(crate) fn proven(&self) -> &[GeneralName] {
        &self.proven
    }

    pub(crate) fn expect(&self) -> &[Expect] {
        &self.expect
    }
}

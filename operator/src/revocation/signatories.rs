//! The authorities that could have signed a certificate.

use issuance::{
    authority::key_identifier,
    identity::{KeyId, ResourceName},
};
use pki::certificate::Certificate;

use crate::context::Outlook;

/// An authority that has its certificate.
#[derive(Clone, Debug)]
pub(super) struct Signatory {
    pub(super) name: ResourceName,
    pub(super) key_id: KeyId,
    pub(super) certificate: Certificate,
    /// The EnrollmentServer it belongs to.
    pub(super) server: ResourceName,
    pub(super) keeper: Keeper,
}

/// Who has the key, and so who revokes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keeper {
    Server,
    Operator,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Signatories(pub(super) Vec<Signatory>);

impl Signatories {
    /// Those that the last pass compiled.
    pub(super) fn of(outlook: &Outlook) -> Self {
        let mut found = Vec::new();
        for (server, state) in &outlook.servers {
            let Some(compiled) = &state.resolution.compiled else { continue };
            for authority in &compiled.authorities {
                let Ok(certificate) = Certificate::from_der(&authority.certificate) else { continue };
                let issues = state.resolution.issuing.contains(&authority.name);
                found.push(Signatory {
                    name: authority.name.clone(),
                    key_id: key_identifier(&certificate),
                    certificate,
                    server: server.clone(),
                    keeper: if issues { Keeper::Server } else { Keeper::Operator },
                });
            }
        }
        Self(found)
    }

    pub(super) fn named(&self, name: &ResourceName) -> Option<&Signatory> {
        self.0.iter().find(|signatory| signatory.name == *name)
    }

    pub(super) fn with_key(&self, key_id: KeyId) -> Option<&Signatory> {
        self.0.iter().find(|signatory| signatory.key_id == key_id)
    }

    /// Who signed it, the signature checked.
    pub(super) fn of_certificate(&self, certificate: &Certificate) -> Option<&Signatory> {
        self.0.iter().find(|signatory| {
            signatory.certificate.subject() == certificate.issuer()
                && certificate.verify_signed_by(signatory.certificate.public_key()).is_ok()
        })
    }

    /// The authority whose own certificate this is, the signature checked: whoever imports an authority chooses its serial number and
    /// the name of its issuer.
    pub(super) fn holder(
        &self,
        serial: &pki::serial::SerialNumber,
        issuer: &Signatory,
    ) -> Option<&Signatory> {
        self.0.iter().find(|signatory| {
            signatory.certificate.serial() == serial
                && signatory.certificate.issuer() == issuer.certificate.subject()
                && signatory.certificate.verify_signed_by(issuer.certificate.public_key()).is_ok()
        })
    }
}

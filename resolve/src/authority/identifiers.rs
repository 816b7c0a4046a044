//! Whose a key identifier is. What an authority publishes, and what it revoked, is found by it: an authority with the identifier of
//! another one's key would speak for that one.

use std::{cmp::Reverse, collections::BTreeMap};

use crds::conditions::Reason;
use issuance::{
    authority::key_identifier,
    identity::{KeyId, ResourceName},
};
use pki::certificate::Certificate;

use super::imported::{self, SECRET_REF};
use crate::{observed::Observed, resources::Index, status::Problem};

/// The key that has each identifier.
#[derive(Debug, Default)]
pub(super) struct Identifiers(BTreeMap<KeyId, Claim>);

/// A key with an identifier, and why it is its own: the least has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// That it is the hash of the key (RFC 5280 §4.2.1.2 method 1), which nobody else can have; others are free to choose.
    follows: Reverse<bool>,
    /// That it was there already.
    exists: Reverse<bool>,
    /// Seconds since 1970.
    created: i64,
    authority: ResourceName,
    key: Vec<u8>,
}

impl Identifiers {
    /// Of all authorities, whatever else is wrong with them.
    pub(super) fn of(index: &Index<'_>, observed: &Observed) -> Self {
        let mut found = Self::default();
        for (name, indexed) in &index.authorities {
            let Ok(resource) = indexed.resource.as_ref() else { continue };
            let created = resource.metadata.creation_timestamp.as_ref().map(|time| time.0.as_second());
            let mut note = |certificate: &Certificate, exists| {
                found.note(certificate, exists, created.unwrap_or(i64::MIN), name);
            };
            let existing = observed.authorities.get(name);
            if let Some(own) = existing.and_then(|found| Certificate::from_der(&found.certificate).ok()) {
                note(&own, true);
            }
            if let Some(source) = &resource.spec.imported {
                let secret = ResourceName::new(name.namespace(), &source.secret_ref.name);
                let chain = imported::read_chain(index, SECRET_REF, &secret).unwrap_or_default();
                chain.first().into_iter().for_each(|own| note(own, false));
            }
        }
        found
    }

    fn note(&mut self, certificate: &Certificate, exists: bool, created: i64, authority: &ResourceName) {
        let (identifier, key) = (key_identifier(certificate), certificate.public_key());
        let claim = Claim {
            follows: Reverse(identifier.0 == key.key_identifier()),
            exists: Reverse(exists),
            created,
            authority: authority.clone(),
            key: key.spki_der().to_vec(),
        };
        let first = self.0.entry(identifier).or_insert_with(|| claim.clone());
        if claim < *first {
            *first = claim;
        }
    }

    /// # Errors
    /// Where the certificate of an authority has the identifier of another one's key.
    pub(super) fn check(&self, certificate: &Certificate) -> Result<(), Problem> {
        let identifier = key_identifier(certificate);
        match self.0.get(&identifier) {
            Some(claim) if claim.key != certificate.public_key().spki_der() => Err(Problem::new(
                Reason::SecretInvalid,
                SECRET_REF,
                format!(
                    "\"{}\" has the subjectKeyIdentifier {identifier}, which is that of another key, of {}",
                    certificate.subject(),
                    claim.authority
                ),
            )),
            Some(_) | None => Ok(()),
        }
    }
}

//! What the server issues with, at run time: authorities with their keys, profiles with their authority, methods
//! with their profile. Made once when the configuration is loaded; a request only follows pointers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use pki::{
    certificate::Certificate,
    crl::RevokedEntry,
    extension::{
        AuthorityInfoAccess, AuthorityKeyIdentifier, CrlDistributionPoints, Extension, ExtensionError,
        KeyUsage, KeyUsageBit, NameConstraints, TypedExtension as _,
    },
};

use crate::{
    error::{Error, Refusal, Rule},
    identity::{KeyId, Protocol, ResourceName},
    policy::{Profile, Strength},
    ports::Signer,
};

/// A key that signs, with its certificate and what it publishes.
#[derive(Debug)]
pub struct Authority {
    pub name: ResourceName,
    pub certificate: Certificate,
    /// From the issuing certificate upwards, DER; ends with the root, itself for a root.
    pub chain: Vec<Vec<u8>>,
    pub signer: Arc<dyn Signer>,
    pub crl: CrlSettings,
    key_id: KeyId,
    authority_key_identifier: Extension,
    crl_distribution_points: Option<Extension>,
    authority_info_access: Option<Extension>,
    /// Of its own certificate and of those above it.
    name_constraints: Vec<NameConstraints>,
    inherited: Option<InheritedCrl>,
}

/// The last list that was made elsewhere, before the key came here: what it lists stays revoked, and numbers go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InheritedCrl {
    pub number: u64,
    pub entries: Vec<RevokedEntry>,
}

/// How CRLs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrlSettings {
    /// nextUpdate − thisUpdate.
    pub validity: Duration,
    /// A new one is made this long before the last one ends.
    pub renew_before: Duration,
}

/// Where relying parties find what an authority publishes; baked into certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicationUrls {
    pub crl: Option<String>,
    pub certificate: Option<String>,
}

impl PublicationUrls {
    /// Where an authority publishes below the public base URL of its server; nowhere without one.
    pub fn below(base: Option<&str>, key_id: KeyId) -> Self {
        Self {
            crl: base.map(|base| format!("{base}{}", crl_path(key_id))),
            certificate: base.map(|base| format!("{base}{}", certificate_path(key_id))),
        }
    }
}

/// Where an authority's CRL is, below the public base URL.
pub fn crl_path(key_id: KeyId) -> String {
    format!("/pki/{key_id}/crl")
}

/// Where an authority's certificate is, below the public base URL.
pub fn certificate_path(key_id: KeyId) -> String {
    format!("/pki/{key_id}/certificate")
}

impl Authority {
    /// # Errors
    /// [`Error::Internal`] where key and certificate do not belong together or the certificate is not an
    /// authority's: such an authority must not sign at all.
    pub fn new(
        name: ResourceName,
        certificate: Certificate,
        chain: Vec<Vec<u8>>,
        signer: Arc<dyn Signer>,
        crl: CrlSettings,
        urls: &PublicationUrls,
    ) -> Result<Self, Error> {
        let unfit = |what: &str| Error::Internal(format!("authority {name}: {what}"));
        if certificate.public_key().spki_der() != signer.public_key().spki_der() {
            return Err(unfit("the key is not the certificate's"));
        }
        let constraints = certificate.basic_constraints().map_err(|e| unfit(&e.to_string()))?;
        if !constraints.is_some_and(|constraints| constraints.ca) {
            return Err(unfit("the certificate is not an authority's (basicConstraints)"));
        }
        let usage = certificate.key_usage().map_err(|e| unfit(&e.to_string()))?;
        if !usage.is_none_or(|usage| usage.contains(KeyUsageBit::KeyCertSign)) {
            return Err(unfit("the certificate may not sign certificates (keyUsage)"));
        }
        let key_id = key_identifier(&certificate);
        let crl_distribution_points =
            urls.crl.clone().map(|url| CrlDistributionPoints(vec![url]).to_extension());
        let authority_info_access = urls
            .certificate
            .clone()
            .map(|url| AuthorityInfoAccess { ca_issuers: vec![url], ocsp: Vec::new() }.to_extension());
        // RFC 5280 §4.2.1.1: the octets in the authority's own certificate, however many an imported one has.
        let stated = certificate.subject_key_identifier().map_err(|e| unfit(&e.to_string()))?;
        let identifier = stated.map_or_else(|| key_id.0.to_vec(), |identifier| identifier.0);
        let authority_key_identifier = AuthorityKeyIdentifier(Some(identifier)).to_extension();
        let name_constraints = name_constraints(&chain).map_err(|e| unfit(&e.to_string()))?;
        Ok(Self {
            name,
            certificate,
            chain,
            signer,
            crl,
            key_id,
            authority_key_identifier,
            crl_distribution_points,
            authority_info_access,
            name_constraints,
            inherited: None,
        })
    }

    /// Goes on where somebody else left off.
    #[must_use]
    pub fn continuing(self, inherited: InheritedCrl) -> Self {
        Self { inherited: Some(inherited), ..self }
    }

    pub(crate) fn inherited(&self) -> Option<&InheritedCrl> {
        self.inherited.as_ref()
    }

    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// What is handed out with a certificate, the authority's own first, DER. Without the root, which whoever trusts it has;
    /// but never nothing, because programs look for a certificate beside their own.
    pub fn presented_chain(&self) -> &[Vec<u8>] {
        match self.chain.split_last() {
            Some((_root, below)) if !below.is_empty() => below,
            Some(_) | None => &self.chain,
        }
    }

    /// Whether it may sign CRLs.
    pub fn signs_crls(&self) -> bool {
        self.certificate
            .key_usage()
            .ok()
            .flatten()
            .is_none_or(|usage: KeyUsage| usage.contains(KeyUsageBit::CrlSign))
    }

    pub(crate) fn name_constraints(&self) -> &[NameConstraints] {
        &self.name_constraints
    }

    pub(crate) fn authority_key_identifier(&self) -> &Extension {
        &self.authority_key_identifier
    }

    pub(crate) fn crl_distribution_points(&self) -> Option<&Extension> {
        self.crl_distribution_points.as_ref()
    }

    pub(crate) fn authority_info_access(&self) -> Option<&Extension> {
        self.authority_info_access.as_ref()
    }
}

fn name_constraints(chain: &[Vec<u8>]) -> Result<Vec<NameConstraints>, ExtensionError> {
    // What is no certificate cannot constrain; the chain was checked when it was taken over.
    let certificates = chain.iter().filter_map(|der| Certificate::from_der(der).ok());
    let found =
        certificates.map(|certificate| NameConstraints::find(certificate.extensions())).collect::<Vec<_>>();
    found.into_iter().filter_map(Result::transpose).collect()
}

/// The certificate's subjectKeyIdentifier where it has one of 20 octets, else the one its key would get.
pub fn key_identifier(certificate: &Certificate) -> KeyId {
    let stated = certificate.subject_key_identifier().ok().flatten();
    let stated = stated.and_then(|identifier| <[u8; 20]>::try_from(identifier.0.as_slice()).ok());
    KeyId(stated.unwrap_or_else(|| certificate.public_key().key_identifier()))
}

/// A profile and the authority that signs for it.
#[derive(Debug)]
pub struct IssuingProfile {
    pub policy: Profile,
    /// None for a self-signed profile.
    pub authority: Option<Arc<Authority>>,
}

/// One way to ask for certificates of one profile.
#[derive(Debug)]
pub struct Method {
    pub name: ResourceName,
    pub protocol: Protocol,
    /// The least the method itself asks for.
    pub minimum: Strength,
    pub profile: Arc<IssuingProfile>,
    /// How long to tell a requester to wait for a decision.
    pub retry_after: Duration,
}

impl Method {
    /// Whether that much is enough.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn check_strength(&self, shown: Strength) -> Result<(), Error> {
        let minimum = self.minimum_strength()?;
        if shown >= minimum {
            return Ok(());
        }
        let sentence = format!(
            "protocols: {} asks for at least {minimum:?} over {}; {shown:?} was presented",
            self.profile.policy.name, self.protocol
        );
        Err(Refusal::new(Rule::Protocols, sentence).into())
    }

    /// The stronger of what the method and its profile ask for.
    ///
    /// # Errors
    /// [`Error::Refused`] where the profile does not allow this protocol at all.
    pub fn minimum_strength(&self) -> Result<Strength, Error> {
        let rule = self.profile.policy.protocols.iter().find(|rule| rule.protocol == self.protocol);
        match rule {
            Some(rule) => Ok(rule.minimum_authentication.max(self.minimum)),
            None => Err(Refusal::new(
                Rule::Protocols,
                format!(
                    "protocols: {} may not be asked for over {}",
                    self.profile.policy.name, self.protocol
                ),
            )
            .into()),
        }
    }
}

/// Everything a server issues with: one generation of its configuration.
#[derive(Debug, Default)]
pub struct Office {
    pub authorities: HashMap<ResourceName, Arc<Authority>>,
    pub profiles: HashMap<ResourceName, Arc<IssuingProfile>>,
    pub methods: HashMap<ResourceName, Arc<Method>>,
}

impl Office {
    /// The authority whose key has this identifier. Resolving lets no two keys have the same; were there two all the same, the one
    /// that the identifier is the hash of, which the other can only have claimed.
    pub fn authority_by_key(&self, key_id: KeyId) -> Option<&Arc<Authority>> {
        let with_it = self.authorities.values().filter(|authority| authority.key_id() == key_id);
        with_it.min_by_key(|authority| {
            let follows = authority.certificate.public_key().key_identifier() == key_id.0;
            (!follows, &authority.name)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{AuthoritySpec, authority};

    #[test]
    fn a_key_is_found_by_its_identifier_and_not_one_that_claims_it() {
        let own = authority(AuthoritySpec::default());
        let claimed: &'static [u8] = Box::leak(Box::new(own.key_id().0));
        // Whichever of them a map of random order gives first.
        for _ in 0..16 {
            let other =
                authority(AuthoritySpec { key_identifier: Some(claimed), ..AuthoritySpec::default() });
            assert_eq!(other.key_id(), own.key_id());
            let mut office = Office::default();
            office.authorities.insert(ResourceName::new("acme", "own"), own.clone());
            office.authorities.insert(ResourceName::new("acme", "a"), other.clone());
            let found = office.authority_by_key(own.key_id()).unwrap();
            assert!(Arc::ptr_eq(found, &own));
        }
        assert!(Office::default().authority_by_key(own.key_id()).is_none());
    }
}

//! Certificates of authorities: a root signs itself, an intermediate is signed by another authority. Made by whoever
//! provisions (the operator, which has no store, or a standalone server, which records them), never by a request.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use pki::{
    certificate::{Certificate, TbsCertificate, assemble},
    extension::{
        BasicConstraints, Extension, KeyUsage, KeyUsageBit, NameConstraints, SubjectKeyIdentifier,
        TypedExtension as _,
    },
    key::PublicKey,
    name::Name,
    serial::SerialNumber,
    time::Time,
};

use crate::{
    Engine,
    audit::{Action, Actor, AuditEvent, AuditOutcome},
    authority::Authority,
    error::{Error, Result},
    identity::{KeyId, Protocol, ResourceName},
    ports::{Signer, random},
    store::{CertificateRow, CertificateStatus, Commit, Conflict, Write},
};

/// An authority's certificate begins this long before it is made, for peers whose clocks lag.
const BACKDATE_SECONDS: i64 = 300;

/// What the certificate of a new authority says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorityTemplate {
    pub name: ResourceName,
    pub subject: Name,
    pub validity: Duration,
    pub path_length: Option<u8>,
    pub name_constraints: Option<NameConstraints>,
}

/// Signs the certificate of a root, DER, and records it nowhere.
///
/// # Errors
/// [`Error::Unavailable`] where the key does not answer.
pub async fn sign_root(template: &AuthorityTemplate, signer: &Arc<dyn Signer>, now: Time) -> Result<Vec<u8>> {
    let extensions = extensions(template, signer.public_key());
    let until = end(now, template.validity);
    let parts = Parts { template, signer, issuer: &template.subject, extensions, until, now };
    parts.sign(signer.public_key()).await
}

/// Signs the certificate of an intermediate, DER, and records it nowhere. It never outlives its parent.
///
/// # Errors
/// As [`sign_root`].
pub async fn sign_intermediate(
    template: &AuthorityTemplate,
    public_key: &PublicKey,
    parent: &Authority,
    now: Time,
) -> Result<Vec<u8>> {
    let mut extensions = extensions(template, public_key);
    extensions.push(parent.authority_key_identifier().clone());
    extensions.extend(parent.crl_distribution_points().cloned());
    extensions.extend(parent.authority_info_access().cloned());
    let until = end(now, template.validity).min(parent.certificate.not_after());
    let issuer = parent.certificate.subject();
    let parts = Parts { template, signer: &parent.signer, issuer, extensions, until, now };
    parts.sign(public_key).await
}

impl Engine {
    /// Makes and records the certificate of a root, DER.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store or the key does not answer: nothing was made.
    pub async fn create_root(
        &self,
        template: &AuthorityTemplate,
        signer: &Arc<dyn Signer>,
    ) -> Result<Vec<u8>> {
        let der = sign_root(template, signer, self.clock().now()).await?;
        self.record_new(&template.name, None, KeyId(signer.public_key().key_identifier()), der).await
    }

    /// Makes and records the certificate of an intermediate, DER. It never outlives its parent.
    ///
    /// # Errors
    /// As [`Engine::create_root`].
    pub async fn create_intermediate(
        &self,
        template: &AuthorityTemplate,
        public_key: &PublicKey,
        parent: &Authority,
    ) -> Result<Vec<u8>> {
        let der = sign_intermediate(template, public_key, parent, self.clock().now()).await?;
        self.record_new(&template.name, Some(&parent.name), parent.key_id(), der).await
    }

    /// Records the certificate of an authority that was made elsewhere, unless its row is there: the inventory has it then, and it
    /// can be revoked. `issuer` is the key of who signed it, `parent` its name; a root signed itself and has none.
    /// Whether a row was made.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the store does not answer.
    pub async fn adopt_authority(
        &self,
        name: &ResourceName,
        certificate: &Certificate,
        issuer: KeyId,
        parent: Option<&ResourceName>,
    ) -> Result<bool> {
        if self.store().certificate(issuer, certificate.serial()).await?.is_some() {
            return Ok(false);
        }
        match self.record(name, parent, issuer, certificate).await? {
            Ok(()) => Ok(true),
            // Another replica was faster.
            Err(Conflict::SerialTaken { .. }) => Ok(false),
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }

    async fn record_new(
        &self,
        name: &ResourceName,
        parent: Option<&ResourceName>,
        issuer: KeyId,
        der: Vec<u8>,
    ) -> Result<Vec<u8>> {
        let certificate = Certificate::from_der(&der)
            .map_err(|error| Error::Internal(format!("what was signed cannot be read: {error}")))?;
        match self.record(name, parent, issuer, &certificate).await? {
            Ok(()) => Ok(der),
            Err(Conflict::SerialTaken { .. }) => Err(Error::Internal("random serial numbers repeat".into())),
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
    }

    async fn record(
        &self,
        name: &ResourceName,
        parent: Option<&ResourceName>,
        issuer: KeyId,
        certificate: &Certificate,
    ) -> Result<std::result::Result<(), Conflict>> {
        let now = self.clock().now();
        let subject = certificate.subject().to_string();
        let mut event = AuditEvent::new(now, Action::AuthorityCreated, AuditOutcome::Done, Actor::Server);
        event.authority = Some(name.clone());
        event.issuer = Some(issuer);
        event.serial = Some(*certificate.serial());
        event.subject = Some(subject.clone());
        let row = CertificateRow {
            issuer,
            serial: *certificate.serial(),
            authority: Some(parent.unwrap_or(name).clone()),
            profile: name.clone(),
            method: name.clone(),
            protocol: Protocol::Internal,
            credential: None,
            owner: None,
            requester: format!("authority {name}"),
            subject,
            subject_alt_names: Vec::new(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
            issued_at: now,
            status: CertificateStatus::Valid,
            public_key_sha256: hex::encode(certificate.public_key().spki_sha256()),
            server_key: false,
            request: None,
            der: certificate.der().to_vec(),
        };
        let commit = Commit {
            expect: Vec::new(),
            writes: vec![Write::InsertCertificate(Box::new(row))],
            audit: vec![event],
        };
        Ok(self.store().commit(commit).await?.map(|_| ()))
    }
}

struct Parts<'a> {
    template: &'a AuthorityTemplate,
    signer: &'a Arc<dyn Signer>,
    issuer: &'a Name,
    extensions: Vec<Extension>,
    until: Time,
    now: Time,
}

impl Parts<'_> {
    async fn sign(&self, public_key: &PublicKey) -> Result<Vec<u8>> {
        let serial = SerialNumber::from_random(random()?);
        let algorithm = self.signer.signature_algorithm();
        let tbs = TbsCertificate {
            serial: &serial,
            signature_algorithm: algorithm,
            issuer: self.issuer,
            not_before: self.now.plus_seconds(-BACKDATE_SECONDS),
            not_after: self.until,
            subject: &self.template.subject,
            public_key,
            extensions: &self.extensions,
        }
        .to_der();
        let signature = self.signer.sign(&tbs).await?;
        Ok(assemble(&tbs, algorithm, &signature))
    }
}

/// RFC 5280 §4.2.1.9, §4.2.1.3, §4.2.1.2, §4.2.1.10.
fn extensions(template: &AuthorityTemplate, public_key: &PublicKey) -> Vec<Extension> {
    let usage: KeyUsage =
        [KeyUsageBit::KeyCertSign, KeyUsageBit::CrlSign, KeyUsageBit::DigitalSignature].into_iter().collect();
    let mut extensions = vec![
        BasicConstraints { ca: true, path_length: template.path_length }.to_extension(),
        usage.to_extension(),
        SubjectKeyIdentifier(public_key.key_identifier().to_vec()).to_extension(),
    ];
    extensions.extend(template.name_constraints.as_ref().map(NameConstraints::to_extension));
    extensions
}

fn end(now: Time, validity: Duration) -> Time {
    let seconds = i64::try_from(validity.as_secs()).unwrap_or(i64::MAX);
    now.plus_seconds(seconds).plus_seconds(-BACKDATE_SECONDS).min(Time::NO_WELL_DEFINED_EXPIRATION)
}

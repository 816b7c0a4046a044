//! Certificates of authorities: a root signs itself, an intermediate is signed by another authority. Made by whoever
//! provisions (the operator, or a standalone server), never by a request.

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use pki::{
    certificate::{TbsCertificate, assemble},
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
        let now = self.clock().now();
        let key_id = KeyId(signer.public_key().key_identifier());
        let extensions = extensions(template, signer.public_key());
        let until = end(now, template.validity);
        let parts = Parts { template, signer, issuer: &template.subject, extensions, until, now };
        self.record(&parts, signer.public_key(), key_id, None).await
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
        let now = self.clock().now();
        let mut extensions = extensions(template, public_key);
        extensions.push(parent.authority_key_identifier().clone());
        extensions.extend(parent.crl_distribution_points().cloned());
        extensions.extend(parent.authority_info_access().cloned());
        let until = end(now, template.validity).min(parent.certificate.not_after());
        let issuer = parent.certificate.subject();
        let parts = Parts { template, signer: &parent.signer, issuer, extensions, until, now };
        self.record(&parts, public_key, parent.key_id(), Some(&parent.name)).await
    }

    async fn record(
        &self,
        parts: &Parts<'_>,
        public_key: &PublicKey,
        issuer: KeyId,
        parent: Option<&ResourceName>,
    ) -> Result<Vec<u8>> {
        let (der, serial) = parts.sign(public_key).await?;
        let name = &parts.template.name;
        let subject = parts.template.subject.to_string();
        let mut event =
            AuditEvent::new(parts.now, Action::AuthorityCreated, AuditOutcome::Done, Actor::Server);
        event.authority = Some(name.clone());
        event.issuer = Some(issuer);
        event.serial = Some(serial);
        event.subject = Some(subject.clone());
        let row = CertificateRow {
            issuer,
            serial,
            authority: parent.cloned().or_else(|| Some(name.clone())),
            profile: name.clone(),
            method: name.clone(),
            protocol: Protocol::Internal,
            credential: None,
            owner: None,
            requester: format!("authority {name}"),
            subject,
            subject_alt_names: Vec::new(),
            not_before: parts.not_before(),
            not_after: parts.until,
            issued_at: parts.now,
            status: CertificateStatus::Valid,
            public_key_sha256: hex::encode(public_key.spki_sha256()),
            request: None,
            der: der.clone(),
        };
        let commit = Commit {
            expect: Vec::new(),
            writes: vec![Write::InsertCertificate(Box::new(row))],
            audit: vec![event],
        };
        match self.store().commit(commit).await? {
            Ok(_) => Ok(der),
            Err(Conflict::SerialTaken { .. }) => Err(Error::Internal("random serial numbers repeat".into())),
            Err(other) => Err(Error::Conflict(other.to_string())),
        }
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
    fn not_before(&self) -> Time {
        self.now.plus_seconds(-BACKDATE_SECONDS)
    }

    async fn sign(&self, public_key: &PublicKey) -> Result<(Vec<u8>, SerialNumber)> {
        let serial = SerialNumber::from_random(random()?);
        let algorithm = self.signer.signature_algorithm();
        let tbs = TbsCertificate {
            serial: &serial,
            signature_algorithm: algorithm,
            issuer: self.issuer,
            not_before: self.not_before(),
            not_after: self.until,
            subject: &self.template.subject,
            public_key,
            extensions: &self.extensions,
        }
        .to_der();
        let signature = self.signer.sign(&tbs).await?;
        Ok((assemble(&tbs, algorithm, &signature), serial))
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

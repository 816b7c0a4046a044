//! The internal authority, and certificates by it.

use std::{fmt, sync::Arc};

use issuance::{
    ports::{Signer, random},
    secret::Secret,
};
use pki::{
    algorithm::KeyAlgorithm,
    certificate::{Certificate, TbsCertificate, assemble},
    extension::{
        AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, Extension, KeyUsage, KeyUsageBit,
        SubjectAltName, SubjectKeyIdentifier, TypedExtension as _, eku_oid,
    },
    general_name::GeneralName,
    key::PublicKey,
    name::{Attribute, AttributeType, Name},
    serial::SerialNumber,
    time::Time,
};
use signers::SoftwareSigner;

use crate::provision::ProvisionError;

const DAY: i64 = 86_400;

/// Of the authority's own certificate.
const AUTHORITY_DAYS: i64 = 3650;

/// Of what it issues.
const LEAF_DAYS: i64 = 90;

/// For peers whose clocks lag.
const BACKDATE: i64 = 300;

/// The authority with its key.
#[derive(Clone)]
pub(super) struct Internal {
    signer: Arc<SoftwareSigner>,
    certificate: Certificate,
}

/// What a certificate may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Server,
    Operator,
}

/// A certificate with its key.
pub(super) struct Leaf {
    pub(super) certificate: Vec<u8>,
    /// PKCS#8 DER.
    pub(super) key: Secret,
    parsed: Certificate,
}

impl fmt::Debug for Internal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Internal").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Internal {
    /// A new one, its certificate signed by itself.
    pub(super) async fn generate(now: Time) -> Result<Self, ProvisionError> {
        let signer = Arc::new(SoftwareSigner::generate(KeyAlgorithm::EcdsaP256)?);
        let certificate = sign_own(&signer, now).await?;
        Ok(Self { signer, certificate })
    }

    /// What is wrong is the end of a sentence that begins with the Secret's name.
    pub(super) fn read(key: &Secret, chain: &[Vec<u8>]) -> Result<Self, String> {
        let signer = SoftwareSigner::from_pkcs8(key)
            .map_err(|error| format!("holds a key that cannot be used: {error}"))?;
        let der = chain.first().ok_or("holds no certificate")?;
        let certificate = Certificate::from_der(der)
            .map_err(|error| format!("holds a certificate that cannot be read: {error}"))?;
        if certificate.public_key() != signer.public_key() {
            return Err("holds a key that is not the certificate's".to_owned());
        }
        Ok(Self { signer: Arc::new(signer), certificate })
    }

    pub(super) fn pkcs8(&self) -> Result<Secret, ProvisionError> {
        Ok(self.signer.to_pkcs8()?)
    }

    /// DER.
    pub(super) fn certificate(&self) -> &[u8] {
        self.certificate.der()
    }

    pub(super) fn is_renewal_due(&self, now: Time) -> bool {
        is_renewal_due(&self.certificate, now)
    }

    /// The same key with a new certificate.
    pub(super) async fn renew(&self, now: Time) -> Result<Self, ProvisionError> {
        Ok(Self { certificate: sign_own(&self.signer, now).await?, signer: self.signer.clone() })
    }

    /// Whether it signed this.
    pub(super) fn issued(&self, leaf: &Leaf) -> bool {
        leaf.parsed.verify_signed_by(self.certificate.public_key()).is_ok()
    }

    /// A certificate for a new key.
    pub(super) async fn issue(&self, dns_name: &str, role: Role, now: Time) -> Result<Leaf, ProvisionError> {
        let signer = SoftwareSigner::generate(KeyAlgorithm::EcdsaP256)?;
        let usage: KeyUsage = [KeyUsageBit::DigitalSignature].into_iter().collect();
        let purpose = match role {
            Role::Server => eku_oid("serverAuth"),
            Role::Operator => eku_oid("clientAuth"),
        };
        let own_identifier = self.certificate.public_key().key_identifier().to_vec();
        let extensions = [
            BasicConstraints { ca: false, path_length: None }.to_extension(),
            usage.to_extension(),
            ExtendedKeyUsage(purpose.into_iter().collect()).to_extension(),
            SubjectAltName(vec![GeneralName::Dns(dns_name.to_owned())]).to_extension(),
            SubjectKeyIdentifier(signer.public_key().key_identifier().to_vec()).to_extension(),
            AuthorityKeyIdentifier(Some(own_identifier)).to_extension(),
        ];
        let until = now.plus_seconds(LEAF_DAYS * DAY).min(self.certificate.not_after());
        let contents = Contents {
            subject: &name(match role {
                Role::Server => "server",
                Role::Operator => "operator",
            })?,
            public_key: signer.public_key(),
            extensions: &extensions,
            until,
        };
        let parsed = sign(&self.signer, &contents, now).await?;
        Ok(Leaf { certificate: parsed.der().to_vec(), key: signer.to_pkcs8()?, parsed })
    }
}

impl Leaf {
    /// None where key and certificate are not there, or do not belong together.
    pub(super) fn read(key: &Secret, chain: &[Vec<u8>]) -> Option<Self> {
        let parsed = Certificate::from_der(chain.first()?).ok()?;
        let signer = SoftwareSigner::from_pkcs8(key).ok()?;
        let belongs = signer.public_key() == parsed.public_key();
        belongs.then(|| Self { certificate: parsed.der().to_vec(), key: key.clone(), parsed })
    }

    pub(super) fn is_for(&self, dns_name: &str) -> bool {
        let names = self.parsed.subject_alt_names().unwrap_or_default();
        names.contains(&GeneralName::Dns(dns_name.to_owned()))
    }

    pub(super) fn is_renewal_due(&self, now: Time) -> bool {
        is_renewal_due(&self.parsed, now)
    }
}

/// A third of the time is left.
fn is_renewal_due(certificate: &Certificate, now: Time) -> bool {
    let (from, until) = (certificate.not_before().unix(), certificate.not_after().unix());
    now.unix() >= until.saturating_sub(until.saturating_sub(from) / 3)
}

struct Contents<'a> {
    subject: &'a Name,
    public_key: &'a PublicKey,
    extensions: &'a [Extension],
    until: Time,
}

async fn sign_own(signer: &SoftwareSigner, now: Time) -> Result<Certificate, ProvisionError> {
    let usage: KeyUsage = [KeyUsageBit::KeyCertSign].into_iter().collect();
    let extensions = [
        BasicConstraints { ca: true, path_length: Some(0) }.to_extension(),
        usage.to_extension(),
        SubjectKeyIdentifier(signer.public_key().key_identifier().to_vec()).to_extension(),
    ];
    let contents = Contents {
        subject: &name("authority")?,
        public_key: signer.public_key(),
        extensions: &extensions,
        until: now.plus_seconds(AUTHORITY_DAYS * DAY),
    };
    sign(signer, &contents, now).await
}

async fn sign(
    signer: &SoftwareSigner,
    contents: &Contents<'_>,
    now: Time,
) -> Result<Certificate, ProvisionError> {
    let internal = |error: &dyn fmt::Display| issuance::Error::Internal(error.to_string());
    let (serial, algorithm) = (SerialNumber::from_random(random()?), signer.signature_algorithm());
    let tbs = TbsCertificate {
        serial: &serial,
        signature_algorithm: algorithm,
        issuer: &name("authority")?,
        not_before: now.plus_seconds(-BACKDATE),
        not_after: contents.until,
        subject: contents.subject,
        public_key: contents.public_key,
        extensions: contents.extensions,
    }
    .to_der();
    let signature = signer.sign(&tbs).await.map_err(issuance::Error::from)?;
    let der = assemble(&tbs, algorithm, &signature);
    Ok(Certificate::from_der(&der).map_err(|error| internal(&error))?)
}

fn name(what: &str) -> Result<Name, ProvisionError> {
    let attribute = |kind, value: &str| Attribute { kind, value: value.to_owned() };
    let attributes = [
        attribute(AttributeType::Organization, "Chancery"),
        attribute(AttributeType::CommonName, &format!("internal {what}")),
    ];
    Ok(Name::from_attributes(&attributes).map_err(|error| issuance::Error::Internal(error.to_string()))?)
}

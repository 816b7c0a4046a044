//! Which certificate a CertificateRevocation means.

use crds::{CertificateRevocation, RevocationTarget, conditions::Reason};
use issuance::identity::{KeyId, ResourceName};
use k8s_openapi::api::core::v1::Secret;
use pki::{certificate::Certificate, serial::SerialNumber};

use super::signatories::{Signatories, Signatory};

/// The key of a Secret that holds the certificate, as in every `kubernetes.io/tls` Secret.
const CERTIFICATE_KEY: &str = "tls.crt";

/// One certificate, by who signed it and its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) issuer: KeyId,
    pub(super) serial: SerialNumber,
    /// Where the certificate itself was given.
    pub(super) subject: Option<String>,
}

/// Why it is not clear which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: Reason,
    /// Begins with the member that is wrong.
    pub(super) message: String,
}

impl Problem {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(Reason::Invalid, message)
    }
}

/// # Errors
/// [`Problem`], most of which another object can mend.
pub(super) fn target(
    revocation: &CertificateRevocation,
    signatories: &Signatories,
    secret: Option<&Secret>,
) -> Result<Target, Problem> {
    let namespace = revocation.metadata.namespace.as_deref().unwrap_or_default();
    match revocation.spec.target() {
        None => Err(Problem::invalid("spec: give exactly one of serial, certificate and secretRef")),
        Some(RevocationTarget::Serial { serial, authority }) => {
            let serial = serial
                .parse::<SerialNumber>()
                .map_err(|error| Problem::invalid(format!("spec.serial: {error}")))?;
            let name = ResourceName::new(authority.namespace_or(namespace), &authority.name);
            let signatory = signatories.named(&name).ok_or_else(|| {
                let message =
                    format!("spec.authorityRef: no CertificateAuthority {name} has its certificate");
                Problem::new(Reason::ReferenceNotAccepted, message)
            })?;
            Ok(Target { issuer: signatory.key_id, serial, subject: None })
        }
        Some(RevocationTarget::Certificate(text)) => {
            of_certificate("spec.certificate", Reason::Invalid, text.as_bytes(), signatories)
        }
        Some(RevocationTarget::Secret(reference)) => {
            let name = format!("{namespace}/{}", reference.name);
            let secret = secret.ok_or_else(|| {
                Problem::new(
                    Reason::SecretInvalid,
                    format!("spec.secretRef: the Secret {name} does not exist"),
                )
            })?;
            let text = secret.data.as_ref().and_then(|data| data.get(CERTIFICATE_KEY)).ok_or_else(|| {
                Problem::new(
                    Reason::SecretInvalid,
                    format!("spec.secretRef: the Secret {name} has no {CERTIFICATE_KEY}"),
                )
            })?;
            of_certificate("spec.secretRef", Reason::SecretInvalid, &text.0, signatories)
        }
    }
}

fn of_certificate(
    path: &str,
    unreadable: Reason,
    text: &[u8],
    signatories: &Signatories,
) -> Result<Target, Problem> {
    let problem = |what: &str| Problem::new(unreadable, format!("{path}: {what}"));
    let blocks = pki::pem::decode_all(text).map_err(|error| problem(&error.to_string()))?;
    let block = blocks
        .iter()
        .find(|block| block.label == "CERTIFICATE")
        .ok_or_else(|| problem("holds no certificate in PEM"))?;
    let certificate = Certificate::from_der(&block.der).map_err(|error| problem(&error.to_string()))?;
    let signatory = signatories.of_certificate(&certificate).ok_or_else(|| {
        let message = format!("{path}: no CertificateAuthority here has signed this certificate");
        Problem::new(Reason::ReferenceNotFound, message)
    })?;
    Ok(Target {
        issuer: signatory.key_id,
        serial: *certificate.serial(),
        subject: Some(certificate.subject().to_string()),
    })
}

/// Whether a namespace may revoke what an authority of the operator's keeping has signed: from the authority's own, everything;
/// from another, the certificates of its own authorities. What servers have issued, they judge themselves.
pub(super) fn may_revoke(
    namespace: &str,
    signatory: &Signatory,
    serial: &SerialNumber,
    signatories: &Signatories,
) -> bool {
    signatory.name.namespace() == namespace
        || signatories.holder(serial, signatory).is_some_and(|holder| holder.name.namespace() == namespace)
}

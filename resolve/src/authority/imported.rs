//! Authorities that exist already: key and certificates come from a Secret of type `kubernetes.io/tls`.

use crds::{CertificateAuthoritySpec, ImportedSource, conditions::Reason};
use issuance::{identity::ResourceName, secret::Secret};
use pki::{
    certificate::Certificate,
    key::{Curve, KeyType},
    pem,
};

use super::{Bounds, waiting};
use crate::{
    bundle,
    resources::Index,
    status::{IssuedState, Problem, Problems},
    want::{ImportAuthorityWant, Want},
};

pub(super) const SECRET_REF: &str = "spec.imported.secretRef";

/// Most certificates of a chain.
const MOST_CERTIFICATES: usize = 16;

/// What the Secret holds, checked but for one thing: that the key is the certificate's.
pub(super) struct Imported {
    secret: ResourceName,
    own: Certificate,
    chain: Vec<Certificate>,
    key: Secret,
}

/// What is to be imported.
pub(super) fn plan(
    index: &Index<'_>,
    name: &ResourceName,
    spec: &CertificateAuthoritySpec,
    source: &ImportedSource,
    problems: &mut Problems,
) -> Option<Imported> {
    for (path, given) in [
        ("spec.subject", spec.subject.is_some()),
        ("spec.key", spec.key.is_some()),
        ("spec.validity", spec.validity.is_some()),
        ("spec.pathLength", spec.path_length.is_some()),
        ("spec.nameConstraints", spec.name_constraints.is_some()),
    ] {
        if given {
            problems.invalid(path, "is refused with imported: the certificate in the Secret has it");
        }
    }
    let secret = ResourceName::new(name.namespace(), &source.secret_ref.name);
    problems.note(read(index, secret))
}

impl Imported {
    /// Its own certificate.
    pub(super) fn certificate(&self) -> &Certificate {
        &self.own
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds::of_chain(&self.chain)
    }

    /// Wanted while nothing is there, and again when the Secret holds a newer certificate of the same key.
    pub(super) fn want(
        &self,
        name: &ResourceName,
        spec: &CertificateAuthoritySpec,
        existing: Option<&Certificate>,
    ) -> Option<Want> {
        if existing == Some(&self.own) {
            return None;
        }
        Some(Want::ImportAuthority(ImportAuthorityWant {
            name: name.clone(),
            secret: self.secret.clone(),
            certificate: self.own.clone(),
            chain: self.chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
            key: self.key.clone(),
            deletion_policy: spec.deletion_policy,
        }))
    }

    /// An authority keeps its key for ever; a certificate for it may be renewed.
    pub(super) fn check_existing(&self, chain: &[Certificate]) -> Result<(), Problem> {
        let Some(existing) = chain.first() else { return Ok(()) };
        if existing.public_key() != self.own.public_key() || existing.subject() != self.own.subject() {
            let what = format!(
                "the Secret {} now holds another authority than the one imported; it cannot change: make a new authority",
                self.secret
            );
            return Err(Problem::new(Reason::ImmutableMember, SECRET_REF, what));
        }
        Ok(())
    }
}

/// How far an authority is that is still to be imported.
pub(super) fn pending() -> IssuedState {
    waiting(Reason::KeyPending, "its key and its certificate are still to be imported")
}

fn read(index: &Index<'_>, secret: ResourceName) -> Result<Imported, Problem> {
    let mut chain = read_chain(index, SECRET_REF, &secret)?;
    let refuse = |what: String| {
        Problem::new(Reason::SecretInvalid, SECRET_REF, format!("the Secret {secret}: {what}"))
    };
    if let Some(root) = index.secret_value(SECRET_REF, &secret, "ca.crt")? {
        for certificate in
            bundle::certificates(root, MOST_CERTIFICATES).map_err(|what| refuse(format!("ca.crt {what}")))?
        {
            if !chain.contains(&certificate) {
                chain.push(certificate);
            }
        }
    }
    check_chain(&chain).map_err(refuse)?;
    let own = chain.first().cloned().ok_or_else(|| refuse("tls.crt holds no certificate".to_owned()))?;
    let key = read_key(index, SECRET_REF, &secret)?;
    Ok(Imported { secret, own, chain, key })
}

/// The certificates under `tls.crt`, at least one, each signed by the next.
pub(crate) fn read_chain(
    index: &Index<'_>,
    path: &str,
    secret: &ResourceName,
) -> Result<Vec<Certificate>, Problem> {
    let refuse = |what: &str| {
        Problem::new(Reason::SecretInvalid, path, format!("the Secret {secret}: tls.crt {what}"))
    };
    let text = index.secret_value(path, secret, "tls.crt")?.ok_or_else(|| refuse("is missing"))?;
    let chain = bundle::certificates(text, MOST_CERTIFICATES).map_err(|what| refuse(&what))?;
    if chain.is_empty() {
        return Err(refuse("holds no certificate"));
    }
    for pair in chain.windows(2) {
        if let [lower, upper] = pair
            && lower.verify_signed_by(upper.public_key()).is_err()
        {
            return Err(refuse(&format!(
                "holds \"{}\", which the certificate after it did not sign",
                lower.subject()
            )));
        }
    }
    Ok(chain)
}

/// The key under `tls.key`, PKCS#8 DER.
pub(crate) fn read_key(index: &Index<'_>, path: &str, secret: &ResourceName) -> Result<Secret, Problem> {
    let refuse = |what: &str| {
        Problem::new(Reason::SecretInvalid, path, format!("the Secret {secret}: tls.key {what}"))
    };
    let text = index.secret_value(path, secret, "tls.key")?.ok_or_else(|| refuse("is missing"))?;
    if text.len() > bundle::MOST_BYTES {
        return Err(refuse("is too large"));
    }
    let mut blocks = pem::decode_all(text).map_err(|error| refuse(&format!("is not PEM: {error}")))?;
    match (blocks.pop(), blocks.is_empty()) {
        (Some(block), true) if block.label == "PRIVATE KEY" => Ok(Secret::new(block.der)),
        (Some(block), true) => Err(refuse(&format!(
            "holds a {}; a PRIVATE KEY (PKCS#8, not encrypted) is needed: openssl pkcs8 -topk8 -nocrypt makes one",
            block.label
        ))),
        (Some(_), false) => Err(refuse("holds more than one block; one PRIVATE KEY is needed")),
        (None, _) => Err(refuse("holds no PEM block; a PRIVATE KEY (PKCS#8) is needed")),
    }
}

/// Every certificate an authority's, each signed by the next, the last a root (RFC 5280 §6.1).
fn check_chain(chain: &[Certificate]) -> Result<(), String> {
    for (below, certificate) in chain.iter().enumerate() {
        bundle::check_authority(certificate, below)?;
        match chain.get(below.saturating_add(1)) {
            Some(upper)
                if certificate.issuer() != upper.subject()
                    || certificate.verify_signed_by(upper.public_key()).is_err() =>
            {
                return Err(format!(
                    "\"{}\" is not signed by \"{}\"",
                    certificate.subject(),
                    upper.subject()
                ));
            }
            Some(_) => {}
            None if !certificate.is_self_signed() => {
                return Err(format!(
                    "the chain ends with \"{}\", which is no root: put the certificates above it into tls.crt, or the root into ca.crt",
                    certificate.subject()
                ));
            }
            None => {}
        }
    }
    match chain.first().map(|own| own.public_key().key_type()) {
        Some(KeyType::Ecdsa(Curve::P521)) => Err("keys on P-521 cannot sign here".to_owned()),
        Some(KeyType::Rsa { bits }) if !(2048..=4096).contains(&bits) => {
            Err(format!("the RSA key has {bits} bits; 2048 to 4096 are supported"))
        }
        Some(KeyType::Ecdsa(_) | KeyType::Rsa { .. } | KeyType::Ed25519) | None => Ok(()),
    }
}

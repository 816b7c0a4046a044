//! `serverkeygen` (RFC 7030 §4.4): the server makes the key, hands it over once, and keeps nothing of it.

use std::sync::Arc;

use aws_lc_rs::digest;
use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use crds::KeyDelivery;
use http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use issuance::{
    Error, Issued, Outcome, Refusal, Rule,
    authn::Freshness,
    engine::Repeat,
    ports::{Signer, random},
    request::{Asked, AskedKey},
    secret::Secret,
    store::{CertificateFilter, CertificateStatus, Page},
};
use pki::{
    certificate::Certificate,
    cms::{
        SIGNED_DATA,
        enveloped::{ContentCipher, Recipient, RecipientIdentifier, encrypt},
        signed_data::SignedDataBuilder,
    },
    csr::{KeylessCsr, UnverifiedCsr},
    key_package::{ASYMMETRIC_KEY_PACKAGE, asymmetric_key_package},
};
use resolve::CompiledKeyGeneration;
use signers::SoftwareSigner;

use super::{
    auth::{authenticate, first_look},
    enroll::{key, malformed, read, refuse_channel_binding, wait},
    error::EstError,
    handlers::{Label, service},
    service::EstService,
    wire::{self, Layout},
};
use crate::{
    listeners::Peer,
    metrics,
    protocols::server_key::generate,
    roles::{Role, role_certificate},
    serving::App,
};

/// RFC 7030 §4.4.1: as simpleenroll, but for the key in the request, which counts for nothing.
pub(super) async fn server_keygen(
    State(app): State<Arc<App>>,
    label: Label,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, EstError> {
    let service = service(&app, label)?;
    tracing::Span::current().record("profile", tracing::field::display(&service.method.profile.policy.name));
    let settings = service.key_generation.as_ref().ok_or(EstError::NotOffered("serverkeygen"))?;
    let authenticated = authenticate(&app, &service, &headers, &peer, first_look(&service)).await?;
    let csr = UnverifiedCsr::from_der(&read(&app, &headers, body).await?).map_err(malformed)?.into_keyless();
    refuse_channel_binding(csr.challenge_password())?;
    // Before anything is issued: a certificate whose key cannot be handed over is no use.
    let recipient = match recipient(&app, &service, settings, &csr, &peer).await {
        Err(Error::Refused(refusal)) => {
            return Err(app.engine.refuse(&authenticated, csr.subject(), refusal).await.into());
        }
        found => found?,
    };
    let request_key = key("serverkeygen", &authenticated, csr.der());
    let (signer, private_key) = generate(settings.key).await?;
    let asked = Asked::from_keyless(&csr, AskedKey::Server(signer))?;
    let mut outcome = app.engine.issue(authenticated, asked.clone(), request_key, Repeat::Another).await;
    if matches!(outcome, Err(Error::Stale)) {
        let authenticated = authenticate(&app, &service, &headers, &peer, Freshness::Fresh).await?;
        outcome = app.engine.issue(authenticated, asked, request_key, Repeat::Another).await;
    }
    app.issuance_ended(&service.method, &outcome);
    let issued = match outcome? {
        Outcome::Issued(issued) => issued,
        Outcome::Pending(pending) => return Ok(wait(&pending)),
    };
    let certificate = Certificate::from_der(&issued.certificate).map_err(internal)?;
    if certificate.public_key().spki_der() != asked_key_spki(&private_key)? {
        // An approved request is good for one certificate, and its key went with it.
        return Err(Error::from(Refusal::new(
            Rule::Approval,
            "approval: this request got its certificate, and its key was handed over before; make another request",
        ))
        .into());
    }
    let delivery = match recipient {
        Some(recipient) => Delivery::Encrypted(seal(&app, &service, &recipient, &private_key).await?),
        None => Delivery::Plain(&private_key),
    };
    multipart(&issued, &delivery)
}

enum Delivery<'a> {
    Plain(&'a Secret),
    /// ContentInfo of EnvelopedData, DER.
    Encrypted(Vec<u8>),
}

fn asked_key_spki(private_key: &Secret) -> Result<Vec<u8>, Error> {
    let signer = SoftwareSigner::from_pkcs8(private_key).map_err(internal)?;
    Ok(signer.public_key().spki_der().to_vec())
}

/// Whom to encrypt the key for; none where it goes as it is.
async fn recipient(
    app: &App,
    service: &EstService,
    settings: &CompiledKeyGeneration,
    csr: &KeylessCsr,
    peer: &Peer,
) -> Result<Option<Recipient>, Error> {
    let name = &service.method.profile.policy.name;
    let refuse = |what: &str| Refusal::new(Rule::Keys, format!("est.serverKeyGeneration: {name}: {what}"));
    if let Some(identifier) = csr.decrypt_key_identifier() {
        let key = settings.decrypt_keys.iter().find(|key| key.identifier == identifier);
        let key =
            key.ok_or_else(|| refuse("the request names a DecryptKeyIdentifier that is not known here"))?;
        let shared = pki::cms::enveloped::SymmetricKey::new(
            key.identifier.clone(),
            zeroize::Zeroizing::new(key.key.expose().to_vec()),
        );
        return Ok(Some(Recipient::symmetric(shared.map_err(internal)?)));
    }
    let shown = peer.certificates.first().and_then(|der| Certificate::from_der(der).ok());
    if let Some(identifier) = csr.asymmetric_decrypt_key_identifier() {
        let known = shown.filter(|certificate| names(certificate, identifier));
        let certificate = match known {
            Some(certificate) => Some(certificate),
            None => issued_to_key(app, service, identifier).await?,
        };
        let certificate = certificate.ok_or_else(|| {
            refuse("the request names an AsymmetricDecryptKeyIdentifier that is neither the client certificate's nor one of a certificate issued here")
        })?;
        let identifier = RecipientIdentifier::SubjectKeyIdentifier(identifier.to_vec());
        let recipient = Recipient::public_key(identifier, certificate.public_key());
        return recipient.map(Some).map_err(|error| refuse(&error.to_string()).into());
    }
    match (shown, settings.delivery) {
        (Some(certificate), KeyDelivery::Encrypted) => {
            Recipient::certificate(&certificate).map(Some).map_err(|error| refuse(&error.to_string()).into())
        }
        (None, KeyDelivery::Encrypted) => Err(refuse(
            "a key is handed over encrypted only; show a client certificate, or name a key by DecryptKeyIdentifier or AsymmetricDecryptKeyIdentifier",
        )
        .into()),
        (Some(_) | None, KeyDelivery::Plain) => Ok(None),
    }
}

/// A key goes by its subjectKeyIdentifier, or by the SHA-256 of its SubjectPublicKeyInfo.
fn names(certificate: &Certificate, identifier: &[u8]) -> bool {
    let stated = certificate.subject_key_identifier().ok().flatten();
    stated.is_some_and(|stated| stated.0 == identifier)
        || certificate.public_key().spki_sha256() == identifier
}

/// A valid certificate of this profile whose key goes by this name. The key identifier is no index: only the hash is
/// looked up.
async fn issued_to_key(
    app: &App,
    service: &EstService,
    identifier: &[u8],
) -> Result<Option<Certificate>, Error> {
    if identifier.len() != digest::SHA256_OUTPUT_LEN {
        return Ok(None);
    }
    let filter = CertificateFilter {
        public_key_sha256: Some(hex::encode(identifier)),
        profile: Some(service.method.profile.policy.name.clone()),
        ..CertificateFilter::default()
    };
    let now = app.engine.clock().now();
    let rows = app.engine.store().certificates(&filter, &Page::first(10)).await?;
    let valid = rows
        .into_iter()
        .map(|(_, row)| row)
        .find(|row| row.status == CertificateStatus::Valid && row.not_after > now);
    valid.map(|row| Certificate::from_der(&row.der).map_err(internal)).transpose()
}

/// RFC 7030 §4.4.2: AsymmetricKeyPackage in SignedData in EnvelopedData.
async fn seal(
    app: &App,
    service: &EstService,
    recipient: &Recipient,
    key: &Secret,
) -> Result<Vec<u8>, Error> {
    let authority = service.method.profile.authority.as_ref();
    let authority =
        authority.ok_or_else(|| Error::Internal("a self-signed profile has no authority".into()))?;
    let role = Role::key_generation(service.method.name.clone());
    let signing = role_certificate(&app.engine, &app.sealing, authority, &role).await?;
    let signer = SoftwareSigner::from_pkcs8(&signing.key).map_err(internal)?;
    let chain = signing.chain.iter().skip(1).map(|der| Certificate::from_der(der).map_err(internal));
    let chain: Vec<Certificate> = chain.collect::<Result<_, _>>()?;
    let package = asymmetric_key_package(key.expose()).map_err(internal)?;
    let algorithm = signer.signature_algorithm();
    let prepared = SignedDataBuilder::new(ASYMMETRIC_KEY_PACKAGE, &package, &signing.leaf, algorithm)
        .with_chain(&chain)
        .with_signing_time(app.engine.clock().now())
        .prepare();
    let signature = signer.sign(prepared.to_be_signed()).await?;
    let signed = prepared.assemble(&signature);
    encrypt(recipient, SIGNED_DATA, signed.der(), ContentCipher::Aes256Cbc).map_err(internal)
}

/// RFC 7030 §4.4.2: the key first, then the certificate.
fn multipart(issued: &Issued, delivery: &Delivery<'_>) -> Result<Response, EstError> {
    tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
    let (key_type, key) = match delivery {
        Delivery::Plain(key) => ("application/pkcs8", key.expose()),
        Delivery::Encrypted(der) => {
            ("application/pkcs7-mime; smime-type=server-generated-key", der.as_slice())
        }
    };
    let key = Layout::Lines.encode(key);
    let boundary = format!("chancery-{}", hex::encode(random::<16>()?));
    let certificate = wire::encode_certs(&[&issued.certificate], Layout::Lines);
    let mut body = String::with_capacity(key.len() + certificate.len() + 512);
    for (content_type, part) in [(key_type, &key), (wire::PKCS7_CERTS_ONLY, &certificate)] {
        body.push_str("--");
        body.push_str(&boundary);
        body.push_str("\r\nContent-Type: ");
        body.push_str(content_type);
        body.push_str("\r\nContent-Transfer-Encoding: base64\r\n\r\n");
        body.push_str(part);
        body.push_str("\r\n");
    }
    body.push_str("--");
    body.push_str(&boundary);
    body.push_str("--\r\n");
    let content_type =
        HeaderValue::from_str(&format!("multipart/mixed; boundary={boundary}")).map_err(internal)?;
    let mut response = ([(CONTENT_TYPE, content_type)], body).into_response();
    response.extensions_mut().insert(metrics::Outcome::Issued);
    Ok(response)
}

fn internal(error: impl std::fmt::Display) -> Error {
    Error::Internal(error.to_string())
}

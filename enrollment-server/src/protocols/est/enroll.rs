//! `simpleenroll` and `simplereenroll` (RFC 7030 §4.2).

use std::sync::Arc;

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use crds::ReenrollKeys;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use issuance::{
    Error, Issued, Outcome, Pending, Refusal, Rule,
    authn::{Authenticated, CurrentCertificate, Freshness},
    engine::{Repeat, request_key},
    identity::HolderId,
    request::Asked,
    store::RequestKey,
};
use pki::{
    csr::{Csr, UnverifiedCsr},
    general_name::GeneralName,
};
use resolve::CompiledReenroll;

use super::{
    auth::{authenticate, authenticate_renewal, first_look},
    error::EstError,
    handlers::{BASE64, Label, service},
    service::EstService,
    wire::{self, Layout},
};
use crate::{
    listeners::{Peer, read_body},
    metrics,
    serving::App,
};

/// RFC 7030 §4.2.1.
pub(super) async fn simple_enroll(
    State(app): State<Arc<App>>,
    label: Label,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, EstError> {
    let service = service(&app, label)?;
    tracing::Span::current().record("profile", tracing::field::display(&service.method.profile.policy.name));
    // Before the body: a stranger's bytes are not worth parsing.
    let authenticated = authenticate(&app, &service, &headers, &peer, first_look(&service)).await?;
    let csr = csr(&read(&app, &headers, body).await?)?;
    let asked = Asked::from_csr(&csr)?;
    let key = key("simpleenroll", &authenticated, csr.der());
    let mut outcome = app.engine.issue(authenticated, asked.clone(), key, Repeat::Another).await;
    if matches!(outcome, Err(Error::Stale)) {
        // The credential changed since it was cached: what holds is what the store says now.
        let authenticated = authenticate(&app, &service, &headers, &peer, Freshness::Fresh).await?;
        outcome = app.engine.issue(authenticated, asked, key, Repeat::Another).await;
    }
    answer(&app, &service, outcome, Layout::for_client(&headers))
}

/// RFC 7030 §4.2.2.
pub(super) async fn simple_reenroll(
    State(app): State<Arc<App>>,
    label: Label,
    axum::Extension(peer): axum::Extension<Peer>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, EstError> {
    let service = service(&app, label)?;
    tracing::Span::current().record("profile", tracing::field::display(&service.method.profile.policy.name));
    let settings = service.reenroll.ok_or(EstError::NotOffered("simplereenroll"))?;
    let (authenticated, current) =
        authenticate_renewal(&app, &service, settings.grace, &headers, &peer).await?;
    let csr = csr(&read(&app, &headers, body).await?)?;
    let asked = Asked::from_csr(&csr)?;
    let fits =
        check_same_names(&asked, &current).and_then(|()| check_key(&service, &settings, &csr, &current));
    if let Err(refusal) = fits {
        return Err(app.engine.refuse(&authenticated, &asked.subject, refusal).await.into());
    }
    let key = key("simplereenroll", &authenticated, csr.der());
    let mut outcome = app.engine.issue(authenticated, asked.clone(), key, Repeat::Another).await;
    if matches!(outcome, Err(Error::Stale)) {
        // Revoked or held between the look and the commit: the store says which.
        let (authenticated, _) =
            authenticate_renewal(&app, &service, settings.grace, &headers, &peer).await?;
        outcome = app.engine.issue(authenticated, asked, key, Repeat::Another).await;
    }
    answer(&app, &service, outcome, Layout::for_client(&headers))
}

/// The body, once content type and size are right.
pub(super) async fn read(app: &App, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, EstError> {
    wire::check_content_type(headers)?;
    let limits = app.limits.load();
    let (most, within) = (limits.body_bytes, limits.read_timeout);
    drop(limits);
    Ok(wire::decode_pkcs10(&read_body(body, most, within).await?)?)
}

fn csr(der: &[u8]) -> Result<Csr, Error> {
    let csr = UnverifiedCsr::from_der(der).and_then(UnverifiedCsr::verify).map_err(malformed)?;
    refuse_channel_binding(csr.challenge_password())?;
    Ok(csr)
}

/// RFC 7030 §3.5 puts tls-unique there, which TLS 1.3 does not have (RFC 9266 §3) and this server cannot check.
pub(super) fn refuse_channel_binding(challenge_password: Option<&str>) -> Result<(), Error> {
    if challenge_password.is_none() {
        return Ok(());
    }
    Err(Error::Malformed(
        "the request has a challengePassword, by which EST binds it to the TLS connection (RFC 7030 §3.5); this server does not offer channel binding: leave the attribute out".into(),
    ))
}

/// The same requester with the same request: what a client repeats while it waits for approval. Certificates of two holders may
/// read the same.
pub(super) fn key(operation: &str, authenticated: &Authenticated, csr: &[u8]) -> RequestKey {
    let requester = authenticated.requester();
    let credential = requester.credential.as_ref().map_or("", |credential| credential.as_str());
    let holder = requester.holder.as_ref().map(|HolderId(holder)| holder.as_slice());
    let mut parts = vec![operation.as_bytes(), credential.as_bytes(), requester.name.as_bytes(), csr];
    parts.extend(holder);
    request_key(&parts)
}

/// RFC 7030 §4.2.2: subject and subjectAltName are those of the certificate that is renewed.
fn check_same_names(asked: &Asked, current: &CurrentCertificate) -> Result<(), Refusal> {
    let certificate = &current.certificate;
    let same_subject = asked.subject.attributes().eq(certificate.subject().attributes());
    let present = certificate.subject_alt_names().unwrap_or_default();
    if !same_subject {
        return Err(Refusal::new(
            Rule::Subject,
            format!(
                "simplereenroll: the subject stays as it is, \"{}\"; \"{}\" was asked for",
                certificate.subject(),
                asked.subject
            ),
        ));
    }
    let spelled = |names: &[GeneralName]| {
        let mut spelled: Vec<String> = names.iter().map(spelled).collect();
        spelled.sort();
        spelled
    };
    let (present, asked) = (spelled(&present), spelled(&asked.subject_alt_names));
    if present != asked {
        return Err(Refusal::new(
            Rule::SubjectAltNames,
            format!(
                "simplereenroll: the subjectAltName stays as it is, [{}]; [{}] was asked for",
                present.join(", "),
                asked.join(", ")
            ),
        ));
    }
    Ok(())
}

fn check_key(
    service: &EstService,
    settings: &CompiledReenroll,
    csr: &Csr,
    current: &CurrentCertificate,
) -> Result<(), Refusal> {
    if settings.keys == ReenrollKeys::Any || csr.public_key() != current.certificate.public_key() {
        return Ok(());
    }
    let name = &service.method.profile.policy.name;
    Err(Refusal::new(
        Rule::KeyReuse,
        format!(
            "est.reenroll.keys: {name} is renewed with a new key each time; the present one was asked for"
        ),
    ))
}

/// Only DNS names are the same in another case (RFC 5280 §7.2); of the rest, a URI's path or a mailbox is not.
fn spelled(name: &GeneralName) -> String {
    match name {
        GeneralName::Dns(name) => GeneralName::Dns(name.to_ascii_lowercase()).to_string(),
        other => other.to_string(),
    }
}

fn answer(
    app: &App,
    service: &EstService,
    outcome: Result<Outcome, Error>,
    layout: Layout,
) -> Result<Response, EstError> {
    app.issuance_ended(&service.method, &outcome);
    Ok(match outcome? {
        Outcome::Issued(issued) => enrolled(&issued, layout),
        Outcome::Pending(pending) => wait(&pending),
    })
}

/// RFC 7030 §4.2.3: only the certificate that was issued.
fn enrolled(issued: &Issued, layout: Layout) -> Response {
    tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
    let headers = [(CONTENT_TYPE, HeaderValue::from_static(wire::PKCS7_CERTS_ONLY)), BASE64];
    let mut response = (headers, wire::encode_certs(&[&issued.certificate], layout)).into_response();
    response.extensions_mut().insert(metrics::Outcome::Issued);
    response
}

/// RFC 7030 §4.2.3: the client asks again with the same request.
pub(super) fn wait(pending: &Pending) -> Response {
    tracing::Span::current().record("request_id", tracing::field::display(&pending.request));
    let retry_after = HeaderValue::from(pending.retry_after.as_secs().max(1));
    let sentence = format!("request {} waits for approval; repeat it later\n", pending.request);
    let mut response = (StatusCode::ACCEPTED, [(RETRY_AFTER, retry_after)], sentence).into_response();
    response.extensions_mut().insert(metrics::Outcome::Pending);
    response
}

pub(super) fn malformed(error: impl std::fmt::Display) -> Error {
    Error::Malformed(format!("the body is not an acceptable PKCS #10 request: {error}"))
}

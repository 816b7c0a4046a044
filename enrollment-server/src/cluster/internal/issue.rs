//! `POST issue`: a certificate for a request of the cluster, by the pipeline that every protocol goes through.

use axum::{
    Json,
    body::Body,
    extract::State,
    response::{IntoResponse, Response},
};
use client::internal::{IssueOutcome, IssueRequest, RefusalCause};
use issuance::{
    Error, Issued, Outcome, Refusal, Rule,
    authn::{Authenticated, Requester, namespace_owner},
    engine::{Repeat, request_key},
    error::Result,
    identity::ResourceName,
    policy::Strength,
    request::Asked,
    store::RequestKey,
};
use pki::certificate::Certificate;

use super::{Admitted, Internal, InternalError, read, wish};
use crate::{
    metrics,
    serving::{IssuerService, Serving},
};

/// The same `uid` and `spec_sha256` give the same answer, whichever replica is asked.
pub(super) async fn issue(
    State(internal): State<Internal>,
    Admitted(operator): Admitted,
    body: Body,
) -> Result<Response, InternalError> {
    let request: IssueRequest = read(body).await?;
    let name: ResourceName = request
        .method
        .parse()
        .map_err(|_| InternalError::Unreadable("method: of the form namespace/name".into()))?;
    let app = &internal.app;
    let serving = app.serving();
    // It may be on its way.
    let service =
        serving.issuers.get(&name).ok_or(Error::Unavailable(format!("no issuer {name} is in force")))?;
    let span = tracing::Span::current();
    span.record("profile", tracing::field::display(&service.method.profile.policy.name));
    span.record("requester", &request.requester);

    let outcome = match wish::asked(&request) {
        Ok(asked) => {
            let evidence = operator.evidence(
                &service.method,
                service.granted(),
                request.namespace.as_deref(),
                &request.requester,
            );
            match evidence.and_then(|evidence| Authenticated::new(service.method.clone(), evidence, None)) {
                Ok(authenticated) => {
                    app.engine.issue(authenticated, asked, key(&request), Repeat::Same).await
                }
                // Nobody is authenticated: the engine has not written it down.
                Err(Error::Refused(refusal)) => {
                    Err(refuse(&internal, service, &request, &asked, refusal).await)
                }
                Err(error) => Err(error),
            }
        }
        Err(error) => Err(error),
    };
    app.issuance_ended(&service.method, &outcome);
    answer(&serving, outcome)
}

/// What makes two requests the same: the object, by its UID, and all that its spec says.
fn key(request: &IssueRequest) -> RequestKey {
    let namespace = request.namespace.as_deref().unwrap_or_default();
    request_key(&[
        b"issuer",
        request.uid.as_bytes(),
        request.spec_sha256.as_bytes(),
        &[u8::from(request.namespace.is_some())],
        namespace.as_bytes(),
    ])
}

async fn refuse(
    internal: &Internal,
    service: &IssuerService,
    request: &IssueRequest,
    asked: &Asked,
    refusal: Refusal,
) -> Error {
    let method = &service.method;
    let requester = Requester {
        protocol: method.protocol,
        method: method.name.clone(),
        name: request.requester.clone(),
        strength: Strength::CertificateAndSecret,
        credential: None,
        holder: None,
        owner: request.namespace.as_deref().map(namespace_owner),
        certified: None,
        address: None,
    };
    internal.app.engine.refuse_requester(method, &requester, &asked.subject, refusal).await
}

fn answer(serving: &Serving, outcome: Result<Outcome>) -> Result<Response, InternalError> {
    let (answer, outcome) = match outcome {
        Ok(Outcome::Issued(issued)) => (of_issued(serving, issued)?, metrics::Outcome::Issued),
        Ok(Outcome::Pending(pending)) => {
            let request = pending.request.to_string();
            tracing::Span::current().record("request_id", &request);
            let retry_after_seconds = pending.retry_after.as_secs().max(1);
            (IssueOutcome::Pending { request, retry_after_seconds }, metrics::Outcome::Pending)
        }
        Err(Error::Refused(refusal)) => {
            (refused(cause(refusal.rule()), refusal.sentence()), metrics::Outcome::Refused)
        }
        Err(Error::Malformed(sentence)) => {
            (refused(RefusalCause::InvalidRequest, &sentence), metrics::Outcome::Refused)
        }
        Err(
            error @ (Error::Unauthenticated(_)
            | Error::Throttled { .. }
            | Error::NotFound(_)
            | Error::Conflict(_)
            | Error::Stale
            | Error::Unavailable(_)
            | Error::Internal(_)),
        ) => return Err(error.into()),
    };
    let mut response = Json(answer).into_response();
    response.extensions_mut().insert(outcome);
    Ok(response)
}

fn refused(cause: RefusalCause, message: &str) -> IssueOutcome {
    tracing::info!(reason = message, "refused");
    IssueOutcome::Refused { cause, message: message.to_owned() }
}

fn cause(rule: Rule) -> RefusalCause {
    match rule {
        Rule::Grants => RefusalCause::NotGranted,
        Rule::Approval => RefusalCause::Denied,
        Rule::Idempotency => RefusalCause::InvalidRequest,
        Rule::Subject
        | Rule::SubjectAltNames
        | Rule::Keys
        | Rule::KeyReuse
        | Rule::KeyUsage
        | Rule::ExtendedKeyUsage
        | Rule::BasicConstraints
        | Rule::RequestExtensions
        | Rule::Validity
        | Rule::SelfSigned
        | Rule::Protocols
        | Rule::AuthorityValidity
        | Rule::NameConstraints
        | Rule::Uses
        | Rule::Revocation => RefusalCause::Policy,
    }
}

/// The certificate with those above it. A certificate that was issued before may be of an authority that the profile no
/// longer names.
fn of_issued(serving: &Serving, issued: Issued) -> Result<IssueOutcome> {
    tracing::Span::current().record("serial", tracing::field::display(&issued.serial));
    let leaf =
        Certificate::from_der(&issued.certificate).map_err(|error| Error::Internal(error.to_string()))?;
    let signed_by = |chain: &[Vec<u8>]| {
        let issuer = chain.first().and_then(|der| Certificate::from_der(der).ok());
        issuer.is_some_and(|issuer| leaf.verify_signed_by(issuer.public_key()).is_ok())
    };
    let named = issued.authority.as_deref().into_iter();
    let others = serving.office.authorities.values().map(|authority| &**authority);
    let mut chains = named.chain(others).map(|authority| authority.chain.as_slice());
    let above = chains.find(|chain| signed_by(chain)).unwrap_or_default();
    let (root, between) = match above.split_last() {
        Some((last, between)) if is_root(last) => (last.clone(), between),
        Some(_) | None => (Vec::new(), above),
    };
    let chain = std::iter::once(issued.certificate.clone()).chain(between.iter().cloned()).collect();
    Ok(IssueOutcome::Issued { chain, root })
}

fn is_root(der: &[u8]) -> bool {
    Certificate::from_der(der).is_ok_and(|certificate| {
        certificate.issuer().der() == certificate.subject().der()
            && certificate.verify_signed_by(certificate.public_key()).is_ok()
    })
}

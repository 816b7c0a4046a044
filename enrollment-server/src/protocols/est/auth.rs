//! Who asks over EST: HTTP Basic (RFC 7030 §3.2.3), a client certificate (§3.3.2), one or both, as the method says.

use http::HeaderMap;
use issuance::{
    Error,
    authn::{Authenticated, CurrentCertificate, Evidence, Freshness},
    error::AuthenticationFailure,
    policy::Approval,
};

use super::{error::EstError, service::EstService};
use crate::{listeners::Peer, protocols::http_basic::BasicCredentials, serving::App};

/// How old a credential's row may be for the first look. Where a person approves, a request that waits or was decided is
/// answered without a commit, which would look again: the row must be read then.
pub(super) fn first_look(service: &EstService) -> Freshness {
    match service.method.profile.policy.approval {
        Approval::Automatic => Freshness::Cached,
        Approval::Manual => Freshness::Fresh,
    }
}

/// Evidence of a requester who has no certificate of the profile yet. A failure is counted against the address.
pub(super) async fn authenticate(
    app: &App,
    service: &EstService,
    headers: &HeaderMap,
    peer: &Peer,
    freshness: Freshness,
) -> Result<Authenticated, EstError> {
    let method = &service.method;
    app.check_address(method.protocol, peer.ip())?;
    match bootstrap(app, service, headers, peer, freshness).await {
        Ok(evidence) => {
            tracing::Span::current().record("requester", evidence.name());
            count_waiting(app, service, peer, &evidence);
            Ok(Authenticated::new(method.clone(), evidence, Some(peer.ip()))?)
        }
        Err(Failure::Password(error)) => Err(failed(app, service, peer, error, true)),
        Err(Failure::Certificate(error)) => Err(failed(app, service, peer, error, false)),
    }
}

/// Evidence of the holder of a certificate that is to be renewed (§4.2.2), and that certificate. Where the method asks
/// for certificate and password, it asks for both here too.
pub(super) async fn authenticate_renewal(
    app: &App,
    service: &EstService,
    grace: std::time::Duration,
    headers: &HeaderMap,
    peer: &Peer,
) -> Result<(Authenticated, CurrentCertificate), EstError> {
    let method = &service.method;
    app.check_address(method.protocol, peer.ip())?;
    let (store, now) = (app.engine.store(), app.engine.clock().now());
    let (evidence, current) =
        match CurrentCertificate::verify(&**store, method, &peer.certificates, now, grace).await {
            Ok(verified) => verified,
            Err(error) => return Err(failed(app, service, peer, error, false)),
        };
    let evidence = match service.authentication {
        crds::EstAuthentication::Both => password(app, service, headers, peer, Freshness::Fresh)
            .await
            .map(|secret| evidence.with_secret(secret)),
        crds::EstAuthentication::Basic
        | crds::EstAuthentication::Certificate
        | crds::EstAuthentication::Either => Ok(evidence),
    };
    match evidence {
        Ok(evidence) => {
            tracing::Span::current().record("requester", evidence.name());
            Ok((Authenticated::new(method.clone(), evidence, Some(peer.ip()))?, current))
        }
        Err(error) => Err(failed(app, service, peer, error, true)),
    }
}

/// Where a person approves, most requests grant nothing, and no commit counts them.
fn count_waiting(app: &App, service: &EstService, peer: &Peer, evidence: &Evidence) {
    match (service.method.profile.policy.approval, evidence.credential()) {
        (Approval::Manual, Some(credential)) => {
            app.passwords.usage().accepted(credential, app.engine.clock().now(), Some(peer.ip()));
        }
        (Approval::Manual | Approval::Automatic, _) => {}
    }
}

/// What was missing or wrong.
enum Failure {
    /// Another password with the same request could succeed.
    Password(Error),
    /// Only another certificate could.
    Certificate(Error),
}

async fn bootstrap(
    app: &App,
    service: &EstService,
    headers: &HeaderMap,
    peer: &Peer,
    freshness: Freshness,
) -> Result<Evidence, Failure> {
    use crds::EstAuthentication as Mode;
    match service.authentication {
        Mode::Basic => password(app, service, headers, peer, freshness).await.map_err(Failure::Password),
        Mode::Certificate => certificate(app, service, peer).await.map_err(Failure::Certificate),
        Mode::Both => {
            let certificate = certificate(app, service, peer).await.map_err(Failure::Certificate)?;
            let secret = password(app, service, headers, peer, freshness).await.map_err(Failure::Password)?;
            Ok(certificate.with_secret(secret))
        }
        Mode::Either => either(app, service, headers, peer, freshness).await.map_err(Failure::Password),
    }
}

/// A password that is sent must be right, certificate or not; without one the certificate counts.
async fn either(
    app: &App,
    service: &EstService,
    headers: &HeaderMap,
    peer: &Peer,
    freshness: Freshness,
) -> Result<Evidence, Error> {
    match password(app, service, headers, peer, freshness).await {
        Err(Error::Unauthenticated(AuthenticationFailure::Missing)) => certificate(app, service, peer).await,
        Ok(secret) => match certificate(app, service, peer).await {
            Ok(certificate) => Ok(certificate.with_secret(secret)),
            Err(Error::Unauthenticated(_)) => Ok(secret),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}

async fn password(
    app: &App,
    service: &EstService,
    headers: &HeaderMap,
    peer: &Peer,
    freshness: Freshness,
) -> Result<Evidence, Error> {
    let basic = BasicCredentials::from_headers(headers).map_err(Error::Unauthenticated)?;
    let now = app.engine.clock().now();
    let (method, from) = (&service.method, Some(peer.ip()));
    app.passwords.verify(method, &basic.username, &basic.password, now, freshness, from).await
}

async fn certificate(app: &App, service: &EstService, peer: &Peer) -> Result<Evidence, Error> {
    let trust = service.trust.as_ref().ok_or(Error::Unauthenticated(AuthenticationFailure::Missing))?;
    let (store, now) = (app.engine.store(), app.engine.clock().now());
    trust.verify(&**store, &service.method, &peer.certificates, now).await
}

/// `password_helps`: whether a client that sends a password with the same request could succeed.
fn failed(app: &App, service: &EstService, peer: &Peer, error: Error, password_helps: bool) -> EstError {
    match error {
        Error::Unauthenticated(failure) => {
            app.authentication_failed(&service.method, failure, peer.ip());
            if password_helps {
                EstError::Core(Error::Unauthenticated(failure))
            } else {
                EstError::Certificate(failure)
            }
        }
        other => EstError::Core(other),
    }
}

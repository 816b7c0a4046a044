//! Who asks over EST (RFC 7030 §3.2.3): HTTP Basic with the method's passphrase or a user's own password.

use std::sync::Arc;

use http::HeaderMap;
use issuance::{
    Error,
    authn::{Authenticated, Freshness},
    authority::Method,
};

use crate::{listeners::Peer, protocols::http_basic::BasicCredentials, serving::App};

/// Evidence from the headers, judged by the method. A failure is counted against the address.
pub(super) async fn authenticate(
    app: &App,
    method: &Arc<Method>,
    headers: &HeaderMap,
    peer: &Peer,
    freshness: Freshness,
) -> Result<Authenticated, Error> {
    app.check_address(method.protocol, peer.ip())?;
    let evidence = match BasicCredentials::from_headers(headers) {
        Ok(basic) => {
            let now = app.engine.clock().now();
            app.passwords.verify(method, &basic.username, &basic.password, now, freshness).await
        }
        Err(failure) => Err(Error::Unauthenticated(failure)),
    };
    match evidence {
        Ok(evidence) => {
            tracing::Span::current().record("requester", evidence.name());
            Authenticated::new(method.clone(), evidence, Some(peer.ip()))
        }
        Err(error) => {
            if let Error::Unauthenticated(failure) = &error {
                app.authentication_failed(method, *failure, peer.ip());
            }
            Err(error)
        }
    }
}

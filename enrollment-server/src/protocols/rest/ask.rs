//! A request on its way in, before anybody looks at its body.

use std::{convert::Infallible, sync::Arc};

use axum::extract::FromRequestParts;
use http::{
    HeaderMap, HeaderName,
    header::{AUTHORIZATION, Entry},
    request::Parts,
};
use issuance::{authn::Freshness, rest::RestAction};
use pki::time::Time;

use super::{
    auth::{self, Caller},
    error::RestError,
    parameters::Parameters,
};
use crate::{
    listeners::Peer,
    serving::{App, Serving},
};

/// A request for REST from whoever it is. It takes the headers: no other extractor finds any.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) app: Arc<App>,
    /// The generation of the configuration that the request began with.
    pub(super) serving: Arc<Serving>,
    pub(super) headers: HeaderMap,
    pub(super) now: Time,
    /// None only where no listener said so.
    pub(super) peer: Option<Peer>,
    query: Option<String>,
}

impl FromRequestParts<Arc<App>> for Ask {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Infallible> {
        let mut headers = std::mem::take(&mut parts.headers);
        hide_secrets(&mut headers);
        Ok(Self {
            app: app.clone(),
            serving: app.serving(),
            headers,
            now: app.engine.clock().now(),
            peer: parts.extensions.remove::<Peer>(),
            query: parts.uri.query().map(str::to_owned),
        })
    }
}

impl Ask {
    /// Of nobody out there: what the server does by itself.
    pub(super) fn of_server(app: &Arc<App>) -> Self {
        Self {
            app: app.clone(),
            serving: app.serving(),
            headers: HeaderMap::new(),
            now: app.engine.clock().now(),
            peer: None,
            query: None,
        }
    }

    /// The same request by the clock and the configuration of now.
    pub(super) fn anew(&self) -> Self {
        Self {
            app: self.app.clone(),
            serving: self.app.serving(),
            headers: self.headers.clone(),
            now: self.app.engine.clock().now(),
            peer: self.peer.clone(),
            query: self.query.clone(),
        }
    }

    /// Who asks, where the operation has no parameters in its query.
    ///
    /// # Errors
    /// Whatever stands between a stranger and this action; then [`RestError::Malformed`] for a parameter.
    pub(super) async fn caller(self, action: RestAction, freshness: Freshness) -> Result<Caller, RestError> {
        let (caller, parameters) = self.caller_with(action, freshness).await?;
        match (parameters.finish(), freshness) {
            (Ok(()), _) => Ok(caller),
            (Err(error), Freshness::Fresh) => Err(error),
            (Err(error), Freshness::Cached) => caller.vouch(Err(error)).await,
        }
    }

    /// Who asks, and the parameters of the query: take those that the operation has, and [`Parameters::finish`] them.
    ///
    /// # Errors
    /// As [`Ask::caller`].
    pub(super) async fn caller_with(
        self,
        action: RestAction,
        freshness: Freshness,
    ) -> Result<(Caller, Parameters), RestError> {
        let read = Parameters::of(self.query.as_deref()).and_then(|mut parameters| {
            let method = parameters.take_parsed("method", "namespace/name")?;
            Ok((method, parameters))
        });
        let ask = Arc::new(self);
        match read {
            Ok((method, parameters)) => {
                let caller = auth::caller(ask, method, action, freshness).await?;
                match freshness {
                    Freshness::Fresh => caller.count(),
                    // Once it is known what became of it.
                    Freshness::Cached => {}
                }
                Ok((caller, parameters))
            }
            // A stranger is not told what is wrong with the query.
            Err(error) => {
                auth::caller(ask, None, action, Freshness::Fresh).await?.count();
                Err(error)
            }
        }
    }

    /// The value of a header that may be there once.
    ///
    /// # Errors
    /// [`RestError::Malformed`] where it is there twice, or is no visible ASCII.
    pub(super) fn header(&self, name: &HeaderName) -> Result<Option<&str>, RestError> {
        let mut values = self.headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(RestError::Malformed(format!("the header {name} is there twice")));
        }
        let malformed = |_| RestError::Malformed(format!("the header {name} is no visible ASCII"));
        value.to_str().map(Some).map_err(malformed)
    }
}

/// What is debugged shows that they are there, and no more.
fn hide_secrets(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut values) = headers.entry(AUTHORIZATION) {
        values.iter_mut().for_each(|value| value.set_sensitive(true));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn secrets_in_headers_are_not_seen_by_who_debugs() {
        let mut headers = HeaderMap::new();
        for value in ["Bearer chy_first", "Bearer chy_second"] {
            headers.append(AUTHORIZATION, HeaderValue::from_static(value));
        }
        headers.append("Prefer", HeaderValue::from_static("wait=1"));
        hide_secrets(&mut headers);
        let seen = format!("{headers:?}");
        assert!(
            seen.contains("authorization") && seen.contains("wait=1") && !seen.contains("chy_"),
            "{seen}"
        );
        assert_eq!(headers[AUTHORIZATION], "Bearer chy_first");
    }
}

//! One request: which method it is for and where it came from; and its answer, with what every answer has.

use std::{net::IpAddr, sync::Arc};

use axum::response::{IntoResponse, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, LINK},
};
use issuance::Error;
use pki::time::Time;
use serde::Serialize;

use super::{
    error::AcmeError,
    service::AcmeService,
    urls::{Target, Urls},
};
use crate::{
    listeners::Peer,
    serving::{App, Serving},
};

/// RFC 8555 §6.5.1.
const REPLAY_NONCE: HeaderName = HeaderName::from_static("replay-nonce");

/// A request for one method.
#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) app: Arc<App>,
    /// The generation of the configuration that the request began with.
    pub(super) serving: Arc<Serving>,
    pub(super) service: Arc<AcmeService>,
    pub(super) target: Target,
    pub(super) address: IpAddr,
    pub(super) now: Time,
}

impl Exchange {
    /// # Errors
    /// [`AcmeError::Host`], [`AcmeError::UnknownLabel`], [`AcmeError::ForeignHost`].
    pub(super) fn begin(
        app: &Arc<App>,
        uri: &Uri,
        headers: &HeaderMap,
        peer: &Peer,
    ) -> Result<Self, AcmeError> {
        let target = Target::of(uri, headers).ok_or(AcmeError::Host)?;
        let serving = app.serving();
        let service = serving.acme.get(Some(&target.label)).cloned().ok_or(AcmeError::UnknownLabel)?;
        if !service.hosts.include(&target.authority) {
            return Err(AcmeError::ForeignHost);
        }
        let profile = &service.method.profile.policy.name;
        tracing::Span::current().record("profile", tracing::field::display(profile));
        let now = app.engine.clock().now();
        Ok(Self { app: app.clone(), serving, service, target, address: peer.ip(), now })
    }

    pub(super) fn urls(&self) -> &Urls {
        &self.target.urls
    }

    /// The part of the path at `index` below the method, as what it should be.
    ///
    /// # Errors
    /// [`AcmeError::NotFound`].
    pub(super) fn part<T: std::str::FromStr>(
        &self,
        index: usize,
        what: &'static str,
    ) -> Result<T, AcmeError> {
        self.target.part(index).and_then(|part| part.parse().ok()).ok_or(AcmeError::NotFound(what))
    }

    /// The answer to a POST, or to newNonce: with a fresh nonce (RFC 8555 §6.5).
    pub(super) async fn answer(&self, outcome: Result<Response, AcmeError>) -> Response {
        let mut response = self.answer_to_get(outcome);
        match self.nonce().await {
            Ok(nonce) => drop(response.headers_mut().insert(REPLAY_NONCE, nonce)),
            Err(error) => tracing::error!(%error, "no nonce could be made"),
        }
        response
    }

    async fn nonce(&self) -> Result<HeaderValue, Error> {
        header_value(&self.app.acme.nonces(&self.app).await?.issue(self.now)?)
    }

    /// The answer to a GET.
    pub(super) fn answer_to_get(&self, outcome: Result<Response, AcmeError>) -> Response {
        let mut response = outcome.unwrap_or_else(IntoResponse::into_response);
        let headers = response.headers_mut();
        headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
        // RFC 8555 §7.1.
        if let Ok(index) = link(&self.urls().below("directory"), "index") {
            headers.append(LINK, index);
        }
        response
    }
}

/// An object of RFC 8555 §7.1 as an answer.
///
/// # Errors
/// [`Error::Internal`], which no object of ours causes.
pub(super) fn json(status: StatusCode, object: &impl Serialize) -> Result<Response, AcmeError> {
    let body = serde_json::to_vec(object).map_err(|error| Error::Internal(error.to_string()))?;
    let content = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((status, content, body).into_response())
}

/// RFC 8288 §3.
///
/// # Errors
/// [`Error::Internal`] where the URL holds what a header cannot, which an authority cannot.
pub(super) fn link(url: &str, relation: &str) -> Result<HeaderValue, Error> {
    header_value(&format!("<{url}>;rel=\"{relation}\""))
}

/// # Errors
/// As [`link`].
pub(super) fn header_value(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|error| Error::Internal(error.to_string()))
}

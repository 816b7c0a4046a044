//! What each request passes before the router: the in-flight limit, the declared size, and the peer it came from.

use std::{convert::Infallible, sync::Arc};

use arc_swap::ArcSwap;
use axum::{
    Router,
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, Request, StatusCode, Version,
    header::{CONNECTION, RETRY_AFTER},
};
use hyper::{
    body::{Body as HttpBody, Incoming},
    service::{HttpService, service_fn},
};
use prometheus_client::metrics::gauge::Gauge;
use tower::Service;

use super::{
    BodyError, Limits,
    body::{GuardedBody, Unread},
    connection::{Activity, InFlight},
    peer::Peer,
};
use crate::metrics::ListenerMetrics;

/// The part of a listener that its connections share.
#[derive(Debug)]
pub(super) struct Edge {
    router: Router,
    limits: Arc<ArcSwap<Limits>>,
    metrics: ListenerMetrics,
}

impl Edge {
    pub(super) fn new(router: Router, limits: Arc<ArcSwap<Limits>>, metrics: ListenerMetrics) -> Self {
        Self { router, limits, metrics }
    }

    /// The service of one connection. Its future has a name only the compiler knows, so that it needs no box.
    pub(super) fn service(
        self: Arc<Self>,
        peer: Peer,
        activity: Arc<Activity>,
    ) -> impl HttpService<Incoming, ResBody = Body, Error = Infallible, Future: Send + 'static> + Send + 'static
    {
        service_fn(move |request| {
            let in_flight = activity.request();
            let (edge, peer) = (Arc::clone(&self), peer.clone());
            async move { Ok(edge.answer(request, peer, in_flight).await) }
        })
    }

    async fn answer(&self, request: Request<Incoming>, peer: Peer, _in_flight: InFlight) -> Response {
        let limits = self.limits.load();
        let Some(_place) = Place::take(&self.metrics.requests_in_flight, limits.requests_in_flight) else {
            self.metrics.requests_overloaded.inc();
            let retry = [(RETRY_AFTER, HeaderValue::from_static("1"))];
            return (StatusCode::SERVICE_UNAVAILABLE, retry, "the server is busy\n").into_response();
        };
        if request.body().size_hint().lower() > limits.body_bytes as u64 {
            return refuse_unread(request.version(), BodyError::TooLarge);
        }
        let (body_bytes, read_timeout) = (limits.body_bytes, limits.read_timeout);
        drop(limits);
        // An answer before the end of the request resets an HTTP/2 stream, and curl 7.88 then shows no answer at all;
        // HTTP/1 is lingered for when the connection closes.
        let unread = (request.version() == Version::HTTP_2).then(Unread::default);
        let mut request =
            request.map(|body| GuardedBody::new(body, body_bytes, read_timeout, unread.clone()));
        request.extensions_mut().insert(peer);
        let response = match self.router.clone().call(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if let Some(unread) = unread {
            unread.drain(read_timeout).await;
        }
        response
    }
}

/// A place among the requests in flight; the gauge that shows them is the counter.
struct Place<'a>(&'a Gauge);

impl<'a> Place<'a> {
    fn take(gauge: &'a Gauge, limit: usize) -> Option<Self> {
        let place = Self(gauge);
        let taken_before = gauge.inc();
        (usize::try_from(taken_before).unwrap_or(0) < limit).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Answers before the body was read. An HTTP/1 peer is told that the connection ends with the answer, so that it stops
/// sending (RFC 9112 §9.6).
fn refuse_unread(version: Version, error: BodyError) -> Response {
    let mut response = error.into_response();
    if version < Version::HTTP_2 {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

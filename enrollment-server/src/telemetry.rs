//! Logs: how they are written, and the span and the line that each request gets.

use std::{
    future::Future,
    io::{self, IsTerminal},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::StatusCode;
use tower::{Layer, Service};
use tracing::{Dispatch, Instrument, Span, field::Empty, info, info_span, warn};
use tracing_subscriber::{
    EnvFilter,
    filter::{LevelFilter, ParseError},
    fmt::MakeWriter,
    util::{SubscriberInitExt, TryInitError},
};

use crate::{
    listeners::Peer,
    metrics::{Metrics, Operation, OperationMetrics, Outcome, Protocol},
};

/// The environment variable that says what to log, as [`EnvFilter`] directives: `info,chancery_server=debug`.
pub const FILTER_VARIABLE: &str = "CHANCERY_LOG";

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for log stores.
    Json,
}

/// Logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter of the environment does not parse.
    #[error("{FILTER_VARIABLE} is not a log filter")]
    Filter(#[source] ParseError),
    /// The variable is not UTF-8.
    #[error("{FILTER_VARIABLE} is not UTF-8")]
    Encoding,
    /// A subscriber is installed already.
    #[error("logging was started twice")]
    Started(#[source] TryInitError),
}

/// Starts logging to stderr, at `info` where the environment does not say otherwise.
pub fn init(format: LogFormat) -> Result<(), TelemetryError> {
    let filter = filter_from(std::env::var_os(FILTER_VARIABLE).as_deref())?;
    let colour = io::stderr().is_terminal();
    dispatch(format, filter, colour, io::stderr).try_init().map_err(TelemetryError::Started)
}

/// A line that cannot be written, because stderr is closed or its disk is full, is lost without a sound: by default the
/// library reports that on stderr with a macro that panics when it cannot.
fn dispatch<W>(format: LogFormat, filter: EnvFilter, colour: bool, writer: W) -> Dispatch
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        .with_ansi(colour)
        .log_internal_errors(false);
    match format {
        LogFormat::Text => builder.finish().into(),
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).finish().into(),
    }
}

fn filter_from(directives: Option<&std::ffi::OsStr>) -> Result<EnvFilter, TelemetryError> {
    let builder = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into());
    let directives = match directives {
        Some(directives) => directives.to_str().ok_or(TelemetryError::Encoding)?,
        None => "",
    };
    builder.parse(directives).map_err(TelemetryError::Filter)
}

/// The span of one request. Handlers fill what they learn into [`Span::current`] with `record`: `profile`, `requester`,
/// `serial`, `request_id`; `outcome` is recorded from the [`Outcome`] in the extensions of their response. The path is its template and has no query: a path or a query may carry a secret.
pub fn request_span(protocol: Protocol, operation: Operation, request: &Request) -> Span {
    let peer = request.extensions().get::<Peer>();
    let path = request.extensions().get::<MatchedPath>();
    info_span!(
        "request",
        protocol = protocol.as_str(),
        operation = operation.as_str(),
        method = request.method().as_str(),
        path = path.map(MatchedPath::as_str),
        peer = peer.map(|peer| tracing::field::display(peer.ip())),
        tls = peer.and_then(|peer| peer.tls).map(|version| version.as_str()),
        profile = Empty,
        requester = Empty,
        serial = Empty,
        outcome = Empty,
        request_id = Empty,
    )
}

/// The layer of one route: a span around each request, one log line and the metrics when it ends. The line carries
/// the fields of the span, and `status` and `duration_us`.
#[derive(Debug, Clone)]
pub struct TraceRequests {
    route: Arc<Route>,
}

impl TraceRequests {
    /// For the route that serves `operation` of `protocol`.
    pub fn new(metrics: &Metrics, protocol: Protocol, operation: Operation) -> Self {
        let metrics = metrics.operation(protocol, operation);
        Self { route: Arc::new(Route { protocol, operation, metrics }) }
    }
}

impl<S> Layer<S> for TraceRequests {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced { route: Arc::clone(&self.route), inner }
    }
}

/// A route that is traced, by [`TraceRequests`].
#[derive(Debug, Clone)]
pub struct Traced<S> {
    route: Arc<Route>,
    inner: S,
}

impl<S> Service<Request> for Traced<S>
where
    S: Service<Request, Response = Response>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let span = request_span(self.route.protocol, self.route.operation, &request);
        let answer = span.in_scope(|| self.inner.call(request)).instrument(span.clone());
        let traced = Traces { route: Arc::clone(&self.route), span, began: Instant::now(), ended: false };
        Box::pin(async move {
            let response = answer.await?;
            traced.answered(&response);
            Ok(response)
        })
    }
}

#[derive(Debug)]
struct Route {
    protocol: Protocol,
    operation: Operation,
    metrics: OperationMetrics,
}

/// A request that has begun, and that ends once: with an answer, or by being dropped because the peer left.
#[derive(Debug)]
struct Traces {
    route: Arc<Route>,
    span: Span,
    began: Instant,
    ended: bool,
}

impl Traces {
    fn answered(mut self, response: &Response) {
        let status = response.status();
        let duration_us = self.end(outcome_of(response));
        let _entered = self.span.enter();
        if status.is_server_error() {
            warn!(status = status.as_u16(), duration_us, "request failed");
        } else {
            info!(status = status.as_u16(), duration_us, "request answered");
        }
    }

    /// Counts the end, and returns how long it took in microseconds.
    fn end(&mut self, outcome: Outcome) -> u64 {
        self.ended = true;
        let duration = self.began.elapsed();
        self.route.metrics.ended(outcome, duration);
        self.span.record("outcome", outcome.as_str());
        u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if !self.ended {
            let duration_us = self.end(Outcome::Abandoned);
            let _entered = self.span.enter();
            info!(duration_us, "request abandoned by the peer");
        }
    }
}

/// What the handler said, or what the status code says.
fn outcome_of(response: &Response) -> Outcome {
    let status = response.status();
    match response.extensions().get::<Outcome>() {
        Some(outcome) => *outcome,
        None if status.is_server_error() => Outcome::Failed,
        None if status.is_client_error() => Outcome::Refused,
        None if status == StatusCode::ACCEPTED => Outcome::Pending,
        None => Outcome::Answered,
    }
}

#[cfg(test)]
mod tests;

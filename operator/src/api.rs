//! The client of the Kubernetes API: every call counted, none endless.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Request, Response, StatusCode};
use kube::{
    Client, Config,
    client::{Body, ClientBuilder},
};
use tower::{BoxError, Layer, Service};

use crate::metrics::{ApiOutcome, Metrics};

/// How long an answer may take to begin. Watches answer at once and then go on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client with the credentials of the pod, or those of a kubeconfig.
///
/// # Errors
/// Where there are neither, or they cannot be used.
pub async fn client(metrics: Arc<Metrics>) -> anyhow::Result<Client> {
    let config = Config::infer().await?;
    Ok(ClientBuilder::try_from(config)?.with_layer(&Counted { metrics }).build())
}

/// Counts calls.
#[derive(Clone, Debug)]
struct Counted {
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Counted {
    type Service = CountedService<S>;

    fn layer(&self, inner: S) -> CountedService<S> {
        CountedService { inner, metrics: self.metrics.clone() }
    }
}

#[derive(Clone, Debug)]
struct CountedService<S> {
    inner: S,
    metrics: Arc<Metrics>,
}

impl<S, B> Service<Request<Body>> for CountedService<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
    B: 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<B>, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method(request.method());
        let metrics = self.metrics.clone();
        let answer = tokio::time::timeout(TIMEOUT, self.inner.call(request));
        Box::pin(async move {
            let answer = match answer.await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err("the API server did not answer in time".into()),
            };
            metrics.api_call(
                method,
                answer.as_ref().map_or(ApiOutcome::Unreachable, |answer| outcome(answer.status())),
            );
            answer
        })
    }
}

fn outcome(status: StatusCode) -> ApiOutcome {
    match status {
        status if status.is_success() => ApiOutcome::Ok,
        StatusCode::CONFLICT => ApiOutcome::Conflict,
        StatusCode::NOT_FOUND => ApiOutcome::NotFound,
        StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED => ApiOutcome::Forbidden,
        _ => ApiOutcome::Refused,
    }
}

/// A label has few values, whatever is asked.
fn method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

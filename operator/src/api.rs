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

/// An error with what caused it, in one sentence that a person may read in a status. Of a refusal of the API server it has the
/// message, and not the whole answer, as the library would.
pub fn sentence(error: &(dyn std::error::Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut parts: Vec<String> = Vec::new();
    for cause in causes {
        let refusal = match cause.downcast_ref::<Box<kube::Error>>() {
            Some(boxed) => Some(boxed.as_ref()),
            None => cause.downcast_ref::<kube::Error>(),
        };
        match refusal {
            Some(kube::Error::Api(status)) => {
                parts.push(status.message.clone());
                break;
            }
            Some(_) | None => parts.push(cause.to_string()),
        }
    }
    parts.dedup();
    parts.join(": ")
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

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::*;
    use crate::publish::PublishError;

    #[test]
    fn a_refusal_is_told_by_its_message_alone() {
        let status = Status::failure("the namespace is being terminated", "Forbidden").with_code(403);
        let secret = "pki/part".parse().unwrap();
        let source = Box::new(kube::Error::Api(status.boxed()));
        let error = PublishError::Api { secret, what: "written", source };
        let told = "the Secret pki/part cannot be written: the namespace is being terminated";
        assert_eq!(sentence(&error), told);
        let wrapped = anyhow::Error::new(error).context("the configuration");
        assert_eq!(sentence(wrapped.as_ref()), format!("the configuration: {told}"));
    }
}

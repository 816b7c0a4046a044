//! Whether the process is well, and its metrics.
//!
//! | path | answers |
//! | --- | --- |
//! | `/healthz` | 200 unless this replica acts and its loop has stood still for too long: then it is better begun anew |
//! | `/readyz` | 200 unless it is stopping; replicas that wait for the lease are ready too |
//! | `/metrics` | OpenMetrics 1.0.0 |

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// A pass asks the API server many things, each of which may take half a minute; none takes this long.
const STANDSTILL: Duration = Duration::from_secs(600);

/// The media type of OpenMetrics text 1.0.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// When the loop last moved; none: this replica does not act.
#[derive(Clone, Debug, Default)]
pub struct Heartbeat(Arc<Mutex<Option<Instant>>>);

impl Heartbeat {
    /// The loop moves.
    pub fn beat(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn is_well(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|last| last.elapsed() < STANDSTILL)
    }
}

#[derive(Clone, Debug)]
struct Shown {
    metrics: Arc<Metrics>,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
}

/// Answers for as long as the process lives.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    heartbeat: Heartbeat,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(metrics, heartbeat, shutdown)).await
}

fn router(metrics: Arc<Metrics>, heartbeat: Heartbeat, shutdown: CancellationToken) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(shown_metrics))
        .with_state(Shown { metrics, heartbeat, shutdown })
}

async fn healthz(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    match shown.heartbeat.is_well() {
        true => (StatusCode::OK, "ok"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the loop stands still"),
    }
}

async fn readyz(State(shown): State<Shown>) -> (StatusCode, &'static str) {
    match shown.shutdown.is_cancelled() {
        false => (StatusCode::OK, "ok"),
        true => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
    }
}

async fn shown_metrics(State(shown): State<Shown>) -> impl IntoResponse {
    match shown.metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;

    async fn status(heartbeat: &Heartbeat, shutdown: &CancellationToken, path: &str) -> StatusCode {
        let router = router(Arc::new(Metrics::new()), heartbeat.clone(), shutdown.clone());
        router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status()
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_stands_still_is_not_well_and_one_that_waits_for_the_lease_is() {
        let (heartbeat, shutdown) = (Heartbeat::default(), CancellationToken::new());
        tokio::time::advance(STANDSTILL * 2).await;
        assert_eq!(status(&heartbeat, &shutdown, "/healthz").await, StatusCode::OK);
        heartbeat.beat();
        tokio::time::advance(STANDSTILL / 2).await;
        assert_eq!(status(&heartbeat, &shutdown, "/healthz").await, StatusCode::OK);
        tokio::time::advance(STANDSTILL).await;
        assert_eq!(status(&heartbeat, &shutdown, "/healthz").await, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_process_that_stops_is_not_ready() {
        let (heartbeat, shutdown) = (Heartbeat::default(), CancellationToken::new());
        assert_eq!(status(&heartbeat, &shutdown, "/readyz").await, StatusCode::OK);
        shutdown.cancel();
        assert_eq!(status(&heartbeat, &shutdown, "/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(status(&heartbeat, &shutdown, "/metrics").await, StatusCode::OK);
    }
}

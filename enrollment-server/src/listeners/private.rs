//! The private listener: is the process alive, can it serve, and what has it counted.
//!
//! | path | answer |
//! | --- | --- |
//! | `GET /healthz` | 200 while the process answers at all |
//! | `GET /readyz` | 200 when every check passes, else 503; JSON `{ready, checks: [{name, ok, detail}]}` either way |
//! | `GET /metrics` | OpenMetrics text |

use std::{fmt, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::{StatusCode, header::CONTENT_TYPE};
use serde::Serialize;
use tracing::error;

use crate::metrics::Metrics;

/// The media type of [`Metrics::encode`].
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Says whether the server can serve. Called for each probe: it must not block or wait, so keep what it reports at hand.
pub trait Readiness: fmt::Debug + Send + Sync {
    /// Every check, passed or not.
    fn report(&self) -> ReadinessReport;
}

/// The outcome of all checks.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ReadinessReport {
    /// Whether every check passed.
    pub ready: bool,
    /// The checks, in a fixed order.
    pub checks: Vec<Check>,
}

impl ReadinessReport {
    /// Ready when all `checks` are ok.
    pub fn new(checks: Vec<Check>) -> Self {
        Self { ready: checks.iter().all(|check| check.ok), checks }
    }
}

/// One thing that has to work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What is checked: `store`, `configuration`, …
    pub name: &'static str,
    /// Whether it works well enough to serve.
    pub ok: bool,
    /// What an operator should know about it, also when it is ok: a rejected configuration leaves the last good one in
    /// force. Never a secret.
    pub detail: String,
}

/// The routes of the private listener.
pub fn private_router(metrics: Arc<Metrics>, readiness: Arc<dyn Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz).with_state(readiness))
        .route("/metrics", get(metrics_text).with_state(metrics))
}

async fn readyz(State(readiness): State<Arc<dyn Readiness>>) -> Response {
    let report = readiness.report();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

async fn metrics_text(State(metrics): State<Arc<Metrics>>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => {
            error!(%error, "metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

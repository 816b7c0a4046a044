//! The audit trail (`GET /audit`).

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;

use super::Traces;
use crate::serving::App;

/// The operations.
pub(super) fn routes(_traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
}

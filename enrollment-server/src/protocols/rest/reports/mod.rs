//! Reports on the certificates of the methods in the caller's scope (`/reports`), as one array or table of any length.
//!
//! | file | what |
//! | --- | --- |
//! | `which.rs` | filters and periods |
//! | `row.rs` | a certificate as a row |
//! | `lists.rs` | what was issued, ends, was revoked; all there is |
//! | `summary.rs` | how many |
//!
//! Where a list ends early the connection is cut, so that nobody takes a part for the whole. What is issued while it is read
//! is not in it.

mod lists;
mod row;
mod summary;
mod which;

use std::sync::Arc;

use utoipa_axum::{
    router::{OpenApiRouter, UtoipaMethodRouterExt as _},
    routes,
};

use super::Traces;
use crate::{metrics::Operation, serving::App};

/// The operations.
pub(super) fn routes(traces: &Traces<'_>) -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::default()
        .routes(routes!(lists::report_issued).layer(traces.of(Operation::Report)))
        .routes(routes!(lists::report_expiring).layer(traces.of(Operation::Report)))
        .routes(routes!(lists::report_revoked).layer(traces.of(Operation::Report)))
        .routes(routes!(lists::report_inventory).layer(traces.of(Operation::Report)))
        .routes(routes!(summary::report_summary).layer(traces.of(Operation::ReportSummary)))
}

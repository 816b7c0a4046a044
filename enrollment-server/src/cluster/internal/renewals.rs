//! `POST renewals`: what the server renewed by itself, for events of Kubernetes.

use axum::{Json, body::Body, extract::State};
use client::internal::{Renewals, RenewalsRequest};
use issuance::identity::JobId;

use super::{Admitted, Internal, InternalError, read};
use crate::jobs::renewal_news;

pub(super) async fn renewals(
    State(internal): State<Internal>,
    Admitted(_operator): Admitted,
    body: Body,
) -> Result<Json<Renewals>, InternalError> {
    let request: RenewalsRequest = read(body).await?;
    let told: Result<Vec<JobId>, _> = request.told.iter().map(|id| id.parse()).collect();
    let told = told.map_err(|_| InternalError::Unreadable("told: identifiers of news".into()))?;
    renewal_news::forget(&internal.app, &told).await?;
    Ok(Json(renewal_news::take(&internal.app).await?))
}

//! Credentials of the caller's method and of those that it administers (`/credentials`): who may ask by them, and what for.
//!
//! | file | what |
//! | --- | --- |
//! | `shown.rs` | a credential as it is shown: never its secret, nor what the secret is checked by |
//! | `known.rs` | credentials as they are found, with how they were used |
//! | `list.rs` | lists and exports |
//! | `wanted.rs` | a credential that is to be made, as it is asked for |
//! | `members.rs` | what protocols want to be said of one |
//! | `target.rs` | methods whose credentials are made and changed |
//! | `value.rs` | new secrets, one form for each protocol |
//! | `change.rs` | making and changing |
//!
//! Nobody gives a credential more actions than they have, or touches one that has more, or whose method administers more. Those that a resource declares are
//! changed there: 409 says which resource, and which of its fields. There is no time in which an old and a new secret are
//! both good: a row has one.

mod change;
mod known;
mod list;
mod members;
mod shown;
mod target;
mod value;
mod wanted;

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
        .routes(routes!(list::list_credentials).layer(traces.of(Operation::ListCredentials)))
        .routes(routes!(list::export_credentials).layer(traces.of(Operation::ExportCredentials)))
        .routes(routes!(list::read_credential).layer(traces.of(Operation::ReadCredential)))
        .routes(routes!(change::create_credential).layer(traces.of(Operation::CreateCredential)))
        .routes(routes!(change::revoke_credential).layer(traces.of(Operation::RevokeCredential)))
        .routes(routes!(change::expire_credential).layer(traces.of(Operation::ExpireCredential)))
        .routes(routes!(change::regenerate_credential).layer(traces.of(Operation::RegenerateCredential)))
}

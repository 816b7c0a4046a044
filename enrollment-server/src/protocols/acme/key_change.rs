//! Another key for an account (RFC 8555 §7.3.5): signed with the old one, and inside with the new one.

use axum::response::Response;
use http::StatusCode;
use issuance::audit::Action;

use super::{
    account,
    auth::{ByAccount, OTHER_KEY},
    error::AcmeError,
};

/// RFC 8555 §7.3.5.
pub(super) async fn key_change(request: &ByAccount) -> Result<Response, AcmeError> {
    let exchange = &request.exchange;
    let new = request.payload.key_change(&exchange.target.url, &request.kid, &request.key)?;
    if new == request.key {
        return Err(AcmeError::Malformed("the new key is the one that the account has".into()));
    }
    let changed = account::change(request, |row| {
        // The old key signed this: where it is not the account's any more, somebody has changed it meanwhile.
        if row.thumbprint != *request.key.thumbprint() {
            return Err(OTHER_KEY);
        }
        row.change_key(new.canonical().to_owned())?;
        Ok(Some(Action::AccountKeyChanged))
    })
    .await?;
    exchange.app.acme.keys.insert(new.clone());
    account::shown(exchange, &changed, StatusCode::OK)
}

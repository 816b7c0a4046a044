//! Renewing a certificate whose key was made here: a new key, a new order, a new certificate for the same names.

use issuance::{
    Error,
    rest::{OrderRow, OrderStatus, Renewal},
    store::{CertificateRow, CertificateStatus},
};
use pki::{
    certificate::Certificate,
    extension::{SubjectAltName, TypedExtension as _},
    general_name::GeneralName,
};

use super::object::id_of;
use crate::protocols::rest::{
    auth::Caller,
    error::RestError,
    orders::{OrderRequest, Placed, Placing, give_up, look, place},
};

/// Orders what the certificate holds once more. The profile judges it anew, by what it says now.
///
/// # Errors
/// [`RestError::NotRenewable`] with the reason; whatever [`place`] says.
pub(in crate::protocols::rest) async fn renew(
    caller: &Caller,
    row: &CertificateRow,
) -> Result<Placed, RestError> {
    let store = caller.app().engine.store();
    let order = store.rest_order_of(caller.method(), row.issuer, &row.serial).await?;
    let mut placing = Placing::new(caller, request(caller, row, order.as_ref())?)?;
    placing.replaces = Some(id_of(row));
    let renewal = order.as_ref().and_then(|order| order.renewal.as_ref());
    placing.renewal = renewal.map(|renewal| Renewal::new(renewal.before));
    // As long as it could be renewed again.
    placing.keep_until = Some(row.not_after.plus_seconds(1));
    if let Some(order) = placing.earlier(caller).await? {
        return Ok(Placed { order, certificate: None });
    }
    check(row, caller)?;
    check_first(row, caller).await?;
    match place(caller, &placing).await {
        Err(RestError::Core(error @ Error::Conflict(_))) => {
            // Another renewal of the same certificate came first.
            check_first(row, caller).await?;
            Err(error.into())
        }
        placed => placed,
    }
}

fn check(row: &CertificateRow, caller: &Caller) -> Result<(), RestError> {
    let refuse = |sentence: &str| Err(RestError::NotRenewable(format!("the certificate {sentence}")));
    if !row.server_key {
        return refuse(
            "was issued for a certificate request: whoever has its key makes another request, and orders with that",
        );
    }
    match row.status {
        CertificateStatus::Revoked { .. } => refuse("is revoked; order another one"),
        CertificateStatus::Held { .. } => refuse("is held; it can be renewed once it is released"),
        CertificateStatus::Valid if row.not_after < caller.ask.now => {
            refuse("has expired; order another one")
        }
        CertificateStatus::Valid => Ok(()),
    }
}

/// One renewal each.
async fn check_first(row: &CertificateRow, caller: &Caller) -> Result<(), RestError> {
    let store = caller.app().engine.store();
    let Some(other) = store.rest_order_replacing(&row.method, row.issuer, &row.serial).await? else {
        return Ok(());
    };
    // What has come to nothing by now, or can come to nothing else, is in nobody's way.
    let other = give_up(caller, look(caller, other).await?).await?;
    let verb = match other.status(caller.ask.now) {
        OrderStatus::Issued => "renewed",
        OrderStatus::AwaitingCsr
        | OrderStatus::AwaitingProof
        | OrderStatus::Pending
        | OrderStatus::Expired => "is to renew",
        OrderStatus::Denied | OrderStatus::Cancelled | OrderStatus::Failed => return Ok(()),
    };
    Err(RestError::NotRenewable(format!("order {} {verb} the certificate already", other.id)))
}

/// What was ordered before; where that order is not kept any more, what the certificate says. An end that was asked for is not
/// asked for again: it would be the same.
fn request(
    caller: &Caller,
    row: &CertificateRow,
    order: Option<&OrderRow>,
) -> Result<OrderRequest, RestError> {
    if let Some(order) = order {
        let asked = &order.asked;
        return Ok(OrderRequest {
            product: Some(order.product.clone()),
            domains: (!asked.domains.is_empty()).then(|| asked.domains.clone()),
            subject: asked.subject.clone(),
            validity_days: asked.validity_days,
            server_key: Some(true),
            ..OrderRequest::default()
        });
    }
    let unreadable = |error: &dyn std::fmt::Display| Error::Internal(format!("{}: {error}", id_of(row)));
    let certificate = Certificate::from_der(&row.der).map_err(|error| unreadable(&error))?;
    let names = SubjectAltName::find(certificate.extensions()).map_err(|error| unreadable(&error))?;
    let domains: Vec<String> =
        names.map(|names| names.0).unwrap_or_default().iter().filter_map(domain).collect();
    let subject = certificate.subject();
    let product = caller.service.product_of(&row.profile).ok_or_else(|| {
        RestError::NotRenewable(format!("the profile {} is not offered any more", row.profile))
    })?;
    Ok(OrderRequest {
        product: Some(product.to_owned()),
        domains: (!domains.is_empty()).then_some(domains),
        subject: (!subject.is_empty()).then(|| subject.to_string()),
        server_key: Some(true),
        ..OrderRequest::default()
    })
}

/// Names of other kinds are the profile's: no order can ask for one.
fn domain(name: &GeneralName) -> Option<String> {
    match name {
        GeneralName::Dns(name) => Some(name.clone()),
        GeneralName::Ip(address) => Some(address.to_string()),
        _other => None,
    }
}

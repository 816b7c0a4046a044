//! What an order asks for, as it is understood.

use std::{sync::Arc, time::Duration};

use issuance::{
    authority::Method,
    rest::{AskedOrder, Renewal},
};
use pki::{csr::Csr, general_name::GeneralName, name::Name};

use super::{
    super::{
        auth::Caller,
        error::RestError,
        service::{DEFAULT_PRODUCT, RestService},
    },
    csr,
    renewal::wished,
    sent::{OrderRequest, general_name},
    subject,
};
use crate::protocols::json::quoted;

/// A hundred years.
const MOST_DAYS: u32 = 36_525;

/// An order that says something that could be. Whether the profile allows it is another question.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) product: String,
    /// With the profile of the product.
    pub(super) method: Arc<Method>,
    pub(super) asked: AskedOrder,
    pub(super) csr: Option<Csr>,
    pub(super) server_key: bool,
    pub(super) renewal: Option<Renewal>,
}

impl Wanted {
    /// # Errors
    /// [`RestError::Invalid`].
    pub(super) fn of(caller: &Caller, request: &OrderRequest) -> Result<Self, RestError> {
        let service = &caller.service;
        let product = request.product.as_deref().unwrap_or(DEFAULT_PRODUCT);
        let method = service.product(product).cloned().ok_or_else(|| {
            RestError::invalid("/product", format!("there is no product \"{}\" here", quoted(product)))
        })?;
        let server_key = request.server_key.unwrap_or(false);
        if server_key && request.csr.is_some() {
            return Err(RestError::invalid("/serverKey", "a certificate request has a key of its own"));
        }
        check_validity(request)?;
        let domains = request.domains.clone().unwrap_or_default();
        check_count(service, request)?;
        let names = general_names(&domains)?;
        let name = request.subject.as_deref().map(subject_name).transpose()?;
        let csr = request.csr.as_deref().map(csr::read).transpose()?;
        if let Some(csr) = &csr {
            csr::check_agrees(csr, &names, name.as_ref())?;
        }
        let renewal = wished(caller, &method.profile.policy, request)?;
        let asked = AskedOrder {
            domains,
            subject: request.subject.clone(),
            not_after: request.not_after.map(|until| until.0),
            validity_days: request.validity_days,
        };
        Ok(Self { product: product.to_owned(), method, asked, csr, server_key, renewal })
    }
}

fn check_validity(request: &OrderRequest) -> Result<(), RestError> {
    match (request.validity_days, request.not_after) {
        (Some(_), Some(_)) => Err(RestError::invalid(
            "/notAfter",
            "validityDays says already how long; one of them is expected",
        )),
        (Some(days), None) if !(1..=MOST_DAYS).contains(&days) => {
            Err(RestError::invalid("/validityDays", format!("1 to {MOST_DAYS} days are expected")))
        }
        (Some(_), None) | (None, Some(_) | None) => Ok(()),
    }
}

fn check_count(service: &RestService, request: &OrderRequest) -> Result<(), RestError> {
    let Some(domains) = &request.domains else { return Ok(()) };
    if (1..=service.maximum_domains).contains(&domains.len()) {
        return Ok(());
    }
    let most = service.maximum_domains;
    Err(RestError::invalid("/domains", format!("1 to {most} names are expected")))
}

/// The names of an order.
///
/// # Errors
/// [`RestError::Invalid`], at the one that is none or is there twice.
pub(super) fn general_names(domains: &[String]) -> Result<Vec<GeneralName>, RestError> {
    let mut names = Vec::with_capacity(domains.len());
    for (place, domain) in domains.iter().enumerate() {
        let pointer = || format!("/domains/{place}");
        let name = general_name(domain).ok_or_else(|| {
            let sentence =
                "a DNS name (in ASCII, with letters beyond it as xn--…) or an IP address is expected";
            RestError::invalid(pointer(), sentence)
        })?;
        if names.contains(&name) {
            return Err(RestError::invalid(pointer(), "the name is there twice"));
        }
        names.push(name);
    }
    Ok(names)
}

/// The subject of an order.
///
/// # Errors
/// [`RestError::Invalid`].
pub(super) fn subject_name(text: &str) -> Result<Name, RestError> {
    subject::parse(text).map_err(|sentence| RestError::invalid("/subject", sentence))
}

/// How long that many days are.
pub(super) fn days(count: u32) -> Duration {
    Duration::from_secs(u64::from(count) * 86_400)
}

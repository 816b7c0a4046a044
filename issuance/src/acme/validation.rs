//! The job that validates the challenge of an authorization which is being processed. There is one an authorization,
//! with the same identifier wherever it is made, so that whoever has the result can end it without having made it.

use std::fmt;

use aws_lc_rs::digest;
use pki::time::Time;

use crate::{
    identity::{AcmeOrderId, JobId, RestOrderId},
    store::{Job, JobKind},
};

/// An order that has authorizations.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ValidatedOrder {
    Acme(AcmeOrderId),
    Rest(RestOrderId),
}

impl From<&AcmeOrderId> for ValidatedOrder {
    fn from(order: &AcmeOrderId) -> Self {
        Self::Acme(order.clone())
    }
}

impl From<&RestOrderId> for ValidatedOrder {
    fn from(order: &RestOrderId) -> Self {
        Self::Rest(order.clone())
    }
}

impl fmt::Display for ValidatedOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acme(order) => write!(f, "{order}"),
            Self::Rest(order) => write!(f, "{REST}{order}"),
        }
    }
}

/// Stands before the order in the key of a job, where it is one of REST.
const REST: &str = "rest:";

/// Due at `run_at`: after the time that the process which makes it needs to validate itself.
pub fn validation_job(order: impl Into<ValidatedOrder>, place: usize, run_at: Time) -> Job {
    let key = format!("{}/{place}", order.into());
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery acme validation v1\0");
    context.update(key.as_bytes());
    let mut octets = [0; 16];
    octets.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    let (id, kind) = (JobId::from_octets(octets), JobKind::AcmeValidation);
    Job { id, kind, key, payload: Vec::new(), run_at, attempts: 0, last_error: None }
}

/// The order and the place of the authorization that a job is about.
pub fn validation_of(key: &str) -> Option<(ValidatedOrder, usize)> {
    let (order, place) = key.split_once('/')?;
    let order = match order.strip_prefix(REST) {
        Some(order) => ValidatedOrder::Rest(order.parse().ok()?),
        None => ValidatedOrder::Acme(order.parse().ok()?),
    };
    Some((order, place.parse().ok()?))
}

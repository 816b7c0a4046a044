//! The job that validates the challenge of an authorization which is being processed. There is one an authorization,
//! with the same identifier wherever it is made, so that whoever has the result can end it without having made it.

use aws_lc_rs::digest;
use pki::time::Time;

use crate::{
    identity::{AcmeOrderId, JobId},
    store::{Job, JobKind},
};

/// Due at `run_at`: after the time that the process which makes it needs to validate itself.
pub fn validation_job(order: &AcmeOrderId, place: usize, run_at: Time) -> Job {
    let key = format!("{order}/{place}");
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(b"chancery acme validation v1\0");
    context.update(key.as_bytes());
    let mut octets = [0; 16];
    octets.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    let (id, kind) = (JobId::from_octets(octets), JobKind::AcmeValidation);
    Job { id, kind, key, payload: Vec::new(), run_at, attempts: 0, last_error: None }
}

/// The order and the place of the authorization that a job is about.
pub fn validation_of(key: &str) -> Option<(AcmeOrderId, usize)> {
    let (order, place) = key.split_once('/')?;
    Some((order.parse().ok()?, place.parse().ok()?))
}

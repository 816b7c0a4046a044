//! How a method wants names proved, whichever protocol it speaks.

use std::{sync::Arc, time::Duration};

use issuance::Error;

use super::{Validator, claim::Ordered};
use crate::serving::App;

/// Of the method of an order, as it is served now.
#[derive(Debug)]
pub(super) struct Terms {
    pub(super) validator: Arc<Validator>,
    /// How often a challenge is tried.
    pub(super) attempts: u32,
    /// The names by which CAA records permit the method; none: CAA records are not looked at.
    pub(super) caa: Option<Vec<String>>,
    /// How long what is proved counts.
    pub(super) lasts: Duration,
}

impl Terms {
    /// # Errors
    /// [`Error::Unavailable`]: a method that is not served now may be again before the order ends.
    pub(super) fn of(app: &App, order: &Ordered) -> Result<Self, Error> {
        let method = order.method();
        let serving = app.serving();
        let found = match order {
            Ordered::Acme(_) => {
                let label = format!("{}.{}", method.namespace(), method.name());
                serving.acme.get(Some(&label)).map(|service| Self {
                    validator: service.validator.clone(),
                    attempts: service.settings.validation.attempts,
                    caa: service.settings.caa.clone(),
                    lasts: service.settings.authorization_lifetime,
                })
            }
            Ordered::Rest(_) => {
                let control = serving.rest.get(method).and_then(|service| service.control.as_ref());
                control.map(|control| Self {
                    validator: control.validator.clone(),
                    attempts: control.settings.validation.attempts,
                    caa: control.settings.caa.clone(),
                    lasts: control.settings.authorization_lifetime,
                })
            }
        };
        found.ok_or_else(|| Error::Unavailable(format!("the method {method} validates no challenges now")))
    }
}

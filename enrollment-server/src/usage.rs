//! What each method has answered since the process began, for whoever watches over it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use issuance::{Error, Outcome, error::Result, identity::ResourceName};
use pki::time::Time;

/// Counts by method. Methods are configured, not chosen by peers, so that their number is bounded.
#[derive(Debug, Default)]
pub struct MethodCounters {
    methods: RwLock<HashMap<ResourceName, Arc<Counter>>>,
}

#[derive(Debug, Default)]
struct Counter {
    issued: AtomicU64,
    refused: AtomicU64,
    last_failure: Mutex<Option<(Time, String)>>,
}

/// What was counted of one method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodCount {
    pub issued: u64,
    pub refused: u64,
    /// The public sentence of the last refusal.
    pub last_failure: Option<(Time, String)>,
}

impl MethodCounters {
    /// Counts how the request of somebody who was authenticated ended. What could not be served for reasons of ours is no
    /// refusal.
    pub fn count(&self, method: &ResourceName, outcome: &Result<Outcome>, now: Time) {
        match outcome {
            Ok(Outcome::Issued(_)) => {
                self.of(method).issued.fetch_add(1, Ordering::Relaxed);
            }
            Err(error @ (Error::Refused(_) | Error::Malformed(_))) => {
                let counter = self.of(method);
                counter.refused.fetch_add(1, Ordering::Relaxed);
                let mut last = counter.last_failure.lock().unwrap_or_else(PoisonError::into_inner);
                *last = Some((now, error.public()));
            }
            Ok(Outcome::Pending(_))
            | Err(
                Error::Unauthenticated(_)
                | Error::Throttled { .. }
                | Error::NotFound(_)
                | Error::Conflict(_)
                | Error::Stale
                | Error::Unavailable(_)
                | Error::Internal(_),
            ) => {}
        }
    }

    /// What was counted, by method; methods that have answered nothing are not there.
    pub fn counts(&self) -> Vec<(ResourceName, MethodCount)> {
        let methods = self.methods.read().unwrap_or_else(PoisonError::into_inner);
        methods.iter().map(|(name, counter)| (name.clone(), counter.read())).collect()
    }

    fn of(&self, method: &ResourceName) -> Arc<Counter> {
        let known = self.methods.read().unwrap_or_else(PoisonError::into_inner).get(method).cloned();
        known.unwrap_or_else(|| {
            let mut methods = self.methods.write().unwrap_or_else(PoisonError::into_inner);
            methods.entry(method.clone()).or_default().clone()
        })
    }
}

impl Counter {
    fn read(&self) -> MethodCount {
        MethodCount {
            issued: self.issued.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            last_failure: self.last_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use issuance::{Refusal, Rule};

    use super::*;

    const NOW: Time = Time::from_unix(1_800_000_000);

    #[test]
    fn a_refusal_is_counted_with_its_sentence_and_an_outage_is_not() {
        let counters = MethodCounters::default();
        let method = ResourceName::new("acme", "devices");
        let refusal = || Error::from(Refusal::new(Rule::Subject, "subject: no"));
        counters.count(&method, &Err(refusal()), NOW);
        counters.count(&method, &Err(Error::Unavailable("secret of ours".into())), NOW);
        counters.count(&method, &Err(Error::Malformed("not a request".into())), NOW.plus_seconds(1));
        let last_failure = Some((NOW.plus_seconds(1), "not a request".to_owned()));
        assert_eq!(counters.counts(), [(method, MethodCount { issued: 0, refused: 2, last_failure })]);
    }
}

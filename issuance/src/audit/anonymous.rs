//! Strangers can make any number of failed attempts; the trail counts them instead of growing with each.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
};

use pki::time::Time;

use super::{Action, Actor, AuditEvent, AuditOutcome};
use crate::{
    error::AuthenticationFailure,
    identity::{Protocol, ResourceName},
};

/// Most different counters between two drains; what exceeds them is counted without its address.
const MAX_COUNTERS: usize = 1024;

/// Counters of refused strangers since the last drain.
#[derive(Debug, Default)]
pub struct AnonymousRefusals {
    counters: Mutex<HashMap<Counter, u64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Counter {
    protocol: Protocol,
    method: Option<ResourceName>,
    failure: AuthenticationFailure,
    address: Option<IpAddr>,
}

impl AnonymousRefusals {
    /// Counts one. The method only where it exists, because a stranger can name any.
    pub fn count(
        &self,
        protocol: Protocol,
        method: Option<&ResourceName>,
        failure: AuthenticationFailure,
        address: Option<IpAddr>,
    ) {
        let mut counter = Counter { protocol, method: method.cloned(), failure, address };
        let mut counters = self.counters.lock().unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= MAX_COUNTERS && !counters.contains_key(&counter) {
            counter.address = None;
        }
        *counters.entry(counter).or_default() += 1;
    }

    /// What was counted since the last drain, as events.
    pub fn drain(&self, now: Time) -> Vec<AuditEvent> {
        let counters = std::mem::take(&mut *self.counters.lock().unwrap_or_else(PoisonError::into_inner));
        counters
            .into_iter()
            .map(|(counter, count)| {
                let actor = Actor::Stranger {
                    protocol: counter.protocol,
                    address: counter.address.map(|address| address.to_string()),
                };
                let mut event =
                    AuditEvent::new(now, Action::AuthenticationFailed, AuditOutcome::Refused, actor)
                        .because(counter.failure.as_str());
                event.method = counter.method;
                event.count = Some(count);
                event
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_strangers_make_a_bounded_number_of_events() {
        let refusals = AnonymousRefusals::default();
        for number in 0..5000u32 {
            let address = IpAddr::from(number.to_be_bytes());
            refusals.count(Protocol::Est, None, AuthenticationFailure::Mismatch, Some(address));
        }
        let events = refusals.drain(Time::from_unix(0));
        assert!(events.len() <= MAX_COUNTERS + 1);
        assert_eq!(events.iter().filter_map(|event| event.count).sum::<u64>(), 5000);
        assert!(refusals.drain(Time::from_unix(0)).is_empty());
    }
}

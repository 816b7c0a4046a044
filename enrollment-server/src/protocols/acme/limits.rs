//! How often rows may be made: by somebody who is nobody in particular, new accounts by address and new orders by account; by
//! whoever is bound to an external account, far more of both by its credential, which may be the one of a whole fleet.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use issuance::identity::{AcmeAccountId, CredentialId};

/// New accounts of one address.
const ACCOUNTS: Rate = Rate { burst: 50, per: Duration::from_secs(3600) };

/// New orders of one account.
const ORDERS: Rate = Rate { burst: 300, per: Duration::from_secs(600) };

/// New accounts that one credential binds.
const ACCOUNTS_OF_CREDENTIAL: Rate = Rate { burst: 10_000, per: Duration::from_secs(3600) };

/// New orders of all accounts of one credential.
const ORDERS_OF_CREDENTIAL: Rate = Rate { burst: 100_000, per: Duration::from_secs(3600) };

/// Most addresses or accounts that are counted at a time.
const MAX_COUNTED: usize = 50_000;

/// So many at once, and as many again in each period.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    per: Duration,
}

/// The counts of this process.
#[derive(Debug, Default)]
pub(super) struct RateLimits {
    accounts: Buckets<Network>,
    orders: Buckets<AcmeAccountId>,
    accounts_by_credential: Buckets<CredentialId>,
    orders_by_credential: Buckets<CredentialId>,
}

impl RateLimits {
    /// Counts a new account.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn new_account(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.accounts.take(Network::of(address), ACCOUNTS, now)
    }

    /// Counts a new account that a credential binds.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn new_account_by(&self, credential: &CredentialId, now: Instant) -> Result<(), Duration> {
        self.accounts_by_credential.take(credential.clone(), ACCOUNTS_OF_CREDENTIAL, now)
    }

    /// Counts a new order of an account that a credential binds.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn new_order_by(&self, credential: &CredentialId, now: Instant) -> Result<(), Duration> {
        self.orders_by_credential.take(credential.clone(), ORDERS_OF_CREDENTIAL, now)
    }

    /// Counts a new order of an account that nobody vouches for.
    ///
    /// # Errors
    /// How long to wait.
    pub(super) fn new_order(&self, account: &AcmeAccountId, now: Instant) -> Result<(), Duration> {
        self.orders.take(account.clone(), ORDERS, now)
    }
}

/// What counts as one address: a subscriber is given a /64 of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Network {
    V4(u32),
    V6(u64),
}

impl Network {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

/// For each key, when its bucket will be empty again.
#[derive(Debug)]
struct Buckets<K>(Mutex<HashMap<K, Instant>>);

impl<K> Default for Buckets<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Buckets<K> {
    fn take(&self, key: K, rate: Rate, now: Instant) -> Result<(), Duration> {
        let interval = rate.per / rate.burst.max(1);
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= MAX_COUNTED && !buckets.contains_key(&key) {
            buckets.retain(|_, empty_at| *empty_at > now);
            if buckets.len() >= MAX_COUNTED {
                // So many at once are an attack, or a fleet that starts: the next one waits, and what is counted stays so.
                return Err(interval);
            }
        }
        let empty_at = buckets.entry(key).or_insert(now);
        let next = (*empty_at).max(now) + interval;
        match next.duration_since(now).checked_sub(rate.per) {
            Some(wait) if !wait.is_zero() => Err(wait),
            Some(_) | None => {
                *empty_at = next;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate { burst: 3, per: Duration::from_secs(30) };

    #[test]
    fn a_burst_passes_and_then_one_an_interval() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for _ in 0..3 {
            assert_eq!(buckets.take("a", RATE, start), Ok(()));
        }
        assert_eq!(buckets.take("a", RATE, start), Err(Duration::from_secs(10)));
        assert_eq!(buckets.take("b", RATE, start), Ok(()));
        let later = start + Duration::from_secs(10);
        assert_eq!(buckets.take("a", RATE, later), Ok(()));
        assert_eq!(buckets.take("a", RATE, later), Err(Duration::from_secs(10)));
        assert_eq!(buckets.take("a", RATE, start + Duration::from_secs(3600)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_the_idle_make_room() {
        let (buckets, start) = (Buckets::default(), Instant::now());
        for key in 0..MAX_COUNTED {
            assert_eq!(buckets.take(key, RATE, start), Ok(()));
        }
        assert!(buckets.take(MAX_COUNTED, RATE, start).is_err());
        assert_eq!(buckets.take(MAX_COUNTED, RATE, start + Duration::from_secs(11)), Ok(()));
    }

    #[test]
    fn a_subscriber_of_ipv6_is_one() {
        let limits = RateLimits::default();
        let now = Instant::now();
        let address = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, host]);
        for host in 0..ACCOUNTS.burst {
            assert!(limits.new_account(address(host as u16), now).is_ok());
        }
        assert!(limits.new_account(address(u16::MAX), now).is_err());
    }
}

//! A brake on guessing: how often one address may fail to authenticate.

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;

use super::{FailedAuthentications, Limits};

/// Sets of the table; a power of two.
const SETS: usize = 8192;
/// Addresses that one set remembers.
const WAYS: usize = 8;

/// Counts failed authentications per address, in fixed memory.
///
/// **Count.** Each address has a bucket that a failure fills by one and that empties evenly, `per_address` in each
/// `window`. A full bucket refuses until one failure has drained, so that by default an address may fail 30 times at
/// once and then once every two seconds. IPv6 counts by /64, because a subscriber is given that much; IPv4 by address.
///
/// **A success forgives nothing.** If it did, whoever holds one valid credential could guess at others for ever by
/// using it between guesses. There is no method for a success, therefore. The price is paid by many devices behind one
/// address, for which [`FailedAuthentications::enforced`] can be turned off.
///
/// **Memory.** 65,536 addresses in 8,192 sets of 8, under 2 MiB, allocated once. A set that is full forgets the
/// address whose bucket is emptiest. An attacker with very many networks can make the table forget, but a peer can only
/// push out entries that fall into its own set, and sets are chosen by a hash with a random key.
///
/// **Concurrency.** A check and the failure that may follow are two steps: requests in flight together may pass
/// together. The in-flight limit bounds by how much.
pub struct AuthenticationThrottle {
    limits: Arc<ArcSwap<Limits>>,
    started: Instant,
    hasher: RandomState,
    sets: Box<[Mutex<[Slot; WAYS]>]>,
    /// Whether anyone ever failed; until then no set is looked at.
    used: AtomicBool,
}

/// An address must wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryAfter(pub Duration);

impl RetryAfter {
    /// Whole seconds, rounded up and at least one, as the `Retry-After` header wants them (RFC 9110 §10.2.3).
    pub fn seconds(self) -> u64 {
        let whole = self.0.as_secs();
        if self.0.subsec_nanos() > 0 { whole.saturating_add(1) } else { whole.max(1) }
    }
}

impl AuthenticationThrottle {
    /// `started`: the time before which nothing is asked, usually now. Reads `limits.failed_authentications` anew at
    /// each call, so that a change holds at once.
    pub fn new(limits: Arc<ArcSwap<Limits>>, started: Instant) -> Self {
        let sets = (0..SETS).map(|_| Mutex::new([Slot::EMPTY; WAYS])).collect();
        Self { limits, started, hasher: RandomState::new(), sets, used: AtomicBool::new(false) }
    }

    /// Whether `address` may try to authenticate now. Ask before any secret is compared.
    pub fn check(&self, address: IpAddr, now: Instant) -> Result<(), RetryAfter> {
        let policy = self.limits.load().failed_authentications;
        if !policy.enforced || !self.used.load(Ordering::Relaxed) {
            return Ok(());
        }
        let network = Network::of(address);
        let now = self.nanoseconds(now);
        let drained_at = self.with_set(network, |set| {
            set.iter().find(|slot| slot.network == Some(network)).map_or(0, |slot| slot.drained_at)
        });
        let full_from = now.saturating_add(capacity(policy).saturating_sub(interval(policy)));
        match drained_at.checked_sub(full_from) {
            None | Some(0) => Ok(()),
            Some(wait) => Err(RetryAfter(Duration::from_nanos(wait))),
        }
    }

    /// `address` failed to authenticate.
    pub fn failed(&self, address: IpAddr, now: Instant) {
        let policy = self.limits.load().failed_authentications;
        let network = Network::of(address);
        let now = self.nanoseconds(now);
        self.with_set(network, |set| {
            if let Some(slot) = slot_for(set, network) {
                if slot.network.replace(network) != Some(network) {
                    slot.drained_at = 0;
                }
                // Never above full: failures that were let through together must not lock an address out for longer.
                let full = now.saturating_add(capacity(policy));
                slot.drained_at = slot.drained_at.max(now).saturating_add(interval(policy)).min(full);
            }
        });
        self.used.store(true, Ordering::Relaxed);
    }

    fn with_set<T>(&self, network: Network, work: impl FnOnce(&mut [Slot]) -> T) -> T {
        let index = self.hasher.hash_one(network) as usize % SETS;
        match self.sets.get(index) {
            Some(set) => work(&mut set.lock().unwrap_or_else(PoisonError::into_inner)[..]),
            None => work(&mut []),
        }
    }

    /// Since `started`; 64 bits hold 584 years.
    fn nanoseconds(&self, now: Instant) -> u64 {
        saturating_nanos(now.saturating_duration_since(self.started))
    }
}

impl fmt::Debug for AuthenticationThrottle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticationThrottle").finish_non_exhaustive()
    }
}

/// What counts as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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

#[derive(Debug, Clone, Copy)]
struct Slot {
    network: Option<Network>,
    /// When the bucket is empty again, in nanoseconds since the start.
    drained_at: u64,
}

impl Slot {
    const EMPTY: Self = Self { network: None, drained_at: 0 };
}

/// The slot of `network`, or else the one whose bucket is emptiest.
fn slot_for(set: &mut [Slot], network: Network) -> Option<&mut Slot> {
    let index = match set.iter().position(|slot| slot.network == Some(network)) {
        Some(index) => Some(index),
        None => set.iter().enumerate().min_by_key(|(_, slot)| slot.drained_at).map(|(index, _)| index),
    };
    set.get_mut(index?)
}

/// How long one failure takes to drain. No failures allowed would never let anyone in: zero counts as one.
fn interval(policy: FailedAuthentications) -> u64 {
    saturating_nanos(policy.window) / u64::from(policy.per_address.max(1))
}

/// How long a full bucket takes to drain: the window, but for what the division dropped.
fn capacity(policy: FailedAuthentications) -> u64 {
    interval(policy).saturating_mul(u64::from(policy.per_address.max(1)))
}

fn saturating_nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

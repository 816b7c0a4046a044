//! When to ask again what a server has not answered: seconds at first, minutes later, for as long as the request is there.
//!
//! A change of the issuer or of its server ends the wait at once: the outage that was waited for may be over.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

const FIRST: Duration = Duration::from_secs(1);

const LONGEST: Duration = Duration::from_secs(10 * 60);

/// What is not heard of for so long is forgotten: its request was deleted.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60 * 60);

/// Attempts by UID of the request.
#[derive(Debug, Default)]
pub(crate) struct Retries {
    attempts: Mutex<Attempts>,
}

#[derive(Debug, Default)]
struct Attempts {
    by_uid: HashMap<String, Attempt>,
    swept: Option<Instant>,
}

#[derive(Debug)]
struct Attempt {
    count: u32,
    next: Instant,
    /// State of the issuer when it was asked.
    revision: u64,
}

impl Retries {
    /// How long the request still has to wait; none: it may ask now.
    pub(crate) fn wait(&self, uid: &str, revision: u64, now: Instant) -> Option<Duration> {
        let attempts = self.lock();
        let attempt = attempts.by_uid.get(uid).filter(|attempt| attempt.revision == revision)?;
        attempt.next.checked_duration_since(now).filter(|wait| !wait.is_zero())
    }

    /// Notes that the request is to ask again, not before `at_least`, and says when.
    pub(crate) fn again(
        &self,
        uid: &str,
        revision: u64,
        at_least: Option<Duration>,
        now: Instant,
    ) -> Duration {
        let mut attempts = self.lock();
        attempts.sweep(now);
        let entry =
            attempts.by_uid.entry(uid.to_owned()).or_insert(Attempt { count: 0, next: now, revision });
        if entry.revision != revision {
            entry.count = 0;
            entry.revision = revision;
        }
        let wait = delay(uid, entry.count).max(at_least.unwrap_or_default().min(LONGEST));
        entry.count = entry.count.saturating_add(1);
        entry.next = now + wait;
        wait
    }

    /// The request got its answer.
    pub(crate) fn over(&self, uid: &str) {
        self.lock().by_uid.remove(uid);
    }

    fn lock(&self) -> MutexGuard<'_, Attempts> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Attempts {
    fn sweep(&mut self, now: Instant) {
        if self.swept.is_some_and(|swept| now.saturating_duration_since(swept) < LONGEST) {
            return;
        }
        self.swept = Some(now);
        self.by_uid.retain(|_, attempt| attempt.next + FORGOTTEN_AFTER > now);
    }
}

/// Doubles with each attempt up to [`LONGEST`]. A quarter of it depends on the request, so that a thousand of them that failed
/// together do not come back together.
fn delay(uid: &str, count: u32) -> Duration {
    let full = FIRST.saturating_mul(1_u32.checked_shl(count.min(30)).unwrap_or(u32::MAX)).min(LONGEST);
    let share = uid.bytes().fold(count, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 256;
    full - full.mul_f64(f64::from(share) / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_a_second_to_minutes_and_never_end() {
        let retries = Retries::default();
        let mut now = Instant::now();
        let mut waits = Vec::new();
        for _ in 0..64 {
            let wait = retries.again("a", 1, None, now);
            assert_eq!(retries.wait("a", 1, now), Some(wait));
            now += wait;
            assert_eq!(retries.wait("a", 1, now), None);
            waits.push(wait);
        }
        assert!(waits.iter().all(|wait| *wait <= LONGEST));
        assert!(waits.first().is_some_and(|first| *first <= FIRST));
        assert!(waits.last().is_some_and(|last| *last >= LONGEST.mul_f64(0.75)));
        assert!(waits.iter().sum::<Duration>() > Duration::from_secs(6 * 3600));
    }

    #[test]
    fn a_change_of_the_issuer_ends_the_wait_and_starts_the_count_anew() {
        let (retries, now) = (Retries::default(), Instant::now());
        for _ in 0..10 {
            retries.again("a", 1, None, now);
        }
        assert!(retries.wait("a", 1, now).is_some_and(|wait| wait > Duration::from_secs(60)));
        assert_eq!(retries.wait("a", 2, now), None);
        assert!(retries.again("a", 2, None, now) <= FIRST);
    }

    #[test]
    fn what_the_server_asks_for_is_waited_for_within_reason() {
        let (retries, now) = (Retries::default(), Instant::now());
        assert_eq!(retries.again("a", 1, Some(Duration::from_secs(30)), now), Duration::from_secs(30));
        assert_eq!(retries.again("a", 1, Some(Duration::from_secs(90_000)), now), LONGEST);
    }

    #[test]
    fn requests_do_not_wait_for_each_other_and_not_all_equally_long() {
        let (retries, now) = (Retries::default(), Instant::now());
        let waits: std::collections::BTreeSet<Duration> =
            (0..100).map(|request| retries.again(&format!("uid-{request}"), 1, None, now)).collect();
        assert!(waits.len() > 20, "{waits:?}");
        assert_eq!(retries.wait("another", 1, now), None);
        retries.over("uid-1");
        assert_eq!(retries.wait("uid-1", 1, now), None);
    }

    #[test]
    fn what_was_deleted_is_forgotten() {
        let (retries, now) = (Retries::default(), Instant::now());
        retries.again("gone", 1, None, now);
        retries.again("here", 1, None, now + FORGOTTEN_AFTER + LONGEST);
        assert_eq!(retries.lock().by_uid.keys().collect::<Vec<_>>(), ["here"]);
    }
}

//! Nonces against replay (RFC 8555 §6.5). Nothing is kept of one that was given out: it says itself until when it is good,
//! under a MAC; only those that were used are remembered, for as long as they would be good.
//!
//! ```text
//! base64url( random (16) ‖ expiry, Unix seconds (8) ‖ HMAC-SHA-256 of both (the first 16) )
//! ```
//!
//! Where replicas share what was used ([`Store::claims_are_shared`]), they share the MAC's key too. Where they do not, each
//! process makes a key of its own, so that the nonces of an earlier one, whose uses are forgotten, are not good any more.

use std::fmt;

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use issuance::{
    Error,
    ports::random,
    store::{Store, StoreError},
};
use pki::time::Time;

use super::wire::base64url;

/// How long a nonce is good.
pub const LIFETIME_SECONDS: i64 = 600;

/// The scope of [`Store::claim_once`].
const SCOPE: &str = "acme-nonce";

const RANDOM: usize = 16;
const EXPIRY: usize = 8;
const MAC: usize = 16;
const OCTETS: usize = RANDOM + EXPIRY + MAC;

/// Makes nonces and takes them back, once each.
pub struct Nonces {
    key: hmac::Key,
}

/// Why a nonce is not taken: `badNonce`, except for [`NonceError::Store`].
#[derive(Debug, thiserror::Error)]
pub enum NonceError {
    #[error("the nonce is none of this server's; the answer holds another")]
    Unknown,
    #[error("the nonce is too old; the answer holds another")]
    Expired,
    #[error("the nonce was used before; the answer holds another")]
    Used,
    /// Whether it was used cannot be found out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One of ours, not yet taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Nonce {
    random: [u8; RANDOM],
    expires: Time,
}

impl Nonces {
    /// With the key of the MAC.
    pub fn new(key: &[u8; 32]) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key) }
    }

    /// A new one, for the header field Replay-Nonce.
    ///
    /// # Errors
    /// [`Error::Internal`] where the operating system has nothing random to give.
    pub fn issue(&self, now: Time) -> Result<String, Error> {
        Ok(self.encode(Nonce { random: random()?, expires: now.plus_seconds(LIFETIME_SECONDS) }))
    }

    /// Takes one back. Whoever comes second with it is refused, on whichever replica.
    ///
    /// # Errors
    /// See [`NonceError`].
    pub async fn redeem(&self, store: &dyn Store, text: &str, now: Time) -> Result<(), NonceError> {
        let nonce = self.check(text, now)?;
        if store.claim_once(SCOPE, &nonce.random, nonce.expires).await? {
            Ok(())
        } else {
            Err(NonceError::Used)
        }
    }

    fn encode(&self, nonce: Nonce) -> String {
        let mut octets = Vec::with_capacity(OCTETS);
        octets.extend_from_slice(&nonce.random);
        octets.extend_from_slice(&nonce.expires.unix().to_be_bytes());
        let mac = self.mac(&octets);
        octets.extend_from_slice(&mac);
        base64url::encode(octets)
    }

    fn check(&self, text: &str, now: Time) -> Result<Nonce, NonceError> {
        let octets = base64url::decode(text, 2 * OCTETS).map_err(|_| NonceError::Unknown)?;
        let octets = <[u8; OCTETS]>::try_from(octets).map_err(|_| NonceError::Unknown)?;
        let (said, mac) = octets.split_at(RANDOM + EXPIRY);
        verify_slices_are_equal(&self.mac(said), mac).map_err(|_| NonceError::Unknown)?;
        let (first, last) = said.split_at(RANDOM);
        let random = <[u8; RANDOM]>::try_from(first).map_err(|_| NonceError::Unknown)?;
        let expires = <[u8; EXPIRY]>::try_from(last).map_err(|_| NonceError::Unknown)?;
        let expires = Time::from_unix(i64::from_be_bytes(expires));
        if expires <= now { Err(NonceError::Expired) } else { Ok(Nonce { random, expires }) }
    }

    fn mac(&self, said: &[u8]) -> [u8; MAC] {
        let mut mac = [0; MAC];
        mac.iter_mut().zip(hmac::sign(&self.key, said).as_ref()).for_each(|(to, from)| *to = *from);
        mac
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nonces").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use issuance::store::memory::MemoryStore;

    use super::*;

    const NOW: Time = Time::from_unix(1_800_000_000);

    fn nonces() -> Nonces {
        Nonces::new(&[7; 32])
    }

    #[tokio::test]
    async fn a_nonce_is_taken_once() {
        let (nonces, store) = (nonces(), MemoryStore::default());
        let nonce = nonces.issue(NOW).unwrap();
        nonces.redeem(&store, &nonce, NOW).await.unwrap();
        let again = nonces.redeem(&store, &nonce, NOW).await;
        assert!(matches!(again, Err(NonceError::Used)), "{again:?}");
        nonces.redeem(&store, &nonces.issue(NOW).unwrap(), NOW).await.unwrap();
    }

    #[tokio::test]
    async fn a_nonce_is_good_for_ten_minutes_and_used_up_for_as_long() {
        let (nonces, store) = (nonces(), MemoryStore::default());
        let (first, second) = (nonces.issue(NOW).unwrap(), nonces.issue(NOW).unwrap());
        let last = NOW.plus_seconds(LIFETIME_SECONDS - 1);
        nonces.redeem(&store, &first, NOW).await.unwrap();
        store.sweep_claims(last).await.unwrap();
        assert!(matches!(nonces.redeem(&store, &first, last).await, Err(NonceError::Used)));
        let late = nonces.redeem(&store, &second, last.plus_seconds(1)).await;
        assert!(matches!(late, Err(NonceError::Expired)), "{late:?}");
        nonces.redeem(&store, &second, last).await.unwrap();
    }

    #[tokio::test]
    async fn what_was_not_given_out_is_refused_and_takes_no_room() {
        let (nonces, store) = (nonces(), MemoryStore::default());
        let good = nonces.issue(NOW).unwrap();
        let octets = base64url::decode(&good, 100).unwrap();
        assert_eq!(octets.len(), OCTETS);
        let mut refused: Vec<String> = (0..OCTETS)
            .map(|index| {
                let mut changed = octets.clone();
                changed[index] ^= 1;
                base64url::encode(changed)
            })
            .collect();
        refused.extend(["".into(), "AAAA".into(), "A".repeat(54), format!("{good}="), format!("{good}A")]);
        refused.extend(["x".repeat(10_000), good.to_lowercase(), format!(" {good}")]);
        refused.push(Nonces::new(&[8; 32]).issue(NOW).unwrap());
        for nonce in refused {
            let answer = nonces.redeem(&store, &nonce, NOW).await;
            assert!(matches!(answer, Err(NonceError::Unknown)), "{nonce}: {answer:?}");
        }
        nonces.redeem(&store, &good, NOW).await.unwrap();
    }
}

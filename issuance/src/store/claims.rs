//! What may be used once, remembered in the process: for stores that only one process serves from.

use std::{
    collections::{BTreeMap, HashSet},
    sync::{Mutex, PoisonError},
};

use aws_lc_rs::digest;
use pki::time::Time;

use super::{StoreError, StoreResult};

/// Most claims at one time, some 160 MiB. Tokens are only claimed that this server made, so that it takes thousands of
/// requests a second to come here; whoever does is refused rather than let through.
const MAX_CLAIMS: usize = 1 << 22;

/// Claims that end within the same so many seconds are forgotten together.
const SPAN_SECONDS: i64 = 64;

/// A token in its scope.
pub type ClaimKey = [u8; 16];

/// By which a claim is remembered: 128 bits of SHA-256 over the scope, its length and the token.
pub fn claim_key(scope: &str, token: &[u8]) -> ClaimKey {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&(scope.len() as u64).to_be_bytes());
    context.update(scope.as_bytes());
    context.update(token);
    let mut key = [0; 16];
    key.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

/// Claims of this process.
#[derive(Debug)]
pub struct Claims {
    /// By when they end, in spans.
    spans: Mutex<BTreeMap<i64, HashSet<ClaimKey>>>,
    most: usize,
}

impl Default for Claims {
    fn default() -> Self {
        Self::at_most(MAX_CLAIMS)
    }
}

impl Claims {
    fn at_most(most: usize) -> Self {
        Self { spans: Mutex::default(), most }
    }

    /// What [`Store::claim_once`](super::Store::claim_once) says.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where too many are remembered.
    pub fn claim_once(&self, scope: &str, token: &[u8], until: Time) -> StoreResult<bool> {
        let key = claim_key(scope, token);
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.values().any(|claimed| claimed.contains(&key)) {
            return Ok(false);
        }
        if spans.values().map(HashSet::len).sum::<usize>() >= self.most {
            return Err(StoreError::Unavailable(format!("{} tokens are remembered already", self.most)));
        }
        spans.entry(span(until)).or_default().insert(key);
        Ok(true)
    }

    /// What [`Store::sweep_claims`](super::Store::sweep_claims) does, some seconds late.
    pub fn sweep(&self, now: Time) {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = spans.split_off(&span(now));
        let ended = std::mem::replace(&mut *spans, kept);
        // Given back to the system without anybody waiting.
        drop(spans);
        drop(ended);
    }
}

fn span(until: Time) -> i64 {
    until.unix().div_euclid(SPAN_SECONDS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite::samples::NOW;

    #[test]
    fn whoever_finds_it_full_is_refused_until_claims_end() {
        let claims = Claims::at_most(2);
        let later = NOW.plus_seconds(2 * SPAN_SECONDS);
        assert!(claims.claim_once("nonce", b"1", NOW).unwrap());
        assert!(claims.claim_once("nonce", b"2", later).unwrap());
        assert!(!claims.claim_once("nonce", b"1", NOW).unwrap());
        let full = claims.claim_once("nonce", b"3", later);
        assert!(matches!(full, Err(StoreError::Unavailable(_))), "{full:?}");
        claims.sweep(NOW);
        assert!(claims.claim_once("nonce", b"3", later).is_err());
        claims.sweep(NOW.plus_seconds(SPAN_SECONDS));
        assert!(claims.claim_once("nonce", b"3", later).unwrap());
        assert!(!claims.claim_once("nonce", b"2", later).unwrap());
    }

    #[test]
    fn scope_and_token_do_not_run_into_each_other() {
        assert_ne!(claim_key("ab", b"c"), claim_key("a", b"bc"));
        assert_ne!(claim_key("", b"abc"), claim_key("abc", b""));
    }
}

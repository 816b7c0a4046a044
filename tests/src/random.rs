//! Numbers to choose points by, that can be drawn again.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};

/// SplitMix64: enough to choose points, and the same on every machine for one seed.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From `CHANCERY_SEED`, or else the clock; printed, so that a run that failed can be had again.
    ///
    /// # Errors
    /// The variable is not a number.
    #[allow(clippy::print_stdout, reason = "shown when the test fails: the seed to run it again with")]
    pub fn from_environment() -> Result<Self> {
        let seed = match std::env::var("CHANCERY_SEED") {
            Ok(text) => text.parse().context("CHANCERY_SEED is not a number")?,
            Err(_) => u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
        };
        println!("CHANCERY_SEED={seed}");
        Ok(Self(seed))
    }

    /// One of 0 to `limit` - 1.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}

//! Every transition and every refusal, one by one; and that no row of them leads back.

mod keys;
mod paths;
mod restriction;
mod transitions;

use super::{OrderRow, StoredProblem};
use crate::store::suite::samples::{self, LATER, NOW};

fn problem() -> StoredProblem {
    StoredProblem::new("connection", "nobody there")
}

/// With two names that are to be proved by HTTP or TLS.
fn order() -> OrderRow {
    samples::order(1)
}

/// Proved.
fn ready() -> OrderRow {
    let mut row = order();
    for place in 0..2 {
        row.start_challenge(place, super::ChallengeType::Http01, NOW).unwrap();
        row.challenge_succeeded(place, super::ChallengeType::Http01, NOW, LATER).unwrap();
    }
    row
}

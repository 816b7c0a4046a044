//! Tests of events of renewals: what they say, that each is there once, and that there are never too many.

mod controller;
mod plan;

use client::internal::{Renewal, RenewalNews, RenewalOutcome};
use issuance::identity::ResourceName;

/// The beginning of a minute.
const MINUTE: i64 = 1_800_000_000;

fn api() -> ResourceName {
    ResourceName::new("team-a", "api")
}

/// Of the method `team-a/api`, so many seconds after the beginning of the minute.
fn renewed(number: usize, seconds: i64) -> RenewalNews {
    news(number, seconds, RenewalOutcome::Renewed { replaces: format!("a{number:03}") })
}

fn failed(number: usize, seconds: i64, reason: &str) -> RenewalNews {
    news(number, seconds, RenewalOutcome::Failed { reason: reason.into() })
}

fn news(number: usize, seconds: i64, outcome: RenewalOutcome) -> RenewalNews {
    let renewal = Renewal {
        method: api().to_string(),
        at: MINUTE + seconds,
        order: format!("{number:032x}"),
        serial: format!("b{number:03}"),
        subject: "CN=shop.acme.example".into(),
        not_after: MINUTE + 86_400,
        outcome,
    };
    RenewalNews { id: format!("{number:x}"), renewal }
}

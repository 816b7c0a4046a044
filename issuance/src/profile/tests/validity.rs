//! notBefore and notAfter.

use std::{sync::Arc, time::Duration};

use pki::time::Time;

use super::{accepts_under, refuses_under};
use crate::{
    authority::IssuingProfile,
    error::Rule,
    policy::{Profile, Request as Wish},
    request::AskedValidity,
    testing::{AuthoritySpec, DAY, NOW, Request, authority, policy, policy_with, profile_under, request},
};

/// Backdating of the strict profile.
const BACKDATE: i64 = 300;

fn after(seconds: i64) -> Time {
    NOW.plus_seconds(seconds)
}

/// The profile under an authority that is good from and until these seconds from now.
fn within(policy: &Profile, from: i64, until: i64) -> Arc<IssuingProfile> {
    let spec = AuthoritySpec { from: after(from), until: after(until), ..AuthoritySpec::default() };
    profile_under(policy, &authority(spec))
}

fn under(policy: &Profile) -> Arc<IssuingProfile> {
    within(policy, -DAY, 3650 * DAY)
}

fn asking(not_before: Option<i64>, not_after: Option<i64>) -> Request {
    let validity =
        AskedValidity { not_before: not_before.map(after), not_after: not_after.map(after), duration: None };
    request().validity(validity)
}

fn lasting(seconds: u64) -> Request {
    request()
        .validity(AskedValidity { duration: Some(Duration::from_secs(seconds)), ..AskedValidity::default() })
}

/// Good from and until these seconds from now.
#[track_caller]
fn gives(profile: &IssuingProfile, request: &Request, from: i64, until: i64) {
    let template = accepts_under(profile, request);
    assert_eq!((template.not_before, template.not_after), (after(from), after(until)));
}

#[track_caller]
fn refuses_validity(profile: &IssuingProfile, request: &Request, field: &str, words: &[&str]) {
    refuses_under(profile, request, Rule::Validity, field, words);
}

#[test]
fn without_a_wish_the_default_counts_from_the_backdated_start() {
    gives(&under(&policy()), &request(), -BACKDATE, 30 * DAY - BACKDATE);
}

#[test]
fn a_wish_up_to_the_maximum_is_honoured() {
    let profile = under(&policy());
    gives(&profile, &asking(None, Some(60 * DAY)), -BACKDATE, 60 * DAY);
    gives(&profile, &lasting(90 * DAY as u64), -BACKDATE, 90 * DAY - BACKDATE);
    gives(&profile, &asking(Some(DAY), Some(2 * DAY)), DAY, 2 * DAY);
    gives(&profile, &asking(Some(-BACKDATE), None), -BACKDATE, 30 * DAY - BACKDATE);
}

#[test]
fn a_wish_beyond_the_maximum_is_refused() {
    let profile = under(&policy());
    let words = ["acme/web allows 7776000 s", "7776001 s were asked for"];
    refuses_validity(&profile, &lasting(90 * DAY as u64 + 1), "validity.maximum", &words);
    refuses_validity(&profile, &asking(None, Some(90 * DAY - BACKDATE + 1)), "validity.maximum", &words);
    refuses_validity(&profile, &lasting(u64::MAX), "validity.maximum", &["were asked for"]);
    refuses_validity(&profile, &asking(None, Some(i64::MAX)), "validity.maximum", &["were asked for"]);
}

#[test]
fn a_wish_is_without_effect_where_the_profile_ignores_it() {
    let ignoring = under(&policy_with(|policy| policy.validity.request = Wish::Ignore));
    for request in [asking(Some(-DAY), Some(9999 * DAY)), lasting(u64::MAX), asking(Some(DAY), Some(-DAY))] {
        gives(&ignoring, &request, -BACKDATE, 30 * DAY - BACKDATE);
    }
}

#[test]
fn a_start_before_the_backdating_is_refused() {
    let words = ["acme/web starts at most 300 s before now", "notBefore 2025-12-31T23:54:59Z was asked for"];
    refuses_validity(&under(&policy()), &asking(Some(-BACKDATE - 1), None), "validity.backdate", &words);
}

#[test]
fn a_certificate_that_would_never_be_good_is_refused() {
    let profile = under(&policy());
    refuses_validity(
        &profile,
        &asking(Some(2 * DAY), Some(DAY)),
        "validity",
        &["does not lie after notBefore"],
    );
    refuses_validity(&profile, &asking(None, Some(-DAY)), "validity", &["does not lie after notBefore"]);
    refuses_validity(&profile, &lasting(0), "validity", &["does not lie after notBefore"]);
    refuses_validity(&profile, &asking(None, Some(-1)), "validity", &["is over already"]);
    refuses_validity(&profile, &lasting(BACKDATE as u64), "validity", &["is over already"]);
}

#[test]
fn a_default_ends_with_the_authority() {
    gives(&within(&policy(), -DAY, 10 * DAY), &request(), -BACKDATE, 10 * DAY);
    gives(&within(&policy(), -60, 3650 * DAY), &request(), -60, 30 * DAY - 60);
}

#[test]
fn a_wish_beyond_the_authority_is_refused() {
    let short = within(&policy(), -DAY, 10 * DAY);
    gives(&short, &asking(None, Some(10 * DAY)), -BACKDATE, 10 * DAY);
    let beyond = [
        asking(None, Some(10 * DAY + 1)),
        lasting(11 * DAY as u64),
        asking(Some(10 * DAY), None),
        asking(Some(20 * DAY), None),
    ];
    for request in beyond {
        let words = ["acme/issuing ends at 2026-01-11T00:00:00Z", "was asked for"];
        refuses_under(&short, &request, Rule::AuthorityValidity, "authority", &words);
    }
}

#[test]
fn an_authority_that_is_not_good_now_signs_nothing() {
    for (from, until) in [(-10 * DAY, -1), (-10 * DAY, 0), (1, 10 * DAY)] {
        let words = ["acme/issuing is not valid now"];
        refuses_under(
            &within(&policy(), from, until),
            &request(),
            Rule::AuthorityValidity,
            "authority",
            &words,
        );
    }
}

//! How long a certificate is good for.

use std::time::Duration;

use pki::time::Time;

use crate::{
    authority::IssuingProfile,
    error::{Refusal, Rule},
    policy::Request,
    request::AskedValidity,
};

/// notBefore and notAfter. Backdating shifts the period, it does not lengthen it; nothing outlives its authority.
pub(super) fn judge(
    profile: &IssuingProfile,
    asked: AskedValidity,
    now: Time,
) -> Result<(Time, Time), Refusal> {
    let policy = &profile.policy.validity;
    let name = &profile.policy.name;
    let asked = match policy.request {
        Request::Honour => asked,
        Request::Ignore => AskedValidity::default(),
    };
    let mut not_before = asked.not_before.unwrap_or_else(|| earlier(now, policy.backdate));
    if not_before < earlier(now, policy.backdate) {
        return Err(refusal(format!(
            "validity.backdate: {name} starts at most {} s before now; notBefore {not_before} was asked for",
            policy.backdate.as_secs()
        )));
    }
    let mut end = None;
    if let Some(authority) = &profile.authority {
        let (from, until) = (authority.certificate.not_before(), authority.certificate.not_after());
        if now < from || until <= now {
            return Err(Refusal::new(
                Rule::AuthorityValidity,
                format!(
                    "authority: the certificate of {} is not valid now ({from} to {until})",
                    authority.name
                ),
            ));
        }
        not_before = not_before.max(from);
        end = Some(until);
    }
    let wished = asked.not_after.or_else(|| asked.duration.map(|duration| later(not_before, duration)));
    let not_after = wished.unwrap_or_else(|| later(not_before, policy.default));
    if not_after <= not_before {
        return Err(refusal(format!(
            "validity: notAfter {not_after} does not lie after notBefore {not_before}"
        )));
    }
    if not_after > later(not_before, policy.maximum) {
        return Err(refusal(format!(
            "validity.maximum: {name} allows {} s; {} s were asked for",
            policy.maximum.as_secs(),
            not_after.unix() - not_before.unix()
        )));
    }
    if let (Some(end), Some(authority)) = (end, &profile.authority)
        && ((wished.is_some() && not_after > end) || not_before >= end)
    {
        return Err(Refusal::new(
            Rule::AuthorityValidity,
            format!(
                "authority: the certificate of {} ends at {end}; {not_before} to {not_after} was asked for",
                authority.name
            ),
        ));
    }
    let not_after = end.map_or(not_after, |end| not_after.min(end));
    if not_after <= now {
        return Err(refusal(format!("validity: {not_before} to {not_after} is over already, it is {now}")));
    }
    Ok((not_before, not_after))
}

fn later(time: Time, duration: Duration) -> Time {
    time.plus_seconds(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

fn earlier(time: Time, duration: Duration) -> Time {
    time.plus_seconds(-i64::try_from(duration.as_secs()).unwrap_or(i64::MAX))
}

fn refusal(sentence: String) -> Refusal {
    Refusal::new(Rule::Validity, sentence)
}

//! Whether the owner of a domain lets this authority issue for it (RFC 8659), and to this account by this way (RFC 8657).

use issuance::acme::ChallengeType;

use super::{
    failure::{Deadline, ValidationFailure, quoted},
    resolver::{CaaRecord, LookupFailure, Resolver},
};

/// Labels of a name: DNS has no more (RFC 1035 §2.3.4).
const MAX_LABELS: usize = 127;

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) wildcard: bool,
    /// How control was proved; none: by no challenge.
    pub(super) challenge: Option<ChallengeType>,
    pub(super) account_uri: &'a str,
    /// The names by which this authority goes.
    pub(super) issuers: &'a [String],
}

/// One `issue` or `issuewild` (RFC 8659 §4.2).
#[derive(Debug, Default, PartialEq, Eq)]
struct Permission {
    /// Empty: nobody.
    issuer: String,
    parameters: Vec<(String, String)>,
}

/// Looks for the records that count, and whether they permit what is asked.
pub(super) async fn check(
    resolver: &Resolver,
    domain: &str,
    asked: &Asked<'_>,
    deadline: Deadline,
) -> Result<(), ValidationFailure> {
    let mut name = domain;
    // RFC 8659 §3: the closest of the name and those above it that has any; aliases are followed, not climbed.
    for _ in 0..MAX_LABELS {
        let records = match resolver.caa(name, deadline).await {
            Ok(found) => found.records,
            Err(LookupFailure::NoSuchName { .. }) => Vec::new(),
            Err(
                failure @ (LookupFailure::Refused { .. }
                | LookupFailure::TimedOut { .. }
                | LookupFailure::Failed { .. }
                | LookupFailure::NoEnd(_)
                | LookupFailure::NoServers
                | LookupFailure::NotAName(_)),
            ) => return Err(failure.into()),
        };
        if !records.is_empty() {
            return judge(&records, asked)
                .map_err(|why| ValidationFailure::caa(format!("the CAA records of {name} {why}")));
        }
        match name.split_once('.') {
            Some((_, above)) if !above.is_empty() => name = above,
            Some(_) | None => break,
        }
    }
    Ok(())
}

/// What the set says; the reason where it forbids.
fn judge(records: &[CaaRecord], asked: &Asked<'_>) -> Result<(), String> {
    let has_tag = |record: &&CaaRecord, tag: &str| record.tag.eq_ignore_ascii_case(tag);
    let known = ["issue", "issuewild", "iodef"];
    let unknown =
        records.iter().find(|record| record.critical && !known.iter().any(|tag| has_tag(record, tag)));
    if let Some(unknown) = unknown {
        // RFC 8659 §4.1.
        return Err(format!(
            "have the critical property {}, which is not known here",
            quoted(unknown.tag.as_bytes())
        ));
    }
    let of = |tag: &str| records.iter().filter(|record| has_tag(record, tag)).collect::<Vec<_>>();
    // RFC 8659 §4.3: where there is an issuewild, it alone counts for wildcards.
    let mut relevant = if asked.wildcard { of("issuewild") } else { Vec::new() };
    if relevant.is_empty() {
        relevant = of("issue");
    }
    if relevant.is_empty() {
        return Ok(());
    }
    let refusals: Result<Vec<_>, ()> = relevant
        .iter()
        .map(|record| match Permission::parse(&record.value).refuses(asked) {
            Some(refusal) => Ok(refusal),
            None => Err(()),
        })
        .collect();
    // The most particular reason: a record that names this authority and asks for more.
    refusals.map_or(Ok(()), |refusals| Err(refusals.into_iter().max().unwrap_or_default().to_string()))
}

/// Why one record permits nothing, from the least particular to the most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Refusal {
    #[default]
    Issuer,
    Account,
    Method,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Issuer => "do not name this authority",
            Self::Account => "name this authority for another account (accounturi)",
            Self::Method => "name this authority for another way to validate (validationmethods)",
        })
    }
}

impl Permission {
    /// RFC 8659 §4.2; what is malformed permits nobody.
    fn parse(value: &[u8]) -> Self {
        std::str::from_utf8(value).ok().and_then(Self::parse_text).unwrap_or_default()
    }

    fn parse_text(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(|part| part.trim_matches([' ', '\t']));
        let issuer = parts.next()?.to_ascii_lowercase();
        let parts: Vec<_> = parts.collect();
        // One semicolon may be the last thing: "ca.example;".
        let parts = match parts.split_last() {
            Some((&"", before)) => before,
            Some(_) | None => parts.as_slice(),
        };
        let parameters = parts.iter().map(|part| {
            let (tag, value) = part.split_once('=')?;
            let (tag, value) = (tag.trim_end_matches([' ', '\t']), value.trim_start_matches([' ', '\t']));
            let is_tag =
                !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            let is_value = value.bytes().all(|byte| byte.is_ascii_graphic());
            (is_tag && is_value).then(|| (tag.to_ascii_lowercase(), value.to_owned()))
        });
        let parameters = parameters.collect::<Option<_>>()?;
        let is_name = issuer.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
        is_name.then_some(Self { issuer, parameters })
    }

    fn refuses(&self, asked: &Asked<'_>) -> Option<Refusal> {
        if self.issuer.is_empty() || !asked.issuers.iter().any(|ours| ours.eq_ignore_ascii_case(&self.issuer))
        {
            return Some(Refusal::Issuer);
        }
        // RFC 8657 §3: several are satisfied by none.
        let is_account = |value: &str| value == asked.account_uri;
        if !self.parameter_permits("accounturi", is_account) {
            return Some(Refusal::Account);
        }
        // RFC 8657 §4.
        let has_method = |value: &str| {
            asked.challenge.is_some_and(|challenge| value.split(',').any(|label| label == challenge.as_str()))
        };
        (!self.parameter_permits("validationmethods", has_method)).then_some(Refusal::Method)
    }

    /// Absent, or there once and right.
    fn parameter_permits(&self, tag: &str, permits: impl Fn(&str) -> bool) -> bool {
        let mut values = self.parameters.iter().filter(|(name, _)| name == tag).map(|(_, value)| value);
        match (values.next(), values.next()) {
            (None, _) => true,
            (Some(value), None) => permits(value),
            (Some(_), Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests;

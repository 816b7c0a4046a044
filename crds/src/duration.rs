//! Durations as people write them in a manifest: `90d`, `1h30m`.

use std::{borrow::Cow, fmt, str::FromStr};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A length of time: whole numbers, each with a unit (`y`, `w`, `d`, `h`, `m`, `s`), longer units first, added up.
///
/// How many of each unit there may be is bounded, so that the schema alone refuses what is too long: an API server must take nothing
/// that cannot be read. A day is 86 400 seconds, a year 365 days. The text is kept as it was written, so that a resource reads back unchanged;
/// two durations are equal when they are equally long.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration {
    text: String,
    seconds: u64,
}

/// Why a text is not a [`Duration`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DurationError {
    #[error(
        "{0:?} is not a duration: write whole numbers with units y, w, d, h, m and s, each at most once and in this order, such as 90d or 1h30m"
    )]
    Syntax(String),
    #[error("{text:?} is too long: {most}{unit} are the most", most = unit.most(), unit = unit.letter())]
    TooLong { text: String, unit: Unit },
}

/// The units of a [`Duration`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    Weeks,
    Years,
}

impl Unit {
    /// Length of one unit in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Seconds => 1,
            Self::Minutes => 60,
            Self::Hours => 3_600,
            Self::Days => 86_400,
            Self::Weeks => 7 * 86_400,
            Self::Years => 365 * 86_400,
        }
    }

    /// The most of this unit in one duration; of each but years, whatever has so many digits.
    const fn most(self) -> u64 {
        match self {
            Self::Seconds => 9_999_999_999,
            Self::Minutes => 99_999_999,
            Self::Hours => 999_999,
            Self::Days => 99_999,
            Self::Weeks => 9_999,
            Self::Years => 1_000,
        }
    }

    const fn letter(self) -> char {
        match self {
            Self::Seconds => 's',
            Self::Minutes => 'm',
            Self::Hours => 'h',
            Self::Days => 'd',
            Self::Weeks => 'w',
            Self::Years => 'y',
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        [Self::Seconds, Self::Minutes, Self::Hours, Self::Days, Self::Weeks, Self::Years]
            .into_iter()
            .find(|unit| unit.letter() == letter)
    }
}

impl Duration {
    /// The regular expression of the schema.
    pub const PATTERN: &'static str =
        "^((1000|[0-9]{1,3})y)?([0-9]{1,4}w)?([0-9]{1,5}d)?([0-9]{1,6}h)?([0-9]{1,8}m)?([0-9]{1,10}s)?$";

    /// Longest text the schema takes, in characters.
    pub const MAX_TEXT: usize = 32;

    /// `amount` units; saturates at the most there may be of the unit. Nothing here needs more, and sums with a date stay far from
    /// overflow.
    pub fn of(amount: u32, unit: Unit) -> Self {
        let amount = u64::from(amount).min(unit.most());
        Self { text: format!("{amount}{}", unit.letter()), seconds: amount * unit.seconds() }
    }

    /// Length in seconds.
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Length as the standard library's type.
    pub const fn as_std(&self) -> std::time::Duration {
        std::time::Duration::from_secs(self.seconds)
    }

    /// The text as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let syntax = || DurationError::Syntax(text.chars().take(Self::MAX_TEXT).collect());
        if text.is_empty() || text.len() > Self::MAX_TEXT {
            return Err(syntax());
        }
        let too_long = |unit| DurationError::TooLong { text: text.to_owned(), unit };
        let mut total = 0_u64;
        let mut amount: Option<u64> = None;
        let mut last: Option<Unit> = None;
        for character in text.chars() {
            if let Some(digit) = character.to_digit(10) {
                // With so many characters it saturates at most, which is too much of any unit.
                let shifted = amount.unwrap_or(0).saturating_mul(10);
                amount = Some(shifted.saturating_add(u64::from(digit)));
                continue;
            }
            let unit = Unit::from_letter(character).ok_or_else(syntax)?;
            let amount = amount.take().ok_or_else(syntax)?;
            if last.is_some_and(|last| last.seconds() <= unit.seconds()) {
                return Err(syntax());
            }
            if amount > unit.most() {
                return Err(too_long(unit));
            }
            total = total.saturating_add(amount.saturating_mul(unit.seconds()));
            last = Some(unit);
        }
        if amount.is_some() {
            return Err(syntax());
        }
        Ok(Self { text: text.to_owned(), seconds: total })
    }
}

impl PartialEq for Duration {
    fn eq(&self, other: &Self) -> bool {
        self.seconds == other.seconds
    }
}

impl Eq for Duration {}

impl PartialOrd for Duration {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Duration {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.seconds.cmp(&other.seconds)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Duration {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Duration> for String {
    fn from(duration: Duration) -> Self {
        duration.text
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time: whole numbers, each with a unit (y, w, d, h, m, s), longer units first, added up; for example 90d or 1h30m.",
            "pattern": Self::PATTERN,
            "minLength": 1,
            "maxLength": Self::MAX_TEXT,
        })
    }
}

/// CEL rule for durations that must not be zero: some digit is not.
pub(crate) fn longer_than_zero() -> Rule {
    Rule::new("self.matches('[1-9]')").message("must be longer than zero")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_not_a_duration() {
        for text in [
            "", "90", "d", "90D", "-1d", "1.5h", "1h ", " 1h", "1hh", "h1", "1d2", "１d", "1ms", "1h1h",
            "30m1h",
        ] {
            assert!(
                matches!(text.parse::<Duration>(), Err(DurationError::Syntax(_))),
                "{text:?} was accepted"
            );
        }
        assert!(
            "1000y9999w99999d999999h99999999m9s".parse::<Duration>().is_err(),
            "a text longer than the schema allows was accepted"
        );
    }

    #[test]
    fn refuses_what_would_overflow() {
        for text in ["1001y", "10000w", "100000d", "99999999999s", "18446744073709551616y"] {
            assert!(
                matches!(text.parse::<Duration>(), Err(DurationError::TooLong { .. })),
                "{text:?} was accepted"
            );
        }
        let error = "1h100000000m".parse::<Duration>().unwrap_err().to_string();
        assert_eq!(error, "\"1h100000000m\" is too long: 99999999m are the most");
    }

    #[test]
    fn the_schema_and_the_text_agree() {
        let pattern = regex::Regex::new(Duration::PATTERN).unwrap();
        for text in ["1000y9999w99999d", "999999h99999999m9999999999s", "1y1w1d1h1m1s", "000s", "365d"] {
            assert!(pattern.is_match(text) && text.parse::<Duration>().is_ok(), "{text}");
        }
        for text in
            ["1001y", "10000w", "100000d", "1000000h", "100000000m", "10000000000s", "1d1y", "1d1d", "d"]
        {
            assert!(!pattern.is_match(text) && text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn adds_up_units_and_keeps_the_text() {
        for (text, seconds) in [
            ("0s", 0),
            ("90d", 7_776_000),
            ("1h30m", 5_400),
            ("1y", 31_536_000),
            ("2w", 1_209_600),
            ("1000y", 31_536_000_000),
        ] {
            let duration: Duration = text.parse().unwrap();
            assert_eq!(duration.seconds(), seconds, "{text}");
            assert_eq!(duration.to_string(), text);
        }
        assert_eq!("1w".parse::<Duration>(), "7d".parse());
    }

    #[test]
    fn built_durations_read_back() {
        for unit in [Unit::Seconds, Unit::Minutes, Unit::Hours, Unit::Days, Unit::Weeks, Unit::Years] {
            for amount in [0, 1, 10, u32::MAX] {
                let built = Duration::of(amount, unit);
                assert_eq!(built.as_str().parse::<Duration>(), Ok(built.clone()), "{built}");
            }
        }
    }
}

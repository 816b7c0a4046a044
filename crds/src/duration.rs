//! Durations as people write them in a manifest: `90d`, `1h30m`.

use std::{borrow::Cow, fmt, str::FromStr};

use kube::core::Rule;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A length of time: whole numbers, each with a unit (`s`, `m`, `h`, `d`, `w`, `y`), added up.
///
/// A day is 86 400 seconds, a year 365 days. The text is kept as it was written, so that a resource reads back unchanged;
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
        "{0:?} is not a duration: write whole numbers with units s, m, h, d, w or y, such as 90d or 1h30m"
    )]
    Syntax(String),
    #[error("{0:?} is longer than {max} years", max = Duration::MAX_SECONDS / Unit::Years.seconds())]
    TooLong(String),
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
    pub const PATTERN: &'static str = "^([0-9]+(s|m|h|d|w|y))+$";

    /// Longest text the schema takes, in characters.
    pub const MAX_TEXT: usize = 32;

    /// Longest duration: 1,000 years. Nothing here needs more, and sums with a date stay far from overflow.
    pub const MAX_SECONDS: u64 = 1_000 * Unit::Years.seconds();

    /// `amount` units; saturates at [`Self::MAX_SECONDS`].
    pub fn of(amount: u32, unit: Unit) -> Self {
        let seconds = u64::from(amount) * unit.seconds();
        if seconds > Self::MAX_SECONDS {
            return Self { text: format!("{}s", Self::MAX_SECONDS), seconds: Self::MAX_SECONDS };
        }
        Self { text: format!("{amount}{}", unit.letter()), seconds }
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
        let too_long = || DurationError::TooLong(text.to_owned());
        let mut total = 0_u64;
        let mut amount: Option<u64> = None;
        for character in text.chars() {
            if let Some(digit) = character.to_digit(10) {
                let shifted = amount.unwrap_or(0).checked_mul(10).ok_or_else(too_long)?;
                amount = Some(shifted.checked_add(u64::from(digit)).ok_or_else(too_long)?);
            } else {
                let unit = Unit::from_letter(character).ok_or_else(syntax)?;
                let part =
                    amount.take().ok_or_else(syntax)?.checked_mul(unit.seconds()).ok_or_else(too_long)?;
                total = total.checked_add(part).ok_or_else(too_long)?;
            }
        }
        if amount.is_some() {
            return Err(syntax());
        }
        if total > Self::MAX_SECONDS {
            return Err(too_long());
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
            "description": "A length of time: whole numbers, each with a unit (s, m, h, d, w, y), added up; for example 90d or 1h30m.",
            "pattern": Self::PATTERN,
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
        for text in ["", "90", "d", "90D", "-1d", "1.5h", "1h ", " 1h", "1hh", "h1", "1d2", "１d", "1ms"] {
            assert!(
                matches!(text.parse::<Duration>(), Err(DurationError::Syntax(_))),
                "{text:?} was accepted"
            );
        }
        assert!(
            "1s".repeat(17).parse::<Duration>().is_err(),
            "a text longer than the schema allows was accepted"
        );
    }

    #[test]
    fn refuses_what_would_overflow() {
        for text in ["1001y", "99999999999999999999s", "18446744073709551615y", "1000y1s"] {
            assert!(
                matches!(text.parse::<Duration>(), Err(DurationError::TooLong(_))),
                "{text:?} was accepted"
            );
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

//! Points in time as certificates write them (RFC 5280 §4.1.2.5).

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::der_io::{DerError, Reader, Writer, tag};

/// Seconds since 1970-01-01T00:00:00Z, within the years 0000 to 9999 that GeneralizedTime can write.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(i64);

/// Why something is not a time that certificates can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("the time is malformed")]
    Malformed(#[from] DerError),
    #[error("the time is not written as YYMMDDHHMMSSZ or YYYYMMDDHHMMSSZ")]
    Format,
    #[error("the time has a month, day, hour, minute or second that does not exist")]
    Range,
}

const MINIMUM: i64 = -62_167_219_200;
const MAXIMUM: i64 = 253_402_300_799;
const SECONDS_A_DAY: i64 = 86_400;

impl Time {
    /// 99991231235959Z: a certificate that has no well-defined expiration date.
    pub const NO_WELL_DEFINED_EXPIRATION: Self = Self(MAXIMUM);

    /// From Unix seconds; what lies outside the years 0000 to 9999 becomes the nearest time inside.
    pub const fn from_unix(seconds: i64) -> Self {
        if seconds < MINIMUM {
            Self(MINIMUM)
        } else if seconds > MAXIMUM {
            Self(MAXIMUM)
        } else {
            Self(seconds)
        }
    }

    /// Unix seconds.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// This many seconds later (or earlier, where negative), within the years 0000 to 9999.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self::from_unix(self.0.saturating_add(seconds))
    }

    /// Reads the UTCTime or GeneralizedTime that comes next.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, TimeError> {
        let tlv = reader.any()?;
        match tlv.tag {
            tag::UTC_TIME => from_utc_time(tlv.value),
            tag::GENERALIZED_TIME => from_generalized_time(tlv.value),
            found => Err(DerError::UnexpectedTag { expected: tag::UTC_TIME, found }.into()),
        }
    }

    /// Reads a GeneralizedTime, as the invalidity date and OCSP have it.
    pub fn read_generalized(reader: &mut Reader<'_>) -> Result<Self, TimeError> {
        from_generalized_time(reader.value(tag::GENERALIZED_TIME)?)
    }

    /// Appends a UTCTime from 1950 through 2049, a GeneralizedTime otherwise.
    pub fn write(self, writer: &mut Writer) {
        let Civil { year, month, day, hour, minute, second } = Civil::from_unix(self.0);
        if (1950..2050).contains(&year) {
            let digits = two_digits([year % 100, month, day, hour, minute, second]);
            writer.nested(tag::UTC_TIME, |time| {
                time.raw(digits.as_flattened());
                time.raw(b"Z");
            });
        } else {
            self.write_generalized(writer);
        }
    }

    /// Appends a GeneralizedTime.
    pub fn write_generalized(self, writer: &mut Writer) {
        let Civil { year, month, day, hour, minute, second } = Civil::from_unix(self.0);
        let digits = two_digits([year / 100, year % 100, month, day, hour, minute, second]);
        writer.nested(tag::GENERALIZED_TIME, |time| {
            time.raw(digits.as_flattened());
            time.raw(b"Z");
        });
    }
}

/// RFC 3339 in UTC, whole seconds.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil { year, month, day, hour, minute, second } = Civil::from_unix(self.0);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Time({self})")
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        if (MINIMUM..=MAXIMUM).contains(&seconds) {
            Ok(Self(seconds))
        } else {
            Err(serde::de::Error::custom("the time lies outside the years 0000 to 9999"))
        }
    }
}

/// RFC 5280 §4.1.2.5.1: with seconds, in Zulu; 50 to 99 are in the last century.
fn from_utc_time(value: &[u8]) -> Result<Time, TimeError> {
    let fields: [i64; 6] = parse_digits(value)?;
    let [short_year, month, day, hour, minute, second] = fields;
    let year = if short_year >= 50 { 1900 + short_year } else { 2000 + short_year };
    Civil { year, month, day, hour, minute, second }.to_time()
}

/// RFC 5280 §4.1.2.5.2: with seconds, without fractions, in Zulu.
fn from_generalized_time(value: &[u8]) -> Result<Time, TimeError> {
    let fields: [i64; 7] = parse_digits(value)?;
    let [century, short_year, month, day, hour, minute, second] = fields;
    Civil { year: century * 100 + short_year, month, day, hour, minute, second }.to_time()
}

/// `N` numbers of two digits each, then `Z`.
fn parse_digits<const N: usize>(value: &[u8]) -> Result<[i64; N], TimeError> {
    let digits = value.strip_suffix(b"Z").ok_or(TimeError::Format)?;
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_digit) {
        return Err(TimeError::Format);
    }
    let mut numbers = [0; N];
    for (number, pair) in numbers.iter_mut().zip(digits.chunks_exact(2)) {
        *number = pair.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    }
    Ok(numbers)
}

/// Each number (0 to 99) as two ASCII digits.
fn two_digits<const N: usize>(numbers: [i64; N]) -> [[u8; 2]; N] {
    numbers.map(|number| [b'0' + (number / 10 % 10) as u8, b'0' + (number % 10) as u8])
}

/// A date of the proleptic Gregorian calendar and a time of day, UTC.
struct Civil {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Civil {
    /// Counts in eras of 400 years (146,097 days) that begin on 1 March, so that the leap day is a year's last.
    fn from_unix(seconds: i64) -> Self {
        let days = seconds.div_euclid(SECONDS_A_DAY);
        let of_day = seconds.rem_euclid(SECONDS_A_DAY);
        let since_era_0 = days + 719_468;
        let era = since_era_0.div_euclid(146_097);
        let day_of_era = since_era_0.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
        }
    }

    fn to_time(&self) -> Result<Time, TimeError> {
        let exists = (1..=12).contains(&self.month)
            && (1..=self.days_in_month()).contains(&self.day)
            && self.hour < 24
            && self.minute < 60
            && self.second < 60;
        if !exists {
            return Err(TimeError::Range);
        }
        let year = self.year - i64::from(self.month <= 2);
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let march_month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Ok(Time(days * SECONDS_A_DAY + self.hour * 3_600 + self.minute * 60 + self.second))
    }

    fn days_in_month(&self) -> i64 {
        let leap = self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0);
        match self.month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }
}

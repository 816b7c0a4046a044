//! Moments, as they are given at the command line.

use issuance::ports::{Clock as _, SystemClock};
use pki::time::Time;
use time::{Date, OffsetDateTime, format_description::well_known::Rfc3339, macros::format_description};

/// A moment, or how far from now it will be.
pub(super) fn ahead(text: &str) -> Result<Time, String> {
    moment(text, 1)
}

/// A moment, or how long ago it was.
pub(super) fn ago(text: &str) -> Result<Time, String> {
    moment(text, -1)
}

fn moment(text: &str, direction: i64) -> Result<Time, String> {
    if let Ok(duration) = text.parse::<crds::Duration>() {
        let seconds = i64::try_from(duration.seconds()).unwrap_or(i64::MAX);
        return Ok(SystemClock.now().plus_seconds(seconds * direction));
    }
    let day = format_description!("[year]-[month]-[day]");
    let date = Date::parse(text, day).map(|date| date.midnight().assume_utc());
    date.or_else(|_| OffsetDateTime::parse(text, &Rfc3339))
        .map(|time| Time::from_unix(time.unix_timestamp()))
        .map_err(|_| "give a day (2027-01-31), a time (2027-01-31T12:00:00Z) or a duration (30d)".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_a_time_or_a_distance_from_now() {
        for read in [ahead, ago] {
            assert_eq!(read("2027-01-31").unwrap().to_string(), "2027-01-31T00:00:00Z");
            assert_eq!(read("2027-01-31T12:00:00+02:00").unwrap().to_string(), "2027-01-31T10:00:00Z");
            for bad in ["", "yesterday", "2027-02-30", "2027-01-31 12:00", "-1d"] {
                assert!(read(bad).is_err(), "{bad}");
            }
        }
        let day = 24 * 3600;
        let now = SystemClock.now();
        assert!((0..60).contains(&(ahead("1d").unwrap().unix() - now.unix() - day)));
        assert!((0..60).contains(&(ago("1d").unwrap().unix() - now.unix() + day)));
    }
}

//! Moments, as they are given at the command line, and as a server takes them: RFC 3339 in UTC.

use time::{
    Date, Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339,
    macros::format_description,
};

/// A moment, or how far from now it will be.
pub(crate) fn ahead(text: &str) -> Result<String, String> {
    moment(text, 1, OffsetDateTime::now_utc())
}

/// A moment, or how long ago it was.
pub(crate) fn ago(text: &str) -> Result<String, String> {
    moment(text, -1, OffsetDateTime::now_utc())
}

fn moment(text: &str, direction: i64, now: OffsetDateTime) -> Result<String, String> {
    let asked = "give a day (2027-01-31), a time (2027-01-31T12:00:00Z) or a duration (30d)";
    let found = if let Ok(duration) = text.parse::<crds::Duration>() {
        let seconds = i64::try_from(duration.seconds()).unwrap_or(i64::MAX).saturating_mul(direction);
        now.checked_add(Duration::seconds(seconds)).ok_or("that is too far away")?
    } else {
        let day = Date::parse(text, format_description!("[year]-[month]-[day]"));
        let time = day.map(|day| day.midnight().assume_utc());
        time.or_else(|_| OffsetDateTime::parse(text, &Rfc3339)).map_err(|_| asked)?
    };
    let found = found.to_offset(UtcOffset::UTC).replace_nanosecond(0).map_err(|_| asked)?;
    found.format(&Rfc3339).map_err(|_| "that is too far away".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_a_time_or_a_distance_from_now() {
        let now = OffsetDateTime::from_unix_timestamp(1_800_000_000).unwrap();
        for (text, direction, expected) in [
            ("2027-01-31", 1, "2027-01-31T00:00:00Z"),
            ("2027-01-31T12:00:00.5+02:00", 1, "2027-01-31T10:00:00Z"),
            ("1d", 1, "2027-01-16T08:00:00Z"),
            ("1d", -1, "2027-01-14T08:00:00Z"),
        ] {
            assert_eq!(moment(text, direction, now).as_deref(), Ok(expected), "{text}");
        }
        for bad in ["", "yesterday", "2027-02-30", "2027-01-31 12:00", "-1d"] {
            assert!(moment(bad, 1, now).is_err(), "{bad}");
        }
    }
}

//! How long things may take.

use std::ops::RangeInclusive;

use crds::Duration;

use crate::status::Problems;

pub(crate) const SECOND: u64 = 1;
pub(crate) const MINUTE: u64 = 60;
pub(crate) const DAY: u64 = 86_400;

/// Notes a length that is not within `bounds`, in seconds; `path` is the member that says it.
pub(crate) fn check_length(
    path: &str,
    given: &Duration,
    bounds: RangeInclusive<u64>,
    problems: &mut Problems,
) {
    if !bounds.contains(&given.seconds()) {
        let (least, most) = (in_words(*bounds.start()), in_words(*bounds.end()));
        problems.invalid(path, format!("{given} is not between {least} and {most}"));
    }
}

/// A round number of seconds as resources write it.
fn in_words(seconds: u64) -> String {
    match seconds {
        days if days % DAY == 0 => format!("{}d", days / DAY),
        minutes if minutes % MINUTE == 0 => format!("{}m", minutes / MINUTE),
        seconds => format!("{seconds}s"),
    }
}

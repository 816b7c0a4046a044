//! Durations as Go writes them (`time.ParseDuration`): `2160h0m0s`, `1.5h`, `300ms`.

use std::time::Duration;

/// Why a text is not a duration that a certificate can have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GoDurationError {
    #[error("{0:?} is not a duration such as 2160h or 1h30m")]
    Syntax(String),
    #[error("{0:?} is not longer than zero")]
    NotPositive(String),
    #[error("{0:?} is too long")]
    TooLong(String),
    /// Certificates count whole seconds (RFC 5280 §4.1.2.5).
    #[error("{0:?} is not a whole number of seconds")]
    Fraction(String),
}

/// Longer than any text Go prints, with room for people.
const MAX_TEXT: usize = 64;

/// The largest amount of nanoseconds that Go's durations hold: about 292 years.
const MAX_NANOSECONDS: u128 = i64::MAX as u128;

/// A duration of whole seconds, longer than zero.
///
/// # Errors
/// [`GoDurationError`], for everything else.
pub(super) fn parse(text: &str) -> Result<Duration, GoDurationError> {
    let shown = || text.chars().take(MAX_TEXT).collect::<String>();
    let syntax = || GoDurationError::Syntax(shown());
    if text.len() > MAX_TEXT {
        return Err(syntax());
    }
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest.is_empty() {
        return Err(syntax());
    }
    let mut total = 0_u128;
    // The one number that needs no unit.
    if rest != "0" {
        while !rest.is_empty() {
            let (part, after) = term(rest).ok_or_else(syntax)?;
            total = part
                .and_then(|part| total.checked_add(part))
                .ok_or_else(|| GoDurationError::TooLong(shown()))?;
            rest = after;
        }
    }
    if negative || total == 0 {
        return Err(GoDurationError::NotPositive(shown()));
    }
    if total > MAX_NANOSECONDS {
        return Err(GoDurationError::TooLong(shown()));
    }
    let duration = Duration::from_nanos_u128(total);
    if duration.subsec_nanos() != 0 {
        return Err(GoDurationError::Fraction(shown()));
    }
    Ok(duration)
}

/// One number with its unit as nanoseconds (none: too many), and what follows; none: it is not one.
fn term(text: &str) -> Option<(Option<u128>, &str)> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, after_whole) = text.split_at_checked(digits(text))?;
    let (fraction, after_number) = match after_whole.strip_prefix('.') {
        Some(after) => after.split_at_checked(digits(after))?,
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let unit_length =
        after_number.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after_number.len());
    let (unit, rest) = after_number.split_at_checked(unit_length)?;
    let nanoseconds = unit_nanoseconds(unit)?;
    Some((amount(whole, fraction, nanoseconds), rest))
}

fn unit_nanoseconds(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        // U+00B5 and U+03BC, both of which Go takes.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` units in nanoseconds, cut where Go cuts; none: too many.
fn amount(whole: &str, fraction: &str, unit: u128) -> Option<u128> {
    let number = |digits: &str| if digits.is_empty() { Some(0) } else { digits.parse::<u128>().ok() };
    let fraction = fraction.trim_end_matches('0');
    let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let below = number(fraction)?.checked_mul(unit)? / scale;
    number(whole)?.checked_mul(unit)?.checked_add(below)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_go_would_not_read() {
        for text in [
            "", "-", "+", "1", "h", "1x", "1 h", " 1h", "1h ", ".h", "1.h2", "1hh", "１h", "1d", "1H",
            "--1h", "1e3s",
        ] {
            assert_eq!(parse(text), Err(GoDurationError::Syntax(text.to_owned())), "{text:?}");
        }
        assert!(matches!(parse(&"1h".repeat(40)), Err(GoDurationError::Syntax(_))));
    }

    #[test]
    fn refuses_what_no_certificate_can_have() {
        for text in ["0", "0s", "-1h", "-0s", "+0h0m"] {
            assert_eq!(parse(text), Err(GoDurationError::NotPositive(text.to_owned())), "{text:?}");
        }
        for text in ["1ns", "1500ms", "0.1s", "0.0001h", "1h1us"] {
            assert_eq!(parse(text), Err(GoDurationError::Fraction(text.to_owned())), "{text:?}");
        }
        let huge = format!("{}h", "9".repeat(39));
        for text in ["2562048h", "9223372037s", huge.as_str()] {
            assert_eq!(parse(text), Err(GoDurationError::TooLong(text.to_owned())), "{text:?}");
        }
    }

    #[test]
    fn reads_what_cert_manager_writes_and_people_do() {
        for (text, seconds) in [
            ("2160h0m0s", 7_776_000),
            ("896h", 3_225_600),
            ("1h30m", 5_400),
            ("1.5h", 5_400),
            ("+10m", 600),
            (".5m", 30),
            ("1.h", 3_600),
            ("3000ms", 3),
            ("1000000us", 1),
            ("0.50000m", 30),
            ("2562047h", 9_223_369_200),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text:?}");
        }
    }
}

//! Quantities of Kubernetes, as far as sizes of volumes need them.

/// A size in bytes, rounded up. None: it is not a quantity, or greater than anything that can be stored.
///
/// Source: the serialization format of `resource.Quantity`: a decimal number, then a binary suffix (`Ki` to `Ei`), a decimal
/// one (`n`, `u`, `m`, none, `k` to `E`) or a decimal exponent.
pub(super) fn bytes(text: &str) -> Option<u128> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || number.len() > 24 {
        return None;
    }
    let digits: u128 = format!("{whole}{fraction}").parse().ok()?;
    let (multiplier, divisor) = scale(suffix)?;
    let divisor = divisor.checked_mul(10_u128.checked_pow(fraction.len().try_into().ok()?)?)?;
    Some(digits.checked_mul(multiplier)?.div_ceil(divisor))
}

/// What a suffix multiplies by, and divides by.
fn scale(suffix: &str) -> Option<(u128, u128)> {
    let scale = match suffix {
        "" => (1, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => {
            let exponent: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_u128.checked_pow(exponent.unsigned_abs())?;
            if exponent < 0 { (1, power) } else { (power, 1) }
        }
    };
    Some(scale)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_a_quantity_has_no_size() {
        for text in [
            "",
            ".",
            "Gi",
            "1 Gi",
            "1gi",
            "-1",
            "+1",
            "1.2.3",
            "1e",
            "1Gi1",
            "0x10",
            "9999999999999999999999999",
        ] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn the_same_size_is_equal_however_it_is_written() {
        for (text, size) in [
            ("1024", 1024),
            ("1Ki", 1024),
            ("1.5Gi", 1_610_612_736),
            ("1536Mi", 1_610_612_736),
            ("1G", 1_000_000_000),
            ("1e9", 1_000_000_000),
            ("1E9", 1_000_000_000),
            ("1E", 1_000_000_000_000_000_000),
            (".5k", 500),
            ("1500m", 2),
            ("1e-1", 1),
            ("0", 0),
        ] {
            assert_eq!(bytes(text), Some(size), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_greater_number_is_never_a_smaller_size(a in 0_u32.., b in 0_u32.., suffix in "(|k|M|G|Ki|Mi|Gi|m)") {
            let (small, great) = (a.min(b), a.max(b));
            let size = |number: u32| bytes(&format!("{number}{suffix}"));
            prop_assert!(size(small) <= size(great));
        }

        #[test]
        fn no_text_makes_it_fail(text in "\\PC{0,40}") {
            let _ = bytes(&text);
        }
    }
}

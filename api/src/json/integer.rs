//! Integers as clients write them. Proto3 JSON accepts every spelling of a number whose value is
//! whole, as a number or as a string: `100`, `"100"`, `1e2`, `"1e2"`, `100.0`.

use serde_json::Number;

/// The value of a JSON number; `None` when it has a fraction, or is so large that not every integer
/// near it can be represented.
pub(super) fn of_number(number: &Number) -> Option<i64> {
    number.as_i64().or_else(|| number.as_f64().and_then(whole))
}

fn whole(number: f64) -> Option<i64> {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0; // 2^53
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within 2^53, hence exact"
    )]
    (number.fract() == 0.0 && number.abs() <= EXACT_MAX).then_some(number as i64)
}

/// The exact value of a text with a JSON number (RFC 8259 §6); `None` when it is no number, has a
/// fraction, or does not fit. Zeros may lead, since earlier releases accepted them.
pub(super) fn of_text(text: &str) -> Option<i64> {
    let (is_negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, self::exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    if whole.is_empty() {
        return None;
    }
    // The value is `digits` times ten to the `power`.
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    let shift = i64::try_from(zeros).ok()? - i64::try_from(fraction.len()).ok()?;
    let power = u32::try_from(exponent.checked_add(shift)?).ok()?;
    // As a negative number, so that the smallest value fits.
    let value = format!("-{significant}").parse::<i64>().ok()?;
    let value = value.checked_mul(10_i64.checked_pow(power)?)?;
    if is_negative {
        Some(value)
    } else {
        value.checked_neg()
    }
}

/// The exponent of a number: digits after an optional sign.
fn exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_whole_number_is_its_value() {
        for (text, value) in [
            ("0", 0),
            ("-0", 0),
            ("0e999999", 0),
            ("0.000", 0),
            ("100", 100),
            ("1e2", 100),
            ("1E+2", 100),
            ("1.5e1", 15),
            ("1500e-2", 15),
            ("100.0", 100),
            ("007", 7),
            ("-1e2", -100),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("9.223372036854775807e18", i64::MAX),
            ("9007199254740993.0", 9_007_199_254_740_993),
        ] {
            assert_eq!(of_text(text), Some(value), "{text}");
        }
        for text in [
            "",
            "-",
            "+1",
            "1.",
            ".5",
            "1.5",
            "1e-1",
            "15e-2",
            "1e",
            "e2",
            "1e2.0",
            "1 ",
            " 1",
            "0x10",
            "1_000",
            "--1",
            "1e+-2",
            "1e99",
            "1e99999999999999999999",
            "9223372036854775808",
            "NaN",
            "Infinity",
            "١",
        ] {
            assert_eq!(of_text(text), None, "{text}");
        }
    }

    #[test]
    fn a_number_is_exact_or_refused() {
        let value = |text: &str| of_number(&serde_json::from_str(text).expect("a number"));
        assert_eq!(value("9223372036854775807"), Some(i64::MAX));
        assert_eq!(value("1e2"), Some(100));
        assert_eq!(value("100.0"), Some(100));
        assert_eq!(value("1.5"), None);
        assert_eq!(value("1e300"), None);
        assert_eq!(value("9007199254740994.0"), None);
    }
}

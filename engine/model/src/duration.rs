//! Durations as text: one grammar for configuration, HTTP and command line.
//!
//! A duration is one or more numbers, each with its unit: `90s`, `1.5h`, `1h30m`, `1y6mo`. Seconds
//! alone are the JSON form of `google.protobuf.Duration`; the units up to the hour are those of
//! Go's `time.ParseDuration`; `d`, `w`, `mo` (30 days) and `y` (365 days) extend them. A bare `0`
//! is the zero duration, as in Go. There is no sign.

use std::time::Duration;

/// The longest duration, in seconds: 10,000 years, the bound of `google.protobuf.Duration`.
pub const SECONDS_MAX: u64 = 315_576_000_000;

const NANOS_PER_SECOND: u128 = 1_000_000_000;
const NANOS_MAX: u128 = SECONDS_MAX as u128 * NANOS_PER_SECOND;
/// A decimal digit after this many is worth less than a nanosecond in every unit: a year has fewer
/// than 10^17 nanoseconds.
const DECIMALS_MAX: usize = 18;

/// A text that is not a duration. The message says what is allowed and does not repeat the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// A number or its unit is missing.
    #[error("not a duration; write numbers with units such as 500ms, 90s, 1h30m, 30d or 1y6mo")]
    Form,
    /// The unit is unknown.
    #[error(
        "unknown unit in the duration; the units are ns, us, ms, s, m, h, d, w, mo (30 days) and y (365 days)"
    )]
    Unit,
    /// A sign before the number.
    #[error("a duration has no sign; write it without one, such as 90s or 1h30m")]
    Sign,
    /// Longer than [`SECONDS_MAX`].
    #[error("the duration is too long; at most 10000 years (315576000000s)")]
    TooLong,
}

/// Parses a duration. Fractions of a nanosecond are cut off.
///
/// # Errors
/// [`InvalidDuration`] says what is wrong and what is allowed.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    if text.starts_with(['-', '+']) {
        return Err(InvalidDuration::Sign);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(InvalidDuration::Form);
    }
    let mut rest = text;
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let (whole, after_whole) = split_digits(rest);
        let (decimals, after_number) = match after_whole.strip_prefix('.') {
            Some(after_point) => split_digits(after_point),
            None => ("", after_whole),
        };
        if whole.is_empty() && decimals.is_empty() {
            return Err(InvalidDuration::Form);
        }
        let unit_end = after_number
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after_number.len());
        let (unit, after_unit) = after_number.split_at(unit_end);
        let nanos_per_unit = nanos_per_unit(unit)?;
        nanos = whole_nanos(whole, nanos_per_unit)
            .and_then(|part| nanos.checked_add(part))
            .and_then(|sum| sum.checked_add(decimal_nanos(decimals, nanos_per_unit)))
            .filter(|sum| *sum <= NANOS_MAX)
            .ok_or(InvalidDuration::TooLong)?;
        rest = after_unit;
    }
    duration(nanos).ok_or(InvalidDuration::TooLong)
}

/// The duration in the JSON form of `google.protobuf.Duration`: seconds with the fewest decimals,
/// and an `s`.
#[must_use]
pub fn format_protobuf(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match duration.subsec_nanos() {
        0 => format!("{seconds}s"),
        nanos => format!("{}s", format!("{seconds}.{nanos:09}").trim_end_matches('0')),
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn nanos_per_unit(unit: &str) -> Result<u128, InvalidDuration> {
    const HOUR: u128 = 3600 * NANOS_PER_SECOND;
    match unit {
        "" => Err(InvalidDuration::Form),
        "ns" => Ok(1),
        // The micro sign and the Greek letter look alike. Go accepts both.
        "us" | "\u{b5}s" | "\u{3bc}s" => Ok(1_000),
        "ms" => Ok(1_000_000),
        "s" => Ok(NANOS_PER_SECOND),
        "m" => Ok(60 * NANOS_PER_SECOND),
        "h" => Ok(HOUR),
        "d" => Ok(24 * HOUR),
        "w" => Ok(7 * 24 * HOUR),
        "mo" => Ok(30 * 24 * HOUR),
        "y" => Ok(365 * 24 * HOUR),
        _ => Err(InvalidDuration::Unit),
    }
}

/// `None` if the number or the product overflows.
fn whole_nanos(digits: &str, nanos_per_unit: u128) -> Option<u128> {
    if digits.is_empty() {
        return Some(0);
    }
    digits.parse::<u128>().ok()?.checked_mul(nanos_per_unit)
}

fn decimal_nanos(digits: &str, nanos_per_unit: u128) -> u128 {
    let mut numerator: u128 = 0;
    let mut denominator: u128 = 1;
    for digit in digits.bytes().take(DECIMALS_MAX) {
        numerator = numerator * 10 + u128::from(digit - b'0');
        denominator *= 10;
    }
    // Below 10^18 × 10^17 = 10^35, and a `u128` holds 10^38.
    numerator * nanos_per_unit / denominator
}

fn duration(nanos: u128) -> Option<Duration> {
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let below = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, below))
}

#[cfg(test)]
mod tests {
    use crate::duration::*;

    #[test]
    fn every_unit_and_compound() {
        let day = 86_400;
        for (text, seconds, nanos) in [
            ("86400s", day, 0),
            ("1.5s", 1, 500_000_000),
            ("0.000000001s", 0, 1),
            ("1h30m", 5400, 0),
            ("500ms", 0, 500_000_000),
            ("1.5h", 5400, 0),
            (".5h", 1800, 0),
            ("1.h", 3600, 0),
            ("1ns", 0, 1),
            ("1us", 0, 1_000),
            ("1\u{b5}s", 0, 1_000),
            ("1\u{3bc}s", 0, 1_000),
            ("2m", 120, 0),
            ("1d", day, 0),
            ("1w", 7 * day, 0),
            ("1mo", 30 * day, 0),
            ("1y", 365 * day, 0),
            ("1y6mo", (365 + 180) * day, 0),
            ("6mo1y", (365 + 180) * day, 0),
            ("1m1mo", 60 + 30 * day, 0),
            ("1h1h", 7200, 0),
            ("0", 0, 0),
            ("0s", 0, 0),
            (
                "00000000000000000000000000000000000000000000000000000001s",
                1,
                0,
            ),
            ("0.33333333333333333333333333333333s", 0, 333_333_333),
            ("0.9999999999s", 0, 999_999_999),
            ("315576000000s", SECONDS_MAX, 0),
        ] {
            assert_eq!(parse(text), Ok(Duration::new(seconds, nanos)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        use InvalidDuration::{Form, Sign, TooLong, Unit};
        for (text, error) in [
            ("", Form),
            ("s", Form),
            (".", Form),
            (".s", Form),
            ("1", Form),
            ("1h30", Form),
            ("00", Form),
            ("1..5s", Form),
            (" 1s", Form),
            ("1s ", Unit),
            ("1 s", Unit),
            ("1x", Unit),
            ("1S", Unit),
            ("1M", Unit),
            ("1sec", Unit),
            ("1\u{b5}", Unit),
            ("1e3s", Unit),
            ("1h-1m", Unit),
            ("\u{661}s", Form),
            ("-1s", Sign),
            ("+1s", Sign),
            ("-0", Sign),
            ("315576000000.000000001s", TooLong),
            ("10010y", TooLong),
            (
                "9999999999999999999999999999999999999999999999999999999999s",
                TooLong,
            ),
            ("340282366920938463463374607431768211455y", TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn compounds_add_up_in_any_order() {
        let units = ["ns", "us", "ms", "s", "m", "h", "d", "w", "mo", "y"];
        for (i, first) in units.iter().enumerate() {
            for (j, second) in units.iter().enumerate() {
                let (a, b) = (i + 1, j + 7);
                let sum = parse(&format!("{a}{first}{b}{second}")).expect("a compound");
                assert_eq!(parse(&format!("{b}{second}{a}{first}")), Ok(sum));
                let parts = parse(&format!("{a}{first}")).expect("a part")
                    + parse(&format!("{b}{second}")).expect("a part");
                assert_eq!(sum, parts);
            }
        }
    }

    #[test]
    fn formatted_durations_parse_back() {
        assert_eq!(format_protobuf(Duration::from_secs(60)), "60s");
        assert_eq!(format_protobuf(Duration::from_millis(1500)), "1.5s");
        assert_eq!(format_protobuf(Duration::from_nanos(1)), "0.000000001s");
        assert_eq!(format_protobuf(Duration::ZERO), "0s");
        for shift in 0..58 {
            let duration = Duration::from_nanos(0x0123_4567_89ab_cdef >> shift);
            assert_eq!(parse(&format_protobuf(duration)), Ok(duration));
        }
    }
}

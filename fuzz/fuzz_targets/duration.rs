//! Durations: compares the parser with decimal arithmetic, and formatting with parsing.

#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use talos_model::duration::{SECONDS_MAX, format_protobuf, parse};

const NANOS_MAX: u128 = SECONDS_MAX as u128 * 1_000_000_000;
const UNITS: [(&str, u64); 12] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
    ("mo", 2_592_000_000_000_000),
    ("y", 31_536_000_000_000_000),
];

fuzz_target!(|text: &str| {
    let read = parse(text);
    let by_hand = by_hand(text);
    match (read, by_hand) {
        (Ok(duration), Some((nanos, slack))) => {
            // The parser ignores decimals after a certain digit, so each term may lose a
            // nanosecond.
            let short_by = nanos.checked_sub(duration.as_nanos());
            assert!(
                short_by.is_some_and(|short_by| short_by <= slack),
                "{text}: {duration:?}, by hand {nanos}"
            );
        }
        (Ok(duration), None) => panic!("{text}: {duration:?}, which is no duration"),
        (Err(error), Some((nanos, _))) if nanos <= NANOS_MAX => {
            panic!("{text}: {error}, by hand {nanos}")
        }
        (Err(_), _) => {}
    }
    if let Ok(duration) = read {
        assert!(duration.as_nanos() <= NANOS_MAX);
        assert_eq!(parse(&format_protobuf(duration)), Ok(duration), "{text}");
        let twice = parse(&format!("{text}{text}"));
        let sum = duration + duration;
        if text != "0" && sum <= Duration::from_secs(SECONDS_MAX) {
            assert_eq!(twice, Ok(sum), "{text}");
        }
    }
});

/// The nanoseconds, and by how many the parser may be below them. `None` if the text is no
/// duration. Products are computed digit by digit. A product beyond 128 bits counts as the greatest
/// value.
fn by_hand(text: &str) -> Option<(u128, u128)> {
    if text == "0" {
        return Some((0, 0));
    }
    let (mut rest, mut sum, mut slack) = (text, 0_u128, 0);
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, nanos_per_unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
        if decimals.contains('.') || (whole.is_empty() && decimals.is_empty()) {
            return None;
        }
        slack += u128::from(decimals.len() > 18);
        let product = times(&[whole, decimals].concat(), *nanos_per_unit);
        let nanos = product.get(..product.len().saturating_sub(decimals.len()))?;
        sum = sum.saturating_add(number_of(nanos));
        rest = after;
    }
    Some((sum, slack))
}

/// The decimal digits of the product, with leading zeros.
fn times(digits: &str, factor: u64) -> String {
    let mut product = Vec::new();
    let mut carry = 0_u128;
    for digit in digits.bytes().rev() {
        carry += u128::from(digit - b'0') * u128::from(factor);
        product.push(carry % 10);
        carry /= 10;
    }
    while carry > 0 {
        product.push(carry % 10);
        carry /= 10;
    }
    product.iter().rev().map(ToString::to_string).collect()
}

fn number_of(digits: &str) -> u128 {
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        return 0;
    }
    digits.parse().unwrap_or(u128::MAX)
}

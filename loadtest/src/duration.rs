//! Times on the command line.

use std::time::Duration;

const UNITS: [(&str, f64); 5] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// A time with its unit.
///
/// # Errors
/// What is wrong with the text.
pub fn with_unit(text: &str) -> Result<Duration, String> {
    let form = || "expected a time with its unit, such as 500us, 1ms, 30s, 5m or 8h".to_owned();
    let digits = text
        .find(|character: char| !character.is_ascii_digit() && character != '.')
        .ok_or_else(form)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(form)?;
    let number: f64 = number.parse().map_err(|_| form())?;
    let (_, factor) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(form)?;
    let seconds = number * factor;
    if (0.0..=30.0 * 86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("expected at most 720h".to_owned())
    }
}

/// A time in seconds, or with its unit.
///
/// # Errors
/// What is wrong with the text.
pub fn seconds_or_unit(text: &str) -> Result<Duration, String> {
    if text.chars().all(|character| character.is_ascii_digit()) {
        with_unit(&format!("{text}s"))
    } else {
        with_unit(text)
    }
}

/// Refuses a time below a second.
///
/// # Errors
/// What is expected.
pub fn at_least_a_second(duration: Duration) -> Result<Duration, String> {
    if duration < Duration::from_secs(1) {
        Err("expected at least 1s".to_owned())
    } else {
        Ok(duration)
    }
}

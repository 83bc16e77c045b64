//! Instants as text: RFC 3339 in UTC with `Z`, as `google.protobuf.Timestamp` writes them.

use std::fmt;

use jiff::SignedDuration;
use jiff::civil::{DateTime, date};
use talos_model::clock::UnixMillis;

/// The instant 0. Instants are computed in civil time of UTC, which reaches until the end of the
/// year 9999; `jiff::Timestamp` ends a day earlier.
const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);

/// The instant as text, see [`Text`].
#[must_use]
pub fn format(instant: UnixMillis) -> String {
    Text(instant).to_string()
}

/// The instant of a text in RFC 3339 with seconds and an offset; `t` and `z` may be small. A
/// fraction finer than a millisecond is rounded up, so that whatever is before the instant is
/// before the result, too.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    const SHAPE: &str = "0000-00-00T00:00:00";
    let text = text.to_ascii_uppercase();
    let (start, rest) = text.split_at_checked(SHAPE.len())?;
    if !has_shape(start, SHAPE) {
        return None;
    }
    let end_of_fraction = rest.find(['Z', '+', '-'])?;
    let (fraction, offset) = rest.split_at_checked(end_of_fraction)?;
    let is_fraction = fraction.is_empty()
        || fraction
            .strip_prefix('.')
            .is_some_and(|digits| is_digits(digits) && digits.len() <= 9);
    if !is_fraction {
        return None;
    }
    let local: DateTime = format!("{start}{fraction}").parse().ok()?;
    let instant = local
        .duration_since(EPOCH)
        .checked_sub(self::offset(offset)?)?;
    let millis = i64::try_from(instant.as_millis()).ok()?;
    let is_finer = instant > SignedDuration::from_millis(millis);
    Some(UnixMillis(millis + i64::from(is_finer)))
}

/// The offset from UTC: `Z`, or hours and minutes with a sign.
fn offset(text: &str) -> Option<SignedDuration> {
    if text == "Z" {
        return Some(SignedDuration::ZERO);
    }
    let sign = if text.starts_with('-') { -1 } else { 1 };
    let digits = text.get(1..).filter(|rest| has_shape(rest, "00:00"))?;
    let (hours, minutes) = digits.split_once(':')?;
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| SignedDuration::from_mins(sign * (hours * 60 + minutes)))
}

/// Whether `text` has a digit where `shape` has `0`, and else the same characters.
fn has_shape(text: &str, shape: &str) -> bool {
    let fits = |(byte, shape): (u8, u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    text.len() == shape.len() && text.bytes().zip(shape.bytes()).all(fits)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Displays an instant without allocating. The fraction has three digits, or is absent when it is
/// zero. An instant outside the years -9999 to 9999 is shown as the nearest one inside.
#[derive(Clone, Copy, Debug)]
pub struct Text(pub UnixMillis);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(instant) = self;
        let nearest = if instant.0 < 0 {
            DateTime::MIN
        } else {
            DateTime::MAX
        };
        let since = SignedDuration::from_millis(instant.0);
        let time = EPOCH.checked_add(since).unwrap_or(nearest);
        if time.subsec_nanosecond() < 1_000_000 {
            // Without a precision, the first and the last instant would show nanoseconds.
            write!(f, "{time:.0}Z")
        } else {
            write!(f, "{time:.3}Z")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (100, "1970-01-01T00:00:00.100Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (-1000, "1969-12-31T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_210_096_789, "2024-02-29T12:34:56.789Z"),
            (1_735_689_599_500, "2024-12-31T23:59:59.500Z"),
            (4_102_444_800_000, "2100-01-01T00:00:00Z"),
        ];
        for (millis, text) in table {
            assert_eq!(format(UnixMillis(millis)), text);
        }
    }

    #[test]
    fn texts_are_read_back() {
        let table = [
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.001Z", 1),
            ("1970-01-01T00:00:00.0010001Z", 2),
            ("1969-12-31T23:59:59.9990001Z", 0),
            ("1969-12-31T23:59:59.999Z", -1),
            ("1970-01-01T01:00:00+01:00", 0),
            ("2024-02-29T12:34:56.789Z", 1_709_210_096_789),
            ("2024-02-29t12:34:56.789z", 1_709_210_096_789),
            ("2024-02-29T12:34:56.789123456Z", 1_709_210_096_790),
            ("2024-03-01T00:04:56.789+11:30", 1_709_210_096_789),
            ("1969-12-31T23:00:00-01:00", 0),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
            ("0001-01-01T00:00:00Z", -62_135_596_800_000),
        ];
        for (text, millis) in table {
            assert_eq!(parse(text), Some(UnixMillis(millis)), "{text}");
        }
        for text in [
            "",
            "1970-01-01",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00Z",
            "1970-01-01T00:00Z",
            "1970-13-01T00:00:00Z",
            "1970-01-01T00:00:00+01",
            "1970-01-01T00:00:00Z[UTC]",
            "1970-01-01T00:00:00-01:00[x]",
            "1970-01-01T00:00:00.Z",
            "1970-01-01T00:00:00.1234567890Z",
            "1970-01-01T00:00:00+24:00",
            "1970-01-01T00:00:00+0100",
            "1970-01-01T00:00:00ZZ",
            "1970-02-30T00:00:00Z",
            "1970-01-01T24:00:00Z",
            "٠970-01-01T00:00:00Z",
            "0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_have_a_text() {
        assert!(format(UnixMillis(i64::MAX)).starts_with("9999-12-31T23:59:59"));
        assert!(format(UnixMillis(i64::MIN)).starts_with("-009999-01-01T00:00:00"));
        assert_eq!(
            format(UnixMillis(253_402_300_799_999)),
            "9999-12-31T23:59:59.999Z"
        );
    }
}

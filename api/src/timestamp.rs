//! Instants as text: RFC 3339 in UTC with `Z`, as `google.protobuf.Timestamp` writes them.

use std::fmt;

use jiff::Timestamp;
use talos_model::clock::UnixMillis;

/// The instant as text, see [`Text`].
#[must_use]
pub fn format(instant: UnixMillis) -> String {
    Text(instant).to_string()
}

/// The instant of a text in RFC 3339 with seconds and an offset. A fraction finer than a
/// millisecond is rounded up, so that whatever is before the instant is before the result, too.
#[must_use]
pub fn parse(text: &str) -> Option<UnixMillis> {
    const SHAPE: &[u8] = b"0000-00-00T00:00:00";
    let (start, rest) = text.as_bytes().split_at_checked(SHAPE.len())?;
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'0' => byte.is_ascii_digit(),
        other => byte == other,
    };
    let is_rest = |byte: &u8| byte.is_ascii_digit() || b"Z.:+-".contains(byte);
    let has_offset = rest.ends_with(b"Z") || rest.iter().rev().nth(2) == Some(&b':');
    if !(start.iter().zip(SHAPE).all(fits) && rest.iter().all(is_rest) && has_offset) {
        return None;
    }
    let instant: Timestamp = text.parse().ok()?;
    let millis = instant.as_millisecond();
    let is_finer = instant.as_nanosecond() > i128::from(millis) * 1_000_000;
    Some(UnixMillis(millis + i64::from(is_finer)))
}

/// Displays an instant without allocating. The fraction has three digits, or is absent when it is
/// zero. An instant outside the years -9999 to 9999 is shown as the nearest one inside.
#[derive(Clone, Copy, Debug)]
pub struct Text(pub UnixMillis);

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(instant) = self;
        let nearest = if instant.0 < 0 {
            Timestamp::MIN
        } else {
            Timestamp::MAX
        };
        let timestamp = Timestamp::from_millisecond(instant.0).unwrap_or(nearest);
        if timestamp.subsec_millisecond() == 0 {
            // Without a precision, the first and the last instant would show nanoseconds.
            write!(f, "{timestamp:.0}")
        } else {
            write!(f, "{timestamp:.3}")
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
            "0",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_ends_of_time_have_a_text() {
        assert!(format(UnixMillis(i64::MAX)).starts_with("9999-12-30T"));
        assert!(format(UnixMillis(i64::MIN)).starts_with("-009999-01-02T"));
    }
}

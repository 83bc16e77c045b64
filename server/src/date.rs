//! The `Date` field of answers (RFC 9110 §5.6.7).

use std::time::{Duration, UNIX_EPOCH};

use httpdate::HttpDate;

/// A `Date` value, always 29 bytes.
pub(crate) type Date = [u8; 29];

/// The last second that has a `Date` value: the end of the year 9999.
const LAST_SECOND: u64 = 253_402_300_799;

/// The `Date` value for `seconds` since 1970. Seconds before 1970 become the first, seconds after
/// 9999 the last value.
pub(crate) fn date(seconds: i64) -> Date {
    let seconds = u64::try_from(seconds).unwrap_or(0).min(LAST_SECOND);
    let text = HttpDate::from(UNIX_EPOCH + Duration::from_secs(seconds)).to_string();
    let mut date = *b"Thu, 01 Jan 1970 00:00:00 GMT";
    for (slot, byte) in date.iter_mut().zip(text.bytes()) {
        *slot = byte;
    }
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_follow_the_calendar() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&date(seconds)), Ok(text));
        }
    }
}

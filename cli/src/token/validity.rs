//! Describes the times of tokens in words.

use talos_api::timestamp;
use talos_model::clock::UnixMillis;

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 60 * MINUTE_S;
const DAY_S: i64 = 24 * HOUR_S;

/// Whether a token is valid at `now`, and for how long. Start and end are in seconds since 1970;
/// the start belongs to the period, the end does not (RFC 7519 §4.1.4 and §4.1.5).
pub(crate) fn in_words(
    now: UnixMillis,
    not_before_s: Option<i64>,
    expires_at_s: Option<i64>,
) -> String {
    let now_s = now.seconds();
    let until = |seconds: i64| length(seconds.saturating_sub(now_s));
    match (not_before_s, expires_at_s) {
        (_, Some(end)) if end <= now_s => format!("expired {} ago", until(end)),
        (Some(start), _) if start > now_s => format!("not valid yet; from in {}", until(start)),
        (_, Some(end)) => format!("expires in {}", until(end)),
        (_, None) => "names no expiry".to_owned(),
    }
}

/// The time as RFC 3339.
pub(crate) fn instant(seconds: i64) -> String {
    timestamp::format(UnixMillis(seconds.saturating_mul(1000)))
}

/// A duration in the largest unit of which there are at least two, rounded down.
fn length(seconds: i64) -> String {
    let seconds = seconds.saturating_abs();
    let units = [(DAY_S, "days"), (HOUR_S, "hours"), (MINUTE_S, "minutes")];
    let unit = units.iter().find(|(unit, _)| seconds >= 2 * unit);
    match (unit, seconds) {
        (Some((unit, name)), _) => format!("{} {name}", seconds / unit),
        (None, 1) => "1 second".to_owned(),
        (None, _) => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_windows() {
        let now = UnixMillis(1_750_000_000_999);
        let at = |offset: i64| Some(1_750_000_000 + offset);
        for (start, end, words) in [
            (None, None, "names no expiry"),
            (at(0), at(1), "expires in 1 second"),
            (at(-1), at(119), "expires in 119 seconds"),
            (None, at(120), "expires in 2 minutes"),
            (None, at(7199), "expires in 119 minutes"),
            (None, at(7200), "expires in 2 hours"),
            (None, at(3 * 86_400 - 1), "expires in 2 days"),
            (None, at(0), "expired 0 seconds ago"),
            (None, at(-3600), "expired 60 minutes ago"),
            (at(5), at(-5), "expired 5 seconds ago"),
            (at(1), at(60), "not valid yet; from in 1 second"),
            (at(600), None, "not valid yet; from in 10 minutes"),
        ] {
            assert_eq!(in_words(now, start, end), words, "{start:?} {end:?}");
        }
        for extreme in [i64::MIN, i64::MAX] {
            assert!(!in_words(now, Some(extreme), Some(extreme)).is_empty());
        }
    }

    #[test]
    fn instants_are_rfc_3339() {
        assert_eq!(instant(1_750_000_000), "2025-06-15T15:06:40Z");
    }
}

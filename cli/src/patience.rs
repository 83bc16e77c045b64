//! How long a command waits for an answer, and whether it sends a request again.

use std::io;
use std::time::{Duration, Instant, SystemTime};

use ureq::Body;
use ureq::http::Response;

/// The wait before a second attempt when the server names none. It doubles with every attempt.
const BACKOFF: Duration = Duration::from_millis(500);

/// How long to wait, and how often to send a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// The longest wait for the answer to a request; all of its attempts share it.
    pub(crate) timeout: Duration,
    /// How often a request is sent again, if that is safe.
    pub(crate) retries: u8,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            retries: 2,
        }
    }
}

/// When a request may be sent again. A second request of a kind that may not would do its work
/// twice if only the first answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// Never.
    Never,
    /// When the server could not answer. A refusal because of a limit is the answer.
    UnlessLimited,
    /// When the server could not answer, and when a limit refused the request.
    Always,
}

/// Why an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The connection broke.
    Broken,
    /// The server answered with this HTTP status.
    Status(u16),
}

/// The attempts to send one request.
pub(crate) struct Attempts {
    patience: Patience,
    repeat: Repeat,
    start: Instant,
    /// How many attempts have failed.
    pub(crate) failed: u32,
}

impl Attempts {
    /// Before the first attempt.
    pub(crate) fn new(patience: Patience, repeat: Repeat) -> Self {
        Self {
            patience,
            repeat,
            start: Instant::now(),
            failed: 0,
        }
    }

    /// How long the next attempt may take.
    pub(crate) fn time_left(&self) -> Duration {
        self.patience.timeout.saturating_sub(self.start.elapsed())
    }

    /// Counts a failed attempt. Returns how long to wait before the next one, `None` if there is
    /// none. `asked` is the wait that the server asks for.
    pub(crate) fn wait_after(
        &mut self,
        failure: Failure,
        asked: Option<Duration>,
    ) -> Option<Duration> {
        let is_worth_it = match (self.repeat, failure) {
            (Repeat::Never, _) => false,
            (Repeat::Always, Failure::Status(429)) => true,
            (_, failure) => matches!(failure, Failure::Broken | Failure::Status(503)),
        };
        if !is_worth_it || self.failed >= u32::from(self.patience.retries) {
            return None;
        }
        let wait = asked.unwrap_or(BACKOFF * 2_u32.saturating_pow(self.failed));
        self.failed += 1;
        // An attempt that would have no time for its answer is not made.
        (wait < self.time_left()).then_some(wait)
    }
}

/// Why an attempt failed in a way that may pass, and the wait that the server asks for.
pub(crate) fn failure(
    result: &Result<Response<Body>, ureq::Error>,
) -> (Option<Failure>, Option<Duration>) {
    match result {
        Ok(response) if response.status().is_success() => (None, None),
        Ok(response) => {
            let header = response.headers().get("Retry-After");
            let header = header.and_then(|value| value.to_str().ok());
            let asked = header.and_then(|text| retry_after(text, SystemTime::now()));
            (Some(Failure::Status(response.status().as_u16())), asked)
        }
        Err(ureq::Error::Io(error)) if is_broken(error.kind()) => (Some(Failure::Broken), None),
        Err(_) => (None, None),
    }
}

/// Whether a connection that was there broke.
fn is_broken(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof
    )
}

/// The wait of a `Retry-After` header (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(header: &str, now: SystemTime) -> Option<Duration> {
    let header = header.trim();
    if let Ok(seconds) = header.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(header).ok()?;
    // A date that has passed asks for no wait.
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn attempts(repeat: Repeat, retries: u8) -> Attempts {
        let timeout = MINUTE;
        Attempts::new(Patience { timeout, retries }, repeat)
    }

    #[test]
    fn only_what_may_help_is_repeated() {
        let (broken, limited) = (Failure::Broken, Failure::Status(429));
        let unavailable = Failure::Status(503);
        for (repeat, failure, wanted) in [
            (Repeat::Never, broken, false),
            (Repeat::Never, unavailable, false),
            (Repeat::UnlessLimited, broken, true),
            (Repeat::UnlessLimited, unavailable, true),
            (Repeat::UnlessLimited, limited, false),
            (Repeat::Always, limited, true),
            (Repeat::Always, Failure::Status(500), false),
            (Repeat::Always, Failure::Status(404), false),
        ] {
            let wait = attempts(repeat, 2).wait_after(failure, None);
            assert_eq!(wait.is_some(), wanted, "{repeat:?} {failure:?}");
            assert_eq!(attempts(repeat, 0).wait_after(failure, None), None);
        }
    }

    #[test]
    fn attempts_end() {
        let mut attempts = attempts(Repeat::Always, 3);
        let waits = [(); 5].map(|()| attempts.wait_after(Failure::Broken, None));
        let wanted = [
            Some(BACKOFF),
            Some(2 * BACKOFF),
            Some(4 * BACKOFF),
            None,
            None,
        ];
        assert_eq!(waits, wanted);
    }

    #[test]
    fn a_wait_ends_before_the_time_is_over() {
        for (asked, wanted) in [
            (0, true),
            (1, true),
            (59, true),
            (61, false),
            (86_400, false),
        ] {
            let asked = Some(Duration::from_secs(asked));
            let mut attempts = attempts(Repeat::Always, 2);
            let wait = attempts.wait_after(Failure::Status(503), asked);
            assert_eq!(wait, asked.filter(|_| wanted));
        }
    }

    #[test]
    fn the_header_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (header, wanted) in [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let wait = retry_after(header, now);
            assert_eq!(wait, wanted.map(Duration::from_secs), "{header}");
        }
    }
}

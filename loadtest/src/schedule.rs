//! When requests are due.
//!
//! Guarantees: the send times of an open loop depend on the seed and the rate only, never on
//! answers.

use std::time::Duration;

use crate::clock::nanoseconds;
use crate::random::Random;

/// Hands out requests as they become due.
#[derive(Debug)]
pub enum Schedule {
    /// Whenever a connection is free, until the end.
    Closed {
        /// Nanoseconds since the start.
        end_ns: u64,
    },
    /// At random times that do not depend on answers.
    Open(Arrivals),
}

impl Schedule {
    /// A closed loop of this length.
    #[must_use]
    pub fn closed(duration: Duration) -> Self {
        Self::Closed {
            end_ns: nanoseconds(duration),
        }
    }

    /// An open loop of `rate` requests per second.
    #[must_use]
    pub fn open(rate: f64, duration: Duration, random: Random) -> Self {
        Self::Open(Arrivals::new(rate, duration, random))
    }

    /// Takes a request that is due at `now_ns` or before. Returns its due time.
    pub fn take(&mut self, now_ns: u64) -> Option<u64> {
        match self {
            Self::Closed { end_ns } => (now_ns < *end_ns).then_some(now_ns),
            Self::Open(arrivals) => {
                let due = arrivals.next().filter(|due| *due <= now_ns)?;
                arrivals.advance();
                Some(due)
            }
        }
    }

    /// Whether nothing becomes due at `now_ns` or later.
    #[must_use]
    pub fn is_over(&self, now_ns: u64) -> bool {
        match self {
            Self::Closed { end_ns } => now_ns >= *end_ns,
            Self::Open(arrivals) => arrivals.next().is_none(),
        }
    }

    /// The end, in nanoseconds since the start.
    #[must_use]
    pub fn end_ns(&self) -> u64 {
        match self {
            Self::Closed { end_ns } => *end_ns,
            Self::Open(arrivals) => arrivals.end_ns,
        }
    }

    /// When the next request is due. `None` in a closed loop, or after the last one.
    #[must_use]
    pub fn next_ns(&self) -> Option<u64> {
        match self {
            Self::Closed { .. } => None,
            Self::Open(arrivals) => arrivals.next(),
        }
    }

    /// Ends the schedule. Returns how many requests were never taken.
    pub fn drain(&mut self) -> u64 {
        let mut left = 0;
        if let Self::Open(arrivals) = self {
            while arrivals.next().is_some() {
                arrivals.advance();
                left += 1;
            }
        }
        left
    }
}

/// A Poisson process, the arrivals of independent callers, up to an end.
#[derive(Debug)]
pub struct Arrivals {
    mean_ns: f64,
    next_ns: f64,
    end_ns: u64,
    random: Random,
}

impl Arrivals {
    fn new(rate: f64, duration: Duration, random: Random) -> Self {
        let mut arrivals = Self {
            mean_ns: 1e9 / rate,
            next_ns: 0.0,
            end_ns: nanoseconds(duration),
            random,
        };
        arrivals.advance();
        arrivals
    }

    /// When the next request is due. `None` after the last one.
    fn next(&self) -> Option<u64> {
        let next = whole(self.next_ns);
        (next < self.end_ns).then_some(next)
    }

    fn advance(&mut self) {
        // The inverse of the exponential distribution.
        self.next_ns -= self.mean_ns * self.random.unit().ln();
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a time after the start; the cast saturates"
)]
fn whole(nanoseconds: f64) -> u64 {
    nanoseconds as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn an_open_schedule_has_its_rate_and_its_end() {
        let ten = Duration::from_secs(10);
        let mut schedule = Schedule::open(10_000.0, ten, Random::new(1, 0));
        let (mut count, mut last) = (0_u32, 0);
        while let Some(due) = schedule.take(u64::MAX) {
            assert!(due >= last && due < 10 * SECOND);
            (count, last) = (count + 1, due);
        }
        assert!(count.abs_diff(100_000) < 1_500, "{count}");
        assert!(schedule.is_over(0) && schedule.drain() == 0);
    }

    #[test]
    fn nothing_is_taken_before_it_is_due() {
        let mut schedule = Schedule::open(2.0, Duration::from_secs(50), Random::new(1, 0));
        let due = schedule.next_ns().unwrap();
        assert_eq!(schedule.take(due - 1), None);
        assert_eq!(schedule.take(due + SECOND / 1000), Some(due));
        assert!(schedule.next_ns().unwrap() > due && !schedule.is_over(due));
        let left = schedule.drain();
        assert!((60..140).contains(&left), "{left}");
    }

    #[test]
    fn a_closed_schedule_takes_until_its_end() {
        let mut schedule = Schedule::closed(Duration::from_secs(1));
        assert_eq!(schedule.take(5), Some(5));
        assert_eq!(schedule.take(SECOND), None);
        assert!(!schedule.is_over(SECOND - 1) && schedule.is_over(SECOND));
    }
}

//! The clock of one loop.

use std::time::{Duration, Instant};

/// Counts nanoseconds from the start of a loop. Before the start it shows 0.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts at `start`.
    #[must_use]
    pub fn from(start: Instant) -> Self {
        Self { start }
    }

    /// Nanoseconds since the start.
    #[must_use]
    pub fn now_ns(self) -> u64 {
        nanoseconds(Instant::now().saturating_duration_since(self.start))
    }

    /// The time until the start; zero after it.
    #[must_use]
    pub fn until_start(self) -> Duration {
        self.start.saturating_duration_since(Instant::now())
    }
}

/// A duration in nanoseconds.
#[must_use]
pub fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

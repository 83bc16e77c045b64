//! The pause before a replica connects again: exponential backoff with jitter.

use crate::limits::{BACKOFF_MS_MAX, BACKOFF_MS_MIN};

/// The pause before the next attempt.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    bound_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            bound_ms: BACKOFF_MS_MIN,
        }
    }
}

impl Backoff {
    /// Milliseconds to wait now: between half the bound and the bound. The bound then doubles.
    /// `random` must be a new random number.
    pub fn next_ms(&mut self, random: u64) -> u64 {
        let half = self.bound_ms / 2;
        let wait = half + random % (half + 1);
        self.bound_ms = (self.bound_ms * 2).min(BACKOFF_MS_MAX);
        wait
    }

    /// An attempt has succeeded: the next pause is short again.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_bound_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<_> = (0..9).map(|_| backoff.next_ms(0)).collect();
        assert_eq!(waits, [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(backoff.next_ms(5000), 10_000);
        assert_eq!(backoff.next_ms(5001), 5000);
        backoff.reset();
        assert_eq!(backoff.next_ms(50), 100);
    }
}

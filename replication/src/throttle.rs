//! Limits the bytes per second of a full copy, so that it leaves network and disk to other traffic.

/// A rate limit. Bytes pass at once; the next ones wait until the rate is met again.
#[derive(Clone, Copy, Debug)]
pub struct Throttle {
    bytes_per_s: u64,
    free_at_ms: u64,
}

impl Throttle {
    /// Creates a limit of `bytes_per_s`, at least 1.
    #[must_use]
    pub fn new(bytes_per_s: u64) -> Self {
        Self {
            bytes_per_s: bytes_per_s.max(1),
            free_at_ms: 0,
        }
    }

    /// Whether more bytes may pass now.
    #[must_use]
    pub fn is_free(&self, now_ms: u64) -> bool {
        now_ms >= self.free_at_ms
    }

    /// When more bytes may pass, by the monotonic clock.
    #[must_use]
    pub fn free_at_ms(&self) -> u64 {
        self.free_at_ms
    }

    /// Records that `bytes` pass now.
    pub fn spend(&mut self, now_ms: u64, bytes: usize) {
        let cost_ms = (bytes as u64).saturating_mul(1000) / self.bytes_per_s;
        self.free_at_ms = self.free_at_ms.max(now_ms).saturating_add(cost_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_paid_for_by_waiting() {
        let mut throttle = Throttle::new(1000);
        assert!(throttle.is_free(0));
        throttle.spend(50, 100);
        assert!(!throttle.is_free(149));
        assert!(throttle.is_free(150));
        // Unused time does not accumulate.
        throttle.spend(10_000, 500);
        assert_eq!(throttle.free_at_ms(), 10_500);
        throttle.spend(10_100, 500);
        assert_eq!(throttle.free_at_ms(), 11_000);
    }
}

//! A histogram of durations with fixed bounds.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counts durations in `N` ranges and one above them. Any thread may observe or read at any time;
/// no call takes a lock.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: &'static [Duration; N],
    /// One counter per bound: durations at or below it and above the bound before it.
    counts: [AtomicU64; N],
    /// Durations above every bound.
    overflow: AtomicU64,
    /// Wraps after 584 years of observed time.
    sum_ns: AtomicU64,
}

impl<const N: usize> Histogram<N> {
    /// An empty histogram. `bounds` must rise: each is the inclusive upper end of one range.
    #[must_use]
    pub fn new(bounds: &'static [Duration; N]) -> Self {
        debug_assert!(bounds.is_sorted_by(|a, b| a < b), "{bounds:?}");
        Self {
            bounds,
            counts: array::from_fn(|_| AtomicU64::new(0)),
            overflow: AtomicU64::new(0),
            sum_ns: AtomicU64::new(0),
        }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.bounds
            .iter()
            .zip(&self.counts)
            .find(|(bound, _)| duration <= **bound)
            .map_or(&self.overflow, |(_, count)| count)
            .fetch_add(1, Relaxed);
        let ns = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(ns, Relaxed);
    }

    /// For each bound, the number of durations at or below it. The last item has no bound (`None`,
    /// infinity) and holds the number of all durations.
    pub fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = self.counts.iter().chain([&self.overflow]);
        bounds.zip(counts).scan(0, |total, (bound, count)| {
            *total += count.load(Relaxed);
            Some((bound, *total))
        })
    }

    /// The sum of all observed durations.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_ns.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: [Duration; 3] = [
        Duration::from_micros(50),
        Duration::from_millis(1),
        Duration::from_secs(10),
    ];

    #[test]
    fn a_bound_belongs_to_the_range_below_it() {
        let histogram = Histogram::new(&BOUNDS);
        for bound in BOUNDS {
            histogram.observe(bound);
            histogram.observe(bound + Duration::from_nanos(1));
        }
        let counts: Vec<_> = histogram.cumulative().collect();
        let [a, b, c] = BOUNDS.map(Some);
        assert_eq!(counts, [(a, 1), (b, 3), (c, 5), (None, 6)]);
        assert_eq!(histogram.sum(), Duration::from_nanos(20_002_100_003));
    }
}

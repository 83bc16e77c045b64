//! How long something took, as counts in fixed ranges.

use std::time::Duration;

/// The upper bounds of the ranges, both ends of what a synced write may take: a fast disk at rest and one in trouble.
const BOUNDS: [Duration; 13] = [
    Duration::from_millis(1),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2_500),
    Duration::from_secs(5),
    Duration::from_secs(10),
];

/// Counts of durations.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    /// How many fell at or below a bound and above the one before it, in the order of [`BOUNDS`].
    within: [u64; BOUNDS.len()],
    /// How many exceed every bound.
    beyond: u64,
    sum: Duration,
}

impl Histogram {
    /// Counts one duration.
    pub(crate) fn observe(&mut self, duration: Duration) {
        let range = BOUNDS
            .iter()
            .zip(&mut self.within)
            .find(|(bound, _)| duration <= **bound)
            .map_or(&mut self.beyond, |(_, count)| count);
        *range += 1;
        self.sum = self.sum.saturating_add(duration);
    }

    /// How many durations are at or below each bound; `None` is infinite and comes last.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        let bounds = BOUNDS.into_iter().map(Some).chain([None]);
        let counts = self.within.iter().chain([&self.beyond]);
        bounds.zip(counts).scan(0, |total, (bound, count)| {
            *total += count;
            Some((bound, *total))
        })
    }

    /// All durations together.
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.within.iter().sum::<u64>() + self.beyond
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_rise_and_belong_to_the_range_below() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
        let mut histogram = Histogram::default();
        for bound in BOUNDS {
            histogram.observe(bound);
            histogram.observe(bound + Duration::from_micros(1));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        let wanted: Vec<u64> = (0..13).map(|index| 2 * index + 1).chain([26]).collect();
        assert_eq!(counts, wanted);
        assert_eq!(histogram.count(), 26);
    }
}

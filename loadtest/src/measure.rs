//! What one loop measured.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::class::{Class, PerClass};
use crate::stalls::SlowTimes;

/// Latencies above this are recorded as this, in nanoseconds.
const LATENCY_NS_MAX: u64 = 120_000_000_000;
/// Three significant digits: a percentile is within 0.1 % of the truth.
const DIGITS: u8 = 3;

/// Latencies in nanoseconds.
pub type Latencies = Histogram<u64>;

/// An empty histogram of latencies.
///
/// # Panics
/// Never: the bounds are constants that the histogram accepts.
#[must_use]
#[expect(clippy::expect_used, reason = "constant bounds, held by a test")]
pub fn no_latencies() -> Latencies {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, DIGITS).expect("the bounds are in range")
}

/// Whether an answer is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Right,
    /// It is not.
    Wrong,
}

/// The answers to the requests of one class.
#[derive(Clone, Debug)]
pub struct Tally {
    /// Answers with a right verdict, from the moment the request was due.
    pub latencies: Latencies,
    /// Answers with a wrong verdict.
    pub wrong: u64,
    /// Other statuses than 200, broken connections, and requests without an answer.
    pub errors: u64,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            latencies: no_latencies(),
            wrong: 0,
            errors: 0,
        }
    }
}

impl Tally {
    /// Adds the counts of another thread. Both histograms have the same bounds, so nothing is lost.
    pub fn add(&mut self, other: &Self) {
        let same_bounds = self.latencies.add(&other.latencies);
        debug_assert!(same_bounds.is_ok(), "all histograms have the same bounds");
        self.wrong += other.wrong;
        self.errors += other.errors;
    }
}

/// How busy the load threads were.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LoadCost {
    /// Time spent on requests, over all threads.
    pub busy: Duration,
    /// Time that the threads ran, over all threads.
    pub available: Duration,
    /// Time in which they were ready to run, but other processes had their cores.
    pub robbed: Duration,
}

impl LoadCost {
    /// The share of their time that the threads spent on requests, from 0 to 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        part_of(self.busy, self.available)
    }

    /// The share of their time that other processes took, from 0 to 1.
    #[must_use]
    pub fn robbed_share(&self) -> f64 {
        part_of(self.robbed, self.available)
    }
}

fn part_of(part: Duration, whole: Duration) -> f64 {
    if whole.is_zero() {
        0.0
    } else {
        part.as_secs_f64() / whole.as_secs_f64()
    }
}

/// What a loop measured, over all its threads.
#[derive(Clone, Debug)]
pub struct Measurement {
    /// By class of the credential.
    pub classes: PerClass<Tally>,
    /// How late requests were sent although a connection was free: the load generator's own delay,
    /// in nanoseconds. Only in an open loop.
    pub lateness: Latencies,
    /// How long the loop ran; in an open loop, to the last answer.
    pub elapsed: Duration,
    /// How long connects took during the loop, in nanoseconds.
    pub connects: Latencies,
    /// Periods with slow requests.
    pub slow: SlowTimes,
    /// How busy the load threads were.
    pub cost: LoadCost,
    /// The first few failures, in words.
    pub complaints: Vec<String>,
}

impl Default for Measurement {
    fn default() -> Self {
        Self {
            classes: PerClass::default(),
            lateness: no_latencies(),
            connects: no_latencies(),
            slow: SlowTimes::default(),
            elapsed: Duration::ZERO,
            cost: LoadCost::default(),
            complaints: Vec::new(),
        }
    }
}

/// Failures kept in words. The others are only counted.
const COMPLAINTS_MAX: usize = 5;

impl Measurement {
    /// Counts an answer of status 200.
    pub fn answered(&mut self, class: Class, latency_ns: u64, verdict: Verdict) {
        let tally = self.classes.get_mut(class);
        match verdict {
            Verdict::Right => tally.latencies.saturating_record(latency_ns),
            Verdict::Wrong => tally.wrong += 1,
        }
    }

    /// Counts requests without a usable answer.
    pub fn failed(&mut self, class: Class, count: u64) {
        self.classes.get_mut(class).errors += count;
    }

    /// Keeps a failure in words, unless there are enough.
    pub fn complain(&mut self, words: impl FnOnce() -> String) {
        if self.complaints.len() < COMPLAINTS_MAX {
            self.complaints.push(words());
        }
    }

    /// Adds the measurement of another thread of the same loop.
    pub fn add(&mut self, other: &Self) {
        for class in Class::ALL {
            self.classes.get_mut(class).add(other.classes.get(class));
        }
        let same_bounds = self
            .lateness
            .add(&other.lateness)
            .and_then(|()| self.connects.add(&other.connects));
        debug_assert!(same_bounds.is_ok(), "all histograms have the same bounds");
        self.slow.add(&other.slow);
        self.elapsed = self.elapsed.max(other.elapsed);
        self.cost.busy += other.cost.busy;
        self.cost.available += other.cost.available;
        self.cost.robbed += other.cost.robbed;
        for words in &other.complaints {
            self.complain(|| words.clone());
        }
    }

    /// All classes together.
    #[must_use]
    pub fn overall(&self) -> Tally {
        let mut all = Tally::default();
        for class in Class::ALL {
            all.add(self.classes.get(class));
        }
        all
    }

    /// Answers per second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        let all = self.overall();
        let answers = all.latencies.len() + all.wrong;
        if self.elapsed.is_zero() {
            0.0
        } else {
            answers as f64 / self.elapsed.as_secs_f64()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_add_up() {
        let mut one = Measurement {
            elapsed: Duration::from_secs(2),
            ..Measurement::default()
        };
        one.answered(Class::Valid, 10_000, Verdict::Right);
        one.answered(Class::Valid, u64::MAX, Verdict::Right);
        let mut other = Measurement {
            elapsed: Duration::from_secs(1),
            ..Measurement::default()
        };
        other.answered(Class::Unknown, 30_000, Verdict::Wrong);
        other.failed(Class::Revoked, 1);
        other.complain(|| "refused".to_owned());
        one.add(&other);
        let all = one.overall();
        assert_eq!((all.latencies.len(), all.wrong, all.errors), (2, 1, 1));
        assert_eq!(one.complaints, ["refused"]);
        assert!((one.rate() - 1.5).abs() < 1e-9);
        let longest = all.latencies.max();
        assert!(
            (LATENCY_NS_MAX..LATENCY_NS_MAX + LATENCY_NS_MAX / 500).contains(&longest),
            "{longest}"
        );
    }

    #[test]
    fn an_empty_measurement_has_no_rate() {
        assert!(Measurement::default().rate().abs() < f64::EPSILON);
        assert!(LoadCost::default().share().abs() < f64::EPSILON);
    }
}

//! The search for the highest rate that keeps a limit.
//!
//! First the rate rises in equal steps up to the saturation rate, so that latency against load can
//! be plotted. Then the gap between the last rate that kept the limit and the first that did not is
//! halved until it is small. A rate fails only if it fails twice. A step during which the machine
//! stood still says nothing about the server, so it is repeated a few times before it counts.

/// Steps up to the saturation rate.
const EVEN_STEPS: u32 = 10;
/// The search ends when the gap is below this share of the rate that failed.
const SMALL_GAP: f64 = 0.02;

/// How often a step is repeated because the machine stood still.
const PATIENCE: u32 = 3;

/// How a step went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The limit was kept.
    Kept,
    /// The limit was not kept.
    Missed,
    /// The limit was not kept, but the machine stood still meanwhile.
    Disturbed,
}

/// The state of the search. The caller runs the steps.
#[derive(Clone, Debug)]
pub struct Search {
    saturation: f64,
    kept: f64,
    missed: Option<f64>,
    again: Option<f64>,
    failed_once: bool,
    even_steps: u32,
    disturbed: u32,
}

impl Search {
    /// A search up to `saturation` requests per second.
    #[must_use]
    pub fn new(saturation: f64) -> Self {
        Self {
            saturation,
            kept: 0.0,
            missed: None,
            again: None,
            failed_once: false,
            even_steps: 0,
            disturbed: 0,
        }
    }

    /// The next rate to try; `None` = the search is over.
    #[must_use]
    pub fn next(&self) -> Option<f64> {
        if self.again.is_some() {
            return self.again;
        }
        match self.missed {
            Some(missed) if missed - self.kept <= missed * SMALL_GAP => None,
            // Not even a small part of the saturation rate keeps the limit.
            Some(missed) if missed < self.saturation * SMALL_GAP => None,
            Some(missed) => Some(f64::midpoint(self.kept, missed)),
            None if self.even_steps >= EVEN_STEPS => None,
            None => {
                let step = f64::from(self.even_steps + 1) / f64::from(EVEN_STEPS);
                Some(self.saturation * step)
            }
        }
    }

    /// Records the outcome of a step that [`Search::next`] has named.
    pub fn record(&mut self, rate: f64, outcome: Outcome) {
        let disturbed = outcome == Outcome::Disturbed;
        if disturbed && self.disturbed < PATIENCE {
            self.disturbed += 1;
            self.again = Some(rate);
            return;
        }
        self.again = None;
        match outcome {
            Outcome::Missed | Outcome::Disturbed if !self.failed_once => {
                self.failed_once = true;
                self.again = Some(rate);
                return;
            }
            Outcome::Missed | Outcome::Disturbed => self.missed = Some(rate),
            Outcome::Kept => self.kept = self.kept.max(rate),
        }
        self.even_steps += 1;
        (self.disturbed, self.failed_once) = (0, false);
    }

    /// The highest rate that kept the limit; 0 if none did.
    #[must_use]
    pub fn best(&self) -> f64 {
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with a server that keeps the limit up to the rate `limit`, but fails the steps
    /// numbered in `unlucky`.
    fn search(limit: f64, unlucky: &[usize]) -> (f64, Vec<f64>) {
        search_with(limit, unlucky, Outcome::Missed)
    }

    fn search_with(limit: f64, unlucky: &[usize], bad_luck: Outcome) -> (f64, Vec<f64>) {
        let mut search = Search::new(100_000.0);
        let mut steps = Vec::new();
        while let Some(rate) = search.next() {
            let lucky = !unlucky.contains(&steps.len());
            steps.push(rate);
            let outcome = match (rate <= limit, lucky) {
                (true, true) => Outcome::Kept,
                (_, false) => bad_luck,
                (false, true) => Outcome::Missed,
            };
            search.record(rate, outcome);
            assert!(steps.len() < 99, "{steps:?}");
        }
        (search.best(), steps)
    }

    #[test]
    fn the_knee_is_found_within_two_percent() {
        for limit in [3_000.0, 12_345.0, 50_000.0, 73_210.0, 99_000.0] {
            let (best, steps) = search(limit, &[]);
            assert!(
                best <= limit && best >= limit * 0.97,
                "{limit}: {best}, {steps:?}"
            );
        }
    }

    #[test]
    fn one_unlucky_step_changes_nothing_but_is_repeated() {
        let (best, steps) = search(50_000.0, &[1]);
        assert!(best >= 48_500.0, "{best}");
        assert!(steps.get(1) == steps.get(2), "{steps:?}");
    }

    #[test]
    fn steps_without_a_machine_are_taken_again_but_not_for_ever() {
        let (best, steps) = search_with(50_000.0, &[1, 2, 3], Outcome::Disturbed);
        assert!(best >= 48_500.0, "{best}: {steps:?}");
        let always: Vec<_> = (0..100).collect();
        let (best, steps) = search_with(50_000.0, &always, Outcome::Disturbed);
        assert!(
            best.abs() < f64::EPSILON && steps.len() < 60,
            "{}",
            steps.len()
        );
    }

    #[test]
    fn a_server_that_keeps_every_rate_is_tried_up_to_saturation() {
        let (best, steps) = search(f64::INFINITY, &[]);
        assert!((best - 100_000.0).abs() < 1e-6);
        assert_eq!(steps.len(), EVEN_STEPS as usize);
    }

    #[test]
    fn a_server_that_keeps_none_ends_the_search() {
        let (best, steps) = search(0.0, &[]);
        assert!(best.abs() < f64::EPSILON && steps.len() < 20, "{steps:?}");
    }
}

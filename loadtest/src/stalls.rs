//! Times in which requests took long, and whose fault they were.
//!
//! A request that was due at a and answered at b makes a..b slow if that is longer than the threshold. Slow times that touch are
//! one stall. Beside the load, a thread on each core notes when the machine did not let it run (`pauses.rs`). A stall of
//! which such pauses cover half or more is put down to the machine; the rest is the server's, or the network's.

use serde::{Deserialize, Serialize};

/// Requests slower than this make a stall, in nanoseconds.
pub const SLOW_NS: u64 = 50_000_000;
/// Stalls kept; further ones are only counted.
const KEPT_MAX: usize = 10_000;

/// A time in nanoseconds since the start of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from_ns: u64,
    /// Its end.
    pub to_ns: u64,
}

impl Span {
    /// How long it is.
    #[must_use]
    pub fn length_ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }

    fn overlap_ns(self, other: Self) -> u64 {
        let (from, to) = (self.from_ns.max(other.from_ns), self.to_ns.min(other.to_ns));
        to.saturating_sub(from)
    }
}

/// Slow times of one thread or of all.
#[derive(Clone, Debug, Default)]
pub struct SlowTimes {
    spans: Vec<(Span, u64)>,
    /// Slow requests whose times were not kept.
    dropped: u64,
}

impl SlowTimes {
    /// Notes a request, if it was slow. Answers come in order of time, so that most spans join the last one.
    pub fn note(&mut self, due_ns: u64, answered_ns: u64) {
        if answered_ns.saturating_sub(due_ns) < SLOW_NS {
            return;
        }
        let span = Span {
            from_ns: due_ns,
            to_ns: answered_ns,
        };
        self.push(span, 1);
    }

    fn push(&mut self, span: Span, requests: u64) {
        if let Some((last, count)) = self.spans.last_mut()
            && span.from_ns <= last.to_ns
            && span.to_ns >= last.from_ns
        {
            last.from_ns = last.from_ns.min(span.from_ns);
            last.to_ns = last.to_ns.max(span.to_ns);
            *count += requests;
        } else if self.spans.len() < KEPT_MAX {
            self.spans.push((span, requests));
        } else {
            self.dropped += requests;
        }
    }

    /// Adds what another thread noted.
    pub fn add(&mut self, other: &Self) {
        let mut all = std::mem::take(&mut self.spans);
        all.extend_from_slice(&other.spans);
        all.sort_by_key(|(span, _)| span.from_ns);
        self.dropped += other.dropped;
        for (span, requests) in all {
            self.push(span, requests);
        }
    }
}

/// Who made requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The machine did not run this program's threads for half of the time or more.
    Machine,
    /// It did: the server or the network was slow.
    Server,
}

/// A time in which requests were slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// When it began, in seconds since the start.
    pub at_s: f64,
    /// How long it was, in milliseconds.
    pub ms: f64,
    /// For how much of that the machine stood still, in milliseconds.
    pub paused_ms: f64,
    /// Slow requests in it.
    pub requests: u64,
    /// Who made them wait.
    pub cause: Cause,
}

/// All stalls, with the cause of each. `pauses` are those of all cores, in any order.
#[must_use]
pub fn attribute(slow: &SlowTimes, pauses: &[Span]) -> Vec<Stall> {
    let pauses = union(pauses);
    slow.spans
        .iter()
        .map(|(span, requests)| {
            let paused: u64 = pauses.iter().map(|pause| span.overlap_ns(*pause)).sum();
            Stall {
                at_s: span.from_ns as f64 / 1e9,
                ms: span.length_ns() as f64 / 1e6,
                paused_ms: paused as f64 / 1e6,
                requests: *requests,
                cause: if paused * 2 >= span.length_ns() {
                    Cause::Machine
                } else {
                    Cause::Server
                },
            }
        })
        .collect()
}

/// The same times without overlaps, so that two cores that stood still together count once.
fn union(spans: &[Span]) -> Vec<Span> {
    let mut sorted = spans.to_vec();
    sorted.sort_by_key(|span| span.from_ns);
    let mut joined: Vec<Span> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match joined.last_mut() {
            Some(last) if span.from_ns <= last.to_ns => last.to_ns = last.to_ns.max(span.to_ns),
            _ => joined.push(span),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn span(from_ms: u64, to_ms: u64) -> Span {
        Span {
            from_ns: from_ms * MS,
            to_ns: to_ms * MS,
        }
    }

    #[test]
    fn slow_requests_that_touch_are_one_stall() {
        let mut slow = SlowTimes::default();
        for (due, answered) in [(0, 40), (100, 180), (120, 181), (150, 205), (1000, 1050)] {
            slow.note(due * MS, answered * MS);
        }
        let mut other = SlowTimes::default();
        other.note(90 * MS, 150 * MS);
        slow.add(&other);
        let stalls = attribute(&slow, &[]);
        let seen: Vec<_> = stalls
            .iter()
            .map(|stall| (stall.at_s, stall.ms, stall.requests))
            .collect();
        assert_eq!(seen, [(0.09, 115.0, 4), (1.0, 50.0, 1)]);
    }

    #[test]
    fn a_stall_is_the_machines_if_the_machine_stood_still() {
        let mut slow = SlowTimes::default();
        slow.note(100 * MS, 200 * MS);
        slow.note(300 * MS, 400 * MS);
        slow.note(500 * MS, 600 * MS);
        // Two cores at the same time count once; a pause elsewhere does not count.
        let pauses = [
            span(330, 360),
            span(320, 345),
            span(90, 151),
            span(700, 900),
        ];
        let stalls = attribute(&slow, &pauses);
        let seen: Vec<_> = stalls
            .iter()
            .map(|stall| (stall.paused_ms, stall.cause))
            .collect();
        assert_eq!(
            seen,
            [
                (51.0, Cause::Machine),
                (40.0, Cause::Server),
                (0.0, Cause::Server)
            ]
        );
    }

    #[test]
    fn an_endless_row_of_stalls_takes_bounded_memory() {
        let mut slow = SlowTimes::default();
        for number in 0..(KEPT_MAX as u64 + 5) {
            slow.note(number * 200 * MS, (number * 200 + 60) * MS);
        }
        assert_eq!((slow.spans.len(), slow.dropped), (KEPT_MAX, 5));
    }
}

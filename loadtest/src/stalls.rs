//! Periods in which requests were slow, and what caused them.
//!
//! If a request that was due at a is answered at b, and that takes longer than the threshold, the
//! period a..b is slow. Slow periods that touch are one stall. During the load, a thread on each
//! core notes when the machine did not run it (`pauses.rs`). A stall that such pauses explain is
//! attributed to the machine, any other to the server or the network.
//!
//! A pause explains a stall that is longer than itself: in an open loop, requests pile up during
//! it. A server that is busy for a share u of its time has the share 1 − u left to work them off,
//! so a pause of length P makes requests slow for P / (1 − u).

use serde::{Deserialize, Serialize};

/// Requests slower than this make a stall, in nanoseconds.
pub const SLOW_NS: u64 = 50_000_000;
/// Pauses count from this long before a stall: several short ones together can make requests wait
/// for 50 ms.
const LOOK_BACK_NS: u64 = 200_000_000;
/// The smallest and the largest share of a stall that pauses must cover to explain it.
const SPARE: (f64, f64) = (0.1, 0.5);
/// Stalls kept; further ones are only counted.
const KEPT_MAX: usize = 10_000;

/// A period, in nanoseconds since the start of the loop.
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

/// Slow periods of one thread or of all.
#[derive(Clone, Debug, Default)]
pub struct SlowTimes {
    spans: Vec<(Span, u64)>,
    /// Slow requests whose periods were not kept.
    dropped: u64,
}

impl SlowTimes {
    /// Notes a request if it was slow. Answers come in order of time, so most periods extend the
    /// last one.
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

/// What made requests wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Pauses of the machine explain it.
    Machine,
    /// Pauses do not explain it: the server or the network was slow.
    Server,
}

/// A period in which requests were slow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stall {
    /// When it began, in seconds since the start.
    pub at_s: f64,
    /// How long it was, in milliseconds.
    pub ms: f64,
    /// For how much of that, and of the 200 ms before, the machine stood still, in milliseconds.
    pub paused_ms: f64,
    /// Slow requests in it.
    pub requests: u64,
    /// What made them wait.
    pub cause: Cause,
}

/// All stalls with their causes. `pauses` holds the pauses of all cores, in any order. `spare` is
/// the share of its time that the server has left to work off requests that piled up. `None` means
/// that it is unknown, or that requests cannot pile up, as in a closed loop.
#[must_use]
pub fn attribute(slow: &SlowTimes, pauses: &[Span], spare: Option<f64>) -> Vec<Stall> {
    let pauses = union(pauses);
    let (least, most) = SPARE;
    let explains = spare.unwrap_or(most).clamp(least, most);
    slow.spans
        .iter()
        .map(|(span, requests)| {
            let around = Span {
                from_ns: span.from_ns.saturating_sub(LOOK_BACK_NS),
                ..*span
            };
            let paused: u64 = pauses.iter().map(|pause| around.overlap_ns(*pause)).sum();
            Stall {
                at_s: span.from_ns as f64 / 1e9,
                ms: span.length_ns() as f64 / 1e6,
                paused_ms: paused as f64 / 1e6,
                requests: *requests,
                cause: if paused as f64 >= span.length_ns() as f64 * explains {
                    Cause::Machine
                } else {
                    Cause::Server
                },
            }
        })
        .collect()
}

/// Merges overlapping spans, so that two cores that stood still together count once.
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
        let stalls = attribute(&slow, &[], None);
        let seen: Vec<_> = stalls
            .iter()
            .map(|stall| (stall.at_s, stall.ms, stall.requests))
            .collect();
        assert_eq!(seen, [(0.09, 115.0, 4), (1.0, 50.0, 1)]);
    }

    #[test]
    fn a_stall_is_the_machines_if_the_machine_stood_still() {
        let mut slow = SlowTimes::default();
        slow.note(1100 * MS, 1200 * MS);
        slow.note(2300 * MS, 2400 * MS);
        slow.note(3500 * MS, 3600 * MS);
        // Pauses of two cores at the same time count once. A pause shortly before a stall counts; a
        // pause at another time does not.
        let pauses = [
            span(2330, 2350),
            span(2320, 2345),
            span(2000, 2110),
            span(890, 910),
            span(1090, 1131),
            span(3700, 3900),
        ];
        let seen = |spare| -> Vec<_> {
            attribute(&slow, &pauses, spare)
                .iter()
                .map(|stall| (stall.paused_ms, stall.cause))
                .collect()
        };
        let half = [
            (51.0, Cause::Machine),
            (40.0, Cause::Server),
            (0.0, Cause::Server),
        ];
        assert_eq!(seen(None), half);
        assert_eq!(seen(Some(0.9)), half);
        let backlog = [
            (51.0, Cause::Machine),
            (40.0, Cause::Machine),
            (0.0, Cause::Server),
        ];
        assert_eq!(seen(Some(0.4)), backlog);
        assert_eq!(seen(Some(-0.1)), backlog);
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

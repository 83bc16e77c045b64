//! Counts what happened in each second of a loop.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

const SECOND_NS: u64 = 1_000_000_000;

/// One second of one thread.
#[derive(Debug)]
pub struct Part {
    second: u32,
    latencies: Option<Histogram<u32>>,
    failed: u64,
}

/// Counts the answers of one thread by second. Sends each second when it is over.
#[derive(Debug)]
pub struct SecondMeter {
    to: Sender<Part>,
    second: u32,
    latencies: Option<Histogram<u32>>,
    failed: u64,
}

/// Two digits are enough for a plot over time.
fn empty() -> Option<Histogram<u32>> {
    Histogram::new_with_bounds(1_000, 120 * SECOND_NS, 2).ok()
}

impl SecondMeter {
    /// A meter that sends its seconds to `to`.
    #[must_use]
    pub fn new(to: Sender<Part>) -> Self {
        Self {
            to,
            second: 0,
            latencies: empty(),
            failed: 0,
        }
    }

    /// Tells the meter the time, in nanoseconds since the start.
    pub fn tick(&mut self, now_ns: u64) {
        let second = u32::try_from(now_ns / SECOND_NS).unwrap_or(u32::MAX);
        if second > self.second {
            self.send();
            self.second = second;
        }
    }

    /// Counts an answered request.
    pub fn answered(&mut self, now_ns: u64, latency_ns: u64) {
        self.tick(now_ns);
        if let Some(latencies) = &mut self.latencies {
            latencies.saturating_record(latency_ns);
        }
    }

    /// Counts requests without a usable answer.
    pub fn failed(&mut self, count: u64) {
        self.failed += count;
    }

    /// Sends the last, incomplete second.
    pub fn finish(&mut self) {
        self.send();
    }

    fn send(&mut self) {
        // The receiver is gone only if the run ends with an error.
        let _ = self.to.send(Part {
            second: self.second,
            latencies: std::mem::replace(&mut self.latencies, empty()),
            failed: std::mem::take(&mut self.failed),
        });
    }
}

/// A second over all threads, and what the server and the machine did in it. Unknown values are
/// absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Second {
    /// The number of the second, from 0.
    pub at_s: u32,
    /// Answers.
    pub answers: u64,
    /// Wrong and missing answers.
    pub failed: u64,
    /// Median latency in microseconds.
    pub p50_us: f64,
    /// 99th percentile of the latency in microseconds.
    pub p99_us: f64,
    /// Longest latency in microseconds.
    pub max_us: f64,
    /// CPU time of the server in cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cores: Option<f64>,
    /// Memory of the server (resident set) in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_rss_bytes: Option<u64>,
    /// Open descriptors of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_descriptors: Option<u64>,
    /// Time for which the machine stood still, over all cores, in milliseconds.
    pub paused_ms: f64,
}

/// Merges the parts of all threads.
#[derive(Debug, Default)]
pub struct Seconds {
    rows: BTreeMap<u32, (Second, Option<Histogram<u32>>)>,
}

impl Seconds {
    /// Adds a part of one thread.
    pub fn add(&mut self, part: Part) {
        let (row, all) = self.rows.entry(part.second).or_default();
        row.failed += part.failed;
        let Some(latencies) = part.latencies else {
            return;
        };
        match all {
            // Both have the same bounds, so adding cannot fail.
            Some(all) => drop(all.add(&latencies)),
            None => *all = Some(latencies),
        }
        // Every thread has sent its part of such an old second, so its histogram can go.
        let done = part.second.saturating_sub(10);
        let old: Vec<_> = self
            .rows
            .range(..done)
            .rev()
            .take_while(|(_, (_, all))| all.is_some())
            .map(|(second, _)| *second)
            .collect();
        for second in old {
            if let Some((row, all)) = self.rows.get_mut(&second) {
                summarise(row, all.take());
            }
        }
    }

    /// The row of a second, to add other measurements.
    pub fn row(&mut self, second: u32) -> &mut Second {
        &mut self.rows.entry(second).or_default().0
    }

    /// All seconds in order.
    #[must_use]
    pub fn finish(self) -> Vec<Second> {
        self.rows
            .into_iter()
            .map(|(second, (mut row, all))| {
                row.at_s = second;
                summarise(&mut row, all);
                row
            })
            .collect()
    }
}

fn summarise(row: &mut Second, latencies: Option<Histogram<u32>>) {
    let Some(latencies) = latencies.filter(|latencies| !latencies.is_empty()) else {
        return;
    };
    let micros = |nanoseconds: u64| nanoseconds as f64 / 1000.0;
    // A very late part is added to a row that was summarised before.
    row.answers += latencies.len();
    row.p50_us = row.p50_us.max(micros(latencies.value_at_quantile(0.5)));
    row.p99_us = row.p99_us.max(micros(latencies.value_at_quantile(0.99)));
    row.max_us = row.max_us.max(micros(latencies.max()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_holds_what_all_threads_saw_in_it() {
        let (to, from) = std::sync::mpsc::channel();
        let mut meters = [SecondMeter::new(to.clone()), SecondMeter::new(to)];
        for second in 0..10_u64 {
            for (count, meter) in (1..).zip(&mut meters) {
                for number in 0..count {
                    let latency = (second + 1) * 1_000_000 * count;
                    meter.answered(second * SECOND_NS + number, latency);
                }
            }
        }
        meters[1].failed(3);
        for meter in &mut meters {
            meter.finish();
        }
        drop(meters);
        let mut seconds = Seconds::default();
        for part in from {
            seconds.add(part);
        }
        seconds.row(4).server_descriptors = Some(7);
        let rows = seconds.finish();
        assert_eq!(rows.len(), 10);
        for (row, second) in rows.iter().zip(0_u32..) {
            assert_eq!((row.at_s, row.answers), (second, 3));
            let longest = f64::from(second + 1) * 2000.0;
            assert!((row.max_us / longest - 1.0).abs() < 0.02, "{row:?}");
        }
        assert_eq!((rows[9].failed, rows[8].failed), (3, 0));
        assert_eq!(rows[4].server_descriptors, Some(7));
    }
}

//! What the report says of one loop.

use serde::{Deserialize, Serialize};

use crate::class::{Class, PerClass};
use crate::measure::{Latencies, Tally};
use crate::seconds::Second;
use crate::stalls::{Cause, Stall};

/// One loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `closed` or `open`.
    pub kind: String,
    /// How long the loop ran, in seconds.
    pub seconds: f64,
    /// Requests per second that were due; only of an open loop.
    pub offered_per_s: Option<f64>,
    /// Answers per second.
    pub achieved_per_s: f64,
    /// All classes together.
    pub all: ClassRow,
    /// The classes that were requested.
    pub classes: PerClass<Option<ClassRow>>,
    /// Latencies in microseconds at rising quantiles, for a plot.
    pub distribution: Vec<(f64, f64)>,
    /// What the loop cost the server.
    pub server: ServerCost,
    /// What the loop cost the load threads.
    pub generator: GeneratorCost,
    /// What limited the rate: `server`, `load`, `both`, `others` or `unclear`.
    pub bottleneck: String,
    /// Connections that were made during the loop.
    pub connects: u64,
    /// 99th percentile of the time to connect, in microseconds.
    pub connect_p99_us: f64,
    /// Each second.
    pub over_time: Vec<Second>,
    /// Periods in which requests took longer than 50 ms.
    pub stalls: Vec<Stall>,
    /// When the machine stood still.
    pub pauses: Pauses,
    /// The server's memory and descriptors over the loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The writes during the verifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
    /// The first few failures, in words.
    pub complaints: Vec<String>,
}

/// Answers to requests of one class, or of all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClassRow {
    /// Answers.
    pub answers: u64,
    /// Answers with a wrong verdict.
    pub wrong: u64,
    /// Other statuses than 200, broken connections, and requests without an answer.
    pub errors: u64,
    /// Latencies of right answers.
    pub latency_us: Percentiles,
}

/// Latencies in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90 % are not longer.
    pub p90: f64,
    /// 99 % are not longer.
    pub p99: f64,
    /// 99.9 % are not longer.
    pub p99_9: f64,
    /// 99.99 % are not longer.
    pub p99_99: f64,
    /// The longest.
    pub max: f64,
}

/// What a loop cost the server. Unknown if the server runs on another machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// CPU time for each answer, in microseconds.
    pub cpu_us_per_request: Option<f64>,
    /// Share of its cores that it used, 0 to 1.
    pub cpu_share: Option<f64>,
}

/// What a loop cost the load threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// Share of their time that they were busy, 0 to 1.
    pub cpu_share: f64,
    /// Share of their time that other processes had their cores, 0 to 1.
    pub robbed_share: f64,
    /// 99 % of the requests that found a free connection were sent within this many microseconds of
    /// their due time.
    pub lateness_p99_us: f64,
}

/// When the machine stood still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pauses {
    /// How often, over all cores.
    pub count: usize,
    /// The total, in milliseconds, over all cores.
    pub total_ms: f64,
    /// The longest, in milliseconds.
    pub longest_ms: f64,
}

/// The server's memory and descriptors over a loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Resident memory.
    pub rss_bytes: Trend,
    /// Open descriptors.
    pub descriptors: Trend,
}

/// How a quantity developed over a loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// In the first second.
    pub start: f64,
    /// After the first fifth of the loop.
    pub warm: f64,
    /// In the last second.
    pub end: f64,
    /// Slope after the first fifth, per hour, by least squares.
    pub per_hour: f64,
}

/// The writes beside the verifications.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Writes {
    /// Writes per second that were due.
    pub offered_per_s: f64,
    /// Keys issued.
    pub issued: u64,
    /// Keys imported.
    pub imported: u64,
    /// Keys revoked.
    pub revoked: u64,
    /// Writes that failed.
    pub errors: u64,
    /// Latencies from the moment a write was due.
    pub latency_us: Percentiles,
}

/// Nanoseconds in microseconds.
#[must_use]
pub fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

impl From<&Latencies> for Percentiles {
    fn from(latencies: &Latencies) -> Self {
        let at = |quantile| micros(latencies.value_at_quantile(quantile));
        Self {
            mean: latencies.mean() / 1000.0,
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            p99_99: at(0.9999),
            max: micros(latencies.max()),
        }
    }
}

impl From<&Tally> for ClassRow {
    fn from(tally: &Tally) -> Self {
        Self {
            answers: tally.latencies.len() + tally.wrong,
            wrong: tally.wrong,
            errors: tally.errors,
            latency_us: Percentiles::from(&tally.latencies),
        }
    }
}

impl Phase {
    /// Whether an answer was wrong or missing, or a write failed.
    #[must_use]
    pub fn went_wrong(&self) -> bool {
        let writes = self.writes.as_ref().map_or(0, |writes| writes.errors);
        self.all.wrong + self.all.errors + writes > 0
    }

    /// The classes that were requested, with their names.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &ClassRow)> {
        Class::ALL
            .into_iter()
            .filter_map(|class| Some((class.name(), self.classes.get(class).as_ref()?)))
    }

    /// Stalls that the server or the network caused.
    pub fn server_stalls(&self) -> impl Iterator<Item = &Stall> {
        self.stalls
            .iter()
            .filter(|stall| stall.cause == Cause::Server)
    }
}

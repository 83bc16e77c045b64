//! The report: what `--json` writes and `--compare` reads. Its fields are documented in `docs/loadtest.md`.
//!
//! A field is never given another meaning; a change that readers must know of raises [`SCHEMA`].

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::class::{Class, PerClass, Shares};
use crate::error::LoadError;
use crate::measure::{Latencies, Tally};
use crate::seconds::Second;
use crate::stalls::Stall;

/// The version of the report's form.
pub const SCHEMA: u32 = 2;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When it began, in RFC 3339.
    pub started: String,
    /// The command line.
    pub command: Vec<String>,
    /// The machine that sent.
    pub machine: Machine,
    /// The server.
    pub server: Server,
    /// What was sent.
    pub load: LoadFacts,
    /// The loops, in order.
    pub phases: Vec<Phase>,
    /// The search for the highest rate, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    /// It was ended early.
    pub interrupted: bool,
}

/// The machine that sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of its processor.
    pub processor: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel.
    pub kernel: String,
}

/// The server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Server {
    /// Where it listens.
    pub endpoint: String,
    /// What it says of its version.
    pub version: Option<String>,
    /// It was started for this run.
    pub started_here: bool,
    /// Cores that it may use, if known.
    pub cores: Option<usize>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadFacts {
    /// Load threads.
    pub threads: usize,
    /// Their cores; none = not pinned.
    pub cores: Vec<usize>,
    /// How they wait: `spin` or `sleep`.
    pub waiting: String,
    /// Connections over all threads.
    pub connections: usize,
    /// Requests on a connection at a time.
    pub pipeline: usize,
    /// Connections replaced per second.
    pub churn_per_s: f64,
    /// Writes per second beside the verifications.
    pub writes_per_s: f64,
    /// Shares of the classes.
    pub mix: Shares,
    /// Which keys were asked for: `uniform` or `zipf=EXPONENT`.
    pub popularity: String,
    /// Credentials in a batch.
    pub batch: u8,
    /// Keys on the server, by class.
    pub keys: PerClass<u32>,
    /// What all choices depend on.
    pub seed: u64,
    /// How long making the keys took; absent when they were reused.
    pub seeding_s: Option<f64>,
}

/// One loop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// `closed` or `open`.
    pub kind: String,
    /// How long it was, in seconds.
    pub seconds: f64,
    /// Requests per second that were due; only of an open loop.
    pub offered_per_s: Option<f64>,
    /// Answers per second.
    pub achieved_per_s: f64,
    /// All classes together.
    pub all: ClassRow,
    /// The classes that were asked for.
    pub classes: PerClass<Option<ClassRow>>,
    /// Latencies in microseconds at rising quantiles, for a plot.
    pub distribution: Vec<(f64, f64)>,
    /// What it cost the server.
    pub server: ServerCost,
    /// What it cost the load threads.
    pub generator: GeneratorCost,
    /// Who kept the rate from being higher: `server`, `load`, `both`, `others` or `unclear`.
    pub bottleneck: String,
    /// Connections that were made during the loop.
    pub connects: u64,
    /// 99th percentile of the time to connect, in microseconds.
    pub connect_p99_us: f64,
    /// Each second.
    pub over_time: Vec<Second>,
    /// Times in which requests took longer than 50 ms.
    pub stalls: Vec<Stall>,
    /// When the machine stood still.
    pub pauses: Pauses,
    /// The server's memory and descriptors over the loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// The writes beside the verifications.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writes: Option<Writes>,
    /// The first few things that went wrong, in words.
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

/// What a loop cost the server, as far as it can be seen from here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerCost {
    /// CPU time for each answer, in microseconds.
    pub cpu_us_per_request: Option<f64>,
    /// Part of its cores that it used, 0 to 1.
    pub cpu_share: Option<f64>,
}

/// What a loop cost the load threads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GeneratorCost {
    /// Part of their time that they were busy, 0 to 1.
    pub cpu_share: f64,
    /// Part of their time that other processes had their cores, 0 to 1.
    pub robbed_share: f64,
    /// 99 % of the requests that found a free connection went out within so many microseconds of their time.
    pub lateness_p99_us: f64,
}

/// When the machine stood still.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pauses {
    /// How often, over all cores.
    pub count: usize,
    /// For how long in all, in milliseconds, over all cores.
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

/// How a quantity went.
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

/// The search for the highest rate at which a percentile stays under a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// The limit of the 99th percentile, in microseconds.
    pub p99_limit_us: f64,
    /// The highest rate that kept it, in requests per second; 0 = none did.
    pub best_per_s: f64,
    /// All steps, in the order in which they were taken.
    pub steps: Vec<Step>,
}

/// One step of the search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Requests per second that were due.
    pub offered_per_s: f64,
    /// Answers per second.
    pub achieved_per_s: f64,
    /// Latencies.
    pub latency_us: Percentiles,
    /// Part of its cores that the server used, 0 to 1.
    pub server_cpu_share: Option<f64>,
    /// Part of their time that the load threads were busy, 0 to 1.
    pub generator_cpu_share: f64,
    /// Time in which cores stood still, in milliseconds.
    pub paused_ms: f64,
    /// It kept the limit.
    pub kept: bool,
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
    /// Whether anything was answered wrongly or not at all, or a write failed.
    #[must_use]
    pub fn went_wrong(&self) -> bool {
        let writes = self.writes.as_ref().map_or(0, |writes| writes.errors);
        self.all.wrong + self.all.errors + writes > 0
    }

    /// The classes that were asked for.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, &ClassRow)> {
        Class::ALL
            .into_iter()
            .filter_map(|class| Some((class.name(), self.classes.get(class).as_ref()?)))
    }

    /// Stalls that are the server's, or the network's.
    pub fn server_stalls(&self) -> impl Iterator<Item = &Stall> {
        self.stalls
            .iter()
            .filter(|stall| stall.cause == crate::stalls::Cause::Server)
    }
}

impl Report {
    /// Writes it to a file, as JSON.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, file: &Path) -> Result<(), LoadError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LoadError::io("writing the report")(error.into()))?;
        std::fs::write(file, text + "\n")
            .map_err(LoadError::io(format!("writing {}", file.display())))
    }

    /// Reads one that was written by this program.
    ///
    /// # Errors
    /// When the file cannot be read, or is something else.
    pub fn read(file: &Path) -> Result<Self, LoadError> {
        let wrong = |problem: String| LoadError::Report {
            path: file.to_owned(),
            problem,
        };
        let text = std::fs::read(file).map_err(|error| wrong(error.to_string()))?;
        let value: serde_json::Value = serde_json::from_slice(&text)
            .map_err(|error| wrong(format!("this is not JSON: {error}")))?;
        let schema = value.get("schema").and_then(serde_json::Value::as_u64);
        if schema != Some(u64::from(SCHEMA)) {
            return Err(wrong(format!(
                "expected a report of talos-loadtest --json with schema {SCHEMA}"
            )));
        }
        serde_json::from_value(value).map_err(|error| wrong(error.to_string()))
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A report in which nearly every field has a value of its own.
    pub fn full() -> Report {
        let row = ClassRow {
            answers: 1000,
            wrong: 1,
            errors: 2,
            latency_us: Percentiles {
                mean: 60.0,
                p50: 50.5,
                p90: 90.0,
                p99: 99.0,
                p99_9: 500.0,
                p99_99: 900.0,
                max: 60_000.0,
            },
        };
        let seconds = (0..30).map(|second| Second {
            at_s: second,
            answers: 1000 + u64::from(second),
            p50_us: 50.0,
            p99_us: 99.0,
            max_us: 150.0,
            server_cores: Some(0.5),
            server_rss_bytes: Some(1 << 26),
            server_descriptors: Some(70),
            ..Second::default()
        });
        let phase = Phase {
            kind: "open".to_owned(),
            seconds: 30.0,
            offered_per_s: Some(1000.0),
            achieved_per_s: 999.5,
            all: row.clone(),
            classes: PerClass {
                valid: Some(row),
                ..PerClass::default()
            },
            distribution: vec![(0.0, 10.0), (0.5, 50.5), (0.99, 99.0), (1.0, 60_000.0)],
            server: ServerCost {
                cpu_us_per_request: Some(5.5),
                cpu_share: Some(0.25),
            },
            over_time: seconds.collect(),
            bottleneck: "unclear".to_owned(),
            stalls: vec![Stall {
                at_s: 3.5,
                ms: 60.0,
                paused_ms: 55.0,
                requests: 9,
                cause: crate::stalls::Cause::Machine,
            }],
            resources: Some(Resources::default()),
            writes: Some(Writes {
                offered_per_s: 200.0,
                issued: 7,
                ..Writes::default()
            }),
            complaints: vec!["status 503: <overloaded> & \"busy\"".to_owned()],
            ..Phase::default()
        };
        Report {
            schema: SCHEMA,
            version: "0.1.0".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            command: vec!["talos-loadtest".to_owned(), "--ramp".to_owned()],
            server: Server {
                version: Some("0.1.0".to_owned()),
                ..Server::default()
            },
            phases: vec![phase],
            ramp: Some(Ramp {
                p99_limit_us: 1000.0,
                best_per_s: 800.0,
                steps: [
                    (400.0, 80.0, true),
                    (800.0, 200.0, true),
                    (1000.0, 5000.0, false),
                ]
                .into_iter()
                .map(|(rate, p99, kept)| Step {
                    offered_per_s: rate,
                    achieved_per_s: rate,
                    latency_us: Percentiles {
                        p50: p99 / 2.0,
                        p99,
                        max: p99 * 2.0,
                        ..Percentiles::default()
                    },
                    kept,
                    ..Step::default()
                })
                .collect(),
            }),
            ..Report::default()
        }
    }

    #[test]
    fn a_report_comes_back_as_it_was_written() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("report.json");
        let report = full();
        report.write(&file).unwrap();
        assert_eq!(Report::read(&file).unwrap(), report);
    }

    #[test]
    fn what_is_no_report_is_refused_with_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("other.json");
        for (text, said) in [
            ("{", "not JSON"),
            ("{}", "schema 2"),
            (r#"{"schema": 1}"#, "schema 2"),
            (r#"{"schema": 2}"#, "missing field"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Report::read(&file).unwrap_err().to_string();
            assert!(
                error.contains(said) && error.contains("other.json"),
                "{error}"
            );
        }
        std::fs::remove_file(&file).unwrap();
        assert!(Report::read(&file).is_err());
    }
}

//! The report: what `--json` writes and `--compare` reads. Its fields are documented in
//! `docs/loadtest.md`.
//!
//! A field keeps its meaning. A change that readers must know of raises [`SCHEMA`].

#[cfg(test)]
pub mod fixture;
mod phase;

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::class::{PerClass, Shares};
use crate::error::LoadError;

pub use self::phase::{
    ClassRow, GeneratorCost, Pauses, Percentiles, Phase, Resources, ServerCost, Trend, Writes,
    micros,
};

/// The version of the report's form.
pub const SCHEMA: u32 = 2;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When the run began, in RFC 3339.
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
    /// The run was ended early.
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
    /// The version that it reports.
    pub version: Option<String>,
    /// It was started for this run.
    pub started_here: bool,
    /// Cores that it may use; absent if unknown.
    pub cores: Option<usize>,
}

/// What was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LoadFacts {
    /// Load threads.
    pub threads: usize,
    /// Their cores; empty = not pinned.
    pub cores: Vec<usize>,
    /// How they wait: `spin` or `sleep`.
    pub waiting: String,
    /// Connections over all threads.
    pub connections: usize,
    /// Requests on a connection at a time.
    pub pipeline: usize,
    /// Connections replaced per second.
    pub churn_per_s: f64,
    /// Writes per second during the verifications.
    pub writes_per_s: f64,
    /// Shares of the classes.
    pub mix: Shares,
    /// Which keys were requested: `uniform` or `zipf=EXPONENT`.
    pub popularity: String,
    /// Credentials in a batch.
    pub batch: u8,
    /// Keys on the server, by class.
    pub keys: PerClass<u32>,
    /// The seed of all random choices.
    pub seed: u64,
    /// Seconds that making the keys took; absent when they were reused.
    pub seeding_s: Option<f64>,
}

/// The search for the highest rate at which the 99th percentile stays under a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ramp {
    /// The limit of the 99th percentile, in microseconds.
    pub p99_limit_us: f64,
    /// The highest rate that kept it, in requests per second; 0 = none did.
    pub best_per_s: f64,
    /// All steps, in the order in which they were run.
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
    /// Share of its cores that the server used, 0 to 1.
    pub server_cpu_share: Option<f64>,
    /// Share of their time that the load threads were busy, 0 to 1.
    pub generator_cpu_share: f64,
    /// Time in which cores stood still, in milliseconds.
    pub paused_ms: f64,
    /// The step kept the limit.
    pub kept: bool,
}

impl Report {
    /// Writes the report to a file, as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> Result<(), LoadError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| LoadError::io("writing the report")(error.into()))?;
        std::fs::write(file, text + "\n")
            .map_err(LoadError::io(format!("writing {}", file.display())))
    }

    /// Reads a report that this program has written.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
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
mod tests {
    use super::*;
    use crate::report::fixture::full;

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

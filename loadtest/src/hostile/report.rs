//! The report of a run: what `--json` writes. Its fields are documented in `docs/loadtest.md`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::bound::Budget;
use super::tally::AttackRow;
use crate::error::LoadError;
use crate::report::{Machine, Percentiles, Phase};

/// The version of the report's form.
pub const SCHEMA: u32 = 1;

/// A whole run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostileReport {
    /// [`SCHEMA`] of the program that wrote it.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// When the run began, in RFC 3339.
    pub started: String,
    /// The machine.
    pub machine: Machine,
    /// The settings of the server.
    pub settings: BTreeMap<String, String>,
    /// Version that the server reports.
    pub server_version: Option<String>,
    /// The seed of all random choices.
    pub seed: u64,
    /// The factor for the numbers of hostile clients.
    pub intensity: f64,
    /// Verifications per second that the valid load offers.
    pub offered_per_s: f64,
    /// The rate of a closed loop before the first round; absent if the rate was given.
    pub saturation_per_s: Option<f64>,
    /// The rounds in their order.
    pub rounds: Vec<Round>,
    /// The median of the rounds' ratios, without disturbed rounds.
    pub ratio: Option<f64>,
    /// Callers with new connections during the attacks.
    pub newcomers: NewcomerRow,
    /// Memory of the server.
    pub memory: Memory,
    /// Hostile clients by kind.
    pub attacks: Vec<AttackRow>,
    /// Hostile clients that were not begun, because there were too many.
    pub skipped: u64,
    /// CPU time of the hostile clients' thread as a share of one core.
    pub attackers_cpu_share: f64,
    /// The first few breaches in words.
    pub breaches: Vec<String>,
    /// Wrong verdicts and missing answers of the valid load in words.
    pub complaints: Vec<String>,
    /// Why the run has failed; empty = it has not.
    pub failures: Vec<String>,
    /// The run was ended early.
    pub interrupted: bool,
}

impl HostileReport {
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
}

/// A calm part and an attacked part.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Without hostile clients.
    pub calm: Part,
    /// With them.
    pub attacked: Part,
    /// Answers per second with hostile clients, divided by those without.
    pub ratio: f64,
    /// The core of the load and of the hostile clients had no time left, so the round says nothing
    /// of the server.
    pub disturbed: bool,
    /// Share of the load's cores that the hostile clients' thread took.
    pub attackers_cpu_share: f64,
    /// Resident memory of the server at the end of the attack, in bytes.
    pub rss_bytes: Option<u64>,
}

/// One part of a round.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its length in seconds.
    pub seconds: f64,
    /// Right and wrong answers per second.
    pub answers_per_s: f64,
    /// Answers.
    pub answers: u64,
    /// Answers with a wrong verdict.
    pub wrong: u64,
    /// Requests without an answer of status 200.
    pub errors: u64,
    /// Latencies from the time when a request was due.
    pub latency_us: Percentiles,
    /// Share of its cores that the server used.
    pub server_cpu_share: Option<f64>,
    /// Share of their time that the load threads were busy.
    pub load_cpu_share: f64,
    /// 99 % of the requests were sent within this many microseconds of their due time.
    pub lateness_p99_us: f64,
    /// Keys that were issued, imported and revoked.
    pub writes: u64,
    /// Writes that failed.
    pub write_errors: u64,
}

impl From<&Phase> for Part {
    fn from(phase: &Phase) -> Self {
        let writes = phase.writes.clone().unwrap_or_default();
        Self {
            seconds: phase.seconds,
            answers_per_s: phase.achieved_per_s,
            answers: phase.all.answers,
            wrong: phase.all.wrong,
            errors: phase.all.errors,
            latency_us: phase.all.latency_us.clone(),
            server_cpu_share: phase.server.cpu_share,
            load_cpu_share: phase.generator.cpu_share,
            lateness_p99_us: phase.generator.lateness_p99_us,
            writes: writes.issued + writes.imported + writes.revoked,
            write_errors: writes.errors,
        }
    }
}

/// Callers with a new connection each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NewcomerRow {
    /// Those that had right answers.
    pub answered: u64,
    /// Those that had not within `--patience`.
    pub failed: u64,
    /// How long they took.
    pub latency_us: Percentiles,
}

/// Memory of the server in bytes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Its budgets.
    pub budgets: Vec<Budget>,
    /// Their sum and 20 %: more is a failure.
    pub limit_bytes: u64,
    /// Resident memory before the first attack.
    pub calm_bytes: Option<u64>,
    /// The highest resident memory of the run, which the kernel keeps.
    pub peak_bytes: Option<u64>,
    /// Resident memory a little after the last attack.
    pub after_bytes: Option<u64>,
}

#[cfg(test)]
impl HostileReport {
    /// A report in which every list has an item.
    #[must_use]
    pub fn example() -> Self {
        Self {
            rounds: vec![Round::default()],
            attacks: vec![AttackRow::default()],
            memory: Memory {
                budgets: vec![Budget::default()],
                ..Memory::default()
            },
            ..Self::default()
        }
    }
}

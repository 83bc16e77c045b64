//! The report as text.

use std::fmt;

use super::report::{HostileReport, Part, Round};
use crate::numbers::{latency, mebibytes, thousands};

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, name: &str, part: &Part| {
            let at = &part.latency_us;
            write!(
                f,
                "  {name:<9} {:>9}/s  p50 {:>8}  p99 {:>8}  p99.9 {:>8}  max {:>8}  wrong {}  errors {}",
                thousands(part.answers_per_s),
                latency(at.p50),
                latency(at.p99),
                latency(at.p99_9),
                latency(at.max),
                part.wrong,
                part.errors,
            )?;
            if let Some(share) = part.server_cpu_share {
                write!(f, "  server {:.0} %", share * 100.0)?;
            }
            writeln!(f, "  load {:.0} %", part.load_cpu_share * 100.0)
        };
        part(f, "calm", &self.calm)?;
        part(f, "attacked", &self.attacked)?;
        write!(
            f,
            "  ratio {:.3}, attackers {:.0} % of a core, server memory {}",
            self.ratio,
            self.attackers_cpu_share * 100.0,
            megabytes(self.rss_bytes),
        )?;
        if self.disturbed {
            write!(f, "; the load's core had no time left")?;
        }
        Ok(())
    }
}

impl fmt::Display for HostileReport {
    /// What comes after the rounds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n{:<15} {:>7} {:>5} {:>10} {:>10} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}",
            "hostile clients",
            "made",
            "most",
            "sent MiB",
            "read MiB",
            "2xx",
            "refused",
            "501–599",
            "failed",
            "closed",
            "reset",
            "script",
            "gave up",
            "breaches",
        )?;
        for row in &self.attacks {
            let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            writeln!(
                f,
                "{:<15} {:>7} {:>5} {:>10.1} {:>10.1} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8}",
                row.attack,
                row.connections,
                row.most,
                megabytes(row.sent_bytes),
                megabytes(row.read_bytes),
                row.successes,
                row.refusals,
                row.unavailable,
                row.not_connected,
                row.closed_by_server,
                row.reset,
                row.by_script,
                row.gave_up,
                row.breaches,
            )?;
        }
        writeln!(f, "\nmemory budgets")?;
        for budget in &self.memory.budgets {
            writeln!(
                f,
                "  {:>10}  {}",
                mebibytes(budget.bytes as f64),
                budget.what
            )?;
        }
        writeln!(
            f,
            "  {:>10}  limit: their sum and 20 %\n  {:>10}  peak of the server\n  {:>10}  before the first attack\n  {:>10}  after the last attack",
            mebibytes(self.memory.limit_bytes as f64),
            megabytes(self.memory.peak_bytes),
            megabytes(self.memory.calm_bytes),
            megabytes(self.memory.after_bytes),
        )?;
        let (new, at) = (&self.newcomers, &self.newcomers.latency_us);
        writeln!(
            f,
            "\nnew connections under attack: {} answered (p50 {}, p99 {}, max {}), {} failed",
            new.answered,
            latency(at.p50),
            latency(at.p99),
            latency(at.max),
            new.failed,
        )?;
        match self.ratio {
            Some(ratio) => writeln!(f, "rate under attack / calm rate: median {ratio:.3}")?,
            None => writeln!(
                f,
                "rate under attack / calm rate: every round was disturbed"
            )?,
        }
        let lines = self.complaints.iter().chain(&self.breaches);
        for line in lines {
            writeln!(f, "  ! {line}")?;
        }
        for failure in &self.failures {
            writeln!(f, "FAILED: {failure}")?;
        }
        Ok(())
    }
}

fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "unknown".to_owned(), |bytes| mebibytes(bytes as f64))
}

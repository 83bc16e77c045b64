//! The results as text.

use std::fmt::{self, Write as _};

use crate::numbers::{latency, mebibytes, thousands};
use crate::report::{ClassRow, Phase, Ramp, Report, Trend};

/// Loops shorter than this show no slope, in seconds.
const SLOPE_SECONDS_MIN: f64 = 120.0;

impl fmt::Display for Report {
    /// The head of a report: keys, requests, server and load threads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (load, server) = (&self.load, &self.server);
        let keys = &load.keys;
        let total = keys.valid + keys.imported + keys.revoked;
        write!(
            f,
            "{} keys ({} issued, {} imported, {} revoked)",
            thousands(f64::from(total)),
            thousands(f64::from(keys.valid)),
            thousands(f64::from(keys.imported)),
            thousands(f64::from(keys.revoked)),
        )?;
        match load.seeding_s {
            Some(seconds) => writeln!(
                f,
                ", made in {seconds:.1} s ({}/s)",
                thousands(f64::from(total) / seconds.max(1e-9))
            )?,
            None => writeln!(f, ", made by an earlier run")?,
        }
        writeln!(
            f,
            "requests: {}; keys chosen: {}",
            load.mix.in_words(),
            load.popularity
        )?;
        write!(f, "server: {}", server.endpoint)?;
        if let Some(version) = &server.version {
            write!(f, ", version {version}")?;
        }
        if let Some(cores) = server.cores {
            write!(f, ", {cores} core(s)")?;
        }
        write!(f, "; load: {} thread(s)", load.threads)?;
        if !load.cores.is_empty() {
            write!(f, " on core(s) {:?}", load.cores)?;
        }
        write!(f, ", {} connections", load.connections)?;
        if load.pipeline > 1 {
            write!(f, " with {} requests at a time", load.pipeline)?;
        }
        if load.churn_per_s > 0.0 {
            write!(f, ", {} replaced per second", load.churn_per_s)?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.offered_per_s {
            None => writeln!(f, "closed loop, {:.1} s", self.seconds)?,
            Some(rate) => writeln!(
                f,
                "open loop at {}/s, {:.1} s",
                thousands(rate),
                self.seconds
            )?,
        }
        writeln!(f, "  throughput  {:>9}/s", thousands(self.achieved_per_s))?;
        if let (Some(cost), Some(share)) = (self.server.cpu_us_per_request, self.server.cpu_share) {
            let percent = share * 100.0;
            writeln!(
                f,
                "  server CPU  {cost:>9.2} µs/request, {percent:.0} % of its cores"
            )?;
        }
        let percent = self.generator.cpu_share * 100.0;
        write!(f, "  load CPU    {percent:>9.0} % of its cores")?;
        if self.offered_per_s.is_some() {
            let late = self.generator.lateness_p99_us;
            write!(
                f,
                "; 99 % of the requests went out within {late:.0} µs of their time"
            )?;
        }
        writeln!(f)?;
        writeln!(f, "  {}", bottleneck_in_words(self))?;
        self.fmt_rows(f)?;
        self.fmt_around(f)?;
        for complaint in &self.complaints {
            writeln!(f, "  ! {complaint}")?;
        }
        Ok(())
    }
}

/// The bottleneck as a sentence.
#[must_use]
pub fn bottleneck_in_words(phase: &Phase) -> String {
    match phase.bottleneck.as_str() {
        "server" => "the server was saturated".to_owned(),
        "load" => {
            "the load generator was saturated: the server can do more than this shows; give it more cores (--threads) or lower the rate".to_owned()
        }
        "both" => {
            "server and load generator were both saturated: the server may do somewhat more"
                .to_owned()
        }
        "others" => format!(
            "other processes had the load threads' cores for {:.0} % of the time: measure again on a quiet machine",
            phase.generator.robbed_share * 100.0
        ),
        _ => "neither side was saturated".to_owned(),
    }
}

impl Phase {
    fn fmt_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "\n  {:<9} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
            "µs", "answers", "p50", "p90", "p99", "p99.9", "max", "wrong", "errors"
        )?;
        for (name, row) in self.rows() {
            fmt_row(f, name, row)?;
        }
        fmt_row(f, "all", &self.all)
    }

    /// Writes, connections, pauses, stalls, memory.
    fn fmt_around(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(writes) = &self.writes {
            let (p50, p99) = (writes.latency_us.p50, writes.latency_us.p99);
            writeln!(
                f,
                "  writes      {} issued, {} imported, {} revoked, {} failed; p50 {}, p99 {}",
                writes.issued,
                writes.imported,
                writes.revoked,
                writes.errors,
                latency(p50),
                latency(p99)
            )?;
        }
        if self.connects > 0 {
            writeln!(
                f,
                "  connections {} made; 99 % of them within {}",
                thousands(self.connects as f64),
                latency(self.connect_p99_us)
            )?;
        }
        if self.pauses.count > 0 {
            writeln!(
                f,
                "  machine     stood still {} times, {:.0} ms in all, longest {:.0} ms (all cores)",
                self.pauses.count, self.pauses.total_ms, self.pauses.longest_ms
            )?;
        }
        if !self.stalls.is_empty() {
            let own = self.server_stalls().count();
            writeln!(
                f,
                "  stalls      {} over 50 ms: {} while the machine stood still, {own} not",
                self.stalls.len(),
                self.stalls.len() - own
            )?;
            for stall in self.server_stalls().take(10) {
                writeln!(
                    f,
                    "              at {:.1} s: {:.0} ms, {} requests; the machine stood still for {:.0} ms of it",
                    stall.at_s, stall.ms, stall.requests, stall.paused_ms
                )?;
            }
        }
        if let Some(resources) = &self.resources
            && self.seconds >= 10.0
        {
            writeln!(
                f,
                "  memory      {}",
                trend_in_words(&resources.rss_bytes, self.seconds, mebibytes)
            )?;
            writeln!(
                f,
                "  descriptors {}",
                trend_in_words(&resources.descriptors, self.seconds, |count| format!(
                    "{count:.0}"
                ))
            )?;
        }
        Ok(())
    }
}

/// A trend over a loop of `seconds` as a sentence. A short loop has no slope: it says nothing about
/// an hour.
#[must_use]
pub fn trend_in_words(trend: &Trend, seconds: f64, unit: impl Fn(f64) -> String) -> String {
    let values = format!(
        "{} at first, {} warm, {} at the end",
        unit(trend.start),
        unit(trend.warm),
        unit(trend.end)
    );
    if seconds < SLOPE_SECONDS_MIN {
        values
    } else {
        format!("{values}; slope {} an hour", unit(trend.per_hour))
    }
}

fn fmt_row(f: &mut fmt::Formatter<'_>, name: &str, row: &ClassRow) -> fmt::Result {
    let latency = &row.latency_us;
    write!(f, "  {name:<9} {:>11}", thousands(row.answers as f64))?;
    for micros in [
        latency.p50,
        latency.p90,
        latency.p99,
        latency.p99_9,
        latency.max,
    ] {
        write!(f, " {micros:>9.0}")?;
    }
    writeln!(f, " {:>7} {:>7}", row.wrong, row.errors)
}

/// The line of one step of a ramp.
#[must_use]
pub fn step_line(step: &crate::report::Step) -> String {
    let mut line = String::new();
    // Writing to a string cannot fail.
    let _ = write!(
        line,
        "  {:>11} {:>11} {:>10} {:>10} {:>10}",
        thousands(step.offered_per_s),
        thousands(step.achieved_per_s),
        latency(step.latency_us.p50),
        latency(step.latency_us.p99),
        latency(step.latency_us.max),
    );
    let _ = match step.server_cpu_share {
        Some(share) => write!(line, " {:>8.0} %", share * 100.0),
        None => write!(line, " {:>10}", "-"),
    };
    let verdict = if step.kept { "kept" } else { "missed" };
    let _ = write!(line, " {verdict:>8}");
    if step.paused_ms > 0.0 {
        let _ = write!(line, "  (machine stood still {:.0} ms)", step.paused_ms);
    }
    line
}

/// The head of the table of a ramp's steps.
#[must_use]
pub fn steps_head() -> String {
    format!(
        "  {:>11} {:>11} {:>10} {:>10} {:>10} {:>10} {:>8}",
        "offered/s", "achieved/s", "p50", "p99", "max", "server CPU", "limit"
    )
}

impl fmt::Display for Ramp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = latency(self.p99_limit_us);
        if self.best_per_s > 0.0 {
            let best = thousands(self.best_per_s);
            writeln!(f, "highest rate with a p99 of at most {limit}: {best}/s")
        } else {
            writeln!(f, "no rate kept a p99 of at most {limit}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::full;

    #[test]
    fn the_table_says_what_the_report_says() {
        let report = full();
        let table = report.phases[0].to_string();
        for part in [
            "open loop at 1,000/s, 30.0 s",
            "5.50 µs/request, 25 % of its cores",
            "valid           1,000        50        90        99       500     60000       1       2",
            "7 issued",
            "1 over 50 ms: 1 while the machine stood still, 0 not",
            "! status 503: <overloaded>",
        ] {
            assert!(table.contains(part), "{part}:\n{table}");
        }
        let trend = Trend {
            per_hour: 7.0,
            ..Trend::default()
        };
        let count = |count: f64| format!("{count:.0}");
        assert!(trend_in_words(&trend, 600.0, count).ends_with("slope 7 an hour"));
        assert!(!trend_in_words(&trend, 30.0, count).contains("slope"));
        let ramp = report.ramp.as_ref().unwrap().to_string();
        assert_eq!(ramp, "highest rate with a p99 of at most 1.00 ms: 800/s\n");
    }
}

//! The results, as a table for people and as JSON for programs.

use std::fmt::{self, Write};
use std::time::Duration;

use serde_json::{Value, json};

use crate::generator::{Loop, Sampled};
use crate::measure::{Latencies, Tally};
use crate::mix::{Class, Shares};

/// From this share of its time on, a side counts as saturated.
const SATURATED: f64 = 0.95;
/// From this share on, other processes on the load threads' cores distort the latencies.
const DISTURBED: f64 = 0.01;
/// In an open loop, requests that go out later than this distort the latencies, in nanoseconds.
const LATE_NS: u64 = 200_000;

/// Who kept the rate from being higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bottleneck {
    /// The server's cores were busy.
    Server,
    /// The load threads' cores were busy, and the server's were not.
    Load,
    /// Both were busy: the server might do somewhat more.
    Both,
    /// Other processes took the load threads' cores, so that nothing can be said.
    Others,
    /// Nobody was busy all the time; or the server's CPU time is unknown.
    Unclear,
}

impl Bottleneck {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Load => "load",
            Self::Both => "both",
            Self::Others => "others",
            Self::Unclear => "unclear",
        }
    }
}

/// One loop and what it cost.
#[derive(Debug)]
pub struct Phase {
    /// Closed, or open with the rate that was offered.
    pub kind: Loop,
    /// What it saw; the samples are the server's CPU time, as far as it is known.
    pub sampled: Sampled<Option<Duration>>,
    /// How many cores the server had; 0 = unknown.
    pub server_cores: usize,
    /// Connections over all load threads.
    pub connections: usize,
}

impl Phase {
    /// Whether anything was answered wrongly or not at all.
    #[must_use]
    pub fn went_wrong(&self) -> bool {
        let all = self.sampled.measurement.overall();
        all.wrong + all.errors > 0
    }

    fn server_cpu(&self) -> Option<Duration> {
        Some(self.sampled.after?.saturating_sub(self.sampled.before?))
    }

    /// Microseconds of the server's CPU time for each answer.
    #[must_use]
    pub fn server_cpu_us(&self) -> Option<f64> {
        let all = self.sampled.measurement.overall();
        let answers = all.latencies.len() + all.wrong + all.errors;
        (answers > 0).then_some(())?;
        Some(self.server_cpu()?.as_secs_f64() * 1e6 / answers as f64)
    }

    /// How much of its cores the server used, from 0 to 1.
    #[must_use]
    pub fn server_share(&self) -> Option<f64> {
        let available = self.sampled.between.as_secs_f64() * self.server_cores as f64;
        (available > 0.0).then_some(())?;
        Some(self.server_cpu()?.as_secs_f64() / available)
    }

    /// Who kept the rate from being higher.
    #[must_use]
    pub fn bottleneck(&self) -> Bottleneck {
        let measurement = &self.sampled.measurement;
        if measurement.cost.robbed_share() >= DISTURBED {
            return Bottleneck::Others;
        }
        let late =
            self.kind != Loop::Closed && measurement.lateness.value_at_quantile(0.99) > LATE_NS;
        let load = measurement.cost.share() >= SATURATED || late;
        match (load, self.server_share()) {
            (true, Some(server)) if server >= SATURATED => Bottleneck::Both,
            (true, _) => Bottleneck::Load,
            (false, Some(server)) if server >= SATURATED => Bottleneck::Server,
            (false, _) => Bottleneck::Unclear,
        }
    }

    /// The same as the table, for programs. Latencies are in microseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let measurement = &self.sampled.measurement;
        let mut rows = serde_json::Map::new();
        for class in Class::ALL {
            rows.insert(
                class.name().to_owned(),
                tally_json(measurement.classes.get(class)),
            );
        }
        rows.insert("all".to_owned(), tally_json(&measurement.overall()));
        let (kind, offered) = match self.kind {
            Loop::Closed => ("closed", None),
            Loop::Open(rate) => ("open", Some(rate)),
        };
        json!({
            "loop": kind,
            "connections": self.connections,
            "seconds": measurement.elapsed.as_secs_f64(),
            "offered_per_s": offered,
            "achieved_per_s": measurement.rate(),
            "server_cpu_us_per_request": self.server_cpu_us(),
            "server_cpu_share": self.server_share(),
            "load_cpu_share": measurement.cost.share(),
            "load_robbed_share": measurement.cost.robbed_share(),
            "load_lateness_us_p99": micros(measurement.lateness.value_at_quantile(0.99)),
            "bottleneck": self.bottleneck().name(),
            "classes": rows,
            "complaints": measurement.complaints,
        })
    }
}

fn tally_json(tally: &Tally) -> Value {
    let at = |quantile| micros(tally.latencies.value_at_quantile(quantile));
    json!({
        "answers": tally.latencies.len() + tally.wrong,
        "wrong": tally.wrong,
        "errors": tally.errors,
        "latency_us": {
            "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p99_9": at(0.999), "max": micros(tally.latencies.max()),
        },
    })
}
fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measurement = &self.sampled.measurement;
        let seconds = measurement.elapsed.as_secs_f64();
        match self.kind {
            Loop::Closed => writeln!(
                f,
                "closed loop, {} connections, {seconds:.1} s",
                self.connections
            )?,
            Loop::Open(rate) => {
                let connections = self.connections;
                writeln!(
                    f,
                    "open loop at {}/s, {connections} connections, {seconds:.1} s",
                    thousands(rate)
                )?;
            }
        }
        match self.kind {
            Loop::Closed => writeln!(f, "  throughput  {:>9}/s", thousands(measurement.rate()))?,
            Loop::Open(rate) => {
                let (offered, achieved) = (thousands(rate), thousands(measurement.rate()));
                writeln!(f, "  offered     {offered:>9}/s     achieved {achieved}/s")?;
            }
        }
        if let (Some(cost), Some(share)) = (self.server_cpu_us(), self.server_share()) {
            let cores = self.server_cores;
            writeln!(
                f,
                "  server CPU  {cost:>9.2} µs/request, {:.0} % of {cores} core(s)",
                share * 100.0
            )?;
        }
        write!(
            f,
            "  load CPU    {:>9.0} % of its cores",
            measurement.cost.share() * 100.0
        )?;
        if self.kind != Loop::Closed {
            let late = micros(measurement.lateness.value_at_quantile(0.99));
            write!(
                f,
                "; 99 % of the requests went out within {late:.0} µs of their time"
            )?;
        }
        writeln!(f)?;
        let verdict = match self.bottleneck() {
            Bottleneck::Server => "the server was saturated",
            Bottleneck::Load => {
                "the load generator was the bottleneck: the server can do more than this shows"
            }
            Bottleneck::Both => {
                "server and load generator were both saturated: the server may do somewhat more"
            }
            Bottleneck::Unclear => "neither side was saturated",
            Bottleneck::Others => {
                let percent = measurement.cost.robbed_share() * 100.0;
                writeln!(
                    f,
                    "  other processes had the load threads' cores for {percent:.0} % of the time"
                )?;
                "disturbed: measure again on a quiet machine"
            }
        };
        writeln!(f, "  {verdict}")?;
        self.fmt_rows(f)?;
        for complaint in &measurement.complaints {
            writeln!(f, "  ! {complaint}")?;
        }
        Ok(())
    }
}

impl Phase {
    fn fmt_rows(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let measurement = &self.sampled.measurement;
        writeln!(
            f,
            "\n  {:<8} {:>11} {:>9} {:>9} {:>9} {:>9} {:>9} {:>7} {:>7}",
            "µs", "answers", "p50", "p90", "p99", "p99.9", "max", "wrong", "errors"
        )?;
        for class in Class::ALL {
            fmt_row(f, class.name(), measurement.classes.get(class))?;
        }
        fmt_row(f, "all", &measurement.overall())
    }
}
fn fmt_row(f: &mut fmt::Formatter<'_>, name: &str, tally: &Tally) -> fmt::Result {
    let latencies: &Latencies = &tally.latencies;
    write!(
        f,
        "  {name:<8} {:>11}",
        thousands((latencies.len() + tally.wrong) as f64)
    )?;
    for quantile in [0.5, 0.9, 0.99, 0.999] {
        write!(f, " {:>9.0}", micros(latencies.value_at_quantile(quantile)))?;
    }
    writeln!(
        f,
        " {:>9.0} {:>7} {:>7}",
        micros(latencies.max()),
        tally.wrong,
        tally.errors
    )
}

/// A number rounded to an integer, with commas between groups of three digits.
#[must_use]
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        // Writing to a string cannot fail.
        let _ = text.write_char(digit);
    }
    text
}

/// The head of a report: what was loaded, by what.
#[must_use]
pub fn shares_in_words(shares: &Shares) -> String {
    let parts = Class::ALL.map(|class| {
        let percent = f64::from(*shares.get(class)) * 100.0 / f64::from(shares.total());
        format!("{percent:.0} % {}", class.name())
    });
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{LoadCost, Measurement};

    fn phase(kind: Loop, server: Option<f64>, load: f64) -> Phase {
        let second = Duration::from_secs(1);
        let mut measurement = Measurement {
            elapsed: second,
            cost: LoadCost {
                busy: second.mul_f64(load),
                available: second,
                robbed: Duration::ZERO,
            },
            ..Measurement::default()
        };
        for micros in 1..=1000 {
            measurement.answered(Class::Valid, Duration::from_micros(micros), true);
        }
        let sampled = Sampled {
            measurement,
            before: server.map(|_| second),
            after: server.map(|share| second + second.mul_f64(share)),
            between: second,
        };
        Phase {
            kind,
            sampled,
            server_cores: 1,
            connections: 4,
        }
    }

    #[test]
    fn the_bottleneck_is_whoever_is_saturated() {
        let of = |server, load| phase(Loop::Closed, server, load).bottleneck();
        assert_eq!(of(Some(0.99), 0.5), Bottleneck::Server);
        assert_eq!(of(Some(0.99), 0.99), Bottleneck::Both);
        assert_eq!(of(Some(0.5), 0.99), Bottleneck::Load);
        assert_eq!(of(None, 0.99), Bottleneck::Load);
        assert_eq!(of(Some(0.5), 0.5), Bottleneck::Unclear);
        assert_eq!(of(None, 0.5), Bottleneck::Unclear);
        let mut late = phase(Loop::Open(1000.0), Some(0.5), 0.5);
        late.sampled
            .measurement
            .lateness
            .record(LATE_NS * 2)
            .unwrap();
        assert_eq!(late.bottleneck(), Bottleneck::Load);
        late.sampled.measurement.cost.robbed = Duration::from_millis(250);
        assert_eq!(late.bottleneck(), Bottleneck::Others);
        assert_eq!(late.to_json()["load_robbed_share"], 0.25);
        assert!(late.to_string().contains("for 25 % of the time"), "{late}");
    }

    #[test]
    fn the_table_and_the_json_say_the_same() {
        let phase = phase(Loop::Open(1000.0), Some(0.25), 0.5);
        let json = phase.to_json();
        assert_eq!(json["achieved_per_s"], 1000.0);
        assert_eq!(json["server_cpu_us_per_request"], 250.0);
        assert_eq!(json["classes"]["valid"]["answers"], 1000);
        let p50 = json["classes"]["all"]["latency_us"]["p50"]
            .as_f64()
            .unwrap();
        assert!((p50 - 500.0).abs() < 2.0, "{p50}");
        let table = phase.to_string();
        assert!(
            table.contains("open loop at 1,000/s") && table.contains("250.00 µs/request"),
            "{table}"
        );
    }

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(thousands(999.4), "999");
        assert_eq!(thousands(1000.0), "1,000");
        assert_eq!(thousands(1_234_567.0), "1,234,567");
    }
}

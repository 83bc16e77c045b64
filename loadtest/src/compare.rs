//! Two reports side by side.

use std::fmt;

use maud::html;

use crate::charts::{against_load, percentiles};
use crate::numbers::{latency, mebibytes, thousands};
use crate::page::{page as whole_page, table};
use crate::plot::Plot;
use crate::report::{Phase, Report};

/// One quantity in both runs.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Its value in the first run.
    pub first: f64,
    /// Its value in the second run.
    pub second: f64,
    unit: fn(f64) -> String,
}

impl Row {
    /// The second value divided by the first. `None` if the first is 0.
    #[must_use]
    pub fn ratio(&self) -> Option<f64> {
        (self.first != 0.0).then(|| self.second / self.first)
    }

    fn cells(&self) -> [String; 4] {
        let ratio = self.ratio();
        [
            self.name.clone(),
            (self.unit)(self.first),
            (self.unit)(self.second),
            ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        ]
    }
}

/// The rows of one loop, or of the ramp.
#[derive(Clone, Debug)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// Its rows.
    pub rows: Vec<Row>,
}

/// Two reports side by side.
#[derive(Debug)]
pub struct Comparison<'a> {
    first: &'a Report,
    second: &'a Report,
    /// Settings that differ: name, first value, second value.
    pub differences: Vec<[String; 3]>,
    /// What both runs have measured.
    pub sections: Vec<Section>,
}

impl<'a> Comparison<'a> {
    /// Compares two reports: the loops of each kind with each other, in order.
    #[must_use]
    pub fn of(first: &'a Report, second: &'a Report) -> Self {
        let mut sections: Vec<_> = pairs(first, second)
            .into_iter()
            .map(|(one, other)| Section {
                title: title(one, other),
                rows: phase_rows(one, other),
            })
            .collect();
        if let (Some(one), Some(other)) = (&first.ramp, &second.ramp) {
            let row = Row {
                name: format!("highest rate with p99 ≤ {}", latency(one.p99_limit_us)),
                first: one.best_per_s,
                second: other.best_per_s,
                unit: thousands,
            };
            sections.push(Section {
                title: "Ramp".to_owned(),
                rows: vec![row],
            });
        }
        Self {
            first,
            second,
            differences: differences(first, second),
            sections,
        }
    }

    /// The comparison as an HTML page.
    #[must_use]
    pub fn page(&self) -> String {
        let rows = |section: &Section| section.rows.iter().map(Row::cells).collect::<Vec<_>>();
        let body = html! {
            @if !self.differences.is_empty() {
                h2 { "The runs differ in" }
                (table(&["", "A", "B"], &self.differences))
            }
            @for section in &self.sections {
                h2 { (section.title) }
                (table(&["", "A", "B", "B / A"], rows(section)))
            }
            @for (one, other) in pairs(self.first, self.second) { (latencies(one, other)) }
            @if let (Some(one), Some(other)) = (&self.first.ramp, &self.second.ramp) {
                (against_load(&[("A", one), ("B", other)]))
            }
        };
        let title = format!(
            "Load tests: A of {}, B of {}",
            self.first.started, self.second.started
        );
        whole_page(&title, &body)
    }
}

impl fmt::Display for Comparison<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "A: {}  {}",
            self.first.started,
            self.first.command.join(" ")
        )?;
        writeln!(
            f,
            "B: {}  {}",
            self.second.started,
            self.second.command.join(" ")
        )?;
        for [name, first, second] in &self.differences {
            writeln!(f, "  differs: {name}: {first} | {second}")?;
        }
        for section in &self.sections {
            writeln!(f, "\n{}", section.title)?;
            writeln!(f, "  {:<32} {:>14} {:>14} {:>8}", "", "A", "B", "B / A")?;
            for row in &section.rows {
                let [name, first, second, ratio] = row.cells();
                writeln!(f, "  {name:<32} {first:>14} {second:>14} {ratio:>8}")?;
            }
        }
        if self.sections.is_empty() {
            writeln!(f, "\nthe runs have no kind of loop in common")?;
        }
        Ok(())
    }
}

fn pairs<'a>(first: &'a Report, second: &'a Report) -> Vec<(&'a Phase, &'a Phase)> {
    let of = |report: &'a Report, kind: &'static str| {
        let phases = report.phases.iter();
        phases.filter(move |phase| phase.kind == kind)
    };
    ["closed", "open"]
        .into_iter()
        .flat_map(|kind| of(first, kind).zip(of(second, kind)))
        .collect()
}

fn title(one: &Phase, other: &Phase) -> String {
    match (one.offered_per_s, other.offered_per_s) {
        (Some(one), Some(other)) => format!(
            "Open loop, {}/s against {}/s",
            thousands(one),
            thousands(other)
        ),
        _ => "Closed loop".to_owned(),
    }
}

fn latencies(one: &Phase, other: &Phase) -> Plot {
    Plot {
        title: format!("{}: latency by percentile", title(one, other)),
        ..percentiles(&[("A", one), ("B", other)])
    }
}

fn phase_rows(one: &Phase, other: &Phase) -> Vec<Row> {
    let count = |count: f64| format!("{count:.0}");
    let mut rows = Vec::new();
    let mut push = |name: &str, of: &dyn Fn(&Phase) -> Option<f64>, unit: fn(f64) -> String| {
        if let (Some(one), Some(other)) = (of(one), of(other)) {
            rows.push(Row {
                name: name.to_owned(),
                first: one,
                second: other,
                unit,
            });
        }
    };
    push(
        "answers per second",
        &|phase| Some(phase.achieved_per_s),
        thousands,
    );
    push(
        "server CPU per answer",
        &|phase| phase.server.cpu_us_per_request,
        |cost| format!("{cost:.2} µs"),
    );
    push("p50", &|phase| Some(phase.all.latency_us.p50), latency);
    push("p90", &|phase| Some(phase.all.latency_us.p90), latency);
    push("p99", &|phase| Some(phase.all.latency_us.p99), latency);
    push("p99.9", &|phase| Some(phase.all.latency_us.p99_9), latency);
    push("max", &|phase| Some(phase.all.latency_us.max), latency);
    for class in crate::class::Class::ALL {
        let name = format!("p99, {}", class.name());
        let of = |phase: &Phase| Some(phase.classes.get(class).as_ref()?.latency_us.p99);
        push(&name, &of, latency);
    }
    push(
        "wrong answers",
        &|phase| Some(phase.all.wrong as f64),
        count,
    );
    push(
        "missing answers",
        &|phase| Some(phase.all.errors as f64),
        count,
    );
    push(
        "server stalls over 50 ms",
        &|phase| Some(phase.server_stalls().count() as f64),
        count,
    );
    push(
        "machine stood still (ms)",
        &|phase| Some(phase.pauses.total_ms),
        count,
    );
    push(
        "memory at the end",
        &|phase| Some(phase.resources.as_ref()?.rss_bytes.end),
        mebibytes,
    );
    push(
        "write p99",
        &|phase| Some(phase.writes.as_ref()?.latency_us.p99),
        latency,
    );
    rows
}

fn differences(first: &Report, second: &Report) -> Vec<[String; 3]> {
    let of = |report: &Report| {
        let (load, server, machine) = (&report.load, &report.server, &report.machine);
        let keys = load.keys.valid + load.keys.imported + load.keys.revoked;
        [
            ("processor", machine.processor.clone()),
            ("kernel", machine.kernel.clone()),
            ("cores of the machine", machine.cores.to_string()),
            (
                "server's version",
                server.version.clone().unwrap_or_default(),
            ),
            (
                "server's cores",
                server
                    .cores
                    .map_or_else(String::new, |cores| cores.to_string()),
            ),
            ("keys", thousands(f64::from(keys))),
            ("requests", load.mix.in_words()),
            ("popularity", load.popularity.clone()),
            ("credentials in a batch", load.batch.to_string()),
            ("load threads", load.threads.to_string()),
            ("connections", load.connections.to_string()),
            ("pipeline", load.pipeline.to_string()),
            ("churn", load.churn_per_s.to_string()),
            ("writes per second", load.writes_per_s.to_string()),
            ("waiting", load.waiting.clone()),
        ]
    };
    let pairs = of(first).into_iter().zip(of(second));
    pairs
        .filter(|(one, other)| one != other)
        .map(|((name, one), (_, other))| [name.to_owned(), one, other])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::assert_well_formed_and_self_contained;
    use crate::report::fixture::full;

    #[test]
    fn ratios_are_the_second_over_the_first() {
        let (first, mut second) = (full(), full());
        second.phases[0].achieved_per_s *= 1.5;
        second.phases[0].all.latency_us.p99 /= 2.0;
        second.load.connections = 7;
        let comparison = Comparison::of(&first, &second);
        let row = |name: &str| {
            let rows = &comparison.sections[0].rows;
            rows.iter().find(|row| row.name == name).unwrap().ratio()
        };
        assert!((row("answers per second").unwrap() - 1.5).abs() < 1e-9);
        assert!((row("p99").unwrap() - 0.5).abs() < 1e-9);
        assert_eq!(
            row("server stalls over 50 ms"),
            None,
            "nothing to divide by"
        );
        assert_eq!(comparison.differences.len(), 1);
        assert_eq!(comparison.differences[0], ["connections", "0", "7"]);
        let text = comparison.to_string();
        assert!(text.contains("differs: connections: 0 | 7"), "{text}");
        assert!(text.contains("highest rate with p99 ≤ 1.00 ms"), "{text}");
    }

    #[test]
    fn only_loops_of_one_kind_are_compared() {
        let (first, mut second) = (full(), full());
        second.phases[0].kind = "closed".to_owned();
        second.ramp = None;
        let comparison = Comparison::of(&first, &second);
        assert!(comparison.sections.is_empty());
        assert!(comparison.to_string().contains("no kind of loop in common"));
        assert_well_formed_and_self_contained(&comparison.page());
    }

    #[test]
    fn the_page_is_well_formed_and_self_contained() {
        let report = full();
        let page = Comparison::of(&report, &report).page();
        assert_well_formed_and_self_contained(&page);
        assert!(page.contains("latency by percentile") && page.contains("Latency against load"));
    }
}

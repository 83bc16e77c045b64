//! The report as one HTML page with plots.

use crate::numbers::{latency, latency_tick, mebibytes, thousands};
use crate::page::{escaped, page as whole_page, table};
use crate::plot::{Axis, Line, Plot};
use crate::report::{ClassRow, Phase, Ramp, Report};
use crate::seconds::Second;
use crate::stalls::Cause;
use crate::table::{bottleneck_in_words, trend_in_words};

/// Points of a line over time; longer loops are drawn in parts of several seconds.
const POINTS_MAX: usize = 600;
const STALLS_SHOWN: usize = 20;

/// The page of a report.
#[must_use]
pub fn page(report: &Report) -> String {
    let mut body = facts(report);
    if let Some(ramp) = &report.ramp {
        body.push_str(&ramp_section(ramp));
    }
    for phase in &report.phases {
        body.push_str(&phase_section(phase));
    }
    whole_page(&format!("Load test, {}", report.started), &body)
}

fn facts(report: &Report) -> String {
    let (machine, server, load) = (&report.machine, &report.server, &report.load);
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let cores = server
        .cores
        .map_or_else(|| "unknown".to_owned(), |cores| cores.to_string());
    let rows = [
        row(
            "Server",
            format!(
                "{}, version {}, cores: {cores}",
                server.endpoint,
                server.version.as_deref().unwrap_or("unknown"),
            ),
        ),
        row(
            "Keys",
            format!(
                "{} issued, {} imported, {} revoked; chosen: {}",
                thousands(f64::from(load.keys.valid)),
                thousands(f64::from(load.keys.imported)),
                thousands(f64::from(load.keys.revoked)),
                load.popularity
            ),
        ),
        row("Requests", load.mix.in_words()),
        row(
            "Load",
            format!(
                "{} thread(s), {} connections, {} at a time on each, {} replaced per second, {} writes per second",
                load.threads, load.connections, load.pipeline, load.churn_per_s, load.writes_per_s
            ),
        ),
        row(
            "Machine",
            format!(
                "{}, {} cores, {}, {}",
                machine.processor,
                machine.cores,
                mebibytes(machine.memory_bytes as f64),
                machine.kernel
            ),
        ),
        row("Command", report.command.join(" ")),
    ];
    let mut out = table(&["Run", ""], &rows);
    if report.interrupted {
        out.push_str("<p class=\"wrong\">The run was ended early.</p>\n");
    }
    out
}

fn phase_section(phase: &Phase) -> String {
    let title = match phase.offered_per_s {
        None => format!("Closed loop, {:.0} s", phase.seconds),
        Some(rate) => format!("Open loop at {}/s, {:.0} s", thousands(rate), phase.seconds),
    };
    let mut out = format!("<h2>{}</h2>\n", escaped(&title));
    let cpu = phase
        .server
        .cpu_us_per_request
        .map_or_else(|| "unknown".to_owned(), |cost| format!("{cost:.2} µs"));
    out.push_str(&format!(
        "<p>{} answers per second; server CPU per answer: {cpu}; load threads busy for {:.0} % of their time. {}.</p>\n",
        thousands(phase.achieved_per_s),
        phase.generator.cpu_share * 100.0,
        escaped(&bottleneck_in_words(phase))
    ));
    let rows: Vec<_> = phase
        .rows()
        .chain([("all", &phase.all)])
        .map(|(name, row)| class_row(name, row))
        .collect();
    let head = [
        "", "answers", "p50", "p90", "p99", "p99.9", "max", "wrong", "errors",
    ];
    out.push_str(&table(&head, &rows));
    out.push_str(&around(phase));
    for complaint in &phase.complaints {
        out.push_str(&format!(
            "<p class=\"wrong\"><code>{}</code></p>\n",
            escaped(complaint)
        ));
    }
    out.push_str(&percentiles(&[("latency", phase)]).figure());
    if phase.over_time.len() > 1 {
        for plot in over_time(&phase.over_time) {
            out.push_str(&plot.figure());
        }
    }
    out
}

fn class_row(name: &str, row: &ClassRow) -> Vec<String> {
    let of = &row.latency_us;
    let mut cells = vec![name.to_owned(), thousands(row.answers as f64)];
    cells.extend([of.p50, of.p90, of.p99, of.p99_9, of.max].map(latency));
    cells.extend([row.wrong.to_string(), row.errors.to_string()]);
    cells
}

/// Writes, stalls, memory, in sentences.
fn around(phase: &Phase) -> String {
    let mut sentences = Vec::new();
    if let Some(writes) = &phase.writes {
        sentences.push(format!(
            "Writes: {} issued, {} imported, {} revoked, {} failed; p50 {}, p99 {}.",
            writes.issued,
            writes.imported,
            writes.revoked,
            writes.errors,
            latency(writes.latency_us.p50),
            latency(writes.latency_us.p99)
        ));
    }
    sentences.push(format!(
        "The machine stood still {} times, for {:.0} ms in all and {:.0} ms at most.",
        phase.pauses.count, phase.pauses.total_ms, phase.pauses.longest_ms
    ));
    let machine = phase
        .stalls
        .iter()
        .filter(|stall| stall.cause == Cause::Machine)
        .count();
    sentences.push(format!(
        "Stalls over 50 ms: {}, {machine} of them while the machine stood still.",
        phase.stalls.len()
    ));
    if let Some(resources) = &phase.resources {
        let memory = trend_in_words(&resources.rss_bytes, phase.seconds, mebibytes);
        let descriptors = trend_in_words(&resources.descriptors, phase.seconds, |count| {
            format!("{count:.0}")
        });
        sentences.push(format!("Memory: {memory}. Descriptors: {descriptors}."));
    }
    format!("<p>{}</p>\n", escaped(&sentences.join(" "))) + &stalls(phase)
}

/// The longest stalls.
fn stalls(phase: &Phase) -> String {
    let mut longest: Vec<_> = phase.stalls.iter().collect();
    if longest.is_empty() {
        return String::new();
    }
    longest.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    let rows: Vec<_> = longest
        .into_iter()
        .take(STALLS_SHOWN)
        .map(|stall| {
            let cause = match stall.cause {
                Cause::Machine => "machine",
                Cause::Server => "server",
            };
            vec![
                format!("{:.1} s", stall.at_s),
                format!("{:.0} ms", stall.ms),
                thousands(stall.requests as f64),
                format!("{:.0} ms", stall.paused_ms),
                cause.to_owned(),
            ]
        })
        .collect();
    let head = [
        "longest stalls: at",
        "length",
        "slow requests",
        "machine stood still",
        "put down to",
    ];
    table(&head, &rows)
}

/// Latency by percentile, a line for each phase.
#[must_use]
pub fn percentiles(phases: &[(&str, &Phase)]) -> Plot {
    let lines: Vec<Line> = phases
        .iter()
        .map(|(name, phase)| Line {
            name: (*name).to_owned(),
            points: phase
                .distribution
                .iter()
                .filter(|(quantile, _)| *quantile < 1.0)
                .map(|(quantile, micros)| (-(1.0 - quantile).log10(), *micros))
                .collect(),
        })
        .collect();
    let of = |pick: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        lines
            .iter()
            .flat_map(|line| &line.points)
            .map(pick)
            .collect()
    };
    Plot {
        title: "Latency by percentile".to_owned(),
        x: Axis::of_quantiles("of the requests are not slower", of(|point| point.0)),
        y: Axis::logarithmic("latency", of(|point| point.1), latency_tick),
        lines,
        limit: None,
    }
}

/// Parts of a loop, each as wide as it must be for a plot.
fn parts(seconds: &[Second], value: impl Fn(&[Second]) -> f64) -> Vec<(f64, f64)> {
    let width = seconds.len().div_ceil(POINTS_MAX).max(1);
    seconds
        .chunks(width)
        .filter_map(|part| Some((f64::from(part.first()?.at_s), value(part))))
        .collect()
}

fn mean(part: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    part.iter().map(of).sum::<f64>() / part.len().max(1) as f64
}

/// Something of the server that changes over time.
struct Quantity {
    title: &'static str,
    label: &'static str,
    of: fn(&Second) -> Option<f64>,
    name: fn(f64) -> String,
}

const OF_SERVER: [Quantity; 3] = [
    Quantity {
        title: "CPU time of the server over time",
        label: "cores",
        of: |second| second.server_cores,
        name: |cores| format!("{cores:.2}"),
    },
    Quantity {
        title: "Memory of the server over time",
        label: "resident",
        of: |second| second.server_rss_bytes.map(|bytes| bytes as f64),
        name: mebibytes,
    },
    Quantity {
        title: "Descriptors of the server over time",
        label: "open",
        of: |second| second.server_descriptors.map(|count| count as f64),
        name: |count| format!("{count:.0}"),
    },
];

fn over_time(seconds: &[Second]) -> Vec<Plot> {
    let line = |name: &str, points: Vec<(f64, f64)>| Line {
        name: name.to_owned(),
        points,
    };
    let highest =
        |of: fn(&Second) -> f64| move |part: &[Second]| part.iter().map(of).fold(0.0, f64::max);
    let end = seconds.last().map_or(1.0, |second| f64::from(second.at_s));
    let plot = |title: &str, y: Axis, lines: Vec<Line>| Plot {
        title: title.to_owned(),
        x: Axis::linear("seconds", [end], thousands),
        y,
        lines,
        limit: None,
    };
    let values = |lines: &[Line]| -> Vec<f64> {
        let points = lines.iter().flat_map(|line| &line.points);
        points.map(|point| point.1).collect()
    };
    let throughput = vec![line(
        "answers",
        parts(seconds, |part| mean(part, |second| second.answers as f64)),
    )];
    let latencies = vec![
        line("p99", parts(seconds, highest(|second| second.p99_us))),
        line("max", parts(seconds, highest(|second| second.max_us))),
        line("p50", parts(seconds, highest(|second| second.p50_us))),
    ];
    let mut plots = vec![
        plot(
            "Throughput over time",
            Axis::linear("answers per second", values(&throughput), thousands),
            throughput,
        ),
        plot(
            "Latency over time",
            Axis::logarithmic("latency", values(&latencies), latency_tick),
            latencies,
        ),
    ];
    for quantity in OF_SERVER {
        let known: Vec<_> = seconds
            .iter()
            .filter(|second| (quantity.of)(second).is_some())
            .cloned()
            .collect();
        let value = |second: &Second| (quantity.of)(second).unwrap_or(0.0);
        let points = parts(&known, |part| mean(part, value));
        if points.len() > 1 {
            let lines = vec![line(quantity.title, points)];
            let y = Axis::linear(quantity.label, values(&lines), quantity.name);
            plots.push(plot(quantity.title, y, lines));
        }
    }
    plots
}

fn ramp_section(ramp: &Ramp) -> String {
    let mut out = String::from("<h2>Latency against load</h2>\n");
    out.push_str(&format!("<p>{}.</p>\n", escaped(ramp.to_string().trim())));
    out.push_str(&against_load(&[("", ramp)]).figure());
    let rows: Vec<_> = ramp
        .steps
        .iter()
        .map(|step| {
            let of = &step.latency_us;
            let mut cells = vec![
                thousands(step.offered_per_s),
                thousands(step.achieved_per_s),
            ];
            cells.extend([of.p50, of.p99, of.p99_9, of.max].map(latency));
            cells.push(
                step.server_cpu_share
                    .map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)),
            );
            cells.push(if step.kept { "kept" } else { "missed" }.to_owned());
            cells
        })
        .collect();
    let head = [
        "offered/s",
        "achieved/s",
        "p50",
        "p99",
        "p99.9",
        "max",
        "server CPU",
        "limit",
    ];
    out.push_str(&table(&head, &rows));
    out
}

/// Latency against load, lines for each ramp. Of steps that were repeated at one rate the better one is drawn.
#[must_use]
pub fn against_load(ramps: &[(&str, &Ramp)]) -> Plot {
    let mut lines = Vec::new();
    let mut limit = None;
    for (name, ramp) in ramps {
        let mut steps: Vec<_> = ramp.steps.iter().collect();
        steps.sort_by(|a, b| {
            let rates = a.offered_per_s.total_cmp(&b.offered_per_s);
            rates.then(a.latency_us.p99.total_cmp(&b.latency_us.p99))
        });
        steps.dedup_by(|b, a| (a.offered_per_s - b.offered_per_s).abs() < 1e-9);
        for (what, of) in [
            (
                "p99",
                (|step| step.latency_us.p99) as fn(&crate::report::Step) -> f64,
            ),
            ("p50", |step| step.latency_us.p50),
        ] {
            lines.push(Line {
                name: format!("{name} {what}").trim().to_owned(),
                points: steps
                    .iter()
                    .map(|step| (step.offered_per_s, of(step)))
                    .collect(),
            });
        }
        let words = format!("limit {}", latency(ramp.p99_limit_us));
        limit = Some((ramp.p99_limit_us, words));
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let limits = limit.iter().map(|(value, _)| *value);
    Plot {
        title: "Latency against load".to_owned(),
        x: Axis::linear(
            "requests per second",
            points().map(|point| point.0),
            thousands,
        ),
        y: Axis::logarithmic(
            "latency",
            points().map(|point| point.1).chain(limits),
            latency_tick,
        ),
        lines,
        limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::assert_well_formed_and_self_contained;
    use crate::report::tests::full;

    #[test]
    fn the_page_is_well_formed_and_holds_every_plot() {
        let mut report = full();
        report.command.push("--url=http://<\"&>".to_owned());
        let page = page(&report);
        assert_well_formed_and_self_contained(&page);
        for title in [
            "Latency by percentile",
            "Throughput over time",
            "Latency over time",
            "CPU time of the server over time",
            "Memory of the server over time",
            "Latency against load",
        ] {
            assert!(page.contains(&format!("<figcaption>{title}")), "{title}");
        }
        assert!(page.contains("&lt;overloaded&gt;") && page.contains("@media print"));
        assert!(page.contains("1, 1 of them while the machine stood still"));
        assert!(
            page.contains("<td>3.5 s</td><td>60 ms</td><td>9</td><td>55 ms</td><td>machine</td>")
        );
    }

    #[test]
    fn an_empty_report_is_a_page_too() {
        assert_well_formed_and_self_contained(&page(&Report::default()));
        let report = Report {
            phases: vec![Phase::default()],
            ramp: Some(Ramp::default()),
            ..Report::default()
        };
        assert_well_formed_and_self_contained(&page(&report));
    }

    #[test]
    fn a_long_loop_is_drawn_in_parts() {
        let seconds: Vec<_> = (0..10_000)
            .map(|at_s| Second {
                at_s,
                max_us: if at_s == 7777 { 5e6 } else { 100.0 },
                ..Second::default()
            })
            .collect();
        let points = parts(&seconds, |part| {
            part.iter().map(|second| second.max_us).fold(0.0, f64::max)
        });
        assert!(points.len() <= POINTS_MAX);
        assert!(points.iter().any(|point| point.1 > 4e6), "the peak is kept");
    }

    #[test]
    fn repeated_steps_are_drawn_once() {
        let mut report = full();
        let ramp = report.ramp.as_mut().unwrap();
        let mut worse = ramp.steps[1].clone();
        worse.latency_us.p99 *= 10.0;
        ramp.steps.insert(1, worse);
        let plot = against_load(&[("", ramp)]);
        assert_eq!(
            plot.lines[0].points,
            [(400.0, 80.0), (800.0, 200.0), (1000.0, 5000.0)]
        );
    }
}

//! The report as one HTML page with plots.

use maud::{Markup, html};

use crate::charts::{against_load, over_time, percentiles};
use crate::numbers::{latency, mebibytes, thousands};
use crate::page::{page as whole_page, table};
use crate::report::{ClassRow, Phase, Ramp, Report, Step};
use crate::stalls::{Cause, Stall};
use crate::table::{bottleneck_in_words, trend_in_words};

const STALLS_SHOWN: usize = 20;

/// The page of a report.
#[must_use]
pub fn page(report: &Report) -> String {
    let body = html! {
        (facts(report))
        @if let Some(ramp) = &report.ramp { (ramp_section(ramp)) }
        @for phase in &report.phases { (phase_section(phase)) }
    };
    whole_page(&format!("Load test, {}", report.started), &body)
}

/// What was loaded, with what, and from which machine.
fn facts(report: &Report) -> Markup {
    let (machine, server, load) = (&report.machine, &report.server, &report.load);
    let row = |name: &str, value: String| [name.to_owned(), value];
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
    html! {
        div.facts { (table(&["Run", ""], rows)) }
        @if report.interrupted { p.wrong { "The run was ended early." } }
    }
}

fn phase_section(phase: &Phase) -> Markup {
    let title = match phase.offered_per_s {
        None => format!("Closed loop, {:.0} s", phase.seconds),
        Some(rate) => format!("Open loop at {}/s, {:.0} s", thousands(rate), phase.seconds),
    };
    let cpu = phase
        .server
        .cpu_us_per_request
        .map_or_else(|| "unknown".to_owned(), |cost| format!("{cost:.2} µs"));
    let summary = format!(
        "{} answers per second; server CPU per answer: {cpu}; load threads busy for {:.0} % of their time; {}.",
        thousands(phase.achieved_per_s),
        phase.generator.cpu_share * 100.0,
        bottleneck_in_words(phase)
    );
    let head = [
        "", "answers", "p50", "p90", "p99", "p99.9", "max", "wrong", "errors",
    ];
    let rows = phase.rows().chain([("all", &phase.all)]);
    html! {
        h2 { (title) }
        p { (summary) }
        (table(&head, rows.map(|(name, row)| class_cells(name, row))))
        p { (surroundings(phase)) }
        (longest_stalls(&phase.stalls))
        @for complaint in &phase.complaints { p.wrong { code { (complaint) } } }
        (percentiles(&[("latency", phase)]))
        @if phase.over_time.len() > 1 {
            @for plot in over_time(&phase.over_time) { (plot) }
        }
    }
}

fn class_cells(name: &str, row: &ClassRow) -> Vec<String> {
    let of = &row.latency_us;
    let mut cells = vec![name.to_owned(), thousands(row.answers as f64)];
    cells.extend([of.p50, of.p90, of.p99, of.p99_9, of.max].map(latency));
    cells.extend([row.wrong.to_string(), row.errors.to_string()]);
    cells
}

/// Writes, pauses, stalls and memory, in sentences.
fn surroundings(phase: &Phase) -> String {
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
    sentences.join(" ")
}

/// A table of the longest stalls; nothing without any.
fn longest_stalls(stalls: &[Stall]) -> Markup {
    let mut longest: Vec<_> = stalls.iter().collect();
    longest.sort_by(|a, b| b.ms.total_cmp(&a.ms));
    longest.truncate(STALLS_SHOWN);
    let head = [
        "longest stalls: at",
        "length",
        "slow requests",
        "machine stood still",
        "attributed to",
    ];
    let cells = |stall: &Stall| {
        let cause = match stall.cause {
            Cause::Machine => "machine",
            Cause::Server => "server",
        };
        [
            format!("{:.1} s", stall.at_s),
            format!("{:.0} ms", stall.ms),
            thousands(stall.requests as f64),
            format!("{:.0} ms", stall.paused_ms),
            cause.to_owned(),
        ]
    };
    html! {
        @if !longest.is_empty() { (table(&head, longest.into_iter().map(cells))) }
    }
}

fn ramp_section(ramp: &Ramp) -> Markup {
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
    html! {
        h2 { "Ramp" }
        p { "Result: " (ramp.to_string().trim()) "." }
        (against_load(&[("", ramp)]))
        (table(&head, ramp.steps.iter().map(step_cells)))
    }
}

fn step_cells(step: &Step) -> Vec<String> {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::tests::assert_well_formed_and_self_contained;
    use crate::report::fixture::full;

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
}

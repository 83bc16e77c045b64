//! The plots of a report: latency by percentile, over time, and against load.

use crate::axis::Axis;
use crate::numbers::{latency, latency_tick, mebibytes, thousands};
use crate::plot::{Limit, Line, Plot, Point};
use crate::report::{Phase, Ramp, Step};
use crate::seconds::Second;

/// Points of a line over time. In longer loops a point stands for several seconds.
const POINTS_MAX: usize = 600;

/// Latency by percentile, with a line for each phase.
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
    let of = |pick: fn(&Point) -> f64| -> Vec<f64> {
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

/// Points over time. Several seconds share a point if there would be too many.
fn parts(seconds: &[Second], value: impl Fn(&[Second]) -> f64) -> Vec<Point> {
    let width = seconds.len().div_ceil(POINTS_MAX).max(1);
    seconds
        .chunks(width)
        .filter_map(|part| Some((f64::from(part.first()?.at_s), value(part))))
        .collect()
}

fn mean(part: &[Second], of: impl Fn(&Second) -> f64) -> f64 {
    part.iter().map(of).sum::<f64>() / part.len().max(1) as f64
}

/// A quantity of the server that changes over time.
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

/// What each second of a loop brought, and what the server used. Quantities that are not known have
/// no plot.
#[must_use]
pub fn over_time(seconds: &[Second]) -> Vec<Plot> {
    let line = |name: &str, points: Vec<Point>| Line {
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

/// Latency against load, with two lines for each ramp. Of repeated steps at a rate, the best one is
/// drawn.
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
            ("p99", (|step| step.latency_us.p99) as fn(&Step) -> f64),
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
        limit = Some(Limit {
            value: ramp.p99_limit_us,
            name: format!("limit {}", latency(ramp.p99_limit_us)),
        });
    }
    let points = || lines.iter().flat_map(|line| &line.points);
    let limits = limit.iter().map(|limit| limit.value);
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
    use crate::report::fixture::full;

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

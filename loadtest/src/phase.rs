//! Runs one loop with the writes beside it, and turns the measurements into a phase of the report.

use std::time::Duration;

use crate::class::PerClass;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::measure::{Latencies, Measurement};
use crate::monitor::Observations;
use crate::report::{ClassRow, GeneratorCost, Pauses, Phase, Resources, ServerCost, Trend, micros};
use crate::seconds::Second;
use crate::stalls::{Span, attribute};
use crate::writers::WriteLoad;

/// A side that is busy for this share of its time counts as saturated.
const SATURATED: f64 = 0.95;
/// If other processes have the load threads' cores for this share of the time, the latencies are
/// distorted.
const DISTURBED: f64 = 0.01;
/// If requests of an open loop are sent later than this, the latencies are distorted, in
/// microseconds.
const LATE_US: f64 = 200.0;
/// Caches fill and buffers grow during this share of a loop.
const WARM: f64 = 0.2;

/// What all loops of a run share.
#[derive(Debug)]
pub struct Runner {
    /// The verifications.
    pub load: Load,
    /// The writes beside them.
    pub writes: Option<WriteLoad>,
    /// How many cores the server has, if known.
    pub server_cores: Option<usize>,
}

impl Runner {
    /// Runs a loop.
    ///
    /// # Errors
    /// When a thread cannot be set up.
    pub fn run(&self, kind: Loop, duration: Duration) -> Result<Phase, LoadError> {
        let writing = self.writes.as_ref().map(WriteLoad::start);
        let ran = self.load.run(kind, duration);
        let written = writing.map(crate::writers::RunningWrites::stop);
        let (measurement, seen) = ran?;
        let mut phase = phase(kind, &measurement, seen, self.server_cores);
        if let Some((writes, complaints)) = written {
            phase.writes = Some(writes);
            phase.complaints.extend(complaints);
        }
        Ok(phase)
    }
}

/// The phase of a loop.
fn phase(
    kind: Loop,
    seen_by_load: &Measurement,
    seen: Observations,
    cores: Option<usize>,
) -> Phase {
    let all = seen_by_load.overall();
    let answers = all.latencies.len() + all.wrong + all.errors;
    let cpu = seen
        .before
        .cpu
        .zip(seen.after.cpu)
        .map(|(before, after)| after.saturating_sub(before).as_secs_f64());
    let between = seen.between.as_secs_f64();
    let share = |cpu: f64| {
        let available = between * cores? as f64;
        (available > 0.0).then(|| cpu / available)
    };
    let server = ServerCost {
        cpu_us_per_request: cpu
            .filter(|_| answers > 0)
            .map(|cpu| cpu * 1e6 / answers as f64),
        cpu_share: cpu.and_then(share),
    };
    let generator = GeneratorCost {
        cpu_share: seen_by_load.cost.share(),
        robbed_share: seen_by_load.cost.robbed_share(),
        lateness_p99_us: micros(seen_by_load.lateness.value_at_quantile(0.99)),
    };
    let (name, offered) = match kind {
        Loop::Closed => ("closed", None),
        Loop::Open(rate) => ("open", Some(rate)),
    };
    // Requests pile up in an open loop only.
    let spare = offered.and(server.cpu_share).map(|share| 1.0 - share);
    let mut over_time = seen.seconds;
    if kind == Loop::Closed || seen_by_load.elapsed.as_secs() > 0 {
        // The last row holds what came after the last whole second.
        let whole = seen_by_load.elapsed.as_secs();
        over_time.retain(|second| u64::from(second.at_s) < whole.max(1));
    }
    Phase {
        kind: name.to_owned(),
        seconds: seen_by_load.elapsed.as_secs_f64(),
        offered_per_s: offered,
        achieved_per_s: seen_by_load.rate(),
        classes: PerClass::by(|class| {
            let tally = seen_by_load.classes.get(class);
            let row = ClassRow::from(tally);
            (row.answers + row.errors > 0).then_some(row)
        }),
        distribution: distribution(&all.latencies),
        bottleneck: bottleneck(&generator, &server).to_owned(),
        connects: seen_by_load.connects.len(),
        connect_p99_us: micros(seen_by_load.connects.value_at_quantile(0.99)),
        resources: resources(&over_time),
        over_time,
        stalls: attribute(&seen_by_load.slow, &seen.pauses, spare),
        pauses: pauses(&seen.pauses),
        writes: None,
        complaints: seen_by_load.complaints.clone(),
        all: ClassRow::from(&all),
        server,
        generator,
    }
}

/// What limited the rate.
fn bottleneck(generator: &GeneratorCost, server: &ServerCost) -> &'static str {
    if generator.robbed_share >= DISTURBED {
        return "others";
    }
    let load = generator.cpu_share >= SATURATED || generator.lateness_p99_us > LATE_US;
    match (load, server.cpu_share) {
        (true, Some(server)) if server >= SATURATED => "both",
        (true, _) => "load",
        (false, Some(server)) if server >= SATURATED => "server",
        (false, _) => "unclear",
    }
}

/// Latencies at quantiles that approach 1, as long as there are requests beyond them.
fn distribution(latencies: &Latencies) -> Vec<(f64, f64)> {
    if latencies.is_empty() {
        return Vec::new();
    }
    let count = latencies.len() as f64;
    let mut points: Vec<_> = (0..60)
        .map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 10.0))
        .take_while(|quantile| count * (1.0 - quantile) >= 1.0)
        .map(|quantile| (quantile, micros(latencies.value_at_quantile(quantile))))
        .collect();
    points.push((1.0, micros(latencies.max())));
    points
}

fn pauses(spans: &[Span]) -> Pauses {
    let ms = |nanoseconds: u64| nanoseconds as f64 / 1e6;
    Pauses {
        count: spans.len(),
        total_ms: ms(spans.iter().map(|span| span.length_ns()).sum()),
        longest_ms: ms(spans.iter().map(|span| span.length_ns()).max().unwrap_or(0)),
    }
}

fn resources(over_time: &[Second]) -> Option<Resources> {
    let series = |of: fn(&Second) -> Option<u64>| -> Vec<(f64, f64)> {
        over_time
            .iter()
            .filter_map(|row| Some((f64::from(row.at_s), of(row)? as f64)))
            .collect()
    };
    Some(Resources {
        rss_bytes: trend(&series(|row| row.server_rss_bytes))?,
        descriptors: trend(&series(|row| row.server_descriptors)).unwrap_or_default(),
    })
}

/// The trend of a quantity over the seconds. `None` without values.
fn trend(points: &[(f64, f64)]) -> Option<Trend> {
    let (first, last) = (points.first()?, points.last()?);
    let warm_from = first.0 + (last.0 - first.0) * WARM;
    let warm: Vec<_> = points.iter().filter(|point| point.0 >= warm_from).collect();
    let count = warm.len() as f64;
    let mean_x = warm.iter().map(|point| point.0).sum::<f64>() / count;
    let mean_y = warm.iter().map(|point| point.1).sum::<f64>() / count;
    let covariance: f64 = warm
        .iter()
        .map(|point| (point.0 - mean_x) * (point.1 - mean_y))
        .sum();
    let variance: f64 = warm.iter().map(|point| (point.0 - mean_x).powi(2)).sum();
    Some(Trend {
        start: first.1,
        warm: warm.first().map_or(first.1, |point| point.1),
        end: last.1,
        per_hour: if variance > 0.0 {
            covariance / variance * 3600.0
        } else {
            0.0
        },
    })
}

/// Whether a step of `--ramp` keeps the limit of the 99th percentile. A server that falls behind
/// exceeds it, because latency counts from the due time.
#[must_use]
pub fn keeps(phase: &Phase, limit_us: f64) -> bool {
    phase.all.answers > 0 && phase.all.latency_us.p99 <= limit_us && !phase.went_wrong()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::class::Class;
    use crate::measure::{LoadCost, Verdict};
    use crate::process::Usage;

    const SECOND: Duration = Duration::from_secs(1);

    fn seen_by_load() -> Measurement {
        let mut measurement = Measurement {
            elapsed: SECOND,
            cost: LoadCost {
                busy: SECOND / 2,
                available: SECOND,
                robbed: Duration::ZERO,
            },
            ..Measurement::default()
        };
        for micros in 1..=1000 {
            measurement.answered(Class::Valid, micros * 1000, Verdict::Right);
        }
        measurement
    }

    fn usage(cpu: Duration) -> Usage {
        Usage {
            cpu: Some(cpu),
            ..Usage::default()
        }
    }

    #[test]
    fn a_phase_says_what_was_seen() {
        let seen = Observations {
            before: usage(SECOND),
            after: usage(SECOND * 5 / 4),
            between: SECOND,
            ..Observations::default()
        };
        let phase = phase(Loop::Open(1000.0), &seen_by_load(), seen, Some(1));
        assert!((phase.achieved_per_s - 1000.0).abs() < 1e-6);
        assert_eq!(phase.server.cpu_us_per_request, Some(250.0));
        assert_eq!(phase.server.cpu_share, Some(0.25));
        assert!((phase.all.latency_us.p50 - 500.0).abs() < 2.0, "{phase:?}");
        assert_eq!(
            phase.rows().map(|(name, _)| name).collect::<Vec<_>>(),
            ["valid"]
        );
        let (last, longest) = *phase.distribution.last().unwrap();
        assert!((last - 1.0).abs() < 1e-9 && (longest - 1000.0).abs() < 2.0);
        assert!(
            phase
                .distribution
                .is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1)
        );
        assert!(keeps(&phase, 1000.0) && !keeps(&phase, 900.0));
    }

    #[test]
    fn the_bottleneck_is_whoever_is_saturated() {
        let of = |server, load| {
            let generator = GeneratorCost {
                cpu_share: load,
                ..GeneratorCost::default()
            };
            let server = ServerCost {
                cpu_share: server,
                ..ServerCost::default()
            };
            bottleneck(&generator, &server)
        };
        assert_eq!(of(Some(0.99), 0.5), "server");
        assert_eq!(of(Some(0.99), 0.99), "both");
        assert_eq!(of(Some(0.5), 0.99), "load");
        assert_eq!(of(None, 0.99), "load");
        assert_eq!(of(Some(0.5), 0.5), "unclear");
        assert_eq!(of(None, 0.5), "unclear");
        let late = GeneratorCost {
            lateness_p99_us: 400.0,
            ..GeneratorCost::default()
        };
        assert_eq!(bottleneck(&late, &ServerCost::default()), "load");
        let robbed = GeneratorCost {
            robbed_share: 0.25,
            ..late
        };
        assert_eq!(bottleneck(&robbed, &ServerCost::default()), "others");
    }

    #[test]
    fn a_leak_has_a_slope_and_a_warm_up_has_none() {
        let leak: Vec<_> = (0..100)
            .map(|s| (f64::from(s), f64::from(s) * 10.0))
            .collect();
        let trend_of_leak = trend(&leak).unwrap();
        assert!((trend_of_leak.per_hour - 36_000.0).abs() < 1e-6);
        assert!((trend_of_leak.warm - 200.0).abs() < 1e-9);
        let warm_up: Vec<_> = (0..100)
            .map(|s| (f64::from(s), if s < 15 { f64::from(s) } else { 100.0 }))
            .collect();
        assert!(trend(&warm_up).unwrap().per_hour.abs() < 1e-6);
        assert!(trend(&[]).is_none() && trend(&[(0.0, 5.0)]).is_some());
    }
}

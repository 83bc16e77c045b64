//! A report for tests.

use crate::class::PerClass;
use crate::seconds::Second;
use crate::stalls::{Cause, Stall};

use super::phase::{ClassRow, Percentiles, Phase, Resources, ServerCost, Writes};
use super::{Ramp, Report, SCHEMA, Server, Step};

/// A report in which nearly every field has a value of its own.
pub fn full() -> Report {
    let row = ClassRow {
        answers: 1000,
        wrong: 1,
        errors: 2,
        latency_us: Percentiles {
            mean: 60.0,
            p50: 50.5,
            p90: 90.0,
            p99: 99.0,
            p99_9: 500.0,
            p99_99: 900.0,
            max: 60_000.0,
        },
    };
    let seconds = (0..30).map(|second| Second {
        at_s: second,
        answers: 1000 + u64::from(second),
        p50_us: 50.0,
        p99_us: 99.0,
        max_us: 150.0,
        server_cores: Some(0.5),
        server_rss_bytes: Some(1 << 26),
        server_descriptors: Some(70),
        ..Second::default()
    });
    let phase = Phase {
        kind: "open".to_owned(),
        seconds: 30.0,
        offered_per_s: Some(1000.0),
        achieved_per_s: 999.5,
        all: row.clone(),
        classes: PerClass {
            valid: Some(row),
            ..PerClass::default()
        },
        distribution: vec![(0.0, 10.0), (0.5, 50.5), (0.99, 99.0), (1.0, 60_000.0)],
        server: ServerCost {
            cpu_us_per_request: Some(5.5),
            cpu_share: Some(0.25),
        },
        over_time: seconds.collect(),
        bottleneck: "unclear".to_owned(),
        stalls: vec![Stall {
            at_s: 3.5,
            ms: 60.0,
            paused_ms: 55.0,
            requests: 9,
            cause: Cause::Machine,
        }],
        resources: Some(Resources::default()),
        writes: Some(Writes {
            offered_per_s: 200.0,
            issued: 7,
            ..Writes::default()
        }),
        complaints: vec!["status 503: <overloaded> & \"busy\"".to_owned()],
        ..Phase::default()
    };
    Report {
        schema: SCHEMA,
        version: "0.1.0".to_owned(),
        started: "2026-01-01T00:00:00Z".to_owned(),
        command: vec!["talos-loadtest".to_owned(), "--ramp".to_owned()],
        server: Server {
            version: Some("0.1.0".to_owned()),
            ..Server::default()
        },
        phases: vec![phase],
        ramp: Some(Ramp {
            p99_limit_us: 1000.0,
            best_per_s: 800.0,
            steps: [
                (400.0, 80.0, true),
                (800.0, 200.0, true),
                (1000.0, 5000.0, false),
            ]
            .into_iter()
            .map(|(rate, p99, kept)| Step {
                offered_per_s: rate,
                achieved_per_s: rate,
                latency_us: Percentiles {
                    p50: p99 / 2.0,
                    p99,
                    max: p99 * 2.0,
                    ..Percentiles::default()
                },
                kept,
                ..Step::default()
            })
            .collect(),
        }),
        ..Report::default()
    }
}

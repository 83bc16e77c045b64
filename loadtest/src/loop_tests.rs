//! Whole loops against the mock server.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::changing::Pool;
use crate::class::{Class, Shares};
use crate::composer::Workload;
use crate::corpus::Corpus;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::measure::Measurement;
use crate::mock::Mock;
use crate::monitor::Monitor;
use crate::popularity::Popularity;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::seed::counts::divide;
use crate::seed::{Keys, Seeder};
use crate::sender::Waiting;
use crate::target::Target;
use crate::tls::TlsFiles;
use crate::writers::WriteLoad;

const MIX: &str = "valid=40,imported=20,revoked=10,unknown=10,jwt=10,macaroon=5,batch=5";
const DERIVABLE: &str = "imported=80,revoked=10,unknown=10";

fn seeded(target: &Target, keys: Keys, mix: &str) -> Result<Corpus, LoadError> {
    let shares: Shares = mix.parse().unwrap();
    let seeder = Seeder {
        target,
        seed: 1,
        interrupted: &AtomicBool::new(false),
    };
    seeder.seed(keys, &divide(100, 10, &shares), &shares)
}

fn load(target: &Target, mix: &str) -> Load {
    let corpus = seeded(target, Keys::Make, mix).unwrap();
    Load {
        endpoint: target.endpoint.clone(),
        workload: Workload {
            corpus: Arc::new(corpus),
            shares: mix.parse().unwrap(),
            popularity: Popularity::Uniform,
            batch: 10,
            changing: Arc::new(Pool::default()),
            hosts: target.hosts.clone(),
        },
        connections: 4,
        depth: 1,
        threads: 1,
        cores: vec![],
        waiting: Waiting::Sleep,
        churn: 0.0,
        seed: 1,
        monitor: Monitor::default(),
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

fn measure(load: &Load, kind: Loop) -> Measurement {
    load.run(kind, Duration::from_millis(300)).unwrap().0
}

/// Measures longer and longer until there is enough to see. A busy machine may not run this for a
/// while.
fn measure_until(load: &Load, kind: Loop, enough: impl Fn(&Measurement) -> bool) -> Measurement {
    let mut duration = Duration::from_millis(300);
    loop {
        let (measurement, _) = load.run(kind, duration).unwrap();
        if enough(&measurement) || duration > Duration::from_secs(20) {
            return measurement;
        }
        duration *= 2;
    }
}

fn assert_all_right(measurement: &Measurement) {
    let all = measurement.overall();
    assert_eq!(
        (all.wrong, all.errors),
        (0, 0),
        "{:?}",
        measurement.complaints
    );
    assert!(!all.latencies.is_empty());
}

#[test]
fn seeding_makes_what_was_asked_for() {
    let (mock, target) = Mock::start();
    let corpus = seeded(&target, Keys::Make, MIX).unwrap();
    let sizes = &corpus.sizes;
    assert_eq!((sizes.valid, sizes.imported, sizes.revoked), (60, 30, 10));
    assert_eq!((corpus.jwt.len(), corpus.macaroon.len()), (10, 10));
    assert_eq!(mock.revoked(), 10);
}

#[test]
fn imported_keys_are_reused_or_missed() {
    let (mock, target) = Mock::start();
    let missed = seeded(&target, Keys::Reuse, DERIVABLE).unwrap_err();
    assert!(
        missed
            .to_string()
            .contains("--reuse: imported key number 0")
    );
    seeded(&target, Keys::Make, DERIVABLE).unwrap();
    let count = mock.held();
    assert_eq!((count, mock.revoked()), (100, 10));
    // Making them again makes nothing.
    for keys in [Keys::Make, Keys::Reuse] {
        seeded(&target, keys, DERIVABLE).unwrap();
        assert_eq!(mock.held(), count);
    }
    let reusing = Load {
        workload: Workload {
            corpus: Arc::new(seeded(&target, Keys::Reuse, DERIVABLE).unwrap()),
            ..load(&target, DERIVABLE).workload
        },
        ..load(&target, DERIVABLE)
    };
    let seen = measure_until(&reusing, Loop::Closed, |seen| {
        !seen.overall().latencies.is_empty()
    });
    assert_all_right(&seen);
}

#[test]
fn right_answers_are_counted_in_both_loops() {
    let (_mock, target) = Mock::start();
    let load = load(&target, MIX);
    for (kind, threads, depth, waiting) in [
        (Loop::Closed, 1, 1, Waiting::Sleep),
        (Loop::Closed, 2, 8, Waiting::Spin),
        (Loop::Open(2000.0), 1, 1, Waiting::Sleep),
        (Loop::Open(500.0), 2, 1, Waiting::Spin),
    ] {
        let load = Load {
            threads,
            depth,
            waiting,
            cores: if threads == 2 { vec![0, 0] } else { vec![] },
            ..load.clone()
        };
        let answered = |measurement: &Measurement, class: Class| {
            !measurement.classes.get(class).latencies.is_empty()
        };
        let asked = |class: Class| *load.workload.shares.get(class) > 0;
        let measurement = measure_until(&load, kind, |measurement| {
            Class::ALL
                .iter()
                .all(|class| answered(measurement, *class) || !asked(*class))
        });
        assert_all_right(&measurement);
        for class in Class::ALL {
            assert_eq!(
                answered(&measurement, class),
                asked(class),
                "{kind:?} {class:?}"
            );
        }
    }
}

#[test]
fn an_open_loop_sends_exactly_what_is_due() {
    let (_mock, target) = Mock::start();
    let load = Load {
        threads: 2,
        ..load(&target, DERIVABLE)
    };
    let duration = Duration::from_millis(500);
    let (measurement, seen) = load.run(Loop::Open(1000.0), duration).unwrap();
    assert_all_right(&measurement);
    let due: u64 = [0, 2]
        .map(|stream| Schedule::open(500.0, duration, Random::new(1, stream)).drain())
        .iter()
        .sum();
    assert_eq!(measurement.overall().latencies.len(), due);
    let by_second: u64 = seen.seconds.iter().map(|second| second.answers).sum();
    assert_eq!(by_second, due);
}

#[test]
fn a_wrong_verdict_is_found() {
    let (mock, target) = Mock::start();
    let load = load(&target, DERIVABLE);
    mock.lies.store(true, Ordering::Relaxed);
    for kind in [Loop::Closed, Loop::Open(2000.0)] {
        let measurement = measure_until(&load, kind, |seen| seen.classes.revoked.wrong > 0);
        let (classes, complaints) = (&measurement.classes, &measurement.complaints);
        assert!(classes.revoked.wrong > 0 && classes.revoked.latencies.is_empty());
        assert_eq!((classes.imported.wrong, classes.unknown.wrong), (0, 0));
        assert!(complaints[0].contains("a revoked credential was answered"));
    }
}

#[test]
fn revocations_beside_the_load_are_checked() {
    let (mock, target) = Mock::start();
    let load = load(&target, "imported=1,changing=3");
    let writes = WriteLoad {
        endpoint: target.endpoint.clone(),
        host: target.host.clone(),
        token: None,
        rate: 200.0,
        pool: Arc::clone(&load.workload.changing),
        seed: 1,
    };
    let running = writes.start();
    let measurement = measure_until(&load, Loop::Closed, |seen| {
        !seen.classes.changing.latencies.is_empty() && mock.revoked() > 3
    });
    let (written, complaints) = running.stop();
    assert_all_right(&measurement);
    assert_eq!(written.errors, 0, "{complaints:?}");
    assert!(written.issued > 0 && written.imported > 0 && written.revoked > 0);
    assert!(!measurement.classes.changing.latencies.is_empty());

    mock.lies.store(true, Ordering::Relaxed);
    let running = writes.start();
    let measurement = measure_until(&load, Loop::Closed, |seen| seen.classes.changing.wrong > 0);
    let _ = running.stop();
    assert!(measurement.classes.changing.wrong > 0);
    assert_eq!(measurement.classes.imported.wrong, 0);
}

#[test]
fn connections_are_replaced_without_losing_a_request() {
    let (mock, target) = Mock::start();
    let load = Load {
        churn: 100.0,
        depth: 2,
        ..load(&target, DERIVABLE)
    };
    let before = mock.connections.load(Ordering::Relaxed);
    for kind in [Loop::Closed, Loop::Open(1000.0)] {
        let measurement = measure(&load, kind);
        assert_all_right(&measurement);
        assert!(
            measurement.connects.len() > 8,
            "{}",
            measurement.connects.len()
        );
    }
    assert!(mock.connections.load(Ordering::Relaxed) - before > 16);
}

#[test]
fn refusals_and_silence_are_errors() {
    let (mock, target) = Mock::start();
    let load = load(&target, DERIVABLE);
    mock.fails.store(true, Ordering::Relaxed);
    let refused = measure(&load, Loop::Open(500.0)).overall();
    assert!(refused.errors > 0 && refused.latencies.is_empty() && refused.wrong == 0);

    mock.fails.store(false, Ordering::Relaxed);
    mock.hangs.store(true, Ordering::Relaxed);
    let silent = measure(&load, Loop::Closed).overall();
    assert_eq!(
        (silent.errors, silent.latencies.len()),
        (4, 0),
        "one request on each connection"
    );
    let silent = measure(&load, Loop::Open(1000.0)).overall();
    assert!(silent.errors > 100, "all that was due: {}", silent.errors);
}

#[test]
fn an_interrupted_loop_ends_with_what_it_saw() {
    let (_mock, target) = Mock::start();
    let load = load(&target, DERIVABLE);
    load.interrupted.store(true, Ordering::Relaxed);
    for kind in [Loop::Closed, Loop::Open(100.0)] {
        let (measurement, _) = load.run(kind, Duration::from_secs(3600)).unwrap();
        assert_eq!(measurement.overall().errors, 0);
        assert!(measurement.elapsed < Duration::from_secs(3600));
    }
}

#[test]
fn loops_run_over_tls() {
    let directory = tempfile::tempdir().unwrap();
    let (mock, target) = Mock::start_over_tls(&directory.path().join("ca.pem"));
    let load = load(&target, MIX);
    let some = |seen: &Measurement| !seen.overall().latencies.is_empty();
    assert_all_right(&measure_until(&load, Loop::Closed, some));
    let pipelined = Load {
        depth: 8,
        ..load.clone()
    };
    assert_all_right(&measure_until(&pipelined, Loop::Closed, some));
    let churning = Load {
        churn: 200.0,
        ..load
    };
    let before = mock.connections.load(Ordering::Relaxed);
    let connected = |seen: &Measurement| some(seen) && !seen.connects.is_empty();
    let measurement = measure_until(&churning, Loop::Closed, connected);
    assert_all_right(&measurement);
    assert!(!measurement.connects.is_empty());
    assert!(mock.connections.load(Ordering::Relaxed) > before + 4);
}

#[test]
fn a_server_that_is_not_trusted_gets_no_request() {
    let directory = tempfile::tempdir().unwrap();
    let (_mock, trusted) = Mock::start_over_tls(&directory.path().join("ca.pem"));
    let (other, _) = Mock::start_over_tls(&directory.path().join("other.pem"));
    let load = load(&trusted, MIX);
    let impostor = Target::running(
        &format!("https://localhost:{}", other.address().port()),
        &TlsFiles {
            ca: Some(directory.path().join("ca.pem")),
            own: None,
        },
    );
    let impostor = impostor.unwrap();
    let refused = seeded(&impostor, Keys::Make, MIX).unwrap_err();
    assert!(refused.to_string().contains("certificate"), "{refused}");
    let endpoint = impostor.endpoint.clone();
    let measurement = measure(&Load { endpoint, ..load }, Loop::Closed);
    assert!(measurement.overall().latencies.is_empty());
    let complaints = format!("{:?}", measurement.complaints);
    assert!(complaints.contains("certificate"), "{complaints}");
    assert_eq!(other.held(), 0);
}

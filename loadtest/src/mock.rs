//! Runs against a server of a few lines that knows what it issued and revoked, and can be told to lie.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::generator::{Load, Loop};
use crate::measure::Measurement;
use crate::mix::{Class, Shares, Workload};
use crate::seed::{Counts, seed};
use crate::target::Target;

const SHARES: Shares = Shares {
    valid: 80,
    revoked: 10,
    unknown: 10,
};

#[derive(Default)]
struct Mock {
    /// By secret: the key's id and whether it is revoked.
    keys: Mutex<HashMap<String, (String, bool)>>,
    next: AtomicU32,
    /// Answer revoked keys as valid.
    lies: AtomicBool,
    /// Answer 503 to every verification.
    fails: AtomicBool,
    /// Do not answer verifications.
    hangs: AtomicBool,
}

impl Mock {
    fn start() -> (Arc<Self>, Target) {
        let mock = Arc::new(Self::default());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target =
            Target::running(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serving = Arc::clone(&mock);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mock = Arc::clone(&serving);
                std::thread::spawn(move || mock.serve(&stream.unwrap()));
            }
        });
        (mock, target)
    }

    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut line, mut path, mut length) = (String::new(), String::new(), 0);
            loop {
                line.clear();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                if let Some(rest) = line.strip_prefix("POST ") {
                    path = rest.split(' ').next().unwrap().to_owned();
                } else if let Some(value) = line.strip_prefix("Content-Length: ") {
                    length = value.trim().parse().unwrap();
                } else if line == "\r\n" {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let Some((status, answer)) =
                self.answer(&path, &serde_json::from_slice(&body).unwrap())
            else {
                continue;
            };
            let length = answer.len();
            // One write, because small ones would wait for one another's acknowledgement.
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{answer}");
            (&*stream).write_all(answer.as_bytes()).unwrap();
        }
    }

    fn answer(&self, path: &str, body: &serde_json::Value) -> Option<(u16, String)> {
        let mut keys = self.keys.lock().unwrap();
        if let Some(id) = path.strip_prefix("/v2alpha1/admin/issuedApiKeys/") {
            let id = id.strip_suffix(":revoke").unwrap();
            let (_, key) = keys.iter_mut().find(|(_, key)| key.0 == id).unwrap();
            assert!(!std::mem::replace(&mut key.1, true), "revoked once");
            return Some((200, "{}".to_owned()));
        }
        if path == "/v2alpha1/admin/issuedApiKeys" {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let (id, secret) = (format!("id-{number}-"), format!("ory_ak_v1_{number}_x"));
            keys.insert(secret.clone(), (id.clone(), false));
            return Some((
                201,
                format!(r#"{{"issued_api_key":{{"key_id":"{id}"}},"secret":"{secret}"}}"#),
            ));
        }
        assert_eq!(path, "/v2alpha1/admin/apiKeys:verify");
        if self.hangs.load(Ordering::Relaxed) {
            return None;
        }
        if self.fails.load(Ordering::Relaxed) {
            return Some((503, "{}".to_owned()));
        }
        let refused = |code: &str| {
            format!(r#"{{"is_valid":false,"error_code":"VERIFICATION_ERROR_{code}"}}"#)
        };
        let answer = match keys.get(body["credential"].as_str().unwrap()) {
            Some((_, true)) if !self.lies.load(Ordering::Relaxed) => refused("REVOKED"),
            Some((id, _)) => format!(r#"{{"is_valid":true,"key_id":"{id}"}}"#),
            None => refused("NOT_FOUND"),
        };
        Some((200, answer))
    }
}

fn load(target: &Target, workload: &Arc<Workload>, cores: Vec<usize>) -> Load {
    Load {
        address: target.address,
        workload: Arc::clone(workload),
        shares: SHARES,
        connections: 4,
        cores,
        seed: 1,
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

fn seeded(target: &Target) -> Arc<Workload> {
    let counts = Counts::divide(100, &SHARES);
    Arc::new(seed(target, counts, 1, &AtomicBool::new(false)).unwrap())
}

fn measure(load: &Load, kind: Loop) -> Measurement {
    load.run(kind, Duration::from_millis(300), || ())
        .unwrap()
        .measurement
}

#[test]
fn seeding_makes_what_was_asked_for() {
    let (mock, target) = Mock::start();
    let workload = seeded(&target);
    assert_eq!(Class::ALL.map(|class| workload.count(class)), [90, 10, 10]);
    assert_eq!(
        mock.keys
            .lock()
            .unwrap()
            .values()
            .filter(|key| key.1)
            .count(),
        10
    );
}

#[test]
fn right_answers_are_counted_in_both_loops() {
    let (_mock, target) = Mock::start();
    let workload = seeded(&target);
    for (kind, cores) in [
        (Loop::Closed, vec![]),
        (Loop::Open(2000.0), vec![]),
        (Loop::Open(500.0), vec![0, 0]),
    ] {
        let measurement = measure(&load(&target, &workload, cores), kind);
        let all = measurement.overall();
        assert_eq!(
            (all.wrong, all.errors),
            (0, 0),
            "{kind:?}: {:?}",
            measurement.complaints
        );
        assert!(
            Class::ALL
                .iter()
                .all(|class| !measurement.classes.get(*class).latencies.is_empty()),
            "{kind:?}"
        );
        if let Loop::Open(rate) = kind {
            let offered = all.latencies.len() as f64;
            assert!(
                (offered - rate * 0.3).abs() < rate * 0.3 * 0.5,
                "{offered} of {rate}/s"
            );
        }
    }
}

#[test]
fn a_wrong_verdict_is_found() {
    let (mock, target) = Mock::start();
    let workload = seeded(&target);
    mock.lies.store(true, Ordering::Relaxed);
    for kind in [Loop::Closed, Loop::Open(2000.0)] {
        let measurement = measure(&load(&target, &workload, vec![]), kind);
        assert!(
            measurement.classes.revoked.wrong > 0
                && measurement.classes.revoked.latencies.is_empty()
        );
        assert_eq!(
            (
                measurement.classes.valid.wrong,
                measurement.classes.unknown.wrong
            ),
            (0, 0)
        );
        assert!(
            measurement.complaints[0].contains("a revoked credential was answered"),
            "{measurement:?}"
        );
    }
}

#[test]
fn refusals_and_silence_are_errors() {
    let (mock, target) = Mock::start();
    let workload = seeded(&target);
    mock.fails.store(true, Ordering::Relaxed);
    let refused = measure(&load(&target, &workload, vec![]), Loop::Open(500.0)).overall();
    assert!(refused.errors > 0 && refused.latencies.is_empty() && refused.wrong == 0);

    mock.fails.store(false, Ordering::Relaxed);
    mock.hangs.store(true, Ordering::Relaxed);
    let silent = measure(&load(&target, &workload, vec![]), Loop::Closed).overall();
    assert_eq!(
        (silent.errors, silent.latencies.len()),
        (4, 0),
        "one request on each connection"
    );
    let silent = measure(&load(&target, &workload, vec![]), Loop::Open(1000.0)).overall();
    assert!(silent.errors > 100, "all that was due: {}", silent.errors);
}

#[test]
fn an_interrupted_loop_ends() {
    let (_mock, target) = Mock::start();
    let load = load(&target, &seeded(&target), vec![]);
    load.interrupted.store(true, Ordering::Relaxed);
    for kind in [Loop::Closed, Loop::Open(100.0)] {
        assert!(load.run(kind, Duration::from_secs(3600), || ()).is_err());
    }
}

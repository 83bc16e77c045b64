//! Runs against a server of a few lines that knows what it issued and revoked, and can be told to lie.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::changing::Pool;
use crate::class::{Class, Shares};
use crate::composer::Workload;
use crate::corpus::Corpus;
use crate::error::LoadError;
use crate::generator::{Load, Loop};
use crate::measure::Measurement;
use crate::popularity::Popularity;
use crate::random::Random;
use crate::schedule::Schedule;
use crate::seed::{Keys, Seeder, divide};
use crate::sender::Waiting;
use crate::target::Target;
use crate::watch::Watched;
use crate::writers::WriteLoad;

const MIX: &str = "valid=40,imported=20,revoked=10,unknown=10,jwt=10,macaroon=5,batch=5";
const DERIVABLE: &str = "imported=80,revoked=10,unknown=10";

struct Key {
    id: String,
    actor: String,
    revoked: bool,
}

#[derive(Default)]
struct Mock {
    /// By secret.
    keys: Mutex<HashMap<String, Key>>,
    next: AtomicU32,
    connections: AtomicU32,
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
                mock.connections.fetch_add(1, Ordering::Relaxed);
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
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let body = serde_json::from_slice(&body).unwrap();
            let Some((status, answer)) = self.answer(&path, &body) else {
                continue;
            };
            let length = answer.len();
            // One write, because small ones would wait for one another's acknowledgement.
            let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\n\r\n{answer}");
            if (&*stream).write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, path: &str, body: &Value) -> Option<(u16, String)> {
        let text = |body: &Value, name: &str| body[name].as_str().unwrap().to_owned();
        if let Some(id) = path
            .strip_prefix("/v2alpha1/admin/apiKeys/")
            .and_then(|rest| rest.strip_suffix(":revoke"))
        {
            let mut keys = self.keys.lock().unwrap();
            let key = keys.values_mut().find(|key| key.id == id).unwrap();
            assert!(!std::mem::replace(&mut key.revoked, true), "revoked once");
            return Some((200, "{}".to_owned()));
        }
        match path {
            "/v2alpha1/admin/issuedApiKeys" => {
                let secret = format!("ory_ak_v1_{}_x", self.next.fetch_add(1, Ordering::Relaxed));
                let id = self.keep(&secret, text(body, "actor_id"))?;
                let answer = json!({"issued_api_key": {"key_id": id}, "secret": secret});
                Some((201, answer.to_string()))
            }
            "/v2alpha1/admin/importedApiKeys" => {
                let id = self.keep(&text(body, "raw_key"), text(body, "actor_id"))?;
                Some((201, json!({"key_id": id}).to_string()))
            }
            "/v2alpha1/admin/importedApiKeys:batchCreate" => {
                let results: Vec<Value> = body["requests"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|one| match self.keep(&text(one, "raw_key"), text(one, "actor_id")) {
                        Some(id) => json!({"imported_api_key": {"key_id": id}}),
                        None => json!({"error_code": "BATCH_CREATE_IMPORTED_API_KEYS_ERROR_ALREADY_EXISTS"}),
                    })
                    .collect();
                let failed = results
                    .iter()
                    .filter(|result| result.get("error_code").is_some())
                    .count();
                if failed == results.len() {
                    return Some((409, json!({"error": {}}).to_string()));
                }
                let answer = json!({"results": results, "failure_count": failed});
                Some((200, answer.to_string()))
            }
            "/v2alpha1/admin/apiKeys:derive" => {
                let token = format!(
                    "{}.of.{}",
                    text(body, "algorithm"),
                    text(body, "credential")
                );
                self.keep(&token, "parent".to_owned());
                Some((200, json!({"token": {"token": token}}).to_string()))
            }
            _ if self.hangs.load(Ordering::Relaxed) => None,
            _ if self.fails.load(Ordering::Relaxed) => Some((503, "{}".to_owned())),
            "/v2alpha1/admin/apiKeys:verify" => {
                Some((200, self.verdict(&text(body, "credential"))))
            }
            "/v2alpha1/admin/apiKeys:batchVerify" => {
                let requests = body["requests"].as_array().unwrap();
                let verdicts = requests
                    .iter()
                    .map(|one| self.verdict(one["credential"].as_str().unwrap()));
                let verdicts: Vec<_> = verdicts.collect();
                Some((200, format!(r#"{{"results":[{}]}}"#, verdicts.join(","))))
            }
            other => panic!("{other}"),
        }
    }

    /// `None` when the key is there already.
    fn keep(&self, secret: &str, actor: String) -> Option<String> {
        let mut keys = self.keys.lock().unwrap();
        if keys.contains_key(secret) {
            return None;
        }
        let id = format!("id-{}", keys.len());
        let key = Key {
            id: id.clone(),
            actor,
            revoked: false,
        };
        keys.insert(secret.to_owned(), key);
        Some(id)
    }

    fn verdict(&self, credential: &str) -> String {
        let refused = |code: &str| {
            format!(r#"{{"is_valid":false,"error_code":"VERIFICATION_ERROR_{code}"}}"#)
        };
        let keys = self.keys.lock().unwrap();
        match keys.get(credential) {
            Some(key) if key.revoked && !self.lies.load(Ordering::Relaxed) => refused("REVOKED"),
            Some(Key { id, actor, .. }) => {
                format!(r#"{{"is_valid":true,"key_id":"{id}","actor_id":"{actor}"}}"#)
            }
            None => refused("NOT_FOUND"),
        }
    }

    fn revoked(&self) -> usize {
        let keys = self.keys.lock().unwrap();
        keys.values().filter(|key| key.revoked).count()
    }
}

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
            host: target.host.clone(),
        },
        connections: 4,
        depth: 1,
        threads: 1,
        cores: vec![],
        waiting: Waiting::Sleep,
        churn: 0.0,
        seed: 1,
        watched: Watched::default(),
        interrupted: Arc::new(AtomicBool::new(false)),
    }
}

fn measure(load: &Load, kind: Loop) -> Measurement {
    load.run(kind, Duration::from_millis(300)).unwrap().0
}

/// Longer and longer, until there is enough to see; a busy machine may not run this at all for a while.
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
    let count = mock.keys.lock().unwrap().len();
    assert_eq!((count, mock.revoked()), (100, 10));
    // Making them again makes nothing.
    for keys in [Keys::Make, Keys::Reuse] {
        seeded(&target, keys, DERIVABLE).unwrap();
        assert_eq!(mock.keys.lock().unwrap().len(), count);
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

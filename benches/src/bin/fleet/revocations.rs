//! Measures the time from the acknowledgement of a revocation to the last time that a replica
//! accepts the key.

use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use super::server::Server;

pub fn measure(count: u64) {
    let scratch = tempfile::tempdir().expect("a directory");
    let primary = Server::primary(scratch.path(), 1, &[]);
    let replica = Server::replica(scratch.path(), 2, &primary.listens_at(), &[]);
    replica.await_ready();
    for wait in ["", "?wait=replicas"] {
        let name = if wait.is_empty() { "plain" } else { wait };
        let Delays {
            accepted,
            acknowledged,
        } = one_by_one(&primary, &replica, count, wait);
        let late = accepted.iter().filter(|lag| **lag > 0.0).count();
        println!(
            "revocations, {name}: {count}; acknowledged after {:.2} ms (median); accepted after the acknowledgement: {late} times; \
             p50 {:.3} ms, p99 {:.3} ms, max {:.3} ms",
            percentile(&acknowledged, 0.5),
            percentile(&accepted, 0.5),
            percentile(&accepted, 0.99),
            percentile(&accepted, 1.0),
        );
    }
}

/// One value for each revoked key, in milliseconds, sorted.
struct Delays {
    /// From the acknowledgement to the last time that the replica accepted the key; 0 = not after
    /// it.
    accepted: Vec<f64>,
    /// From the request to its acknowledgement.
    acknowledged: Vec<f64>,
}

fn one_by_one(primary: &Server, replica: &Server, count: u64, wait: &str) -> Delays {
    let (keys, to_ask) = channel::<(String, String)>();
    let (first, accepts) = channel::<()>();
    let (last, ended) = channel::<Option<Instant>>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let mut client = replica.client();
            for (credential, position) in to_ask {
                assert_eq!(client.accepts(&credential, Some(&position)), Some(true));
                first.send(()).expect("a listener");
                let mut latest = None;
                while client.accepts(&credential, None) == Some(true) {
                    latest = Some(Instant::now());
                }
                last.send(latest).expect("a listener");
            }
        });
        let mut client = primary.client();
        let (mut accepted, mut acknowledged) = (Vec::new(), Vec::new());
        for number in 0..count {
            let body = format!(r#"{{"name":"{number}","actor_id":"a"}}"#);
            let issued = client.post("/v2alpha1/admin/issuedApiKeys", &body);
            let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
            let id = text(&issued.body["issued_api_key"]["key_id"]);
            let position = issued.position.expect("a position");
            keys.send((text(&issued.body["secret"]), position))
                .expect("a listener");
            accepts.recv().expect("an acceptance");
            // So that the revocation does not always meet the same point of the other thread's
            // loop.
            thread::sleep(Duration::from_micros(number * 37 % 500));
            let begun = Instant::now();
            let revoked = client.post(&format!("/v2alpha1/admin/apiKeys/{id}:revoke{wait}"), "{}");
            let answered = Instant::now();
            assert_eq!(revoked.status, 204, "{}", revoked.body);
            acknowledged.push((answered - begun).as_secs_f64() * 1e3);
            let latest = ended.recv().expect("an end");
            let lag = latest.map_or(Duration::ZERO, |latest| {
                latest.saturating_duration_since(answered)
            });
            accepted.push(lag.as_secs_f64() * 1e3);
        }
        drop(keys);
        accepted.sort_by(f64::total_cmp);
        acknowledged.sort_by(f64::total_cmp);
        Delays {
            accepted,
            acknowledged,
        }
    })
}

/// The value below which this share of the sorted values lies.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let below = |index: usize| index as f64 + 1.0 >= sorted.len() as f64 * share;
    let place = (0..sorted.len()).find(|index| below(*index));
    sorted[place.unwrap_or(sorted.len() - 1)]
}

//! Measures how fast a replica catches up, change by change or with a copy, and how many bytes that
//! takes.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::server::{Server, import};

/// A rate that is never reached.
const FAST: [(&str, &str); 1] = [("REPLICATION_SNAPSHOTS_RATE", "4 GiB")];

/// Measures a replica that lacks this many changes.
pub fn catch_up(changes: u64) {
    let scratch = tempfile::tempdir().expect("a directory");
    let primary = Server::primary(scratch.path(), 1, &FAST);
    import(&primary, 0, changes);
    for round in 1..=3 {
        let replica = Server::replica(scratch.path(), 2, &primary.listens_at(), &FAST);
        let mut client = replica.client();
        let (mut begun, mut first) = (None, 0);
        let last = loop {
            let sequence = Server::sequence(&mut client);
            if sequence > 0 && begun.is_none() {
                (begun, first) = (Some(Instant::now()), sequence);
            }
            if sequence >= changes {
                break sequence;
            }
            thread::sleep(Duration::from_millis(2));
        };
        let took = begun.expect("a beginning").elapsed().as_secs_f64();
        println!(
            "catch-up, round {round}: {} changes in {took:.2} s: {:.0}/s",
            last - first,
            (last - first) as f64 / took
        );
        replica.remove();
    }
}

/// Measures a replica that is copied, because the log does not reach back to the start.
pub fn copy(keys: u64) {
    let scratch = tempfile::tempdir().expect("a directory");
    let short = [FAST[0], ("REPLICATION_LOG_MAX_BYTES", "1 MiB")];
    let primary = Server::primary(scratch.path(), 1, &short);
    let took = import(&primary, 0, keys);
    println!("{keys} keys imported in {:.1} s", took.as_secs_f64());
    // The log is trimmed at the start and from time to time.
    primary.stop();
    let primary = Server::primary(scratch.path(), 1, &short);
    for round in 1..=3 {
        let begun = Instant::now();
        let replica = Server::replica(scratch.path(), 2, &primary.listens_at(), &FAST);
        let mut client = replica.client();
        let mut copied = false;
        while client.get("/health/ready").status != 200 {
            let status = client.get("/v2alpha1/admin/replication").body;
            copied |= status["primary"]["state"] == "copying";
            thread::sleep(Duration::from_millis(5));
        }
        assert!(copied, "the log still reached back: more keys are needed");
        let took = begun.elapsed().as_secs_f64();
        println!(
            "copy, round {round}: {keys} keys in {took:.2} s from the start of the process to readiness: {:.0}/s",
            keys as f64 / took
        );
        replica.remove();
    }
}

/// Measures the bytes from the primary for this many changes, made one by one and in batches.
pub fn wire(changes: u64) {
    let scratch = tempfile::tempdir().expect("a directory");
    let primary = Server::primary(scratch.path(), 1, &FAST);
    let (relay, passed) = relay(primary.listens_at());
    let replica = Server::replica(scratch.path(), 2, &relay, &FAST);
    replica.await_ready();
    let mut at_replica = replica.client();
    let mut until = |sequence: u64| {
        while Server::sequence(&mut at_replica) < sequence {
            thread::sleep(Duration::from_millis(2));
        }
        passed.load(Ordering::Relaxed)
    };
    let before = until(0);
    let mut client = primary.client();
    for number in 0..changes {
        let body = format!(r#"{{"name":"key {number}","actor_id":"actor-1"}}"#);
        let issued = client.post("/v2alpha1/admin/issuedApiKeys", &body);
        assert_eq!(issued.status, 201, "{}", issued.body);
    }
    let middle = until(changes);
    import(&primary, 0, changes);
    let after = until(2 * changes);
    println!(
        "wire: {:.0} bytes a change, one after the other; {:.0} in batches of a thousand (heartbeats included)",
        (middle - before) as f64 / changes as f64,
        (after - middle) as f64 / changes as f64
    );
}

/// Forwards connections to `target`, and counts the bytes that come back. Returns its address and
/// the counter.
fn relay(target: String) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("an address").to_string();
    let passed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&passed);
    thread::spawn(move || {
        for near in listener.incoming() {
            let near = near.expect("a connection");
            let far = TcpStream::connect(&target).expect("a connection");
            let pass = |mut from: TcpStream, mut to: TcpStream, counter: Option<Arc<AtomicU64>>| {
                thread::spawn(move || {
                    let mut piece = vec![0; 64 << 10];
                    while let Ok(count @ 1..) = from.read(&mut piece) {
                        if to.write_all(&piece[..count]).is_err() {
                            break;
                        }
                        if let Some(counter) = &counter {
                            counter.fetch_add(count as u64, Ordering::Relaxed);
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            };
            let (near_too, far_too) = (
                near.try_clone().expect("a clone"),
                far.try_clone().expect("a clone"),
            );
            pass(near, far, None);
            pass(far_too, near_too, Some(Arc::clone(&counter)));
        }
    });
    (address, passed)
}

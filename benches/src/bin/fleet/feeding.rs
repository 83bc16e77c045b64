//! How fast a primary verifies while it feeds replicas, and while a replica is copied.

use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::listeners;
use super::server::{Server, beside, import};

const KEYS: u64 = 1_000_000;

pub fn measure(replicas: u64) {
    let scratch = tempfile::tempdir().expect("a directory");
    let settings = [
        ("SERVE_WORKERS", "1"),
        ("CACHE_MEMORY_MAX_SIZE", "1 GiB"),
        ("REPLICATION_LOG_MAX_BYTES", "1 MiB"),
    ];
    let primary = Server::primary(scratch.path(), 1, &settings);
    import(&primary, 0, KEYS);
    primary.stop();
    let primary = Server::primary(scratch.path(), 1, &settings);
    let report = scratch.path().join("report.json");
    load(&primary, &report, "alone, warming up");
    load(&primary, &report, "alone");
    let replica = Server::replica(scratch.path(), 2, &primary.listens_at(), &[]);
    load(&primary, &report, "while a copy is taken");
    let mut client = replica.client();
    let state = client.get("/v2alpha1/admin/replication").body["primary"]["state"].clone();
    println!("(the copy is {state} at the end of this run)");
    replica.remove();
    listeners::follow(&primary.listens_at(), replicas);
    let mut client = primary.client();
    let connected = |status: &Value| {
        let fed = status["replicas"].as_array().expect("replicas").iter();
        fed.filter(|replica| replica["state"] == "following")
            .count() as u64
    };
    while connected(&client.get("/v2alpha1/admin/replication").body) < replicas {
        thread::sleep(Duration::from_millis(100));
    }
    load(&primary, &report, &format!("feeding {replicas} replicas"));
}

/// Runs the load generator once, with writes.
fn load(server: &Server, report: &Path, what: &str) {
    let (url, pid) = (
        format!("http://{}", server.address()),
        server.pid().to_string(),
    );
    let output = Command::new(beside("talos-loadtest"))
        .args(["--url", &url, "--pid", &pid])
        .args(["--rate", "20000", "--duration", "15s", "--keys", "10000"])
        .args(["--writes-per-second", "200", "--json"])
        .arg(report)
        .output()
        .expect("a run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    for line in text.lines().filter(|line| {
        let line = line.trim_start();
        ["all", "writes", "server CPU", "machine", "stalls"]
            .iter()
            .any(|begin| line.starts_with(begin))
    }) {
        println!("{what}: {line}");
    }
}

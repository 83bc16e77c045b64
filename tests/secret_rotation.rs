//! `talos secrets rotate hmac` edits the file of a running server, and no request notices.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::cli::{Ran, run};
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::tokens::SECRET;
use crate::harness::{Driver, TALOS};
use crate::tenants::{B, Client, command, configure, overlay};

const HOST: &str = "localhost";
const ROTATIONS: usize = 8;

/// Runs the command on the file.
fn rotate(path: &Path, more: &[&str]) -> Ran {
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command.args(["secrets", "rotate", "hmac", "--config"]);
    command.arg(path).args(more);
    run(command)
}

/// Waits until `done` holds, for much longer than a reload takes.
#[track_caller]
fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < deadline, "not yet: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

fn hang_up(server: &Server) {
    kill_process(Pid::from_child(server.process()), Signal::HUP).unwrap();
}

fn reloads(server: &Server) -> usize {
    let says = |line: &&Value| line["message"] == "configuration reloaded";
    server.log_lines().iter().filter(says).count()
}

both_drivers! {
    fn nobody_notices_a_rotation(driver: Driver) {
        let site = Site::new(driver);
        let path = site.config();
        let before = fs::read_to_string(&path).unwrap();
        let server = Server::start(command(&site, &path), site.directory().join("rotation.log"));
        let address = server.address;
        let (_, first) = Client::new(address, HOST).issue("first");
        let (done, counts) = (AtomicBool::new(false), [const { AtomicU64::new(0) }; 2]);
        thread::scope(|scope| {
            let ([verified, issued], done, first) = (&counts, &done, &first);
            scope.spawn(move || {
                let mut client = Client::new(address, HOST);
                while !done.load(Ordering::Relaxed) {
                    assert_eq!(client.verdict(first), None);
                    assert_eq!(client.verdict("no key").as_deref(), Some("NOT_FOUND"));
                    verified.fetch_add(1, Ordering::Relaxed);
                }
            });
            scope.spawn(move || {
                let mut client = Client::new(address, HOST);
                let mut keys = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    keys.push(client.issue("made").1);
                    for key in &keys {
                        assert_eq!(client.verdict(key), None);
                    }
                    issued.fetch_add(1, Ordering::Relaxed);
                    thread::sleep(Duration::from_millis(50));
                }
            });
            for count in 1..=ROTATIONS {
                let ran = rotate(&path, &[]);
                assert!(ran.succeeded().contains("within two seconds"), "{ran:?}");
                assert!(!ran.stdout.contains(SECRET), "{ran:?}");
                hang_up(&server);
                until("a reload", || reloads(&server) >= count);
            }
            until("enough requests", || counts.iter().all(|count| count.load(Ordering::Relaxed) > 5));
            done.store(true, Ordering::Relaxed);
        });
        // All lines but the one of the secrets are the same.
        let after = fs::read_to_string(&path).unwrap();
        let differing = before.lines().zip(after.lines()).filter(|(old, new)| old != new);
        let differing: Vec<_> = differing.map(|(old, _)| old).collect();
        assert_eq!(differing, [format!("secrets: {{hmac: {{current: '{SECRET}'}}}}")]);
        assert_eq!(before.lines().count(), after.lines().count());
        server.stop();
    }

    fn a_retired_secret_expires(driver: Driver) {
        let site = Site::new(driver);
        let path = site.config();
        let server = Server::start(command(&site, &path), site.directory().join("rotation.log"));
        let mut client = Client::new(server.address, HOST);
        let (_, old) = client.issue("old");
        let begin = Instant::now();
        rotate(&path, &["--expires-in", "8s"]).succeeded();
        // Without a signal, the server finds the changed file by itself.
        until("a reload", || reloads(&server) == 1);
        let (_, new) = client.issue("new");
        until("the end of the old secret", || client.verdict(&old).as_deref() == Some("NOT_FOUND"));
        assert!(begin.elapsed() > Duration::from_secs(6), "{:?}", begin.elapsed());
        assert_eq!(client.verdict(&new), None);
        server.stop();
    }

    fn a_tenant_rotates_its_own_secret(driver: Driver) {
        let site = Site::new(driver);
        let path = configure(&site, "", &overlay());
        let server = Server::start(command(&site, &path), site.directory().join("rotation.log"));
        let mut client = Client::new(server.address, B);
        let (_, old) = client.issue("old");
        let main = fs::read_to_string(&path).unwrap();
        rotate(&site.directory().join("b.yaml"), &[]).succeeded();
        hang_up(&server);
        until("a reload", || reloads(&server) == 1);
        assert_eq!(client.verdict(&old), None);
        let (_, new) = client.issue("new");
        assert_eq!(client.verdict(&new), None);
        assert_eq!(fs::read_to_string(&path).unwrap(), main);
        server.stop();
    }
}

#[test]
fn nothing_is_written_when_the_file_cannot_be_edited() {
    let site = Site::new(Driver::Epoll);
    let path = site.config();
    let good = fs::read_to_string(&path).unwrap();
    let dry = rotate(&path, &["--dry-run"]);
    assert!(dry.succeeded().contains("Nothing was written"), "{dry:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
    let current = format!("current: '{SECRET}'");
    for (text, word) in [
        (
            good.replace(
                &current,
                &format!("current: &a '{SECRET}'}}, pagination: {{current: *a"),
            ),
            "by hand",
        ),
        (good.replace("hmac: {", "default: {"), "not in this file"),
        (format!("{good}replication: {{role: primary}}\n"), "replica"),
        (
            format!("{good}quota: {{api_keys_max: many}}\n"),
            "quota.api_keys_max",
        ),
    ] {
        fs::write(&path, &text).unwrap();
        let ran = rotate(&path, &[]);
        ran.assert_one_line_and_code_1(&["talos.yaml", word]);
        assert!(!ran.stderr.contains(SECRET), "{ran:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
    fs::write(&path, &good).unwrap();
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .args(["secrets", "rotate", "hmac", "--config"])
        .arg(&path);
    command.env("TALOS_SECRETS_HMAC_CURRENT", SECRET);
    run(command).assert_one_line_and_code_1(&["TALOS_SECRETS_HMAC_CURRENT is set"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), good);
    assert_eq!(rotate(Path::new("missing.yaml"), &[]).code, Some(1));
}

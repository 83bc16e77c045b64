//! The disk fills up: writes are refused, verification goes on, and nothing acknowledged is lost.
//! When it has room again, writes go on without a restart. Needs root.

use std::time::{Duration, Instant};

use serde_json::json;
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::site::{Server, Site};
use crate::harness::volume::Volume;
use crate::metrics;

/// Storage reserves some 70 MiB for its log when it opens.
const VOLUME_MIB: u64 = 192;
/// Far more writes than fit into the blocks that files have allocated on a full disk.
const ATTEMPTS: usize = 20_000;

fn issue_large(connection: &mut Connection, number: usize) -> Answer {
    let metadata = "x".repeat(32 << 10);
    connection.post(
        ISSUE,
        &json!({"name": format!("large {number}"), "actor_id": "a", "metadata": {"x": metadata}}),
    )
}

/// Much longer than a look for room and an opening of the database take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Issues large keys until one is refused. Returns those that were acknowledged.
fn issue_until_full(connection: &mut Connection) -> (Vec<Issued>, Answer) {
    let mut acknowledged = Vec::new();
    let refused = (0..ATTEMPTS)
        .map(|number| issue_large(connection, number))
        .find(|answer| {
            if answer.status == 201 {
                acknowledged.push(Issued::from(answer));
            }
            answer.status != 201
        });
    (acknowledged, refused.expect("a write that does not fit"))
}

fn is_ready(server: &Server) -> bool {
    server
        .connect()
        .call("GET", "/health/ready", &[], b"")
        .status
        == 200
}

fn await_room(server: &Server) {
    let began = Instant::now();
    while !is_ready(server) {
        assert!(
            began.elapsed() < PATIENCE,
            "writes do not go on:\n{}",
            std::fs::read_to_string(&server.log).unwrap()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The names of all keys.
fn names(connection: &mut Connection) -> Vec<String> {
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let path = format!("{ISSUE}?page_size=100&page_token={token}");
        let page = connection.call("GET", &path, &[], b"").json();
        let keys = page["issued_api_keys"].as_array().unwrap();
        names.extend(
            keys.iter()
                .map(|key| key["name"].as_str().unwrap().to_owned()),
        );
        page["next_page_token"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut token);
        if token.is_empty() {
            return names;
        }
    }
}

both_drivers! {
    /// The disk is full and has room again, twice; then the process is killed.
    fn writes_go_on_when_there_is_room_again(driver: Driver) {
        let Some(volume) = Volume::new(VOLUME_MIB) else { return };
        let mut site = Site::new(driver).with_data_in(&volume.path().join("data"));
        let server = site.start();
        let mut connection = server.connect();
        let (kept, revoked) = (connection.issue("kept"), connection.issue("revoked"));
        let mut all = vec![kept];
        for round in 0..2 {
            let ballast = volume.fill();
            let (acknowledged, refused) = issue_until_full(&mut connection);
            refused.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            assert!(!is_ready(&server));
            // Without room they stay stopped, however often the server looks.
            std::thread::sleep(Duration::from_secs(3));
            let small = connection.post(ISSUE, &json!({"name": "small", "actor_id": "a"}));
            small.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            assert_valid(&connection.verify(&all[0].secret), &all[0].key_id);
            std::fs::remove_file(ballast).unwrap();
            await_room(&server);
            all.extend(acknowledged);
            for key in &all {
                assert_valid(&connection.verify_with(&key.secret, &[("Cache-Control", "no-store")]), &key.key_id);
            }
            if round == 0 {
                assert!(connection.revoke(&revoked.key_id).status < 300);
            }
            assert_refused(&connection.verify(&revoked.secret), "REVOKED");
            all.push(connection.issue("there is room again"));
        }
        let before = names(&mut connection);
        // What was refused is there as a whole or not at all: at most the one key of each round
        // whose write failed, never one that was refused later.
        assert!((all.len() + 1..=all.len() + 3).contains(&before.len()), "{before:?}");
        assert!(!before.contains(&"small".to_owned()), "{before:?}");
        let metrics = metrics::listener(&server);
        let (page, text) = metrics::Page::scrape(metrics);
        assert!(page.sum("talos_writes_stopped", &[]) < 0.5, "{text}");
        assert!((page.sum("talos_write_stops_total", &[]) - 2.0).abs() < 0.5, "{text}");
        server.kill();

        let server = site.start();
        let mut connection = server.connect();
        for key in &all {
            assert_valid(&connection.verify(&key.secret), &key.key_id);
        }
        assert_refused(&connection.verify(&revoked.secret), "REVOKED");
        assert_eq!(names(&mut connection), before);
        server.stop();
    }


    fn writes_stop_and_verification_goes_on(driver: Driver) {
        let Some(volume) = Volume::new(VOLUME_MIB) else { return };
        let mut site = Site::new(driver).with_data_in(&volume.path().join("data"));
        let server = site.start();
        let mut connection = server.connect();
        let (kept, revoked) = (connection.issue("kept"), connection.issue("revoked"));
        assert_eq!(connection.revoke(&revoked.key_id).status, 204);

        let ballast = volume.fill();
        let (acknowledged, refused) = issue_until_full(&mut connection);
        refused.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert!(refused.header("retry-after").is_some(), "{refused:?}");

        // After a failed write the server acknowledges nothing: neither small writes nor
        // revocations.
        for _ in 0..3 {
            let small = connection.post(ISSUE, &json!({"name": "small", "actor_id": "a"}));
            small.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
            connection.revoke(&kept.key_id).assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        }
        for headers in [[].as_slice(), &[("Cache-Control", "no-store")]] {
            assert_valid(&connection.verify_with(&kept.secret, headers), &kept.key_id);
            assert_refused(&connection.verify_with(&revoked.secret, headers), "REVOKED");
        }
        let ready = connection.call("GET", "/health/ready", &[], b"");
        ready.assert_error(503, "UNAVAILABLE", "SERVICE_UNAVAILABLE");
        assert_eq!(connection.call("GET", "/health/alive", &[], b"").status, 200);
        let metrics = metrics::listener(&server);
        assert_eq!(metrics::get(metrics, "/health/ready").status, 503);
        assert_eq!(metrics::get(metrics, "/health/alive").status, 200);
        let (page, text) = metrics::Page::scrape(metrics);
        assert!(page.sum("talos_writes_stopped", &[]) > 0.0, "{text}");
        server.kill();

        std::fs::remove_file(ballast).unwrap();
        let server = site.start();
        let mut connection = server.connect();
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        assert_refused(&connection.verify(&revoked.secret), "REVOKED");
        for key in &acknowledged {
            assert_valid(&connection.verify(&key.secret), &key.key_id);
        }
        connection.issue("there is room again");
        server.stop();
    }
}

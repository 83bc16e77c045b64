//! The wall clock of a server jumps, is set right again, or is behind when the server starts.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use talos_test_kit::http::{Answer, Connection};
use talos_test_kit::keys::{ISSUE, Issued, assert_refused, assert_valid};

use crate::harness::cli::talos;
use crate::harness::fake_clock::FakeClock;
use crate::harness::feed::Feed;
use crate::harness::site::{Server, Site};
use crate::metrics;

/// The server follows a correction of the clock within a second. A busy machine is given more.
const PATIENCE: Duration = Duration::from_secs(20);

fn start(site: &Site, clock: &FakeClock, name: &str, arguments: &[&str]) -> Server {
    let mut command = site.command();
    clock.give_to(&mut command);
    command.args(arguments);
    Server::start_unready(command, site.directory().join(format!("{name}.log")))
}

fn issue(connection: &mut Connection, ttl: &str) -> Issued {
    let body = json!({"name": "n", "actor_id": "a", "ttl": ttl});
    Issued::from(&connection.post(ISSUE, &body))
}

fn health(server: &Server) -> Answer {
    server.connect().call("GET", "/health/ready", &[], b"")
}

#[track_caller]
fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_valid(connection: &mut Connection, key: &Issued) -> bool {
    connection.verify(&key.secret)["is_valid"] == true
}

/// The lines of the log about jumps of the clock: their directions.
fn jumps(server: &Server) -> Vec<Value> {
    let lines = server.log_lines().into_iter();
    lines
        .filter(|line| {
            let message = line["message"].as_str().unwrap_or_default();
            message.contains("the wall clock jumped")
        })
        .map(|line| line["direction"].clone())
        .collect()
}

/// A sample of the metrics page.
fn sample(server: &Server, name: &str) -> String {
    let page = metrics::get(metrics::listener(server), "/metrics");
    let mut lines = page.text().lines();
    let line = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{name}")).to_owned()
}

/// The times of the first `count` changes.
fn times(server: &Server, count: usize) -> Vec<String> {
    let events = Feed::open(server.address, "after=0", &[]).events(count);
    let times = events
        .iter()
        .map(|event| event.data["time"].as_str().unwrap());
    times.map(str::to_owned).collect()
}

fn create_time(connection: &mut Connection, key: &Issued) -> String {
    connection.get(&key.key_id)["create_time"]
        .as_str()
        .unwrap()
        .to_owned()
}

both_drivers! {
    fn a_jump_of_the_clock_and_its_correction_are_followed_and_reported(driver: Driver) {
        let site = Site::new(driver);
        let Some(clock) = FakeClock::new(site.directory()) else { return };
        let server = start(&site, &clock, "first", &[]);
        let mut connection = server.connect();
        let key = issue(&mut connection, "1800s");
        assert_valid(&connection.verify(&key.secret), &key.key_id);
        assert_eq!(jumps(&server), Vec::<Value>::new());

        clock.set("+2h");
        until("the key ends", || !is_valid(&mut connection, &key));
        assert_refused(&connection.verify(&key.secret), "EXPIRED");
        let ahead = issue(&mut connection, "1800s");
        let ahead_time = create_time(&mut connection, &ahead);
        until("a line", || jumps(&server) == ["ahead"]);
        assert_eq!(sample(&server, "talos_clock_jumps_total{direction=\"ahead\"}"), "1");
        let offset: i64 = sample(&server, "talos_clock_offset_milliseconds").parse().unwrap();
        assert!((7_100_000..7_300_000).contains(&offset), "{offset}");

        clock.set("+0");
        until("the key is valid again", || is_valid(&mut connection, &key));
        until("a second line", || jumps(&server) == ["ahead", "back"]);
        assert_eq!(sample(&server, "talos_clock_jumps_total{direction=\"back\"}"), "1");
        let now = issue(&mut connection, "1800s");
        let now_time = create_time(&mut connection, &now);
        assert!(now_time < ahead_time, "{now_time} {ahead_time}");
        assert_eq!(health(&server).status, 200);

        // The log alone does not go back.
        let times = times(&server, 3);
        assert!(times.is_sorted(), "{times:?}");
        assert_eq!(times[1..], [ahead_time.as_str(), &ahead_time]);
        server.stop();
    }

    fn a_small_step_of_the_clock_is_no_jump(driver: Driver) {
        let site = Site::new(driver);
        let Some(clock) = FakeClock::new(site.directory()) else { return };
        let server = start(&site, &clock, "first", &[]);
        clock.set("+4m");
        until("the step is seen", || {
            sample(&server, "talos_clock_offset_milliseconds").parse::<i64>().unwrap() > 200_000
        });
        assert_eq!(sample(&server, "talos_clock_jumps_total{direction=\"ahead\"}"), "0");
        assert_eq!(jumps(&server), Vec::<Value>::new());
        server.stop();
    }

    fn a_start_behind_the_newest_change_is_not_ready_until_the_clock_has_caught_up(
        driver: Driver
    ) {
        let site = Site::new(driver);
        let Some(clock) = FakeClock::new(site.directory()) else { return };
        let (expired, kept) = expired_and_kept(&site, &clock);

        clock.set("-5y");
        let server = start(&site, &clock, "behind", &[]);
        let mut connection = server.connect();
        let unready = health(&server);
        assert_eq!(unready.status, 503);
        let status = talos(server.address, &["fleet", "status", "--format", "json"]);
        assert_eq!(status.code, Some(1));
        assert!(status.stdout.contains("--accept-clock"), "{}", status.stdout);
        assert_eq!(sample(&server, "talos_clock_behind"), "1");
        assert_refused(&connection.verify(&expired.secret), "EXPIRED");
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);

        clock.set("-4m");
        until("readiness", || health(&server).status == 200);
        assert_refused(&connection.verify(&expired.secret), "EXPIRED");
        clock.set("+0");
        until("the metric", || sample(&server, "talos_clock_behind") == "0");
        assert_refused(&connection.verify(&expired.secret), "EXPIRED");
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        server.stop();

        let server = start(&site, &clock, "right", &[]);
        assert_eq!(health(&server).status, 200);
        server.stop();
    }

    fn an_operator_accepts_a_clock_that_is_behind_for_later_starts_too(driver: Driver) {
        let site = Site::new(driver);
        let Some(clock) = FakeClock::new(site.directory()) else { return };
        // The changes were dated too late: by a clock that was five years ahead.
        clock.set("+5y");
        let (expired, kept) = expired_and_kept(&site, &clock);
        clock.set("+0");
        let server = start(&site, &clock, "refused", &[]);
        assert_eq!(health(&server).status, 503);
        server.stop();

        let server = start(&site, &clock, "accepted", &["--accept-clock"]);
        assert_eq!(health(&server).status, 200);
        let mut connection = server.connect();
        assert_valid(&connection.verify(&expired.secret), &expired.key_id);
        assert_valid(&connection.verify(&kept.secret), &kept.key_id);
        let new = issue(&mut connection, "60s");
        assert!(create_time(&mut connection, &new) < create_time(&mut connection, &kept));
        server.stop();

        let server = start(&site, &clock, "later", &[]);
        assert_eq!(health(&server).status, 200);
        assert_valid(&server.connect().verify(&new.secret), &new.key_id);
        server.stop();

        // What was accepted is what a clock must not be behind of from now on.
        clock.set("-1d");
        let server = start(&site, &clock, "earlier", &[]);
        assert_eq!(health(&server).status, 503);
        server.stop();
    }
}

/// Runs a server by this clock. Issues a key that expires, and then one that does not, so that the
/// time of the newest change comes after the end of the first.
fn expired_and_kept(site: &Site, clock: &FakeClock) -> (Issued, Issued) {
    let server = start(site, clock, "first", &[]);
    let mut connection = server.connect();
    let expired = issue(&mut connection, "1s");
    until("the end", || !is_valid(&mut connection, &expired));
    let kept = connection.issue("kept");
    server.stop();
    (expired, kept)
}

#[test]
fn accepting_a_clock_that_is_right_is_pointed_out() {
    let site = Site::new(crate::harness::Driver::Epoll);
    let mut command = site.command();
    command.arg("--accept-clock");
    let server = Server::start(command, site.directory().join("server.log"));
    let lines = server.log_lines();
    let mut messages = lines.iter().filter_map(|line| line["message"].as_str());
    assert!(messages.any(|message| message.contains("--accept-clock has no effect")));
    server.stop();
}

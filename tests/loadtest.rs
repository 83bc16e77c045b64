//! `talos-loadtest` against the real server: every class of requests, keys that are reused, writes
//! beside the load, both transports, and the reports.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

use crate::harness::site::{Server, Site};
use crate::harness::tokens;
use crate::harness::{Driver, TALOS};
use crate::tenants;

/// Runs the program in this process. It speaks to the server over sockets only.
fn loadtest(flags: &str) -> ExitCode {
    let words = std::iter::once("talos-loadtest").chain(flags.split_ascii_whitespace());
    talos_loadtest::command_line(words.map(Into::into))
}

fn assert_right(flags: &str) {
    assert_eq!(loadtest(flags), ExitCode::SUCCESS, "{flags}");
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The number of answers of a class, none of which may be wrong or missing.
fn answers(phase: &Value, class: &str) -> u64 {
    let row = &phase["classes"][class];
    assert!(row["wrong"] == 0 && row["errors"] == 0, "{class}: {row}");
    row["answers"].as_u64().unwrap()
}

both_drivers! {
    fn every_class_gets_right_answers(driver: Driver) {
        let site = Site::new(driver);
        // This server has a key to sign JWTs with.
        let server = tokens::start(&site);
        let json = site.directory().join("load.json");
        assert_right(&format!(
            "--url http://{} --keys 100 --tokens 5 --batch 10 --duration 1s --warm-up 0s --rate 300 --connections 8 --threads 2 \
             --wait sleep --churn 5 --writes-per-second 40 --popularity zipf=1.1 --json {} \
             --mix valid=10,imported=10,revoked=10,unknown=10,jwt=10,macaroon=10,batch=10,changing=20",
            server.address,
            json.display(),
        ));
        let report = read(&json);
        let phase = &report["phases"][0];
        for class in ["valid", "imported", "revoked", "unknown", "jwt", "macaroon", "batch", "changing"] {
            assert!(answers(phase, class) > 0, "{class}");
        }
        let writes = &phase["writes"];
        assert!(writes["errors"] == 0 && writes["revoked"].as_u64() > Some(0), "{writes}");
        assert!(report["server"]["version"].is_string());
        server.stop();
    }

    fn keys_are_made_once_and_used_over_both_transports(driver: Driver) {
        let site = Site::new(driver);
        let socket = site.directory().join("talos.sock");
        let mut command = site.command();
        command.env("TALOS_SERVE_HTTP_SOCKET", &socket);
        let server = Server::start(command, site.directory().join("server.log"));
        let common = "--keys 1500 --mix imported=80,revoked=10,unknown=10 --duration 1s --warm-up 0s --connections 4 --wait sleep";
        let tcp = format!("--url http://{} {common}", server.address);
        assert_eq!(loadtest(&format!("{tcp} --reuse --closed")), ExitCode::FAILURE, "there are no keys yet");
        assert_right(&format!("{tcp} --closed --json {}", site.directory().join("a.json").display()));
        assert_right(&format!(
            "--unix {} {common} --reuse --closed --pipeline 4 --json {}",
            socket.display(),
            site.directory().join("b.json").display(),
        ));
        let (first, second) = (site.directory().join("a.json"), site.directory().join("b.json"));
        let page = site.directory().join("compared.html");
        assert_right(&format!("--compare {} {} --html {}", first.display(), second.display(), page.display()));
        assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
        assert!(read(&first)["load"]["seeding_s"].is_number() && read(&second)["load"]["seeding_s"].is_null());
        assert!(answers(&read(&second)["phases"][0], "imported") > 0);
        server.stop();
    }
}

#[test]
fn each_key_is_verified_under_the_host_of_its_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let json = directory.path().join("load.json");
    let common = "--keys 60 --duration 1s --warm-up 0s --connections 4 --threads 2 --wait sleep --closed --popularity zipf";
    for mix in [
        "valid=2,imported=1,revoked=1,unknown=1",
        "imported=2,revoked=1",
    ] {
        assert_right(&format!(
            "--server {TALOS} --tenants 7 --mix {mix} {common} --json {}",
            json.display()
        ));
        let report = read(&json);
        for class in ["imported", "revoked"] {
            assert!(answers(&report["phases"][0], class) > 0, "{class}");
        }
    }
}

#[test]
fn a_host_without_a_tenant_fails_the_run() {
    let site = Site::new(Driver::Epoll);
    let path = tenants::configure(&site, "", "");
    let server = Server::start(
        tenants::command(&site, &path),
        site.directory().join("server.log"),
    );
    let common = format!(
        "--url http://{} --tenants 1 --keys 10 --mix imported=1 --duration 1s --warm-up 0s --connections 1 --wait sleep --closed",
        server.address
    );
    // The pattern with the number 1 is not one of the server's hosts; without --tenants, neither
    // is the address.
    assert_eq!(
        loadtest(&format!("{common} --tenant-host a{{}}.example")),
        ExitCode::FAILURE
    );
    assert_eq!(
        loadtest(&common.replace("--tenants 1", "")),
        ExitCode::FAILURE
    );
    server.stop();
}

#[test]
fn a_ramp_reports_its_steps() {
    let mut site = Site::new(Driver::Epoll);
    let server = site.start();
    let (json, page) = (
        site.directory().join("ramp.json"),
        site.directory().join("ramp.html"),
    );
    // Every step keeps this rate and this limit, however slow the machine is.
    assert_right(&format!(
        "--url http://{} --keys 10 --mix imported=1 --warm-up 0s --wait sleep --ramp --rate 50 --p99 1h --step 1s --json {} --html {}",
        server.address,
        json.display(),
        page.display(),
    ));
    let report = read(&json);
    let ramp = &report["ramp"];
    assert!(
        ramp["steps"].as_array().unwrap().len() >= 10 && ramp["best_per_s"] == 50.0,
        "{ramp}"
    );
    assert!(
        std::fs::read_to_string(&page)
            .unwrap()
            .contains("Latency against load")
    );
    server.stop();
}

#[test]
fn a_server_that_is_not_there_is_an_error_of_one_line() {
    assert_eq!(
        loadtest("--url http://127.0.0.1:1 --keys 10"),
        ExitCode::FAILURE
    );
    assert_eq!(loadtest("--url ftp://127.0.0.1"), ExitCode::FAILURE);
    for flags in [
        "--reuse",
        "--cores 100000",
        "--url http://127.0.0.1:1 --pid 4000000000",
    ] {
        assert_eq!(loadtest(flags), ExitCode::from(2), "{flags}");
    }
}

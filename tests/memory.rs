//! A small memory: the server divides it among its parts and is not ended, however many keys there
//! are. Needs root.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};
use talos_test_kit::keys::assert_valid;

use crate::harness::cli::run;
use crate::harness::memory_group::MemoryGroup;
use crate::harness::site::{Server, Site, without_talos_variables};
use crate::harness::tokens::SECRET;
use crate::harness::{Driver, TALOS};
use crate::metrics;

const IMPORT: &str = "/v2alpha1/admin/importedApiKeys:batchCreate";
const BATCH: usize = 1000;
const BATCHES: usize = 110;

/// The command of a server at `site` with nothing set that concerns memory.
fn command(site: &Site, more: &str) -> Command {
    let yaml = format!(
        "serve: {{driver: epoll, http: {{host: 127.0.0.1, port: 0}}, metrics: {{host: 127.0.0.1, port: 0}}}}\n\
         credentials: {{issuer: 'https://issuer.example'}}\n\
         secrets: {{hmac: {{current: '{SECRET}'}}}}\n{more}"
    );
    let path = site.directory().join("small.yaml");
    fs::write(&path, yaml).unwrap();
    let mut command = Command::new(TALOS);
    without_talos_variables(&mut command);
    command
        .arg("--config")
        .arg(path)
        .arg("serve")
        .env(
            "TALOS_DB_DSN",
            format!("rocksdb://{}", site.data().display()),
        )
        .current_dir(site.directory());
    command
}

fn raw(batch: usize, item: usize) -> String {
    format!("a-key-of-another-system-{batch}-{item}")
}

/// The line that names the sizes of the parts.
fn sizes(server: &Server) -> Value {
    let lines = server.log_lines();
    let line = lines.iter().find(|line| !line["write_buffer"].is_null());
    line.expect("the sizes are logged").clone()
}

#[test]
fn a_hundred_thousand_imported_keys_in_128_mib() {
    let Some(group) = MemoryGroup::new(128) else {
        return;
    };
    let site = Site::new(Driver::Epoll);
    let log = |run: u32| site.directory().join(format!("run-{run}.log"));
    let start = |run| Server::start(group.confine(&command(&site, "")), log(run));
    let server = start(1);
    let mut connection = server.connect();
    for batch in 0..BATCHES {
        let keys: Vec<_> = (0..BATCH)
            .map(|item| json!({"raw_key": raw(batch, item), "name": "n", "actor_id": "a", "metadata": {"n": item}}))
            .collect();
        let imported = connection.post(IMPORT, &json!({"requests": keys}));
        assert_eq!(imported.status, 200, "{batch}: {imported:?}");
        assert_eq!(imported.json()["success_count"], BATCH, "{batch}");
    }
    for batch in (0..BATCHES).step_by(10) {
        for item in 0..BATCH {
            let verdict = connection.verify(&raw(batch, item));
            assert_eq!(verdict["is_valid"], true, "{verdict}");
        }
    }
    let logged = sizes(&server);
    assert_eq!(logged["limit"], 128 << 20);
    assert!(logged["total"].as_u64().unwrap() <= 128 << 20, "{logged}");
    let (page, text) = metrics::Page::scrape(metrics::listener(&server));
    let limit = page.sum("talos_memory_limit_bytes", &[]);
    assert!((limit - f64::from(128 << 20)).abs() < 1.0, "{text}");
    for part in ["block_cache", "write_buffer", "keys"] {
        let bytes = page.sum("talos_memory_part_bytes", &[("part", part)]);
        assert!(
            (bytes - logged[part].as_f64().unwrap()).abs() < 1.0,
            "{part}: {text}"
        );
    }
    group.assert_kept_by(server.process());
    server.kill();

    // The next start reads the log, and the warm-up fills memory.
    let server = start(2);
    let mut connection = server.connect();
    for batch in 0..BATCHES {
        let verdict = connection.verify(&raw(batch, 7));
        let id = verdict["key_id"].as_str().unwrap_or_default().to_owned();
        assert_valid(&verdict, &id);
    }
    group.assert_kept_by(server.process());
    server.stop();
}

#[test]
fn what_does_not_fit_is_refused_or_reported() {
    let Some(group) = MemoryGroup::new(128) else {
        return;
    };
    let site = Site::new(Driver::Epoll);
    let confined = |more: &str| group.confine(&command(&site, more));
    let too_large = "cache: {memory: {max_size: 200 MiB}}\nlog: {level: error}\n";
    run(confined(too_large)).assert_one_line_and_code_1(&[
        "cache.memory.max_size",
        "200 MiB",
        "128 MiB",
        "raise the limit",
    ]);
    let log = site.directory().join("warned.log");
    let server = Server::start(confined("db: {block_cache_size: 60 MiB}\n"), log);
    let lines = server.log_lines();
    let warning = lines
        .iter()
        .find(|line| line["key"] == "db.block_cache_size");
    let warning = warning.expect("a warning")["message"].to_string();
    assert!(
        warning.contains("128 MiB") && warning.contains("unset"),
        "{warning}"
    );
    assert_eq!(sizes(&server)["block_cache"], 60 << 20);
    server.stop();
}

#[test]
fn a_limit_that_is_too_small_for_any_server_is_named() {
    let Some(group) = MemoryGroup::new(30) else {
        return;
    };
    let site = Site::new(Driver::Epoll);
    let ran = run(group.confine(&command(&site, "log: {level: error}\n")));
    ran.assert_one_line_and_code_1(&["30 MiB", "64 MiB", "raise the limit"]);
}

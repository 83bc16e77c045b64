//! `talos config validate` says whether a server would start.

use std::fs;
use std::path::Path;

use talos_test_kit::certificates::Authority;

use super::Place;
use crate::harness::Driver;
use crate::harness::cli::run_with_input;
use crate::harness::site::Site;

#[test]
fn a_valid_configuration_is_one_with_which_a_server_starts() {
    let mut site = Site::new(Driver::Epoll);
    let config = site.config();
    let place = Place::new();
    let path = config.to_str().unwrap();
    for arguments in [
        ["--config", path, "config", "validate"],
        ["config", "validate", "--config", path],
    ] {
        let ran = place.run(&arguments);
        assert_eq!((ran.succeeded(), ran.stderr.as_str()), ("valid\n", ""));
    }
    assert_eq!(
        place.run(&["config", "validate", path]).succeeded(),
        "valid\n"
    );
    let text = fs::read_to_string(&config).unwrap();
    let ran = run_with_input(place.command(&["config", "validate", "-"], &[]), &text);
    assert_eq!(ran.succeeded(), "valid\n");
    assert!(!site.data().exists(), "a check makes no database");
    site.start().stop();
    // The port and the database of a running server do not matter.
    let server = site.start();
    assert_eq!(
        place.run(&["config", "validate", path]).succeeded(),
        "valid\n"
    );
    server.stop();
}

#[test]
fn warnings_make_a_configuration_no_less_valid() {
    let place = Place::new();
    place.valid("talos.yaml", "cache:\n  type: redis\n");
    let check = ["config", "validate", "talos.yaml"];
    let ran = place.run_with(&check, &[("TALOS_LOG_LEVLE", "debug")]);
    assert_eq!(ran.succeeded(), "valid\n");
    for line in [
        "talos: warning: talos.yaml:4:9: cache.type: Redis is not used",
        "talos: warning: environment: TALOS_LOG_LEVLE: no such setting",
    ] {
        assert!(ran.stderr.contains(line), "{}", ran.stderr);
    }
}

#[test]
fn every_fault_is_reported_with_its_place() {
    let place = Place::new();
    place.write(
        "talos.yaml",
        "serve:\n  http:\n    prot: 1\n  workers: many\n  metrics: 4422\nlog: {level: loud}\n\
         credentials: {api_keys: {prefix: {retired: [a-b]}}}\n\
         secrets: {hmac: {current: hunter2}}\n",
    );
    let ran = place.run_with(
        &["config", "validate", "talos.yaml"],
        &[("TALOS_DB_SHARDS", "3")],
    );
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    for line in [
        "talos.yaml:3:5: serve.http.prot: unknown key; did you mean serve.http.port?",
        "talos.yaml:4:12: serve.workers: \"many\": not a whole number; allowed: a whole number",
        "talos.yaml:5:12: serve.metrics: holds further keys",
        "talos.yaml:6:14: log.level: \"loud\": not known; allowed: one of trace, debug",
        "talos.yaml:7:44: credentials.api_keys.prefix.retired: item 0: \"a-b\"",
        "talos.yaml:8:27: secrets.hmac.current: only 7 characters; allowed: at least 32",
        "TALOS_DB_SHARDS: db.shards: \"3\": not a power of two",
        "credentials.issuer: required but not set",
    ] {
        assert!(ran.stderr.contains(line), "{line}: {}", ran.stderr);
    }
    assert_eq!(ran.stderr.lines().count(), 8, "{}", ran.stderr);
    assert!(!ran.stderr.contains("hunter2"));
    // Rules that span several keys have a place, too.
    place.valid("talos.yaml", "serve: {public: {port: 4420}}\n");
    place
        .run(&["config", "validate", "talos.yaml"])
        .assert_one_line_and_code_1(&["talos.yaml:3:24: serve.public.port: ", "serve.http.port"]);
    place.write("talos.yaml", "log: [\n");
    place
        .run(&["config", "validate", "talos.yaml"])
        .assert_one_line_and_code_1(&["talos.yaml: not valid YAML: ", "line"]);
    place
        .run(&["config", "validate", "missing.yaml"])
        .assert_one_line_and_code_1(&["missing.yaml: "]);
    assert_eq!(place.run(&["config", "validate", "a", "b"]).code, Some(2));
}

#[test]
fn the_files_of_certificates_are_checked() {
    let place = Place::new();
    let authority = Authority::new();
    let files = authority.certified("server");
    let other = authority.certified("other");
    let yaml = |certificate: &Path, key: &Path| {
        format!(
            "serve: {{http: {{tls: {{cert: {}, key: {}}}}}, metrics: {{tls: {{cert: x, key: y}}}}}}\n",
            certificate.display(),
            key.display()
        )
    };
    place.valid("talos.yaml", &yaml(&files.certificate, &other.key));
    let ran = place.run(&["config", "validate", "talos.yaml"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("serve.http.tls: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("serve.metrics.tls: "), "{}", ran.stderr);
    let good = yaml(&files.certificate, &files.key);
    place.valid("talos.yaml", good.split(", metrics").next().unwrap());
    let text = fs::read_to_string(place.path("talos.yaml")).unwrap();
    place.write("talos.yaml", &format!("{text}}}\n"));
    assert_eq!(
        place.run(&["config", "validate", "talos.yaml"]).succeeded(),
        "valid\n"
    );
}

//! `talos config diff` shows what another file would change.

use std::fs;

use serde_json::Value;

use super::{OTHER, Place, SECRET};

#[test]
fn differences_are_those_that_mean_something() {
    let place = Place::new();
    place.valid(
        "old.yaml",
        "serve: {workers: 2, driver: epoll, http: {host: localhost}}\n\
         cache: {ttl: 5m, memory: {max_size: 1 MiB}}\nlog: {level: debug}\n",
    );
    place.valid(
        "new.yaml",
        "serve: {workers: 3, http: {host: 127.0.0.1}}\n\
         cache: {ttl: 300s, memory: {max_size: 1048576}}\nlog: {level: info}\n\
         quota: {api_keys_max: 7}\n",
    );
    let diff = |old: &str, new: &str, more: &[&str]| {
        place.run(&[&["--config", old, "config", "diff", new], more].concat())
    };
    let equal = diff("old.yaml", "old.yaml", &[]);
    assert_eq!((equal.code, equal.stdout.as_str()), (Some(0), ""));
    assert_eq!(equal.stderr, "");
    let ran = diff("old.yaml", "new.yaml", &[]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stdout,
        "CHANGE   KEY                 OLD    NEW   RELOAD\n\
         changed  serve.workers       2      3     restart\n\
         removed  serve.driver        epoll  auto  restart\n\
         added    quota.api_keys_max         7     live\n\
         changed  log.level           debug  info  live\n"
    );
    assert_eq!(
        ran.stderr,
        "talos: needs a restart: serve.workers, serve.driver\n"
    );
    let json = diff("old.yaml", "new.yaml", &["--format", "json"]);
    let json: Value = serde_json::from_str(&json.stdout).unwrap();
    let first = &json["differences"][0];
    assert_eq!(
        (&first["key"], &first["change"]),
        (&"serve.workers".into(), &"changed".into())
    );
    assert_eq!((&first["old"], &first["new"]), (&2.into(), &3.into()));
    assert_eq!(first["reload"], "restart");

    // Of secrets only that they differ; and what the environment overrides does not differ.
    place.valid("secret.yaml", "log: {level: warn}\n");
    let text = fs::read_to_string(place.path("secret.yaml")).unwrap();
    place.write("secret.yaml", &text.replace(SECRET, OTHER));
    place.valid("plain.yaml", "");
    let arguments = ["--config", "plain.yaml", "config", "diff", "secret.yaml"];
    let ran = place.run_with(&arguments, &[("TALOS_LOG_LEVEL", "error")]);
    assert_eq!(
        ran.stdout,
        "CHANGE   KEY                   OLD  NEW      RELOAD\n\
         changed  secrets.hmac.current       differs  live\n"
    );
    assert!(
        ran.stderr
            .contains("secret.yaml:3:14: log.level: without effect, because TALOS_LOG_LEVEL"),
        "{}",
        ran.stderr
    );

    place.write("bad.yaml", "log: {level: loud}\n");
    for (old, new) in [
        ("old.yaml", "bad.yaml"),
        ("bad.yaml", "old.yaml"),
        ("old.yaml", "missing.yaml"),
        ("-", "-"),
    ] {
        let ran = diff(old, new, &[]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(ran.stderr.starts_with("talos: "), "{ran:?}");
    }
    assert_eq!(place.run(&["config", "diff"]).code, Some(2));
}

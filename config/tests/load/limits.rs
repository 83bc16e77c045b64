//! Limits that contradict each other, the second listener, and the throttle.

use talos_config::PublicSurface;

use super::*;

#[test]
fn limits_that_contradict_each_other_name_both_keys() {
    for (limits, key, other) in [
        (
            "{head: 4KiB, target: 8KiB}",
            "serve.http.limits.target",
            "serve.http.limits.head",
        ),
        (
            "{head: 8KiB}",
            "serve.http.limits.target",
            "serve.http.limits.head",
        ),
        (
            "{body: 64KiB, batch_body: 32KiB}",
            "serve.http.limits.body",
            "serve.http.limits.batch_body",
        ),
        (
            "{batch_body: 32MiB, memory: 64MiB}",
            "serve.http.limits.batch_body",
            "serve.http.limits.memory",
        ),
        (
            "{batch_answer: 16MiB, memory: 63MiB}",
            "serve.http.limits.batch_answer",
            "serve.http.limits.memory",
        ),
        (
            "{connections: 16, connections_per_address: 17}",
            "serve.http.limits.connections_per_address",
            "serve.http.limits.connections",
        ),
    ] {
        let line = complaint(&format!("serve: {{http: {{limits: {limits}}}}}"), &[]);
        assert!(
            after_place(&line).starts_with(&format!("{key}: "))
                && line.contains(&format!("{other},")),
            "{line}"
        );
    }
    for limits in [
        "{head: 4KiB, target: 4095}",
        "{body: 32KiB, batch_body: 32KiB}",
        "{memory: 32MiB}",
        "{memory: 8MiB}",
        "{batch_body: 16MiB, memory: 64MiB}",
        "{connections: 16, connections_per_address: 16}",
    ] {
        load(&format!("serve: {{http: {{limits: {limits}}}}}"), &[]).expect(limits);
    }
}

#[test]
fn limits_have_bounds() {
    for (section, setting) in [
        ("limits", "head: 4095"),
        ("limits", "head: 65KiB"),
        ("limits", "headers: 15"),
        ("limits", "headers: 129"),
        ("limits", "target: 1023"),
        ("limits", "body: 16383"),
        ("limits", "body: 3MiB"),
        ("limits", "batch_body: 33MiB"),
        ("limits", "batch_answer: 65535"),
        ("limits", "memory: 8191KiB"),
        ("limits", "connections: 15"),
        ("limits", "connections_per_address: 0"),
        ("limits", "health_connections: 1025"),
        ("timeouts", "linger: 999ms"),
        ("timeouts", "linger: 31s"),
        ("throttle", "failures: {quota: 0}"),
        ("throttle", "failures: {window: 999ms}"),
        ("throttle", "self_revocations: {quota: 1000001}"),
        ("throttle", "exempt: [unix]"),
        ("throttle", "exempt: [10.0.0.0/33]"),
    ] {
        let line = complaint(
            &format!("serve: {{http: {{{section}: {{{setting}}}}}}}"),
            &[],
        );
        assert!(line.contains("; allowed: "), "{line}");
    }
}

#[test]
fn a_throttle_is_off_unless_it_has_a_quota() {
    let throttle = |yaml: &str| load(yaml, &[]).expect("settings").0.serve.http.throttle;
    let off = throttle("");
    assert_eq!(
        (off.failures.quota, off.self_revocations.quota),
        (None, None)
    );
    assert_eq!(off.failures.interval_ms(), None);
    let on = throttle(
        "serve: {http: {throttle: {failures: {quota: 7}, exempt: [10.0.0.0/8, 192.0.2.1]}}}",
    );
    // A whole number of milliseconds, rounded up.
    assert_eq!(on.failures.interval_ms(), Some(8572));
    assert_eq!(on.exempt.len(), 2);
    let variables = [
        ("TALOS_SERVE_HTTP_THROTTLE_SELF_REVOCATIONS_QUOTA", "5"),
        ("TALOS_SERVE_HTTP_THROTTLE_SELF_REVOCATIONS_WINDOW", "10s"),
    ];
    let rate = load("", &variables).expect("settings").0;
    assert_eq!(
        rate.serve.http.throttle.self_revocations.interval_ms(),
        Some(2000)
    );
}

#[test]
fn throttles_that_cannot_hold_are_refused_or_worth_a_warning() {
    let line = complaint(
        "serve: {http: {throttle: {failures: {quota: 1001, window: 1s}}}}",
        &[],
    );
    assert!(
        line.starts_with("talos.yaml:1:45: serve.http.throttle.failures.quota: 1001")
            && line.contains("serve.http.throttle.failures.window"),
        "{line}"
    );
    let blocks = vec!["10.0.0.0/8"; 257].join(",");
    let variable = ("TALOS_SERVE_HTTP_THROTTLE_EXEMPT", blocks.as_str());
    let line = complaint("", &[variable]);
    assert!(line.contains("at most 256"), "{line}");

    let warned = |http: &str| {
        let (_, warnings) = load(&format!("serve: {{http: {http}}}"), &[]).expect("settings");
        let keys: Vec<&str> = warnings.iter().map(|warning| warning.key).collect();
        keys.contains(&"serve.http.throttle.failures.quota")
    };
    let quota = "throttle: {failures: {quota: 5}}";
    let header = "client_ip_source: CLIENT_IP_SOURCE_X_REAL_IP";
    assert!(warned(&format!("{{{quota}, {header}}}")));
    assert!(!warned(&format!(
        "{{{quota}, {header}, trusted_proxies: [unix]}}"
    )));
    assert!(!warned(&format!("{{{quota}}}")));
    assert!(!warned(&format!("{{{header}}}")));
}

#[test]
fn the_second_listener_has_a_port_of_its_own() {
    let public = |yaml: &str| load(yaml, &[]).expect("settings").0.serve.public;
    assert_eq!(public("").address(), None);
    let data = public("serve: {public: {host: 127.0.0.1, port: 4430}}");
    assert_eq!(data.surface, PublicSurface::Data);
    assert_eq!(
        data.address().map(|address| address.to_string()).as_deref(),
        Some("127.0.0.1:4430")
    );
    let holders = public("serve: {public: {port: 0, surface: public}}");
    assert_eq!(holders.surface, PublicSurface::Public);
    for (yaml, other) in [
        ("serve: {public: {port: 4420}}", "serve.http.port"),
        ("serve: {public: {port: 4422}}", "serve.metrics.port"),
        (
            "serve: {http: {host: 127.0.0.1, port: 7}, public: {host: 127.0.0.1, port: 7}}",
            "serve.http.port",
        ),
    ] {
        let line = complaint(yaml, &[]);
        assert!(
            after_place(&line).starts_with("serve.public.port: ") && line.contains(other),
            "{line}"
        );
    }
    // Other interfaces, or ports that the system picks, do not collide.
    for yaml in [
        "serve: {http: {host: 127.0.0.1, port: 7}, public: {host: 127.0.0.2, port: 7}}",
        "serve: {http: {port: 0}, public: {port: 0}}",
    ] {
        load(yaml, &[]).expect(yaml);
    }
}

//! `talos config show` shows values and their sources, and no secret.

use serde_json::Value;

use super::{OTHER, Place, SECRET};

#[test]
fn what_is_shown_says_where_it_comes_from() {
    let place = Place::new();
    place.valid(
        "talos.yaml",
        "serve:\n  workers: 4\n  http:\n    port: 4420\ncache: {ttl: 300s}\n",
    );
    let variables = [("TALOS_LOG_FORMAT", "text")];
    let show = ["--config", "talos.yaml", "config", "show"];
    let shown = place.run_with(&show, &variables);
    assert_eq!(
        shown.succeeded(),
        "serve:\n  workers: 4  # talos.yaml:4:12\n\n\
         credentials:\n  issuer: https://keys.example.com  # talos.yaml:1:23\n\n\
         secrets:\n  hmac:\n    current: \"********\"  # talos.yaml:2:27\n\n\
         log:\n  format: text  # TALOS_LOG_FORMAT\n"
    );
    let effective = place.run_with(&[&show[..], &["--effective"]].concat(), &variables);
    for line in [
        "    port: 4420  # talos.yaml:6:11\n",
        "  ttl: 300s  # talos.yaml:7:14\n",
        "  driver: auto  # default\n",
        "    socket:  # unset: none\n",
        "      allowed_origins: [\"*\"]  # default\n",
        "  dsn: rocksdb://./talos-data  # default\n",
    ] {
        assert!(
            effective.succeeded().contains(line),
            "{line}: {}",
            effective.stdout
        );
    }
    let json = [&show[..], &["--effective", "--format", "json"]].concat();
    let json = place.run_with(&json, &variables).json();
    let of = |key: &str, field: &str| json[key][field].clone();
    assert_eq!(of("serve.workers", "value"), 4);
    assert_eq!(of("serve.workers", "from"), "file");
    assert_eq!(of("serve.workers", "source"), "talos.yaml:4:12");
    assert_eq!(of("log.format", "from"), "environment");
    assert_eq!(of("log.format", "source"), "TALOS_LOG_FORMAT");
    assert_eq!(of("serve.driver", "from"), "default");
    assert_eq!(of("serve.driver", "source"), Value::Null);
    assert_eq!(of("serve.http.socket", "value"), Value::Null);
    assert!(json.as_object().unwrap().len() > 100);
}

/// The shown configuration, with the secrets from the environment, is the same configuration.
#[test]
fn what_is_shown_can_be_read_again() {
    let place = Place::new();
    place.valid(
        "talos.yaml",
        "serve:\n  http: {host: '::1', trusted_proxies: [unix, 10.0.0.0/8]}\n  \
         admin: {auth: {enabled: true, peers: [{uid: 1, role: read, name: 'a: b'}]}}\n\
         cache: {ttl: 0}\nreplication: {listen: '[::1]:1'}\ndb: {shards: 4}\n",
    );
    let variables = [("TALOS_SECRETS_HMAC_CURRENT", SECRET)];
    let show = ["config", "show", "talos.yaml", "--effective"];
    let shown = place.run_with(&show, &variables);
    place.write("shown.yaml", shown.succeeded());
    let diff = ["--config", "talos.yaml", "config", "diff", "shown.yaml"];
    let ran = place.run_with(&diff, &variables);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), ""),
        "{}",
        ran.stderr
    );
    // A mask is no secret.
    let ran = place.run(&["config", "validate", "shown.yaml"]);
    assert!(
        ran.stderr.contains("secrets.hmac.current: "),
        "{}",
        ran.stderr
    );
    assert_eq!(ran.code, Some(1));
}

#[test]
fn no_command_shows_a_secret() {
    let place = Place::new();
    place.write("secret", OTHER);
    place.valid(
        "talos.yaml",
        &format!(
            "serve: {{admin: {{auth: {{bootstrap_token: {OTHER}}}}}}}\n\
             replication: {{secret: {OTHER}, secret_retired: [{OTHER}]}}\n\
             cache: {{redis: {{password: hunter2}}}}\n\
             tracing: {{endpoint: 'https://talos:hunter2@collector/?token=hunter2'}}\n"
        ),
    );
    place.valid("next.yaml", "cache: {redis: {password: hunter3}}\n");
    let variables = [
        ("TALOS_SECRETS_HMAC_CURRENT_FILE", "secret"),
        (
            "TALOS_SECRETS_HMAC_RETIRED",
            r#"[{"value": "1f2b9c7d4e6a8135f2b9c7d4e6a81351", "expires_at": "2027-01-31T00:00:00Z"}]"#,
        ),
        (
            "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS",
            "base64://eyJrZXlzIjpbXX0=,https://vault.internal/hunter2?token=hunter2",
        ),
    ];
    for format in ["yaml", "json", "json-pretty", "table"] {
        for command in [
            &["show", "--effective"][..],
            &["show"],
            &["diff", "next.yaml"],
        ] {
            let command = [
                &["--config", "talos.yaml", "config"],
                command,
                &["--format", format],
            ];
            let ran = place.run_with(&command.concat(), &variables);
            let text = format!("{}{}", ran.stdout, ran.stderr);
            assert!(ran.stdout.contains("cache"), "{ran:?}");
            for secret in [
                SECRET,
                OTHER,
                "hunter2",
                "hunter3",
                "eyJrZXlzIjpbXX0",
                "1f2b",
            ] {
                assert!(!text.contains(secret), "{command:?} shows {secret}: {text}");
            }
        }
    }
    let show = ["--config", "talos.yaml", "config", "show"];
    let shown = place.run_with(&show, &variables);
    for line in [
        "current: \"********\"  # TALOS_SECRETS_HMAC_CURRENT_FILE",
        "retired: [{expires_at: 2027-01-31T00:00:00Z, value: \"********\"}]",
        "urls: [\"base64://********\", \"https://vault.internal/********\"]",
        "endpoint: \"https://talos:********@collector/?token=********\"",
    ] {
        assert!(shown.succeeded().contains(line), "{line}: {}", shown.stdout);
    }
}

#[test]
fn an_incomplete_configuration_is_shown_and_a_bad_one_is_not() {
    let place = Place::new();
    let ran = place.run(&["config", "show", "--effective"]);
    assert!(
        ran.succeeded().contains("issuer:  # required, not set\n"),
        "{}",
        ran.stdout
    );
    for key in ["credentials.issuer", "secrets.hmac.current"] {
        let line = format!("talos: warning: {key}: required but not set");
        assert!(ran.stderr.contains(&line), "{}", ran.stderr);
    }
    place.write("talos.yaml", "log: {level: loud}\n");
    place
        .run(&["config", "show", "talos.yaml"])
        .assert_one_line_and_code_1(&["talos.yaml:1:14: log.level: "]);
}

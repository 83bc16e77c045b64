//! Where values come from: defaults, the sample file, and which source overrides which.

use super::*;

#[test]
fn defaults() {
    let (settings, warnings) = load("", &[]).expect("settings");
    assert_eq!(warnings, []);
    assert_eq!(
        settings.serve.http.listener.address().to_string(),
        "0.0.0.0:4420"
    );
    assert_eq!(settings.serve.metrics.address().to_string(), "0.0.0.0:4422");
    assert!(settings.serve.workers >= 1 && settings.serve.driver == DriverChoice::Auto);
    assert!(!settings.serve.http.exclude_health_endpoints);
    let keys = &settings.credentials.api_keys;
    assert_eq!(
        (keys.default_ttl, keys.max_ttl),
        (None, Duration::from_secs(8760 * 3600))
    );
    assert_eq!(
        (keys.prefix.current.as_str(), &keys.prefix.public_current),
        ("ory_ak", &None)
    );
    assert_eq!(settings.credentials.clock_skew, Duration::from_secs(300));
    assert!(settings.credentials.signing_keys.signing_key(None).is_err());
    assert_eq!(settings.secrets.hmac_current.expose(), SECRET);
    assert_eq!(settings.db.directory, PathBuf::from("./talos-data"));
    assert_eq!(
        (settings.db.shards, settings.db.block_cache_bytes),
        (None, 256 << 20)
    );
    assert_eq!(settings.cache.cache_type, CacheType::Memory);
    assert_eq!(
        (settings.cache.ttl, settings.cache.memory_bytes_max),
        (Duration::from_secs(300), 104_857_600)
    );
    assert_eq!(
        (settings.log.level, settings.log.format),
        (LogLevel::Info, LogFormat::Json)
    );
}

#[test]
fn the_sample_file_is_every_key_at_its_default() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("talos.yaml");
    let secret = ("TALOS_SECRETS_HMAC_CURRENT".to_owned(), SECRET.to_owned());
    let (mut from_sample, warnings) =
        Settings::load(Some(&sample), [secret].into_iter(), &[]).expect("settings");
    assert_eq!(warnings, []);
    let (mut defaults, _) = load(
        "credentials: {issuer: 'http://localhost:4420'}",
        &[("TALOS_CREDENTIALS_ISSUER", "http://localhost:4420")],
    )
    .expect("settings");
    for settings in [&mut from_sample, &mut defaults] {
        settings.files.clear();
    }
    assert_eq!(format!("{from_sample:?}"), format!("{defaults:?}"));
    let text = fs::read_to_string(&sample).expect("the sample");
    for key in KEYS {
        let name = key.path.rsplit('.').next().unwrap_or_default();
        assert!(
            text.contains(&format!("{name}:")),
            "{} is missing from the sample",
            key.path
        );
    }
}

#[test]
fn environment_over_file_over_preset_over_default() {
    let preset = |values: &[&str]| Preset {
        path: "serve.http.port",
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let port = |yaml: &str, environment: &[(&str, &str)], presets: &[Preset]| {
        let required = [
            ("TALOS_CREDENTIALS_ISSUER", "x"),
            ("TALOS_SECRETS_HMAC_CURRENT", SECRET),
        ];
        let environment: Vec<_> = required.iter().chain(environment).copied().collect();
        load_bare(yaml, &environment, presets)
            .expect("settings")
            .0
            .serve
            .http
            .listener
            .port
    };
    let file = "serve: {http: {port: 2}}";
    let variable = [("TALOS_SERVE_HTTP_PORT", "1")];
    assert_eq!(port(file, &variable, &[preset(&["3"])]), 1);
    assert_eq!(port(file, &[], &[preset(&["3"])]), 2);
    assert_eq!(port("", &[], &[preset(&["3"])]), 3);
    assert_eq!(port("", &[], &[]), 4420);
    // A bad value that is overridden is ignored.
    assert_eq!(port("serve: {http: {port: x}}", &variable, &[]), 1);
}

#[test]
fn lists_from_the_environment() {
    let retired = |environment: &[(&str, &str)]| {
        load(
            "credentials: {api_keys: {prefix: {retired: [file]}}}",
            environment,
        )
        .expect("settings")
        .0
        .credentials
        .api_keys
        .prefix
        .retired
    };
    assert_eq!(retired(&[]), ["file"]);
    assert_eq!(
        retired(&[("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "a,b")]),
        ["a", "b"]
    );
    assert_eq!(
        retired(&[("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "[]")]),
        [""; 0]
    );
    // An empty variable is not set.
    assert_eq!(
        retired(&[("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED", "")]),
        ["file"]
    );
    let items = [
        ("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED_0", "a"),
        ("TALOS_CREDENTIALS_API_KEYS_PREFIX_RETIRED_1", "b"),
    ];
    assert_eq!(retired(&items), ["a", "b"]);
}

#[test]
fn values_that_need_a_restart_are_compared_by_meaning() {
    let fixed = |yaml: &str| load(yaml, &[]).expect("settings").0.fixed;
    let yaml = "serve: {workers: 2, shutdown: {delay: 60s}}\nlog: {level: info}\n";
    let start = fixed(yaml);
    for (text, other, changed) in [
        ("60s", "1m", &[][..]),
        ("info", "debug", &[]),
        ("workers: 2", "workers: 3", &["serve.workers"]),
        ("workers: 2, ", "", &["serve.workers"]),
        (
            "log:",
            "db: {dsn: 'rocksdb://talos-data'}\nlog:",
            &["db.dsn"],
        ),
        ("log:", "db: {dsn: 'rocksdb://./talos-data'}\nlog:", &[]),
    ] {
        let other = yaml.replace(text, other);
        assert_eq!(start.changed(&fixed(&other)), changed, "{other}");
    }
}

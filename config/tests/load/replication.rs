//! The settings of replication.

use talos_config::{ReplicationRole, Settings};

use super::*;

const REPLICA: &str = "replication: {role: replica, primary: 'primary.example:4421', secret: correct-horse-battery-staple-9876543210}";
const OTHER: &str = "correct-horse-battery-staple-9876543210";

fn sample(name: &str, secrets: &[&str]) -> Loaded {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    let variables = secrets
        .iter()
        .map(|name| ((*name).to_owned(), SECRET.to_owned()));
    Settings::load(Some(&path), variables, &[])
}

#[test]
fn a_node_stands_alone_unless_it_is_told_otherwise() {
    let (settings, warnings) = load("", &[]).expect("settings");
    assert_eq!(warnings, []);
    let alone = settings.replication;
    assert_eq!(alone.role, ReplicationRole::None);
    assert_eq!(alone.listen.to_string(), "127.0.0.1:4421");
    assert!(alone.primary.is_none() && alone.primary_url.is_none() && alone.secret.is_none());
    assert_eq!((alone.tls.own(), &alone.tls.ca), (None, &None));
    assert_eq!(
        (alone.min_acks, alone.max_staleness),
        (0, Duration::from_secs(10))
    );
    assert_eq!(alone.ack_timeout, Duration::from_secs(15));
    assert_eq!(alone.log.retention, Duration::from_secs(7 * 24 * 3600));
    assert_eq!(alone.log.bytes_max, 1 << 30);
    assert_eq!(alone.snapshots.concurrent, 2);
    assert_eq!(alone.snapshots.bytes_per_second, 64 << 20);
    let unused = load("replication: {primary: 'p:1'}", &[])
        .expect("settings")
        .1;
    let unused: Vec<_> = unused.iter().map(|warning| warning.key).collect();
    assert_eq!(unused, ["replication.primary"], "with role none");
}

#[test]
fn the_sample_files_are_two_nodes_of_one_machine() {
    let secrets = ["TALOS_SECRETS_HMAC_CURRENT", "TALOS_REPLICATION_SECRET"];
    let [primary, replica] = ["primary.yaml", "replica.yaml"].map(|name| {
        let (settings, warnings) = sample(name, &secrets).expect(name);
        assert_eq!(warnings, [], "{name}");
        settings
    });
    let called = replica.replication.primary.clone().expect("an address");
    assert_eq!(primary.replication.role, ReplicationRole::Primary);
    assert_eq!(replica.replication.role, ReplicationRole::Replica);
    assert_eq!(called.to_string(), primary.replication.listen.to_string());
    assert_eq!(
        replica.replication.primary_url.as_deref(),
        Some(format!("http://{}", primary.serve.http.listener.address()).as_str())
    );
    assert_eq!(primary.credentials.issuer, replica.credentials.issuer);
    assert_ne!(primary.db.directory, replica.db.directory);
    let addresses = |settings: &Settings| {
        [
            settings.serve.http.listener.address(),
            settings.serve.metrics.address(),
            settings.replication.listen,
        ]
    };
    let all: std::collections::HashSet<_> = [addresses(&primary), addresses(&replica)]
        .concat()
        .into_iter()
        .collect();
    assert_eq!(all.len(), 6, "no port twice: {all:?}");
    assert!(all.iter().all(|address| address.ip().is_loopback()));
    // The secret is required.
    for name in ["primary.yaml", "replica.yaml"] {
        let lines = complaints(sample(name, &["TALOS_SECRETS_HMAC_CURRENT"]));
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line = lines.concat();
        assert!(
            line.starts_with("replication.secret: required")
                && line.contains("openssl rand -hex 32")
                && line.contains("TALOS_REPLICATION_SECRET"),
            "{line}"
        );
    }
}

#[test]
fn what_is_not_chosen_follows_from_the_primary() {
    let replica = |yaml: &str| load(yaml, &[]).expect("settings").0.replication;
    let of_name = replica(REPLICA);
    assert_eq!(
        of_name.primary_url.as_deref(),
        Some("http://primary.example:4420")
    );
    assert_eq!(
        of_name.secret.map(|secret| secret.expose().to_owned()),
        Some(OTHER.to_owned())
    );
    assert_eq!(of_name.tls.server_name, None, "no TLS");
    let of_address = REPLICA.replace("primary.example", "[::1]");
    let of_address = replica(&of_address.replace('}', ", tls: {ca: ca.pem}}"));
    assert_eq!(of_address.primary_url.as_deref(), Some("http://[::1]:4420"));
    assert_eq!(of_address.tls.server_name.as_deref(), Some("::1"));
    let chosen = REPLICA.replace(
        '}',
        ", primary_url: 'https://keys.example/', tls: {ca: ca.pem, cert: c.pem, key: k.pem, server_name: other}}",
    );
    let chosen = replica(&chosen);
    assert_eq!(chosen.primary_url.as_deref(), Some("https://keys.example"));
    assert_eq!(chosen.tls.server_name.as_deref(), Some("other"));
    assert_eq!(
        chosen.tls.own(),
        Some((Path::new("c.pem"), Path::new("k.pem")))
    );
}

#[test]
fn keys_that_do_not_fit_together_say_which_is_wrong() {
    let primary = |more: &str| format!("replication: {{role: primary, secret: {OTHER}, {more}}}");
    let replica = |more: &str| REPLICA.replace('}', &format!(", {more}}}"));
    for (yaml, says) in [
        (
            format!("replication: {{role: replica, secret: {OTHER}}}"),
            "replication.primary: required for a replica",
        ),
        (
            primary("tls: {cert: c.pem}"),
            "replication.tls.key: missing beside replication.tls.cert",
        ),
        (
            "replication: {tls: {key: k.pem}}".to_owned(),
            "replication.tls.cert: missing beside replication.tls.key",
        ),
        (
            primary("tls: {ca: ca.pem}"),
            "replication.tls.cert: missing beside replication.tls.ca",
        ),
        (
            replica("tls: {cert: c.pem, key: k.pem}"),
            "replication.tls.ca: missing beside replication.tls.cert",
        ),
        (
            primary("max_staleness: 15s"),
            "replication.ack_timeout: not longer than replication.max_staleness",
        ),
        (
            replica("ack_timeout: 10s"),
            "replication.ack_timeout: not longer than replication.max_staleness",
        ),
        (
            primary(&format!("secret_retired: [{}]", [OTHER; 9].join(", "))),
            "replication.secret_retired: 9 secrets are too many; allowed: at most 8",
        ),
    ] {
        let line = complaint(&yaml, &[]);
        assert!(
            after_place(&line).starts_with(says) && !line.contains(OTHER),
            "{yaml}: {line}"
        );
    }
    // A standalone node does not wait for replicas.
    assert!(load("replication: {max_staleness: 15s}", &[]).is_ok());
    let one_sided = load(
        &replica("primary_url: 'https://p.example', tls: {ca: ca.pem}"),
        &[],
    )
    .expect("settings")
    .1;
    let one_sided: Vec<_> = one_sided.iter().map(|warning| warning.key).collect();
    assert_eq!(one_sided, ["replication.tls.cert"]);
}

#[test]
fn bad_values_of_replication_say_what_is_allowed() {
    for (yaml, says) in [
        ("{role: leader}", "one of none, primary, replica"),
        (
            "{listen: 'example.com:4421'}",
            "not an IP address; allowed: HOST:PORT",
        ),
        ("{primary: primary}", "no port; allowed: HOST:PORT"),
        (
            "{primary_url: 'http://a/b'}",
            "more than a host and a port; allowed: http://",
        ),
        (
            "{max_staleness: 999ms}",
            "too small; allowed: a duration from 1s to 600s",
        ),
        ("{max_staleness: 11m}", "too large"),
        (
            "{min_acks: 257}",
            "too large; allowed: a whole number from 0 to 256",
        ),
        ("{log: {retention: 59s}}", "too small"),
        (
            "{log: {max_bytes: 1 KiB}}",
            "too small; allowed: a size from 1 MiB",
        ),
        ("{snapshots: {concurrent: 0}}", "too small"),
        ("{snapshots: {rate: 1}}", "too small"),
    ] {
        let line = complaint(&format!("replication: {yaml}"), &[]);
        assert!(line.contains(says), "{yaml}: {line}");
    }
}

#[test]
fn where_keys_are_stored_is_known_without_the_secret_of_replication() {
    let variables = [
        ("TALOS_REPLICATION_ROLE", "primary"),
        ("TALOS_DB_DSN", "rocksdb://x"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let (db, _) =
        talos_config::Database::load(None, variables.into_iter(), None).expect("settings");
    assert_eq!(db.directory, PathBuf::from("x"));
}

#[test]
fn a_primary_on_another_machine_is_asked_over_tls_or_not_with_secrets() {
    let warned = |more: &str| {
        let yaml = REPLICA.replace('}', &format!("{more}}}"));
        let warnings = load(&yaml, &[]).expect("settings").1;
        let keys = warnings.iter().map(|warning| warning.key);
        keys.collect::<Vec<_>>()
    };
    let plain = "replication.primary_url";
    let unused = "replication.forward.ca";
    assert_eq!(warned(""), [plain]);
    assert_eq!(
        warned(", forward: {allow_plain: true}"),
        <[&str; 0]>::default()
    );
    assert_eq!(
        warned(", primary_url: 'https://p.example'"),
        <[&str; 0]>::default()
    );
    assert_eq!(
        warned(", primary_url: 'http://127.0.0.1:1'"),
        <[&str; 0]>::default()
    );
    assert_eq!(warned(", forward: {ca: c.pem}"), [plain, unused]);
    let yaml = REPLICA.replace(
        '}',
        ", primary_url: 'https://p', forward: {ca: c, cert: d, key: e}}",
    );
    let forward = load(&yaml, &[]).expect("settings").0.replication.forward;
    assert_eq!(forward.ca.as_deref(), Some(Path::new("c")));
    assert_eq!(forward.own(), Some((Path::new("d"), Path::new("e"))));
    for (set, missing) in [("cert", "key"), ("key", "cert")] {
        let yaml = REPLICA.replace('}', &format!(", forward: {{{set}: f}}}}"));
        let lines = complaints(load(&yaml, &[])).concat();
        let says =
            format!("replication.forward.{missing}: missing beside replication.forward.{set}");
        assert!(lines.contains(&says), "{lines}");
    }
}

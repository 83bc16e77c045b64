//! What the configuration of tenants may say.

use std::process::Output;

use super::*;

/// Starts a server whose configuration is wrong.
fn refused(site: &Site, path: &Path) -> String {
    let Output { status, stderr, .. } = command(site, path).output().unwrap();
    assert_eq!(status.code(), Some(1));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn a_tenant_sets_only_what_is_its_own() {
    let site = Site::new(Driver::Epoll);
    let more = "serve: {http: {port: 1}}\nlog: {level: debug}\ncolour: red\n";
    let path = configure(&site, "", &(overlay() + more));
    let server = Server::start(command(&site, &path), site.directory().join("own.log"));
    let warnings: Vec<_> = server
        .log_lines()
        .into_iter()
        .filter(|line| line["key"] == "multitenancy.networks")
        .map(|line| line["message"].as_str().unwrap().to_owned())
        .collect();
    for key in ["serve.http.port", "log.level", "colour"] {
        let names = |warning: &&String| warning.contains(key) && warning.contains("b.yaml:");
        assert_eq!(
            warnings.iter().filter(names).count(),
            1,
            "{key} {warnings:?}"
        );
    }
    server.stop();
}

#[test]
fn faults_are_named_with_their_places() {
    let site = Site::new(Driver::Epoll);
    for (overlay, parts) in [
        (
            "db: {dsn: 'postgres://elsewhere/db'}\n",
            &["b.yaml:1", "db.dsn", "share the database"][..],
        ),
        (
            "quota: {api_keys_max: many}\n",
            &["b.yaml:1", "quota.api_keys_max", "whole number"],
        ),
        (
            "secrets: {hmac: {current: short}}\n",
            &["b.yaml:1", "secrets.hmac.current", "32 characters"],
        ),
        (
            "credentials: {api_keys: {prefix: {current: mc}}}\n",
            &["00000000-0000-4000-8000-00000000000b", "told apart"],
        ),
        ("[", &["b.yaml", "not valid YAML"]),
    ] {
        let path = configure(&site, "", overlay);
        let message = refused(&site, &path);
        for part in parts {
            assert!(message.contains(part), "{overlay}: {message}");
        }
        assert!(
            !message.contains("short\""),
            "secrets are not repeated: {message}"
        );
    }
    let path = configure(&site, "", "");
    fs::remove_file(site.directory().join("b.yaml")).unwrap();
    assert!(refused(&site, &path).contains("b.yaml"));
}

#[test]
fn hosts_lead_to_one_tenant() {
    let site = Site::new(Driver::Epoll);
    for (more, part) in [
        (
            format!("  - {{hostname: 'A.example:80', id: {ID_C}}}\n"),
            "two tenants",
        ),
        (format!("  - {{hostname: {A}, id: {ID_A}}}\n"), "twice"),
        (
            format!("  - {{hostname: d.example, id: {ID_B}, config_path: d.yaml}}\n"),
            "two files",
        ),
        ("  - {hostname: d.example, id: seven}\n".to_owned(), "UUID"),
    ] {
        let path = configure(&site, &more, "");
        let message = refused(&site, &path);
        assert!(message.contains(part), "{more}: {message}");
    }
}

#[test]
fn a_forwarded_host_needs_proxies_that_are_trusted() {
    let site = Site::new(Driver::Epoll);
    let path = configure(&site, "", "");
    let mut command = command(&site, &path);
    command.env("TALOS_SERVE_HTTP_TRUST_FORWARDED_HOST", "true");
    let output = command.output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("serve.http.trusted_proxies"), "{message}");
}

#[test]
fn a_secret_of_all_tenants_is_required() {
    let site = Site::new(Driver::Epoll);
    let path = configure(&site, "", &overlay());
    let yaml = fs::read_to_string(&path).unwrap();
    fs::write(&path, yaml.replace(SECRET, "")).unwrap();
    assert!(refused(&site, &path).contains("secrets.hmac.current"));
}

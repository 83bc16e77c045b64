//! References that nobody has replaced, URLs of files in place of secrets, and key sets of other
//! servers.

use talos_model::Secret;

use super::*;

#[test]
fn references_are_refused_wherever_they_are() {
    for (key, value) in [
        ("credentials.issuer", "https://${HOST}"),
        ("db.dsn", "rocksdb://${DATA_DIR}/talos"),
        ("serve.http.port", "${PORT:-4420}"),
        (
            "secrets.hmac.current",
            "${HMAC_SECRET_FROM_THE_VAULT_OF_US}",
        ),
        (
            "secrets.pagination.current",
            "$(PAGINATION_SECRET_OF_THIS_POD)",
        ),
        (
            "secrets.default.current",
            "{{ .Values.secrets.default.current }}",
        ),
        ("secrets.hmac.current", "$HMAC_SECRET_FROM_THE_VAULT_OF_US"),
    ] {
        let variable = format!("TALOS_{}", key.to_uppercase().replace('.', "_"));
        let line = complaint("", &[(&variable, value)]);
        let says = format!("{variable}: {key}: ");
        assert!(
            line.starts_with(&says) && line.contains("not expanded"),
            "{line}"
        );
        assert!(!line.contains("VAULT"), "{line}");
        let path = key.replace('.', ": {");
        let yaml = format!("{path}: '{value}'{}", "}".repeat(key.matches('.').count()));
        let lines = complaints(load_bare(&yaml, &[("TALOS_CREDENTIALS_ISSUER", "")], &[]));
        assert!(
            lines.iter().any(|line| line.contains("not expanded")),
            "{lines:?}"
        );
    }
    for yaml in [
        "secrets: {hmac: {retired: [an-old-secret-of-enough-characters, '${OLD}']}}",
        "serve: {http: {trusted_proxies: ['${PROXY}']}}",
        "serve: {admin: {auth: {peers: [{uid: '${UID}', role: read}]}}}",
    ] {
        let line = complaint(yaml, &[]);
        assert!(
            line.contains("item ") && line.contains("not expanded"),
            "{line}"
        );
    }
}

#[test]
fn the_url_of_a_file_is_no_secret() {
    for url in [
        "file:///run/secrets/talos-hmac-current",
        "FILE:///run/secrets/talos-hmac-current",
        "file:run/secrets/talos-hmac-current-one",
        "file://./secrets/talos-hmac-current-one",
    ] {
        for variable in [
            "TALOS_SECRETS_HMAC_CURRENT",
            "TALOS_SECRETS_HMAC_RETIRED",
            "TALOS_SECRETS_DEFAULT_CURRENT",
            "TALOS_SERVE_ADMIN_AUTH_BOOTSTRAP_TOKEN",
            "TALOS_REPLICATION_SECRET",
        ] {
            let line = complaint("", &[(variable, url)]);
            assert!(
                line.contains("_FILE") && !line.contains("run/secrets"),
                "{line}"
            );
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a-file-with-a-secret-of-this-server");
    fs::write(&path, SECRET).expect("a file");
    let path = path.to_str().expect("a path");
    let line = complaint("", &[("TALOS_SECRETS_HMAC_CURRENT", path)]);
    assert!(line.contains("_FILE"), "{line}");
}

const KEY_SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"far","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// Settings with these URLs of key sets.
fn with_urls(urls: &str) -> Settings {
    let variable = (
        "TALOS_CREDENTIALS_DERIVED_TOKENS_JWT_SIGNING_KEYS_URLS",
        urls,
    );
    load("", &[variable]).expect("settings").0
}

#[test]
fn key_sets_are_fetched_in_their_order() {
    let near = "base64://eyJrZXlzIjpbXX0=";
    let mut settings = with_urls(&format!("{near},https://keys.example/a?key=hush"));
    assert!(settings.credentials.key_sets.has_remote());
    let mut asked = Vec::new();
    let warnings = settings.fetch_key_sets(|url| {
        asked.push(url.to_owned());
        Ok(Secret::new(KEY_SET.to_owned()))
    });
    assert_eq!(warnings.expect("keys"), []);
    assert_eq!(asked, ["https://keys.example/a?key=hush"]);
    let tenant = settings.tenants.first().expect("the only tenant");
    let keys = tenant.credentials.signing_keys.public_set().to_string();
    assert!(keys.contains(r#""kid":"far""#), "{keys}");
    assert!(!format!("{settings:?}").contains("hush"));
    let mut local = with_urls(near);
    let none = local.fetch_key_sets(|_| panic!("nothing to fetch"));
    assert_eq!(none.expect("keys"), []);
}

#[test]
fn a_key_set_that_cannot_be_used_stops_the_start() {
    for (fetched, says) in [
        (Err("refused".to_owned()), "refused"),
        (Ok("<html>hush</html>"), "not a JSON Web Key Set"),
        (Ok(r#"{"keys":[{"kty":"hush"}]}"#), "key 0 of the set"),
    ] {
        let mut settings = with_urls("https://keys.example:8443/a?key=hush");
        let fetched = fetched.map(|text| Secret::new(text.to_owned()));
        let error = settings.fetch_key_sets(|_| fetched.clone());
        let text = error.expect_err("no keys").to_string();
        assert!(
            text.contains("item 0: https://keys.example:8443: "),
            "{text}"
        );
        assert!(text.contains(says) && !text.contains("hush"), "{text}");
    }
}

#[test]
fn a_signing_key_is_missed_when_all_keys_are_there() {
    let yaml = "credentials: {derived_tokens: {jwt: {signing_key_id: mine, signing_keys: {urls: ['https://keys.example']}}}}";
    let (mut settings, warnings) = load(yaml, &[]).expect("settings");
    assert_eq!(warnings, []);
    let warnings = settings.fetch_key_sets(|_| Ok(Secret::new(KEY_SET.to_owned())));
    let warnings = warnings.expect("keys");
    let keys: Vec<_> = warnings.iter().map(|warning| warning.key).collect();
    assert_eq!(keys, ["credentials.derived_tokens.jwt.signing_key_id"]);
}

//! Lists from variables and files: JSON arrays, single items, and items that expire.

use talos_model::clock::UnixMillis;

use super::*;

const ONE: &str = "one-retired-secret-of-32-characters,with-a-comma";
const TWO: &str = "two-retired-secret-of-32-characters";
const VARIABLE: &str = "TALOS_SECRETS_HMAC_RETIRED";

/// The retired secrets, each with the millisecond at which it expires.
fn retired(yaml: &str, environment: &[(&str, &str)]) -> Vec<(String, Option<i64>)> {
    let (settings, warnings) = load(yaml, environment).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(warnings, []);
    let retired = settings.secrets.hmac_retired.into_iter();
    retired
        .map(|old| {
            let expires_at = old.expires_at.map(|UnixMillis(millis)| millis);
            (old.secret.expose().to_owned(), expires_at)
        })
        .collect()
}

#[test]
fn json_arrays_are_not_cut_at_commas() {
    let both = [(ONE.to_owned(), None), (TWO.to_owned(), None)];
    for text in [
        format!(r#"["{ONE}","{TWO}"]"#),
        format!(r#" [ "{ONE}", {{"value": "{TWO}"}} ] "#),
        format!("[\n  \"{ONE}\",\n  \"{TWO}\"\n]\n"),
    ] {
        assert_eq!(retired("", &[(VARIABLE, &text)]), both, "{text}");
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("secrets");
        fs::write(&path, text).expect("a file");
        let path = path.to_str().expect("a path");
        assert_eq!(
            retired("", &[("TALOS_SECRETS_HMAC_RETIRED_FILE", path)]),
            both
        );
    }
    assert_eq!(retired("", &[(VARIABLE, "[]")]), []);
    let scopes = |text: &str| {
        let variable = ("TALOS_SERVE_HTTP_CORS_ALLOWED_METHODS", text);
        let (settings, _) = load("", &[variable]).expect("settings");
        settings.serve.http.cors.allowed_methods.join("|")
    };
    assert_eq!(scopes(r#"["GET","PUT"]"#), "GET|PUT");
    assert_eq!(scopes("GET, PUT"), "GET|PUT");
}

#[test]
fn what_begins_like_an_array_and_is_none_is_refused() {
    for text in [
        format!("[{ONE}"),
        format!(r#"["{ONE}"#),
        format!(r#"["{ONE}","{TWO}"] and more"#),
        format!(r#"[["{ONE}"]]"#),
        format!(r#"[{{"secret": "{ONE}"}}]"#),
        format!(r#"["{ONE}", null]"#),
        format!(r#"["{ONE}","short"]"#),
    ] {
        let line = complaint("", &[(VARIABLE, &text)]);
        assert!(line.contains("secrets.hmac.retired"), "{line}");
        assert!(!line.contains("one-retired"), "{line}");
    }
}

#[test]
fn secrets_and_issuers_may_expire() {
    let item = format!("{{value: '{TWO}', expires_at: 2027-01-31T00:00:00Z}}");
    let json = format!(r#"{{"value":"{TWO}","expires_at":"2027-01-31T00:00:00Z"}}"#);
    let both = [
        (ONE.to_owned(), None),
        (TWO.to_owned(), Some(1_801_353_600_000)),
    ];
    let yaml = format!("secrets: {{hmac: {{retired: ['{ONE}', {item}]}}}}");
    assert_eq!(retired(&yaml, &[]), both);
    let array = format!(r#"["{ONE}",{json}]"#);
    assert_eq!(retired("", &[(VARIABLE, &array)]), both);
    let items = [
        ("TALOS_SECRETS_HMAC_RETIRED_0", ONE),
        ("TALOS_SECRETS_HMAC_RETIRED_1", &json),
    ];
    assert_eq!(retired("", &items), both);
    let issuers = r#"["https://old.example", {"value": "https://older.example", "expires_at": "2027-01-31T01:00:00+01:00"}]"#;
    let variable = ("TALOS_CREDENTIALS_ISSUER_RETIRED", issuers);
    let (settings, _) = load("", &[variable]).expect("settings");
    let expiry = settings.credentials.issuers_retired.iter();
    let expiry = expiry.map(|issuer| issuer.expires_at).collect::<Vec<_>>();
    assert_eq!(expiry, [None, Some(UnixMillis(1_801_353_600_000))]);
    for bad in [
        format!("[{{value: '{TWO}', expires_at: soon}}]"),
        format!("[{{value: '{TWO}', expires_at: 2027-01-31}}]"),
        "[{value: short, expires_at: 2027-01-31T00:00:00Z}]".to_owned(),
        "[{expires_at: 2027-01-31T00:00:00Z}]".to_owned(),
    ] {
        for section in ["hmac", "pagination", "default"] {
            let line = complaint(&format!("secrets: {{{section}: {{retired: {bad}}}}}"), &[]);
            assert!(!line.contains("two-retired"), "{line}");
        }
    }
}

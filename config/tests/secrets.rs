//! Which secret serves which purpose, and which secret replaces a missing one.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use talos_config::{ConfigError, KEYS, Sensitivity, Settings, Warning};

const DEFAULT: &str = "default-default-default-default-";
const HMAC: &str = "hmac-hmac-hmac-hmac-hmac-hmac-hm";
const PAGINATION: &str = "pagination-pagination-pagination";
const OLD: &str = "retired-retired-retired-retired-";

fn load(pairs: &[(&str, &str)]) -> Result<(Settings, Vec<Warning>), ConfigError> {
    let issuer = ("TALOS_CREDENTIALS_ISSUER", "i");
    let variables = [issuer].into_iter().chain(pairs.iter().copied());
    let owned = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Settings::load(None, owned, &[])
}

/// The secrets of checksums and of page tokens. In each list the current secret comes first, then
/// the retired ones.
fn secrets(pairs: &[(&str, &str)]) -> [Vec<String>; 2] {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (format!("TALOS_SECRETS_{name}"), *value))
        .collect();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let (settings, warnings) = load(&pairs).expect("settings");
    assert_eq!(warnings, []);
    let secrets = settings.secrets;
    [
        (secrets.hmac_current, secrets.hmac_retired),
        (secrets.pagination_current, secrets.pagination_retired),
    ]
    .map(|(current, retired)| {
        let retired = retired.into_iter().map(|retired| retired.secret);
        let all = std::iter::once(current).chain(retired);
        all.map(|secret| secret.expose().to_owned()).collect()
    })
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn each_purpose_has_its_own_secret() {
    let found = secrets(&[
        ("DEFAULT_CURRENT", DEFAULT),
        ("DEFAULT_RETIRED", OLD),
        ("HMAC_CURRENT", HMAC),
        ("PAGINATION_CURRENT", PAGINATION),
    ]);
    assert_eq!(found, [owned(&[HMAC]), owned(&[PAGINATION])]);
}

#[test]
fn the_default_stands_in_with_its_retired_ones() {
    let found = secrets(&[("DEFAULT_CURRENT", DEFAULT), ("DEFAULT_RETIRED", OLD)]);
    assert_eq!(found, [owned(&[DEFAULT, OLD]), owned(&[DEFAULT, OLD])]);
    let found = secrets(&[
        ("DEFAULT_CURRENT", DEFAULT),
        ("HMAC_RETIRED", OLD),
        ("PAGINATION_CURRENT", PAGINATION),
    ]);
    assert_eq!(found, [owned(&[DEFAULT, OLD]), owned(&[PAGINATION])]);
}

#[test]
fn page_tokens_are_sealed_by_the_secret_of_checksums_when_there_is_no_other() {
    let found = secrets(&[("HMAC_CURRENT", HMAC), ("HMAC_RETIRED", OLD)]);
    assert_eq!(found, [owned(&[HMAC, OLD]), owned(&[HMAC, OLD])]);
    let found = secrets(&[("HMAC_CURRENT", HMAC), ("DEFAULT_CURRENT", DEFAULT)]);
    assert_eq!(found, [owned(&[HMAC]), owned(&[DEFAULT])]);
}

#[test]
fn some_secret_is_needed_and_all_are_long() {
    let error =
        load(&[("TALOS_SECRETS_PAGINATION_CURRENT", PAGINATION)]).expect_err("none for checksums");
    let text = error.to_string();
    assert!(text.contains("secrets.hmac.current: required"), "{text}");
    for name in [
        "DEFAULT_CURRENT",
        "DEFAULT_RETIRED",
        "PAGINATION_CURRENT",
        "PAGINATION_RETIRED",
    ] {
        let variable = format!("TALOS_SECRETS_{name}");
        let error = load(&[
            ("TALOS_SECRETS_HMAC_CURRENT", HMAC),
            (&variable, "too-short-by-far"),
        ]);
        let text = error.expect_err("too short").to_string();
        assert!(
            text.contains("at least 32 characters") && !text.contains("by-far"),
            "{text}"
        );
    }
    // A default that is too short is one problem, not two.
    let error =
        load(&[("TALOS_SECRETS_DEFAULT_CURRENT", "too-short-by-far")]).expect_err("too short");
    assert_eq!(error.to_string().lines().count(), 1, "{error}");
}

/// Writes a file and returns its path.
fn file(directory: &tempfile::TempDir, name: &str, content: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, content).expect("a file");
    path.to_str().expect("a path").to_owned()
}

#[test]
fn secrets_may_be_in_files() {
    let directory = tempfile::tempdir().expect("a directory");
    let hmac = file(&directory, "hmac", &format!("{HMAC}\n"));
    let retired = file(&directory, "retired", &format!("{OLD}\n{PAGINATION}\n"));
    let found = secrets(&[
        ("HMAC_CURRENT_FILE", &hmac),
        ("HMAC_RETIRED_FILE", &retired),
        ("PAGINATION_CURRENT", PAGINATION),
    ]);
    let wanted = [owned(&[HMAC, OLD, PAGINATION]), owned(&[PAGINATION])];
    assert_eq!(found, wanted);
    let old = file(&directory, "old", OLD);
    let found = secrets(&[
        ("HMAC_CURRENT_FILE", &hmac),
        ("HMAC_RETIRED_0_FILE", &old),
        ("HMAC_RETIRED_1", DEFAULT),
    ]);
    assert_eq!(found[0], owned(&[HMAC, OLD, DEFAULT]));
}

#[test]
fn every_secret_may_be_in_a_file_and_nothing_else() {
    let missing = "/nowhere/at/all";
    for key in KEYS {
        let variable = format!("{}_FILE", key.variable());
        let other = match key.path {
            "secrets.default.current" => "TALOS_SECRETS_HMAC_CURRENT",
            _ => "TALOS_SECRETS_DEFAULT_CURRENT",
        };
        match load(&[(other, DEFAULT), (&variable, missing)]) {
            Err(error) => {
                let text = error.to_string();
                let read = format!("{variable}: {}: cannot read", key.path);
                assert!(text.contains(&read), "{text}");
                assert_eq!(key.sensitivity, Sensitivity::Secret, "{text}");
                assert_eq!(text.lines().count(), 1, "{text}");
            }
            Ok((_, warnings)) => {
                assert_eq!(key.sensitivity, Sensitivity::Public, "{variable}");
                let warning = warnings.first().map(ToString::to_string);
                let said = format!("environment: {variable}: no such setting");
                assert!(
                    warning.is_some_and(|text| text.starts_with(&said)),
                    "{variable}"
                );
            }
        }
    }
}

#[test]
fn a_secret_has_one_source() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = file(&directory, "hmac", HMAC);
    let (current, retired) = ("TALOS_SECRETS_HMAC_CURRENT", "TALOS_SECRETS_HMAC_RETIRED");
    let name = |variable: &str, end: &str| format!("{variable}{end}");
    for pairs in [
        vec![(name(current, ""), HMAC), (name(current, "_FILE"), &path)],
        vec![(name(retired, ""), OLD), (name(retired, "_FILE"), &path)],
        vec![(name(retired, "_0"), OLD), (name(retired, "_FILE"), &path)],
        vec![
            (name(retired, "_0"), OLD),
            (name(retired, "_0_FILE"), &path),
        ],
    ] {
        let mut pairs: Vec<_> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), *value))
            .collect();
        pairs.push(("TALOS_SECRETS_DEFAULT_CURRENT", DEFAULT));
        let text = load(&pairs).expect_err("two sources").to_string();
        assert!(text.contains("use only one of them"), "{text}");
        assert!(!text.contains(HMAC) && !text.contains(OLD), "{text}");
    }
}

#[test]
fn a_secret_that_would_be_lost_or_guessed_is_refused_wherever_it_is() {
    let directory = tempfile::tempdir().expect("a directory");
    for (bad, why) in [
        (format!("{HMAC}\n"), "ends with a line break"),
        (format!("{HMAC}\u{9b}"), "has a control character"),
        ("0".repeat(64), "different characters"),
    ] {
        for key in KEYS
            .iter()
            .filter(|key| key.allowed().contains("at least 32 characters"))
        {
            let mut sources = vec![(key.variable(), bad.clone())];
            // In a list, a line break ends an item.
            if !key.is_list() {
                let path = file(&directory, "secret", &format!("{bad}\n"));
                sources.push((format!("{}_FILE", key.variable()), path));
            } else if why.ends_with("break") {
                sources = vec![(format!("{}_0", key.variable()), bad.clone())];
            }
            for (variable, value) in sources {
                let text = load(&[(&variable, &value)])
                    .expect_err(&variable)
                    .to_string();
                assert!(
                    text.contains(why) && !text.contains(&bad),
                    "{variable}: {text}"
                );
            }
        }
    }
}

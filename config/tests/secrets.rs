//! Which secret serves which purpose, and which secret replaces a missing one.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use talos_config::{ConfigError, Settings, Warning};

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

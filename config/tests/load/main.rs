//! Loading settings from all sources, and every class of error.

#![cfg(test)]

mod accepted;
mod audit;
mod limits;
mod lists;
mod memory;
mod problems;
mod references;
mod replication;
mod sources;
mod tls;
mod tokens;
mod values;

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use talos_config::{
    CacheType, ConfigError, DriverChoice, Fallback, KEYS, LogFormat, LogLevel, Preset, Sensitivity,
    Settings, Warning,
};

const SECRET: &str = "correct-horse-battery-staple-0123456789";

type Loaded = Result<(Settings, Vec<Warning>), ConfigError>;

/// Loads `yaml` as `talos.yaml` with the required keys in the environment, unless `environment`
/// sets them.
fn load(yaml: &str, environment: &[(&str, &str)]) -> Loaded {
    let required = [
        ("TALOS_CREDENTIALS_ISSUER", "https://keys.example.com"),
        ("TALOS_SECRETS_HMAC_CURRENT", SECRET),
    ];
    let required = required
        .into_iter()
        .filter(|(name, _)| !environment.iter().any(|(other, _)| other == name));
    load_bare(
        yaml,
        &required
            .chain(environment.iter().copied())
            .collect::<Vec<_>>(),
        &[],
    )
}

fn load_bare(yaml: &str, environment: &[(&str, &str)], presets: &[Preset]) -> Loaded {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("talos.yaml");
    fs::write(&path, yaml).expect("a file");
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Settings::load(Some(&path), environment, presets)
}

/// The lines of the error, without the directory of the file.
fn complaints(loaded: Loaded) -> Vec<String> {
    let text = loaded.map(|_| ()).expect_err("an error").to_string();
    text.lines()
        .map(|line| match line.find("talos.yaml") {
            Some(at) => line.split_at(at).1.to_owned(),
            None => line.to_owned(),
        })
        .collect()
}

fn complaint(yaml: &str, environment: &[(&str, &str)]) -> String {
    let lines = complaints(load(yaml, environment));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.concat()
}

/// The line without the place in `talos.yaml` that it begins with, if it begins with one.
fn after_place(line: &str) -> &str {
    let place = line.strip_prefix("talos.yaml:");
    let rest = place.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    rest.and_then(|rest| rest.strip_prefix(' ')).unwrap_or(line)
}

//! The table of keys: everything that can be configured.
//!
//! To add a key:
//!
//! 1. Add a field for its value to [`Settings`](crate::Settings).
//! 2. Add an entry to the table of its section, `keys/SECTION.rs`: path, default, kind and setter,
//!    `.about(…)` what it is for, `.restart()` if a change takes effect only at the next start, and
//!    `.example(…)` if the default is none. A new table also goes into [`TABLES`], and a new
//!    mapping into `section.rs`.
//! 3. Write `config/talos.yaml` and `docs/configuration.md` anew: run the tests of this crate with
//!    `TALOS_TEST_WRITE=1`.
//! 4. If its value depends on other keys, add the rule to `checks.rs`.
//!
//! The file, the environment variable, the error messages, the suggestions, the JSON Schema and
//! `talos config` follow from the entry.

mod admin_auth;
mod audit;
mod cache;
mod cors;
mod credentials;
mod database;
mod http;
mod http_limits;
mod last_used;
mod log;
mod multitenancy;
mod number;
mod public;
mod quota;
mod rate_limit;
mod redis;
mod replication;
mod secrets;
mod serve;
mod throttle;
mod tls;
mod tracing;

use crate::error::Problem;
use crate::key::Key;
use crate::suggestion::{suggest, suggestions};

/// The tables of all sections, in the order of the sample file.
const TABLES: &[&[Key]] = &[
    http::KEYS,
    http_limits::KEYS,
    throttle::KEYS,
    tls::HTTP_KEYS,
    cors::KEYS,
    admin_auth::KEYS,
    public::KEYS,
    tls::PUBLIC_KEYS,
    serve::METRICS_KEYS,
    tls::METRICS_KEYS,
    serve::THREAD_KEYS,
    serve::SHUTDOWN_KEYS,
    credentials::KEYS,
    secrets::KEYS,
    database::KEYS,
    replication::KEYS,
    cache::KEYS,
    redis::KEYS,
    rate_limit::KEYS,
    quota::KEYS,
    last_used::KEYS,
    multitenancy::KEYS,
    tracing::KEYS,
    log::KEYS,
    audit::KEYS,
];

/// Every key, in the order of the sample file.
pub static KEYS: &[Key] = &joined();

const fn count() -> usize {
    let mut keys = 0;
    let mut sections = TABLES;
    while let Some((section, rest)) = sections.split_first() {
        keys += section.len();
        sections = rest;
    }
    keys
}

/// The sections one after the other. Evaluated by the compiler, so a wrong index does not compile.
#[expect(
    clippy::indexing_slicing,
    clippy::large_stack_arrays,
    reason = "evaluated at compile time"
)]
const fn joined() -> [Key; count()] {
    let mut keys = [TABLES[0][0]; count()];
    let mut at = 0;
    let mut sections = TABLES;
    while let Some((section, rest)) = sections.split_first() {
        let mut left = *section;
        while let Some((key, rest)) = left.split_first() {
            keys[at] = *key;
            at += 1;
            left = rest;
        }
        sections = rest;
    }
    keys
}

/// The key with exactly this path.
pub(crate) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.path == path)
}

/// The key with this path, or with this environment variable.
#[must_use]
pub fn find_key(name: &str) -> Option<&'static Key> {
    let has_variable = |key: &&Key| {
        key.variable() == name || key.file_variable().is_some_and(|variable| variable == name)
    };
    find(name).or_else(|| KEYS.iter().find(has_variable))
}

/// The keys in the mapping `section`, and in the mappings in it.
pub fn keys_inside(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| is_inside(key, section))
}

/// Keys and mappings that a misspelt path, or a misspelt environment variable, may mean; the most
/// probable first.
#[must_use]
pub fn suggested_paths(name: &str) -> Vec<&'static str> {
    let variables: Vec<(String, &Key)> = KEYS.iter().map(|key| (key.variable(), key)).collect();
    if name.starts_with("TALOS_") {
        let names = variables.iter().map(|(variable, _)| variable.as_str());
        let meant = suggestions(name, names);
        let path = |meant: &str| {
            let found = variables.iter().find(|(variable, _)| variable == meant);
            found.map(|(_, key)| key.path)
        };
        return meant.into_iter().filter_map(path).collect();
    }
    suggestions(name, paths())
}

/// Whether `path` is a mapping that contains keys.
pub(crate) fn is_group(path: &str) -> bool {
    KEYS.iter().any(|key| is_inside(key, path))
}

/// The path of the first key in the mapping `group`; empty if there is none.
pub(crate) fn first_inside(group: &str) -> &'static str {
    let first = KEYS.iter().find(|key| is_inside(key, group));
    first.map(|key| key.path).unwrap_or_default()
}

fn is_inside(key: &Key, group: &str) -> bool {
    let rest = key.path.strip_prefix(group);
    rest.is_some_and(|rest| rest.starts_with('.'))
}

/// The problem of a path that is not in the table. `place` is where it was read.
pub(crate) fn unknown(path: &str, place: String) -> Problem {
    let message = match suggest(path, paths()) {
        Some(meant) => format!("unknown key; did you mean {meant}?"),
        None => "unknown key".to_owned(),
    };
    Problem {
        place,
        key: path.to_owned(),
        message,
    }
}

/// Every path that may be written: keys, and the mappings around them.
fn paths() -> impl Iterator<Item = &'static str> + Clone {
    KEYS.iter().flat_map(|key| {
        key.path
            .match_indices('.')
            .filter_map(|(at, _)| key.path.get(..at))
            .chain([key.path])
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::section::SECTIONS;

    #[test]
    fn no_key_is_named_twice_or_inside_another() {
        let paths: HashSet<&str> = KEYS.iter().map(|key| key.path).collect();
        let variables: HashSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert!(KEYS.iter().all(|key| !is_group(key.path)));
        assert!(is_group("serve.http") && !is_group("serve.htt") && !is_group(""));
    }

    #[test]
    fn the_sections_are_the_mappings_around_the_keys_in_their_order() {
        let mut around: Vec<&str> = Vec::new();
        for path in paths() {
            if is_group(path) && !around.contains(&path) {
                around.push(path);
            }
        }
        let described: Vec<&str> = SECTIONS.iter().map(|section| section.path).collect();
        assert_eq!(described, around, "in section.rs, and around the keys");
        assert!(SECTIONS.iter().all(|section| section.about.ends_with('.')));
    }

    #[test]
    fn keys_are_found_by_path_and_variable_and_suggested() {
        let path = |name: &str| find_key(name).map(|key| key.path);
        assert_eq!(path("log.level"), Some("log.level"));
        assert_eq!(path("TALOS_LOG_LEVEL"), Some("log.level"));
        let secret = "secrets.hmac.current";
        assert_eq!(path("TALOS_SECRETS_HMAC_CURRENT_FILE"), Some(secret));
        assert_eq!((path("TALOS_LOG_LEVEL_FILE"), path("log")), (None, None));
        for (name, wanted) in [
            ("log.levl", "log.level"),
            ("TALOS_LOG_LEVLE", "log.level"),
            ("serv", "serve"),
            ("issuer", "credentials.issuer"),
            ("port", "serve.metrics.port"),
            ("macaroon", "credentials.derived_tokens.macaroon"),
        ] {
            let paths = suggested_paths(name);
            assert!(paths.contains(&wanted), "{name}: {paths:?}");
        }
        assert!(suggested_paths("zzz").is_empty());
        assert!(suggested_paths("port").len() <= 5);
    }

    #[test]
    fn variables_are_the_path_in_upper_case() {
        assert_eq!(
            find("serve.http.port").map(Key::variable).as_deref(),
            Some("TALOS_SERVE_HTTP_PORT")
        );
    }
}

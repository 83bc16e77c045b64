//! The table of keys: everything that can be configured.
//!
//! To add a key:
//!
//! 1. Add a field for its value to [`Settings`](crate::Settings).
//! 2. Add an entry to the table of its section, `keys/SECTION.rs`: path, default, kind and setter.
//!    A new section also goes into [`SECTIONS`].
//! 3. Add the key with its default and a comment to `config/talos.yaml`. A test compares both.
//! 4. If its value depends on other keys, add the rule to `checks.rs`.
//!
//! The file, the environment variable, the error messages and the suggestions follow from the
//! entry.

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
use crate::suggestion::suggest;

/// The tables of all sections, in the order of the sample file.
const SECTIONS: &[&[Key]] = &[
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
    let mut sections = SECTIONS;
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
    let mut keys = [SECTIONS[0][0]; count()];
    let mut at = 0;
    let mut sections = SECTIONS;
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

    #[test]
    fn no_key_is_named_twice_or_inside_another() {
        let paths: HashSet<&str> = KEYS.iter().map(|key| key.path).collect();
        let variables: HashSet<String> = KEYS.iter().map(Key::variable).collect();
        assert_eq!((paths.len(), variables.len()), (KEYS.len(), KEYS.len()));
        assert!(KEYS.iter().all(|key| !is_group(key.path)));
        assert!(is_group("serve.http") && !is_group("serve.htt") && !is_group(""));
    }

    #[test]
    fn variables_are_the_path_in_upper_case() {
        assert_eq!(
            find("serve.http.port").map(Key::variable).as_deref(),
            Some("TALOS_SERVE_HTTP_PORT")
        );
    }
}

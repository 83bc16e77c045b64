//! Reads single values: numbers within bounds, hosts, texts, prefixes and secrets. An error says
//! what is wrong with the value and never repeats it.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::Duration;

use talos_model::{Secret, duration};

/// The fewest characters of a secret: 32 hex digits still carry 128 bits.
pub(crate) const SECRET_CHARACTERS_MIN: usize = 32;
/// The fewest different characters of a secret. It refuses placeholders such as `xxxx…`; random
/// secrets have more.
const SECRET_DIFFERENT_MIN: usize = 4;
/// The most characters of a text.
pub(crate) const TEXT_CHARACTERS_MAX: usize = 255;

/// `value`, if it is within the bounds, which are inclusive.
pub(crate) fn within<T: Copy + PartialOrd>(value: T, min: T, max: T) -> Result<T, String> {
    if value < min {
        return Err("too small".to_owned());
    }
    if value > max {
        return Err("too large".to_owned());
    }
    Ok(value)
}

/// A duration; `None` if it is zero or less. A negative number may do without a unit, as zero may.
pub(crate) fn duration_or_none(text: &str) -> Result<Option<Duration>, String> {
    let (is_negative, amount) = match text.strip_prefix('-') {
        Some(amount) => (true, amount),
        None => (false, text),
    };
    let is_bare = !amount.is_empty() && amount.bytes().all(|byte| byte.is_ascii_digit());
    if is_negative && is_bare {
        return Ok(None);
    }
    let length = duration::parse(amount).map_err(|error| error.to_string())?;
    Ok(Some(length).filter(|length| !is_negative && !length.is_zero()))
}

/// An IP address or `localhost`, which is 127.0.0.1.
pub(crate) fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| "not an IP address".to_owned())
}

/// A text that is not empty, has at most [`TEXT_CHARACTERS_MAX`] characters and no control
/// character.
pub(crate) fn text(text: &str) -> Result<String, String> {
    let characters = text.chars().count();
    if characters == 0 || characters > TEXT_CHARACTERS_MAX || text.chars().any(char::is_control) {
        return Err("empty, too long or with control characters".to_owned());
    }
    Ok(text.to_owned())
}

/// The prefix of a credential: 1 to `characters_max` of `[A-Za-z0-9_]`.
pub(crate) fn prefix(text: &str, characters_max: usize) -> Result<String, String> {
    let fits = (1..=characters_max).contains(&text.len());
    if fits && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Ok(text.to_owned());
    }
    Err("not a prefix".to_owned())
}

/// A secret of at least [`SECRET_CHARACTERS_MIN`] characters, none of them a control character, and
/// not only a few of them over and over.
pub(crate) fn secret(text: &str) -> Result<Secret, String> {
    let characters = text.chars().count();
    if characters == 0 {
        return Err("empty".to_owned());
    }
    if text.ends_with(['\n', '\r']) {
        // It would be a part of the secret, and without it all keys would be void.
        return Err(
            "ends with a line break; remove it, for instance with printf %s instead of echo"
                .to_owned(),
        );
    }
    if names_a_file(text) {
        return Err(
            "names a file; set the variable of the key with _FILE at its end to the path, and the secret is read from there"
                .to_owned(),
        );
    }
    if is_url(text) {
        return Err(
            "is a URL, and nothing is fetched or decoded; put the secret itself here, or set the variable of the key with _FILE at its end to the path of a file with it"
                .to_owned(),
        );
    }
    if text.chars().any(char::is_control) {
        return Err("has a control character".to_owned());
    }
    if characters < SECRET_CHARACTERS_MIN {
        return Err(format!("only {characters} characters"));
    }
    let mut different: Vec<char> = text.chars().collect();
    different.sort_unstable();
    different.dedup();
    if different.len() < SECRET_DIFFERENT_MIN {
        return Err(format!(
            "only {} different characters, so it can be guessed; make one with `openssl rand -hex 32`",
            different.len()
        ));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Whether a text that should be a secret is the URL of a file, or the path of one that exists.
/// Taken as it is, it would be a secret that everybody can guess.
fn names_a_file(text: &str) -> bool {
    let scheme = text.get(..5).unwrap_or_default();
    scheme.eq_ignore_ascii_case("file:")
        || (text.starts_with(['/', '.']) && Path::new(text).exists())
}

/// Whether a text begins with the scheme of a URL (RFC 3986, section 3.1). Other servers and tools
/// take secrets from `base64://…`, `env://…` or `vault://…`. As it is, such a text would be a
/// secret that everybody can guess.
fn is_url(text: &str) -> bool {
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
    text.split_once("://").is_some_and(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(in_scheme)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_less_is_no_duration() {
        for text in ["0", "0s", "-1", "-0", "-0s", "-1s", "-5m", "0h0m"] {
            assert_eq!(duration_or_none(text), Ok(None), "{text}");
        }
        assert_eq!(duration_or_none("90s"), Ok(Some(Duration::from_secs(90))));
        for text in ["", "-", "--1s", "soon", "-soon", "5"] {
            assert!(duration_or_none(text).is_err(), "{text}");
        }
    }

    #[test]
    fn secrets_are_long_printable_and_various() {
        let good = "0123456789abcdef0123456789abcdef";
        for text in [
            good,
            "correct horse battery staple, and more",
            &"abcd".repeat(8),
            &"äöüß".repeat(8),
            // Not the scheme of a URL.
            "0base64://eyJrZXlzIjpbXX0=0123456789",
            "a b://0123456789abcdef0123456789",
            "://0123456789abcdef0123456789abcdef",
        ] {
            assert!(
                secret(text).is_ok_and(|secret| secret.expose() == text),
                "{text}"
            );
        }
        for (text, problem) in [
            (String::new(), "empty"),
            (good[1..].to_owned(), "only 31 characters"),
            (format!("{good}\n"), "ends with a line break"),
            (format!("{good}\r\n"), "ends with a line break"),
            (format!("\n{good}"), "has a control character"),
            (format!("{good}\0"), "has a control character"),
            (format!("{good}\t{good}"), "has a control character"),
            (format!("{good}\u{7f}"), "has a control character"),
            (format!("{good}\u{9b}"), "has a control character"),
            (
                "file:///run/secrets/talos-hmac-secret".to_owned(),
                "names a file",
            ),
            (
                "FILE://run/secrets/talos-hmac-secret".to_owned(),
                "names a file",
            ),
            ("file:secret".to_owned(), "names a file"),
            ("base64://MDEyMzQ1Njc4OWFiY2RlZg==".to_owned(), "is a URL"),
            ("ref+vault://secret/data/talos#/hmac".to_owned(), "is a URL"),
            ("ENV://TALOS_HMAC_SECRET_OF_PROD".to_owned(), "is a URL"),
            (
                "https://vault.example/v1/secret/talos".to_owned(),
                "is a URL",
            ),
            (
                std::env::current_exe().unwrap().display().to_string(),
                "names a file",
            ),
            ("x".repeat(64), "only 1 different characters"),
            (" ".repeat(64), "only 1 different characters"),
            ("ab".repeat(64), "only 2 different characters"),
            ("ab-".repeat(64), "only 3 different characters"),
        ] {
            let error = secret(&text).err();
            assert!(
                error.is_some_and(|error| error.starts_with(problem)),
                "{text:?}: {problem}"
            );
        }
    }
}

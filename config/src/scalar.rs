//! Reads single values: numbers within bounds, hosts, texts, prefixes and secrets. An error says
//! what is wrong with the value and never repeats it.

use std::net::{IpAddr, Ipv4Addr};

use talos_model::Secret;

/// The fewest characters of a secret: 32 hex digits still carry 128 bits.
pub(crate) const SECRET_CHARACTERS_MIN: usize = 32;
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

/// A secret of at least [`SECRET_CHARACTERS_MIN`] characters.
pub(crate) fn secret(text: &str) -> Result<Secret, String> {
    match text.chars().count() {
        0 => Err("empty".to_owned()),
        characters if characters < SECRET_CHARACTERS_MIN => {
            Err(format!("only {characters} characters"))
        }
        _ => Ok(Secret::new(text.to_owned())),
    }
}

//! Kinds of values: how each is read from text, what is allowed, and where in [`Settings`] it goes.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use talos_engine::token::SigningKeys;
use talos_engine::{RetiredIssuer, Secret, duration};

use crate::settings::Settings;
use crate::{byte_size, data_directory, retired_issuer, signing_keys};

/// The fewest characters of a secret: 32 hex digits still carry 128 bits.
pub(crate) const SECRET_CHARACTERS_MIN: usize = 32;
const TEXT_CHARACTERS_MAX: usize = 255;

/// A name that may be chosen, and what choosing it does.
pub(crate) type Choice = (&'static str, fn(&mut Settings));

/// How a key's value is read and where it goes. Bounds are inclusive.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A whole number.
    Integer {
        min: u64,
        max: u64,
        set: fn(&mut Settings, u64),
    },
    /// A power of two from 1.
    PowerOfTwo {
        max: u64,
        set: fn(&mut Settings, u64),
    },
    /// A length of time.
    Duration {
        min: Duration,
        max: Duration,
        set: fn(&mut Settings, Duration),
    },
    /// A size in bytes.
    Bytes {
        min: u64,
        max: u64,
        set: fn(&mut Settings, u64),
    },
    /// `true` or `false`.
    Boolean { set: fn(&mut Settings, bool) },
    /// One of some names, each with what it does.
    Choice(&'static [Choice]),
    /// The one value that this version knows, and why there is no other.
    Fixed {
        value: &'static str,
        why: &'static str,
    },
    /// An IP address or `localhost`.
    Host { set: fn(&mut Settings, IpAddr) },
    /// A text that is not empty.
    Text { set: fn(&mut Settings, String) },
    /// A text; an empty one is as good as none.
    OptionalText {
        set: fn(&mut Settings, Option<String>),
    },
    /// A text of a form that few keys have; `read` puts it in its place.
    Form {
        /// What is allowed.
        what: &'static str,
        read: fn(&mut Settings, &str) -> Result<(), String>,
    },
    /// A prefix of credentials.
    Prefix {
        characters_max: usize,
        set: fn(&mut Settings, String),
    },
    /// Any number of prefixes.
    Prefixes {
        characters_max: usize,
        set: fn(&mut Settings, Vec<String>),
    },
    /// Any number of texts, each read by `item`.
    List {
        /// What they are.
        what: &'static str,
        item: fn(&str) -> Result<String, String>,
        set: fn(&mut Settings, Vec<String>),
    },
    /// Any number of former issuers.
    RetiredIssuers {
        set: fn(&mut Settings, Vec<RetiredIssuer>),
    },
    /// A secret text.
    Secret { set: fn(&mut Settings, Secret) },
    /// Any number of secret texts.
    Secrets { set: fn(&mut Settings, Vec<Secret>) },
    /// A DSN that names a directory.
    DataDirectory { set: fn(&mut Settings, PathBuf) },
    /// URLs of JSON Web Key sets.
    SigningKeys { set: fn(&mut Settings, SigningKeys) },
}

/// What a source says about a key, before it is understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// A scalar.
    One(String),
    /// A list of scalars.
    Many(Vec<String>),
    /// A list whose items may have an end.
    Ending(Vec<Ending>),
}

/// An item of a list that may have an end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    /// What it is.
    pub(crate) value: String,
    /// When it ends.
    pub(crate) expires_at: Option<String>,
}

/// A value that is not allowed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Which item of a list, counted from 0.
    pub(crate) item: Option<usize>,
    /// The value; shown only where the key is not sensitive.
    pub(crate) value: String,
    /// What is wrong with it, without the value.
    pub(crate) problem: String,
}

impl Kind {
    /// Whether the value is a list.
    pub(crate) fn is_list(self) -> bool {
        matches!(
            self,
            Self::Prefixes { .. }
                | Self::List { .. }
                | Self::Secrets { .. }
                | Self::SigningKeys { .. }
                | Self::RetiredIssuers { .. }
        )
    }

    /// Whether the items of the list may be mappings of `value` and `expires_at`.
    pub(crate) fn items_may_end(self) -> bool {
        matches!(self, Self::RetiredIssuers { .. })
    }

    /// What is allowed, as a noun phrase.
    pub(crate) fn allowed(self) -> String {
        let prefix = |max: usize| format!("1 to {max} letters, digits or underscores");
        let secret = format!("at least {SECRET_CHARACTERS_MIN} characters");
        match self {
            Self::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::PowerOfTwo { max, .. } => format!("a power of two from 1 to {max}"),
            Self::Duration { min, max, .. } => {
                let (min, max) = (
                    duration::format_protobuf(min),
                    duration::format_protobuf(max),
                );
                format!("a duration from {min} to {max}, such as 90s, 1h30m or 30d")
            }
            Self::Bytes { min, max, .. } => {
                let (min, max) = (byte_size::format(min), byte_size::format(max));
                format!("a size from {min} to {max}, such as 104857600 or 256 MiB")
            }
            Self::Boolean { .. } => "true or false".to_owned(),
            Self::Choice(choices) => {
                let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
                format!("one of {}", names.join(", "))
            }
            Self::Fixed { value, .. } => value.to_owned(),
            Self::Host { .. } => "an IP address or localhost".to_owned(),
            Self::Text { .. } => {
                format!("1 to {TEXT_CHARACTERS_MAX} characters, none of them a control character")
            }
            Self::OptionalText { .. } => format!(
                "at most {TEXT_CHARACTERS_MAX} characters, none of them a control character"
            ),
            Self::Form { what, .. } => what.to_owned(),
            Self::Prefix { characters_max, .. } => prefix(characters_max),
            Self::Prefixes { characters_max, .. } => {
                format!("a list of prefixes, each {}", prefix(characters_max))
            }
            Self::List { what, .. } => format!("a list of {what}"),
            Self::RetiredIssuers { .. } => {
                "a list of issuers, each a text or a mapping of value and expires_at, such as 2027-01-31T00:00:00Z"
                    .to_owned()
            }
            Self::Secret { .. } => secret,
            Self::Secrets { .. } => format!("a list of secrets, each {secret}"),
            Self::DataDirectory { .. } => {
                "rocksdb://DIRECTORY, or sqlite://PATH for the directory PATH.rocksdb".to_owned()
            }
            Self::SigningKeys { .. } => {
                "a list of base64://… or file://PATH, each a JWK set with Ed25519 or RSA keys"
                    .to_owned()
            }
        }
    }

    /// Reads `input` and puts the value in its place. What the operator should know is returned.
    pub(crate) fn apply(
        self,
        settings: &mut Settings,
        input: &Input,
    ) -> Result<Option<String>, Fault> {
        match (self.is_list(), input) {
            (false, Input::One(text)) => {
                self.apply_scalar(settings, text).map_err(|problem| Fault {
                    item: None,
                    value: text.clone(),
                    problem,
                })
            }
            (true, Input::Many(items)) => self.apply_list(settings, items).map(|()| None),
            (_, Input::Ending(items)) => self.apply_ending(settings, items).map(|()| None),
            (true, Input::One(text)) => Err(Fault {
                item: None,
                value: text.clone(),
                problem: "a list is needed here".to_owned(),
            }),
            (false, Input::Many(items)) => Err(no_list(items.iter().cloned())),
        }
    }

    fn apply_scalar(self, settings: &mut Settings, text: &str) -> Result<Option<String>, String> {
        match self {
            Self::Integer { min, max, set } => {
                let number = text.parse().map_err(|_| "not a whole number".to_owned())?;
                set(settings, within(number, min, max)?);
            }
            Self::PowerOfTwo { max, set } => {
                let number: u64 = text.parse().map_err(|_| "not a whole number".to_owned())?;
                if !number.is_power_of_two() {
                    return Err("not a power of two".to_owned());
                }
                set(settings, within(number, 1, max)?);
            }
            Self::Duration { min, max, set } => {
                let length = duration::parse(text).map_err(|error| error.to_string())?;
                set(settings, within(length, min, max)?);
            }
            Self::Bytes { min, max, set } => {
                let bytes = byte_size::parse(text).ok_or("not a size in bytes")?;
                set(settings, within(bytes, min, max)?);
            }
            Self::Boolean { set } => match text {
                "true" => set(settings, true),
                "false" => set(settings, false),
                _ => return Err("neither true nor false".to_owned()),
            },
            Self::Choice(choices) => {
                let (_, set) = choices
                    .iter()
                    .find(|(name, _)| *name == text)
                    .ok_or("not known")?;
                set(settings);
            }
            Self::Fixed { value, why } => {
                if text != value {
                    return Err(why.to_owned());
                }
            }
            Self::Host { set } => set(settings, host(text)?),
            Self::Text { set } => set(settings, self::text(text)?),
            Self::OptionalText { set } => {
                let named = Some(text).filter(|text| !text.is_empty());
                set(settings, named.map(self::text).transpose()?);
            }
            Self::Form { read, .. } => read(settings, text)?,
            Self::Prefix {
                characters_max,
                set,
            } => set(settings, prefix(text, characters_max)?),
            Self::Secret { set } => set(settings, secret(text)?),
            Self::DataDirectory { set } => {
                let directory = data_directory::parse(text)?;
                set(settings, directory.path);
                return Ok(directory.warning);
            }
            Self::Prefixes { .. }
            | Self::List { .. }
            | Self::Secrets { .. }
            | Self::SigningKeys { .. }
            | Self::RetiredIssuers { .. } => {
                return Err("a list is needed here".to_owned());
            }
        }
        Ok(None)
    }

    fn apply_list(self, settings: &mut Settings, items: &[String]) -> Result<(), Fault> {
        match self {
            Self::Prefixes {
                characters_max,
                set,
            } => set(settings, each(items, |text| prefix(text, characters_max))?),
            Self::List { item, set, .. } => set(settings, each(items, item)?),
            Self::RetiredIssuers { set } => {
                set(
                    settings,
                    each(items, |text| retired_issuer::read(text, None))?,
                );
            }
            Self::Secrets { set } => set(settings, each(items, secret)?),
            Self::SigningKeys { set } => {
                let mut keys = SigningKeys::default();
                each(items, |url| signing_keys::add_from_url(&mut keys, url))?;
                set(settings, keys);
            }
            _ => return Err(no_list(items.iter().cloned())),
        }
        Ok(())
    }

    fn apply_ending(self, settings: &mut Settings, items: &[Ending]) -> Result<(), Fault> {
        let Self::RetiredIssuers { set } = self else {
            return Err(no_list(items.iter().map(|item| item.value.clone())));
        };
        let mut issuers = Vec::with_capacity(items.len());
        for (item, ending) in items.iter().enumerate() {
            let read = retired_issuer::read(&ending.value, ending.expires_at.as_deref());
            issuers.push(read.map_err(|problem| Fault {
                item: Some(item),
                value: ending.value.clone(),
                problem,
            })?);
        }
        set(settings, issuers);
        Ok(())
    }
}

fn no_list(items: impl Iterator<Item = String>) -> Fault {
    Fault {
        item: None,
        value: items.collect::<Vec<_>>().join(","),
        problem: "a list is not allowed here".to_owned(),
    }
}

fn each<T>(
    items: &[String],
    mut read: impl FnMut(&str) -> Result<T, String>,
) -> Result<Vec<T>, Fault> {
    let mut values = Vec::with_capacity(items.len());
    for (item, text) in items.iter().enumerate() {
        let value = read(text).map_err(|problem| Fault {
            item: Some(item),
            value: text.clone(),
            problem,
        })?;
        values.push(value);
    }
    Ok(values)
}

fn within<T: Copy + PartialOrd>(value: T, min: T, max: T) -> Result<T, String> {
    if value < min {
        return Err("too small".to_owned());
    }
    if value > max {
        return Err("too large".to_owned());
    }
    Ok(value)
}

fn host(text: &str) -> Result<IpAddr, String> {
    if text.eq_ignore_ascii_case("localhost") {
        return Ok(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    text.parse().map_err(|_| "not an IP address".to_owned())
}

/// A text that is not empty.
pub(crate) fn text(text: &str) -> Result<String, String> {
    let characters = text.chars().count();
    if characters == 0 || characters > TEXT_CHARACTERS_MAX || text.chars().any(char::is_control) {
        return Err("empty, too long or with control characters".to_owned());
    }
    Ok(text.to_owned())
}

fn prefix(text: &str, characters_max: usize) -> Result<String, String> {
    let fits = (1..=characters_max).contains(&text.len());
    if fits && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') {
        return Ok(text.to_owned());
    }
    Err("not a prefix".to_owned())
}

fn secret(text: &str) -> Result<Secret, String> {
    match text.chars().count() {
        0 => Err("empty".to_owned()),
        characters if characters < SECRET_CHARACTERS_MIN => {
            Err(format!("only {characters} characters"))
        }
        _ => Ok(Secret::new(text.to_owned())),
    }
}

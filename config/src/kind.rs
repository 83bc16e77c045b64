//! Kinds of values: how each is parsed, what is allowed, and which field of [`Settings`] it sets.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use talos_credentials::token::SigningKeys;
use talos_credentials::{RetiredIssuer, RetiredSecret};
use talos_model::{Secret, duration};

use crate::input::{ExpiringItem, Fault, Input};
use crate::mapping::{Fields, Mapping};
use crate::scalar::{self, SECRET_CHARACTERS_MIN, TEXT_CHARACTERS_MAX};
use crate::settings::Settings;
use crate::signing_keys::KeySets;
use crate::{byte_size, data_directory, retired};

/// A name that can be chosen, and the setter that it calls.
pub(crate) type Choice = (&'static str, fn(&mut Settings));

/// How a key's value is parsed, and which field it sets. Bounds are inclusive.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// A whole number.
    Integer {
        min: u64,
        max: u64,
        set: fn(&mut Settings, u64),
    },
    /// A power of two, 1 or greater.
    PowerOfTwo {
        max: u64,
        set: fn(&mut Settings, u64),
    },
    /// A number from 0 to 1.
    Fraction { set: fn(&mut Settings, f64) },
    /// A duration.
    Duration {
        min: Duration,
        max: Duration,
        set: fn(&mut Settings, Duration),
    },
    /// A duration, or 0 or less for none.
    DurationOrNone {
        min: Duration,
        max: Duration,
        /// Gets zero for none.
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
    /// One of several names.
    Choice(&'static [Choice]),
    /// The only value that this version supports, and why it supports no other.
    Fixed {
        value: &'static str,
        why: &'static str,
    },
    /// An IP address or `localhost`.
    Host { set: fn(&mut Settings, IpAddr) },
    /// A text that is not empty.
    Text { set: fn(&mut Settings, String) },
    /// A text. An empty text means unset.
    OptionalText {
        set: fn(&mut Settings, Option<String>),
    },
    /// A value with a parser of its own.
    Custom {
        /// What is allowed, as a noun phrase.
        allowed: &'static str,
        read: fn(&mut Settings, &str) -> Result<(), String>,
    },
    /// A prefix of credentials.
    Prefix {
        characters_max: usize,
        set: fn(&mut Settings, String),
    },
    /// A list of prefixes.
    Prefixes {
        characters_max: usize,
        set: fn(&mut Settings, Vec<String>),
    },
    /// A list of texts. `item` parses each of them.
    List {
        /// The items, as a noun in the plural.
        what: &'static str,
        item: fn(&str) -> Result<String, String>,
        set: fn(&mut Settings, Vec<String>),
    },
    /// A list of retired issuers, which may expire.
    RetiredIssuers {
        set: fn(&mut Settings, Vec<RetiredIssuer>),
    },
    /// A list of retired secrets, which may expire.
    RetiredSecrets {
        set: fn(&mut Settings, Vec<RetiredSecret>),
    },
    /// A list of mappings.
    Mappings {
        /// The fields of each, for messages.
        what: &'static str,
        /// The fields of each.
        fields: Fields,
        /// Adds one to the settings.
        add: fn(&mut Settings, &Mapping) -> Result<(), String>,
    },
    /// A secret text.
    Secret { set: fn(&mut Settings, Secret) },
    /// A list of secret texts.
    Secrets { set: fn(&mut Settings, Vec<Secret>) },
    /// A DSN that names a data directory.
    DataDirectory { set: fn(&mut Settings, PathBuf) },
    /// A list of URLs of JSON Web Key sets.
    SigningKeys {
        set: fn(&mut Settings, KeySets, SigningKeys),
    },
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
                | Self::RetiredSecrets { .. }
                | Self::Mappings { .. }
        )
    }

    /// Whether the items of the list are mappings.
    pub(crate) fn takes_mappings(self) -> bool {
        matches!(self, Self::Mappings { .. })
    }

    /// Whether the items of the list may be mappings of `value` and `expires_at`.
    pub(crate) fn items_may_expire(self) -> bool {
        matches!(
            self,
            Self::RetiredIssuers { .. } | Self::RetiredSecrets { .. }
        )
    }

    /// The name of the kind, for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Integer { .. } | Self::PowerOfTwo { .. } => "whole number",
            Self::Fraction { .. } => "number",
            Self::Duration { .. } | Self::DurationOrNone { .. } => "duration",
            Self::Bytes { .. } => "size",
            Self::Boolean { .. } => "boolean",
            Self::Choice(_) => "choice",
            Self::Fixed { .. } => "constant",
            Self::Host { .. } => "IP address",
            Self::Text { .. }
            | Self::OptionalText { .. }
            | Self::Custom { .. }
            | Self::Prefix { .. }
            | Self::Secret { .. } => "text",
            Self::DataDirectory { .. } => "URL",
            Self::Prefixes { .. } | Self::List { .. } | Self::Secrets { .. } => "list of texts",
            Self::SigningKeys { .. } => "list of URLs",
            Self::RetiredIssuers { .. } | Self::RetiredSecrets { .. } => {
                "list of texts or mappings"
            }
            Self::Mappings { .. } => "list of mappings",
        }
    }

    /// What is allowed, as a noun phrase.
    pub(crate) fn allowed(self) -> String {
        let prefix = |max: usize| format!("1 to {max} letters, digits or underscores");
        let secret = format!(
            "at least {SECRET_CHARACTERS_MIN} characters, none of them a control character"
        );
        match self {
            Self::Integer { min, max, .. } => format!("a whole number from {min} to {max}"),
            Self::PowerOfTwo { max, .. } => format!("a power of two from 1 to {max}"),
            Self::Fraction { .. } => "a number from 0 to 1".to_owned(),
            Self::Duration { min, max, .. } => {
                let (min, max) = (
                    duration::format_protobuf(min),
                    duration::format_protobuf(max),
                );
                format!("a duration from {min} to {max}, such as 90s, 1h30m or 30d")
            }
            Self::DurationOrNone { min, max, .. } => {
                let (min, max) = (
                    duration::format_protobuf(min),
                    duration::format_protobuf(max),
                );
                format!("a duration from {min} to {max}, such as 90s or 1h30m, or 0 for none")
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
            Self::Custom { allowed, .. } => allowed.to_owned(),
            Self::Prefix { characters_max, .. } => prefix(characters_max),
            Self::Prefixes { characters_max, .. } => {
                format!("a list of prefixes, each {}", prefix(characters_max))
            }
            Self::List { what, .. } => format!("a list of {what}"),
            Self::RetiredIssuers { .. } => {
                "a list of issuers, each a text or a mapping of value and expires_at, such as 2027-01-31T00:00:00Z"
                    .to_owned()
            }
            Self::RetiredSecrets { .. } => format!(
                "a list of secrets, each {secret}, or a mapping of value and expires_at, such as 2027-01-31T00:00:00Z"
            ),
            Self::Mappings { what, .. } => format!("a list of mappings, each of {what}"),
            Self::Secret { .. } => secret,
            Self::Secrets { .. } => format!("a list of secrets, each {secret}"),
            Self::DataDirectory { .. } => {
                "rocksdb://DIRECTORY, or sqlite://PATH (also sqlite3://PATH) for the directory PATH.rocksdb"
                    .to_owned()
            }
            Self::SigningKeys { .. } => {
                "a list of base64://…, file://PATH or https://…, each a JWK set with Ed25519 or RSA keys"
                    .to_owned()
            }
        }
    }

    /// Parses `input` and sets the field in `settings`. Returns a warning for the operator, if
    /// there is one.
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
            (_, Input::Expiring(items)) => self.apply_expiring(settings, items).map(|()| None),
            (_, Input::Mappings(items)) => self.apply_mappings(settings, items).map(|()| None),
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
                set(settings, scalar::within(number, min, max)?);
            }
            Self::PowerOfTwo { max, set } => {
                let number: u64 = text.parse().map_err(|_| "not a whole number".to_owned())?;
                if !number.is_power_of_two() {
                    return Err("not a power of two".to_owned());
                }
                set(settings, scalar::within(number, 1, max)?);
            }
            Self::Fraction { set } => {
                let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
                if !(0.0..=1.0).contains(&number) {
                    return Err("not between 0 and 1".to_owned());
                }
                set(settings, number);
            }
            Self::Duration { min, max, set } => {
                let length = duration::parse(text).map_err(|error| error.to_string())?;
                set(settings, scalar::within(length, min, max)?);
            }
            Self::DurationOrNone { min, max, set } => {
                let length = scalar::duration_or_none(text)?;
                let within = |length| scalar::within(length, min, max);
                set(settings, length.map_or(Ok(Duration::ZERO), within)?);
            }
            Self::Bytes { min, max, set } => {
                let bytes = byte_size::parse(text).ok_or("not a size in bytes")?;
                set(settings, scalar::within(bytes, min, max)?);
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
            Self::Host { set } => set(settings, scalar::host(text)?),
            Self::Text { set } => set(settings, scalar::text(text)?),
            Self::OptionalText { set } => {
                let named = Some(text).filter(|text| !text.is_empty());
                set(settings, named.map(scalar::text).transpose()?);
            }
            Self::Custom { read, .. } => read(settings, text)?,
            Self::Prefix {
                characters_max,
                set,
            } => set(settings, scalar::prefix(text, characters_max)?),
            Self::Secret { set } => set(settings, scalar::secret(text)?),
            Self::DataDirectory { set } => {
                let directory = data_directory::parse(text)?;
                set(settings, directory.path);
                return Ok(directory.warning);
            }
            Self::Prefixes { .. }
            | Self::List { .. }
            | Self::Secrets { .. }
            | Self::SigningKeys { .. }
            | Self::RetiredIssuers { .. }
            | Self::RetiredSecrets { .. }
            | Self::Mappings { .. } => {
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
            } => set(
                settings,
                each(items, |text| scalar::prefix(text, characters_max))?,
            ),
            Self::List { item, set, .. } => set(settings, each(items, item)?),
            Self::RetiredIssuers { .. } | Self::RetiredSecrets { .. } => {
                let items: Vec<_> = items.iter().cloned().map(ExpiringItem::lasting).collect();
                self.apply_expiring(settings, &items)?;
            }
            Self::Secrets { set } => set(settings, each(items, scalar::secret)?),
            Self::SigningKeys { set } => {
                let (mut sets, mut keys) = (KeySets::default(), SigningKeys::default());
                each(items, |url| sets.add(url, &mut keys))?;
                set(settings, sets, keys);
            }
            _ => return Err(no_list(items.iter().cloned())),
        }
        Ok(())
    }

    fn apply_expiring(self, settings: &mut Settings, items: &[ExpiringItem]) -> Result<(), Fault> {
        match self {
            Self::RetiredIssuers { set } => set(settings, each_expiring(items, retired::issuer)?),
            Self::RetiredSecrets { set } => set(settings, each_expiring(items, retired::secret)?),
            _ => return Err(no_list(items.iter().map(|item| item.value.clone()))),
        }
        Ok(())
    }

    fn apply_mappings(self, settings: &mut Settings, items: &[Mapping]) -> Result<(), Fault> {
        let Self::Mappings { add, .. } = self else {
            return Err(no_list(items.iter().map(Mapping::shown)));
        };
        for (item, mapping) in items.iter().enumerate() {
            add(settings, mapping).map_err(|problem| Fault {
                item: Some(item),
                value: mapping.shown(),
                problem,
            })?;
        }
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

fn each_expiring<T>(
    items: &[ExpiringItem],
    read: fn(&ExpiringItem) -> Result<T, String>,
) -> Result<Vec<T>, Fault> {
    let read = |(index, item): (usize, &ExpiringItem)| {
        read(item).map_err(|problem| Fault {
            item: Some(index),
            value: item.value.clone(),
            problem,
        })
    };
    items.iter().enumerate().map(read).collect()
}

//! The values that a server would use, where each comes from, and how they differ from others.
//! Secrets leave this module masked.

use serde_json::Value;

use crate::assignment::{Assignment, Origin};
use crate::error::{ConfigError, Warning};
use crate::file::ConfigFile;
use crate::key::{Fallback, Key};
use crate::keys::KEYS;
use crate::load::{self, MissingKeys, Sources};
use crate::mask::masked;
use crate::tenant_cache::TenantCache;
use crate::value;

/// The values of all keys.
pub struct Effective {
    values: Vec<Assignment>,
    overridden: Vec<Assignment>,
    /// What the operator should know about them.
    pub warnings: Vec<Warning>,
}

/// The value of a key, and where it comes from.
#[derive(Clone, Debug)]
pub struct EffectiveValue {
    /// The key.
    pub key: &'static Key,
    /// The value as its source spells it, secrets masked; null if the key has none.
    pub value: Value,
    /// The kind of source.
    pub origin: Origin,
    /// The source: `FILE:LINE:COLUMN` or an environment variable. Empty for defaults.
    pub place: String,
    /// Whether the value means something else than the default.
    pub is_changed: bool,
}

/// How the values of a key differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// Only the other side sets the key.
    Added,
    /// Only this side sets the key.
    Removed,
    /// The values differ.
    Changed,
}

/// A key whose values differ.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The key.
    pub key: &'static Key,
    /// How they differ.
    pub change: Change,
    /// The value of this side, secrets masked; null if it has none.
    pub old: Value,
    /// The value of the other side, secrets masked; null if it has none.
    pub new: Value,
}

/// A value without effect, because another source overrides it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overridden {
    /// The path of the key.
    pub key: &'static str,
    /// Where the value is.
    pub place: String,
    /// The place of the value that is used.
    pub by: String,
}

impl Effective {
    /// Loads what [`Settings::load`](crate::Settings::load) would load. Required keys may be
    /// missing.
    ///
    /// # Errors
    /// [`ConfigError`], with every bad key and value of all sources at once.
    pub fn load(
        file: Option<&ConfigFile>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let loaded = load::load(
            Sources {
                file,
                variables: environment.collect(),
                presets: &[],
                dsn: None,
                missing: MissingKeys::Ignore,
            },
            &mut TenantCache::default(),
        )?;
        Ok(Self {
            values: loaded.values,
            overridden: loaded.overridden,
            warnings: loaded.warnings,
        })
    }

    /// The value of every key, in the order of [`KEYS`].
    #[must_use]
    pub fn values(&self) -> Vec<EffectiveValue> {
        let of_key = |key: &'static Key| {
            let value = self.get(key.path);
            let shown = value.map(|value| value::shown(key.kind, &value.input));
            EffectiveValue {
                key,
                value: masked(key, shown.unwrap_or_default()),
                origin: value.map_or(Origin::Default, |value| value.origin),
                place: value.map_or_else(String::new, |value| value.place.clone()),
                is_changed: self.compared(key) != default_of(key),
            }
        };
        KEYS.iter().map(of_key).collect()
    }

    /// The required keys that have no value.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static Key> {
        let is_missing = |key: &&'static Key| {
            let may_be_unset = match key.fallback {
                Fallback::Required(_) => false,
                Fallback::RequiredUnless { path, .. } => self.get(path).is_some(),
                Fallback::Value(_) | Fallback::Unset(_) => true,
            };
            !may_be_unset && self.get(key.path).is_none()
        };
        KEYS.iter().filter(is_missing).collect()
    }

    /// The values that other sources override.
    #[must_use]
    pub fn overridden(&self) -> Vec<Overridden> {
        let described = |other: &Assignment| Overridden {
            key: other.key.path,
            place: other.place.clone(),
            by: self
                .get(other.key.path)
                .map_or_else(String::new, |value| value.place.clone()),
        };
        self.overridden.iter().map(described).collect()
    }

    /// The place of the value that a source gives to the key; `None` if none does.
    #[must_use]
    pub fn place(&self, path: &str) -> Option<&str> {
        let place = self.get(path).map(|value| value.place.as_str());
        place.filter(|place| !place.is_empty())
    }

    /// The keys whose values are not the same as in `other`, in the order of [`KEYS`]. Two
    /// spellings of one value are equal.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<Difference> {
        let shown = |side: &Self, key: &Key| {
            let value = side.get(key.path);
            let shown = value.map(|value| value::shown(key.kind, &value.input));
            masked(key, shown.unwrap_or_default())
        };
        let differs = KEYS
            .iter()
            .filter(|key| self.compared(key) != other.compared(key));
        let difference = |key: &'static Key| Difference {
            key,
            change: match (self.sets(key.path), other.sets(key.path)) {
                (false, true) => Change::Added,
                (true, false) => Change::Removed,
                _ => Change::Changed,
            },
            old: shown(self, key),
            new: shown(other, key),
        };
        differs.map(difference).collect()
    }

    fn get(&self, path: &str) -> Option<&Assignment> {
        self.values.iter().find(|value| value.key.path == path)
    }

    /// Whether a source sets the key.
    fn sets(&self, path: &str) -> bool {
        let value = self.get(path);
        value.is_some_and(|value| value.origin != Origin::Default)
    }

    fn compared(&self, key: &Key) -> Value {
        let value = self.get(key.path);
        let compared = value.map(|value| value::compared(key.kind, &value.input));
        without_empty_list(compared.unwrap_or_default())
    }
}

/// The default of the key, for comparison; null if it has none.
fn default_of(key: &Key) -> Value {
    let default = key.default_input();
    let compared = default.map(|input| value::compared(key.kind, &input));
    without_empty_list(compared.unwrap_or_default())
}

/// An unset list is empty, unless it has a default. Then the empty list is a value of its own, and
/// no key with a default is ever null.
fn without_empty_list(value: Value) -> Value {
    match value {
        Value::Array(items) if items.is_empty() => Value::Null,
        value => value,
    }
}

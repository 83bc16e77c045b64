//! One key of the configuration: its path, its kind and what holds without it.

use std::fmt;

use crate::kind::Kind;

/// A key of the configuration.
pub struct Key {
    /// Its full path, such as `serve.http.port`.
    pub path: &'static str,
    /// What holds when no source names it.
    pub fallback: Fallback,
    /// Whether its value may be shown.
    pub sensitivity: Sensitivity,
    pub(crate) kind: Kind,
}

/// What holds when no source names a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// This value, read as if it came from a file.
    Value(&'static str),
    /// Nothing; the text says what that means.
    Unset(&'static str),
    /// No start; the text says how to get a value.
    Required(&'static str),
    /// The value of another key, or no start without one.
    StandIn {
        /// The path of the other key.
        path: &'static str,
        /// How to get a value.
        advice: &'static str,
    },
}

/// Whether a value may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sensitivity {
    /// In messages and logs.
    Public,
    /// Never.
    Secret,
}

impl Key {
    /// The environment variable that overrides the key: `TALOS_` and the path in upper case with `_` for `.`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!("TALOS_{}", self.path.to_ascii_uppercase().replace('.', "_"))
    }

    /// What is allowed, as a noun phrase.
    #[must_use]
    pub fn allowed(&self) -> String {
        self.kind.allowed()
    }

    /// Whether the value is a list.
    #[must_use]
    pub fn is_list(&self) -> bool {
        self.kind.is_list()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("path", &self.path)
            .field("fallback", &self.fallback)
            .finish_non_exhaustive()
    }
}

/// A key whose value may be shown.
pub(crate) const fn public(path: &'static str, fallback: Fallback, kind: Kind) -> Key {
    Key {
        path,
        fallback,
        sensitivity: Sensitivity::Public,
        kind,
    }
}

/// A key whose value is never shown.
pub(crate) const fn secret(path: &'static str, fallback: Fallback, kind: Kind) -> Key {
    Key {
        path,
        fallback,
        sensitivity: Sensitivity::Secret,
        kind,
    }
}
